"""``assert_finished`` and ``assert_length`` in a project of recorded texts."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from .project import (
    Project,
    Run,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    recorded,
    refuse_package_frames,
    report_of,
    rows_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
LATER = datetime.date(2999, 12, 31)
N = 40
MOST = 64


def texts(tokens: int, cut: int, **more: Any) -> list[dict[str, Any]]:
    """Return recorded texts of so many tokens, of which the last ones were cut."""
    return [
        {
            "id": f"e{i}",
            "text": "four" * (MOST if i >= N - cut else tokens),
            "tokens": MOST if i >= N - cut else tokens,
            "finish": "length" if i >= N - cut else "end",
            **more,
        }
        for i in range(N)
    ]


@pytest.fixture
def written(project: Project) -> Project:
    """Return a project whose student is cut on four texts of 40, its teacher on one."""
    rows = [
        {"id": f"e{i}", "text": f"q{i}", "label": "four", "lang": "de" if i % 2 else "en"}
        for i in range(N)
    ]
    project.rows("gold.jsonl", rows)
    project.evals["reviews"] |= {"task": "generation", "metrics": ["exact_match", "finished"]}
    project.evals["reviews"]["max_new_tokens"] = MOST
    del project.models["sft"]
    project.rows("teacher.jsonl", texts(20, 1))
    project.rows("student.jsonl", texts(22, 4))
    project.save()
    return project


def test_both_gates_have_their_numbers_and_their_examples(written: Project, run_both: Run) -> None:
    """36 of 40 against 39 of 40; 36 * 22 + 4 * 64 tokens against 39 * 20 + 64."""
    write_gates(
        written,
        ends="assert_finished(min=0.92)",
        fails="assert_finished(min=0.93)",
        short="assert_length(max_ratio=1.25)",
        long="assert_length(max_ratio=1.2)",
    )
    result = run_both(*REPORTS)
    found = gates_of(written)
    assert {name: row["outcome"] for name, row in found.items()} == {
        "ends": "PASSED",
        "fails": "FAILED",
        "short": "PASSED",
        "long": "FAILED",
    }
    assert found["ends"]["observed"] == pytest.approx(36 / 39)
    assert found["long"]["observed"] == pytest.approx((36 * 22 + 4 * 64) / (39 * 20 + 64))
    assert found["long"]["details"]["lengths"] == {
        "teacher": {"tokens": 21.1, "thinking_tokens": None, "texts": 40, "cut": 1},
        "student": {"tokens": 26.2, "thinking_tokens": None, "texts": 40, "cut": 4},
    }
    assert (found["ends"]["lost"], found["ends"]["won"]) == (3, 0)
    lines = failing_lines(result)
    assert "teacher  finished 0.9750, 1,000 parameters" in lines
    assert "student  finished 0.9000, 100 parameters" in lines
    assert "student  26.2 tokens a text, 100 parameters" in lines
    lost = written.path / ".distill" / "lost"
    (ended,) = lost.glob("*-finished.jsonl")
    assert [json.loads(line)["id"] for line in ended.read_text().splitlines()] == [
        "e36",
        "e37",
        "e38",
    ]
    (longer,) = lost.glob("*-length.jsonl")
    first = json.loads(longer.read_text().splitlines()[0])
    assert (first["id"], first["student"]["tokens"], first["teacher"]["tokens"]) == ("e36", 64, 20)


def test_the_report_tells_lengths_and_endings(written: Project, run: Run) -> None:
    """Beside the scores, each told once; what a model's texts do not tell leaves its cell empty."""
    written.evals["reviews"]["metrics"] = ["exact_match"]
    rows = [{**row, "thinking_tokens": i} for i, row in enumerate(texts(42, 4))]
    written.rows("student.jsonl", rows)
    unknown = [
        {k: v for k, v in row.items() if k not in ("finish", "tokens")} for row in texts(20, 0)
    ]
    written.models["other"] = recorded("other", role="student")
    written.rows("other.jsonl", unknown)
    written.save()
    ask = "assert_score(min=1e-9, student='{}', metric='token_f1')"
    write_gates(written, one=ask.format("student"), two=ask.format("other"))
    result = run(*REPORTS)
    heads = [line.split() for line in report_of(result) if "exact_match" in line]
    assert heads[0][-4:] == ["token_f1", "tokens", "thinking", "finished"]
    assert rows_of(result, "student")[0][-3:] == ["44.2", "19.5", "0.9000"]
    assert rows_of(result, "other")[0][-2:] == ["0.0000", "0.0000"]
    evaluations = {row["model"]: row for row in written.json()["evaluations"]}
    told = [evaluations["student"][key] for key in ("tokens", "thinking_tokens", "finished")]
    assert told == [44.2, 19.5, 0.9]
    told = [evaluations["other"][key] for key in ("tokens", "thinking_tokens", "finished")]
    assert told == [None, None, None]


def test_a_pass_that_cut_texts_flatter_is_not_firm(written: Project, run: Run) -> None:
    """The report says how many texts of each were cut, as what is suspicious."""
    write_gates(written, short="assert_length(max_ratio=9)", long="assert_length(max_ratio=0.5)")
    result = run(*REPORTS)
    found = gates_of(written)
    (doubt,) = found["short"]["doubts"]
    assert "teacher 1 of 40, student 4 of 40" in doubt
    assert found["short"]["firm"] is False
    assert found["long"]["doubts"] == []
    refuse_package_frames(result)


