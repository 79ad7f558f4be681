"""The models that a page asks by ordinary paths, or their predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

from tests.servers.served import Asked, Reply, chat_answer, served
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


STAND_IN = "127.0.0.1:8000"
"""Where pages say that their server is."""
SERVED = {"docs/openai.md"}
"""Pages beside which a server stands."""
CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
}
"""What that server knows."""


@contextmanager
def beside(page: Path) -> Iterator[str]:
    """Run the server of a page as long as the block lasts; gives where it is in truth."""
    if str(page.relative_to(ROOT)) not in SERVED:
        yield STAND_IN
        return
    numbers = count()

    def handle(asked: Asked) -> Reply:
        question = asked.body["messages"][-1]["content"]
        said = next(capital for land, capital in CAPITALS.items() if land in question)
        choice = {"logprobs": {"content": [{"token": said, "logprob": -0.25}]}}
        usage = {"prompt_tokens": len(question.split()), "completion_tokens": 1}
        answer = chat_answer(said, next(numbers), usage=usage, system_fingerprint="fp_1")
        answer["choices"][0] |= choice
        return Reply(answer)

    with served(handle) as server:
        yield f"127.0.0.1:{server.port}"


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
