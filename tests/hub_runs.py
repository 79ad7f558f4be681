"""Whole runs of pytest against a hub on loopback, each in a process and with a cache of its own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .forking import TORCH, forks
from .hub_server import Hub

NOWHERE = "http://127.0.0.1:9"
"""An endpoint where nobody listens."""


class Ended(NamedTuple):
    """What a run said, and its JSON report."""

    text: str
    report: dict[str, Any]

    @property
    def errors(self) -> dict[str, list[str]]:
        """The lines that pytest marks with E, by the name of their test."""
        found: dict[str, list[str]] = {}
        name = ""
        for line in self.text.splitlines():
            words = line.strip("_ ")
            if line.startswith("___") and words.startswith("test_"):
                name = words.removeprefix("test_")
            elif line.startswith("E  "):
                found.setdefault(name, []).append(line[1:].strip())
        return found

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each model that ran."""
        return {row["name"]: row["digest"] for row in self.report["models"]}

    @property
    def notes(self) -> dict[str, str]:
        """What is said of each model that ran."""
        return {row["name"]: " ".join(row["notes"]) for row in self.report["models"]}

    @property
    def scores(self) -> dict[str, float]:
        """The score of each model."""
        return {name: s for row in self.report["comparisons"] for name, s in row["scores"].items()}

    @property
    def made(self) -> dict[str, int]:
        """How many answers of each model were made in this run."""
        return {row["model"]: row["evaluated"] for row in self.report["evaluations"]}


class Suite:
    """A folder with a ``distill.yaml`` and one test for each model or eval, run on a hub.

    Parameters
    ----------
    folder : Path
        An empty one.
    hub : Hub
        What ``HF_ENDPOINT`` names.
    """

    def __init__(self, folder: Path, hub: Hub) -> None:
        self.folder = folder
        self.hub = hub
        (folder / "pytest.ini").write_text("[pytest]\n")

    def rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write a file of JSON lines."""
        (self.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(self, config: Mapping[str, Any], **tests: str) -> None:
        """Write ``distill.yaml``, and a test file: name -> statement."""
        (self.folder / "distill.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        body = "".join(f"def test_{name}():\n    {text}\n\n" for name, text in tests.items())
        (self.folder / "test_ship.py").write_text(f"from pytest_distill import *\n\n{body}")

    def command(self, *args: str) -> list[str]:
        """Return the command of a run."""
        options = ("--distill-report", "--distill-json=out.json", "-W", "error", "-n", "0")
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, *args]

    def surroundings(self, **variables: str) -> dict[str, str]:
        """Return a run's environment: nothing of the hub's but what is given."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTEST_"))}
        own = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "hf"), "COLUMNS": "200"}
        return kept | own | {"OMP_NUM_THREADS": "1"} | variables

    def run(self, *args: str, **variables: str) -> Ended:
        """Run pytest; what the hub was asked before is forgotten."""
        self.hub.requests.clear()
        _, _, module, *arguments = self.command(*args)
        ended = forks(*TORCH).run(
            module, arguments, self.surroundings(**variables), folder=self.folder
        )
        text = ended.stdout + ended.stderr
        for word in ("Traceback", "pytest_distill/", "INTERNALERROR", "Captured"):
            shown = [line for line in text.splitlines() if word in line]
            assert not shown, text
        return Ended(text, json.loads((self.folder / "out.json").read_text()))
