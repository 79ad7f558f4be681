from __future__ import annotations

import json

import pytest

from .project import (
    FAILS,
    SHIPS,
    Project,
    Run,
    decision_of,
    gold,
    recorded,
    report_of,
    review_eval,
    rows_of,
    said,
)


def test_ships_when_every_gate_passed(project: Project, run_both: Run) -> None:
    """SHIP stands alone in the last line, and the exit status is 0."""
    project.file("test_ship.py", SHIPS)
    result = run_both("--distill-report")
    assert decision_of(result) == ("SHIP", "")
    assert result.ret == pytest.ExitCode.OK


def test_prints_the_same_tables_with_workers(project: Project, run_both: Run) -> None:
    """The models, their numbers and the gates stand in the same lines with and without xdist."""
    project.file("test_ship.py", SHIPS)
    assert report_of(run_both("--distill-report")) == [
        "reviews, 20 examples",
        "         params  accuracy  retained  macro_f1",
        "teacher     1k*    0.9000              0.9000",
        "student    100*    0.8500    0.9444    0.8496",
        "sft        100*    0.7500    0.8333    0.7493",
        "",
        "* declared, not measured: teacher, student, sft",
        "",
        "test_keeps",
        "  PASSED  0.9444 >= 0.9  quality_retained  0.6876..1.2760, 3 lost, within noise",
        "test_pays",
        "  PASSED  0.1000 > 0     beats_sft         p = 0.2500, 2 wins, 0 losses, within",
        "                                           noise",
        "",
        "reviews: this student is not shown to beat this SFT student: +10.0 points (p =",
        "  0.2500)",
        "",
        "SHIP: 2 of 2 gates passed                             (more: -v, --distill-json)",
    ]


def test_lists_models_as_the_yaml_does_whichever_worker_ends_first(
    project: Project, run_both: Run
) -> None:
    """The order of models and evals is the yaml's, not that in which they were evaluated."""
    project.evals["second"] = review_eval(metrics=["accuracy"])
    project.save()
    project.file(
        "test_a.py",
        """
        import pytest
        from pytest_distill import assert_beats_sft

        @pytest.mark.distill(eval="second")
        def test_pays():
            assert_beats_sft(confidence=None)
        """,
    )
    slowly = "def test_keeps():\n        import time; time.sleep(1)"
    project.file("test_b.py", SHIPS.replace("def test_keeps():", slowly))
    result = run_both("--distill-report", "--dist=loadfile")
    lines = report_of(result)
    assert [line.split()[0] for line in lines if line.endswith(" 20 examples")] == [
        "reviews,",
        "second,",
    ]
    names = [line.split()[0] for line in lines[2:5]]
    assert names == ["teacher", "student", "sft"]


def test_does_not_ship_when_a_gate_failed(project: Project, run_both: Run) -> None:
    """DO NOT SHIP counts the gates that did not pass, and the exit status is 1."""
    project.file("test_ship.py", SHIPS)
    project.file("test_strict.py", FAILS)
    result = run_both("--distill-report")
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 3 did not pass: test_keeps")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [row[1:4] for row in rows_of(result, "FAILED")] == [["0.9444", ">=", "0.95"]]


