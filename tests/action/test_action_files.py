"""What the linters of CI don't ask of the action and the workflows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from .runner import ROOT

ACTIONS = (ROOT / "action.yml", ROOT / "action" / "fork" / "action.yml")
WORKFLOWS = tuple(sorted((ROOT / ".github" / "workflows").glob("*.yml")))


def read(path: Path) -> dict[Any, Any]:
    """Return what a file says; YAML takes the key `on` for True."""
    said: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return said


def shown(path: Path) -> str:
    """Return a path as tests are named by it."""
    return str(path.relative_to(ROOT))


def steps(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the steps of an action or a workflow."""
    said = read(path)
    for runs in [said["runs"]] if "runs" in said else said["jobs"].values():
        yield from runs["steps"]


@pytest.mark.parametrize("path", [*ACTIONS, *WORKFLOWS], ids=shown)
def test_no_value_becomes_a_part_of_a_script(path: Path) -> None:
    """What ``${{ }}`` holds comes through the environment, and a script is one command."""
    scripts = [step["run"] for step in steps(path) if "run" in step]
    assert [script for script in scripts if "${{" in script or "\n" in script.strip()] == []


@pytest.mark.parametrize("path", [*ACTIONS, *WORKFLOWS], ids=shown)
def test_other_actions_are_pinned(path: Path) -> None:
    """A tag may be moved, a commit may not; our own are of the same commit."""
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert [name for name in used if not re.search(r"@[0-9a-f]{40}$|^[.$]/", name)] == []


def test_no_workflow_runs_a_pull_request_with_a_token_that_writes() -> None:
    """None is on ``pull_request_target``; the one on ``workflow_run`` checks out nothing."""
    by_trigger: dict[str, list[Path]] = {}
    for path in WORKFLOWS:
        for trigger in read(path)[True]:
            by_trigger.setdefault(trigger, []).append(path)
    assert "pull_request_target" not in by_trigger
    (fork,) = by_trigger["workflow_run"]
    assert [step["uses"] for step in steps(fork)] == ["$/action/fork"]


def test_the_fork_workflow_follows_the_one_that_runs_the_gates() -> None:
    """By the workflow's name, and by the suite."""
    named = {path.name: read(path) for path in WORKFLOWS}
    followed = named["fork-comment.yml"][True]["workflow_run"]["workflows"]
    assert followed == [named["ship.yml"]["name"]]
    folder = ROOT / ".github" / "workflows"
    (ours,) = (step for step in steps(folder / "ship.yml") if step.get("uses") == "./")
    (fork,) = steps(folder / "fork-comment.yml")
    assert fork["with"]["suite"] == ours["with"].get("suite", ours["with"]["gates"])


@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_inputs_and_outputs_are_documented(kind: str) -> None:
    """Each has a row in a table of the page about CI, and no row is about another."""
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    table = page[page.index(f"| {kind[:-1]} |") :].partition("\n\n")[0]
    rows = re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE)
    assert rows == list(read(ROOT / "action.yml")[kind])
