from __future__ import annotations

import pytest

from .project import SHIPS, Project, Run, own_engine, refuse_package_frames, rows_of, said

OVERRIDE = '''
    import pytest
    from pytest_distill import ModelInfo, Prediction

    class Mine:
        """Right on the first 12 examples."""

        info = ModelInfo(name="mine", role="student", parameters=100)

        def predict(self, requests):
            for i, request in enumerate(requests):
                labels = ("pos", "neg") if i % 2 == 0 else ("neg", "pos")
                yield Prediction(id=request.id, prediction=labels[i >= 12])

        def close(self):
            pass

    @pytest.fixture(scope="session")
    def student():
        return Mine()
'''


def test_nothing_is_loaded_that_is_not_used(project: Project, run: Run) -> None:
    """Requesting the handles, the comparison or the gold set loads no model."""
    project.use_own_engine()
    project.file(
        "test_ship.py",
        """
        def test_handles(teacher, student, sft, comparison, gold):
            assert "teacher" in repr(teacher)
            assert comparison.eval == "reviews"
            assert len(gold) == 20
        """,
    )
    run().assert_outcomes(passed=1)
    assert project.loaded() == []


def test_only_the_models_that_a_gate_needs_are_loaded(project: Project, run: Run) -> None:
    """`assert_quality_retained` needs no SFT student; the gap to the teacher needs all three."""
    project.use_own_engine()
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_beats_sft, assert_quality_retained

        def test_keeps():
            assert_quality_retained(min=0.9)

        def test_pays():
            assert_beats_sft(confidence=None)
        """,
    )
    run("-k", "keeps").assert_outcomes(passed=1, deselected=1)
    assert sorted(project.loaded()) == ["student", "teacher"]
    (project.path / "calls.jsonl").unlink()
    run("-k", "pays").assert_outcomes(passed=1, deselected=1)
    assert sorted(project.loaded()) == ["sft", "student", "teacher"]


def test_beating_sft_needs_no_teacher(project: Project, run: Run) -> None:
    """Where there is no teacher, distilled and SFT student are compared all the same."""
    del project.models["teacher"]
    project.save()
    project.file("test_ship.py", SHIPS)
    run("-k", "pays", "--distill-json", "out.json").assert_outcomes(passed=1, deselected=1)
    assert project.json()["gates"][1]["gap_recovered"] is None


def test_one_evaluation_serves_the_whole_session(project: Project, run: Run) -> None:
    """Several tests, files, metrics, slices and handles ask each model once."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    project.file(
        "sub/test_more.py",
        """
        from pytest_distill import assert_quality_retained, assert_score

        def test_more(comparison, student, teacher):
            assert_quality_retained(min=0.9, metric="macro_f1")
            assert_quality_retained(min=0.6, slice="lang=de")
            assert_score(min=0.5, model="sft")
            assert student.evaluate("reviews") is student.evaluate()
            assert comparison.score("teacher") == 0.9
        """,
    )
    run("--distill-report").assert_outcomes(passed=3)
    assert sorted(project.loaded()) == ["sft", "student", "teacher"]
    predictions = [(call["model"], call["n"]) for call in project.calls("predict")]
    assert sorted(predictions) == [("sft", 20), ("student", 20), ("teacher", 20)]


