"""``assert_routable`` in a project: its verdict, its report, and the file with the threshold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from .project import (
    LABELS,
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    refuse_package_frames,
    report_of,
    rows_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
N = 600


def sure_answers(right: Iterable[int], **more: Any) -> list[dict[str, Any]]:
    """Return predictions with probabilities: surer of the early examples than of the late ones."""
    chosen, rows = set(right), []
    for i in range(N):
        label = LABELS[(i + (i not in chosen)) % 2]
        sure = 0.99 - 0.45 * i / N
        other = LABELS[label == LABELS[0]]
        rows.append({"id": f"e{i}", "probabilities": {label: sure, other: 1 - sure}, **more})
    return rows


@pytest.fixture
def routed(project: Project) -> Project:
    """Return a project whose student is wrong on the sixth that it is least sure of."""
    project.rows("gold.jsonl", gold(N))
    project.rows("teacher.jsonl", sure_answers(range(N)))
    project.rows("student.jsonl", sure_answers(range(500)))
    project.rows("sft.jsonl", answers(range(400), N))
    project.models["teacher"] |= {"latency_ms": 100, "cost_per_1k": 2.0}
    project.models["student"] |= {"latency_ms": 5, "cost_per_1k": 0.1}
    project.save()
    return project


def threshold_of(project: Project, file: str = ".distill/routing-reviews-student.json") -> Any:
    """Return what a serving stack reads."""
    return json.loads((project.path / file).read_text(encoding="utf-8"))


def route(rows: Iterable[Mapping[str, Any]], file: Mapping[str, Any]) -> list[bool]:
    """Return for each of the student's rows whether it is the answer, as the file's rule says."""
    assert file["by"] == "max_probability"
    threshold = file["threshold"]
    return [
        threshold is not None and max(row["probabilities"].values()) >= threshold for row in rows
    ]


def test_a_student_that_handles_enough_passes(routed: Project, run_both: Run) -> None:
    """It is right on 500 of 600 and sure of them: 480 handled lose nothing."""
    write_gates(routed, it="assert_routable(min_handled=0.8, retained=0.99)")
    result = run_both(*REPORTS)
    assert decision_of(result)[0] == "SHIP"
    row = gates_of(routed)["it"]
    assert (row["gate"], row["outcome"], row["confidence"]) == ("routable", "PASSED", 0.95)
    assert (row["observed"], row["required"], row["relation"]) == (0.8, 0.8, ">=")
    details = row["details"]
    assert details["cross_fitted"]["folds"] == 5
    assert len(details["curve"]) == 20
    assert details["expected"]["latency_ms"]["pair"] == pytest.approx(5 + 0.2 * 100)
    assert details["expected"]["cost_per_1k"]["pair"] == pytest.approx(0.1 + 0.2 * 2)
    assert set(details["augrc"]) == set(details["ece"]) == {"teacher", "student"}


def test_the_file_routes_as_the_gate_said(routed: Project, run_both: Run) -> None:
    """Who follows its rule lets the student answer the share that was judged."""
    write_gates(routed, it="assert_routable(min_handled=0.8, retained=0.99)")
    run_both(*REPORTS)
    file = threshold_of(routed)
    rows = sure_answers(range(500))
    assert sum(route(rows, file)) / N == file["handled"] == gates_of(routed)["it"]["observed"]
    assert file["student"] == {"name": "student", "digest": None}
    assert (file["eval"], file["metric"], file["n"]) == ("reviews", "accuracy", N)
    assert (file["retained_at_least"], file["confidence"]) == (0.99, 0.95)
    assert file["outcome"] == "PASSED"
    assert (routed.path / ".distill" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_a_student_that_handles_too_little_fails(routed: Project, run_both: Run) -> None:
    """The message has the threshold, the cross-fit, what the pair costs, and the curve."""
    write_gates(routed, it="assert_routable(min_handled=0.95, retained=0.99)")
    result = run_both(*REPORTS)
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 1 did not pass: test_it")
    assert outcomes_of(routed) == {"it": "FAILED"}
    lines = failing_lines(result)
    assert lines[0] == "assert 0.8000 >= 0.95 handled by the student at 0.99 retained (accuracy)"
    message = "\n".join(lines)
    for part in (
        "eval reviews, n = 600",
        "threshold max_probability >= 0.6",
        "cross-fitted over 5 folds: 0.",
        "expected latency 25.00 ms a request, the teacher alone 100.00 (declared)",
        "expected cost 0.5000 per 1,000, the teacher alone 2.0000 (declared)",
        "AUGRC: teacher 0.0000, student 0.0139",
        "ECE (15 bins): teacher 0.",
        "threshold file: .distill/routing-reviews-student.json",
        "lost examples: .distill/lost/",
    ):
        assert part in message
    header = next(i for i, line in enumerate(lines) if line.startswith("handled"))
    assert lines[header].split() == [
        *("handled", "max_probability", ">=", "accuracy", "retained", "p"),
    ]
    rows = [line.split() for line in lines[header + 1 : header + 7]]
    assert [row[0] for row in rows] == ["0.0500", "0.3500", "0.6500", "0.8000", "0.9500", "1.0000"]
    assert rows[3][5:] == ["chosen"]
    assert rows[4][5:] == ["asked", "for"]
    assert rows[5][2:4] == ["0.8333", "0.8333"]


def test_a_failing_gate_leaves_its_threshold(routed: Project, run: Run) -> None:
    """It still keeps the quality; the file says that the gate failed."""
    write_gates(routed, it="assert_routable(min_handled=0.95, retained=0.99)")
    run()
    file = threshold_of(routed)
    assert (file["outcome"], file["handled"]) == ("FAILED", 0.8)
    assert file["threshold"] is not None


def test_without_a_threshold_the_file_says_always_the_teacher(routed: Project, run: Run) -> None:
    """An older threshold does not stay there: what was true of it need not be true now."""
    write_gates(routed, it="assert_routable(min_handled=0.8, retained=0.99)")
    run()
    assert threshold_of(routed)["threshold"] is not None
    routed.rows("student.jsonl", sure_answers(range(100, N)))
    result = run(*REPORTS)
    assert outcomes_of(routed) == {"it": "FAILED"}
    file = threshold_of(routed)
    assert (file["threshold"], file["handled"], file["outcome"]) == (None, 0.0, "FAILED")
    assert not any(route(sure_answers(range(100, N)), file))
    assert "always the teacher" in blocks_of(result)[0]


def test_too_few_examples_do_not_tell(project: Project, run_both: Run) -> None:
    """Twenty right answers are no proof of 0.99, which is said and is no pass."""
    rows = sure_answers(range(N))[:20]
    project.rows("teacher.jsonl", rows)
    project.rows("student.jsonl", [{**row, "note": 1} for row in rows])
    write_gates(project, it="assert_routable(min_handled=0.8, retained=0.99)")
    result = run_both(*REPORTS)
    assert outcomes_of(project) == {"it": "INCONCLUSIVE"}
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert "INCONCLUSIVE: the examples do not tell, which is not a pass" in failing_lines(result)


def test_save_names_the_file(routed: Project, run_both: Run) -> None:
    """Relative to distill.yaml; folders are made; the JSON report names it."""
    write_gates(routed, it="assert_routable(0.8, 0.99, save='serving/reviews.json')")
    run_both(*REPORTS).assert_outcomes(passed=1)
    assert threshold_of(routed, "serving/reviews.json")["handled"] == 0.8
    assert gates_of(routed)["it"]["details"]["file"] == "serving/reviews.json"
    assert not (routed.path / ".distill" / "routing-reviews-student.json").exists()


def test_a_file_that_cannot_be_written_is_an_error(routed: Project, run: Run) -> None:
    """The serving stack would go on with another threshold: no verdict is given."""
    routed.file("serving", "a file, not a folder")
    write_gates(routed, it="assert_routable(0.8, 0.99, save='serving/reviews.json')")
    result = run("--distill-report")
    assert "save='serving/reviews.json': cannot be written: " in failing_lines(result)[-1]
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_a_folder_that_cannot_be_made_does_not_hide_the_verdict(routed: Project, run: Run) -> None:
    """Nobody asked for a file of a name: that there is none is said beside the numbers."""
    routed.file(".distill", "a file, not a folder")
    write_gates(routed, it="assert_routable(0.8, 0.99)")
    result = run(*REPORTS)
    result.assert_outcomes(passed=1)
    assert "the threshold is in no file: File exists" in blocks_of(result)[0]
    assert gates_of(routed)["it"]["details"]["file"] is None


def test_a_recorded_field_is_a_confidence(routed: Project, run_both: Run) -> None:
    """Any field with numbers does; with or without `field:`, and in a CSV file too."""
    rows = sure_answers(range(500))
    plain = answers(range(500), N)
    both = [
        {**row, "sure": sure["probabilities"][row["prediction"]]}
        for row, sure in zip(plain, rows, strict=True)
    ]
    routed.rows("student.jsonl", both)
    lines = [f"{row['id']},{row['prediction']},{row['sure']}" for row in both]
    routed.file("student.csv", "\n".join(["id,prediction,sure", *lines, ""]))
    routed.models["csv"] = {"engine": "recorded", "predictions": "student.csv", "role": "student"}
    routed.save()
    write_gates(
        routed,
        field="assert_routable(0.8, 0.99, by='field:sure', student='student')",
        bare="assert_routable(0.8, 0.99, by='sure', student='student')",
        csv="assert_routable(0.8, 0.99, by='sure', student='csv')",
    )
    run_both(*REPORTS).assert_outcomes(passed=3)
    found = gates_of(routed)
    assert {row["observed"] for row in found.values()} == {0.8}
    assert len({row["details"]["threshold"] for row in found.values()}) == 1
    # A label alone has no probability, and the teacher's file no field of that name.
    assert found["bare"]["details"]["ece"]["student"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("0.8, 0.99, by='sur'", "student.jsonl has no field 'sur'; did you mean 'sure'?"),
        ("0.8, 0.99, by='maxprobability'", "did you mean 'max_probability'?"),
        ("0.8, 0.99, by='mean_log_probability'", "has no mean_log_probability: it needs one of"),
        ("0.8, 0.99, by='word'", "field 'word' has 'x', not a finite number"),
        ("0.8, 0.99, metric='acuracy'", "did you mean 'accuracy'?"),
        ("1.8, 0.99", "min_handled=1.8: must be a share of the examples"),
        ("0.8, 0.99, confidence=None", "needs evidence"),
        ("0.8, 0.99, save=3", "save=3: must be the path of a file"),
    ],
)
def test_a_wrong_argument_is_an_error(
    routed: Project, run: Run, arguments: str, message: str
) -> None:
    """It is named with what would be right, without a frame of the package; nothing passes."""
    rows = sure_answers(range(500), sure=0.5, word="x")
    routed.rows("student.jsonl", rows)
    write_gates(routed, it=f"assert_routable({arguments})")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert message in failing_lines(result)[-1]
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_a_row_without_the_field_is_named(routed: Project, run: Run) -> None:
    """The error has file, line and id."""
    rows = sure_answers(range(500), sure=0.5)
    del rows[6]["sure"]
    routed.rows("student.jsonl", rows)
    write_gates(routed, it="assert_routable(0.8, 0.99, by='sure')")
    assert "student.jsonl:7 (id 'e6'): no field 'sure'" in said(run())


def test_it_is_a_method_a_marker_s_and_a_required_gate(routed: Project, run: Run) -> None:
    """As every gate: on the fixture, with the marker's confidence, under `required_gates`."""
    routed.config["required_gates"] = ["routable"]
    routed.save()
    routed.file(
        "test_ship.py",
        """
        import pytest

        @pytest.mark.distill(eval="reviews", confidence=0.9)
        def test_it(comparison):
            comparison.assert_routable(min_handled=0.8, retained=0.98)
        """,
    )
    result = run(*REPORTS)
    assert decision_of(result)[0] == "SHIP"
    assert gates_of(routed)["it"]["confidence"] == 0.9
    assert rows_of(result, "PASSED")[0][1:4] == ["0.8000", ">=", "0.8"]


