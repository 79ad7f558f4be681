"""How many examples a verdict needs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from pytest_distill.statistics.results import POWER, one_sided
from pytest_distill.statistics.score import ratio_variance

MOST = 10**9


def examples_needed(
    floor: float,
    teacher: float,
    discordance: float,
    retention: float,
    *,
    confidence: float = 0.95,
    power: float = POWER,
) -> int | None:
    r"""Return about how many examples settle a floor for 0/1 scores, by the score test.

    .. math:: N = \frac{(z_{1-\alpha} s_0 + z_{1-\beta} s_1)^2}{p^2 (r - m)^2}

    with s1^2 = m d + p (r - m) (1 - m) - p^2 (r - m)^2 the variance of S - m T, and s0^2 the one
    that the score test would estimate from the expected proportions.

    Parameters
    ----------
    floor : float
        The floor m.
    teacher : float
        The teacher's accuracy p.
    discordance : float
        Share of examples that exactly one of the two gets right, d; raised to the least that
        `teacher` and `retention` allow, p |1 - r|.
    retention : float
        The retention r that is assumed to be the true one. Above the floor the number shows that
        it holds, below it that it does not.
    confidence, power : float
        Of the one-sided bound, and the probability of a clear answer.

    Returns
    -------
    int or None
        None where no number settles it: `retention` is the floor.
    """
    gap = teacher * (retention - floor)
    if gap == 0 or teacher <= 0:
        return None
    discordance = max(discordance, teacher * abs(1 - retention))
    both = (teacher + retention * teacher - discordance) / 2
    proportions = (both, teacher - both, retention * teacher - both, floor)
    s0 = math.sqrt(float(ratio_variance(*(np.asarray(x, np.float64) for x in proportions))))
    s1 = math.sqrt(max(floor * discordance + gap * (1 - floor) - gap**2, 0.0))
    wanted = ((_z(one_sided(confidence)) * s0 + _z(power) * s1) / gap) ** 2
    return max(math.ceil(wanted), 1) if wanted <= MOST else None


def examples_needed_to_beat(
    gains: ArrayLike, min_gain: float = 0.0, *, confidence: float = 0.95, power: float = POWER
) -> int | None:
    r"""Return about how many examples show a gain, if the gains on these are the true ones.

    .. math:: N = (z_{1-\alpha} \sqrt{E[g^2]} + z_{1-\beta} sd(g))^2 / E[g]^2

    with g a gain less `min_gain`. For 0/1 scores it is the sample size for McNemar's test of
    Connor, R. J. (1987), Biometrics 43:207-211.

    Parameters
    ----------
    gains : array_like, shape (n,)
        Student's score less the SFT student's, in the direction in which more is better;
        pseudo-values for a corpus metric.
    min_gain, confidence, power : float
        As for the test.

    Returns
    -------
    int or None
        None where the mean gain is not above `min_gain`: no number shows what is not there.
    """
    g = np.asarray(gains, np.float64) - min_gain
    mean, square = float(g.mean()), float((g**2).mean())
    if mean <= 0:
        return None
    spread = math.sqrt(max(square - mean**2, 0.0))
    wanted = ((_z(one_sided(confidence)) * math.sqrt(square) + _z(power) * spread) / mean) ** 2
    return max(math.ceil(wanted), 1) if wanted <= MOST else None


def first_true(holds: Callable[[int], bool], first: int = 2) -> int | None:
    """Return the least number from `first` on for which `holds`, which does for all above it."""
    low, high, step = first - 1, first, max(first // 16, 1)
    while not holds(high):
        low, high, step = high, high + step, 2 * step
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def last_true(
    holds: Callable[[float], bool], inside: float, outside: float, halvings: int
) -> float:
    """Return the last number from `outside` on for which `holds`, which does not at `inside`.

    By bisection. The end at which it holds is returned: a bound is never better than it is.
    """
    for _ in range(halvings):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if holds(middle) else (middle, outside)
    return outside


def _z(probability: float) -> float:
    return float(ndtri(probability))
