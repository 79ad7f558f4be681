"""From the verdicts and results of a run to whether the student may ship."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from wcwidth import wcswidth

from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.attempt import Attempt, TestRun
from pytest_distill.report.json_file import text
from pytest_distill.report.ledger import Ledger
from pytest_distill.report.records.comparisons import ScoresRow
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.models import EvaluationRow, ModelRow
from pytest_distill.report.records.report import Reason
from pytest_distill.report.share import Listing, Share
from pytest_distill.report.tables import shortened
from pytest_distill.report.terminal import last_line, report_lines

VERDICT = GateRow(
    nodeid="",
    config="distill.yaml",
    gate="quality_retained",
    outcome=Outcome.PASSED,
    eval="reviews",
    metric="accuracy",
    model="student",
    observed=0.9499999,
    required=0.9,
    relation=">=",
    n=100,
    message="assert ...",
)
FAILED = replace(VERDICT, outcome=Outcome.FAILED)


def ledger(**results: tuple[str | None, list[str]]) -> Ledger:
    """Return a ledger: test name -> its result and the outcomes of its verdicts.

    A result such as ``passed and looked`` is that of a test which took something of a model.
    """
    made = Ledger()
    made.take(Share(gate_tests=dict.fromkeys(results, 1)))
    for nodeid, (result, outcomes) in results.items():
        end = (result or "").removesuffix(" and looked") or None
        made.test(nodeid).result = end
        judged(made, nodeid, end, *[replace(VERDICT, outcome=Outcome(o)) for o in outcomes])
        for run in made.test(nodeid).runs.values():
            run.last.looked = end != result
    return made


def lines_of(made: Ledger, width: int = 80, verbosity: int = 0) -> list[str]:
    """Return the lines of the terminal's report."""
    return [line.text for line in report_lines(made.report(), width, verbosity)]


def judged(made: Ledger, nodeid: str, result: str | None, *verdicts: GateRow) -> None:
    """Let a test have had one attempt, with these verdicts and this end."""
    ends = {"call": (result, "")} if result is not None else {}
    attempt = Attempt([*verdicts], [], ends)
    made.test(nodeid).take(TestRun(nodeid, "main:0", "distill.yaml", attempts=[attempt]))


def change(made: Ledger, nodeid: str, **changes: Any) -> None:
    """Change the only verdict of a test."""
    (run,) = made.test(nodeid).runs.values()
    run.last.verdicts[:] = [replace(row, **changes) for row in run.last.verdicts]


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
    found = ledger(**results).report()
    assert (found.outcome, found.reason) == (decision, reason)


def test_a_collection_error_is_incomplete() -> None:
    """The gates of a file that could not be collected did not run."""
    made = ledger(a=("passed", ["PASSED"]))
    made.collection_errors.append("test_b.py")
    found = made.report()
    assert found.outcome == "INCOMPLETE"
    assert found.reasons == (Reason("1 file not collected", ("test_b.py",)),)


def test_a_file_that_was_skipped_unread_is_told_once() -> None:
    """Each of several workers tells of it."""
    made = ledger(a=("passed", ["PASSED"]))
    for _ in range(2):
        share = Share(skipped_files=["test_gpu.py"], remarks=["test_gpu.py was skipped"])
        made.take(share)
    found = made.report()
    assert found.outcome == "INCOMPLETE"
    assert found.reasons == (Reason("1 file skipped unread", ("test_gpu.py",)),)
    assert found.remarks == ("test_gpu.py was skipped",)


def test_a_run_of_named_tests_is_incomplete() -> None:
    """It is told after gates that failed or did not run, and before required ones."""
    made = ledger(a=("passed", ["PASSED"]))
    made.named = ["test_b.py", "test_a.py::a"]
    made.take(Share(required={"distill.yaml": ["flips"]}))
    lacking = "only the tests named: a; 1 required gate did not pass: flips"
    assert last_line(made.report(), 80) == f"INCOMPLETE: {lacking}"
    made.test("b").gate_test = True
    assert last_line(made.report(), 100) == f"INCOMPLETE: 1 gate did not run: b; {lacking}"
    judged(made, "c", "failed", FAILED)
    assert made.report().outcome == "DO NOT SHIP"


