"""Names that would make a line of the report, or a file somewhere else, are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_distill import ConfigError
from pytest_distill.evaluation.sources.manifest import file_of

from .project import SHIPS, Project, Run, said

NAMES = {
    "s\nSHIP": "cannot be printed",
    "s\x1b[2K": "cannot be printed",
    "s\u2028SHIP": "cannot be printed",
    "\u202espih": "cannot be printed",
    "::test_x": "begins with '::'",
    "../../evil": "becomes the name of a file",
    "a/b": "becomes the name of a file",
    "a\\b": "becomes the name of a file",
    "..": "becomes the name of a file",
    ".hidden": "becomes the name of a file",
    " a": "blank",
    "a ": "blank",
    "": "empty",
}


@pytest.mark.parametrize(
    ("section", "name"),
    [*(("evals", name) for name in NAMES), ("models", "s\nSHIP"), ("criteria", "../../evil")],
)
def test_a_name_in_the_yaml(project: Project, run: Run, section: str, name: str) -> None:
    """The error names the key, escaped, and no line of it says SHIP."""
    if section == "criteria":
        project.config["criteria"] = {name: {"quality_retained": {"min": 0.5}}}
    elif section == "models":
        project.models[name] = {"role": "student", **project.models.pop("student")}
    else:
        project.evals[name] = project.evals.pop("reviews")
    project.save()
    project.file("test_ship.py", SHIPS.replace('(eval="reviews")', ""))
    result = run("--distill-report")
    assert result.ret != pytest.ExitCode.OK
    assert NAMES[name] in said(result)
    assert not [line for line in said(result).splitlines() if line.strip() == "SHIP"]
    assert "INTERNALERROR" not in said(result)


def test_the_name_of_a_declared_metric(project: Project, run: Run) -> None:
    """A metric that was scored elsewhere has a name in the yaml too."""
    project.evals["reviews"]["metrics"] = [{"name": "m\nSHIP"}]
    project.save()
    project.file("test_ship.py", SHIPS)
    assert r"the name 'm\nSHIP' has a character that cannot be printed" in said(run())


def test_plain_names_are_fine(project: Project, run: Run) -> None:
    """Letters of any script, dots, colons and blanks inside are no harm."""
    project.models["größe v1.2: 日本"] = {"role": "student", **project.models.pop("student")}
    project.save()
    project.file("test_ship.py", SHIPS)
    assert run("--distill-report").ret == pytest.ExitCode.OK


def test_two_pairs_that_would_share_a_file_are_refused(project: Project, run: Run) -> None:
    """`a.b` on model `c`, and `a` on model `b.c`, would be exported into one file."""
    project.evals["a"] = project.evals.pop("reviews")
    project.evals["a.b"] = project.evals["a"]
    project.models["c"] = {"role": "student", **project.models.pop("student")}
    project.models["b.c"] = {**project.models["c"]}
    project.save()
    project.file("test_ship.py", "def test_it(comparison):\n    pass\n")
    assert "would be exported into one file" in said(run())


def test_a_name_in_a_manifest_from_elsewhere(tmp_path: Path) -> None:
    """`store import` looks for no file outside of the folder that it was given."""
    with pytest.raises(ConfigError, match="becomes the name of a file"):
        file_of(tmp_path, "reviews", "../../evil")
