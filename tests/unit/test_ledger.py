"""From the verdicts and results of a run to whether the student may ship."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_distill.report.attempt import Attempt, TestRun
from pytest_distill.report.json_file import as_dict
from pytest_distill.report.ledger import Decision, Ledger
from pytest_distill.report.tables import shortened
from pytest_distill.report.terminal import last_line, report_lines
from pytest_distill.report.worth import words

VERDICT: dict[str, Any] = {
    "config": "distill.yaml",
    "gate": "quality_retained",
    "eval": "reviews",
    "metric": "accuracy",
    "model": "student",
    "observed": 0.9499999,
    "required": 0.9,
    "relation": ">=",
    "confidence": None,
    "n": 100,
    "slice": None,
    "notes": [],
    "message": "assert ...",
    "basis": "",
    "waived": None,
    "unit": "",
    "criterion": None,
    "outcome": "PASSED",
}


def ledger(**results: tuple[str | None, list[str]]) -> Ledger:
    """Return a ledger: test name -> its result and the outcomes of its verdicts.

    A result such as ``passed and looked`` is that of a test which took something of a model.
    """
    made = Ledger()
    made.expect(results)
    for nodeid, (result, outcomes) in results.items():
        end = (result or "").removesuffix(" and looked") or None
        made.test(nodeid).result = end
        judged(made, nodeid, end, *[VERDICT | {"outcome": o} for o in outcomes])
        for run in made.test(nodeid).runs.values():
            run.attempts[-1].looked = end != result
    return made


def judged(made: Ledger, nodeid: str, result: str | None, *verdicts: dict[str, Any]) -> None:
    """Let a test have had one attempt, with these verdicts and this end."""
    ends = {"call": (result, "")} if result is not None else {}
    made.test(nodeid).take("main:0", TestRun("distill.yaml", [Attempt([*verdicts], [], ends)]))


def verdict(made: Ledger, nodeid: str) -> dict[str, Any]:
    """Return the only verdict of a test, to be changed."""
    (run,) = made.test(nodeid).runs.values()
    (only,) = run.attempts[-1].verdicts
    return only


@pytest.mark.parametrize(
    ("results", "decision", "reason"),
    [
        ({"a": ("passed", ["PASSED"])}, "SHIP", ""),
        ({"a": ("passed", ["PASSED"]), "b": ("passed and looked", [])}, "SHIP", ""),
        ({"a": ("passed", ["PASSED"]), "b": ("passed", [])}, "INCOMPLETE", "1 gate did not run"),
        (
            {"a": ("failed", ["FAILED"]), "b": (None, [])},
            "DO NOT SHIP",
            "1 gate of 2 did not pass; 1 gate did not run",
        ),
        ({"a": ("failed", ["INCONCLUSIVE"])}, "DO NOT SHIP", "1 gate of 1 did not pass"),
        ({"a": ("failed", [])}, "DO NOT SHIP", "1 gate of 1 did not pass"),
        ({"a": ("passed", ["PASSED"]), "b": (None, [])}, "INCOMPLETE", "1 gate did not run"),
        ({"a": ("passed", ["PASSED"]), "b": ("skipped", [])}, "INCOMPLETE", "1 gate did not run"),
        ({"a": ("passed", ["PASSED"]), "b": ("xfailed", [])}, "INCOMPLETE", "1 gate did not run"),
        ({"a": ("passed", ["PASSED"]), "b": ("error", [])}, "INCOMPLETE", "1 gate did not run"),
        ({"a": ("error", ["PASSED"])}, "INCOMPLETE", "1 gate did not run"),
        ({"a": ("passed and looked", [])}, "INCOMPLETE", "no gate gave a verdict"),
        ({}, "INCOMPLETE", "no gate gave a verdict"),
    ],
)
def test_what_a_run_comes_to(results: dict[str, Any], decision: str, reason: str) -> None:
    """Nothing but passed gates, all of which ran, is a SHIP."""
    found = ledger(**results).decision()
    assert (found.outcome, found.reason) == (decision, reason)


def test_a_collection_error_is_incomplete() -> None:
    """The gates of a file that could not be collected did not run."""
    made = ledger(a=("passed", ["PASSED"]))
    made.collection_errors.append("test_b.py")
    assert made.decision() == Decision("INCOMPLETE", (("1 file not collected", ("test_b.py",)),))


def test_a_file_that_was_skipped_unread_is_told_once() -> None:
    """Each of several workers tells of it."""
    made = ledger(a=("passed", ["PASSED"]))
    for _ in range(2):
        made.add_remarks(["test_gpu.py"], ["test_gpu.py was skipped"])
    told = (("1 file skipped unread", ("test_gpu.py",)),)
    assert made.decision() == Decision("INCOMPLETE", told)
    assert made.remarks == ["test_gpu.py was skipped"]


def test_a_run_of_named_tests_is_incomplete() -> None:
    """It is told after gates that failed or did not run, and before required ones."""
    made = ledger(a=("passed", ["PASSED"]))
    made.named = ["test_b.py", "test_a.py::a"]
    made.required["distill.yaml"] = ["flips"]
    lacking = "only the tests named: a; 1 required gate did not pass: flips"
    assert last_line(made, 80) == f"INCOMPLETE: {lacking}"
    made.test("b").gate_test = True
    assert last_line(made, 100) == f"INCOMPLETE: 1 gate did not run: b; {lacking}"
    judged(made, "c", "failed", VERDICT | {"outcome": "FAILED"})
    assert made.decision().outcome == "DO NOT SHIP"


def test_a_run_of_named_files_says_so() -> None:
    """The last line and the reason name them, the outcome is plain."""
    made = ledger(a=("passed", ["PASSED"]))
    made.named = ["gates/test_a.py", "gates/test_b.py"]
    found = made.decision()
    assert (found.outcome, found.reason) == ("SHIP", "gates/test_a.py, gates/test_b.py")
    verdict(made, "a").update(outcome="FAILED", waived=WAIVED)
    assert last_line(made, 80) == "SHIP (gates/test_a.py, gates/test_b.py; 1 waived)"


def test_another_failing_test_is_incomplete() -> None:
    """A run that is red elsewhere does not ship."""
    made = ledger(a=("passed", ["PASSED"]))
    made.test("b").result = "failed"
    assert made.decision() == Decision("INCOMPLETE", (("1 test failed", ("b",)),))


WAIVED = "waived by ana until 2999-01-01: known"


def test_a_waived_failure_ships_and_is_told() -> None:
    """The last line counts the waivers, the table marks them and a note says who answers."""
    made = ledger(a=("passed", ["FAILED"]), b=("passed", ["PASSED"]))
    verdict(made, "a")["waived"] = WAIVED
    made.test("a").result = "xfailed"
    assert last_line(made, 80) == "SHIP (1 waived)"
    lines = report_lines(made, 80)
    assert any(line.startswith("1  waived     0.9499") for line in lines)
    assert f" 1  {WAIVED}" in lines


def test_what_a_verdict_rests_on_stands_under_the_table() -> None:
    """Basis and notes stand behind the verdict's number."""
    made = ledger(a=("passed", ["PASSED"]))
    verdict(made, "a").update(basis="firm", notes=["undertrained baseline"])
    assert " 1  firm; undertrained baseline" in report_lines(made, 80)


