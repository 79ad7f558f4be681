"""What a recorded row says: why a text ended, its lengths, its calls, and which sample it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Metric, ScoredElsewhere
from pytest_distill.evals.metrics.samples import Majority, PassAt
from pytest_distill.evals.requests import Prediction, ToolCall
from pytest_distill.evals.tasks import Classification, Generation, Task
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.recorded import (
    RecordedModel,
    read_predictions,
    recorded_field,
)

Rows = Sequence[dict[str, Any]]


def written(folder: Path, rows: Rows, kind: str = "jsonl") -> Path:
    """Return a file with these rows."""
    path = folder / f"p.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "csv":
        names = list(dict.fromkeys(name for row in rows for name in row))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(
                {k: json.dumps(v) if isinstance(v, list | bool) else v for k, v in row.items()}
                for row in rows
            )
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def one(folder: Path, **fields: Any) -> Prediction:
    """Return the prediction of a row with a text and these fields."""
    _, (prediction,) = read_predictions(written(folder, [{"id": "a", "text": "t", **fields}]))
    return prediction


def task_of(repeats: int) -> Generation:
    """Return a task that samples so many answers."""
    return Generation(do_sample=True, seed=1, repeats=repeats)


def evaluated(
    folder: Path,
    rows: Rows,
    repeats: int = 3,
    *,
    task: Task | None = None,
    kind: str = "jsonl",
    metrics: tuple[Metric, ...] = (BUILT_IN["exact_match"],),
) -> MeasuredEvaluation:
    """Return a recorded model's evaluation on two examples, a and b, which accept x."""
    examples = tuple(
        Example(id, {"input": id, "target": "x"}, f"gold.jsonl:{i}") for i, id in enumerate("ab")
    )
    on = Eval("sums", task or task_of(repeats), GoldSet("gold.jsonl", examples), metrics)
    path = written(folder, rows, kind)
    model = RecordedModel(ModelInfo("student", "student"), lambda _: path)
    found = model.evaluate(on)
    assert isinstance(found, MeasuredEvaluation)
    return found


@pytest.mark.parametrize(
    ("said", "finish"),
    [
        *[(word, word) for word in ("end", "stop", "length", "tool_call")],
        *[("eos_token", "end"), ("end_turn", "end"), ("stop_sequence", "stop")],
        *[("max_tokens", "length"), ("model_length", "length")],
        *[("tool_calls", "tool_call"), ("function_call", "tool_call"), ("tool_use", "tool_call")],
        *[(None, None), ("", None)],
    ],
)
@pytest.mark.parametrize("field", ["finish", "finish_reason"])
def test_endings_of_others_are_known(
    tmp_path: Path, said: str | None, finish: str | None, field: str
) -> None:
    """In our words and in those of the servers that are in use."""
    assert one(tmp_path, **{field: said}).finish == finish


@pytest.mark.parametrize("value", ["content_filter", "STOP", 1, True, ["stop"], {}, 0.5])
def test_an_ending_that_is_unknown_is_an_error(tmp_path: Path, value: Any) -> None:
    """With line and id, and what is known."""
    with pytest.raises(EvaluationError, match=r"p.jsonl:1 \(id 'a'\): finish_reason is .*; known:"):
        one(tmp_path, finish_reason=value)


def test_a_fingerprint_is_text(tmp_path: Path) -> None:
    """Under our name or OpenAI's; what is no text is something else of that name."""
    assert one(tmp_path, fingerprint="fp_a").fingerprint == "fp_a"
    assert one(tmp_path, system_fingerprint="fp_b").fingerprint == "fp_b"
    assert one(tmp_path, fingerprint=17).fingerprint is None


def test_two_endings_must_be_one(tmp_path: Path) -> None:
    """OpenAI's `stop` may be an end token; a length is neither."""
    assert one(tmp_path, finish="end", finish_reason="stop").finish == "end"
    with pytest.raises(EvaluationError, match="only one of the two can be"):
        one(tmp_path, finish="end", finish_reason="length")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_lengths_and_greedy_choices(tmp_path: Path, kind: str) -> None:
    """Of every kind of file."""
    rows = [
        {"id": "a", "text": "t", "tokens": 9, "thinking_tokens": 4, "greedy": [True, False]},
        {"id": "b", "text": "t", "tokens": 0, "thinking_tokens": 0, "greedy": [False, True]},
    ]
    _, (first, second) = read_predictions(written(tmp_path, rows, kind))
    assert (first.tokens, first.thinking_tokens, first.greedy) == (9, 4, (True, False))
    assert (second.tokens, second.thinking_tokens) == (0, 0)


@pytest.mark.parametrize(("text", "count"), [("7.0", 7), (" 12.00 ", 12), ("7.", 7), ("7", 7)])
def test_counts_of_a_column_with_gaps(tmp_path: Path, text: str, count: int) -> None:
    """A table with a gap writes the whole numbers of that column as 7.0 into a CSV file."""
    assert one(tmp_path, tokens=text).tokens == count


