"""Which ids are one, in a gold set and between it and predictions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet, read_gold_set, row_digest
from pytest_distill.evals.ids import id_text, meeting
from pytest_distill.evals.tasks import Classification
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.captured import read_captured
from pytest_distill.evaluation.sources.recorded import RecordedModel

Rows = Sequence[dict[str, Any]]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, so that messages name files relative to it."""
    monkeypatch.chdir(tmp_path)


def gold_of(rows: Rows, **options: Any) -> GoldSet:
    """Return the gold set of some rows, each with a text and a label."""
    whole = [{**row, "input": f"text {i}", "target": "ab"[i % 2]} for i, row in enumerate(rows)]
    Path("gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in whole))
    return read_gold_set(Path("gold.jsonl").resolve(), **options)


def eval_on(gold: GoldSet) -> Eval:
    """Return an eval on a gold set."""
    return Eval("letters", Classification(), gold, (BUILT_IN["accuracy"],))


def predicted(gold: GoldSet, rows: Rows) -> list[tuple[str, str | None]]:
    """Return ids and predictions of a recorded model, in the order of the gold set."""
    path = Path("p.jsonl").resolve()
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = RecordedModel(ModelInfo("student", "student"), lambda _: path)
    found = model.evaluate(eval_on(gold))
    assert isinstance(found, MeasuredEvaluation)
    return [(p.id, p.prediction) for p in found.predictions]


def answers(ids: Sequence[Any], field: str = "id") -> Rows:
    """Return a row with a prediction for each id: a, b, a, ..."""
    return [{field: id, "prediction": "ab"[i % 2]} for i, id in enumerate(ids)]


@pytest.mark.parametrize("gold", [7, "7", 7.0, "7.0", "7.00"])
@pytest.mark.parametrize("row", [7, "7", 7.0, "7.0", "7.00"])
def test_the_forms_of_a_whole_number_meet(gold: Any, row: Any) -> None:
    """A gap in a table makes 7.0 of 7, a CSV file a text; the gold set's own form stays."""
    found = predicted(gold_of([{"id": gold}, {"id": "x"}]), answers(["x", row]))
    assert found == [(gold if isinstance(gold, str) else "7", "b"), ("x", "a")]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("007", 7), ("007", "7"), ("7.5", 7), (7.5, 7), ("7.10", "7.1")],
        *[
            ("7.01", "7"),
            ("a7.0", "a7"),
            ("-7", 7),
            (" 7", 7),
            ("\u0667.0", "\u0667"),
            ("7.0.0", "7"),
        ],
        *[("00.0", "0"), (".0", "0"), ("9007199254740993.0", "9007199254740993")],
    ],
)
def test_what_is_written_otherwise_is_another_id(one: Any, other: Any) -> None:
    """Two such ids may stand in one gold set, and a row of one is none of the other."""
    gold = gold_of([{"id": one}, {"id": other}])
    assert [id for id, _ in predicted(gold, answers([one, other]))] == [str(one), str(other)]
    with pytest.raises(EvaluationError, match="none of its ids"):
        predicted(gold_of([{"id": one}]), answers([other]))


@pytest.mark.parametrize("id", ["7", "7.0", "007", "x", " 7 ", "1.10", "é", 7, 0, -3, 10**30])
def test_ids_of_earlier_gold_sets_stay(id: str | int) -> None:
    """Texts are as they are written, whole numbers their digits: evals keep their digests."""
    gold = gold_of([{"id": id}])
    assert gold.examples[0].id == str(id)
    assert gold.examples[0].fields["id"] == id


def test_a_parquet_file_with_a_gap_or_decimals(tmp_path: Path) -> None:
    """Floats that are whole numbers and decimals are ids; a gap is none."""
    for values, ids in (([7.0, 8.0], ["7", "8"]), ([Decimal("7.00"), Decimal("8")], ["7", "8"])):
        table = pyarrow.Table.from_pylist([{"id": value, "x": 1} for value in values])
        pyarrow.parquet.write_table(table, tmp_path / "g.parquet")
        assert [e.id for e in read_gold_set(tmp_path / "g.parquet")] == ids
    pyarrow.parquet.write_table(pyarrow.table({"id": [7.0, None]}), tmp_path / "g.parquet")
    with pytest.raises(GoldSetError, match=r"row 2: no 'id', though g\.parquet row 1 has one"):
        read_gold_set(tmp_path / "g.parquet")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (True, "must be a text or a number, not True"),
        (None, "must be a text or a number, not None"),
        (float("nan"), "must be a text or a number, not nan"),
        (float("-inf"), "must be a text or a number, not -inf"),
        ({}, "must be a text or a number, not {}"),
        (b"7", "must be a text or a number, not b'7'"),
        ("", "is empty"),
        (2.0**53, "so large that a float no longer tells it from its neighbours"),
        (-1e300, "so large that a float"),
    ],
)
def test_what_is_no_id(value: Any, problem: str) -> None:
    """Said in words that follow the field's name."""
    with pytest.raises(ValueError, match=problem):
        id_text(value)


def test_the_greatest_float_that_is_an_id() -> None:
    """Below 2 ** 53 every whole number is a float of its own."""
    assert id_text(2.0**53 - 1) == "9007199254740991"
    assert meeting("9007199254740991.0") == "9007199254740991"
    assert meeting("9007199254740992.0") == "9007199254740992.0"
    assert id_text(0.1) == "0.1"


