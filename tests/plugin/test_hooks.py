from __future__ import annotations

import pytest

from .project import (
    ENGINE,
    SFT,
    SHIPS,
    STUDENT,
    TEACHER,
    Project,
    Run,
    decision_of,
    refuse_package_frames,
    review_eval,
    rows_of,
    said,
)

METRIC = """
    from pytest_distill import MeanMetric

    first_half = MeanMetric(
        "first_half", lambda a: float(a.correct or int(a.example.id[1:]) >= 10)
    )
"""

GATE = """
    from pytest_distill import assert_quality_retained

    def test_keeps(comparison):
        assert_quality_retained(min=0.9, metric="first_half")
"""


@pytest.mark.parametrize("how", ["hook", "dotted", "colon"])
def test_a_metric_of_ones_own(project: Project, run: Run, how: str) -> None:
    """By hook or by dotted path in the yaml, it is judged: 17/20 of the teacher's 20/20."""
    project.file("mine.py", METRIC)
    if how == "hook":
        hook = "import mine\n\ndef pytest_distill_metrics():\n    return [mine.first_half]\n"
        project.file("conftest.py", hook)
    name = {"hook": "first_half", "dotted": "mine.first_half", "colon": "mine:first_half"}[how]
    project.evals["reviews"] = review_eval(metrics=["accuracy", name])
    project.save()
    project.file("test_ship.py", GATE)
    result = run("--distill-report")
    (row,) = rows_of(result, "FAILED")
    assert row[1:4] == ["0.8500", ">=", "0.9"]
    assert row[5] == "first_half,"


