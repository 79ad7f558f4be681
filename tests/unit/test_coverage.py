"""benchmarks/coverage.py --adversarial, run small."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from pytest_distill.statistics import fieller, t_retention

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCALE = 0.02
KINDS = (
    "macro-F1",
    "MCC",
    "BLEU",
    "chrF",
    "beats SFT",
    "bounded scores",
    "clusters",
    "perplexity",
    "bits per byte",
    "rate per token",
    "0/1 scores",
    "slices",
    "gap recovered",
    "suites",
    "speed",
    "recommend",
    "whole gates",
    "documented limits",
)

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are part of the repository, not of the sdist"
)


@pytest.fixture
def adversarial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the module with the designs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("adversarial")


def over(adversarial: ModuleType, kind: str, name: str = "") -> list[str]:
    """Return the designs of a kind that are over their bound in a small run."""
    return [
        f"{rate.design}: {rate.side} {rate.rate:.1%} at {1 - rate.confidence:.0%}"
        for design in adversarial.designs()
        if design.kind == kind and name in design.name
        for rate in design.rates(SCALE)
        if not rate.holds
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_hard_designs_keep_their_bounds(adversarial: ModuleType, kind: str) -> None:
    """No gate passes, or fails, students at the floor more often than its level and chance say."""
    assert over(adversarial, kind) == []


def test_all_kinds_are_tried(adversarial: ModuleType) -> None:
    """No kind of design is left out above."""
    assert {design.kind for design in adversarial.designs()} == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("bounded scores", "the worst floor"),
        ("bounded scores", "the teacher alone is at 0"),
        ("macro-F1", "10 rare"),
        ("BLEU", "1.0% of outputs loop"),
        ("beats SFT", "disasters on 1.0%"),
        ("clusters", "% lost"),
        ("rate per token", "agree nowhere"),
    ],
)
def test_plain_t_tests_are_over(
    adversarial: ModuleType, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    """T tests in which nothing counts that was not seen are found out by the same designs."""
    for module in (fieller, t_retention):
        monkeypatch.setattr(module, "unseen_weight", lambda _: 0.0)
    assert over(adversarial, kind, name)


def test_the_docs_have_a_place_for_every_table(adversarial: ModuleType) -> None:
    """A whole run replaces the tables of the page, and nothing else of it."""
    coverage = importlib.import_module("coverage")
    found = [
        rate
        for design in adversarial.designs()
        if design.kind in ("0/1 scores", "gap recovered") or "equal to its teacher" in design.name
        for rate in design.rates(0.0)
    ]
    tables = [coverage.adversarial_summary(found), coverage.adversarial_table(found)]
    tables += [coverage.power_table(found), coverage.cost_table()]
    page = coverage.PAGE.read_text()
    changed = coverage.with_tables(page, tables)
    assert all(f"\n{table}\n\n" in changed for table in tables)
    kept = [line for line in changed.splitlines() if not line.startswith("|")]
    assert kept == [line for line in page.splitlines() if not line.startswith("|")]


UNTAKEN = """
import runpy, sys
from pytest_distill.statistics import fieller, t_retention
fieller.unseen_weight = t_retention.unseen_weight = lambda _: 0.0
sys.path.insert(0, "")
runpy.run_path("coverage.py", run_name="__main__")
"""


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Run python with these options on a few gold sets."""
    return subprocess.run(
        [sys.executable, *options, "--adversarial", "--scale", "0.01"],
        cwd=BENCHMARKS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tables_are_the_same_for_any_number_of_workers() -> None:
    """The program prints the same for one process and for two, and exits with 0 where all holds."""
    one, two = (
        run("coverage.py", "--only", "gap recovered", "--workers", str(workers))
        for workers in (1, 2)
    )
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    assert "| gap recovered | n 100, teacher 0.99, student 0.98, SFT 0.96 |" in one.stdout
    assert one.stdout == two.stdout


def test_the_program_exits_with_1_where_a_bound_is_not_kept() -> None:
    """A design over its bound is marked in the table, and the status says so."""
    found = run("-c", UNTAKEN, "--only", "rate per token", "--workers", "1")
    assert found.returncode == 1, found.stderr
    assert "| NO |" in found.stdout