def test_models_that_ran_differently_are_marked() -> None:
    """Another data type may give another score."""
    made = ledger(a=("passed", ["PASSED"]))
    models = [model("teacher", dtype="bfloat16"), model("student", dtype="float32")]
    rows = [comparison(teacher="1", student="1/2")]
    made.add_summary({"models": models, "comparisons": rows, "evaluations": [], "figures": []})
    assert "run under another dtype: teacher bfloat16, student float32" in report_lines(made, 80)


def test_an_sft_student_that_meets_the_floor_is_named() -> None:
    """Then the teacher was machinery for nothing."""
    made = ledger(a=("passed", ["PASSED"]))
    made.add_summary(
        {
            "models": [model("teacher"), model("sft")],
            "comparisons": [comparison(teacher="10/10", sft="9/10")],
            "evaluations": [],
            "figures": [],
        }
    )
    assert words(made) == ["SFT alone meets the floor 0.9 (reviews, accuracy): drop the teacher"]


@pytest.mark.parametrize(
    ("required", "lacking"),
    [
        (["quality_retained"], []),
        (["a"], []),
        (["beats_sft", "quality_retained", "test_gone.py::test_gone"], [0, 2]),
    ],
)
def test_required_gates_must_have_passed(required: list[str], lacking: list[int]) -> None:
    """A name of a gate or the node id of a test; one that nobody asked is what it is for."""
    made = ledger(a=("passed", ["PASSED"]))
    made.required = {"distill.yaml": required}
    found = made.decision()
    assert found.culprits == [required[i] for i in lacking]
    assert found.outcome == ("INCOMPLETE" if lacking else "SHIP")


