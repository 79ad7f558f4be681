from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_distill.errors import ConfigError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks import Classification, MultipleChoice, Task
from pytest_distill.evals.tasks.classification import ClassificationRequest

ROWS: tuple[Mapping[str, Any], ...] = (
    {"input": "gut", "target": "pos", "lang": "de", "stars": 5},
    {"input": "bad", "target": "neg", "lang": "en", "stars": 1},
    {"input": "schlecht", "target": "neg", "lang": "de", "stars": 1},
)


def make(
    rows: tuple[Mapping[str, Any], ...] = ROWS, task: Task | None = None, first_id: int = 0
) -> Eval:
    """Return an eval of `rows`."""
    examples = tuple(
        Example(str(i + first_id), row, f"gold.jsonl:{i + 1}") for i, row in enumerate(rows)
    )
    metrics = (BUILT_IN["macro_f1"], BUILT_IN["accuracy"])
    return Eval("reviews", task or Classification(), GoldSet("gold.jsonl", examples), metrics)


def test_no_metric() -> None:
    """An eval without a metric measures nothing."""
    with pytest.raises(ConfigError, match="eval 'reviews': metrics is empty"):
        Eval("reviews", Classification(), make().gold, ())


def test_requests_follow_the_gold_set() -> None:
    """One request an example, in its order."""
    assert [request.id for request in make().requests()] == ["0", "1", "2"]


def test_check_looks_at_the_examples_once() -> None:
    """A gold set that every model shares is looked at for the first of them alone."""
    asked: list[str] = []

    class Noting(Classification):
        def request(self, example: Example) -> ClassificationRequest:
            asked.append(example.id)
            return super().request(example)

    on = make(task=Noting())
    on.check()
    on.check()
    assert asked == ["0", "1", "2"]


def test_check_refuses_what_no_model_could_be_asked() -> None:
    """An example without the field of the text is refused at every call."""
    on = make(({"target": "pos"},))
    for _ in range(2):
        with pytest.raises(GoldSetError, match="no field 'input'"):
            on.check()


def test_digest_is_stable() -> None:
    """The same content has the same digest, whatever the order of a row's fields or the file."""
    rows = tuple(dict(reversed(list(row.items()))) for row in ROWS)
    assert make().digest == make(rows).digest
    assert len(make().digest) == 64


def test_digest_depends_on_all_that_is_asked_and_right() -> None:
    """Another target, id, order, setting, task or shot is another digest."""
    shot = Example("s", {"input": "x"}, "shots.jsonl:1")
    others = [
        make((*ROWS[:2], {**ROWS[2], "target": "pos"})),
        make(first_id=1),
        make(ROWS[::-1]),
        make(ROWS[:2]),
        make(task=Classification(truncate="left")),
        make(task=MultipleChoice()),
        make(task=MultipleChoice(shots=(shot,))),
    ]
    assert len({make().digest, *(other.digest for other in others)}) == len(others) + 1


def test_slice_positions() -> None:
    """A slice field parts the examples by its value, as text."""
    assert make().slice_ids("lang") == {"de": [0, 2], "en": [1]}
    assert make().slice_ids("stars") == {"5": [0], "1": [1, 2]}


@pytest.mark.parametrize(
    ("slice", "positions"),
    [
        ("lang=de", [0, 2]),
        ({"lang": "de"}, [0, 2]),
        ({"stars": 1}, [1, 2]),
        ({"lang": "de", "stars": 1}, [2]),
    ],
)
def test_select(slice: str | dict[str, object], positions: list[int]) -> None:
    """A slice is chosen by field=value or by a mapping, of which all must agree."""
    assert make().select(slice) == positions


def test_value_may_hold_an_equals_sign() -> None:
    """The field's name ends at the first equals sign."""
    assert make(({"input": "x", "target": "y", "tag": "a=b"},)).select("tag=a=b") == [0]


@pytest.mark.parametrize(
    ("slice", "message"),
    [
        ("lan=de", "eval 'reviews': no field 'lan' to slice by; did you mean 'lang'?"),
        ("lang=dee", "eval 'reviews': no example has lang=dee; did you mean 'de'?"),
        ("lang", "slice: expected 'field=value', got 'lang'"),
        (
            {"lang": "en", "stars": 5},
            "eval 'reviews': no example is in the slice {'lang': 'en', 'stars': 5}",
        ),
    ],
)
def test_unknown_slice(slice: str | dict[str, object], message: str) -> None:
    """A slice without examples is an error, not an empty comparison."""
    with pytest.raises(ConfigError) as raised:
        make().select(slice)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"input": "x", "lng": "de"}, "no field 'lang'; did you mean 'lng'?"),
        ({"lang": ["de"]}, "'lang' must be one value to slice by, not the list ['de']"),
        ({"lang": None}, "'lang' must be one value to slice by, not null"),
    ],
)
def test_example_outside_of_every_slice(row: dict[str, Any], message: str) -> None:
    """An example without a usable value of the slice field is named."""
    with pytest.raises(GoldSetError) as raised:
        make((*ROWS, row)).slice_ids("lang")
    assert str(raised.value) == f"gold.jsonl:4 (id '3'): {message}"
