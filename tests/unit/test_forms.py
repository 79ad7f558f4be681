"""Rows in others' forms: columns of numbers, and what is said of a row that nobody knows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import EvaluationError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Metric, ScoredElsewhere
from pytest_distill.evals.metrics.samples import PassAt
from pytest_distill.evals.tasks import Classification, Generation, MultipleChoice, Perplexity, Task
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.recorded import RecordedModel

Rows = Sequence[dict[str, Any]]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, so that messages name files relative to it."""
    monkeypatch.chdir(tmp_path)


def evaluated(
    rows: Rows,
    task: Task | None = None,
    kind: str = "jsonl",
    *metrics: Metric,
    gold: Sequence[str] = "ab",
) -> MeasuredEvaluation:
    """Return a recorded model's evaluation on examples whose ids are 0, 1, ..."""
    path = Path(f"p.{kind}").resolve()
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows]), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    examples = tuple(
        Example(str(i), {"input": f"t{i}", "target": label, "choices": ["a", "b"]}, f"gold:{i}")
        for i, label in enumerate(gold)
    )
    task = task or Classification()
    on = Eval("letters", task, GoldSet("gold", examples), metrics or (task.headline,))
    found = RecordedModel(ModelInfo("student", "student"), lambda _: path).evaluate(on)
    assert isinstance(found, MeasuredEvaluation)
    return found


def distributions(found: MeasuredEvaluation) -> list[Mapping[str, float] | None]:
    """Return label -> probability of each prediction, as the task reads it."""
    pairs = zip(found.eval.gold, found.predictions, strict=True)
    return [found.eval.task.distribution(example, prediction) for example, prediction in pairs]


def columns(prefix: str, labels: str = "ab", **more: Any) -> Rows:
    """Return two rows with a column a label, of which the last is the likeliest."""
    shares = (0.25, 0.75) if len(labels) == 2 else (0.25, 0.25, 0.5)
    own = {f"{prefix}{label}": share for label, share in zip(labels, shares, strict=True)}
    return [{"id": i, "text": "so", **own, **more} for i in range(2)]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("prefix", ["prob_", "proba_", "probability_", "p_"])
def test_a_column_for_the_probability_of_each_label(prefix: str, kind: str) -> None:
    """As numbers, or as texts in a CSV file."""
    found = evaluated(columns(prefix), None, kind)
    assert distributions(found) == [{"a": 0.25, "b": 0.75}] * 2
    assert [answer.predicted for answer in found.answers] == ["b", "b"]


def test_columns_of_labels_that_the_gold_set_lacks() -> None:
    """A model may have more outputs: they are a part of its distribution."""
    found = evaluated(columns("prob_", "abc"), Classification(labels=("a", "b", "c")), "csv")
    assert distributions(found) == [{"a": 0.25, "b": 0.25, "c": 0.5}] * 2


@pytest.mark.parametrize("names", ["01", "ab"])
def test_columns_of_numbered_outputs(names: str) -> None:
    """By their numbers or by their labels, never by the place of the column."""
    found = evaluated(columns("prob_", names), Classification(labels={"b": 1, "a": 0}), "csv")
    assert distributions(found) == [{"a": 0.25, "b": 0.75}] * 2
    found = evaluated(columns("prob_", names), Classification(labels={"b": 0, "a": 1}), "csv")
    assert (
        distributions(found)
        == [{"b": 0.25, "a": 0.75} if names == "01" else {"b": 0.75, "a": 0.25}] * 2
    )


def test_columns_under_the_names_that_a_model_has() -> None:
    """`labels:` of the eval says what they mean."""
    task = Classification(labels={"x": "a", "y": "b"})
    assert distributions(evaluated(columns("prob_", "xy"), task)) == [{"a": 0.25, "b": 0.75}] * 2


def test_a_prediction_beside_columns_stays_one() -> None:
    """Columns that are no probabilities of all labels are not looked at there."""
    for others in (columns("prob_", "ac"), [{"id": i, "p_a": 0.9, "p_b": 0.9} for i in range(2)]):
        rows = [{**row, "prediction": "a"} for row in others]
        assert [p.prediction for p in evaluated(rows).predictions] == ["a", "a"]


