from __future__ import annotations

from typing import Any

import pytest

from .project import (
    STUDENT,
    TEACHER,
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
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")


def perfect_teacher(project: Project, *, sft: int = 80) -> None:
    """Write 100 examples: the teacher is right on all, the student on 95.

    The lower bound of a ratio to a perfect teacher is the exact binomial one of 95/100, 0.8977,
    for a one-sided 95 %; the upper one lies beyond the binomial's 0.9801, since another gold set
    may have examples that the teacher alone gets wrong.
    """
    project.sizes(100, 95, sft, 100)


def test_the_bound_decides(project: Project, run: Run) -> None:
    """PASSED above the lower bound, FAILED under the upper one, INCONCLUSIVE in between."""
    perfect_teacher(project)
    write_gates(
        project,
        passes="assert_quality_retained(0.89, confidence=0.95)",
        unclear="assert_quality_retained(0.92, confidence=0.95)",
        fails="assert_quality_retained(0.99, confidence=0.95)",
    )
    result = run(*REPORTS)
    result.assert_outcomes(passed=1, failed=2)
    assert outcomes_of(project) == {
        "passes": "PASSED",
        "unclear": "INCONCLUSIVE",
        "fails": "FAILED",
    }
    assert decision_of(result) == (
        "DO NOT SHIP",
        "2 gates of 3 did not pass: test_unclear, test_fails",
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_without_a_confidence_the_observed_ratio_decides(project: Project, run: Run) -> None:
    """The same three floors pass and fail by 0.95 alone; only firm ones are called firm."""
    perfect_teacher(project)
    write_gates(
        project,
        firm="assert_quality_retained(0.89)",
        noise="assert_quality_retained(0.92)",
        fails="assert_quality_retained(0.99)",
    )
    result = run(*REPORTS)
    found = gates_of(project)
    assert outcomes_of(project) == {"firm": "PASSED", "noise": "PASSED", "fails": "FAILED"}
    assert {name: row["firm"] for name, row in found.items()} == {
        "firm": True,
        "noise": False,
        "fails": True,
    }
    assert {row["confidence"] for row in found.values()} == {None}
    assert blocks_of(result)[0].endswith(", firm")
    assert blocks_of(result)[1].endswith(", within noise")
    assert "within noise: about 4" in blocks_of(run(*REPORTS, "-v"))[1]


def test_the_json_has_the_interval(project: Project, run: Run) -> None:
    """Bounds, confidence, method, n and how many examples would settle it, unrounded.

    The exact binomial bound for 95/100, and for the report Wilson's with z = 1.959964, which is
    no part of the verdict. The number of examples by hand from
    d = 0.05, p = 1, r = 0.95, m = 0.92: s0^2 = 0.0736, s1^2 = 0.0475, N = 440.7.
    """
    perfect_teacher(project)
    write_gates(project, noise="assert_quality_retained(0.92)")
    run(*REPORTS)
    row = gates_of(project)["noise"]
    assert row["n"] == 100
    assert row["interval"]["confidence"] == 0.95
    assert row["interval"]["method"] == "score"
    assert row["interval"]["one_sided_lower"] == pytest.approx(0.897747, abs=2e-4)
    assert row["interval"]["lower"] == pytest.approx(0.888250, abs=2e-6)
    assert 0.98 < row["interval"]["one_sided_upper"] < row["interval"]["upper"] < 1
    assert row["needed"] in range(440, 443)
    assert (row["lost"], row["won"], row["clusters"]) == (5, 0, None)


def test_no_flip_is_no_proof_of_equality(project: Project, run: Run) -> None:
    """Equal to its teacher on 18 right answers, a student is bounded by .05^(1/18) = 0.8467."""
    project.rows("student.jsonl", answers(TEACHER))
    write_gates(
        project,
        passes="assert_quality_retained(0.84, confidence=0.95)",
        unclear="assert_quality_retained(0.85, confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"passes": "PASSED", "unclear": "INCONCLUSIVE"}
    lower = gates_of(project)["passes"]["interval"]["one_sided_lower"]
    assert lower == pytest.approx(0.05 ** (1 / 18), abs=1e-3)


def test_inconclusive_has_a_message_of_its_own(project: Project, run: Run) -> None:
    """It names bound, observed ratio and the number of examples, and says that it is no pass."""
    perfect_teacher(project)
    write_gates(project, it="assert_quality_retained(0.92, confidence=0.95)")
    message = failing_lines(run())
    assert message[0].startswith("assert 0.8976 >= 0.92 quality retained (accuracy, lower 95")
    assert "observed 0.9500" in message[0]
    (needed,) = [line for line in message if line.startswith("within noise: about ")]
    assert "examples would settle it" in needed
    assert "INCONCLUSIVE: the examples do not tell, which is not a pass" in message


def test_a_failed_bound_is_shown(project: Project, run: Run) -> None:
    """FAILED shows the upper bound, rounded so that the line is still false."""
    perfect_teacher(project)
    write_gates(project, it="assert_quality_retained(0.99, confidence=0.95)")
    message = failing_lines(run())
    assert message[0].startswith("assert 0.9838 >= 0.99 quality retained (accuracy, upper 95")
    assert not any("INCONCLUSIVE" in line for line in message)


def test_a_very_high_confidence_is_not_shown_as_certainty(project: Project, run: Run) -> None:
    """0.999 is printed as it is, not as 100 %."""
    write_gates(project, it="assert_quality_retained(0.9, confidence=0.999)")
    first = failing_lines(run())[0]
    assert "100%" not in first.replace(" ", "")
    assert "99.9" in first or "0.999" in first


@pytest.mark.parametrize(
    ("file", "marker", "argument", "expected"),
    [
        (None, "", "", None),
        (0.9, "", "", 0.9),
        (0.9, "confidence=0.8", "", 0.8),
        (0.9, "confidence=0.8", "confidence=0.7", 0.7),
        (0.9, "confidence=None", "", None),
        (0.9, "confidence=0.8", "confidence=None", None),
        (None, "confidence=0.8", "", 0.8),
        (None, "", "confidence=0.7", 0.7),
    ],
)
def test_argument_before_marker_before_file(
    project: Project, run: Run, file: float | None, marker: str, argument: str, expected: Any
) -> None:
    """The nearest word holds, None too; without any the observed ratio decides."""
    if file is not None:
        project.config["confidence"] = file
        project.save()
    with_marker = f"@pytest.mark.distill({marker})\n" if marker else ""
    write_gates(project, it=f"{with_marker}assert_quality_retained(0.5, {argument})")
    run(*REPORTS).assert_outcomes(passed=1)
    row = gates_of(project)["it"]
    assert row["confidence"] == expected
    assert row["interval"]["confidence"] == (expected or 0.95)


def test_the_file_holds_for_every_gate(project: Project, run: Run) -> None:
    """`confidence:` reaches methods of `comparison`, slices and beats_sft alike."""
    project.config["confidence"] = 0.6
    project.save()
    project.file(
        "test_ship.py",
        """
        def test_all(comparison):
            comparison.assert_quality_retained(0.5)
            comparison.assert_slices_retained(0.2, by="lang", min_examples=10)
            comparison.assert_beats_sft()
        """,
    )
    run(*REPORTS)
    rows = project.json()["gates"]
    assert [row["confidence"] for row in rows] == [0.6] * 3
    # 2 wins of 2: p = 0.25 is within 1 - 0.6.
    assert [row["outcome"] for row in rows] == ["PASSED"] * 3


@pytest.mark.parametrize("value", ["0.5", "1", "0", "-0.9", "95", "float('nan')", "'x'", "True"])
def test_a_confidence_that_is_none_is_an_error(project: Project, run: Run, value: str) -> None:
    """A number that no verdict can rest on is named; no gate passes on it."""
    write_gates(project, it=f"assert_quality_retained(0.5, confidence={value})")
    result = run("--distill-report")
    assert failing_lines(result)[-1].startswith("pytest_distill.ConfigError: confidence=")
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_it")
    refuse_package_frames(result)


@pytest.mark.parametrize("value", ["95", "0.5", "'high'"])
def test_a_wrong_one_in_a_marker_is_a_collection_error(
    project: Project, run: Run, value: str
) -> None:
    """Markers are checked before any gate runs, and the message names the test."""
    write_gates(project, odd=f"@pytest.mark.distill(confidence={value})\nassert_flips(0.9)")
    result = run("--distill-report")
    result.assert_outcomes(errors=1)
    assert "marker distill of test_odd: confidence=" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("value", [95, 0.5, 1, "high", True])
def test_a_wrong_one_in_the_file_is_a_config_error(project: Project, run: Run, value: Any) -> None:
    """It is named with its line, when the file of the gates is collected."""
    project.config["confidence"] = value
    project.save()
    write_gates(project, it="assert_quality_retained(0.5)")
    result = run("--distill-report")
    result.assert_outcomes(errors=1)
    assert "confidence: " in said(result)
    assert "distill.yaml:" in said(result)
    refuse_package_frames(result)


def test_reported_scores_give_no_confidence(project: Project, run: Run) -> None:
    """Without examples there is nothing to be sure of: an error, with the way out."""
    for name, score in (("teacher", 0.9), ("student", 0.89), ("sft", 0.1)):
        scores = {"reviews": {"accuracy": score}}
        project.models[name] = {"engine": "reported", "scores": scores}
    project.save()
    write_gates(
        project,
        retained="assert_quality_retained(0.5, confidence=0.95)",
        sft="assert_beats_sft()",
        observed="assert_beats_sft(confidence=None)",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {
        "retained": "NOT RUN",
        "sft": "NOT RUN",
        "observed": "PASSED",
    }
    assert said(result).count("ask with confidence=None") >= 2
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("won", "outcome", "p"),
    [(5, "PASSED", 1 / 32), (4, "INCONCLUSIVE", 1 / 16), (0, "FAILED", 1.0)],
)
def test_beating_sft_needs_evidence(
    project: Project, run: Run, won: int, outcome: str, p: float
) -> None:
    """Exact McNemar: with k wins and no loss p = 2^-k, which must be at most 0.05."""
    project.sizes(20, 10 + won, 10, 20)
    write_gates(project, it="assert_beats_sft()")
    result = run(*REPORTS)
    row = gates_of(project)["it"]
    assert row["outcome"] == outcome
    assert (row["wins"], row["losses"], row["ties"]) == (won, 0, 20 - won)
    assert row["p_value"] == pytest.approx(p, abs=1e-12)
    assert row["confidence"] == 0.95
    assert row["n"] == 20
    assert decision_of(result)[0] == ("SHIP" if outcome == "PASSED" else "DO NOT SHIP")


def test_mid_p_is_less_conservative(project: Project, run: Run) -> None:
    """Four wins and no loss: exact p = 1/16, mid-p = 1/32."""
    project.sizes(20, 14, 10, 20)
    write_gates(project, exact="assert_beats_sft()", mid="assert_beats_sft(mid_p=True)")
    run(*REPORTS)
    assert outcomes_of(project) == {"exact": "INCONCLUSIVE", "mid": "PASSED"}
    assert gates_of(project)["mid"]["p_value"] == pytest.approx(1 / 32, abs=1e-12)


def test_an_inconclusive_gain_says_what_would_settle_it(project: Project, run: Run) -> None:
    """The message has p, wins, losses, ties and about how many examples are needed."""
    write_gates(project, it="assert_beats_sft()")
    result = run(*REPORTS)
    message = failing_lines(result)
    assert message[0].startswith("assert p 0.2500 <= 0.05 ")
    assert "p = 0.2500 (exact McNemar), 2 wins, 0 losses, 18 ties" in message
    assert any("examples would settle it" in line for line in message)
    assert "INCONCLUSIVE: the examples do not tell, which is not a pass" in message
    assert gates_of(project)["it"]["needed"] > 20


def test_nothing_to_tell_apart_is_said(project: Project, run: Run) -> None:
    """No discordant example: p = 1, "identical on every example", and the gate fails."""
    project.rows("sft.jsonl", answers(STUDENT))
    write_gates(project, it="assert_beats_sft()")
    result = run(*REPORTS)
    assert gates_of(project)["it"]["p_value"] == 1.0
    assert outcomes_of(project) == {"it": "FAILED"}
    assert "identical on every example" in said(result)


def test_the_gap_recovered_is_told(project: Project, run: Run) -> None:
    """(95 - 80) / (100 - 80) = 0.75 of the gap, with an interval around it."""
    perfect_teacher(project)
    write_gates(project, it="assert_beats_sft()")
    result = run(*REPORTS, "-v")
    gap = gates_of(project)["it"]["gap_recovered"]
    assert gap["recovered"] == pytest.approx(0.75, abs=1e-12)
    assert gap["lower"] < 0.75 < gap["upper"]
    assert "gap recovered 0.7500 (95 % interval " in blocks_of(result)[0]


def test_says_plainly_when_sft_alone_meets_the_floor(project: Project, run: Run) -> None:
    """SFT keeps 80 of 100: at a floor of 0.8 the teacher can go, at 0.81 it cannot."""
    perfect_teacher(project)
    write_gates(project, it="assert_quality_retained(0.8)")
    assert any("SFT alone meets the floor 0.8" in line for line in report_of(_with_sft(run)))
    write_gates(project, it="assert_quality_retained(0.81)")
    assert "SFT alone" not in said(_with_sft(run))


def _with_sft(run: Run) -> pytest.RunResult:
    """Return a run in which the SFT student is evaluated too."""
    with open("test_more.py", "w") as file:  # noqa: PTH123 (pytester's current folder)
        file.write("def test_more(comparison):\n    assert comparison.score('sft')\n")
    return run("--distill-report")


def test_says_plainly_when_the_teacher_is_no_better_than_sft(project: Project, run: Run) -> None:
    """Then the ratio says nothing, and the gate's notes say so, passed or failed."""
    project.sizes(50, 95, 80, 100)
    write_gates(project, it="assert_beats_sft()")
    result = run(*REPORTS)
    note = "the teacher is no better than SFT: the ratio says nothing"
    assert note in gates_of(project)["it"]["notes"]
    assert note in " ".join(blocks_of(result))


def test_workers_tell_the_same(project: Project, run: Run) -> None:
    """Every number of the JSON's gates is the same with two xdist workers."""
    perfect_teacher(project)
    write_gates(
        project,
        retained="assert_quality_retained(0.92, confidence=0.95)",
        sft="assert_beats_sft()",
        f1="assert_quality_retained(0.5, metric='macro_f1', confidence=0.9)",
    )
    run(*REPORTS)
    alone = project.json()["gates"]
    run("-n", "2", *REPORTS)
    assert project.json()["gates"] == alone
