"""A small project with gates whose numbers are known by hand, and what the tests read from a run.

Twenty examples: the teacher is right on 0-17, the student on 3-19, the SFT student on 5-19. So the
student keeps 17/18 = 0.9444 of the teacher (three examples lost, two won) and gains 2/20 over SFT.
"""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jsonschema
import pytest
import yaml

import pytest_distill
from pytest_distill.report.formats import as_text
from pytest_distill.report.reading import read_report
from tests.forking import forks

N = 20
TEACHER = range(18)
STUDENT = range(3, 20)
SFT = range(5, 20)

Run = Callable[..., pytest.RunResult]
Rows = Iterable[Mapping[str, Any]]

OLDER = {"outcome": "SHIP"}
"""What tests let an older run have written."""

SCHEMA = jsonschema.Draft202012Validator(
    json.loads((Path(pytest_distill.__file__).parent / "report" / "schema.json").read_text())
)

LABELS = ("pos", "neg")
HINT = "(more: -v, --distill-json)"
OUTCOMES = ("PASSED", "FAILED", "INCONCLUSIVE", "NOT RUN", "waived")

SHIPS = """
    import pytest
    from pytest_distill import assert_beats_sft, assert_quality_retained

    pytestmark = pytest.mark.distill(eval="reviews")

    def test_keeps():
        assert_quality_retained(min=0.9)

    def test_pays():
        assert_beats_sft(confidence=None)
"""

FAILS = """
    import pytest
    from pytest_distill import assert_quality_retained

    pytestmark = pytest.mark.distill(eval="reviews")

    def test_keeps():
        assert_quality_retained(min=0.95)
"""

HEAD = """
import contextlib
import os

import numpy as np
import pytest
from pytest_distill import *

pytestmark = pytest.mark.distill(eval="reviews")
"""
"""What a test file of `write_gates` begins with."""

ENGINE = '''
import json
import os
import time
from pathlib import Path

from pytest_distill import ModelInfo, Prediction

LOG = Path(__file__).with_name("calls.jsonl")


def log(**call):
    with LOG.open("a") as file:
        file.write(json.dumps(call) + "\\n")


class Counting:
    """Right on the examples in the option `right`; writes down whatever is asked of it."""

    def __init__(self, spec):
        self.spec = spec
        log(call="load", model=spec.name, path=spec.path, device=spec.device)

    @property
    def info(self):
        return ModelInfo(
            name=self.spec.name,
            role=self.spec.role,
            parameters=self.spec.options.get("size"),
            path=self.spec.path,
            device=self.spec.device,
        )

    def predict(self, requests):
        log(call="predict", model=self.spec.name, n=len(requests))
        right = set(self.spec.options.get("right", ()))
        for position, request in enumerate(requests):
            labels = ("pos", "neg") if position % 2 == 0 else ("neg", "pos")
            yield Prediction(id=request.id, prediction=labels[position not in right])

    def close(self):
        log(call="close", model=self.spec.name)
'''


def gold(n: int = N) -> list[dict[str, Any]]:
    """Return the gold set: labels take turns, the first half is German, the rest English."""
    return [
        {
            "id": f"e{i}",
            "text": f"text {i}",
            "label": LABELS[i % 2],
            "lang": "de" if i < n // 2 else "en",
        }
        for i in range(n)
    ]


def answers(right: Iterable[int], n: int = N) -> list[dict[str, Any]]:
    """Return a model's recorded predictions, right on these examples and wrong on the others."""
    chosen = set(right)
    return [{"id": f"e{i}", "prediction": LABELS[(i + (i not in chosen)) % 2]} for i in range(n)]


def write_rows(path: Path, rows: Rows) -> None:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def recorded(name: str, **keys: Any) -> dict[str, Any]:
    """Return the entry of a recorded model whose predictions stand in ``NAME.jsonl``."""
    return {"engine": "recorded", "predictions": f"{name}.jsonl", **keys}