def test_probabilities_beside_a_prediction() -> None:
    """They are read too, and may not say otherwise."""
    rows = columns("prob_", prediction="b")
    assert distributions(evaluated(rows, None, "csv")) == [{"a": 0.25, "b": 0.75}] * 2
    with pytest.raises(EvaluationError, match="'prediction' is 'a', but 'probabilities'"):
        _ = evaluated(columns("prob_", prediction="a"), None, "csv").answers


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"text": "Say a.", "generated_text": "a"}, "text is 'Say a.', and generated_text 'a'"),
        ({"text": "Say a.", "out": [{"generated_text": "a"}]}, "keep the one that the model wrote"),
        ({"text": "Say a.", "prediction": "a"}, "the prediction is 'a', and the text comes to"),
    ],
)
def test_two_texts_in_a_row(row: dict[str, Any], problem: str) -> None:
    """Where the field `text` holds what the model read, nothing is taken for its answer."""
    with pytest.raises(EvaluationError, match=re.escape(problem)):
        _ = evaluated([{"id": i, **row} for i in range(2)], Generation()).answers
    same = {**row, "text": "a"}
    found = evaluated([{"id": i, **same} for i in range(2)], Generation())
    assert [answer.predicted for answer in found.answers] == ["a", "a"]


def test_rows_of_the_gold_set_with_a_score() -> None:
    """Their label is taken for a model's only where one of them is not the right one."""
    rows = [{"id": i, "text": f"t{i}", "label": "ab"[i]} for i in range(2)]
    gold = GoldSet("gold", tuple(Example(str(row["id"]), row, "gold") for row in rows))
    on = Eval(
        "letters", Classification(input="text", target="label"), gold, (BUILT_IN["accuracy"],)
    )
    path = Path("p.jsonl").resolve()
    model = RecordedModel(ModelInfo("student", "student"), lambda _: path)
    for wrong, more in ((False, {"score": 0.9}), (True, {"score": 0.9})):
        said = [{**row, **more, **({"label": "a"} if wrong else {})} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in said))
        if wrong:
            assert isinstance(model.evaluate(on), MeasuredEvaluation)
            continue
        with pytest.raises(EvaluationError, match="'label' too: nothing tells it from the gold"):
            model.evaluate(on)
    bare = [{"id": row["id"], "label": row["label"], "score": 0.9} for row in rows]
    beside = [{**row, "prob_a": 1 - i, "prob_b": i} for i, row in enumerate(rows)]
    for said in (bare, beside):
        path.write_text("".join(json.dumps(row) + "\n" for row in said))
        assert isinstance(model.evaluate(on), MeasuredEvaluation)


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"prediction": None}, "; 'prediction' is empty"),
        ({"Prob_a": 1, "Prob_b": 0}, "; columns of probabilities are called prob_LABEL, of a, b"),
        ({"logit_a": 1, "logit_b": 0}, "; columns of probabilities are called prob_LABEL, of a, b"),
        ({"scores": [1, 0]}, "and the row has id, scores"),
    ],
)
def test_what_a_row_lacks(row: dict[str, Any], hint: str) -> None:
    """A field is never said to be meant by its own name."""
    with pytest.raises(EvaluationError) as raised:
        evaluated([{"id": i, **row} for i in range(2)])
    assert str(raised.value).endswith(hint)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (columns("prob_", "ac"), "no answer; task classification needs 'prediction' or"),
        (
            [{**row, "prob_b": 0.5} for row in columns("prob_")],
            "the probabilities sum to 0.75, not 1",
        ),
        (
            [{**row, "prob_b": "much"} for row in columns("prob_")],
            "prob_b has 'much', not a finite number",
        ),
        (
            [{**row, "p_a": 0.5, "p_b": 0.5} for row in columns("prob_")],
            "'prob_a' and 'p_a' begin two rows of probabilities; keep one of them",
        ),
        (
            [{"id": i, "label": "a", "score": None} for i in range(2)],
            "score has None, not a finite number",
        ),
        (
            [{"id": i, "output": [{"label": "a", "score": 0.5}] * 2} for i in range(2)],
            "the label 'a' has two scores",
        ),
        (
            [
                {"id": i, **{n: [{"label": "a", "score": 0.5}] for n in ("gold", "model")}}
                for i in range(2)
            ],
            "'gold' and 'model' have labels with scores; keep the model's",
        ),
        (
            [{"id": i, "sequence": "t", "labels": ["a", "b"], "scores": [1]} for i in range(2)],
            "2 labels and 1 scores",
        ),
    ],
)
def test_numbers_that_are_no_probabilities(rows: Rows, problem: str) -> None:
    """Named with file, line and id."""
    with pytest.raises(EvaluationError) as raised:
        _ = evaluated(rows).answers
    assert problem in str(raised.value)
    assert "(id '0')" in str(raised.value)


