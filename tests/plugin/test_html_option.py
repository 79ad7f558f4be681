"""``--distill-html PATH``: what the page is made of, whichever process knew it.

What a browser shows of it: ``tests/browser``.
"""

from __future__ import annotations

import gzip
import json
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from pytest_distill.statistics.confidences import BINS

from .project import SFT, STUDENT, TEACHER, N, Project, Run, answers, gold, said, write_gates

OPTIONS = ("--distill-html", "out.html", "--distill-json", "out.json")


def test_what_each_student_kept_stands_in_the_report(project: Project, run_both: Run) -> None:
    """Of all examples and of each slice, the SFT student's too, with the floors that gates set."""
    write_gates(
        project,
        keeps="assert_quality_retained(0.9)",
        surely="assert_quality_retained(0.8, confidence=0.95)",
        slices="assert_slices_retained(0.5, by='lang', confidence=None, min_examples=2)",
        pays="assert_beats_sft(confidence=None)",
    )
    run_both(*OPTIONS)
    rows = {(row["model"], row["slice"]): row for row in project.json()["retained"]}
    kept = {key: (row["retained"], row["n"], row["floor"]) for key, row in rows.items()}
    assert kept == {
        ("student", None): (pytest.approx(17 / 18), 20, 0.9),
        ("student", "lang=de"): (pytest.approx(7 / 10), 10, 0.5),
        ("student", "lang=en"): (pytest.approx(10 / 8), 10, 0.5),
        ("sft", None): (pytest.approx(15 / 18), 20, None),
        ("sft", "lang=de"): (pytest.approx(5 / 10), 10, None),
        ("sft", "lang=en"): (pytest.approx(10 / 8), 10, None),
    }
    assert list(rows) == list(kept)  # the worst slice first
    gate = next(g for g in project.json()["gates"] if g["nodeid"].endswith("keeps"))
    told = rows["student", None]
    assert (told["lower"], told["upper"]) == (gate["interval"]["lower"], gate["interval"]["upper"])


def test_a_student_is_counted_against_each_other_model(project: Project, run_both: Run) -> None:
    """On which examples it is right and the other wrong, and the reverse."""
    write_gates(project, pays="assert_beats_sft()", keeps="assert_quality_retained(0.9)")
    run_both(*OPTIONS)
    found = {
        row["other"]: (row["wins"], row["losses"], row["ties"]) for row in project.json()["pairs"]
    }
    expected = {}
    for name, right in (("teacher", set(TEACHER)), ("sft", set(SFT))):
        wins, losses = len(set(STUDENT) - right), len(right - set(STUDENT))
        expected[name] = (wins, losses, N - wins - losses)
    assert found == expected


def probable(right: range, sure: Callable[[int], float]) -> list[dict[str, Any]]:
    """Return predictions that are right on these examples, with a probability for each."""
    rows = []
    for i, row in enumerate(gold()):
        label = row["label"] if i in right else {"pos": "neg", "neg": "pos"}[row["label"]]
        other = {"pos": "neg", "neg": "pos"}[label]
        probabilities = {label: sure(i), other: 1 - sure(i)}
        rows.append({"id": row["id"], "probabilities": probabilities})
    return rows


def test_the_bins_of_a_reliability_diagram_are_those_of_scikit_learn(
    project: Project, run: Run
) -> None:
    """Of every model that gave probabilities; no row for one that gave labels alone."""
    sure = {i: 0.51 + 0.48 * ((7 * i) % N) / N for i in range(N)}
    project.rows("student.jsonl", probable(STUDENT, sure.__getitem__))
    write_gates(project, keeps="assert_quality_retained(0.9)")
    run(*OPTIONS)
    (row,) = project.json()["calibration"]
    right, probability = calibration_curve(
        [i in STUDENT for i in range(N)], [*sure.values()], n_bins=BINS
    )
    assert row["model"] == "student"
    assert [each["right"] for each in row["bins"]] == pytest.approx(right.tolist())
    assert [each["probability"] for each in row["bins"]] == pytest.approx(probability.tolist())
    counts = np.array([each["n"] for each in row["bins"]])
    assert row["ece"] == pytest.approx(float(counts @ np.abs(right - probability) / N))


def test_the_frontier_is_of_every_eval_with_two_sizes(project: Project, run: Run) -> None:
    """With the latency that distill.yaml declares; the terminal draws it for several students."""
    project.models["teacher"]["latency_ms"] = 40
    project.save()
    write_gates(project, keeps="assert_quality_retained(0.9)")
    result = run("--distill-report", "-v", *OPTIONS)
    (frontier,) = project.json()["frontiers"]
    points = {point["model"]: point["latency_ms"] for point in frontier["points"]}
    assert points == {"student": None, "teacher": 40}
    assert "size and quality" not in said(result)