def test_models_are_closed_at_the_end(project: Project, run: Run) -> None:
    """Every engine that was started is closed, once."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    run().assert_outcomes(passed=2)
    closed = [call["model"] for call in project.calls("close")]
    assert sorted(closed) == ["sft", "student", "teacher"]


def test_info_tells_what_is_known(project: Project, run: Run) -> None:
    """`.info` has name, role, parameters and, where nobody knows them, None."""
    project.file(
        "test_ship.py",
        """
        def test_info(teacher, student, sft):
            assert (teacher.info.name, teacher.info.role) == ("teacher", "teacher")
            assert student.info.parameters < teacher.info.parameters / 4
            assert sft.info.parameters == 100
            assert teacher.info.bytes is None
            assert teacher.info.device is None
        """,
    )
    run().assert_outcomes(passed=1)


def test_evaluate_gives_the_evaluation(project: Project, run: Run) -> None:
    """`.evaluate("reviews")` has the number of examples, the predictions and the scores."""
    project.file(
        "test_ship.py",
        """
        def test_evaluate(student, sft):
            evaluation = student.evaluate("reviews")
            assert evaluation.n == 20
            assert evaluation.info.name == "student"
            metric = evaluation.metrics[0]
            assert float(evaluation.score(metric)) == 0.85
            assert evaluation.scores(metric).tolist() == [0.0] * 3 + [1.0] * 17
            assert float(sft.evaluate().score(metric)) == 0.75
        """,
    )
    run().assert_outcomes(passed=1)


def test_comparison_has_the_numbers(project: Project, run: Run) -> None:
    """`retained`, `scores`, `flips` and slices can be read, and nothing is rounded."""
    project.file(
        "test_ship.py",
        """
        import pytest

        def test_numbers(comparison):
            assert comparison.retained() == 17 / 18
            assert comparison.retained("accuracy", model="sft") == 15 / 18
            assert comparison.retained(slice="lang=de") == 0.7
            assert comparison.retained(slice={"lang": "en"}) == 10 / 8
            assert comparison.scores["accuracy"] == {"teacher": 0.9, "student": 0.85, "sft": 0.75}
            assert set(comparison.scores) == {"accuracy", "macro_f1"}
            assert comparison.flips.lost == ("e0", "e1", "e2")
            assert comparison.flips.won == ("e18", "e19")
            assert comparison.n() == 20
            assert comparison.n("lang=de") == 10
            assert comparison.score("sft") == 0.75
        """,
    )
    run().assert_outcomes(passed=1)


def test_methods_of_comparison_are_the_functions(project: Project, run: Run) -> None:
    """The assertions as methods judge that comparison and record their verdicts."""
    project.file(
        "test_ship.py",
        """
        import pytest

        def test_methods(comparison):
            comparison.assert_quality_retained(min=0.94)
            comparison.assert_beats_sft(min_gain=0.05, confidence=None)
            comparison.assert_score(min=0.85)
            with pytest.raises(AssertionError, match="^assert 0.9444 >= 0.95 "):
                comparison.assert_quality_retained(0.95)
        """,
    )
    run("--distill-json", "out.json")
    gates = project.json()["gates"]
    assert [(g["gate"], g["outcome"]) for g in gates] == [
        ("quality_retained", "PASSED"),
        ("beats_sft", "PASSED"),
        ("score", "PASSED"),
        ("quality_retained", "FAILED"),
    ]


def test_gold_is_the_gold_set(project: Project, run: Run) -> None:
    """`gold` gives the examples in the order of the file, with ids and fields."""
    project.file(
        "test_ship.py",
        """
        import pytest

        @pytest.mark.distill(eval="reviews")
        def test_gold(gold):
            assert [example.id for example in gold][:2] == ["e0", "e1"]
            assert gold.examples[1].fields["label"] == "neg"
        """,
    )
    run().assert_outcomes(passed=1)


def test_the_eval_must_be_clear(project: Project, run: Run) -> None:
    """With several evals and none named, the fixture's error lists them."""
    project.evals["second"] = project.evals["reviews"]
    project.save()
    project.file("test_ship.py", "def test_it(comparison):\n    pass\n")
    result = run()
    result.assert_outcomes(errors=1)
    assert "distill.yaml has several evals (reviews, second): name one" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("arguments", ["", "student", "comparison", "student, comparison"])
def test_an_overridden_student_is_judged(project: Project, run: Run, arguments: str) -> None:
    """A fixture of the project's takes the model's place, whether the test asks for it or not."""
    project.file("conftest.py", OVERRIDE)
    project.file(
        "test_ship.py",
        f"""
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.distill(eval="reviews")
        def test_keeps({arguments}):
            assert_quality_retained(min=0.7)
        """,
    )
    result = run("--distill-report")
    assert rows_of(result, "FAILED")[0][1:4] == ["0.6666", ">=", "0.7"]
    assert rows_of(result, "student")[0][:4] == ["student", "100", "0.6000", "0.6666"]