def test_a_gate_of_another_project_meets_no_requirement() -> None:
    """Names of gates count within their own distill.yaml."""
    made = ledger(a=("passed", ["PASSED"]))
    made.required = {"other/distill.yaml": ["quality_retained"]}
    assert made.decision().outcome == "INCOMPLETE"


def test_a_distill_yaml_that_cannot_be_read_is_incomplete() -> None:
    """Nobody knows what it requires."""
    made = ledger(a=("passed", ["PASSED"]))
    made.unreadable = ["distill.yaml"]
    assert made.decision().outcome == "INCOMPLETE"


def test_a_sample_is_partial() -> None:
    """All gates passed, but on some of the examples only."""
    made = ledger(a=("passed", ["PASSED"]))
    row = {"config": "distill.yaml", "model": "student", "eval": "reviews", "order": [0, 0]}
    evaluations = [row | {"n": 50, "left_out": 50}]
    made.add_summary({"models": [], "comparisons": [], "evaluations": evaluations, "figures": []})
    assert last_line(made, 80) == "INCOMPLETE (PARTIAL: 50 of 100)"


def test_gates_stand_in_the_order_of_collection() -> None:
    """Whichever worker ends first, the table is the same."""
    made = Ledger()
    judged(made, "b", "passed", VERDICT)
    judged(made, "a", "passed", VERDICT)
    made.expect(["a", "b"])
    assert [g["nodeid"] for g in made.gates()] == ["a", "b"]


def comparison(**scores: str) -> dict[str, Any]:
    """Return a comparison's row as one process tells it."""
    return {
        "config": "distill.yaml",
        "order": [0, 0],
        "eval": "reviews",
        "metric": "accuracy",
        "higher_is_better": True,
        "scores": scores,
        "n": 100,
        "reported": [],
    }


def model(name: str, **known: Any) -> dict[str, Any]:
    """Return a model's row as one process tells it."""
    keys = (
        "parameters",
        "bytes",
        "dtype",
        "device",
        "path",
        "digest",
        "trained",
        "latency_ms",
        "cost_per_1k",
    )
    row = dict.fromkeys((*keys, "engine", "batch_tokens")) | {"notes": [], "declared": []}
    return {
        "config": "distill.yaml",
        "order": [0],
        "name": name,
        "role": name.partition("-")[0],
        **row,
        **known,
    }


def test_shares_of_two_processes_make_one_table() -> None:
    """One worker evaluated the teacher, another the student, and a third told both again."""
    made = Ledger()
    for scores in ({"teacher": "9/10"}, {"student": "4/5"}, {"teacher": "9/10", "student": "4/5"}):
        made.add_summary(
            {
                "models": [model(name) for name in scores],
                "comparisons": [comparison(**scores)],
                "evaluations": [],
                "figures": [],
            }
        )
    assert [m["name"] for m in made.models] == ["teacher", "student"]
    (row,) = made.compared()
    assert row["scores"] == {"teacher": 0.9, "student": 0.8}
    assert row["retained"] == {"student": pytest.approx(8 / 9)}


