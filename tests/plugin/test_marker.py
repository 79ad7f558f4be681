from __future__ import annotations

import pytest

from .project import (
    SHIPS,
    Project,
    Run,
    recorded,
    refuse_package_frames,
    review_eval,
    rows_of,
    said,
)

OTHER = "def test_other():\n    pass\n"


def two_students(project: Project) -> None:
    """Add a second student, right on 12 examples."""
    project.models["tiny"] = recorded("tiny", role="student", parameters=10)
    labels = ("pos", "neg")
    rows = ({"id": f"e{i}", "prediction": labels[(i + (i >= 12)) % 2]} for i in range(20))
    project.rows("tiny.jsonl", rows)
    project.save()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evals='reviews'", "unknown argument 'evals'; did you mean 'eval'?"),
        ("'reviews'", "arguments need names, e.g. distill(eval='reviews')"),
        ("eval='review'", "distill.yaml has no eval 'review'; did you mean 'reviews'?"),
        ("student='studnet'", "distill.yaml has no student 'studnet'; did you mean 'student'?"),
        ("student='teacher'", "distill.yaml has no student 'teacher'"),
        ("metric='acuracy'", "eval 'reviews' has no metric 'acuracy'; did you mean 'accuracy'?"),
        ("metric='bleu'", "eval 'reviews' has no metric 'bleu'"),
        ("eval=3", "eval=3 is no name"),
        ("student=['student']", "student=['student'] is no name"),
    ],
)
def test_a_wrong_one_is_a_collection_error_of_its_file(
    project: Project, run: Run, arguments: str, message: str
) -> None:
    """The error names the file and what is wrong, before any gate runs."""
    project.file(
        "test_ship.py", f"{SHIPS}\n    @pytest.mark.distill({arguments})\n    def test_odd(): ..."
    )
    project.file("test_other.py", OTHER)
    result = run("--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert message in said(result)
    assert "ERROR collecting test_ship.py" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("arguments", ["evals='reviews'", "eval='review'"])
def test_is_checked_in_the_workers_too(project: Project, run: Run, arguments: str) -> None:
    """Under xdist the same error is reported once, not as a crash of the worker."""
    project.file(
        "test_ship.py", f"{SHIPS}\n    @pytest.mark.distill({arguments})\n    def test_odd(): ..."
    )
    project.file("test_other.py", OTHER)
    result = run("-n", "2", "--continue-on-collection-errors")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1, passed=1)
    assert "did you mean" in said(result)
    assert "test_ship.py" in said(result)
    refuse_package_frames(result)


def test_tells_where_the_wrong_one_stands(project: Project, run: Run) -> None:
    """The message names the test whose marker is wrong, whatever is wrong with it."""
    project.file(
        "test_ship.py", f"{SHIPS}\n    @pytest.mark.distill(eval='review')\n    def test_odd(): ..."
    )
    result = run()
    assert "test_odd" in said(result)


def test_metric_needs_an_eval_where_there_are_several(project: Project, run: Run) -> None:
    """A metric alone is checked against the only eval; with several the error lists them."""
    project.evals["second"] = review_eval()
    project.save()
    project.file(
        "test_ship.py",
        "import pytest\n@pytest.mark.distill(metric='accuracy')\ndef test_odd(): pass\n",
    )
    result = run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "several evals (reviews, second): name one" in said(result)


def test_the_nearest_marker_wins(project: Project, run_both: Run) -> None:
    """Function over class over module, argument by argument."""
    two_students(project)
    project.evals["second"] = review_eval(metrics=["macro_f1"])
    project.save()
    project.file(
        "test_ship.py",
        """
        import pytest

        pytestmark = pytest.mark.distill(eval="second", student="student")

        def test_module(comparison):
            assert (comparison.eval, comparison.student.name) == ("second", "student")
            assert comparison.metric().name == "macro_f1"

        @pytest.mark.distill(eval="reviews")
        class TestClass:
            def test_class(self, comparison):
                assert (comparison.eval, comparison.student.name) == ("reviews", "student")
                assert comparison.metric().name == "accuracy"

            @pytest.mark.distill(student="tiny", metric="matthews")
            def test_function(self, comparison):
                assert (comparison.eval, comparison.student.name) == ("reviews", "tiny")
                assert comparison.metric().name == "matthews"
        """,
    )
    run_both().assert_outcomes(passed=3)


def test_an_argument_wins_over_the_marker(project: Project, run: Run) -> None:
    """What an assertion is told holds, and the marker for the rest."""
    two_students(project)
    project.evals["second"] = review_eval(metrics=["macro_f1"])
    project.save()
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.distill(eval="reviews", metric="accuracy", student="student")
        def test_it():
            assert_quality_retained(min=0.1, eval="second")
            assert_quality_retained(min=0.1, student="tiny")
            assert_quality_retained(min=0.1, metric="macro_f1")
        """,
    )
    run("--distill-json", "out.json").assert_outcomes(passed=1)
    gates = project.json()["gates"]
    assert [(g["eval"], g["metric"], g["model"]) for g in gates] == [
        ("second", "accuracy", "student"),
        ("reviews", "accuracy", "tiny"),
        ("reviews", "macro_f1", "student"),
    ]


def test_several_students_are_listed_where_none_is_named(project: Project, run: Run) -> None:
    """A gate that could mean two students asks which, and shows how to say it."""
    two_students(project)
    project.file("test_ship.py", SHIPS)
    result = run()
    assert result.ret != pytest.ExitCode.OK
    assert "several students (student, tiny): name one" in said(result)
    assert "@pytest.mark.distill(student='student')" in said(result)
    refuse_package_frames(result)


def test_the_student_of_the_marker_is_judged(project: Project, run: Run) -> None:
    """`student=` picks the student of functions, methods and fixtures alike: 12/18 = 0.6666."""
    two_students(project)
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.distill(student="tiny")
        def test_it(comparison, student):
            assert student.info.name == "tiny"
            assert student.info.parameters == 10
            assert comparison.retained() == pytest.approx(12 / 18)
            assert_quality_retained(min=0.7)
        """,
    )
    result = run("--distill-report")
    assert rows_of(result, "FAILED")[0][1:4] == ["0.6666", ">=", "0.7"]


def test_may_be_set_by_parametrisation(project: Project, run: Run) -> None:
    """A marker on a parameter set is a marker of that test."""
    two_students(project)
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.parametrize("least", [
            pytest.param(0.9, marks=pytest.mark.distill(student="student")),
            pytest.param(0.6, marks=pytest.mark.distill(student="tiny")),
        ])
        def test_it(least):
            assert_quality_retained(min=least)
        """,
    )
    run().assert_outcomes(passed=2)


def test_is_registered(project: Project, run: Run) -> None:
    """`--strict-markers` knows it, and `--markers` tells what it takes."""
    project.file("test_ship.py", SHIPS)
    run("--strict-markers").assert_outcomes(passed=2)
    result = run("--markers")
    takes = "eval=None, metric=None, student=None, confidence=None"
    assert f"@pytest.mark.distill({takes}): a gate test" in said(result)


def test_needs_a_distill_yaml(project: Project, run_both: Run) -> None:
    """A gate test without one is a collection error that says where it was looked for."""
    (project.path / "distill.yaml").unlink()
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", OTHER)
    result = run_both("--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1)
    assert f"no distill.yaml at or above {project.path}" in said(result)
    refuse_package_frames(result)
