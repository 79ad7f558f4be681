from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .project import (
    LABELS,
    STUDENT,
    TEACHER,
    Project,
    Run,
    answers,
    decision_of,
    failing_lines,
    gold,
    refuse_package_frames,
    review_eval,
    said,
)

RETAINED = """
    def test_numbers(comparison):
        assert comparison.score("teacher") == {teacher}
        assert comparison.score("student") == {student}
"""


def classified(right: range, how: str) -> list[dict[str, Any]]:
    """Return predictions in one of the forms that a row may have."""
    rows = []
    for row in answers(right):
        label = row["prediction"]
        chances = {name: 0.75 if name == label else 0.25 for name in LABELS}
        forms: Mapping[str, Mapping[str, Any]] = {
            "prediction": {"prediction": label},
            "mapping": {"probabilities": chances},
            "list": {"probabilities": list(chances.values()), "labels": list(chances)},
            "indices": {"probabilities": list(chances.values())},
            "scores": {"scores": {"accuracy": float(int(row["id"][1:]) in right)}},
        }
        rows.append({"id": row["id"], **forms[how]})
    return rows


@pytest.mark.parametrize("how", ["prediction", "mapping", "list", "indices", "scores"])
def test_a_classifier_s_rows(project: Project, run: Run, how: str) -> None:
    """A label, probabilities by name, by a list with labels or in the order of `labels:`."""
    labels = {"pos": 0, "neg": 1} if how == "indices" else None
    metric: Any = {"name": "accuracy"} if how == "scores" else "accuracy"
    project.evals["reviews"] = review_eval(metrics=[metric], labels=labels)
    project.save()
    project.rows("teacher.jsonl", classified(TEACHER, how))
    project.rows("student.jsonl", reversed(classified(STUDENT, how)))
    project.file("test_ship.py", RETAINED.format(teacher=0.9, student=0.85))
    run().assert_outcomes(passed=1)


def test_multiple_choice_rows(project: Project, run: Run) -> None:
    """Log-likelihoods give accuracy and accuracy_norm; a text or index is enough for one."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "question": "?", "choices": ["x", "yyyyyyyyyy"], "answer": 1},
        {"id": "b", "question": "?", "choices": ["x", "yyyyyyyyyy"], "answer": "x"},
    ]
    project.rows("gold.jsonl", rows)
    # Summed, x is likelier in both; by character, yyyyyyyyyy is.
    likely = [{"id": i, "loglikelihoods": [-2.0, -5.0]} for i in "ab"]
    project.rows("teacher.jsonl", likely)
    project.rows(
        "student.jsonl", [{"id": "a", "prediction": "yyyyyyyyyy"}, {"id": "b", "prediction": 1}]
    )
    project.evals["reviews"] = {
        "task": "multiple_choice",
        "data": "gold.jsonl",
        "input": "question",
        "target": "answer",
        "metrics": ["accuracy"],
    }
    project.save()
    project.file(
        "test_ship.py",
        """
        def test_numbers(comparison):
            teacher, student = comparison.evaluation("teacher"), comparison.evaluation("student")
            accuracy, norm = comparison.metric(), comparison.metric("accuracy_norm")
            assert teacher.scores(accuracy).tolist() == [0.0, 1.0]
            assert teacher.scores(norm).tolist() == [1.0, 0.0]
            assert student.scores(accuracy).tolist() == [1.0, 0.0]
        """,
    )
    run().assert_outcomes(passed=1)


def test_text_rows(project: Project, run: Run) -> None:
    """Recorded text goes through `extract:`, a recorded prediction does not."""
    project.rows("gold.jsonl", [{"id": "a", "input": "2+2", "target": ["4", "four"]}])
    project.rows("teacher.jsonl", [{"id": "a", "text": "It is 4."}])
    project.rows("student.jsonl", [{"id": "a", "prediction": "It is 4."}])
    project.evals["reviews"] = {
        "task": "generation",
        "data": "gold.jsonl",
        "extract": r"\d+",
        "metrics": ["exact_match"],
    }
    project.save()
    project.file("test_ship.py", RETAINED.format(teacher=1.0, student=0.0))
    run().assert_outcomes(passed=1)


def test_perplexity_rows(project: Project, run: Run) -> None:
    """A text's log-likelihood and its tokens give perplexity, whose ratio is turned round."""
    project.rows("gold.jsonl", [{"id": "a", "input": "ab"}, {"id": "b", "input": "cd"}])
    for name, nats in (("teacher", 1.0), ("student", 2.0)):
        rows = [{"id": i, "loglikelihoods": [-nats], "tokens": 2} for i in "ab"]
        project.rows(f"{name}.jsonl", rows)
    project.evals["reviews"] = {
        "task": "perplexity",
        "data": "gold.jsonl",
        "metrics": ["perplexity"],
    }
    project.save()
    project.file(
        "test_ship.py",
        """
        import math
        import pytest

        def test_numbers(comparison):
            assert comparison.score("teacher") == pytest.approx(math.exp(0.5))
            assert comparison.retained() == pytest.approx(math.exp(-0.5))
        """,
    )
    run().assert_outcomes(passed=1)


