"""`confidence=` of the gates on a score, on flips and on a suite, through whole runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from .project import (
    LABELS,
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    refuse_package_frames,
    report_of,
    review_eval,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
HEAD = """
from pytest_distill import (
    assert_beats_sft,
    assert_flips,
    assert_quality_retained,
    assert_score,
    assert_suite_retained,
)
"""


def gates(project: Project, **tests: str) -> None:
    """Write a test for each statement."""
    head = HEAD + "import pytest\npytestmark = pytest.mark.distill\n"
    write_gates(project, head=head, **tests)


def second_eval(project: Project, teacher: int, student: int, n: int, **keys: Any) -> None:
    """Add an eval on which the models are right on their first examples, and SFT on none."""
    project.evals["second"] = review_eval(data="second.jsonl", metrics=["accuracy"], **keys)
    rows = [
        {"id": f"e{i}", "text": f"other {i}", "label": LABELS[i % 2], "lang": "de", "doc": i % 9}
        for i in range(n)
    ]
    project.rows("second.jsonl", rows)
    for name, right in (("teacher", teacher), ("student", student), ("sft", 0)):
        project.rows(f"{name}-2.jsonl", answers(range(right), n))
        files = {"reviews": f"{name}.jsonl", "second": f"{name}-2.jsonl"}
        project.models[name]["predictions"] = files
    project.save()


def test_a_score_of_right_and_wrong_is_binomial(project: Project, run: Run) -> None:
    """180 of 200 right: scipy's exact binomial bounds, and its p-values decide."""
    project.sizes(200, 180, 100, 200)
    lower = stats.binomtest(180, 200, alternative="greater").proportion_ci(0.95).low
    upper = stats.binomtest(180, 200, alternative="less").proportion_ci(0.95).high
    gates(
        project,
        passes=f"assert_score({lower - 1e-6:.7f}, confidence=0.95)",
        unclear=f"assert_score({lower + 1e-6:.7f}, confidence=0.95)",
        open=f"assert_score({upper - 1e-6:.7f}, confidence=0.95)",
        fails=f"assert_score({upper + 1e-6:.7f}, confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {
        "passes": "PASSED",
        "unclear": "INCONCLUSIVE",
        "open": "INCONCLUSIVE",
        "fails": "FAILED",
    }
    row = gates_of(project)["unclear"]
    assert row["interval"]["one_sided_lower"] == pytest.approx(lower, abs=1e-9)
    assert row["interval"]["one_sided_upper"] == pytest.approx(upper, abs=1e-9)
    assert (row["interval"]["method"], row["confidence"]) == ("exact binomial", 0.95)
    assert (row["firm"], gates_of(project)["passes"]["firm"]) == (False, True)


def test_an_observed_score_is_firm_or_not(project: Project, run: Run) -> None:
    """The observed number decides; beside it stands whether the bounds agree, and what would."""
    project.sizes(200, 180, 100, 200)
    gates(project, firm="assert_score(0.8)", noise="assert_score(0.89)", fails="assert_score(0.91)")
    result = run(*REPORTS)
    found = gates_of(project)
    assert outcomes_of(project) == {"firm": "PASSED", "noise": "PASSED", "fails": "FAILED"}
    assert [found[name]["firm"] for name in ("firm", "noise", "fails")] == [True, False, False]
    assert [found[name]["confidence"] for name in found] == [None] * 3
    assert blocks_of(result)[0].endswith(", firm")
    assert blocks_of(result)[1].endswith(", within noise")
    told = blocks_of(run(*REPORTS, "-v"))
    assert told[0].endswith("(exact binomial); firm")
    assert "within noise: about" in told[1]
    assert failing_lines(result)[0] == "assert 0.9000 >= 0.91 accuracy of student"


