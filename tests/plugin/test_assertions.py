from __future__ import annotations

import json

import pytest

from .project import (
    Project,
    Run,
    answers,
    decision_of,
    failing_lines,
    gold,
    recorded,
    refuse_package_frames,
    rows_of,
    said,
)

IF_SO = "if the truth is as observed"
LOST = "reviews-student-accuracy-quality-retained"

HEAD = """
import unittest
import pytest
import numpy as np
from pytest_distill import MeanMetric, assert_beats_sft, assert_quality_retained, assert_score

"""


def gate(project: Project, *statements: str, marker: str = "eval='reviews'") -> None:
    """Write a test file with one test of these statements."""
    body = "".join(f"    {statement}\n" for statement in statements)
    project.file("test_ship.py", f"{HEAD}@pytest.mark.distill({marker})\ndef test_gate():\n{body}")


@pytest.mark.parametrize(
    ("passing", "failing", "headline"),
    [
        (
            "assert_quality_retained(min=0.94)",
            "assert_quality_retained(min=0.945)",
            "assert 0.9444 >= 0.945 quality retained (accuracy)",
        ),
        (
            "assert_quality_retained(0.9439, metric='macro_f1')",
            "assert_quality_retained(0.945, metric='macro_f1')",
            "assert 0.9440 >= 0.945 quality retained (macro_f1)",
        ),
        (
            "assert_quality_retained(min=0.7, slice='lang=de')",
            "assert_quality_retained(min=0.71, slice='lang=de')",
            "assert 0.7000 >= 0.71 quality retained (accuracy)",
        ),
        (
            "assert_quality_retained(min=1.25, slice={'lang': 'en'})",
            "assert_quality_retained(min=1.26, slice={'lang': 'en'})",
            "assert 1.2500 >= 1.26 quality retained (accuracy)",
        ),
        (
            "assert_beats_sft(min_gain=0.09, confidence=None)",
            "assert_beats_sft(min_gain=0.1, confidence=None)",
            "assert 0.1000 > 0.1 gained over SFT (accuracy)",
        ),
        (
            "assert_score(0.85)",
            "assert_score(0.851)",
            "assert 0.8500 >= 0.851 accuracy of student",
        ),
        (
            "assert_score(min=0.75, model='sft')",
            "assert_score(min=0.76, model='sft')",
            "assert 0.7500 >= 0.76 accuracy of sft",
        ),
    ],
)
def test_passes_at_the_number_and_fails_beyond(
    project: Project, run: Run, passing: str, failing: str, headline: str
) -> None:
    """Each assertion judges the exact number, and its message starts with it."""
    gate(project, passing)
    run().assert_outcomes(passed=1)
    gate(project, failing)
    result = run()
    result.assert_outcomes(failed=1)
    assert failing_lines(result)[0] == headline
    assert f"E       {headline}" in result.outlines


def test_reads_like_a_native_assert(project: Project, run_both: Run) -> None:
    """The message has n, models, interval, flips, slices and file, in at most 15 lines."""
    gate(project, "assert_quality_retained(min=0.95)")
    result = run_both()
    message = [line for line in result.outlines if line.startswith("E ")]
    assert message == [
        "E       assert 0.9444 >= 0.95 quality retained (accuracy)",
        "E         eval reviews, n = 20",
        "E         teacher  accuracy 0.9000, 1,000 parameters",
        "E         student  accuracy 0.8500, 100 parameters",
        "E         95 % interval 0.6876 to 1.2760 (score)",
        "E         flips: 3 lost, 2 won",
        f"E         within noise: about 58,589 examples would settle it, {IF_SO}",
        "E         worst slices (n, teacher, student, retained):",
        "E           lang=de      10  1.0000  0.7000  0.7000",
        "E           lang=en      10  0.8000  1.0000  1.2500",
        f"E         lost examples: .distill/lost/test-gate-{LOST}.jsonl",
    ]
    assert "FAILED test_ship.py::test_gate - assert 0.9444 >= 0.95 quality" in said(result)
    refuse_package_frames(result)


def test_shows_the_line_of_the_test_and_no_other(project: Project, run: Run) -> None:
    """The only frame is the user's own, for functions and methods alike."""
    gate(project, "assert_quality_retained(min=0.95)")
    result = run()
    assert [line for line in result.outlines if line.startswith(">")] == [
        ">       assert_quality_retained(min=0.95)"
    ]
    (place,) = [line for line in result.outlines if line.endswith(": AssertionError")]
    assert place == "test_ship.py:9: AssertionError"