def own_engine(name: str, right: Iterable[int], **keys: Any) -> dict[str, Any]:
    """Return the entry of a model that ``ENGINE`` runs, from the file ``own.py``."""
    role = {} if name in ("teacher", "student", "sft") else {"role": "student"}
    return {"engine": "own:Counting", "right": list(right), **role, **keys}


def review_eval(**keys: Any) -> dict[str, Any]:
    """Return the entry of the eval `reviews`; a key that is None is left out."""
    entry = {
        "task": "classification",
        "data": "gold.jsonl",
        "input": "text",
        "target": "label",
        "metrics": ["accuracy", "macro_f1"],
        "slices": ["lang"],
    }
    return {k: v for k, v in {**entry, **keys}.items() if v is not None}


class HasPath(Protocol):
    """What has a folder, as pytester does."""

    @property
    def path(self) -> Path:
        """The folder."""


class Project:
    """A project in pytester's folder; every method writes one thing anew.

    Parameters
    ----------
    pytester : HasPath
        Its folder is the project's.
    """

    def __init__(self, pytester: HasPath) -> None:
        self.path = pytester.path
        self.config: dict[str, Any] = {
            "models": {
                "teacher": recorded("teacher", parameters=1000),
                "student": recorded("student", parameters=100),
                "sft": recorded("sft", parameters=100),
            },
            "evals": {"reviews": review_eval()},
        }
        self.rows("gold.jsonl", gold())
        for name, right in (("teacher", TEACHER), ("student", STUDENT), ("sft", SFT)):
            self.rows(f"{name}.jsonl", answers(right))
        self.save()

    @property
    def models(self) -> dict[str, Any]:
        """The entries under ``models:``; `save` writes them."""
        models: dict[str, Any] = self.config["models"]
        return models

    @property
    def evals(self) -> dict[str, Any]:
        """The entries under ``evals:``; `save` writes them."""
        evals: dict[str, Any] = self.config["evals"]
        return evals

    def save(self, where: str = "distill.yaml") -> Path:
        """Write `config` as yaml."""
        return self.file(where, yaml.safe_dump(self.config, sort_keys=False))

    def file(self, name: str, text: str) -> Path:
        """Write a file, with the indentation of `text` taken away."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def rows(self, name: str, rows: Rows) -> None:
        """Write a file of JSON lines."""
        write_rows(self.path / name, rows)

    def sizes(self, teacher: int, student: int, sft: int, n: int) -> None:
        """Replace gold set and predictions: the models are right on their first examples."""
        self.rows("gold.jsonl", gold(n))
        for name, right in (("teacher", teacher), ("student", student), ("sft", sft)):
            self.rows(f"{name}.jsonl", answers(range(right), n))

    def use_own_engine(self, **keys: Any) -> None:
        """Let all three models run on an engine that writes down what is asked of it."""
        self.file("own.py", ENGINE)
        self.models.clear()
        for name, right in (("teacher", TEACHER), ("student", STUDENT), ("sft", SFT)):
            self.models[name] = own_engine(name, right, **keys)
        self.save()

    def calls(self, call: str) -> list[dict[str, Any]]:
        """Return what was asked of the own engines, e.g. every ``load``."""
        log = self.path / "calls.jsonl"
        if not log.exists():
            return []
        found = [json.loads(line) for line in log.read_text().splitlines()]
        return [entry for entry in found if entry["call"] == call]

    def loaded(self) -> list[str]:
        """Return the names of the models that were loaded, in that order."""
        return [entry["model"] for entry in self.calls("load")]

    def json(self, name: str = "out.json") -> dict[str, Any]:
        """Return the JSON report, which its schema must allow, and which is the same read back."""
        written = (self.path / name).read_text(encoding="utf-8")
        report: dict[str, Any] = json.loads(written)
        if report != OLDER:
            SCHEMA.validate(report)
            assert as_text("json", read_report(self.path / name)) == written
        return report


def write_gates(
    project: Project, file: str = "test_ship.py", head: str = HEAD, **tests: str
) -> None:
    r"""Write a test file: name of a test -> its statement; a marker may stand before it.

    A text such as ``"@pytest.mark.xfail\nassert_flips(0.1)"`` has its marker in a line of its own.
    """
    written = [head]
    for name, text in tests.items():
        lines = text.strip().splitlines()
        markers = [line for line in lines if line.startswith("@")]
        body = "".join(f"    {line}\n" for line in lines if not line.startswith("@"))
        written.append("\n".join([*markers, f"def test_{name}():", body]))
    (project.path / file).parent.mkdir(parents=True, exist_ok=True)
    (project.path / file).write_text("\n".join(written), encoding="utf-8")


def gates_of(project: Project) -> dict[str, dict[str, Any]]:
    """Return the rows of the JSON report by the name of their test, which asks one gate."""
    rows = project.json()["gates"]
    return {row["nodeid"].rpartition("::test_")[2]: row for row in rows}


def outcomes_of(project: Project) -> dict[str, str]:
    """Return the outcome of each gate in the JSON report by the name of its test."""
    return {name: row["outcome"] for name, row in gates_of(project).items()}


def report_of(result: pytest.RunResult) -> list[str]:
    """Return the lines of the terminal report, without its heading."""
    start = next(i for i, line in enumerate(result.outlines) if " distill report " in line)
    lines = result.outlines[start + 1 :]
    ends = [i for i, line in enumerate(lines) if line.startswith("====")]
    shown = lines[: ends[0]] if ends else lines
    return shown[1:] if shown[0] == "" else shown


def decision_of(result: pytest.RunResult) -> tuple[str, str]:
    """Return the outcome in the report's last line, and the reason that stands behind it."""
    lines = report_of(result)
    (last,) = [
        i for i, line in enumerate(lines) if line.startswith(("SHIP", "DO NOT SHIP", "INCOMPLETE"))
    ]
    words = " ".join(line.strip() for line in lines[last:])
    words = words.strip().removesuffix(HINT).strip()
    ships = re.fullmatch(r"SHIP(?: \((.*)\))?: \d+ of \d+ gates? passed(?:, (.*))?", words)
    if ships:
        return "SHIP", "; ".join(part for part in ships.groups() if part)
    shown = re.sub(r"^([A-Z ]+) \((.*)\)$", r"\1: \2", words)
    outcome, _, reason = shown.partition(": ")
    return outcome, reason


