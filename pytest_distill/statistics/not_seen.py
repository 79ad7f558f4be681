"""Units of a ratio that were not seen: the worst and the best that there can be, or a guess."""

from __future__ import annotations

import numpy as np

from pytest_distill.statistics.fieller import Unit
from pytest_distill.statistics.jackknife import PseudoValues
from pytest_distill.statistics.results import Floats

_BEYOND = 1e150  # any ratio


_ALIKE = 1e-13


_FURTHER = 2


def extreme(units: Floats, ratio: float, sign: int) -> Unit:
    """Return the unit of the greatest (1) or the least (-1) x - ratio * y."""
    ratio = min(max(ratio, -_BEYOND), _BEYOND)
    place = int(np.argmax(sign * (units[:, 0] - ratio * units[:, 1])))
    return float(units[place, 0]), float(units[place, 1])


def pairs_not_seen(
    top: PseudoValues, bottom: PseudoValues, *, bottom_errs: bool = False
) -> tuple[Floats | None, Floats | None]:
    """Return the worst and the best units for a ratio that were not seen, each of shape (k, 2).

    Where nothing bounds them also a guess: a unit of typical size that lies twice as far from the
    observed ratio as the furthest that was seen: furthest as it is, or as it would be if it were of
    typical size. None where nothing is known: units that are all alike say nothing of others.

    Parameters
    ----------
    top, bottom : PseudoValues
        Of the ratio.
    bottom_errs : bool
        Whether the ratio is the worst where the denominator's answers are wrong and the numerator's
        right: of a metric where lower is better.
    """
    low, high = (top.wrong, bottom.right), (top.right, bottom.wrong)
    if bottom_errs:
        low, high = high, low
    return _pairs(low, top, bottom, 1), _pairs(high, top, bottom, -1)


def _pairs(
    known: tuple[Floats | None, Floats | None], top: PseudoValues, bottom: PseudoValues, sign: int
) -> Floats | None:
    found = []
    first, second = known
    if first is not None and second is not None and len(first):
        found.append(np.column_stack([first, second]))
    guess = None if top.bounded else _twice_as_far(top, bottom, sign)
    if guess is not None:
        found.append(np.array([guess]))
    return np.concatenate(found) if found else None


def _twice_as_far(top: PseudoValues, bottom: PseudoValues, sign: int) -> Unit | None:
    if not bottom.estimate > 0:
        return None
    ratio = top.estimate / bottom.estimate
    apart = sign * (top.values - ratio * bottom.values)
    furthest, size = float(apart.min()), 1.0
    if top.sizes is not None:
        some = top.sizes > 0
        furthest = min(furthest, top.typical * float((apart[some] / top.sizes[some]).min()))
        size = top.typical / float(top.sizes.mean())
    # What rounding leaves of units that are all alike is no distance.
    if furthest >= -_ALIKE * float(np.abs(top.values).max()):
        return None
    under = size * bottom.estimate
    return ratio * under + sign * _FURTHER * furthest, under
