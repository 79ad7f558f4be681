"""What is known of a metric and of its examples, and the tests of scores that follow from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from pytest_distill.statistics.jackknife import (
    Aggregate,
    Clusters,
    Ends,
    Extremes,
    PseudoValues,
    Range,
    of_mean,
    of_metric,
    sum_by_cluster,
)
from pytest_distill.statistics.levels import Level, likelihood_level, likelihood_retention
from pytest_distill.statistics.proportions import proportion_retention
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.results import NoRatioError, Retention
from pytest_distill.statistics.superiority import (
    N_RESAMPLES,
    RNG,
    PairedTest,
    proportion_test,
    randomization_p,
    sign_flip_p,
    win_counts,
)
from pytest_distill.statistics.t_retention import (
    TRetention,
    constant_test,
    ratio_test,
    refuse_no_ratio,
)


@dataclass(frozen=True, eq=False, slots=True)
class Scoring:
    """How the rows of examples make a score, and what is known of those that were not seen.

    A row is the score of an example, shape (n,), where the metric is their mean, else its
    sufficient statistics, shape (n, k). Rows of several models are of the same examples.

    Parameters
    ----------
    range : tuple of float
        The metric's least and greatest value; infinite where there is none.
    higher_is_better : bool
        The metric's direction. Where it is False retention is teacher / student.
    aggregate : callable, optional
        Summed statistics, shape (..., k) -> (...): the metric. None where it is a mean of scores.
    extremes : tuple of array_like, optional
        Statistics of the worst and of the best answers that an example can get. Without them both
        a pseudo-value at the end of the range and one twice as far as the furthest that was seen
        are tried, and the worse one counts. For a mean they are the ends of the range.
    per_unit : {"mean", "exp"}, optional
        Where the statistics are a negative log-likelihood and the number of units that it is over:
        whether the metric is their quotient or exp of it.
    clusters : sequence of hashable, optional
        The cluster of each example; None where the examples are independent.
    """

    range: Range = (0.0, 1.0)
    higher_is_better: bool = True
    aggregate: Aggregate | None = None
    extremes: Extremes | None = None
    per_unit: Literal["mean", "exp"] | None = None
    clusters: Clusters | None = None

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""
        return 1 if self.higher_is_better else -1

    @property
    def ends(self) -> Ends:
        """The metric's worst and best value."""
        return self.range if self.higher_is_better else (self.range[1], self.range[0])

    def values(self, rows: ArrayLike) -> PseudoValues:
        """Return what each example, or cluster, contributes to a model's score."""
        if self.aggregate is None:
            return of_mean(rows, self.clusters, self.ends)
        return of_metric(rows, self.aggregate, self.clusters, self.extremes, self.ends)

    def exact(self, *rows: ArrayLike) -> bool:
        """Return whether these are 0/1 scores of independent examples: exact tests exist."""
        return self.aggregate is None and self.clusters is None and zero_or_one(*rows)

    def retention(self, student: ArrayLike, teacher: ArrayLike) -> Retention:
        """Return the evidence on which share of the teacher's quality the student retains.

        Exact where it can be, else `t_retention`.
        """
        if self.exact(student, teacher):
            higher = self.higher_is_better
            return proportion_retention(student, teacher, higher_is_better=higher)
        return self.t_retention(student, teacher)

    def t_retention(self, student: ArrayLike, teacher: ArrayLike) -> TRetention:
        """Return the same by a t test, of 0/1 scores too.

        Of a mean without clusters: a one-sample t test on D = S - m*T, with a worst-case example (S
        the metric's least, T its greatest value) counted for the lower side, and a best-case
        example (the other way round) for the upper. With clusters: the delete-one-cluster jackknife
        of mean(D), t with G - 1 degrees of freedom, and a whole such cluster counted, since losses
        may come by clusters.

        Of a metric over the whole corpus: the pseudo-values of D = metric(student) -
        m*metric(teacher), by the delete-one jackknife, are tested by t, with the influence of the
        worst possible example counted for the lower side and of the best for the upper: one more
        wrong answer in a class of ten moves macro-F1 by far more than 1 / n. The statistics of the
        two may have different columns where there are no `extremes`.

        Of a likelihood per unit, where the units of both are the same: see `likelihood_retention`.

        Parameters
        ----------
        student, teacher : array_like
            Rows. Average the scores of several samples of one example first.

        Raises
        ------
        NoRatioError
            Where the teacher's score is not above 0, or, for a metric that can be negative, its own
            two-sided 95 % interval is not.
        """
        if self.per_unit is not None:
            (mine, units), (theirs, their_units) = (np.asarray(x).T for x in (student, teacher))
            if (units == their_units).all():
                exp, clusters = self.per_unit == "exp", self.clusters
                return likelihood_retention(mine, theirs, units, logarithmic=exp, clusters=clusters)
        s, t = self.values(student), self.values(teacher)
        if s.n != t.n:
            raise ValueError(f"{s.n} and {t.n} examples: must be the same ones")
        can_be_negative = self.range[0] < 0
        refuse_no_ratio(t, "teacher", can_be_negative=can_be_negative)
        if not self.higher_is_better and s.estimate < 0:
            raise NoRatioError(f"the student scores {s.estimate:g}, below 0: no ratio exists")
        floor = -math.inf if can_be_negative else 0.0
        pair = (s, t) if self.higher_is_better else (t, s)
        return ratio_test(*pair, floor, self._kind, bottom_errs=not self.higher_is_better)

    def level(self, rows: ArrayLike) -> Rate | Level:
        """Return the evidence on one model's score: exact where it can be, else `t_level`."""
        if self.exact(rows) and self.range == (0.0, 1.0):
            return Rate.of_examples(np.asarray(rows, np.float64), self.higher_is_better)
        return self.t_level(rows)

    def t_level(self, rows: ArrayLike) -> Level:
        """Return the same by a t test on its (pseudo-)values, of 0/1 scores too."""
        if self.per_unit is not None:
            exp, (nats, units) = self.per_unit == "exp", np.asarray(rows).T
            return likelihood_level(
                nats, units, self.range, logarithmic=exp, clusters=self.clusters
            )
        found = self.values(rows)
        found = found if self.higher_is_better else found.turned()
        return Level(constant_test(found, "t"), self.higher_is_better, self.range)

    def gain_test(self, student: ArrayLike, other: ArrayLike) -> TRetention:
        """Return the t test of the mean gain, as a ratio to 1; a worst-case example is counted.

        The one on which the student is wrong and the other right. Its floor is the gain that must
        be exceeded.
        """
        mine, theirs = self.values(student), self.values(other)
        gain = mine.gain_over(theirs, higher_is_better=self.higher_is_better)
        return constant_test(gain, self._kind)

    def paired_test(
        self,
        student: ArrayLike,
        other: ArrayLike,
        min_gain: float = 0.0,
        *,
        mid_p: bool = False,
        example_gains: ArrayLike | None = None,
    ) -> PairedTest:
        """Test whether the student beats the other by more than `min_gain`.

        Exact where it can be, with `mid_p` as for `proportion_test`; else by `resampling_test`.
        """
        if not self.exact(student, other):
            return self.resampling_test(student, other, min_gain, example_gains=example_gains)
        better, worse = (student, other) if self.higher_is_better else (other, student)
        return proportion_test(better, worse, min_gain, mid_p=mid_p)

    def resampling_test(
        self,
        student: ArrayLike,
        other: ArrayLike,
        min_gain: float = 0.0,
        *,
        example_gains: ArrayLike | None = None,
        n_resamples: int = N_RESAMPLES,
        rng: RNG = 0,
    ) -> PairedTest:
        """Test the same by exchanging the two models' outputs, and by a t test.

        Of a mean the signs of the differences flip, of a metric over the whole corpus the outputs
        are swapped (approximate randomization). With `min_gain` it is taken off each difference;
        the gains of swapped corpora, which lie around 0, are compared with the observed gain less
        `min_gain`.

        All 2^k outcomes are looked at where k differences are not 0 and that is no more than
        `n_resamples`; else p = (hits + 1) / (n_resamples + 1). Whole clusters are exchanged
        together, and of more than 8,192 units blocks of them, drawn at random.

        To exchange outputs asks whether the two are exchangeable, and not which is better on
        average: rare catastrophes among many small gains pass it. So the greater p counts of it and
        of `gain_test`.

        Parameters
        ----------
        student, other : array_like
            Rows; statistics with the same columns: of both models from one call of the metric.
        min_gain : float
            The gain in the metric that must be exceeded.
        example_gains : array_like, shape (n,), optional
            Student's score less the other's of each example, above 0 where the student is better:
            for wins, losses and ties alone. Of a mean they are its differences.
        n_resamples : int
            Number of random exchanges.
        rng : int or Generator
            Seed, or source of randomness.
        """
        mine, theirs = np.asarray(student, np.float64), np.asarray(other, np.float64)
        gains = None if example_gains is None else np.asarray(example_gains, np.float64)
        gain: float | None = None
        if self.aggregate is None:
            kind, gains = "sign-flip permutation", self.sign * (mine - theirs)
            gain, units = float(gains.mean()), gains - min_gain
            if self.clusters is not None:
                units = sum_by_cluster(units, self.clusters)
            p, exact = sign_flip_p(units, n_resamples=n_resamples, rng=rng)
        else:
            kind = "approximate randomization"
            p, exact = randomization_p(
                mine,
                theirs,
                self.aggregate,
                min_gain,
                higher_is_better=self.higher_is_better,
                clusters=self.clusters,
                n_resamples=n_resamples,
                rng=rng,
            )
        average = self.gain_test(mine, theirs)
        wins, losses, ties = (None, None, None) if gains is None else win_counts(gains)
        return PairedTest(
            p_value=max(p, average.test(min_gain).p_retained),
            gain=average.observed if gain is None else gain,
            wins=wins,
            losses=losses,
            ties=ties,
            method=f"{kind}{', all outcomes' if exact else ''}, and {average.method}",
            n=len(mine),
            clusters=average.top.clusters,
            notes=average.top.notes,
        )

    @property
    def _kind(self) -> str:
        """What a t test of the metric is called."""
        return "t" if self.aggregate is None else "jackknife"


def zero_or_one(*scores: ArrayLike) -> bool:
    """Return whether all scores are 0 or 1."""
    return all(bool(np.isin(s, (0.0, 1.0)).all()) for s in scores)