@pytest.mark.parametrize(
    ("option", "test"),
    [
        (("-k", "keeps"), "test_pays"),
        (("-m", "not slow"), "test_slow"),
        (("--deselect", "test_ship.py::test_pays"), "test_pays"),
    ],
    ids=["k", "m", "deselect"],
)
def test_is_incomplete_when_a_gate_was_deselected(
    project: Project, run_both: Run, option: tuple[str, ...], test: str
) -> None:
    """A gate that was deselected did not run: the run names it and does not exit with 0."""
    slow = "@pytest.mark.slow\n    def test_slow():\n        assert_beats_sft(confidence=None)\n"
    project.file("pytest.ini", "[pytest]\nmarkers = slow\n")
    project.file("test_ship.py", f"{SHIPS}\n    {slow if option[0] == '-m' else ''}")
    result = run_both("--distill-report", *option)
    assert decision_of(result) == ("INCOMPLETE", f"1 gate did not run: {test}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("pytest.skip('later')", "skipped"),
        ("pytest.xfail('known')", "xfailed"),
        ("raise RuntimeError('broken')", "error"),
    ],
)
def test_is_incomplete_when_a_gate_test_never_judged(
    project: Project, run: Run, body: str, note: str
) -> None:
    """A gate test that was skipped, xfailed or broke before its gate is NOT RUN, and says why."""
    project.file("test_ship.py", f"{SHIPS}\n    def test_odd():\n        {body}\n")
    result = run("--distill-report")
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_odd")
    assert rows_of(result, "NOT")[0][:3] == ["NOT", "RUN", note.rstrip(",") + ","]
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_is_incomplete_when_a_gate_that_passed_is_followed_by_an_error(
    project: Project, run: Run
) -> None:
    """A test that broke after its gate passed leaves the run incomplete, not shippable."""
    project.file(
        "test_ship.py",
        f"{SHIPS}\n    def test_odd():\n        assert_beats_sft(confidence=None)\n        1 / 0\n",
    )
    result = run("--distill-report")
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_odd")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_is_incomplete_when_a_test_file_does_not_import(project: Project, run_both: Run) -> None:
    """A file that could not be collected may have held gates, so nothing ships."""
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "import no_such_module\n")
    result = run_both("--distill-report", "--continue-on-collection-errors")
    assert decision_of(result) == ("INCOMPLETE", "1 file not collected: test_other.py")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_is_incomplete_when_nothing_was_gated(project: Project, run: Run) -> None:
    """A suite whose tests ask no gate passes its tests and still does not ship."""
    project.file("test_other.py", "def test_nothing():\n    pass\n")
    result = run("--distill-report")
    assert decision_of(result) == ("INCOMPLETE", "no gate gave a verdict")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_is_incomplete_when_there_are_no_tests(project: Project, run: Run) -> None:
    """A run without any test keeps pytest's own exit status 5 and does not ship."""
    project.file("test_other.py", "")
    result = run("--distill-report")
    assert decision_of(result) == ("INCOMPLETE", "no gate gave a verdict")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_failing_test_without_gates_keeps_a_run_from_shipping(project: Project, run: Run) -> None:
    """The report agrees with the exit status when a plain test beside the gates fails."""
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "def test_plain():\n    assert not 1\n")
    result = run("--distill-report")
    assert decision_of(result) == ("INCOMPLETE", "1 test failed: test_plain")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_worker_that_dies_does_not_ship(project: Project, run: Run) -> None:
    """A gate test that takes its xdist worker down fails, and the run says which one."""
    dies = "def test_dies():\n        import os\n        os._exit(0)\n"
    project.file("test_ship.py", f"{SHIPS}\n    {dies}")
    result = run("-n", "2", "--distill-report")
    outcome, reason = decision_of(result)
    assert outcome in ("INCOMPLETE", "DO NOT SHIP")
    assert "test_dies" in reason
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_an_own_assertion_of_a_gate_test_counts(project: Project, run: Run) -> None:
    """A gate test that asserts something of its own is a gate too, passed and failed."""
    project.file(
        "test_ship.py",
        f"{SHIPS}"
        "\n    def test_small(teacher, student):"
        "\n        assert student.info.parameters < teacher.info.parameters / 4"
        "\n    def test_tiny(teacher, student):"
        "\n        assert student.info.parameters < teacher.info.parameters / 40\n",
    )
    result = run("--distill-report")
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 4 did not pass: test_tiny")
    assert rows_of(result, "FAILED")[0][:2] == ["FAILED", "own_assertion"]
    assert rows_of(result, "PASSED")[-1] == ["PASSED", "own_assertion"]


def test_says_nothing_unless_asked(project: Project, run: Run) -> None:
    """Without an option the gates are plain tests: no report, and pytest's own exit status."""
    project.file("test_ship.py", SHIPS)
    result = run()
    assert "distill report" not in said(result)
    assert result.ret == pytest.ExitCode.OK


