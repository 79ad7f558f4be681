"""The models that a page asks by ordinary paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.smollm2 import smollm2, without_layer

from .pages import ROOT

MODELS: Mapping[str, Mapping[str, Callable[[], Path]]] = {
    page: {"models/teacher": smollm2, "models/student": partial(without_layer, 10)}
    for page in ("docs/chat.md", "docs/lm-eval.md")
}
"""Page -> path in it -> what gives the folder that stands there."""


def provide(page: Path, folder: Path) -> None:
    """Put the models of a page where it looks for them: folders of its own, with linked files."""
    for path, made in MODELS.get(str(page.relative_to(ROOT)), {}).items():
        there = folder / path
        there.mkdir(parents=True)
        for file in (entry for entry in made().iterdir() if entry.is_file()):
            (there / file.name).symlink_to(file)