@pytest.mark.parametrize("text", ["7.5", ".0", "7.0.0", "7e0", "7.-0", "."])
def test_texts_that_are_no_counts(tmp_path: Path, text: str) -> None:
    """What is not a whole number stays an error."""
    with pytest.raises(EvaluationError, match="not a count"):
        one(tmp_path, tokens=text)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens": -1}, "tokens is -1, not a count"),
        ({"tokens": 1.5}, "tokens is 1.5, not a count"),
        ({"tokens": True}, "tokens is True, not a count"),
        ({"tokens": "many"}, "tokens is 'many', not a count"),
        ({"thinking_tokens": {}}, "thinking_tokens is {}, not a count"),
        ({"thinking_tokens": 5, "tokens": 4}, "thinking_tokens is 5, of 4 tokens in all"),
        ({"greedy": "yes"}, "greedy is 'yes', which is no JSON"),
        ({"greedy": [1]}, "greedy has 1, not true or false"),
        ({"tool_calls": {"name": "f"}}, "tool_calls is {'name': 'f'}, not a list of calls"),
        ({"tool_calls": ["f"]}, "tool_calls has 'f'; a call is"),
        ({"tool_calls": [{"name": 1}]}, "tool_calls has {'name': 1}; a call is"),
        ({"tool_calls": [{"function": "f"}]}, "tool_calls has {'function': 'f'}; a call is"),
        (
            {"tool_calls": [{"name": "f", "arguments": [1]}]},
            "tool_calls: the arguments of 'f' are [1]",
        ),
        ({"tool_calls": "[{"}, "tool_calls is '[{', which is no JSON"),
        ({"labels": 5}, "labels is 5, not a list of labels"),
        ({"loglikelihoods": 10**400}, "loglikelihoods has 1000"),
        ({"probabilities": ["0.5"]}, "probabilities has '0.5', not a finite number"),
    ],
)
def test_a_field_that_says_nothing_is_an_error(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    """With line and id."""
    with pytest.raises(EvaluationError) as raised:
        one(tmp_path, **fields)
    assert str(raised.value).startswith(f"{tmp_path / 'p.jsonl'}:1 (id 'a'): {message}")


@pytest.mark.parametrize(
    "call",
    [
        {"function": {"name": "f", "arguments": '{"n": 1}'}},
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}},
        {"name": "f", "arguments": {"n": 1}},
        {"name": "f", "arguments": '{"n": 1}'},
    ],
)
@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_calls_of_tools_in_either_form(tmp_path: Path, call: dict[str, Any], kind: str) -> None:
    """As OpenAI gives them and bare; a text beside them may be null, or not there."""
    rows = [{"id": "a", "text": None, "tool_calls": [call]}]
    _, (found,) = read_predictions(written(tmp_path, rows, kind))
    assert found.tool_calls == (ToolCall("f", '{"n": 1}'),)
    assert found.text == ""


def test_calls_without_arguments_or_none_at_all(tmp_path: Path) -> None:
    """What the model wrote stays, be it JSON or not."""
    calls = [{"name": "f"}, {"name": "g", "arguments": "{oops"}, {"function": {"name": "h"}}]
    assert one(tmp_path, tool_calls=calls).tool_calls == (
        *(ToolCall("f", "{}"), ToolCall("g", "{oops")),
        ToolCall("h", "{}"),
    )
    assert one(tmp_path, tool_calls=[]).tool_calls == ()
    assert one(tmp_path, tool_calls=None).tool_calls is None


def samples(*numbers: Any, ids: str = "ab", right: int = 1) -> list[dict[str, Any]]:
    """Return a row for each number of each id; the first `right` of them are right."""
    return [
        {"id": id, "repeat": number, "text": "x" if place < right else "y"}
        for id in ids
        for place, number in enumerate(numbers)
    ]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("numbers", [(0, 1, 2), (1, 2, 3), (-1, 40, 7)])
def test_repeats_are_rows_of_one_id(tmp_path: Path, kind: str, numbers: tuple[int, ...]) -> None:
    """With a number each, in any order, from any start: they are in the order of their numbers."""
    rows = samples(*sorted(numbers), right=2)[::-1]
    found = evaluated(tmp_path, rows, kind=kind)
    assert [[s.predicted for s in a.samples] for a in found.answers] == [["x", "x", "y"]] * 2
    assert found.exact_score(BUILT_IN["exact_match"]) == Fraction(2, 3)
    assert found.exact_score(PassAt("pass@2", k=2, of=BUILT_IN["exact_match"])) == 1