def test_a_file_for_each_eval(project: Project, run: Run) -> None:
    """`predictions:` may map each eval to its file."""
    project.evals["second"] = review_eval()
    project.rows("other.jsonl", answers(range(10)))
    project.models["student"]["predictions"] = {"reviews": "student.jsonl", "second": "other.jsonl"}
    project.save()
    project.file(
        "test_ship.py",
        """
        import pytest

        @pytest.mark.parametrize(("name", "score"), [("reviews", 0.85), ("second", 0.5)])
        def test_numbers(student, name, score):
            evaluation = student.evaluate(name)
            assert float(evaluation.score(evaluation.metrics[0])) == score
        """,
    )
    run().assert_outcomes(passed=2)


def test_an_eval_without_a_file_is_an_error(project: Project, run: Run) -> None:
    """It is raised where that eval is asked for, and names the key."""
    project.evals["second"] = review_eval()
    project.models["student"]["predictions"] = {"reviews": "student.jsonl"}
    project.save()
    project.file("test_ship.py", "def test_it(student):\n    student.evaluate('second')\n")
    result = run()
    assert "models.student.predictions: none for eval 'second'" in said(result)
    refuse_package_frames(result)


def test_csv_rows(project: Project, run: Run) -> None:
    """Predictions may stand in a .csv as well."""
    lines = ["id,prediction", *(f"{r['id']},{r['prediction']}" for r in answers(range(12)))]
    project.file("student.csv", "\n".join(lines) + "\n")
    project.models["student"]["predictions"] = "student.csv"
    project.save()
    project.file("test_ship.py", RETAINED.format(teacher=0.9, student=0.6))
    run().assert_outcomes(passed=1)


def without(rows: list[dict[str, Any]], number: int) -> list[dict[str, Any]]:
    """Return the rows but one."""
    return rows[:number] + rows[number + 1 :]


def with_row(number: int, **row: Any) -> list[dict[str, Any]]:
    """Return the student's rows with one of them replaced."""
    rows = answers(STUDENT)
    rows[number] = {"id": f"e{number}", **row}
    return rows