def test_a_file_of_a_higher_limit_is_not_firm(written: Project, run: Run) -> None:
    """Texts longer than max_new_tokens were asked for otherwise than the eval says: it is told."""
    rows = texts(22, 0)
    rows[3]["tokens"] = 10_000
    written.rows("student.jsonl", rows)
    write_gates(
        written,
        ends="assert_finished(min=0.5)",
        long="assert_length(max_ratio=50)",
        other="assert_quality_retained(min=0.01)",
    )
    run(*REPORTS)
    found = gates_of(written)
    told = "suspicious: student.jsonl has 1 text of more tokens than max_new_tokens"
    for name in ("ends", "long"):
        assert any(doubt.startswith(told) for doubt in found[name]["doubts"])
        assert found[name]["firm"] is False
    assert not any("max_new_tokens" in doubt for doubt in found["other"]["doubts"])


def test_a_file_that_says_no_endings_is_not_firm(written: Project, run: Run) -> None:
    """Nobody knows the limit that it was recorded with: what is assumed is told, by whose file."""
    rows = [{k: v for k, v in row.items() if k != "finish"} for row in texts(22, 0)]
    written.rows("student.jsonl", rows)
    write_gates(
        written,
        ends="assert_finished(min=0.5)",
        score="assert_score(min=0.5, metric='finished')",
        other="assert_length(max_ratio=1.5)",
    )
    run(*REPORTS)
    found = gates_of(written)
    assert {name: row["outcome"] for name, row in found.items()} == dict.fromkeys(found, "PASSED")
    told = (
        "suspicious: student.jsonl does not say why 40 texts ended: taken for finished, having "
        "fewer tokens than max_new_tokens, 64; not so if recorded with a lower limit"
    )
    assert {name for name, row in found.items() if told in row["doubts"]} == {"ends", "score"}
    assert "firm" not in found["ends"]["facts"]


def test_they_are_methods_and_parts_of_a_criterion(written: Project, run_both: Run) -> None:
    """As every gate: of `comparison`, in yaml, in a waiver and in required_gates."""
    written.config["criteria"] = {
        "tidy": {"finished": {"min": 0.9}, "length": [{"max_ratio": 1.3, "slice": "lang=de"}]}
    }
    written.config["required_gates"] = ["finished", "length"]
    written.config["waivers"] = [
        {"gate": "length", "floor": 1.3, "owner": "ann", "reason": "r", "expires": LATER}
    ]
    written.save()
    head = "from pytest_distill import assert_meets\n"
    tests = "def test_tidy():\n    assert_meets('tidy')\n"
    method = "def test_method(comparison):\n    comparison.assert_length(1.1)\n"
    score = "def test_score(comparison):\n    assert comparison.score(metric='finished') == 0.9\n"
    (written.path / "test_ship.py").write_text(head + tests + method + score)
    result = run_both(*REPORTS)
    assert decision_of(result) == ("SHIP", "1 waived"), said(result)


def test_a_confidence_may_leave_them_open(written: Project, run: Run) -> None:
    """40 texts do not show that the student's are at most 1.3 times as long."""
    write_gates(
        written,
        ends="assert_finished(min=0.9, confidence=0.95)",
        short="assert_length(max_ratio=1.3, confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(written) == {"ends": "INCONCLUSIVE", "short": "INCONCLUSIVE"}


@pytest.mark.parametrize(
    ("field", "gate", "wanted"),
    [
        ("finish", "assert_finished(min=0.9)", "'finish'"),
        ("tokens", "assert_length(max_ratio=1.2)", "'tokens'"),
    ],
)
def test_a_row_that_lacks_what_is_asked_is_named(
    written: Project, run: Run, field: str, gate: str, wanted: str
) -> None:
    """By its id, with the field that it must have; nothing passes."""
    rows = texts(22, 4)
    del rows[-1][field]
    written.evals["reviews"]["metrics"] = ["exact_match"]
    written.save()
    written.rows("student.jsonl", rows)
    write_gates(written, asked=gate)
    result = run(*REPORTS)
    (line, *_) = [line for line in failing_lines(result) if "EvaluationError" in line]
    assert "e39" in line
    assert wanted in line
    assert outcomes_of(written) == {"asked": "NOT RUN"}
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("finish", "stopp"),
        ("finish", 3),
        ("finish", ["end"]),
        ("tokens", -1),
        ("tokens", 2.5),
        ("thinking_tokens", True),
        ("thinking_tokens", 23),
    ],
)
def test_a_row_that_says_what_cannot_be_is_refused(
    written: Project, run: Run, key: str, value: object
) -> None:
    """With file, line and id, whatever is asked."""
    written.rows("student.jsonl", [{**row, key: value} for row in texts(22, 0)])
    write_gates(written, asked="assert_finished(min=0.1)")
    result = run(*REPORTS)
    (line, *_) = [line for line in failing_lines(result) if "EvaluationError" in line]
    assert "student.jsonl:1 (id 'e0')" in line
    assert key in line
    refuse_package_frames(result)


def test_labels_have_neither(project: Project, run: Run) -> None:
    """A classifier writes no text: both gates say so, and so does the metric."""
    write_gates(
        project,
        ends="assert_finished(min=0.9)",
        short="assert_length(max_ratio=1.2)",
        score="assert_score(min=0.9, metric='finished')",
    )
    result = run(*REPORTS)
    assert set(outcomes_of(project).values()) == {"NOT RUN"}
    told = " ".join(blocks_of(result))
    assert "of the task classification" in told
    assert "no metric 'finished'" in told
