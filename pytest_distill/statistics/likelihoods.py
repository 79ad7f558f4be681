"""Negative log-likelihoods of texts per unit of text: what is retained, and the level of one model.

Perplexity has no worst value: a text twice as bad as the worst is counted, since a few bad texts
decide and a sample may have missed its share of them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from pytest_distill.statistics.jackknife import Clusters, Range, of_sums
from pytest_distill.statistics.levels import Level
from pytest_distill.statistics.t_retention import TRetention, ratio_test, refuse_no_ratio

_NATS = "t of log-likelihoods"


def likelihood_retention(
    student_nats: ArrayLike,
    teacher_nats: ArrayLike,
    units: ArrayLike,
    *,
    logarithmic: bool,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of a likelihood per unit of text, the units of both models being the same.

    Of perplexity it is ppl(teacher) / ppl(student), which is exp(-(sum nats(student) - sum
    nats(teacher)) / units), and its logarithm is tested by t on D = -(nats(student) -
    nats(teacher)) - ln(m)*units of each text, or cluster of texts. Of bits per byte it is
    sum nats(teacher) / sum nats(student), by a t test on D = nats(teacher) - m*nats(student).

    Parameters
    ----------
    student_nats, teacher_nats : array_like, shape (n,)
        Negative log-likelihood of each text.
    units : array_like, shape (n,)
        Its tokens, where the tokenizers are the same; else its words or bytes.
    logarithmic : bool
        Whether the score is exp(nats / units), else it is nats / units.
    clusters : sequence of hashable, optional
        The cluster of each text.
    """
    student, teacher = (np.asarray(x, np.float64) for x in (student_nats, teacher_nats))
    if logarithmic:
        pair, who, floor = (teacher - student, units), "number of units of text", -math.inf
    else:
        pair, who, floor = (teacher, student), "student", 0.0
    top, bottom = (of_sums(values, units, clusters) for values in pair)
    refuse_no_ratio(bottom, who)
    return replace(ratio_test(top, bottom, floor, _NATS), logarithmic=logarithmic)


def likelihood_level(
    nats: ArrayLike,
    units: ArrayLike,
    range: Range,
    *,
    logarithmic: bool,
    clusters: Clusters | None = None,
) -> Level:
    """Return the test of a negative log-likelihood per unit of text; lower is better.

    Parameters
    ----------
    nats, units, logarithmic, clusters
        Of one model, as for `likelihood_retention`.
    range : tuple of float
        The least and the greatest score.
    """
    gained = of_sums(-np.asarray(nats, np.float64), units, clusters)
    ratio = ratio_test(gained, of_sums(units, units, clusters), -math.inf, _NATS)
    return Level(ratio, False, range, logarithmic)