def test_a_run_of_named_files_says_so() -> None:
    """The last line and the reason name them, the outcome is plain."""
    made = ledger(a=("passed", ["PASSED"]))
    made.named = ["gates/test_a.py", "gates/test_b.py"]
    found = made.report()
    assert (found.outcome, found.reason) == ("SHIP", "gates/test_a.py, gates/test_b.py")
    change(made, "a", outcome=Outcome.FAILED, waived=WAIVED)
    assert last_line(made.report(), 80) == (
        "SHIP (gates/test_a.py, gates/test_b.py): 0 of 1 gate passed, 1 waived"
    )


def test_another_failing_test_is_incomplete() -> None:
    """A run that is red elsewhere does not ship."""
    made = ledger(a=("passed", ["PASSED"]))
    made.test("b").result = "failed"
    found = made.report()
    assert (found.outcome, found.reasons) == ("INCOMPLETE", (Reason("1 test failed", ("b",)),))


WAIVED = "waived by ana until 2999-01-01: known"


def test_a_waived_failure_ships_and_is_told() -> None:
    """The last line counts the waivers, the table marks them and a note says who answers."""
    made = ledger(a=("passed", ["FAILED"]), b=("passed", ["PASSED"]))
    change(made, "a", waived=WAIVED)
    made.test("a").result = "xfailed"
    assert last_line(made.report(), 80) == "SHIP: 1 of 2 gates passed, 1 waived"
    lines = lines_of(made)
    assert any(line.startswith("  waived  0.9499 >= 0.9") for line in lines)
    assert f"          {WAIVED}" in lines


def test_what_a_verdict_rests_on_stands_with_it() -> None:
    """Facts stand on its line, notes below it; how it was reached is for who asks for more."""
    made = ledger(a=("passed", ["PASSED"]))
    change(made, "a", facts=("206 lost", "firm"), basis="exact", notes=("undertrained baseline",))
    line = "  PASSED  0.9499 >= 0.9  quality_retained  accuracy, 206 lost, firm"
    note = "          undertrained baseline"
    assert lines_of(made)[:3] == ["a", line, note]
    assert lines_of(made, verbosity=1)[:4] == ["a", line, "          exact", note]


def test_models_that_ran_differently_are_marked() -> None:
    """Another data type may give another score."""
    made = ledger(a=("passed", ["PASSED"]))
    models = [model("teacher", dtype="bfloat16"), model("student", dtype="float32")]
    made.take(Share(models=models, scores=[scores(teacher="1", student="1/2")]))
    assert "run under another dtype: teacher bfloat16, student float32" in lines_of(made)


@pytest.mark.parametrize(
    ("engine", "told"),
    [("transformers", False), ("vllm", True)],
)
def test_the_engine_that_answers_counts(engine: str, *, told: bool) -> None:
    """Not the one that has it run the model somewhere."""
    made = ledger(a=("passed", ["PASSED"]))
    teacher = model("teacher", engine="ray", answering="transformers")
    student = model("student", engine=engine)
    made.take(Share(models=[teacher, student], scores=[scores(teacher="1", student="1/2")]))
    line = f"run under another engine: teacher transformers, student {engine}"
    assert (line in lines_of(made)) is told
    assert any("run under another" in line for line in lines_of(made)) is told


def test_an_sft_student_that_meets_the_floor_is_named() -> None:
    """Then the teacher was machinery for nothing."""
    made = ledger(a=("passed", ["PASSED"]))
    found = scores(teacher="10/10", sft="9/10")
    made.take(Share(models=[model("teacher"), model("sft")], scores=[found]))
    assert made.report().worth == (
        "SFT alone meets the floor 0.9 (reviews, accuracy): drop the teacher",
    )


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
    made.take(Share(required={"distill.yaml": required}))
    found = made.report()
    assert found.culprits == tuple(required[i] for i in lacking)
    assert found.outcome == ("INCOMPLETE" if lacking else "SHIP")