@pytest.mark.parametrize("how", ["hook", "dotted", "colon"])
def test_an_engine_of_ones_own(project: Project, run_both: Run, how: str) -> None:
    """By hook or by dotted path, it runs the models and gets the keys that only it knows."""
    project.file("own.py", ENGINE)
    if how == "hook":
        hook = "import own\n\ndef pytest_distill_engines():\n    return {'mine': own.Counting}\n"
        project.file("conftest.py", hook)
    name = {"hook": "mine", "dotted": "own.Counting", "colon": "own:Counting"}[how]
    project.models.clear()
    for role, right in (("teacher", TEACHER), ("student", STUDENT), ("sft", SFT)):
        project.models[role] = {"engine": name, "right": list(right), "size": 100}
    project.save()
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_beats_sft, assert_quality_retained

        def test_keeps(comparison):
            assert_quality_retained(min=0.94)
            assert_beats_sft(confidence=None)
        """,
    )
    result = run_both("--distill-report")
    assert decision_of(result) == ("SHIP", "")
    assert rows_of(result, "student")[0][:4] == ["student", "100", "0.8500", "0.9444"]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("mine.no_such", ["evals.reviews.metrics", "module 'mine' has no 'no_such'"]),
        ("no_such.thing", ["evals.reviews.metrics", "cannot import 'no_such'"]),
        ("mine.MeanMetric", ["evals.reviews.metrics", "is a class, not an object"]),
        ("mine.number", ["evals.reviews.metrics", "lacks name"]),
        ("mine.broken", ["evals.reviews.metrics", "mine"]),
        ("first_haf", ["evals.reviews.metrics", "did you mean 'first_half'?"]),
    ],
)
def test_a_metric_that_is_none_is_an_error(
    project: Project, run: Run, metric: str, words: list[str]
) -> None:
    """The error names the key and what is wrong with it, when the file is collected."""
    project.file("mine.py", METRIC + "\n    number = 3\n")
    if metric == "mine.broken":
        project.file("mine.py", "raise RuntimeError('broken')\n")
    if metric == "first_haf":
        hook = "import mine\n\ndef pytest_distill_metrics():\n    return [mine.first_half]\n"
        project.file("conftest.py", hook)
    project.evals["reviews"] = review_eval(metrics=[metric])
    project.save()
    project.file("test_ship.py", GATE)
    result = run()
    result.assert_outcomes(errors=1)
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("own.NoSuch", ["models.teacher.engine", "module 'own' has no 'NoSuch'"]),
        ("no_such.Engine", ["models.teacher.engine", "cannot import 'no_such'"]),
        ("recordd", ["models.teacher.engine", "did you mean 'recorded'?"]),
        ("mime", ["models.teacher.engine", "did you mean 'mine'?"]),
    ],
)
def test_an_engine_that_is_none_is_an_error(
    project: Project, run: Run, engine: str, words: list[str]
) -> None:
    """A name that is not known gets a suggestion, a path that leads nowhere says where it ends."""
    project.file("own.py", ENGINE)
    hook = "import own\n\ndef pytest_distill_engines():\n    return {'mine': own.Counting}\n"
    project.file("conftest.py", hook)
    project.models["teacher"] = {"engine": engine}
    project.save()
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.retained()\n")
    result = run()
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("predict", "words"),
    [
        ("return iter(())", ["model 'student' on 'reviews'", "no prediction for example 'e0'"]),
        (
            "return iter([Prediction(id='e0', prediction='pos')] * 2)",
            ["model 'student' on 'reviews'", "two predictions for example 'e0'"],
        ),
        (
            "return (Prediction(id=r.id + 'x', prediction='pos') for r in requests)",
            ["model 'student' on 'reviews'", "example 'e0'"],
        ),
        (
            "return (Prediction(id=r.id, probabilities=(float('nan'), 1.0), labels=('pos', 'neg'))"
            " for r in requests)",
            ["model 'student' on 'reviews'", "(id 'e0')", "nan is not between 0 and 1"],
        ),
        ("return (r.id for r in requests)", ["student", "Prediction"]),
    ],
)
def test_an_engine_that_answers_wrongly_is_an_error(
    project: Project, run: Run, predict: str, words: list[str]
) -> None:
    """Missing, doubled, surplus and NaN answers name the model, the eval and the example."""
    project.file(
        "bad.py",
        f"""
        from pytest_distill import ModelInfo, Prediction

        class Bad:
            info = ModelInfo(name="bad", role="student")

            def __init__(self, spec):
                pass

            def predict(self, requests):
                {predict}

            def close(self):
                pass
        """,
    )
    project.models["student"] = {"engine": "bad:Bad"}
    project.save()
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.retained()\n")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_a_defect_of_an_engine_shows_its_own_frames(project: Project, run: Run) -> None:
    """An exception that is not the user's data to mend keeps its traceback into the engine."""
    project.use_own_engine()
    project.file("own.py", ENGINE.replace("right = set(", "right = no_such_name("))
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.retained()\n")
    result = run()
    result.assert_outcomes(failed=1)
    assert "NameError: name 'no_such_name' is not defined" in said(result)
    assert "own.py:" in said(result)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ("pytest_distill_metrics():\n    return mine.first_half", ["pytest_distill_metrics"]),
        ("pytest_distill_metrics():\n    return [3]", ["pytest_distill_metrics", "lacks name"]),
        ("pytest_distill_metrics():\n    1 / 0", ["ZeroDivisionError", "pytest_distill_metrics"]),
        ("pytest_distill_engines():\n    return [3]", ["pytest_distill_engines"]),
    ],
)
def test_a_hook_that_returns_something_else_is_an_error(
    project: Project, run: Run, hook: str, words: list[str]
) -> None:
    """The error of the file that needed it names the hook; pytest itself does not break."""
    project.file("mine.py", METRIC)
    project.file("conftest.py", f"import mine\n\ndef {hook}\n")
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run("--continue-on-collection-errors")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1, passed=1)
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []


def test_an_engine_that_is_no_class_is_an_error(project: Project, run: Run) -> None:
    """A hook that names something that cannot be built says which model asked for it."""
    project.file("conftest.py", "def pytest_distill_engines():\n    return {'mine': 3}\n")
    project.models["student"] = {"engine": "mine"}
    project.save()
    project.file("test_ship.py", SHIPS)
    result = run("-k", "keeps")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert "'mine'" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("name", ["transformers", "recorded"])
def test_an_engine_may_not_take_a_built_in_s_name(project: Project, run: Run, name: str) -> None:
    """Every model that names it would run on another one than the file says."""
    hook = f"import own\n\ndef pytest_distill_engines():\n    return {{'{name}': own.Counting}}\n"
    project.use_own_engine()
    project.file("conftest.py", hook)
    project.file("test_ship.py", SHIPS)
    result = run("--distill-report")
    assert f"'{name}' is the name of a built-in engine" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