def test_cuts_numbers_off_instead_of_rounding_them(project: Project, run: Run) -> None:
    """968/1019 = 0.949951 would be 0.9500 when rounded to four places; it prints as 0.9499."""
    project.sizes(1019, 968, 900, 1100)
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_quality_retained

        def test_keeps(comparison):
            assert 0.94995 < comparison.retained() < 0.95
            assert_quality_retained(min=0.95)
        """,
    )
    result = run("--distill-report")
    assert rows_of(result, "student")[0][2:4] == ["0.8800", "0.9499"]
    assert rows_of(result, "FAILED")[0][1:4] == ["0.9499", ">=", "0.95"]


def test_a_score_that_just_misses_one_is_not_shown_as_one(project: Project, run: Run) -> None:
    """10000/10001 prints as 0.9999, not as 1.0000."""
    project.sizes(10001, 10000, 8000, 10001)
    project.file("test_ship.py", SHIPS)
    result = run("--distill-report")
    assert rows_of(result, "student")[0][2:4] == ["0.9999", "0.9999"]


@pytest.mark.parametrize("student", [57, 58, 79, 29])
def test_a_gate_on_its_boundary_reads_as_passed(project: Project, run: Run, student: int) -> None:
    """Observed and required print as the same number where they are the same number."""
    project.sizes(100, student, 10, 100)
    project.file(
        "test_ship.py",
        f"""
        from pytest_distill import assert_quality_retained, assert_score

        def test_retained(comparison):
            assert_quality_retained(min=0.{student})

        def test_score(comparison):
            assert_score(min=0.{student})
        """,
    )
    result = run("--distill-report")
    rows = rows_of(result, "PASSED")
    assert [row[1:4] for row in rows] == [[f"0.{student}00", ">=", f"0.{student}"]] * 2


def test_fits_80_columns_with_very_long_names(project: Project, run: Run) -> None:
    """Names of tests go on in the next line, metrics in further tables; the numbers stay whole."""
    long = "distilled-student-with-a-very-long-name-indeed-" * 2
    metric = "a_metric_with_a_name_that_is_longer_than_any_sensible_metric_has"
    project.models.clear()
    project.models["teacher-" + long] = recorded("teacher", role="teacher", parameters=7 * 10**9)
    project.models[long] = recorded("student", role="student", trained={"notes": "words " * 40})
    project.evals.clear()
    for name in ("reviews-in-many-languages-from-many-sources-" * 3, "reviews"):
        project.evals[name] = review_eval(
            metrics=["accuracy", "macro_f1", "matthews", {"name": metric, "range": [0.0, 1.0]}]
        )
    for name in ("teacher", "student"):
        rows = ({"id": f"e{i}", "prediction": "pos", "scores": {metric: 0.5}} for i in range(20))
        project.rows(f"{name}.jsonl", rows)
    project.save()
    evals = list(project.evals)
    test = "test_that_the_student_keeps_enough_of_the_teachers_quality_on_every_language"
    project.file(
        "test_ship.py",
        f"""
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.parametrize("name", {evals})
        @pytest.mark.parametrize("metric", ["accuracy", "{metric}"])
        @pytest.mark.distill
        def {test}(name, metric):
            assert_quality_retained(min=0.9, eval=name, metric=metric)
            assert_quality_retained(min=0.9, eval=name, metric=metric, slice="lang=de")
        """,
    )
    result = run("--distill-report")
    assert decision_of(result) == ("SHIP", "")
    too_long = [line for line in report_of(result) if len(line) > 80]
    assert too_long == []
    assert len(rows_of(result, "PASSED")) == 8
    assert all(row[1:4] == ["1.0000", ">=", "0.9"] for row in rows_of(result, "PASSED"))


def test_the_decision_fits_80_columns(project: Project, run: Run) -> None:
    """The last line stays within the terminal however many gates did not run."""
    more = "".join(f"\n    def test_more_{i}():\n        pytest.skip('later')" for i in range(40))
    project.file("test_ship.py", SHIPS + more)
    result = run("--distill-report")
    assert [line for line in report_of(result) if len(line) > 80] == []


def test_shows_every_eval_in_a_table_of_its_own(project: Project, run: Run) -> None:
    """With two evals each has its table, and the gates say which eval they are about."""
    project.evals["second"] = review_eval(metrics=["macro_f1"])
    project.save()
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_quality_retained
        import pytest

        @pytest.mark.distill(eval="reviews")
        def test_first():
            assert_quality_retained(min=0.9)

        @pytest.mark.distill(eval="second")
        def test_second():
            assert_quality_retained(min=0.9)
        """,
    )
    result = run("--distill-report")
    lines = report_of(result)
    assert decision_of(result) == ("SHIP", "")
    assert [line for line in lines if line.endswith("20 examples")] == [
        "reviews, 20 examples",
        "second, 20 examples",
    ]
    # Student: 17/20 right; macro-F1 0.84962 of the teacher's 0.9 is 0.94402.
    passed = rows_of(result, "PASSED")
    assert [row[5] for row in passed] == ["reviews,", "second,"]
    assert passed[1][1] == "0.9440"


