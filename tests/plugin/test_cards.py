"""Several workers and one GPU: one of them at a time has models on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pytest_distill._util.locks import locked

from .project import Project, Run, decision_of, gold, said

ENGINE = """
import json, os, time
from pathlib import Path

from pytest_distill import ModelInfo, Prediction

LOG = Path(__file__).with_name("held.jsonl")


class OnOneCard:
    # Says that workers share a GPU, and writes down when it holds one.

    def __init__(self, spec):
        self.spec, self.holds = spec, False

    @staticmethod
    def shared_cards(spec):
        return (CARD,) if spec.workers > 1 else ()

    @property
    def info(self):
        return ModelInfo(name=self.spec.name, role=self.spec.role, parameters=8)

    def log(self, what):
        with LOG.open("a") as file:
            file.write(json.dumps([time.monotonic(), os.getpid(), self.spec.name, what]) + "\\n")

    def predict(self, requests):
        if not self.holds:
            self.holds = True
            self.log("loads")
        time.sleep(0.3)
        for position, request in enumerate(requests):
            yield Prediction(id=request.id, prediction=("pos", "neg")[position % 2])

    def close(self):
        if self.holds:
            self.holds = False
            time.sleep(0.1)
            self.log("frees")
"""
KEPT = """

class Kept(OnOneCard):
    # Its answers are kept in the store, which has a lock a model.

    @property
    def identity(self):
        return {"weights": self.spec.name}
"""
TEST = """
import pytest
from pytest_distill import assert_agreement, assert_score

@pytest.mark.distill(eval="{first}")
def test_first():
    assert_score(min=0.5, model="{model}")

@pytest.mark.distill(eval="{second}")
def test_second():
    assert_agreement(min=0.5)
"""


@pytest.fixture
def card(project: Project, request: pytest.FixtureRequest) -> str:
    """Return the GPU that two models and an SFT student use, in a project of two test files."""
    name = f"pretended-{os.getpid()}-{request.node.name.partition('[')[0]}"
    project.file("own.py", ENGINE.replace("CARD", repr(name)) + KEPT)
    for model in project.models:
        project.models[model] = {"engine": "own:OnOneCard"}
    project.evals["more"] = {**project.evals["reviews"], "data": "more.jsonl"}
    project.rows("more.jsonl", [{**row, "text": f"more {row['text']}"} for row in gold()])
    project.save()
    for file, model, first, second in (
        ("test_a.py", "teacher", "reviews", "more"),
        ("test_b.py", "student", "more", "reviews"),
    ):
        project.file(file, TEST.format(model=model, first=first, second=second))
    return name


@pytest.mark.parametrize("kept", [True, False])
def test_two_workers_never_hold_models_at_once(
    project: Project, card: str, pytester: pytest.Pytester, kept: bool
) -> None:
    """Where both want the same models in opposite order one waits, says for whom, and both end."""
    for entry in project.models.values():
        entry["engine"] = "own:Kept" if kept else "own:OnOneCard"
    project.save()
    # A process of its own: workers write to its stderr.
    result = pytester.runpytest_subprocess("-n2", "--dist=loadfile", "--distill-report")
    assert result.ret == 0, said(result)
    assert decision_of(result)[0] == "SHIP"
    events = sorted(map(json.loads, (project.path / "held.jsonl").read_text().splitlines()))
    workers = {pid for _, pid, _, _ in events}
    assert len(workers) == 2 or kept  # what one has kept the other need not ask
    holding: set[tuple[int, str]] = set()
    for _, pid, model, what in events:
        if what == "loads":
            assert {other for other, _ in holding} <= {pid}
            holding.add((pid, model))
        else:
            holding.remove((pid, model))
    assert not holding
    assert f"on GPU {card}: waiting for process " in result.stderr.str()


def test_one_process_takes_no_card(card: str, run: Run) -> None:
    """Without workers nothing is locked."""
    assert run().ret == 0
    assert not list(Path(tempfile.gettempdir()).glob(f"pytest-distill-*/{card}*"))


def test_a_worker_that_is_killed_holds_no_card(tmp_path: Path) -> None:
    """The lock goes with its process; who waits for it is told of it."""
    code = (
        "import sys, time; from pathlib import Path; from pytest_distill._util.locks import locked;"
        f"lock = locked(Path({str(tmp_path / 'card')!r}), 'student', print); print(flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        told: list[str] = []

        def tell(line: str) -> None:
            told.append(line)
            holder.kill()

        lock = locked(tmp_path / "card", "teacher", tell)
    assert lock.is_locked
    lock.release()
    assert told[0].startswith(f"teacher: waiting for process {holder.pid} on ")


def test_a_process_takes_its_own_card_again(tmp_path: Path) -> None:
    """Two projects of one process share its GPU, and it is free once both gave it up."""
    first, second = (locked(tmp_path / "card", "student", print, again=True) for _ in range(2))
    assert first is second
    first.release()
    assert second.is_locked
    second.release()
    assert not second.is_locked