CHANCES = {"pos": 0.5, "neg": 0.5}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (without(answers(STUDENT), 7), ["student.jsonl", "no prediction for example 'e7'"]),
        (
            [*answers(STUDENT), {"id": "e99", "prediction": "pos"}],
            ["student.jsonl", "not in the gold set", "'e99'"],
        ),
        (
            [*answers(STUDENT), {"id": "e3", "prediction": "pos"}],
            ["student.jsonl:21", "'e3'", "already used at", "student.jsonl:4"],
        ),
        (with_row(4, predicted="pos"), ["student.jsonl:5", "'e4'", "did you mean 'prediction'?"]),
        (with_row(4, prediction=None), ["student.jsonl", "'e4'", "no answer"]),
        (
            with_row(4, probabilities={"pos": 0.9, "neg": 0.9}),
            ["student.jsonl", "'e4'", "sum to 1.8, not 1"],
        ),
        (
            with_row(4, probabilities={"pos": 1.5, "neg": -0.5}),
            ["student.jsonl", "'e4'", "1.5 is not between 0 and 1"],
        ),
        (
            with_row(4, probabilities={"pos": "0.5", "neg": 0.5}),
            ["student.jsonl:5", "'e4'", "probabilities has '0.5', not a finite number"],
        ),
        (with_row(4, probabilities=[0.5, 0.5]), ["student.jsonl", "'e4'", "set labels:"]),
        (
            with_row(4, probabilities=[0.5, 0.5], labels=["pos"]),
            ["student.jsonl", "'e4'", "2 probabilities for 1 labels"],
        ),
        (
            with_row(4, probabilities={"good": 0.5, "bad": 0.5}),
            ["student.jsonl", "'e4'", "'pos' is none of the model's labels (good, bad)"],
        ),
        (with_row(4, text=3), ["student.jsonl:5", "'e4'", "text is 3, not text"]),
        (
            with_row(4, prediction=["pos"]),
            ["student.jsonl:5", "'e4'", "prediction is ['pos'], not a label, a text or an index"],
        ),
        ([{"prediction": "pos"}], ["student.jsonl:1", "no 'id'"]),
        ([], ["student.jsonl", "empty"]),
    ],
)
def test_a_bad_row_is_an_error(
    project: Project, run: Run, rows: list[dict[str, Any]], words: list[str]
) -> None:
    """The error names file, line or example, and what is wrong; nothing passes."""
    project.rows("student.jsonl", rows)
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.retained()\n")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    flat = " ".join(failing_lines(result))
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("NaN", ["student.jsonl:5", "e4", "NaN"]),
        ("Infinity", ["student.jsonl:5", "e4", "Infinity"]),
        ("-Infinity", ["student.jsonl:5", "e4", "Infinity"]),
        ("1e999", ["student.jsonl:5", "e4", "not a finite number"]),
        ("null", ["student.jsonl:5", "e4", "not a finite number"]),
        ("true", ["student.jsonl:5", "e4", "not a finite number"]),
        ('"1"', ["student.jsonl:5", "e4", "not a finite number"]),
        ("1.5", ["student.jsonl", "e4", "1.5", "not a number in [0, 1]"]),
        ("-0.5", ["student.jsonl", "e4", "-0.5", "not a number in [0, 1]"]),
    ],
)
def test_a_bad_score_is_an_error(project: Project, run: Run, value: str, words: list[str]) -> None:
    """NaN, infinity, what is no number and what is out of range name the file and the example."""
    lines = [
        f'{{"id": "e{i}", "scores": {{"accuracy": {value if i == 4 else 1}}}}}' for i in range(20)
    ]
    project.file("student.jsonl", "\n".join(lines) + "\n")
    project.evals["reviews"]["metrics"] = [{"name": "accuracy"}]
    project.save()
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.retained()\n")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    flat = " ".join(failing_lines(result))
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_scores_of_another_metric_do_not_stand_in(project: Project, run: Run) -> None:
    """Where only macro_f1 was recorded, accuracy is an error that says what there is."""
    project.rows("student.jsonl", ({"id": row["id"], "scores": {"f1": 1.0}} for row in gold()))
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.retained()\n")
    result = run()
    result.assert_outcomes(failed=1)
    assert "has ready scores for f1 and no predictions" in said(result)
    refuse_package_frames(result)


def test_a_corpus_metric_needs_predictions(project: Project, run: Run) -> None:
    """Per-example scores of a metric that is no mean have no mean that would be its value."""
    project.file(
        "mine.py",
        """
        from pytest_distill import Metric

        class Pooled(Metric):
            name = "pooled"

            def scores(self, answers): ...
            def statistics(self, answers): ...
            def aggregate(self, totals): ...

        POOLED = Pooled()
        """,
    )
    project.evals["reviews"]["metrics"] = ["mine:POOLED"]
    project.save()
    rows = ({"id": row["id"], "scores": {"pooled": 1.0}} for row in gold())
    project.rows("student.jsonl", rows)
    project.file("test_ship.py", "def test_it(comparison):\n    comparison.score()\n")
    result = run()
    result.assert_outcomes(failed=1)
    told = "has ready scores of 'pooled', which computes its own and is no mean over examples"
    assert told in said(result).replace("\n", " ")
    refuse_package_frames(result)
