"""The folders stand in the order in which the data flows."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pytest_distill

PACKAGE = Path(pytest_distill.__file__).parent
ROOMS = (
    *("errors", "_util", "statistics", "evals", "engines", "evaluation", "comparison", "gates"),
    *("report", "config", "project", "testing", "plugin", "cli", "__main__"),
)
"""Folders and top modules: each imports from itself and from those before it."""
HEAVY = {"torch", "transformers", "pytest", "_pytest"}
KNOW_HEAVY = {"engines", "plugin"}


def name_of(path: Path) -> str:
    """Return a file's module, without the package's own name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE} | {
    path.stem: path for path in PACKAGE.glob("*.py") if path.stem != "__init__"
}


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside.removeprefix("pytest_distill.") in MODULES else node.module


def ours(path: Path) -> set[str]:
    """Return the modules of the package that a file imports."""
    return {
        module.removeprefix("pytest_distill.")
        for module in imports(path)
        if module.startswith("pytest_distill.")
    }


def test_every_folder_and_module_has_its_place() -> None:
    """A new folder or top module is put where the data flows through it."""
    assert {name.split(".")[0] for name in MODULES} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_those_before_it(room: str) -> None:
    """Data flows one way, so imports do too."""
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = [
        f"{name} imports {module}"
        for name, path in MODULES.items()
        if name.split(".")[0] == room
        for module in ours(path)
        if module.split(".")[0] not in allowed
    ]
    assert wrong == []


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of a circle; none where there is no circle."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other() -> None:
    """What needs each other belongs in one module, or on a third one below both."""
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
    assert circle({name: ours(path) - {name} for name, path in MODULES.items()}) == []


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in KNOW_HEAVY])
def test_only_engines_and_the_pytest_face_know_torch_and_pytest(room: str) -> None:
    """What is asked, judged and told can be used without a model runtime and without pytest."""
    wrong = [
        f"{name} imports {module}"
        for name, path in MODULES.items()
        if name.split(".")[0] == room
        for module in imports(path)
        if module.split(".")[0] in HEAVY
    ]
    assert wrong == []


def test_nothing_imports_the_inside_of_pytest() -> None:
    """The public names of pytest are enough."""
    wrong = [
        str(path)
        for path in PACKAGE.rglob("*.py")
        if any(module.split(".")[0] == "_pytest" for module in imports(path))
    ]
    assert wrong == []
