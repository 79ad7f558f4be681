from __future__ import annotations

import datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from .project import (
    Project,
    Run,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    refuse_package_frames,
    rows_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
LATER = datetime.date(2999, 12, 31)
EARLIER = datetime.date(2020, 1, 1)
TOLD = f"waived by ann@example.org until {LATER}: negation, issue 12"


def waive(project: Project, gate: str = "quality_retained", **keys: Any) -> None:
    """Add a waiver for a known failure; the student keeps 0.9444."""
    entry = {
        "gate": gate,
        "floor": 0.94,
        "owner": "ann@example.org",
        "reason": "negation, issue 12",
        "expires": LATER,
    }
    project.config.setdefault("waivers", []).append({**entry, **keys})
    project.save()


def test_a_known_failure_is_an_xfail(project: Project, run_both: Run) -> None:
    """The test is xfailed, pytest's own status stays 0, and the last line counts it."""
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)", other="assert_flips(0.2)")
    result = run_both(*REPORTS)
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == pytest.ExitCode.OK
    assert decision_of(result) == ("SHIP", "1 waived")
    assert project.json()["outcome"] == "SHIP"


def test_without_the_report_it_is_an_xfail_too(project: Project, run: Run) -> None:
    """The waiver is the project's, not the report's: a plain run is green."""
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)")
    result = run()
    result.assert_outcomes(xfailed=1)
    assert result.ret == pytest.ExitCode.OK


def test_owner_reason_and_date_are_shown(project: Project, run: Run) -> None:
    """By `-rx`, in the report, and in the JSON, whose outcome stays FAILED."""
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)")
    result = run("-rx", *REPORTS)
    assert f"XFAIL test_ship.py::test_known - {TOLD}" in result.outlines
    assert rows_of(result, "waived")[0][1:4] == ["0.9444", ">=", "0.95"]
    assert TOLD in blocks_of(result)[0]
    row = gates_of(project)["known"]
    assert (row["outcome"], row["waived"]) == ("FAILED", TOLD)


def test_junit_shows_it(project: Project, run_both: Run) -> None:
    """The test case is skipped as an xfail, with the words of the waiver."""
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)")
    run_both("--junitxml", "out.xml")
    tree = ElementTree.parse(project.path / "out.xml")  # noqa: S314
    (skipped,) = tree.iter("skipped")
    assert skipped.get("type") == "pytest.xfail"
    assert skipped.get("message") == TOLD
    assert list(tree.iter("failure")) == []


def test_after_its_date_the_gate_fails(project: Project, run_both: Run) -> None:
    """An expired waiver holds for nothing, and the message says that there was one."""
    waive(project, expires=EARLIER)
    write_gates(project, known="assert_quality_retained(0.95)")
    result = run_both(*REPORTS)
    result.assert_outcomes(failed=1)
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 1 did not pass: test_known")
    expired = "the waiver by ann@example.org expired on 2020-01-01"
    assert expired in failing_lines(result)
    assert expired in blocks_of(result)[0]


def test_it_holds_on_its_last_day(project: Project, run: Run) -> None:
    """`expires` is the last day, not the first one without."""
    write_gates(project, known="assert_quality_retained(0.95)")
    waive(project, expires=datetime.date.today())
    run().assert_outcomes(xfailed=1)
    project.config["waivers"][0]["expires"] -= datetime.timedelta(days=1)
    project.save()
    run().assert_outcomes(failed=1)


@pytest.mark.parametrize(("floor", "holds"), [(0.9444, True), (0.9445, False), (0.945, False)])
def test_worse_than_the_floor_is_another_failure(
    project: Project, run: Run, floor: float, holds: bool
) -> None:
    """The student keeps 0.94444...: a waiver down to 0.9444 holds, one down to 0.9445 does not."""
    waive(project, floor=floor)
    write_gates(project, known="assert_quality_retained(0.95)")
    result = run(*REPORTS)
    result.assert_outcomes(xfailed=holds, failed=not holds)
    if not holds:
        worse = f"worse than the floor {floor} of the waiver by ann@example.org"
        assert worse in failing_lines(result)


def test_a_ceiling_is_a_floor_upside_down(project: Project, run: Run) -> None:
    """Where less is better the waiver holds up to its number: 0.15 were lost."""
    waive(project, gate="flips", floor=0.15)
    write_gates(project, known="assert_flips(0.1)")
    run().assert_outcomes(xfailed=1)
    project.config["waivers"][0]["floor"] = 0.149
    project.save()
    run().assert_outcomes(failed=1)


def test_a_waiver_of_flips_is_none_of_must_keep(project: Project, run: Run) -> None:
    """To lose a share is known; an example that may not be wrong is another matter."""
    project.evals["reviews"]["must_keep"] = ["e0"]
    waive(project, gate="flips", floor=0.2)
    write_gates(project, it="assert_flips(0.2)")
    result = run(*REPORTS)
    result.assert_outcomes(failed=1)
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_a_node_id_waives_one_test_alone(project: Project, run: Run) -> None:
    """The same gate in another test still fails."""
    waive(project, gate="test_ship.py::test_known")
    write_gates(
        project,
        known="assert_quality_retained(0.95)",
        other="assert_quality_retained(0.95)",
    )
    result = run(*REPORTS)
    result.assert_outcomes(xfailed=1, failed=1)
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_other")