def test_shows_the_three_worst_slices_at_most(project: Project, run: Run) -> None:
    """However many slices there are, the message stays within 15 lines, worst first."""
    rows = [{**row, "lang": f"l{i // 4}", "kind": f"k{i % 2}"} for i, row in enumerate(gold())]
    project.rows("gold.jsonl", rows)
    project.evals["reviews"]["slices"] = ["lang", "kind"]
    project.save()
    gate(project, "assert_quality_retained(min=0.95)")
    message = failing_lines(run())
    assert len(message) <= 15
    start = message.index("worst slices (n, teacher, student, retained):")
    # l0: student right on 1 of 4; kinds 8/9 (k0 loses e0, e2, wins e18) and 9/9.
    assert [line.split() for line in message[start + 1 : start + 4]] == [
        ["lang=l0", "4", "1.0000", "0.2500", "0.2500"],
        ["kind=k0", "10", "0.9000", "0.8000", "0.8888"],
        ["lang=l1", "4", "1.0000", "1.0000", "1.0000"],
    ]


def test_the_file_holds_exactly_the_lost_examples(project: Project, run: Run) -> None:
    """One JSON line for each: id, fields, and what both models said."""
    gate(project, "assert_quality_retained(min=0.95)")
    (line,) = [line for line in failing_lines(run()) if line.startswith("lost examples: ")]
    path = project.path / line.removeprefix("lost examples: ")
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["e0", "e1", "e2"]
    assert rows[0]["fields"] == gold()[0]
    assert rows[0]["teacher"] == {"score": 1.0, "answer": "pos"}
    assert rows[0]["student"] == {"score": 0.0, "answer": "neg"}
    assert (project.path / ".distill" / ".gitignore").read_text() == "*\n"


def test_gates_that_differ_do_not_share_a_file(project: Project, run: Run) -> None:
    """The file that a message names holds what that gate lost, after the whole run too."""
    project.file(
        "test_ship.py",
        f"{HEAD}"
        "def test_all():\n    assert_quality_retained(min=0.95)\n"
        "def test_en():\n    assert_quality_retained(min=1.5, slice='lang=en')\n"
        "def test_de():\n    assert_quality_retained(min=0.95, slice='lang=de')\n"
        "def test_id():\n    assert_quality_retained(1.5, slice={'lang': 'de', 'id': 'e1'})\n",
    )
    lines = failing_lines(run())
    named = [line.split(": ")[1] for line in lines if line.startswith("lost examples: ")]
    found = [
        [json.loads(row)["id"] for row in (project.path / name).read_text().splitlines()]
        for name in named
    ]
    assert found == [["e0", "e1", "e2"], ["e0", "e1", "e2"], ["e1"]]


def test_a_lost_sft_gate_names_what_sft_got_right(project: Project, run: Run) -> None:
    """The examples of `assert_beats_sft` are those that the SFT student had right."""
    project.file("student.jsonl", (project.path / "sft.jsonl").read_text())
    project.file("sft.jsonl", (project.path / "teacher.jsonl").read_text())
    gate(project, "assert_beats_sft(confidence=None)")
    (line,) = [line for line in failing_lines(run()) if line.startswith("lost examples: ")]
    rows = (project.path / line.removeprefix("lost examples: ")).read_text().splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["e0", "e1", "e2", "e3", "e4"]
    assert set(json.loads(rows[0])) == {"id", "fields", "sft", "student"}


def test_a_read_only_project_still_says_why(project: Project, run: Run) -> None:
    """Where the file cannot be written the message does without it."""
    project.file(".distill", "in the way")
    gate(project, "assert_quality_retained(min=0.95)")
    result = run()
    result.assert_outcomes(failed=1)
    assert failing_lines(result)[0] == "assert 0.9444 >= 0.95 quality retained (accuracy)"
    assert "lost examples" not in said(result)


@pytest.mark.parametrize(
    "least",
    ["np.float64(0.9)", "np.float32(0.5)", "np.int64(1) * 0.9", "1e-9", "9.4e-1"],
)
def test_takes_any_kind_of_number(project: Project, run: Run, least: str) -> None:
    """Any real number is a floor, scalars of numpy too."""
    gate(project, f"assert_quality_retained(min={least})", f"assert_score(min={least} / 2)")
    run().assert_outcomes(passed=1)


def test_no_numpy_scalar_crosses_to_the_controller(project: Project, run_both: Run) -> None:
    """A verdict about numpy numbers arrives as plain floats, and the run ships."""
    gate(project, "assert_quality_retained(min=np.float64(0.9))", "assert_score(np.float32(0.5))")
    result = run_both("--distill-report", "--distill-json", "out.json")
    assert decision_of(result) == ("SHIP", "")
    assert [gate["required"] for gate in project.json()["gates"]] == [0.9, 0.5]