def test_named_probabilities_are_never_taken_by_their_place() -> None:
    """Where the eval numbers the outputs, a row's own names say which is which."""
    task = Classification(labels={"a": 0, "b": 1})
    for row in (
        {"probabilities": {"b": 0.75, "a": 0.25}},
        {"probabilities": [0.75, 0.25], "labels": ["b", "a"]},
        {"probabilities": {"LABEL_1": 0.75, "LABEL_0": 0.25}},
        {"probabilities": [0.25, 0.75]},
        {"probabilities": [0.25, 0.75], "labels": ["neg", "pos"]},
    ):
        found = evaluated([{"id": i, **row} for i in range(2)], task)
        assert distributions(found) == [{"a": 0.25, "b": 0.75}] * 2
    rows = [{"id": i, "probabilities": {"pos": 0.75, "neg": 0.25}} for i in range(2)]
    with pytest.raises(EvaluationError, match="has the names pos, neg, and labels: of the eval"):
        evaluated(rows, task)


def test_a_label_with_a_score_is_a_choice() -> None:
    """Of a multiple choice it is the choice's text."""
    rows = [{"id": i, "output": {"label": "b", "score": 0.9}} for i in range(2)]
    assert [a.predicted for a in evaluated(rows, MultipleChoice()).answers] == ["b", "b"]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_column_of_a_declared_metric_is_a_ready_score(kind: str) -> None:
    """A table has no mapping of scores; the eval says which of its columns are metrics."""
    mine = ScoredElsewhere("mine")
    rows = [{"id": i, "text": "so", "mine": i / 4} for i in range(2)]
    found = evaluated(rows, Generation(), kind, mine)
    assert found.scores(mine).tolist() == [0.0, 0.25]
    assert [p.text for p in found.predictions] == ["so", "so"]
    sampled = [{"id": i, "repeat": j, "mine": j} for i in range(2) for j in range(2)]
    pass_at = PassAt("pass@2", k=2, of=mine)
    task = Generation(do_sample=True, seed=1, repeats=2)
    assert evaluated(sampled, task, kind, pass_at).exact_score(pass_at) == 1


def test_ready_scores_as_json_in_a_cell() -> None:
    """In a CSV file a mapping stands as JSON."""
    mine = ScoredElsewhere("mine")
    rows = [{"id": i, "scores": json.dumps({"mine": i / 4})} for i in range(2)]
    assert evaluated(rows, Generation(), "csv", mine).scores(mine).tolist() == [0.0, 0.25]
    with pytest.raises(EvaluationError, match="mine has 'much', not a finite number"):
        evaluated([{"id": i, "mine": "much"} for i in range(2)], Generation(), "csv", mine)


def test_numbers_in_cells() -> None:
    """A CSV file has texts alone: lists and mappings stand there as JSON, numbers as they are."""
    rows = [{"id": i, "loglikelihoods": "-1.5", "tokens": "3.0"} for i in range(2)]
    found = evaluated(rows, Perplexity(), "csv", BUILT_IN["perplexity"])
    assert [(p.loglikelihoods, p.tokens) for p in found.predictions] == [((-1.5,), 3)] * 2
    rows = [{"id": i, "loglikelihoods": "[-2, -1.5e0]"} for i in range(2)]
    found = evaluated(rows, MultipleChoice(), "csv")
    assert [a.predicted for a in found.answers] == ["b", "b"]
    named = [{"id": i, "probabilities": '{"a": 0.25, "b": 0.75}'} for i in range(2)]
    assert distributions(evaluated(named, None, "csv")) == [{"a": 0.25, "b": 0.75}] * 2
    listed = [{"id": i, "probabilities": "[0.25, 0.75]", "labels": '["a", "b"]'} for i in range(2)]
    assert distributions(evaluated(listed, None, "csv")) == [{"a": 0.25, "b": 0.75}] * 2