@pytest.mark.parametrize(
    ("rows", "repeats", "message"),
    [
        (samples(0, 1), 3, "2 rows for example 'a', and eval 'sums' asks for 3 (repeats: 3)"),
        (samples(0, 1, 2, 3), 3, "or say 'repeats: 4'"),
        (samples(0, 1), 1, "asks for one answer to each: say 'repeats: 2' there"),
        (
            [*samples(0, 1, 2, ids="a"), *samples(0, 1, ids="b")],
            *(3, "2 rows for example 'b', and 3 for 'a': record as many samples"),
        ),
        (
            [*samples(0, 1, 2, ids="b"), {"id": "a", "text": "x"}],
            *(3, "1 row for example 'a', and 3 for 'b'"),
        ),
        (samples(0, 1, ids="abc"), 2, "a prediction for an example that is not in the gold set"),
        (samples(0, 1, ids="a"), 2, "no prediction for example 'b'"),
        (samples(0, 1, 1), 3, ":3 (id 'a'): repeat 1 of this id is already used at"),
        (samples(0, "1", 1.0), 3, ":3 (id 'a'): repeat 1 of this id is already used at"),
        (samples(0, "one", 2), 3, ":2 (id 'a'): repeat is 'one', not a whole number"),
        (samples(0, 1.5, 2), 3, "repeat is 1.5, not a whole number"),
        (samples(0, True, 2), 3, "repeat is True, not a whole number"),
        (samples(0, None, 2), 3, "repeat is None, not a whole number"),
        (
            [{"id": "a", "text": "x"}] * 2,
            *(1, ":2: the id 'a' is already used at"),
        ),
        (
            [*samples(0, ids="a"), {"id": "a", "text": "x"}],
            *(2, "where these are samples of one example, number them in a field 'repeat'"),
        ),
    ],
)
def test_another_number_of_repeats_is_an_error(
    tmp_path: Path, rows: Rows, repeats: int, message: str
) -> None:
    """More as well as fewer: with the id, and what to say instead."""
    with pytest.raises(EvaluationError) as raised:
        evaluated(tmp_path, rows, repeats)
    assert message in str(raised.value)


def test_a_task_without_samples_takes_one_row(tmp_path: Path) -> None:
    """There is no key to say there."""
    rows = [{"id": id, "repeat": i, "prediction": "x"} for id in "ab" for i in range(2)]
    with pytest.raises(EvaluationError, match="the task classification, which takes one answer"):
        evaluated(tmp_path, rows, task=Classification())


def test_a_field_of_that_name_may_say_anything_else(tmp_path: Path) -> None:
    """As long as no id is there twice: such files were read before."""
    rows = [{"id": id, "repeat": "often", "text": "x"} for id in "ab"]
    assert evaluated(tmp_path, rows, 1).exact_score(BUILT_IN["exact_match"]) == 1


def test_ready_scores_are_averaged_over_the_rows(tmp_path: Path) -> None:
    """0.1, 0.2 and 0.7 are a third, exactly; so that pass@2 may be of scores made elsewhere."""
    mine = ScoredElsewhere("mine")
    rows = [
        {"id": id, "repeat": i, "scores": {"mine": score}}
        for id in "ab"
        for i, score in enumerate((0.1, 0.2, 0.7))
    ]
    found = evaluated(tmp_path, rows, metrics=(mine,))
    assert found.exact_score(mine) == Fraction(1, 3)
    assert found.scores(mine).shape == (2,)
    long = (0.1234567, 0.7654321, 0.0000001)
    rows = [
        {"id": id, "repeat": i, "scores": {"mine": score}}
        for id in "ab"
        for i, score in enumerate(long)
    ]
    found = evaluated(tmp_path, rows, metrics=(mine,))
    assert found.exact_score(mine) == Fraction("0.8888889") / 3
    passed = [{**row, "scores": {"mine": float(i % 3 == 1)}} for i, row in enumerate(rows)]
    found = evaluated(tmp_path, passed, metrics=(mine,))
    assert found.exact_score(PassAt("pass@2", k=2, of=mine)) == Fraction(2, 3)


def test_a_field_of_the_rows_is_averaged(tmp_path: Path) -> None:
    """What routing rests on is one number an example."""
    rows = [{**row, "sure": row["repeat"] / 4} for row in samples(0, 1, 2)]
    assert recorded_field(evaluated(tmp_path, rows), "sure").tolist() == [0.25, 0.25]


def test_a_vote_may_be_of_scores_made_elsewhere(tmp_path: Path) -> None:
    """Equal texts are a vote; which of them is right the scores say."""
    mine = ScoredElsewhere("mine")
    rows = [
        {**row, "scores": {"mine": float(row["text"] == "y")}} for row in samples(0, 1, 2, right=1)
    ]
    found = evaluated(tmp_path, rows, metrics=(mine,))
    assert found.exact_score(Majority("majority@3", k=3, of=mine)) == 1
    assert found.exact_score(Majority("majority@2", k=2, of=mine)) == Fraction(1, 2)


def test_rows_within_a_budget_are_of_no_example(tmp_path: Path) -> None:
    """An export of an eval with `at_tokens` has them; a recorded model is read without."""
    rows = [*samples(0, 1), {"id": "a (within 5 tokens)", "at_tokens": 5, "text": "y"}]
    assert evaluated(tmp_path, rows, 2).exact_score(BUILT_IN["exact_match"]) == Fraction(1, 2)


def test_what_is_asked_is_of_so_many_samples() -> None:
    """A comparison refuses another number; one sample is what it was before there were more."""
    assert "repeats" not in task_of(1).settings()
    assert task_of(3).settings()["repeats"] == 3
