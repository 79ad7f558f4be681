"""Every family of transformers: what the engine answers is what one-by-one passes say."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from .comparing import compare
from .families import FAMILIES, Family, Head, heads
from .family_table import documented, path, row_name
from .tiny import hf

# Sums of up to 230 log-probabilities in float32 differ by less than 1e-4. With these weights faults
# of a mask, a position or a neighbour were off by about 1e-2 or more, or gave other texts.
ROUNDING = 1e-3
_SCREEN = 24  # lines
PINNED = Path(__file__).resolve().parents[2] / "constraints.txt"

ALL = [
    pytest.param(family, head, id=f"{family.name}-{head}")
    for family in FAMILIES
    for head in heads(family)
]


@pytest.mark.parametrize(("family", "head"), ALL)
def test_answers_are_those_of_plain_passes(family: Family, head: Head, tmp_path: Path) -> None:
    """Short requests and then long ones, of every task: equal up to rounding, or refused in short.

    A model that sees what follows a token is refused. The page tells the way that the pinned
    version takes.
    """
    pinned = f"transformers=={hf.__version__}\n" in PINNED.read_text(encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of models' own code
        try:
            outcomes = compare(family, head, tmp_path / "model", again=False)
        except RuntimeError as error:
            if pinned:
                raise
            pytest.skip(f"this version of transformers can't run it itself: {error}")
    for outcome in outcomes:
        what = f"{outcome.task}: {outcome}"
        assert outcome.difference < ROUNDING, what
        assert not outcome.differing, what
        assert outcome.refused or not outcome.error, what
        assert len(outcome.error.splitlines()) <= _SCREEN, what
        assert outcome.refused or not outcome.foresees, what
    if not pinned:
        return  # another version may take another way, and is as right
    told = documented()[row_name(family, head)]
    for outcome in outcomes:
        assert path(told[outcome.task]) == outcome.path, (
            f"{outcome.task}: run python -m tests.engines.family_table '{family.name}'"
        )


def test_the_page_has_every_family() -> None:
    """No family is missing from the table of the documentation, and none is left over."""
    told = set(documented())
    assert {row_name(family, head) for family in FAMILIES for head in heads(family)} <= told
    assert {name.removesuffix(", seq2seq") for name in told} == {one.name for one in FAMILIES}