def test_a_model_that_was_another_one_elsewhere_is_incomplete() -> None:
    """A branch of the hub may move, or a checkpoint be overwritten, between two workers' loads."""
    made = ledger(a=("passed", ["PASSED"]))
    for digest in ("a" * 64, "a" * 64, None):
        made.add_summary({"models": [model("teacher", digest=digest, engine="transformers")]})
    assert made.decision().outcome == "SHIP"
    made.add_summary({"models": [model("teacher", digest="b" * 64, engine="transformers")]})
    assert last_line(made, 80) == "INCOMPLETE (model 'teacher' not the same in all workers)"


def test_models_of_fixtures_may_share_a_name() -> None:
    """Each test may bring its own."""
    made = ledger(a=("passed", ["PASSED"]))
    for digest in ("a" * 64, "b" * 64):
        made.add_summary({"models": [model("teacher", digest=digest, engine="fixture")]})
    assert made.decision().outcome == "SHIP"


def test_the_table_cuts_numbers_off() -> None:
    """0.9499999 prints as 0.9499, a score likewise, and sizes are for people."""
    made = ledger(a=("passed", ["PASSED"]))
    made.add_summary(
        {
            "models": [model("teacher", parameters=22_700_000, bytes=90_900_000)],
            "comparisons": [comparison(teacher="0.88889")],
            "evaluations": [],
            "figures": [],
        }
    )
    text = "\n".join(report_lines(made, 80))
    assert "1  PASSED     0.9499  >= 0.9" in text
    assert "teacher  teacher       22.7M  90.9 MB    0.8888" in text


def test_control_characters_are_shown_not_obeyed() -> None:
    """A name from a file cannot clear somebody's terminal."""
    made = ledger(**{"\x1b[2J": ("passed", ["PASSED"])})
    assert not any("\x1b" in line for line in report_lines(made, 80))


@pytest.mark.parametrize("width", [70, 80, 100])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    """Long names are cut, many metrics make more tables, notes are wrapped."""
    made = ledger(**{"test_" + "long" * 30: ("passed", ["PASSED"])})
    verdict(made, "test_" + "long" * 30)["slice"] = "source=" + "x" * 60
    names = ["teacher", "student-" + "x" * 50]
    made.add_summary(
        {
            "models": [model(n, trained="words " * 40) for n in names],
            "comparisons": [
                comparison(**dict.fromkeys(names, "1/2")) | {"metric": f"metric_number_{i}"}
                for i in range(9)
            ],
            "evaluations": [],
            "figures": [],
        }
    )
    lines = report_lines(made, width)
    assert max(map(len, lines)) <= width
    assert all(any(f"metric_number_{i}" in line for line in lines) for i in range(9))


def test_the_last_line_names_whom_it_can() -> None:
    """Names stand behind the decision as far as the terminal is wide."""
    made = ledger(a=("skipped", []), **{f"x.py::test_{i}": ("skipped", []) for i in range(9)})
    assert last_line(made, 60) == "INCOMPLETE: 10 gates did not run: a, test_0, and 8 more"
    assert last_line(made, 30) == "INCOMPLETE: 10 gates did not run"


def test_the_json_has_the_same_content() -> None:
    """Schema, outcome and reason stand beside the rows."""
    made = ledger(a=("failed", ["FAILED"]))
    told = as_dict(made)
    assert (told["schema"], told["outcome"]) == (1, "DO NOT SHIP")
    assert told["remarks"] == []
    assert told["gates"][0]["observed"] == 0.9499999


@pytest.mark.parametrize(("room", "shown"), [(20, "a-long-name"), (8, "a-l..ame"), (5, "a..me")])
def test_shortened_keeps_both_ends(room: int, shown: str) -> None:
    """The middle says least."""
    assert shortened("a-long-name", room) == shown