def test_a_file_of_thresholds_is_whole(routed: Project, run: Run) -> None:
    """Nothing else is left beside it."""
    write_gates(routed, it="assert_routable(0.8, 0.99, save='serving/a.json')")
    run()
    assert [path.name for path in Path(routed.path / "serving").iterdir()] == ["a.json"]


def test_ready_scores_are_routed_by_a_field(routed: Project, run: Run) -> None:
    """A judge's grades and a number of one's own need no predictions."""
    for name, right in (("teacher", N), ("student", 500)):
        rows = [
            {"id": f"e{i}", "scores": {"accuracy": float(i < right)}, "sure": -i} for i in range(N)
        ]
        routed.rows(f"{name}.jsonl", rows)
    routed.evals["reviews"]["metrics"] = [{"name": "accuracy"}]
    routed.save()
    write_gates(
        routed,
        field="assert_routable(0.8, 0.99, by='sure')",
        none="assert_routable(0.8, 0.99)",
    )
    result = run(*REPORTS)
    found = gates_of(routed)
    assert found["field"]["observed"] == 0.8
    assert found["field"]["details"]["threshold"] == -479.0
    assert found["none"]["outcome"] == "NOT RUN"
    assert "name it by by='field:NAME'" in said(result)


def test_reported_scores_cannot_be_routed(routed: Project, run: Run) -> None:
    """There are no examples to share out."""
    routed.models["student"] = {"engine": "reported", "scores": {"reviews": {"accuracy": 0.9}}}
    routed.save()
    write_gates(routed, it="assert_routable(0.8, 0.9)")
    result = run("--distill-report")
    assert "'reviews' has reported scores: without examples nothing can be" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_recorded_texts_are_routed_by_their_log_likelihood(project: Project, run_both: Run) -> None:
    """One for the whole text and the number of its tokens stand in a row, as in an export."""
    project.rows("gold.jsonl", [{"id": f"e{i}", "input": f"{i}?", "target": "x"} for i in range(N)])
    project.rows("teacher.jsonl", [{"id": f"e{i}", "text": "x"} for i in range(N)])
    student = [
        {"id": f"e{i}", "text": "xy"[i >= 500], "loglikelihoods": [-i / 8], "tokens": 4}
        for i in range(N)
    ]
    project.rows("student.jsonl", student)
    project.evals["reviews"] = {
        "task": "generation", "data": "gold.jsonl", "metrics": ["exact_match"],
    }  # fmt: skip
    project.save()
    write_gates(project, it="assert_routable(0.8, 0.99)")
    run_both(*REPORTS)
    row = gates_of(project)["it"]
    assert row["outcome"] == "PASSED"
    assert row["details"]["by"] == "mean_log_probability"
    assert row["details"]["threshold"] == -479 / 8 / 4


def test_the_report_has_the_deferral_curve(routed: Project, run_both: Run) -> None:
    """From few answers of the student to all: 500 of 600 right is 0.8333 of a flawless teacher."""
    write_gates(routed, it="assert_routable(min_handled=0.8, retained=0.99)")
    told = report_of(run_both("--distill-report", "-v"))
    start = next(i for i, line in enumerate(told) if "student answers" in line) + 1
    rows = [line.split() for line in told[start : told.index("", start)]]
    assert rows[0][1:] == ["1.0000", "1.0000"]
    assert rows[-1] == ["1.0000", "0.8333", "0.8333"]
