"""Scores as the exact numbers that they stand for, not as the floats next to them.

A floor is a decimal, and 0.73 + 0.22 of a student can meet it exactly. The floats next to these
numbers can't: in every second such tie their sum lies on the wrong side, however it is rounded.
So a score is read as what its author will have meant:

- the fraction of whole numbers up to a denominator of 1,000 to which it is the nearest float: 0.73
  is 73/100, and 0.6666666666666666, which two of three judges gave, is 2/3;
- else the decimal that it prints as.
"""

from __future__ import annotations

from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pytest_distill.statistics.results import Floats

MOST_PARTS = 1000
MOST_IN_PARTS = 1000.0
"""Floats above it lie so far apart that many a one is next to some fraction by chance."""
_NEXT_HAS_TOO_MANY = 1e9
"""A term of a continued fraction above which the next convergent has."""

_PLACES = (0, 2, 4, 6, 9, 12)
_SURE_DIGITS = 10**15
"""Decimals of fewer digits are what a float prints as, where they are nearest to it."""
# Wide enough for any sum of floats: digits are added where they are needed, and none is dropped.
_WIDE = Context(prec=2000, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact])


def exact_sum(values: Floats) -> Fraction:
    """Return the sum of the numbers that finite floats stand for; 0 for none."""
    few_decimals = _sum_of_short_decimals(values)
    if few_decimals is not None:
        return few_decimals
    distinct, counts = np.unique(values, return_counts=True)
    tops, parts = _fractions(distinct)
    odd = parts == 0
    sums = np.bincount(parts, weights=tops * counts)
    return _sum_of_decimals(distinct[odd], counts[odd]) + sum(
        (Fraction(int(sums[part]), int(part)) for part in np.flatnonzero(sums) if part),
        Fraction(0),
    )


def meant(value: float) -> Fraction:
    """Return the exact number that one finite float stands for."""
    return exact_sum(np.array([value], np.float64))


def widened(values: NDArray[np.floating]) -> Floats:
    """Return floats of any precision in double precision, as the decimals that they print as.

    0.73 in single precision is 0.7300000190734863 in double: the metric that gave it meant 0.73.
    """
    if values.dtype.itemsize >= 8:
        return values.astype(np.float64)
    distinct, places = np.unique(values, return_inverse=True)
    printed = np.array([float(str(value)) for value in distinct], np.float64)
    return printed[places].reshape(values.shape)


def _sum_of_short_decimals(values: Floats) -> Fraction | None:
    """Return the sum where all values are whole, or have few decimals; None elsewhere."""
    if not len(values):
        return Fraction(0)
    greatest = max(float(values.max()), -float(values.min()))
    most = min(_SURE_DIGITS, 2**62 // len(values))
    for places in _PLACES:
        scale = 10**places
        if greatest * scale >= most:
            return None
        some = values[:100]
        if (np.rint(some * scale) / scale != some).any():
            continue
        scaled = np.rint(values * scale)
        if (scaled / scale == values).all():
            return Fraction(int(scaled.astype(np.int64).sum()), scale)
    return None


def _fractions(values: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return numerator and denominator of each value that is next to a fraction of few parts.

    The convergents of its continued fraction; denominator 0 where none of them is it.
    """
    tops, parts = np.zeros_like(values), np.zeros(len(values), np.int64)
    left = np.flatnonzero(np.abs(values) <= MOST_IN_PARTS)
    rest = values[left]
    top, part = np.ones_like(rest), np.zeros_like(rest)
    top_before, part_before = np.zeros_like(rest), np.ones_like(rest)
    while len(left):
        whole = np.floor(rest)
        top, top_before = whole * top + top_before, top
        part, part_before = whole * part + part_before, part
        few = part <= MOST_PARTS
        hit = few & (top / part == values[left])
        tops[left[hit]], parts[left[hit]] = top[hit], part[hit].astype(np.int64)
        on = few & ~hit & (rest - whole > 1 / _NEXT_HAS_TOO_MANY)
        left, rest = left[on], 1 / (rest - whole)[on]
        top, top_before, part, part_before = (x[on] for x in (top, top_before, part, part_before))
    return tops, parts


def _sum_of_decimals(values: Floats, counts: NDArray[np.intp]) -> Fraction:
    total = Decimal(0)
    add, times = _WIDE.add, _WIDE.multiply
    for value, count in zip(map(repr, values.tolist()), counts.tolist(), strict=True):
        total = add(total, Decimal(value) if count == 1 else times(Decimal(value), count))
    return Fraction(total)