def test_tells_several_distill_yaml_apart(project: Project, run_both: Run) -> None:
    """One run over two projects shows each eval under the name of its distill.yaml."""
    for folder in ("a", "b"):
        project.save(f"{folder}/distill.yaml")
        for name in ("gold", "teacher", "student", "sft"):
            text = (project.path / f"{name}.jsonl").read_text()
            project.file(f"{folder}/{name}.jsonl", text)
        project.file(f"{folder}/test_{folder}.py", SHIPS)
    project.file("b/student.jsonl", (project.path / "teacher.jsonl").read_text())
    (project.path / "distill.yaml").unlink()
    result = run_both("--distill-report")
    assert decision_of(result) == ("SHIP", "a/distill.yaml, b/distill.yaml")
    assert sorted(line for line in report_of(result) if ", 20 examples, " in line) == [
        "reviews, 20 examples, a/distill.yaml",
        "reviews, 20 examples, b/distill.yaml",
    ]
    assert sorted(row[3] for row in rows_of(result, "student")) == ["0.9444", "1.0000"]


def test_collecting_alone_is_incomplete(project: Project, run: Run) -> None:
    """`--collect-only` runs no gate: whoever asks for the report is told, and fails."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-report", "--collect-only", "-q")
    assert "INCOMPLETE (tests were collected and not run)" in result.outlines
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_says_what_a_model_was_trained_on(project: Project, run: Run) -> None:
    """`trained:` stands as a footnote under the table."""
    project.models["student"]["trained"] = {"labels": 3000, "steps": 400, "notes": "KD, T = 2"}
    project.models["sft"]["trained"] = {"tokens": 1_000_000}
    project.save()
    project.file("test_ship.py", SHIPS)
    lines = report_of(run("--distill-report", "-v"))
    assert "student: trained: 3,000 labels, 400 steps; KD, T = 2" in lines
    assert "sft: trained: 1,000,000 tokens" in lines


def test_says_when_lower_is_better(project: Project, run: Run) -> None:
    """A lower-is-better score is rounded up, its ratio turned round, and a footnote says so."""
    metric = {"name": "wer", "higher_is_better": False, "range": [0.0, 10.0]}
    project.evals["reviews"]["metrics"] = [metric]
    for name, score in (("teacher", 0.200004), ("student", 0.250001), ("sft", 0.3)):
        project.rows(
            f"{name}.jsonl", ({"id": f"e{i}", "scores": {"wer": score}} for i in range(20))
        )
    project.save()
    project.file("test_ship.py", SHIPS.replace("min=0.9", "min=0.8"))
    result = run("--distill-report")
    assert rows_of(result, "teacher")[0][2:] == ["0.2001"]
    assert rows_of(result, "student")[0][2:] == ["0.2501", "0.8000"]
    assert rows_of(result, "sft")[0][2:] == ["0.3000", "0.6666"]
    assert "lower is better, retained = teacher / student: wer" in report_of(result)
    assert rows_of(result, "PASSED")[1][1] == "0.0499"


def test_works_without_the_terminal_plugin(project: Project, run: Run) -> None:
    """`-p no:terminal` leaves no place for a report, and the exit status still tells."""
    project.file("test_ship.py", SHIPS)
    assert run("-p", "no:terminal", "--distill-report").ret == pytest.ExitCode.OK
    project.file("test_strict.py", FAILS)
    assert run("-p", "no:terminal", "--distill-report").ret == pytest.ExitCode.TESTS_FAILED


def test_no_value_makes_a_line_of_its_own(project: Project, run: Run) -> None:
    """A slice whose value has an escape sequence and a new line is printed escaped."""
    project.rows("gold.jsonl", [{**row, "lang": "\x1b[31mde\nSHIP"} for row in gold()])
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_quality_retained

        def test_slice(comparison):
            assert_quality_retained(min=0.99, slice={"lang": "\\x1b[31mde\\nSHIP"})
        """,
    )
    result = run("--distill-report")
    lines = report_of(result)
    assert "SHIP" not in [line.strip() for line in lines]
    assert [row for row in rows_of(result, "FAILED") if r"\nSHIP" in row[5]]
    assert "\x1b[31mde" not in "\n".join(lines)


def test_what_an_engine_says_of_a_run_is_a_footnote(project: Project, run_both: Run) -> None:
    """A model that could not run the fast way is no secret; told once, whoever ran it."""
    project.use_own_engine()
    source = (project.path / "own.py").read_text()
    project.file("own.py", source + "\n    notes = ['no masks of our own: plain rows']\n")
    project.file("test_ship.py", SHIPS)
    result = run_both("--distill-report", "--distill-json", "report.json")
    assert result.ret == 0
    assert str(result.stdout).count("no masks of our own: plain rows") == 3
    models = json.loads((project.path / "report.json").read_text())["models"]
    assert [model["notes"] for model in models] == [["no masks of our own: plain rows"]] * 3
