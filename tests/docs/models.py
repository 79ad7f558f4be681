"""The models that a page asks by ordinary paths, or their predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.smollm2 import smollm2, without_layer

from .console import Console
from .pages import ROOT, blocks, write

MODELS: Mapping[str, Mapping[str, Callable[[], Path]]] = {
    page: {"models/teacher": smollm2, "models/student": partial(without_layer, 10)}
    for page in ("docs/chat.md", "docs/lm-eval.md")
}
"""Page -> path in it -> what gives the folder that stands there."""
QUICKSTART = ROOT / "docs" / "quickstart.md"
SHORTENED = {"README.md", "docs/index.md"}
"""Pages that show the quickstart's gates alone, without its gold set and predictions."""


def provide(page: Path, folder: Path) -> None:
    """Put the models of a page where it looks for them: folders of its own, with linked files."""
    name = str(page.relative_to(ROOT))
    if name in SHORTENED:
        for block in blocks(QUICKSTART):
            if block.name in {"make_data.py", "distill.yaml"} and not block.parse_only:
                write(block, folder)
        Console(folder).run("python make_data.py")
    for path, made in MODELS.get(name, {}).items():
        there = folder / path
        there.mkdir(parents=True)
        for file in (entry for entry in made().iterdir() if entry.is_file()):
            (there / file.name).symlink_to(file)