def test_the_frontier_is_of_latency_where_no_size_is_known(project: Project, run: Run) -> None:
    """As of models behind an API; the terminal draws sizes alone."""
    for name, entry in project.models.items():
        del entry["parameters"]
        entry["latency_ms"] = {"teacher": 40, "student": 4, "sft": 5}[name]
    project.save()
    write_gates(
        project,
        keeps="assert_quality_retained(0.9)",
        other="assert_score(0.1, model='sft')",
    )
    result = run("--distill-report", "-v", *OPTIONS)
    (frontier,) = project.json()["frontiers"]
    points = {each["model"]: (each["parameters"], each["outpaced"]) for each in frontier["points"]}
    beaten = "student is better and faster"
    assert points == {"teacher": (None, ""), "student": (None, ""), "sft": (None, beaten)}
    assert "Latency and quality" in (project.path / "out.html").read_text()
    assert "size and quality" not in said(result)


def test_the_extra_is_named_where_it_is_missing(project: Project, run_apart: Run) -> None:
    """In one line, before any test runs."""
    write_gates(project, keeps="open('ran', 'w').close()")
    project.file("without.py", "import sys\nsys.modules['vl_convert'] = None\n")
    result = run_apart("-p", "without", *OPTIONS)
    told = "--distill-html needs the package vl-convert-python: pip install 'pytest-distill[html]'"
    assert [line for line in result.errlines if line] == [f"ERROR: {told}"]
    assert not (project.path / "ran").exists()


def test_a_run_that_ends_early_leaves_a_page_that_says_so(
    project: Project, run_forked: Run
) -> None:
    """The older page is not taken for this run's."""
    project.file("out.html", "<p>SHIP")
    write_gates(project, ends="os._exit(3)")
    run_forked(*OPTIONS)
    page = (project.path / "out.html").read_text()
    assert "INCOMPLETE" in page
    assert "the run did not end" in page


def test_a_metric_of_the_users_is_asked_while_a_gate_runs(project: Project, run: Run) -> None:
    """Its scores are in the page, and the end of the run calls no code of the user's."""
    project.file(
        "own.py",
        """
        import numpy as np
        from pytest_distill import Metric

        class Share(Metric):
            name, calls = "share", []

            def scores(self, answers):
                self.calls.append(1)
                return np.array([a.predicted == a.targets[0] for a in answers], float)

            def statistics(self, answers):
                return np.stack([self.scores(answers), np.ones(len(answers))], axis=1)

            def aggregate(self, totals):
                return totals[..., 0] / totals[..., 1]

        share = Share()
        """,
    )
    project.evals["reviews"]["metrics"] = ["own:share"]
    project.save()
    write_gates(project, keeps="assert_quality_retained(0.8)")
    project.file(
        "conftest.py",
        """
        import pytest, sys

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish():
            sys.modules["own"].Share.scores = None
        """,
    )
    assert run(*OPTIONS[2:]).ret == 0
    (pair,) = project.json()["pairs"]
    wins, losses = len(set(STUDENT) - set(TEACHER)), len(set(TEACHER) - set(STUDENT))
    assert (pair["other"], pair["wins"], pair["losses"]) == ("teacher", wins, losses)
    assert run(*OPTIONS).ret == 0
    assert project.json()["pairs"] == [pair]
    assert "20 examples" in (project.path / "out.html").read_text()


def answers_of(project: Project) -> list[dict[str, Any]]:
    """Return what the page holds of each eval's examples."""
    page = (project.path / "out.html").read_text(encoding="utf-8")
    found = re.findall(r'class="rows">([^<]*)</script>', page)
    return [json.loads(gzip.decompress(b64decode(each))) for each in found]


def test_answers_that_cannot_be_read_are_shown_as_they_are(project: Project, run_both: Run) -> None:
    """Beside ready scores they are no error: the report is the same with the page and without."""
    for name, right in (("teacher", TEACHER), ("student", STUDENT), ("sft", SFT)):
        rows = [
            {**row, "scores": {"judge": float(i in right)}} for i, row in enumerate(answers(right))
        ]
        rows[3]["prediction"] = "neither"
        project.rows(f"{name}.jsonl", rows)
    project.evals["reviews"]["metrics"] = [{"name": "judge", "range": [0, 1]}]
    project.save()
    write_gates(project, keeps="assert_quality_retained(0.9)")
    run_both(*OPTIONS[2:])
    report = project.json()
    run_both(*OPTIONS)
    assert project.json() == report
    (table,) = answers_of(project)
    assert table["texts"][2][3] == "neither"
    assert [sum(scores) for scores in table["scores"]] == [len(TEACHER), len(STUDENT)]


def test_a_file_that_cannot_be_made_leaves_the_others(project: Project, run_forked: Run) -> None:
    """They say that the run is no SHIP, and why."""
    patch = "from pytest_distill.report import html_file\nhtml_file.text = lambda *given: 1 / 0\n"
    project.file("conftest.py", patch)
    write_gates(project, keeps="assert_quality_retained(0.9)")
    result = run_forked(*OPTIONS)
    assert result.ret == 1
    report = project.json()
    assert report["outcome"] == "INCOMPLETE"
    assert "out.html: cannot be made: ZeroDivisionError" in report["reason"]
    assert [gate["outcome"] for gate in report["gates"]] == ["PASSED"]