def test_shows_a_numpy_floor_as_a_number(project: Project, run: Run) -> None:
    """The message says 0.95, not np.float64(0.95)."""
    gate(project, "assert_quality_retained(min=np.float64(0.95))")
    assert failing_lines(run())[0] == "assert 0.9444 >= 0.95 quality retained (accuracy)"


def test_more_than_the_teacher_may_be_asked_for(project: Project, run: Run) -> None:
    """`min` above 1 asks for a student that beats its teacher: 20/18 = 1.1111."""
    project.rows("student.jsonl", answers(range(20)))
    gate(project, "assert_quality_retained(min=1.11)")
    run().assert_outcomes(passed=1)
    gate(project, "assert_quality_retained(min=1.12)")
    assert failing_lines(run())[0].startswith("assert 1.1111 >= 1.12 ")


@pytest.mark.parametrize(
    "value",
    [
        "float('nan')",
        "float('inf')",
        "None",
        "'x'",
        "'0.9'",
        "True",
        "0",
        "-1",
        "1j",
        "[0.9]",
        "np.float64('nan')",
        "np.array([0.9])",
    ],
)
def test_a_floor_that_is_no_positive_number_is_an_error(
    project: Project, run: Run, value: str
) -> None:
    """It never passes, names the argument and its value, and shows no frame of the package."""
    gate(project, f"assert_quality_retained(min={value})")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert failing_lines(result)[-1].startswith("pytest_distill.ConfigError: min=")
    told = failing_lines(result)[-1]
    assert "such as 0.95" in told or "a share of the teacher's, above 0 and at most 2" in told
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_gate")
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("assert_score(min='x')", "min='x': must be a finite number"),
        ("assert_score(min=float('nan'))", "min=nan: must be a finite number"),
        ("assert_beats_sft(min_gain=None)", "min_gain=None: must be a finite number"),
        ("assert_beats_sft(min_gain=float('inf'))", "min_gain=inf: must be a finite number"),
        ("assert_score()", "higher accuracy is better: give min="),
        ("assert_score(max=0.9)", "higher accuracy is better: give min="),
        ("assert_score(min=0.5, max=0.9)", "higher accuracy is better: give min="),
        ("assert_score(0.5, model='studnet')", "has no model 'studnet'; did you mean 'student'?"),
        ("assert_score(0.5, metric='acuracy')", "no metric 'acuracy'; did you mean 'accuracy'?"),
        ("assert_score(0.5, eval='review')", "no eval 'review'; did you mean 'reviews'?"),
        (
            "assert_quality_retained(0.9, student='studnet')",
            "no student 'studnet'; did you mean 'student'?",
        ),
        ("assert_quality_retained(0.9, slice='lang')", "expected 'field=value', got 'lang'"),
        ("assert_quality_retained(0.9, slice='lnag=de')", "did you mean 'lang'?"),
        (
            "assert_quality_retained(0.9, slice='lang=dee')",
            "no example has lang=dee; did you mean 'de'?",
        ),
        (
            "assert_quality_retained(0.9, slice={'lang': 'de', 'id': 'e15'})",
            "no example is in the slice",
        ),
        ("assert_quality_retained(0.9, slice={})", "slice"),
        ("assert_quality_retained(0.9, slice=3)", "slice"),
        ("assert_quality_retained(0.9, metric=3)", "metric"),
        ("assert_quality_retained(0.9, metric=MeanMetric)", "metric"),
    ],
)
def test_a_wrong_argument_is_an_error(project: Project, run: Run, call: str, message: str) -> None:
    """It names what is wrong and what would be right, and shows no frame of the package."""
    gate(project, call)
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    last = failing_lines(result)[-1]
    assert last.startswith("pytest_distill.")
    assert message in last
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_gate")
    refuse_package_frames(result)


def test_takes_a_metric_of_ones_own(project: Project, run: Run) -> None:
    """A metric object counts like a named one, and its name stands in the report."""
    gate(
        project,
        "short = MeanMetric('short', lambda a: float(len(a.predicted) == 3 and a.correct))",
        "assert_quality_retained(min=0.94, metric=short)",
        "assert_score(min=0.85, metric=short)",
        "assert_beats_sft(metric=short, min_gain=0.09, confidence=None)",
        "assert_quality_retained(min=0.95, metric=short)",
    )
    result = run("--distill-report")
    assert failing_lines(result)[0] == "assert 0.9444 >= 0.95 quality retained (short)"
    assert [row[5] for row in rows_of(result, "PASSED")] == ["short,"] * 3


