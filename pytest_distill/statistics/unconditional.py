"""Exact tests of two proportions of the same examples, where the normal law is not yet near.

A score statistic orders what may be observed, and p is the greatest probability of what is at least
as extreme, over the one parameter that the hypothesis leaves open. The parameter is kept to its own
exact interval, whose chance to miss it is added to p.

References
----------
Suissa, S. and Shuster, J. J. (1991). The 2 x 2 matched-pairs trial: exact unconditional design and
analysis. Biometrics 47:361-372.
Berger, R. L. and Boos, D. D. (1994). P values maximized over a confidence set for the nuisance
parameter. Journal of the American Statistical Association 89:1012-1016.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, betaincinv, gammaln, xlog1py, xlogy

from pytest_distill.statistics.results import Floats
from pytest_distill.statistics.score import difference_statistic, score_statistic

MOST = 20_000
"""Of more examples the normal law is near enough, and the sums get long."""
MISSED = 1e-5
"""The chance that the open parameter lies outside of its interval; a part of every p."""
MISSED_AT_LEAST = 1e-12
"""The same for a p that would be little else; a part of it instead."""
_TIES = 1e-9  # statistics that differ by rounding alone are as extreme as each other
_GRID = 32
_FINER = 8
_ROUNDS = 2
_SPREADS = 8.5  # of a count's standard deviation: what lies beyond is under 1e-15

Counts = NDArray[np.int64]
Extreme = Callable[[Floats], NDArray[np.bool_]]

_remembered = lru_cache(maxsize=2**14)
"""Many gates on one comparison ask for the same tails, of a few milliseconds each."""


@_remembered
def below_tail(both: int, bottom_only: int, top_only: int, ratio: float) -> float:
    """Return p of "the ratio is below `ratio`", from (both + top_only) / (both + bottom_only).

    Given the number u of examples that one of the two gets right, the counts of `bottom_only` and
    `top_only` are trinomial with the probabilities 1 - m (1 - q) and q, and q is what is open.

    Parameters
    ----------
    both, bottom_only, top_only : int
        Counts; u is their sum.
    ratio : float
        The ratio m, above 0.
    """
    return _of_ratio(both, bottom_only, top_only, ratio).upper()


@_remembered
def above_tail(both: int, bottom_only: int, top_only: int, ratio: float) -> float:
    """Return p of "the ratio is at least `ratio`"; see `below_tail`."""
    return _of_ratio(both, bottom_only, top_only, ratio).lower()


def _of_ratio(both: int, bottom_only: int, top_only: int, m: float) -> _Tails:
    u = both + bottom_only + top_only

    def statistic(bottom: Floats, top: Floats) -> Floats:
        return score_statistic(u - bottom - top, bottom, top, m)

    return _Tails(
        examples=u,
        other_count=bottom_only,
        rows=top_only,
        statistic=statistic,
        rising=False,
        other=lambda q: 1 - m * (1 - q),
        open=(max(0.0, 1 - 1 / m), m / (1 + m)),
    )


@_remembered
def difference_tail(wins: int, losses: int, n: int, gain: float) -> float:
    """Return p of "the proportions differ by at most `gain`", for a gain in (-1, 1).

    Wins and losses are trinomial with the probabilities q + gain and q, and q is what is open.
    """
    return _of_difference(wins, losses, n, gain).upper()


@_remembered
def difference_above_tail(wins: int, losses: int, n: int, gain: float) -> float:
    """Return p of "the proportions differ by at least `gain`"; see `difference_tail`."""
    return _of_difference(wins, losses, n, gain).lower()


def _of_difference(wins: int, losses: int, n: int, gain: float) -> _Tails:
    def statistic(won: Floats, lost: Floats) -> Floats:
        return difference_statistic(won, lost, n, gain)

    return _Tails(
        examples=n,
        other_count=wins,
        rows=losses,
        statistic=statistic,
        rising=True,
        other=lambda q: q + gain,
        open=(max(0.0, -gain), (1 - gain) / 2),
    )


@dataclass(frozen=True, slots=True)
class _Tails:
    """Tails of a statistic of two counts, summed over one of them (the rows).

    Parameters
    ----------
    examples : int
        Number of examples; the two counts are a part of it.
    other_count, rows : int
        The two that were observed. The probability q of the second is open.
    statistic : callable
        Of both counts.
    rising : bool
        Whether it grows with the first; it falls else.
    other : callable
        The first one's probability, of q.
    open : tuple of float
        Between what q may lie.
    """

    examples: int
    other_count: int
    rows: int
    statistic: Callable[[Floats, Floats], Floats]
    rising: bool
    other: Callable[[Floats], Floats]
    open: tuple[float, float]

    @property
    def observed(self) -> float:
        """The statistic of what was observed."""
        counts = np.array([[self.other_count], [self.rows]], np.float64)
        return float(self.statistic(counts[0], counts[1])[0])

    def upper(self) -> float:
        """Return the greatest probability of a statistic of at least the observed one."""
        limit = self.observed - _TIES * max(1.0, abs(self.observed))
        return self._greatest(lambda found: found >= limit, self.rising)

    def lower(self) -> float:
        """Return the greatest probability of a statistic of at most the observed one."""
        limit = self.observed + _TIES * max(1.0, abs(self.observed))
        return self._greatest(lambda found: found <= limit, not self.rising)

    def _greatest(self, extreme: Extreme, large: bool) -> float:
        """Return the greatest tail over q; `large` where the other count is large in it.

        Where MISSED would be most of p, with the wider interval that is missed more rarely. Up to
        2 MISSED the second decides and above the first, so that at every level one alone does.
        """
        p = self._greatest_within(MISSED, extreme, large)
        if p > 2 * MISSED:
            return p
        return min(self._greatest_within(MISSED_AT_LEAST, extreme, large), 2 * MISSED)

    def _greatest_within(self, missed: float, extreme: Extreme, large: bool) -> float:
        low, high = self._interval(missed)
        rows = self._rows(low, high)
        most = self.examples - rows
        edge = self._edges(extreme, rows, most, large)
        angles = np.linspace(math.asin(math.sqrt(low)), math.asin(math.sqrt(high)), _GRID)
        best = 0.0
        for _ in range(_ROUNDS):
            tails = self._tails(np.sin(angles) ** 2, rows, most, edge, large)
            top = int(np.argmax(tails))
            best = max(best, float(tails[top]))
            around = angles[max(top - 1, 0)], angles[min(top + 1, len(angles) - 1)]
            angles = np.linspace(*around, _FINER)
        return min(best + missed, 1.0)

    def _interval(self, missed: float) -> tuple[float, float]:
        """Return the Clopper-Pearson interval of q, and of it what the hypothesis allows."""
        x, n = self.rows, self.examples
        low = float(betaincinv(x, n - x + 1, missed / 2)) if x else 0.0
        high = float(betaincinv(x + 1, n - x, 1 - missed / 2)) if x < n else 1.0
        return min(max(low, self.open[0]), self.open[1]), max(min(high, self.open[1]), self.open[0])

    def _rows(self, low: float, high: float) -> Counts:
        n = self.examples
        first, last = (
            n * q + side * (_SPREADS * math.sqrt(n * q * (1 - q)) + _SPREADS**2 / 2)
            for q, side in ((low, -1), (high, 1))
        )
        return np.arange(max(math.floor(first), 0), min(math.ceil(last), n) + 1)

    def _edges(
        self,
        extreme: Extreme,
        rows: Counts,
        most: Counts,
        large: bool,
    ) -> Counts:
        """Return of each row how many of the other count are extreme, from their end on."""
        low, high = np.full(len(rows), -1), most.copy()  # at `low` steps extreme, past `high` not
        for _ in range(int(self.examples).bit_length() + 1):
            middle = (low + high + 1) // 2
            other = most - middle if large else middle
            with np.errstate(invalid="ignore"):
                holds = extreme(self.statistic(other.astype(np.float64), rows.astype(np.float64)))
            low, high = np.where(holds, middle, low), np.where(holds, high, middle - 1)
            high = np.maximum(high, low)
        return low + 1

    def _tails(self, q: Floats, rows: Counts, most: Counts, edge: Counts, large: bool) -> Floats:
        n, q = self.examples, q[:, None]
        log_choose = gammaln(n + 1) - gammaln(rows + 1) - gammaln(n - rows + 1)
        of_row = np.exp(log_choose + xlogy(rows, q) + xlog1py(most, -q))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.clip(np.nan_to_num(self.other(q) / (1 - q)), 0.0, 1.0)
        some = edge > 0
        tail = np.zeros(of_row.shape)
        rest, count = most[some], edge[some]
        if large:
            tail[:, some] = np.where(count > rest, 1.0, bdtrc(rest - count, rest, share))
        else:
            tail[:, some] = np.where(count > rest, 1.0, bdtr(count - 1, rest, share))
        return np.asarray((of_row * tail).sum(axis=1))
