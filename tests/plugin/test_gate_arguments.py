"""Limits that a gate can never miss or never meet, and what was meant by them."""

from __future__ import annotations

import pytest
import yaml

from .project import Project, Run, decision_of, failing_lines, gold, outcomes_of, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEEPS = "assert_quality_retained(0.9)"


RETAINED = "a share of the teacher's, above 0 and at most 2"
GAIN = "a gain in accuracy over SFT, at least 0 and below 1"
LOST = "a share of the examples, at least 0 and below 1"
SIZE = "the student's size as a share of the teacher's, above 0 and at most 1"
SHARE = "a share, above 0 and at most 1"
SURE = "above 0.5 and below 1"


@pytest.mark.parametrize(
    ("statement", "argument", "bounds", "meant"),
    [
        ("assert_quality_retained(95)", "min=95", RETAINED, "0.95"),
        ("assert_quality_retained(0)", "min=0", RETAINED, None),
        ("assert_quality_retained(0.9, confidence=95)", "confidence=95", SURE, "0.95"),
        ("assert_quality_retained(0.9, confidence=0.05)", "confidence=0.05", SURE, "0.95"),
        ("assert_slices_retained(90, by='lang')", "min=90", RETAINED, "0.9"),
        ("assert_suite_retained(90)", "min=90", RETAINED, "0.9"),
        ("assert_beats_sft(min_gain=-0.02)", "min_gain=-0.02", GAIN, "0.02"),
        ("assert_beats_sft(min_gain=2)", "min_gain=2", GAIN, "0.02"),
        ("assert_score(85)", "min=85", "a score of accuracy, above 0 and at most 1", "0.85"),
        ("assert_score(0)", "min=0", "a score of accuracy, above 0 and at most 1", None),
        ("assert_flips(5)", "max_lost=5", LOST, "0.05"),
        ("assert_flips(1)", "max_lost=1", LOST, None),
        (
            "assert_not_contaminated('x.jsonl', max_overlap=5)",
            "max_overlap=5",
            "a share of the gold examples, at least 0 and below 1",
            "0.05",
        ),
        ("assert_smaller(4)", "max_ratio=4", SIZE, "0.25"),
        ("assert_smaller(1.5)", "max_ratio=1.5", SIZE, "0.666667"),
        ("assert_agreement(95)", "min=95", SHARE, "0.95"),
        ("assert_acceptance(95)", "min=95", SHARE, "0.95"),
        ("assert_divergence(-0.1)", "max=-0.1", "a divergence in nats, at least 0", "0.1"),
        (
            "assert_inherited_errors(50)",
            "max=50",
            "a share of the errors, at least 0 and below 1",
            "0.5",
        ),
        (
            "assert_routable(80, 0.9)",
            "min_handled=80",
            "a share of the examples, above 0 and at most 1",
            "0.8",
        ),
        ("assert_routable(0.8, 99)", "retained=99", RETAINED, "0.99"),
    ],
)
def test_a_limit_that_is_never_or_always_met_is_refused(
    project: Project, run: Run, statement: str, argument: str, bounds: str, meant: str | None
) -> None:
    """The number that was meant is near, and a verdict on the other one says nothing."""
    write_gates(project, it=statement)
    result = run(*REPORTS)
    (line,) = [x for x in failing_lines(result) if "ConfigError" in x]
    asked = f"; did you mean {meant}?" if meant else ""
    told = line.removeprefix("pytest_distill.ConfigError: ").partition(" (None lets")[0]
    assert told == f"{argument}: must be {bounds}{asked}"
    assert decision_of(result)[0] == "INCOMPLETE"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("assert_slices_retained(0.9, by='lang', strict='no')", "strict='no': must be True or"),
        ("assert_beats_sft(mid_p='no')", "mid_p='no': must be True or False"),
    ],
)
def test_a_switch_is_true_or_false(
    project: Project, run: Run, statement: str, message: str
) -> None:
    """Any other value would count as true."""
    write_gates(project, it=statement)
    assert any(message in line for line in failing_lines(run(*REPORTS)))


def test_limits_that_a_gate_can_miss_and_meet_are_taken(project: Project, run: Run) -> None:
    """A student may be better than its teacher, and a correlation negative."""
    write_gates(
        project,
        better="assert_quality_retained(1.02)",
        most="assert_quality_retained(2)",
        negative="assert_score(-0.5, metric='matthews')",
        same="assert_smaller(1)",
        none="assert_flips(0)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {
        "better": "FAILED",
        "most": "FAILED",
        "negative": "PASSED",
        "same": "PASSED",
        "none": "FAILED",
    }


@pytest.mark.parametrize(
    ("metric", "limit", "message"),
    [
        ("{name: mine, range: [0, 100]}", "min=101", "above 0 and at most 100; did you mean 1.01?"),
        ("{name: mine, range: [0, 100]}", "min=85", None),
        ("{name: mine, higher_is_better: false}", "max=1", "at least 0 and below 1"),
        ("{name: mine, higher_is_better: false}", "max=0", None),
    ],
)
def test_a_score_s_limit_lies_in_the_metric_s_range(
    project: Project, run: Run, metric: str, limit: str, message: str | None
) -> None:
    """On either end: what no score can miss, or meet, is refused."""
    project.evals["reviews"]["metrics"] = [yaml.safe_load(metric.replace("0, 100", "0.0, 100.0"))]
    project.save()
    rows = [{"id": row["id"], "scores": {"mine": 0.5}} for row in gold()]
    project.rows("student.jsonl", rows)
    write_gates(project, it=f"assert_score({limit})")
    result = run(*REPORTS)
    if message is None:
        assert outcomes_of(project) == {"it": "FAILED"}
        return
    assert any(message in line for line in failing_lines(result))
    assert decision_of(result)[0] == "INCOMPLETE"


@pytest.mark.parametrize(
    ("gate", "arguments", "message"),
    [
        ("quality_retained", {"min": 95.0}, "did you mean 0.95?"),
        ("beats_sft", {"min_gain": -0.1}, "did you mean 0.1?"),
        ("smaller", {"max_ratio": 4.0}, "did you mean 0.25?"),
        ("score", {"min": 85.0}, "did you mean 0.85?"),
        ("flips", {"max_lost": 5.0}, "did you mean 0.05?"),
    ],
)
def test_a_criterion_s_limits_are_refused_alike(
    project: Project, run: Run, gate: str, arguments: dict[str, float], message: str
) -> None:
    """What yaml says goes through the same checks."""
    project.config["criteria"] = {"edge": {gate: arguments}}
    project.save()
    write_gates(project, it="assert_meets('edge')")
    result = run(*REPORTS)
    assert any("criterion 'edge': " in x and message in x for x in failing_lines(result))
    assert decision_of(result)[0] == "INCOMPLETE"