def test_lower_is_better_turns_everything_round(project: Project, run: Run) -> None:
    """The ratio is teacher / student, the gain is what went away, and the bound is `max=`."""
    metric = {"name": "wer", "higher_is_better": False, "range": [0.0, 10.0]}
    project.evals["reviews"]["metrics"] = [metric]
    project.save()
    for name, score in (("teacher", 0.2), ("student", 0.25), ("sft", 0.5)):
        project.rows(
            f"{name}.jsonl", ({"id": f"e{i}", "scores": {"wer": score}} for i in range(20))
        )
    gate(
        project,
        "assert_quality_retained(min=0.8)",
        "assert_beats_sft(min_gain=0.24, confidence=None)",
        "assert_score(max=0.25)",
    )
    run().assert_outcomes(passed=1)
    for call, headline in (
        ("assert_quality_retained(min=0.81)", "assert 0.8000 >= 0.81 quality retained (wer)"),
        ("assert_beats_sft(min_gain=0.25)", "assert 0.2500 > 0.25 gained over SFT (wer)"),
        ("assert_score(max=0.24)", "assert 0.2500 <= 0.24 wer of student"),
    ):
        gate(project, call)
        message = failing_lines(run())
        assert message[0] == headline
        noted = "note: lower wer is better: retained = teacher / student" in message
        assert noted == ("retained" in call)
    for call in ("assert_score(min=0.2)", "assert_score()", "assert_score(0.1, max=0.3)"):
        gate(project, call)
        result = run()
        result.assert_outcomes(failed=1)
        assert "lower wer is better: give max=, not min=" in said(result)


@pytest.mark.parametrize(
    ("teacher", "student", "n", "least"),
    [(900, 855, 1000, 0.95), (90, 81, 100, 0.9), (1000, 700, 1000, 0.7), (300, 87, 300, 0.29)],
)
def test_the_exact_boundary_passes(
    project: Project, run: Run, teacher: int, student: int, n: int, least: float
) -> None:
    """855/900 is 0.95, although 0.855 / 0.9 in floats need not be."""
    project.sizes(teacher, student, student - 1, n)
    gate(project, f"assert_quality_retained(min={least})")
    run().assert_outcomes(passed=1)
    project.sizes(teacher, student - 1, student - 2, n)
    run().assert_outcomes(failed=1)


def test_equal_scores_do_not_beat(project: Project, run: Run) -> None:
    """A student as good as plain SFT was not worth distilling."""
    project.file("sft.jsonl", (project.path / "student.jsonl").read_text())
    gate(project, "assert_beats_sft(confidence=None)")
    result = run()
    result.assert_outcomes(failed=1)
    assert failing_lines(result)[:4] == [
        "assert 0.0000 > 0 gained over SFT (accuracy)",
        "eval reviews, n = 20",
        "sft      accuracy 0.8500, 100 parameters",
        "student  accuracy 0.8500, 100 parameters",
    ]


def test_a_worse_student_has_a_negative_gain(project: Project, run: Run) -> None:
    """The gain is cut off towards minus infinity."""
    project.sizes(300, 200, 201, 300)
    gate(project, "assert_beats_sft(confidence=None)")
    assert failing_lines(run())[0] == "assert -0.0034 > 0 gained over SFT (accuracy)"


@pytest.mark.parametrize(("sft", "refused"), [(95, False), (105, False), (94, True), (106, True)])
def test_sizes_may_differ_by_five_per_cent(
    project: Project, run: Run, sft: int, refused: bool
) -> None:
    """An SFT student of another size says nothing about distilling, and is refused."""
    project.models["sft"]["parameters"] = sft
    project.save()
    gate(project, "assert_beats_sft(confidence=None)")
    result = run()
    result.assert_outcomes(passed=not refused, failed=refused)
    if refused:
        assert (
            f"pytest_distill.ComparisonError: 'sft' has {sft} parameters and 'student' 100: "
            "they differ by 6.0%, more than sft_size_tolerance: 0.05 allows; "
            "take an SFT student of the same size"
        ) in failing_lines(result)
        refuse_package_frames(result)


