"""How alike two distributions over the same labels or tokens are.

References
----------
Kullback, S. and Leibler, R. A. (1951). On information and sufficiency. Annals of Mathematical
Statistics 22:79-86.
Leviathan, Y., Kalman, M. and Matias, Y. (2023). Fast inference from transformers via speculative
decoding. ICML, 19274-19286.
Cover, T. M. and Thomas, J. A. (2006). Elements of Information Theory, 2nd ed., theorem 2.7.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, rel_entr

Floats = NDArray[np.float64]


def divergence(teacher: ArrayLike, student: ArrayLike) -> Floats:
    """Return KL(teacher || student) in nats: how much the student misses of the teacher.

    Parameters
    ----------
    teacher, student : array_like, shape (..., k)
        Probabilities; each row is divided by its sum.

    Returns
    -------
    ndarray, shape (...)
        At least 0. Infinite where the student gives 0 to what the teacher does not.
    """
    p, q = _normalised(teacher), _normalised(student)
    # Rounding can bring the divergence of two nearly equal distributions below 0.
    return np.asarray(np.maximum(rel_entr(p, q).sum(axis=-1), 0.0))


def total_variation(teacher: ArrayLike, student: ArrayLike) -> Floats:
    """Return half the sum of absolute differences, in [0, 1].

    1 less it is the probability that speculative decoding accepts a token that the student drafted
    for the teacher (Leviathan et al. 2023, theorem 3.5).

    Parameters
    ----------
    teacher, student : array_like, shape (..., k)
        Probabilities; each row is divided by its sum.
    """
    p, q = _normalised(teacher), _normalised(student)
    return np.asarray(np.minimum(np.abs(p - q).sum(axis=-1) / 2, 1.0))


def softmax(logarithms: ArrayLike) -> Floats:
    """Return the probabilities, shape (..., k), that unnormalised log-probabilities stand for."""
    values = np.asarray(logarithms, np.float64)
    return np.asarray(np.exp(values - logsumexp(values, axis=-1, keepdims=True)))


def by_choice(loglikelihoods: ArrayLike | None) -> dict[str, float] | None:
    """Return choice -> probability, of the choices' likelihoods alone; None where these are not."""
    if loglikelihoods is None:
        return None
    return {str(number): float(p) for number, p in enumerate(softmax(loglikelihoods))}


@dataclass(frozen=True, eq=False, slots=True)
class Bounded:
    """What is known of likeness where only a part of the teacher's distribution is.

    Parameters
    ----------
    divergence : tuple of ndarray, shape (n,)
        The least and the greatest KL(teacher || student) that the rest can make of it, in nats.
    total_variation : tuple of ndarray, shape (n,)
        The same of the total variation.
    mass : ndarray, shape (n,)
        How much of the teacher's probability is known.
    """

    divergence: tuple[Floats, Floats]
    total_variation: tuple[Floats, Floats]
    mass: Floats


def bounded_likeness(
    teacher: ArrayLike, student: ArrayLike, rest: ArrayLike, least: ArrayLike
) -> Bounded:
    r"""Return bounds of likeness from a teacher's most likely tokens.

    With p and q the probabilities of teacher and student, C the captured tokens, r = 1 - p(C) the
    mass that is missing, R = q(not C) and q* the student's least probability outside of C:

    .. math::

        \sum_C p \ln \frac{p}{q} + r \ln \frac{r}{R} \le KL \le
        \sum_C p \ln \frac{p}{q} + r \ln \frac{r}{q^*}

        \sum_C |p - q| + |r - R| \le 2 TV \le
        \sum_C |p - q| + R + \max(r - 2 q^*, -r)

    Both are sharp. The lower ones are reached where the missing mass lies as the student's does
    (log-sum inequality), the upper ones where it lies on the student's least likely token: both
    measures are convex in p, so that a corner is worst.

    Parameters
    ----------
    teacher, student : array_like, shape (n, k)
        Log-probabilities of the captured tokens; ``-inf`` for the teacher where a row has fewer.
    rest : array_like, shape (n,)
        The student's probability of all other tokens, R; 0 where there are none.
    least : array_like, shape (n,)
        The log-probability of the student's least likely token among them.
    """
    log_p, log_q = np.asarray(teacher, np.float64), np.asarray(student, np.float64)
    rest, least = np.asarray(rest, np.float64), np.asarray(least, np.float64)
    p, known = np.exp(log_p), log_p > -np.inf
    with np.errstate(invalid="ignore"):
        terms = np.where(p > 0, p * (log_p - log_q), 0.0)
    inside = terms.sum(axis=-1)
    apart = np.where(known, np.abs(p - np.exp(log_q)), 0.0).sum(axis=-1)
    mass = np.minimum(p.sum(axis=-1), 1.0)
    others = np.isfinite(least) | (rest > 0)  # where every token was captured, none is missing
    missing = np.where(others, 1.0 - mass, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = inside + np.where(missing > 0, missing * (np.log(missing) - np.log(rest)), 0.0)
        high = inside + np.where(missing > 0, missing * (np.log(missing) - least), 0.0)
    corner = np.maximum(missing - 2 * np.exp(least), -missing)
    return Bounded(
        (np.maximum(low, 0.0), np.maximum(high, 0.0)),
        (
            np.clip((apart + np.abs(missing - rest)) / 2, 0.0, 1.0),
            np.clip((apart + rest + np.where(others, corner, 0.0)) / 2, 0.0, 1.0),
        ),
        mass,
    )


def _normalised(probabilities: ArrayLike) -> Floats:
    values = np.asarray(probabilities, np.float64)
    return np.asarray(values / values.sum(axis=-1, keepdims=True))