def test_a_gate_of_another_project_meets_no_requirement() -> None:
    """Names of gates count within their own distill.yaml."""
    made = ledger(a=("passed", ["PASSED"]))
    made.take(Share(required={"other/distill.yaml": ["quality_retained"]}))
    assert made.report().outcome == "INCOMPLETE"


def test_a_distill_yaml_that_cannot_be_read_is_incomplete() -> None:
    """Nobody knows what it requires."""
    made = ledger(a=("passed", ["PASSED"]))
    made.take(Share(unreadable=["distill.yaml"]))
    assert made.report().outcome == "INCOMPLETE"


def test_a_sample_is_partial() -> None:
    """All gates passed, but on some of the examples only."""
    made = ledger(a=("passed", ["PASSED"]))
    made.take(Share(evaluations=[evaluation("student", left_out=50)]))
    assert last_line(made.report(), 80) == "INCOMPLETE (PARTIAL: 50 of 100)"


def test_gates_stand_in_the_order_of_collection() -> None:
    """Whichever worker ends first, the table is the same."""
    made = Ledger()
    judged(made, "b", "passed", VERDICT)
    judged(made, "a", "passed", VERDICT)
    made.take(Share(gate_tests={"a": 1, "b": 1}))
    assert [gate.nodeid for gate in made.gates()] == ["a", "b"]


def scores(metric: str = "accuracy", **scores: str) -> ScoresRow:
    """Return scores as one process tells them."""
    return ScoresRow("distill.yaml", "reviews", metric, True, scores, 100, ())


def evaluation(model: str, **known: Any) -> EvaluationRow:
    """Return an evaluation of fifty examples, none of which an engine answered."""
    row = EvaluationRow("distill.yaml", model, "reviews", 50, 0, None, None, ())
    return replace(row, **known)


def model(name: str, **known: Any) -> ModelRow:
    """Return a model of which nothing is known but its name and role."""
    nothing: dict[str, Any] = dict.fromkeys(ModelRow.__dataclass_fields__)
    return ModelRow(
        **{
            **nothing,
            "config": "distill.yaml",
            "name": name,
            "role": name.partition("-")[0],
            "declared": (),
            "engine": "recorded",
            "notes": (),
            **known,
        }
    )


def test_shares_of_two_processes_make_one_table() -> None:
    """One worker evaluated the teacher, another the student, and a third told both again."""
    made = Ledger()
    for found in ({"teacher": "9/10"}, {"student": "4/5"}, {"teacher": "9/10", "student": "4/5"}):
        made.take(Share(models=[model(name) for name in found], scores=[scores(**found)]))
    assert [row.name for row in made.known.models] == ["teacher", "student"]
    (row,) = made.compared()
    assert row.scores == {"teacher": 0.9, "student": 0.8}
    assert row.retained == {"student": pytest.approx(8 / 9)}


def test_rows_stand_in_the_order_of_the_yaml() -> None:
    """The headline metric comes first, though the worker that ended first knows the other alone."""
    made = Ledger()
    listing = Listing(("teacher", "student"), {"reviews": ("accuracy", "macro_f1")})
    for found in ([scores("macro_f1", student="1/2")], [scores(student="1/2")]):
        made.take(Share(listings={"distill.yaml": listing}, scores=found))
    made.take(Share(models=[model("student"), model("teacher")]))
    assert [row.metric for row in made.compared()] == ["accuracy", "macro_f1"]
    assert [row.name for row in made.known.models] == ["teacher", "student"]


def test_what_one_worker_made_the_other_found_in_the_store() -> None:
    """Notes of both stand there, and an answer that was made in this run is no stored one."""
    made = Ledger()
    for answered, note in ((50, "a"), (0, "b")):
        row = evaluation("student", evaluated=answered, from_store=50 - answered, notes=(note,))
        made.take(Share(evaluations=[row]))
    (told,) = made.known.evaluations
    assert (told.evaluated, told.from_store, told.notes) == (50, 0, ("a", "b"))