def test_the_tolerance_is_configurable(project: Project, run: Run) -> None:
    """`sft_size_tolerance: 0.5` allows half as many parameters."""
    project.models["sft"]["parameters"] = 50
    project.config["sft_size_tolerance"] = 0.5
    project.save()
    gate(project, "assert_beats_sft(confidence=None)")
    run().assert_outcomes(passed=1)
    project.config["sft_size_tolerance"] = 0
    project.models["sft"]["parameters"] = 99
    project.save()
    run().assert_outcomes(failed=1)


def test_an_unknown_size_is_noted(project: Project, run: Run) -> None:
    """It is not refused: the gate counts, and the JSON and a failing message say so."""
    project.models["sft"] = recorded("sft")
    project.save()
    gate(project, "assert_beats_sft(confidence=None)")
    run("--distill-json", "out.json").assert_outcomes(passed=1)
    assert project.json()["gates"][0]["notes"] == ["the size of sft is not known"]
    gate(project, "assert_beats_sft(min_gain=0.5)")
    assert "note: the size of sft is not known" in failing_lines(run())


def test_works_in_a_unittest_test_case(project: Project, run_both: Run) -> None:
    """The functions act on a TestCase method as on a function."""
    project.file(
        "test_ship.py",
        f"{HEAD}"
        "@pytest.mark.distill(eval='reviews')\n"
        "class TestShip(unittest.TestCase):\n"
        "    def test_keeps(self):\n        assert_quality_retained(min=0.9)\n"
        "    def test_strict(self):\n        assert_quality_retained(min=0.95)\n",
    )
    result = run_both("--distill-report")
    result.assert_outcomes(passed=1, failed=1)
    assert failing_lines(result)[0] == "assert 0.9444 >= 0.95 quality retained (accuracy)"
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_works_without_any_marker(project: Project, run: Run) -> None:
    """Where there is one eval, a plain test with a gate in it is a gate test."""
    project.file("test_ship.py", f"{HEAD}def test_it():\n    assert_quality_retained(0.95)\n")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_works_in_a_fixture(project: Project, run: Run) -> None:
    """A gate in a fixture belongs to the test that asked for it."""
    project.file(
        "test_ship.py",
        f"{HEAD}"
        "@pytest.fixture\ndef good():\n    assert_quality_retained(0.95)\n\n"
        "@pytest.mark.distill\ndef test_it(good):\n    pass\n",
    )
    result = run("--distill-report")
    result.assert_outcomes(errors=1)
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_outside_of_a_test_there_is_nothing_to_judge(project: Project, run_forked: Run) -> None:
    """At import the functions say so."""
    project.file("test_ship.py", f"{HEAD}assert_quality_retained(min=0.9)\n")
    result = run_forked()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "assert_quality_retained() judges the running test's models" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize(
    "swallowed",
    [
        "with contextlib.suppress(AssertionError):\n        assert_quality_retained(min=0.95)",
        "with pytest.raises(AssertionError):\n        assert_quality_retained(min=0.95)",
        "try:\n        assert_quality_retained(min=0.95)\n    except BaseException:\n        pass",
    ],
)
def test_a_swallowed_failure_turns_its_test_red(project: Project, run: Run, swallowed: str) -> None:
    """A gate that did not pass cannot be caught away: test, report and exit status say so."""
    project.file("test_ship.py", f"import contextlib\n{HEAD}def test_it():\n    {swallowed}\n")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert "the test went on after a gate that did not pass:" in said(result)
    assert "assert 0.9444 >= 0.95 quality retained (accuracy)" in said(result)
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_gate_that_an_error_followed_is_still_reported(project: Project, run: Run) -> None:
    """A gate that failed before something else broke keeps its verdict."""
    gate(
        project,
        "try:\n        assert_quality_retained(0.95)\n    except AssertionError:\n        1 / 0",
    )
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_an_xfailed_gate_does_not_ship(project: Project, run: Run) -> None:
    """An xfail keeps the test from failing, not the verdict from counting."""
    project.file(
        "test_ship.py",
        f"{HEAD}@pytest.mark.xfail\ndef test_it():\n    assert_quality_retained(min=0.95)\n",
    )
    result = run("--distill-report")
    result.assert_outcomes(xfailed=1)
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_several_gates_in_one_test_each_have_a_row(project: Project, run: Run) -> None:
    """The first that fails ends the test; those before it are recorded."""
    gate(
        project,
        "assert_quality_retained(0.9)",
        "assert_score(0.9)",
        "assert_beats_sft(confidence=None)",
    )
    result = run("--distill-report")
    assert [row[:2] for row in rows_of(result, "PASSED")] == [["PASSED", "0.9444"]]
    assert [row[:2] for row in rows_of(result, "FAILED")] == [["FAILED", "0.8500"]]