def test_comparison_is_of_the_overridden_student(project: Project, run_both: Run) -> None:
    """The fixture's numbers and methods are those of the object that took the model's place."""
    project.file("conftest.py", OVERRIDE)
    project.file(
        "test_ship.py",
        """
        def test_numbers(comparison):
            assert comparison.score() == 0.6
            assert comparison.student.info.parameters == 100

        def test_method(comparison):
            comparison.assert_quality_retained(min=0.7)
        """,
    )
    result = run_both("--distill-report")
    result.assert_outcomes(passed=1, failed=1)
    assert rows_of(result, "FAILED")[0][1:4] == ["0.6666", ">=", "0.7"]


def test_an_overridden_student_is_evaluated_once(project: Project, run: Run) -> None:
    """The same object in several tests is one model."""
    project.file(
        "conftest.py",
        OVERRIDE.replace(
            "for i, request", "print('ASKED'); Mine.asked += 1\n            for i, request"
        ).replace("def predict", "asked = 0\n\n        def predict")
        + "\n    def pytest_unconfigure():\n        print('times', Mine.asked)\n",
    )
    project.file(
        "test_ship.py",
        SHIPS.replace("0.9", "0.6").replace("assert_beats_sft(confidence=None)", "..."),
    )
    result = run("-s", "--distill-report")
    assert "times 1" in said(result)


def test_an_override_holds_where_it_stands(project: Project, run: Run) -> None:
    """A conftest deeper down changes the model for the tests below it alone."""
    project.file("deep/conftest.py", OVERRIDE)
    project.file(
        "test_top.py", "def test_top(comparison):\n    assert comparison.score() == 0.85\n"
    )
    project.file(
        "deep/test_deep.py", "def test_d(comparison):\n    assert comparison.score() == 0.6\n"
    )
    run().assert_outcomes(passed=2)


def test_an_override_that_is_no_engine_is_refused(project: Project, run: Run) -> None:
    """The error names the fixture and what an engine needs."""
    project.file("conftest.py", "import pytest\n@pytest.fixture\ndef student():\n    return 3\n")
    project.file("test_ship.py", SHIPS)
    result = run()
    result.assert_outcomes(failed=2)
    assert "fixture 'student' gives 3, which is no engine: it needs info, predict()" in said(result)
    refuse_package_frames(result)


def test_an_engine_s_own_model_is_handed_out(project: Project, run: Run) -> None:
    """`.model` gives what the engine gives; where it gives none the error says so."""
    project.use_own_engine()
    project.file(
        "test_ship.py",
        """
        def test_model(student):
            student.model

        def test_recorded(teacher):
            teacher.tokenizer
        """,
    )
    project.models["teacher"] = {"engine": "recorded", "predictions": "teacher.jsonl"}
    project.save()
    result = run()
    result.assert_outcomes(failed=2)
    assert "the engine of model 'student' hands none out: there is no .model here" in said(result)
    assert "model 'teacher' does not run here" in said(result)
    refuse_package_frames(result)


def test_a_second_student_is_only_loaded_where_it_is_asked_for(project: Project, run: Run) -> None:
    """Several students cost what the tests ask of them."""
    project.use_own_engine()
    project.models["tiny"] = own_engine("tiny", range(20))
    project.save()
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.distill(student="tiny")
        def test_keeps():
            assert_quality_retained(min=1.1)
        """,
    )
    run().assert_outcomes(passed=1)
    assert sorted(project.loaded()) == ["teacher", "tiny"]


def test_fixtures_are_documented(project: Project, run: Run) -> None:
    """`pytest --fixtures` tells in one line what each gives."""
    result = run("--fixtures")
    for name in ("teacher", "student", "sft", "comparison", "gold"):
        assert any(line.startswith(name) for line in result.outlines), name
    assert project.path.is_dir()