def test_a_model_that_was_another_one_elsewhere_is_incomplete() -> None:
    """A branch of the hub may move, or a checkpoint be overwritten, between two workers' loads."""
    made = ledger(a=("passed", ["PASSED"]))
    for digest in ("a" * 64, "a" * 64, None):
        made.take(Share(models=[model("teacher", digest=digest, engine="transformers")]))
    assert made.report().outcome == "SHIP"
    made.take(Share(models=[model("teacher", digest="b" * 64, engine="transformers")]))
    assert (
        last_line(made.report(), 80) == "INCOMPLETE (model 'teacher' not the same in all workers)"
    )


def test_models_of_fixtures_may_share_a_name() -> None:
    """Each test may bring its own."""
    made = ledger(a=("passed", ["PASSED"]))
    for digest in ("a" * 64, "b" * 64):
        made.take(Share(models=[model("teacher", digest=digest, engine="fixture")]))
    assert made.report().outcome == "SHIP"


def test_the_table_cuts_numbers_off() -> None:
    """0.9499999 prints as 0.9499, a score likewise, and sizes are for people."""
    made = ledger(a=("passed", ["PASSED"]))
    teacher = model("teacher", parameters=22_700_000, bytes=90_900_000)
    made.take(Share(models=[teacher], scores=[scores(teacher="0.88889")]))
    told = "\n".join(lines_of(made))
    assert "  PASSED  0.9499 >= 0.9" in told
    assert "teacher   22.7M  90.9 MB    0.8888" in told


def test_control_characters_are_shown_not_obeyed() -> None:
    """A name from a file cannot clear somebody's terminal."""
    made = ledger(**{"\x1b[2J": ("passed", ["PASSED"])})
    assert not any("\x1b" in line for line in lines_of(made))


@pytest.mark.parametrize("verbosity", [-1, 0, 1, 2])
@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_longer_than_the_terminal(width: int, verbosity: int) -> None:
    """Long names go on in the next line, many metrics make more tables, Chinese counts twice."""
    name = "test_" + "long" * 60
    made = ledger(**{name: ("passed", ["FAILED"]), "test_" + "\u6a21" * 60: ("failed", [])})
    change(made, name, slice="source=" + "\u6a21" * 60, facts=("word " * 60,), basis="x" * 300)
    change(made, name, lost_examples=("{" + "y" * 300,), lost_more=9, waived="z" * 300)
    names = ["teacher", "student-" + "x" * 50]
    halves = dict.fromkeys(names, "1/2")
    made.take(
        Share(
            models=[model(name, trained="words " * 40) for name in names],
            scores=[scores(f"metric_number_{i}", **halves) for i in range(9)],
        )
    )
    lines = lines_of(made, width, verbosity)
    assert max(map(wcswidth, lines)) <= width
    assert name in "".join(line.strip() for line in lines)
    tables = verbosity >= 0
    assert all(any(f"metric_number_{i}" in line for line in lines) for i in range(9)) is tables


def test_the_last_line_names_whom_it_can() -> None:
    """Names stand behind the decision as far as the terminal is wide."""
    made = ledger(a=("skipped", []), **{f"x.py::test_{i}": ("skipped", []) for i in range(9)})
    assert last_line(made.report(), 60) == "INCOMPLETE: 10 gates did not run: a, test_0, and 8 more"
    assert last_line(made.report(), 30) == "INCOMPLETE: 10 gates did not run"


def test_the_json_has_the_same_content() -> None:
    """Schema, outcome and reason stand beside the rows."""
    made = ledger(a=("failed", ["FAILED"]))
    told = json.loads(text(made.report()))
    assert (told["schema"], told["outcome"]) == (2, "DO NOT SHIP")
    assert told["remarks"] == []
    assert told["gates"][0]["observed"] == 0.9499999


def test_a_number_that_is_none_is_no_json() -> None:
    """A NaN somewhere is an error, and no null that a reader takes for something unknown."""
    made = ledger(a=("failed", ["FAILED"]))
    change(made, "a", p_value=float("nan"))
    with pytest.raises(ValueError, match="JSON compliant"):
        text(made.report())


@pytest.mark.parametrize(("room", "shown"), [(20, "a-long-name"), (8, "a-l..ame"), (5, "a..me")])
def test_shortened_keeps_both_ends(room: int, shown: str) -> None:
    """The middle says least."""
    assert shortened("a-long-name", room) == shown