def test_the_gates_after_it_are_asked(project: Project, run: Run) -> None:
    """A waived gate does not end its test: what follows must hold."""
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)\nassert_flips(0.1)")
    result = run(*REPORTS)
    result.assert_outcomes(failed=1)
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_known")
    assert failing_lines(result)[0].startswith("assert 0.1500 <= 0.1 ")


@pytest.mark.parametrize(
    ("after", "decision"),
    [
        ("1 / 0", ("INCOMPLETE", "1 gate did not run: test_known")),
        ("assert not 1", ("DO NOT SHIP", "1 gate of 2 did not pass: test_known")),
    ],
)
def test_an_error_after_it_is_no_xfail(
    project: Project, run: Run, after: str, decision: tuple[str, str]
) -> None:
    """The waiver is for the gate, not for whatever else goes wrong in its test."""
    waive(project)
    write_gates(project, known=f"assert_quality_retained(0.95)\n{after}")
    result = run(*REPORTS)
    result.assert_outcomes(failed=1)
    assert decision_of(result) == decision


def test_a_gate_that_passes_needs_no_waiver(project: Project, run: Run) -> None:
    """It is PASSED, and the last line counts none."""
    waive(project)
    write_gates(project, it="assert_quality_retained(0.94)")
    result = run(*REPORTS)
    result.assert_outcomes(passed=1)
    assert decision_of(result) == ("SHIP", "")


def test_a_gate_that_did_not_run_is_not_waived(project: Project, run: Run) -> None:
    """A waiver is for a known number; without a number there is nothing to know."""
    waive(project)
    write_gates(project, known="pytest.skip('later')\nassert_quality_retained(0.95)")
    result = run(*REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_known")
    assert outcomes_of(project) == {"known": "NOT RUN"}


def test_a_waived_gate_is_a_required_gate_that_is_there(project: Project, run: Run) -> None:
    """Somebody answers for it: `required_gates` does not ask twice."""
    project.config["required_gates"] = ["quality_retained"]
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)")
    assert decision_of(run(*REPORTS)) == ("SHIP", "1 waived")


def test_inconclusive_may_be_waived(project: Project, run: Run) -> None:
    """Too few examples is a known failure like another one."""
    waive(project, gate="beats_sft", floor=0.1)
    write_gates(project, known="assert_beats_sft()")
    result = run(*REPORTS)
    result.assert_outcomes(xfailed=1)
    assert outcomes_of(project) == {"known": "INCONCLUSIVE"}
    assert decision_of(result) == ("SHIP", "1 waived")


def test_two_waivers_of_one_gate(project: Project, run: Run) -> None:
    """One that expired does not stand in the way of its successor."""
    waive(project, expires=EARLIER)
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)")
    run().assert_outcomes(xfailed=1)


def test_last_failed_does_not_repeat_it(project: Project, run: Run) -> None:
    """An xfail is no failure: `--lf` after a waived run has nothing to repeat."""
    waive(project)
    write_gates(project, known="assert_quality_retained(0.95)", other="assert_flips(0.1)")
    run().assert_outcomes(xfailed=1, failed=1)
    result = run("--lf", "-v")
    result.assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"owner": ""}, "waivers[0].owner"),
        ({"reason": ""}, "waivers[0].reason"),
        ({"expires": "soon"}, "waivers[0].expires"),
        ({"floor": float("nan")}, "waivers[0].floor"),
        ({"floor": "0.9"}, "waivers[0].floor"),
        ({"untill": LATER}, "waivers[0].untill: unknown key"),
        ({"gate": "quality_retaned"}, "did you mean 'quality_retained'?"),
    ],
)
def test_a_waiver_must_be_complete(
    project: Project, run: Run, keys: dict[str, Any], message: str
) -> None:
    """Without an owner, a reason, a date and a floor it is an error of the file."""
    waive(project, **keys)
    write_gates(project, known="assert_quality_retained(0.95)")
    result = run("--distill-report")
    result.assert_outcomes(errors=1)
    assert message in " ".join(said(result).split())
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.mark.parametrize("missing", ["owner", "reason", "expires", "floor", "gate"])
def test_no_part_of_a_waiver_may_be_missing(project: Project, run: Run, missing: str) -> None:
    """Nobody waives for ever, for no reason, or down to anything."""
    waive(project)
    del project.config["waivers"][0][missing]
    project.save()
    write_gates(project, known="assert_quality_retained(0.95)")
    result = run("--distill-report")
    result.assert_outcomes(errors=1)
    assert f"waivers[0].{missing}: is missing" in said(result)