@pytest.mark.parametrize("write", [json.dumps, str])
def test_lists_in_cells_as_json_or_as_python_prints_them(write: Any) -> None:
    """What pandas writes of a list into a CSV file is what Python prints."""
    scores = [{"label": "b", "score": 0.75}, {"label": "a", "score": 0.25}]
    rows = [{"id": i, "output": write(scores)} for i in range(2)]
    assert distributions(evaluated(rows, None, "csv")) == [{"a": 0.25, "b": 0.75}] * 2


@pytest.mark.parametrize(
    "cell", ["[" * 99_000, "[" * 120_000, "{'a': print()}", "['\\d']", "[1, 2", "{1, 2}", "[{}]"]
)
def test_a_cell_that_only_looks_like_a_list(cell: str) -> None:
    """It is text as any other, and nothing in it runs."""
    with pytest.raises(EvaluationError, match=r"no answer; task .* and the row has id, output"):
        evaluated([{"id": 0, "output": cell}], None, "csv", gold="a")


@pytest.mark.parametrize(
    ("task", "needs"),
    [
        (Classification(), "classification needs 'prediction' or 'probabilities'"),
        (MultipleChoice(), "multiple_choice needs 'loglikelihoods' or 'prediction'"),
        (Generation(), "generation needs 'text' or 'prediction'"),
        (Perplexity(), f"perplexity needs {Perplexity.needs}"),
    ],
)
def test_a_row_that_nobody_knows(task: Task, needs: str) -> None:
    """The error lists its first fields and what this task needs, and nothing else."""
    row = {"id": 0, **{f"f{i}": i for i in range(8)}}
    with pytest.raises(EvaluationError) as raised:
        evaluated([row], task, gold="a")
    assert str(raised.value) == (
        f"p.jsonl:1 (id '0'): no answer; task {needs} (or ready 'scores'), and the row has id, f0, "
        "f1, f2, f3 and 4 more"
    )


def test_names_of_fields_are_escaped_and_shortened() -> None:
    """They come from others."""
    with pytest.raises(EvaluationError) as raised:
        evaluated([{"id": 0, "\x1b[31m": 1, "x" * 500: 1}], gold="a")
    assert "\\x1b[31m" in str(raised.value)
    assert len(str(raised.value)) < 400
    with pytest.raises(EvaluationError, match="'predicton': did you mean 'prediction'"):
        evaluated([{"id": 0, "predicton": "a"}], gold="a")


@pytest.mark.parametrize(
    ("task", "row", "gold", "said"),
    [
        (
            Classification(labels={"pos": "POSITIVE", "neg": "NEGATIVE"}),
            {"prediction": "POSITIVE"},
            ("pos", "neg"),
            "labels: is the other way round: 'pos', 'neg' are gold labels. Write what a model says "
            "first: 'labels: {'POSITIVE': 'pos', 'NEGATIVE': 'neg'}'",
        ),
        (
            Classification(labels={"0": "neg", "1": "pos"}),
            {"probabilities": [0.25, 0.75]},
            ("pos", "neg"),
            "to number its outputs, write 'labels: {'neg': 0, 'pos': 1}'",
        ),
        (
            Classification(labels={"0": "neg", "1": "pos"}),
            {"probabilities": {"LABEL_0": 0.25, "LABEL_1": 0.75}},
            ("pos", "neg"),
            "to number its outputs, write 'labels: {'neg': 0, 'pos': 1}'",
        ),
        (
            Classification(labels={"neg": 0, "pos": 1}),
            {"prediction": "1"},
            ("1", "0"),
            "(where gold labels are the numbers of a model's outputs: 'labels: {'0': 0, '1': 1}')",
        ),
    ],
)
def test_labels_the_other_way_round(
    task: Task, row: dict[str, Any], gold: Sequence[str], said: str
) -> None:
    """The error has the line to write; one that fits as it is stays."""
    with pytest.raises((EvaluationError, GoldSetError)) as raised:
        _ = evaluated([{"id": i, **row} for i in range(2)], task, gold=gold).answers
    assert said in str(raised.value)
    numbered = Classification(labels={"0": "neg", "1": "pos"})
    rows = [{"id": i, "prediction": 1 - i} for i in range(2)]
    found = evaluated(rows, numbered, gold=("pos", "neg"))
    assert [answer.correct for answer in found.answers] == [True, True]