def rows_of(result: pytest.RunResult, first: str) -> list[list[str]]:
    """Return the words of the report's lines that start with the word `first`."""
    rows = (line.split() for line in report_of(result))
    return [row for row in rows if row[:1] == [first]]


def blocks_of(result: pytest.RunResult) -> list[str]:
    """Return what the report says of each gate, in one line: numbers, facts and notes."""
    found: list[str] = []
    for line in report_of(result):
        words = line.split()
        if re.match(rf"  ({'|'.join(OUTCOMES)})\b", line):
            found.append(" ".join(words))
        elif found and line.startswith("     "):
            found[-1] += " " + " ".join(words)
    return found


def said(result: pytest.RunResult) -> str:
    """Return all that a run printed."""
    return "\n".join([*result.outlines, *result.errlines])


def refuse_package_frames(result: pytest.RunResult) -> None:
    """Fail where a run shows a frame or a path of the package, or pytest's INTERNALERROR."""
    for word in ("Traceback", "pytest_distill/", "INTERNALERROR"):
        shown = [line for line in said(result).splitlines() if word in line]
        assert not shown, "\n".join(shown)


def failing_lines(result: pytest.RunResult) -> list[str]:
    """Return the lines that pytest marks with E, without the mark."""
    return [line.removeprefix("E").strip() for line in result.outlines if line.startswith("E  ")]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Do what ``python -m pytest_distill`` does in this folder."""
    return forks().run("pytest_distill", arguments)