@pytest.mark.parametrize(
    ("first", "second"), [(7, "7"), (7, 7.0), ("7.0", "7"), (7.0, "7"), ("7", "7.00")]
)
def test_two_ids_of_one_file_that_would_meet(first: Any, second: Any) -> None:
    """Are an error that names both lines, in a gold set and in predictions, with repeats too."""
    words = f":2: the id {second!r} is one with {first!r} at {{}}:1; write every id in one form"
    with pytest.raises(GoldSetError) as raised:
        gold_of([{"id": first}, {"id": second}])
    assert str(raised.value) == "gold.jsonl" + words.format("gold.jsonl")
    gold = gold_of([{"id": 7}])
    for repeat in ({}, {"repeat": 0}):
        rows = [{**row, **repeat} for row in answers([first, second])]
        with pytest.raises(EvaluationError) as refused:
            predicted(gold, rows)
        assert str(refused.value) == "p.jsonl" + words.format("p.jsonl")


def test_an_id_that_is_of_two_examples() -> None:
    """What the gold set has as `id` and as the field of its ids, of two examples, is refused."""
    gold = gold_of([{"uid": 2, "id": 1}, {"uid": 1, "id": 2}], id_field="uid")
    with pytest.raises(EvaluationError, match="call the field here 'uid', or take 'id:' out"):
        predicted(gold, answers([1, 2]))
    same = gold_of([{"uid": 1, "id": 1}, {"uid": 2, "id": "2"}], id_field="uid")
    assert predicted(same, answers([1, 2])) == [("1", "a"), ("2", "b")]


def test_the_eval_names_the_field_of_both_sides() -> None:
    """The gold set's field, or else `id`, holds the ids of predictions."""
    gold = gold_of([{"uid": "x", "id": 1}, {"uid": "y", "id": 2}], id_field="uid")
    assert predicted(gold, answers(["y", "x"], "uid")) == [("x", "b"), ("y", "a")]
    assert predicted(gold, answers(["y", "x"])) == [("x", "b"), ("y", "a")]
    both = [{**row, "id": i} for i, row in enumerate(answers(["y", "x"], "uid"))]
    assert predicted(gold, both) == [("x", "b"), ("y", "a")]
    mixed = [*answers(["y"], "uid"), *answers(["x"])]
    with pytest.raises(EvaluationError, match=r"^p\.jsonl:2: no 'uid'$"):
        predicted(gold, mixed)


def test_predictions_without_ids_say_which_the_gold_set_has() -> None:
    """And which fields there are in their place."""
    gold = gold_of([{"uid": f"u{i}"} for i in range(5)], id_field="uid")
    with pytest.raises(EvaluationError) as raised:
        predicted(gold, answers(["u0"], "key"))
    assert str(raised.value) == (
        "p.jsonl:1: no 'uid' and no 'id', which would say of which example it is; the row has key, "
        "prediction. Of ids gold.jsonl has u0, u1, u2 and 2 more: give every row its example's in "
        "a field 'id', or in the one that 'id:' of the eval names"
    )
    with pytest.raises(EvaluationError) as raised:
        predicted(gold_of([{}, {}]), answers(["u0"], "key"))
    assert str(raised.value).endswith(
        "Of ids gold.jsonl states none either: give every row its example's in a field 'id', or in "
        "the one that 'id:' of the eval names, here and in the gold set"
    )


def test_a_gold_set_without_ids_says_so() -> None:
    """With the ids of the predictions, the fields that it has, and what to do."""
    gold = gold_of([{"uid": "x"}, {"uid": "y"}])
    first, second = (row_digest(example.fields) for example in gold)
    with pytest.raises(EvaluationError) as raised:
        predicted(gold, answers(["y", "x"]))
    assert str(raised.value) == (
        "p.jsonl: none of its ids (x, y) is one of gold.jsonl: that has no field 'id' (it has uid, "
        f"input, target), so that its examples are called by digests of their rows ({first}, "
        f"{second}). Give the gold set these ids in a field 'id', or name the field that holds "
        "them by 'id:' in the eval"
    )
    assert predicted(gold, answers([first, second])) == [(first, "a"), (second, "b")]


def test_other_ids_on_both_sides() -> None:
    """Some of both are shown; zeros that a table lost are told where only some ids meet."""
    gold = gold_of([{"id": id} for id in ("008", "009", "10")])
    with pytest.raises(EvaluationError) as raised:
        predicted(gold, answers(["x"]))
    assert str(raised.value) == (
        "p.jsonl: none of its ids (x) is one of gold.jsonl, which has 008, 009, 10 in 'id'; 'id:' "
        "of the eval names the field that holds the same ids here and there"
    )
    with pytest.raises(EvaluationError) as raised:
        predicted(gold, answers([8, 9, 10]))
    assert str(raised.value) == (
        "p.jsonl: no prediction for example '008' and 1 more (gold.jsonl has 3 examples); '8' is "
        "another id than '008': the zeros in front count, keep ids as text"
    )


def test_a_slice_by_id_meets_too() -> None:
    """As `must_keep` and shots do: they name examples."""
    on = eval_on(gold_of([{"id": "7.0"}, {"id": 8}]))
    assert on.select("id=7") == on.select({"id": 7.0}) == [0]
    assert on.select({"id": 8}) == on.select("id=8.0") == [1]
    with pytest.raises(ConfigError, match="no example has id=07"):
        on.select("id=07")


def test_captured_rows_meet_too() -> None:
    """A teacher's tokens are aligned as its predictions are."""
    on = eval_on(gold_of([{"uid": 7}, {"uid": 8}], id_field="uid"))
    said = {"tokens": [1], "top_tokens": [[1]], "top_logprobs": [[-0.5]]}
    rows = [{"uid": "8.0", **said}, {"uid": 7.0, **said}]
    Path("c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [*read_captured(Path("c.jsonl").resolve(), on)] == ["7", "8"]
