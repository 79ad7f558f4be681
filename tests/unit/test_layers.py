"""The folders stand in the order in which the data flows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_distill

PACKAGE = Path(pytest_distill.__file__).parent
# Each folder may import from itself and from those listed; the top-level modules from everything.
MAY_IMPORT = {
    "evals": {"errors", "hub", "memory", "user_code"},
    "engines": {"errors", "hub", "user_code", "evals"},
    "evaluation": {"errors", "files", "memory", "user_code", "evals", "engines"},
    "verdicts": {"errors", "evals", "engines", "evaluation"},
    "report": {"errors", "files", "verdicts"},
    "config": {"errors", "user_code", "evals", "engines", "verdicts"},
}
HEAVY = {"torch", "transformers", "pytest", "_pytest"}


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def modules(folder: str) -> list[Path]:
    """Return the files of one folder of the package."""
    return sorted((PACKAGE / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_a_folder_imports_only_from_those_before_it(folder: str) -> None:
    """Data flows one way, so imports do too."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in modules(folder)
        for module in imports(path)
        if module.startswith("pytest_distill.")
        and module.split(".")[1] not in MAY_IMPORT[folder] | {folder}
    ]
    assert wrong == []


@pytest.mark.parametrize("folder", ["evals", "verdicts", "report", "config", "evaluation"])
def test_only_engines_and_the_pytest_face_know_torch_and_pytest(folder: str) -> None:
    """What is asked, judged and told can be used without a model runtime and without pytest."""
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in modules(folder)
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
