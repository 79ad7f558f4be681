"""Runs a composite action as GitHub's runner does: its steps in order, each in a bash of its own.

Steps that use another action are not run: what they are given is kept, and `Cache` stands in for
that of GitHub.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from .stand_in import BASE, FORK, HEAD, REPOSITORY, Hub

ROOT = Path(__file__).parents[2]

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_CONTEXT = re.compile(r"\b(?:inputs|steps|github)(?:\.[\w-]+)+")
_STATUS = ("always()", "cancelled()", "failure()", "success()")


@dataclass
class Used:
    """A step that uses another action."""

    action: str
    given: dict[str, str]


@dataclass
class Ended:
    """How a run of the action ended."""

    failed: bool
    log: str
    outputs: dict[str, str]
    used: list[Used]
    summary: str

    def use_of(self, action: str) -> list[dict[str, str]]:
        """Return what every step that uses an action is given."""
        return [step.given for step in self.used if step.action == action]


@dataclass
class Cache:
    """Files by key, as ``actions/cache`` keeps them: a key never changes what it holds."""

    entries: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def use(self, action: str, given: Mapping[str, str]) -> None:
        """Save or restore a file; a folder is passed over."""
        path = Path(given["path"])
        if action.endswith("/save") and path.is_file() and given["key"] not in self.entries:
            self.entries[given["key"]] = (given["path"], path.read_bytes())
        elif action.endswith("/restore"):
            for wanted in (given["key"], *given["restore-keys"].split()):
                found = [key for key in self.entries if key.startswith(wanted)]
                if found and self.entries[found[-1]][0] == given["path"]:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(self.entries[found[-1]][1])
                    return


@dataclass
class Runner:
    """A runner, and what set the workflow off.

    Parameters
    ----------
    hub : Hub
        GitHub.
    workspace : Path
        The checkout, in which the steps run.
    temporary : Path
        The runner's own folder.
    event_name : str
        E.g. ``pull_request``.
    event : mapping
        What GitHub tells of it.
    """

    hub: Hub
    workspace: Path
    temporary: Path
    event_name: str
    event: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    cache: Cache = field(default_factory=Cache)

    def run(self, action: str = "action.yml", before: str = "", **inputs: str) -> Ended:
        """Run an action of this repository, or its steps before the one of a name."""
        path = ROOT / action
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        defaults = {name: one.get("default", "") for name, one in said.get("inputs", {}).items()}
        state = _State({"event_name": self.event_name, "token": "of-this-job"}, {})
        state.inputs = {name: state.text(value) for name, value in defaults.items()}
        assert not inputs.keys() - state.inputs.keys(), "no such input"
        state.inputs |= inputs
        for number, step in enumerate(said["runs"]["steps"]):
            if step["name"] == before:
                break
            self._step(number, step, state, path.parent)
        outputs = {name: state.text(one["value"]) for name, one in said.get("outputs", {}).items()}
        summary = self.temporary / "summary.md"
        told = summary.read_text(encoding="utf-8") if summary.exists() else ""
        return Ended(state.failed, "".join(state.log), outputs, state.used, told)

    def _step(self, number: int, step: Mapping[str, Any], state: _State, action: Path) -> None:
        found = state.steps.setdefault(step.get("id", str(number)), _Step())
        condition = str(step.get("if", "success()"))
        if not any(status in condition for status in _STATUS):
            condition = f"success() && ({condition})"
        if not state.holds(condition):
            found.outcome = "skipped"
            return
        if "uses" in step:
            given = {name: state.text(value) for name, value in step["with"].items()}
            used = step["uses"].partition("@")[0]
            state.used.append(Used(used, given))
            if used.startswith("actions/cache/"):
                self.cache.use(used, given)
            found.outcome = "success"
            return
        env = {name: state.text(value) for name, value in step.get("env", {}).items()}
        output = self.temporary / f"output-{number}"
        output.touch()
        script = self.temporary / f"step-{number}.sh"
        script.write_text(step["run"], encoding="utf-8")
        assert step["shell"] == "bash"
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],  # noqa: S607
            cwd=self.workspace,
            env=self.surroundings(action) | {"GITHUB_OUTPUT": str(output)} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        state.log.append(f"== {step['name']}\n{ran.stdout}")
        for line in output.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            found.outputs[name] = value
        found.outcome = "failure" if ran.returncode else "success"
        if ran.returncode and not step.get("continue-on-error"):
            state.failed = True

    def surroundings(self, action: Path) -> dict[str, str]:
        """Return the variables that the runner sets, and whatever else is there."""
        event = self.temporary / "event.json"
        event.write_text(json.dumps(self.event), encoding="utf-8")
        of_pull = self.event_name == "pull_request"
        plain = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("GITHUB_", "PYTEST_"))
        }
        return (
            plain
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_ACTION_PATH": str(action),
                "GITHUB_API_URL": self.hub.url,
                "GITHUB_GRAPHQL_URL": f"{self.hub.url}/graphql",
                "GITHUB_SERVER_URL": "https://github.example",
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_EVENT_NAME": self.event_name,
                "GITHUB_EVENT_PATH": str(event),
                "GITHUB_SHA": HEAD,
                "GITHUB_REF_NAME": "7/merge" if of_pull else "main",
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_RUN_ID": "55",
                "GITHUB_RUN_ATTEMPT": "2",
                "GITHUB_STEP_SUMMARY": str(self.temporary / "summary.md"),
                "GITHUB_WORKSPACE": str(self.workspace),
                "RUNNER_TEMP": str(self.temporary),
            }
            | dict(self.environment)
        )


@dataclass
class _Step:
    outcome: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class _State:
    """What expressions see."""

    github: Mapping[str, str]
    inputs: dict[str, str]
    steps: dict[str, _Step] = field(default_factory=dict)
    used: list[Used] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    failed: bool = False

    def text(self, value: Any) -> str:
        """Return a value with its expressions replaced."""
        if isinstance(value, bool):
            return str(value).lower()
        return _EXPRESSION.sub(lambda found: str(self._value(found[1])), str(value))

    def holds(self, condition: str) -> bool:
        """Return whether a step is run."""
        return bool(self._value(condition))

    def _value(self, expression: str) -> Any:
        python = _CONTEXT.sub(lambda found: f"get({found[0]!r})", expression)
        python = python.replace("&&", " and ").replace("||", " or ")
        python = re.sub(r"!(?!=)", " not ", python)
        known = {
            "get": self._get,
            "always": lambda: True,
            "cancelled": lambda: False,
            "failure": lambda: self.failed,
            "success": lambda: not self.failed,
        }
        return eval(python, {"__builtins__": {}}, known)  # noqa: S307 (the action's own words)

    def _get(self, path: str) -> str:
        context, name, *rest = path.split(".")
        if context == "steps":
            step = self.steps.get(name, _Step())
            return step.outcome if rest == ["outcome"] else step.outputs.get(rest[1], "")
        values = self.inputs if context == "inputs" else self.github
        return values[name]


def pull_event(number: int = 7, head: str = HEAD, repository: str | None = REPOSITORY) -> Any:
    """Return what GitHub tells of a pull request; a fork that is gone has no repository."""
    return {
        "pull_request": {
            "number": number,
            "head": {
                "sha": head,
                "ref": "smaller",
                "repo": {"full_name": repository} if repository else None,
            },
            "base": {"ref": "main", "sha": BASE},
        }
    }


def fork_event(head: str = HEAD, repository: str = FORK, event: str = "pull_request") -> Any:
    """Return what GitHub tells a workflow on ``workflow_run``."""
    return {
        "workflow_run": {
            "id": 55,
            "event": event,
            "head_sha": head,
            "head_branch": "smaller",
            "head_repository": {"full_name": repository},
            "html_url": f"https://github.example/{REPOSITORY}/actions/runs/55",
            "conclusion": "failure",
            "pull_requests": [],
        }
    }