def test_an_inconclusive_score_names_bound_and_examples(project: Project, run: Run) -> None:
    """The first line has the bound that decided and the observed number, a later one the number.

    That is about the normal one for 80 % power, with a standard deviation of 0.3 and a gap of 0.03.
    """
    project.sizes(200, 180, 100, 200)
    gates(project, it="assert_score(0.87, confidence=0.95)")
    result = run(*REPORTS)
    message = failing_lines(result)
    lower = stats.binomtest(180, 200, alternative="greater").proportion_ci(0.95).low
    first = f"assert {int(lower * 1e4) / 1e4:.4f} >= 0.87 accuracy of student"
    assert message[0] == f"{first} (lower 95 % bound; observed 0.9000)"
    assert "INCONCLUSIVE: the examples do not tell, which is not a pass" in message
    (needed,) = [line for line in message if line.startswith("within noise: about ")]
    assert "examples would settle it" in needed
    z = stats.norm.ppf
    normal = ((z(0.95) * 0.3 + z(0.8) * 0.3) / 0.03) ** 2
    assert gates_of(project)["it"]["needed"] == pytest.approx(normal, rel=0.25)
    assert decision_of(result)[0] == "DO NOT SHIP"


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_graded_score_counts_a_worst_case(project: Project, run: Run, scale: float) -> None:
    """Every grade 0.9 of 1 (or 90 of 100): with no spread at all the bound is below it."""
    project.sizes(40, 40, 40, 40)
    project.evals["reviews"]["metrics"] = [{"name": "judge", "range": [0.0, scale]}]
    project.save()
    for name in ("teacher", "student", "sft"):
        grade = scale * (0.9 if name == "student" else 0.5)
        rows = [{"id": f"e{i}", "scores": {"judge": grade}} for i in range(40)]
        project.rows(f"{name}.jsonl", rows)
    gates(
        project,
        near=f"assert_score({0.89 * scale}, confidence=0.95)",
        far=f"assert_score({0.8 * scale}, confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"near": "INCONCLUSIVE", "far": "PASSED"}
    # By hand, a zero counted w = 1 + (1.6449^2 - 1) / 4 times among 40: mean and t error.
    w = 1 + (stats.norm.ppf(0.95) ** 2 - 1) / 4
    mean = 0.9 * 40 / (40 + w)
    error = 0.9 * np.sqrt(40 * w / (40 + w) / (39 + w) / (40 + w))
    lower = scale * (mean - stats.t.ppf(0.95, 39 + w) * error)
    bound = gates_of(project)["far"]["interval"]["one_sided_lower"]
    assert bound == pytest.approx(lower, rel=1e-9)


def test_a_ceiling_of_an_error_rate(project: Project, run: Run) -> None:
    """Where lower is better, PASSED needs the upper bound under the ceiling."""
    project.sizes(60, 60, 60, 60)
    wer = {"name": "wer", "higher_is_better": False, "range": [0.0, 10.0]}
    project.evals["reviews"]["metrics"] = [wer]
    project.save()
    for name in ("teacher", "student", "sft"):
        rows = [{"id": f"e{i}", "scores": {"wer": 0.125 + 0.125 * (i % 2)}} for i in range(60)]
        project.rows(f"{name}.jsonl", rows)
    gates(
        project,
        passes="assert_score(max=0.9, confidence=0.95)",
        unclear="assert_score(max=0.2, confidence=0.95)",
        fails="assert_score(max=0.05, confidence=0.95)",
        observed="assert_score(max=0.1875)",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {
        "passes": "PASSED",
        "unclear": "INCONCLUSIVE",
        "fails": "FAILED",
        "observed": "PASSED",
    }
    headlines = [line for line in failing_lines(result) if line.startswith("assert ")]
    assert "<= 0.2 wer of student (upper 95 % bound; observed 0.1875)" in headlines[0]
    assert "<= 0.05 wer of student (lower 95 % bound; observed 0.1875)" in headlines[1]


def test_corpus_metrics_and_slices_have_a_bound(project: Project, run: Run) -> None:
    """Macro-F1 by the jackknife, a slice by its own examples."""
    project.sizes(200, 190, 100, 200)
    gates(
        project,
        f1="assert_score(0.7, metric='macro_f1', confidence=0.95)",
        tight="assert_score(0.93, metric='macro_f1', confidence=0.95)",
        slice="assert_score(0.95, slice='lang=de', confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"f1": "PASSED", "tight": "INCONCLUSIVE", "slice": "PASSED"}
    assert "worst-case example" in gates_of(project)["f1"]["interval"]["method"]
    # 100 of 100: the exact lower bound is 0.05^(1/100).
    lower = gates_of(project)["slice"]["interval"]["one_sided_lower"]
    assert lower == pytest.approx(0.05 ** (1 / 100), abs=1e-9)


@pytest.mark.parametrize(("metric", "limit"), [("perplexity", 1.75), ("bits_per_byte", 0.1)])
def test_perplexity_has_a_ceiling(project: Project, run: Run, metric: str, limit: float) -> None:
    """Log-likelihoods are tested on their own scale, and the bounds told on the metric's."""
    rng = np.random.default_rng(0)
    project.rows("gold.jsonl", [{"id": f"t{i}", "text": f"text {i:095}"} for i in range(200)])
    for name in ("teacher", "student", "sft"):
        nats = 10 * rng.uniform(0.4, 0.6, 200)
        rows = [
            {"id": f"t{i}", "loglikelihoods": [-float(x)], "tokens": 10} for i, x in enumerate(nats)
        ]
        project.rows(f"{name}.jsonl", rows)
    project.config["evals"] = {
        "texts": {"task": "perplexity", "data": "gold.jsonl", "input": "text", "metrics": [metric]}
    }
    project.save()
    gates(
        project,
        passes=f"assert_score(max={limit}, confidence=0.95)",
        fails=f"assert_score(max={limit * 0.6 if limit < 1 else 1.5}, confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"passes": "PASSED", "fails": "FAILED"}
    row = gates_of(project)["passes"]
    assert row["interval"]["lower"] < row["observed"] < row["interval"]["upper"]
    assert row["interval"]["one_sided_upper"] <= limit


def test_flips_are_binomial(project: Project, run: Run) -> None:
    """10 of 200 lost: PASSED and FAILED by scipy's exact bounds."""
    project.sizes(200, 190, 100, 200)
    upper = stats.binomtest(10, 200, alternative="less").proportion_ci(0.95).high
    lower = stats.binomtest(10, 200, alternative="greater").proportion_ci(0.95).low
    gates(
        project,
        passes=f"assert_flips({upper + 1e-6:.7f}, confidence=0.95)",
        unclear=f"assert_flips({upper - 1e-6:.7f}, confidence=0.95)",
        fails=f"assert_flips({lower - 1e-6:.7f}, confidence=0.95)",
        noise="assert_flips(0.06)",
        firm="assert_flips(0.1)",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {
        "passes": "PASSED",
        "unclear": "INCONCLUSIVE",
        "fails": "FAILED",
        "noise": "PASSED",
        "firm": "PASSED",
    }
    found = gates_of(project)
    assert (found["noise"]["firm"], found["firm"]["firm"]) == (False, True)
    assert found["noise"]["needed"] > 200
    assert found["passes"]["interval"]["one_sided_upper"] == pytest.approx(upper, abs=1e-9)
    message = failing_lines(result)
    assert "of the examples lost (accuracy, upper 95 % bound; observed 0.0500)" in message[0]
    assert any("10 lost: e190" in line for line in message)


def test_a_flawless_student_needs_enough_examples(project: Project, run: Run) -> None:
    """Nothing lost of n: at most 5 % with confidence 0.95 from n = 59 on, since 0.95^59 < 0.05."""
    project.sizes(59, 59, 30, 59)
    gates(project, it="assert_flips(0.05, confidence=0.95)")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}
    project.sizes(58, 58, 30, 58)
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "INCONCLUSIVE"}


def test_must_keep_is_no_matter_of_confidence(project: Project, run: Run) -> None:
    """One that is broken FAILS, however unsure the share is; kept ones alone pass as before."""
    project.sizes(200, 190, 100, 200)
    project.evals["reviews"]["must_keep"] = ["e199"]
    project.save()
    gates(
        project,
        share="assert_flips(0.06, confidence=0.95)",
        alone="assert_flips(confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"share": "FAILED", "alone": "FAILED"}
    project.evals["reviews"]["must_keep"] = ["e0"]
    project.save()
    run(*REPORTS)
    assert outcomes_of(project) == {"share": "INCONCLUSIVE", "alone": "PASSED"}


def test_few_clusters_tell_nothing(project: Project, run: Run) -> None:
    """Under ten of them each of the three gates is INCONCLUSIVE, whatever the numbers are."""
    project.sizes(200, 200, 100, 200)
    second_eval(project, 900, 900, 900, cluster="doc")
    gates(
        project,
        score="assert_score(0.1, eval='second', confidence=0.95)",
        flips="assert_flips(0.9, eval='second', confidence=0.95)",
        suite="assert_suite_retained(0.1, confidence=0.95)",
        observed="assert_score(0.1, eval='second')",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {
        "score": "INCONCLUSIVE",
        "flips": "INCONCLUSIVE",
        "suite": "INCONCLUSIVE",
        "observed": "PASSED",
    }
    for row in gates_of(project).values():
        assert any("too few to tell" in note for note in row["notes"]), row["gate"]


AGGREGATES = ("ratio_of_averages", "average_of_ratios", "geometric", "minimum")


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_suite_passes_fails_or_is_unclear(project: Project, run: Run, aggregate: str) -> None:
    """The teacher is right on 400 and 900, the student on 390 and 880: about 0.976 retained."""
    project.sizes(400, 390, 100, 400)
    second_eval(project, 900, 880, 1000)
    ask = f"aggregate='{aggregate}', confidence=0.95"
    gates(
        project,
        passes=f"assert_suite_retained(0.95, {ask})",
        unclear=f"assert_suite_retained(0.972, {ask})",
        fails=f"assert_suite_retained(0.998, {ask})",
        observed=f"assert_suite_retained(0.972, aggregate='{aggregate}')",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {
        "passes": "PASSED",
        "unclear": "INCONCLUSIVE",
        "fails": "FAILED",
        "observed": "PASSED",
    }
    found = gates_of(project)
    row = found["unclear"]
    assert (row["confidence"], row["firm"], found["observed"]["firm"]) == (0.95, False, False)
    assert row["interval"]["lower"] < row["observed"] < row["interval"]["upper"]
    assert row["needed"] > 1400
    message = failing_lines(result)
    assert f"over 2 evals ({aggregate}, lower 95 % bound; observed 0.97" in message[0]
    (needed,) = [line for line in message if line.startswith("within noise: about ")]
    assert "times as many of each eval, would settle it" in needed
    assert found["passes"]["interval"]["one_sided_lower"] >= 0.95
    assert found["fails"]["interval"]["one_sided_upper"] < 0.998


def test_a_suite_of_one_eval_is_its_retention(project: Project, run: Run) -> None:
    """Every aggregate has the interval, the outcome and the number of `quality_retained`."""
    project.sizes(190, 180, 100, 200)
    tests = {
        name: f"assert_suite_retained(0.93, aggregate='{name}', confidence=0.95)"
        for name in AGGREGATES
    }
    gates(project, alone="assert_quality_retained(0.93, confidence=0.95)", **tests)
    run(*REPORTS)
    found = gates_of(project)
    alone = found.pop("alone")
    assert set(found) == set(AGGREGATES)
    for row in found.values():
        assert (row["outcome"], row["needed"]) == (alone["outcome"], alone["needed"])
        bound = alone["interval"]["one_sided_lower"]
        assert row["interval"]["one_sided_lower"] == pytest.approx(bound, abs=1e-12)


def test_the_minimum_asks_every_eval(project: Project, run: Run) -> None:
    """A small eval without a loss leaves the minimum unclear, where the average passes."""
    project.sizes(20, 20, 10, 20)
    second_eval(project, 1000, 1000, 1000)
    gates(
        project,
        minimum="assert_suite_retained(0.9, aggregate='minimum', confidence=0.95)",
        small="assert_quality_retained(0.9, eval='reviews', confidence=0.95)",
        big="assert_quality_retained(0.9, eval='second', confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {
        "minimum": "INCONCLUSIVE",
        "small": "INCONCLUSIVE",
        "big": "PASSED",
    }


def test_the_word_of_file_and_marker_reaches_them(project: Project, run: Run) -> None:
    """`confidence:` of distill.yaml and the marker's hold for them, the argument before both."""
    project.sizes(200, 190, 100, 200)
    second_eval(project, 190, 180, 200)
    project.config["confidence"] = 0.9
    project.save()
    gates(
        project,
        score="assert_score(0.5, eval='reviews')",
        flips="assert_flips(0.5, eval='reviews')",
        suite="assert_suite_retained(0.5)",
        marked="@pytest.mark.distill(confidence=0.8)\nassert_suite_retained(0.5)",
        observed="assert_score(0.5, eval='reviews', confidence=None)",
    )
    run(*REPORTS).assert_outcomes(passed=5)
    found = {name: row["confidence"] for name, row in gates_of(project).items()}
    assert found == {"score": 0.9, "flips": 0.9, "suite": 0.9, "marked": 0.8, "observed": None}


def test_criteria_and_methods_take_it(project: Project, run: Run) -> None:
    """A criterion names it as the assertion does, and so does a method of `comparison`."""
    project.sizes(200, 190, 100, 200)
    project.config["criteria"] = {
        "ship": {
            "score": {"min": 0.8, "confidence": 0.95},
            "flips": {"max_lost": 0.2, "confidence": 0.9},
            "suite_retained": {"min": 0.8, "confidence": 0.99},
        }
    }
    project.save()
    project.file(
        "test_ship.py",
        """
        def test_all(comparison):
            comparison.assert_meets("ship")
            comparison.assert_score(0.8, confidence=0.7)
            comparison.assert_flips(0.2, confidence=0.6)
        """,
    )
    run(*REPORTS).assert_outcomes(passed=1)
    rows = project.json()["gates"]
    assert [row["confidence"] for row in rows] == [0.95, 0.9, 0.99, 0.7, 0.6]


@pytest.mark.parametrize("value", ["0.5", "1", "95", "'x'", "True"])
def test_a_confidence_that_is_none_is_an_error(project: Project, run: Run, value: str) -> None:
    """No verdict comes of it."""
    gates(
        project,
        score=f"assert_score(0.5, confidence={value})",
        flips=f"assert_flips(0.5, confidence={value})",
        suite=f"assert_suite_retained(0.5, confidence={value})",
    )
    result = run(*REPORTS)
    assert set(outcomes_of(project).values()) == {"NOT RUN"}
    assert said(result).count("ConfigError: confidence=") >= 3
    refuse_package_frames(result)


def test_reported_scores_give_no_confidence(project: Project, run: Run) -> None:
    """Score and suite ask for confidence=None; observed they are judged as ever, without bounds."""
    for name, score in (("teacher", 0.9), ("student", 0.89), ("sft", 0.1)):
        scores = {"reviews": {"accuracy": score}}
        project.models[name] = {"engine": "reported", "scores": scores}
    project.save()
    gates(
        project,
        score="assert_score(0.5, confidence=0.95)",
        suite="assert_suite_retained(0.5, confidence=0.95)",
        observed="assert_score(0.5)",
        together="assert_suite_retained(0.5)",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {
        "score": "NOT RUN",
        "suite": "NOT RUN",
        "observed": "PASSED",
        "together": "PASSED",
    }
    assert said(result).count("ask with confidence=None") >= 2
    assert gates_of(project)["observed"]["interval"] is None
    assert gates_of(project)["together"]["firm"] is None
    refuse_package_frames(result)


def test_sft_alone_has_to_be_shown(project: Project, run: Run) -> None:
    """SFT keeps 192 of 200, observed 0.96: shown to keep 0.92, not 0.95.

    Beside a gate with a confidence the sentence waits for a `beats_sft` gate that is as sure.
    """
    project.sizes(200, 198, 192, 200)
    beats = "assert_beats_sft(confidence=0.95)"

    def words(floor: float, confidence: Any, **more: str) -> list[str]:
        ask = f"assert_quality_retained({floor}, confidence={confidence})"
        gates(project, kept=ask, **more)
        return [line for line in report_of(run(*REPORTS)) if "SFT alone" in line]

    assert words(0.92, 0.95, beats=beats)
    assert not words(0.95, 0.95, beats=beats)
    assert words(0.95, None, beats=beats)
    assert not words(0.92, 0.95)
    assert not words(0.92, 0.99, beats=beats)


@pytest.mark.parametrize("aggregate", ["average_of_ratios", "geometric", "minimum"])
def test_a_flawless_eval_lifts_no_suite_without_end(
    project: Project, run: Run, aggregate: str
) -> None:
    """Without an error where the teacher makes 10 %, an infinite ratio; half is kept of the other.

    The observed average and geometric mean are infinite and pass; with a confidence they don't.
    """
    project.sizes(100, 50, 50, 100)
    second_eval(project, 100, 100, 100)
    wer = {"name": "wer", "higher_is_better": False, "range": [0.0, 1.0]}
    project.evals["second"]["metrics"] = [wer]
    project.save()
    for name, every in (("teacher", 10), ("student", 0), ("sft", 5)):
        errors = [float(bool(every) and i % (every or 1) == 0) for i in range(100)]
        rows = [{"id": f"e{i}", "scores": {"wer": error}} for i, error in enumerate(errors)]
        project.rows(f"{name}-2.jsonl", rows)
    ask = f"aggregate='{aggregate}'"
    gates(
        project,
        observed=f"assert_suite_retained(0.95, {ask})",
        sure=f"assert_suite_retained(0.95, {ask}, confidence=0.95)",
    )
    result = run(*REPORTS)
    observed, sure = (gates_of(project)[name] for name in ("observed", "sure"))
    if aggregate == "minimum":
        assert (observed["outcome"], sure["outcome"]) == ("FAILED", "FAILED")
        assert sure["observed"] == 0.5
    else:
        assert (observed["outcome"], sure["outcome"]) == ("PASSED", "INCONCLUSIVE")
        assert (observed["firm"], observed["observed"]) == (False, None)
        assert sure["interval"]["one_sided_lower"] < 0.95
        assert "observed infinite" in said(result)
    refuse_package_frames(result)
