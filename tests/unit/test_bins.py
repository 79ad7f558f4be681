"""Numbers that a slice bins, whatever kind of file they stand in."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pytest_distill.comparison.slices import slice_positions
from pytest_distill.errors import ConfigError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks import Classification


def eval_with(*lengths: Any) -> Eval:
    """Return an eval whose examples have these values in a field `length`."""
    examples = tuple(
        Example(str(i), {"input": "x", "target": "a", "length": value}, f"gold.csv:{i + 2}")
        for i, value in enumerate(lengths)
    )
    return Eval("e", Classification(), GoldSet("gold.csv", examples), (BUILT_IN["accuracy"],))


@pytest.mark.parametrize("kind", [int, float, str, lambda n: f" {n}.0", Decimal])
def test_numbers_are_binned_in_all_their_forms(kind: Any) -> None:
    """A CSV file has texts alone: 9 comes before 10, as a number does."""
    on = eval_with(*map(kind, (9, 10, 100, 2)))
    assert slice_positions(on, "length:halves") == {
        "length=2..9": [0, 3],
        "length=10..100": [1, 2],
    }


@pytest.mark.parametrize(
    "value", ["", "long", "nan", "1_000", "1,000", "1,5", "0x10", None, True, float("nan"), [1]]
)
def test_what_is_no_number_is_an_error(value: Any) -> None:
    """With the example, so that it can be mended in the file."""
    with pytest.raises(ConfigError) as raised:
        slice_positions(eval_with("1", value), "length:halves")
    assert str(raised.value) == (
        f"eval 'e': field 'length' has {value!r}, not a number to bin (gold.csv:3 (id '1'))"
    )
