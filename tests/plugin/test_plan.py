"""When models are loaded and freed."""

from __future__ import annotations

import json

from .project import Project, Run, gold, review_eval

TWO_EVALS = """
    import pytest
    from pytest_distill import assert_score

    @pytest.mark.distill(eval="reviews")
    @pytest.mark.parametrize("model", ["teacher", "student"])
    def test_reviews(model):
        assert_score(0.1, model=model)

    @pytest.mark.distill(eval="more")
    @pytest.mark.parametrize("model", ["teacher", "student"])
    def test_more(model):
        assert_score(0.1, model=model)
"""


def order(project: Project) -> list[str]:
    """Return what happened, as words: load, predict and close of each model."""
    lines = (project.path / "calls.jsonl").read_text().splitlines()
    calls = [json.loads(line) for line in lines]
    return [f"{call['call']} {call['model']}" for call in calls]


def test_a_model_runs_all_that_it_owes_while_it_is_loaded(project: Project, run: Run) -> None:
    """Two models on two evals: each is loaded once, and freed before the next one."""
    project.use_own_engine()
    project.evals["more"] = review_eval(data="more.jsonl")
    project.rows("more.jsonl", gold())
    project.save()
    project.file("test_ship.py", TWO_EVALS)
    assert run().ret == 0
    assert order(project) == [
        *("load teacher", "predict teacher", "predict teacher"),
        *("load student", "close teacher", "predict student", "predict student"),
        "close student",
    ]


def test_a_model_that_a_test_holds_stays_loaded(project: Project, run: Run) -> None:
    """Two are in memory together only where tests ask for both."""
    project.use_own_engine()
    source = (project.path / "own.py").read_text()
    project.file("own.py", source + "\n    model = 'weights'\n")
    project.file(
        "test_ship.py",
        """
        import pytest

        @pytest.mark.distill(eval="reviews")
        def test_both(teacher, student, comparison):
            assert teacher.model == student.model == "weights"
            comparison.assert_quality_retained(min=0.5)
        """,
    )
    assert run().ret == 0
    assert order(project).index("close teacher") > order(project).index("predict student")
    assert order(project).count("load teacher") == 1
