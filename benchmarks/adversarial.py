"""Designs that are hard for the gates: rare disasters, rare classes, units of unequal size.

Each draws gold sets from a known truth and puts the floor exactly there, so that a confident gate
may pass, and may fail, as often as its level says and no more. What judges is the package's own
functions. A design is a name, a bound, a function that draws and one that judges; `designs` lists
them. To add a kind, yield its designs there.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import repeats
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import binom

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.metrics.corpus import BLEU, CHRF
from pytest_distill.evals.metrics.labels import MACRO_F1, MATTHEWS
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks import Classification
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.gates.verdict import Outcome
from pytest_distill.statistics import rates
from pytest_distill.statistics.gap import gap_recovered
from pytest_distill.statistics.jackknife import of_mean
from pytest_distill.statistics.levels import likelihood_retention
from pytest_distill.statistics.multiple import holm
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.quantiles import unit_interval
from pytest_distill.statistics.results import FloorTest, NoRatioError, Retention, shown
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.suite import Combined, suite_retention
from pytest_distill.statistics.t_retention import TRetention
from pytest_distill.statistics.unconditional import above_tail, below_tail, difference_tail

Array = NDArray[Any]
RNG = np.random.Generator
Found = tuple[str, float, float]
"""Side, confidence, rate."""

CONFIDENCES = (0.9, 0.95, 0.99)
SLACK = 1.1
"""A bound is so many times the level where a design names none: 5.5 % at 5 %."""
LEAST = 20
NO_VERDICT = FloorTest(1.0, 1.0)


@dataclass(frozen=True)
class Bound:
    """How often a design may be judged wrongly, or how often it must pass.

    Parameters
    ----------
    share : float, optional
        The greatest share at confidence .95, at others in proportion to their level. None: 1.1
        times the level.
    always : bool
        Whether `share` holds at every confidence: of disasters that a gold set most likely misses.
    wanted : float, optional
        The least share that must pass at .95: of a student above its floor, which has no error.
    """

    share: float | None = None
    always: bool = False
    wanted: float | None = None

    def at(self, confidence: float) -> float:
        """Return the greatest share that may be judged wrongly at a confidence."""
        level = 1 - confidence
        if self.share is None:
            return SLACK * level
        return self.share if self.always else self.share * level / 0.05


@dataclass(frozen=True)
class Rate:
    """How often a design passes, or fails, beside its bound.

    Parameters
    ----------
    kind, design : str
        Its names.
    side : str
        "pass", "fail" or "power".
    confidence : float
        Of the gate.
    rate, bound : float
        What was measured, and what it may be at most; of power, at least.
    replications : int, optional
        How many were drawn; None where the rate is a sum over all that may be observed.
    """

    kind: str
    design: str
    side: str
    confidence: float
    rate: float
    bound: float
    replications: int | None

    @property
    def chance(self) -> float:
        """Three standard errors of the simulation, at the bound."""
        if self.replications is None:
            return 1e-9
        return 3 * math.sqrt(self.bound * (1 - self.bound) / self.replications)

    @property
    def holds(self) -> bool:
        """Whether the bound is kept, but for what chance explains."""
        if self.side == "power":
            return self.rate >= self.bound - self.chance
        return self.rate <= self.bound + self.chance


def _rates(
    kind: str, name: str, bound: Bound, found: Sequence[Found], replications: int | None
) -> list[Rate]:
    rates = [
        Rate(kind, name, side, confidence, rate, bound.at(confidence), replications)
        for side, confidence, rate in found
    ]
    if bound.wanted is None:
        return rates
    (passed,) = (r for r in rates if r.side == "pass" and r.confidence == 0.95)
    return [Rate(kind, name, "power", 0.95, passed.rate, bound.wanted, replications)]


@dataclass(frozen=True)
class Design:
    """One way to draw gold sets, and how each is judged.

    Parameters
    ----------
    kind, name : str
        What judges, and what is drawn.
    draw : callable
        Source of randomness -> a gold set.
    judge : callable
        A gold set -> p of "the floor does not hold" and of "it does".
    replications : int
        How many gold sets.
    bound : Bound
        What is promised.
    """

    kind: str
    name: str
    draw: Callable[[RNG], Any]
    judge: Callable[[Any], FloorTest]
    replications: int
    bound: Bound = Bound()

    def rates(self, scale: float = 1.0) -> list[Rate]:
        """Return the rates over `scale` times the replications: the same ones every time."""
        rng = np.random.default_rng(zlib.crc32(f"{self.kind}: {self.name}".encode()))
        n = max(round(self.replications * scale), LEAST)
        tests = [_told(self.judge, self.draw(rng)) for _ in range(n)]
        found: list[Found] = []
        for side, attribute in (("pass", "p_retained"), ("fail", "p_below")):
            p = [float(getattr(test, attribute)) for test in tests]
            if side == "fail" and min(p) == 1:  # not asked
                continue
            found += [(side, c, float(np.mean([shown(x, c) for x in p]))) for c in CONFIDENCES]
        return _rates(self.kind, self.name, self.bound, found, n)


@dataclass(frozen=True)
class Enumerated:
    """A design whose rates are sums over all that may be observed: nothing is drawn.

    Parameters
    ----------
    kind, name, bound
        As of a `Design`.
    sums : callable
        () -> the rates.
    """

    kind: str
    name: str
    sums: Callable[[], list[Found]]
    bound: Bound = Bound()

    def rates(self, scale: float = 1.0) -> list[Rate]:
        """Return the rates; `scale` changes nothing."""
        del scale
        return _rates(self.kind, self.name, self.bound, self.sums(), None)


@dataclass(frozen=True)
class Counted:
    """A design that says of each gold set by itself what is passed, and failed, at a confidence.

    Parameters
    ----------
    kind, name, draw, replications, bound
        As of a `Design`.
    judge : callable
        A gold set and a confidence -> whether it passes, and whether it fails.
    """

    kind: str
    name: str
    draw: Callable[[RNG], Any]
    judge: Callable[[Any, float], tuple[bool, bool]]
    replications: int
    bound: Bound = Bound()

    def rates(self, scale: float = 1.0) -> list[Rate]:
        """Return the rates over `scale` times the replications: the same ones every time."""
        rng = np.random.default_rng(zlib.crc32(f"{self.kind}: {self.name}".encode()))
        n = max(round(self.replications * scale), LEAST)
        samples = [self.draw(rng) for _ in range(n)]
        found: list[Found] = []
        for confidence in CONFIDENCES:
            told = np.array([self.judge(sample, confidence) for sample in samples]).mean(axis=0)
            found += [("pass", confidence, float(told[0])), ("fail", confidence, float(told[1]))]
        return _rates(self.kind, self.name, self.bound, found, n)


def _told(judge: Callable[[Any], FloorTest], sample: Any) -> FloorTest:
    try:
        return judge(sample)
    except (NoRatioError, ComparisonError):
        return NO_VERDICT


def designs() -> list[Design | Enumerated | Counted]:
    """Return all designs."""
    return [
        *label_designs(),
        *text_designs(),
        *sft_designs(),
        *bounded_designs(),
        *cluster_designs(),
        *nats_designs(),
        *proportion_designs(),
        *slice_designs(),
        *gap_designs(),
        *suite_designs(),
        *speed_designs(),
        *recommend_designs(),
        *gate_designs(),
        *limits(),
    ]


# --- metrics of labels ----------------------------------------------------------------------------
@dataclass(frozen=True)
class Labels:
    """A teacher that is right at the same rate in every class, and a student that loses a share.

    Parameters
    ----------
    metric : Metric
        Of labels.
    counts : tuple of int
        Gold examples of each class; the last is the rare one.
    lost : float
        The share of the last class that the student answers with the first.
    right : float
        The teacher's accuracy.
    of_all : bool
        Whether that share is lost of every class but the first.
    drawn : bool
        Whether the gold labels are drawn too, `counts` what is expected.
    swapped : bool
        Whether it is the teacher that loses.
    at : float, optional
        The floor, where it is not the truth.
    """

    metric: Metric
    counts: tuple[int, ...]
    lost: float
    right: float = 1.0
    of_all: bool = False
    drawn: bool = False
    swapped: bool = False
    at: float | None = None

    @property
    def floor(self) -> float:
        """The true retention."""
        if self.at is not None:
            return self.at
        k, gold = len(self.counts), np.array(self.counts, np.float64)
        whole = np.full((k, k), (1 - self.right) / (k - 1))
        np.fill_diagonal(whole, self.right)
        losing = whole.copy()
        for label in range(1, k) if self.of_all else (k - 1,):
            losing[label, label] -= self.lost * self.right
            losing[label, 0] += self.lost * self.right
        cells = [gold[:, None] * answers for answers in (losing, whole)]
        losers, wholes = (
            float(self.metric.aggregate(np.concatenate([np.diag(c), c.sum(axis=0), gold])))
            for c in cells
        )
        return wholes / losers if self.swapped else losers / wholes

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return statistics of student and teacher, whose answers differ in what is lost alone."""
        k, counts = len(self.counts), np.array(self.counts)
        if self.drawn:
            counts = rng.multinomial(counts.sum(), counts / counts.sum())
        gold = np.repeat(np.arange(k), counts)
        other = (gold + rng.integers(1, k, len(gold))) % k
        whole = np.where(rng.random(len(gold)) < self.right, gold, other)
        may = (whole == gold) & ((gold > 0) if self.of_all else (gold == k - 1))
        losing = np.where(may & (rng.random(len(gold)) < self.lost), 0, whole)
        losers, wholes = label_rows(gold, losing, whole)
        return (wholes, losers) if self.swapped else (losers, wholes)

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the floor."""
        return corpus_test(self.metric, *sample, self.floor)


def label_rows(gold: Array, *answers: Array) -> list[Array]:
    """Return the statistics of each model's answers, over the labels that occur."""
    k, n = int(max(gold.max(), *(said.max() for said in answers))) + 1, len(gold)
    found = []
    for said in answers:
        rows = np.zeros((n, 3, k))
        rows[np.arange(n), 0, gold] = gold == said
        rows[np.arange(n), 1, said] = rows[np.arange(n), 2, gold] = 1
        found.append(rows)
    occur = np.sum(found, axis=(0, 1, 2)) > 0
    return [rows[:, :, occur].reshape(n, -1) for rows in found]


def corpus_retention(
    metric: Metric, student: Array, teacher: Array, longest: int | None = None
) -> TRetention:
    """Return a corpus metric's retention, made as `evidence` makes it."""
    return Scoring(
        metric.range,
        aggregate=metric.aggregate,
        extremes=metric.extremes(np.concatenate([student, teacher]), longest),
    ).t_retention(student, teacher)


def corpus_test(
    metric: Metric, student: Array, teacher: Array, floor: float, longest: int | None = None
) -> FloorTest:
    """Return the test of a corpus metric's retention."""
    return corpus_retention(metric, student, teacher, longest).test(floor)


def counts_of(n: int, rare: int, classes: int) -> tuple[int, ...]:
    """Return gold counts: the others alike, one rare class."""
    each = (n - rare) // (classes - 1)
    return (n - rare - each * (classes - 2), *[each] * (classes - 2), rare)


def label_designs() -> Iterator[Design]:
    """Yield macro-F1 and MCC with rare classes."""

    def design(
        kind: str, name: str, labels: Labels, replications: int, bound: Bound = Bound()
    ) -> Design:
        return Design(kind, name, labels.draw, labels.judge, replications, bound)

    for n, rare, q in (
        *[(1000, 5, 0.1), (1000, 5, 0.5), (1000, 10, 0.1), (1000, 10, 0.2), (1000, 10, 0.3)],
        *[(1000, 20, 0.05), (1000, 20, 0.1), (1000, 20, 0.2), (1000, 30, 0.05), (1000, 30, 0.1)],
        *[(5000, 5, 0.3), (5000, 10, 0.2), (5000, 20, 0.1), (5000, 30, 0.1)],
    ):
        labels = Labels(MACRO_F1, counts_of(n, rare, 3), q)
        name = f"n {n:,}, 3 classes, {rare} rare, {q:.0%} of these lost"
        yield design("macro-F1", name, labels, 2_000 if n == 1000 else 1_000)
    for n, k, rare, q in ((200, 2, 5, 0.3), (1000, 10, 10, 0.2), (1000, 100, 10, 0.2)):
        labels = Labels(MACRO_F1, counts_of(n, rare, k), q, 0.95)
        name = f"n {n:,}, {k} classes, {rare} rare, {q:.0%} of these lost, teacher .95"
        yield design("macro-F1", name, labels, 400 if k == 100 else 2_000)
    for n, k, q in ((1000, 10, 0.05), (1000, 100, 0.05)):
        labels = Labels(MACRO_F1, counts_of(n, n // k, k), q, 0.95, of_all=True)
        name = f"n {n:,}, {k} classes alike, {q:.0%} of all lost, teacher .95"
        yield design("macro-F1", name, labels, 400 if k == 100 else 1_500)
    for metric, kind in ((MACRO_F1, "macro-F1"), (MATTHEWS, "MCC")):
        for n, share, q in (
            *[(200, 0.01, 0.2), (200, 0.02, 0.2), (1000, 0.01, 0.1), (1000, 0.01, 0.2)],
            *[(1000, 0.02, 0.05), (1000, 0.02, 0.1), (1000, 0.02, 0.4)],
            *[(5000, 0.01, 0.05), (5000, 0.01, 0.2), (5000, 0.02, 0.1)],
        ):
            labels = Labels(metric, counts_of(n, round(n * share), 2), q, drawn=True)
            name = f"n {n:,}, {share:.0%} positive, {q:.0%} of these lost"
            yield design(kind, name, labels, 1_000 if n == 5000 else 2_000)
        for n, share, q in ((1000, 0.02, 0.2), (5000, 0.01, 0.1)):
            labels = Labels(metric, counts_of(n, round(n * share), 2), q, 0.99, drawn=True)
            name = f"n {n:,}, {share:.0%} positive, {q:.0%} of these lost, teacher .99"
            yield design(kind, name, labels, 1_000)
        for n, share, q in ((1000, 0.01, 0.1), (5000, 0.01, 0.05)):
            labels = Labels(metric, counts_of(n, round(n * share), 2), q, drawn=True, swapped=True)
            name = f"n {n:,}, {share:.0%} positive, of which the teacher loses {q:.0%}"
            yield design(kind, name, labels, 1_000)
        for n, share, floor, wanted in ((1000, 0.1, 0.9, 0.99), (5000, 0.02, 0.95, 0.99)):
            counts = counts_of(n, round(n * share), 2)
            labels = Labels(metric, counts, 0.0, 0.97, drawn=True, at=floor)
            name = f"n {n:,}, {share:.0%} positive, a student equal to its teacher, floor {floor}"
            yield design(kind, name, labels, 300, Bound(wanted=wanted))


# --- metrics of texts -----------------------------------------------------------------------------
@dataclass(frozen=True)
class Texts:
    """A student that is its teacher but for a few outputs that go on to the end, or are empty.

    Parameters
    ----------
    metric : Metric
        BLEU or chrF.
    n : int
        Texts.
    fail : float
        The share of outputs that fail.
    cap : int
        `max_new_tokens`.
    fill : float
        How much of what the cap allows a failed output has: 0 is empty.
    swapped : bool
        Whether it is the teacher that fails.
    at : float, optional
        The floor, where it is not the truth.
    """

    metric: Metric
    n: int
    fail: float
    cap: int
    fill: float = 1.0
    swapped: bool = False
    at: float | None = None

    @property
    def floor(self) -> float:
        """The true retention."""
        if self.at is not None:
            return self.at
        sound, failed = (rows.mean(axis=0) for rows in self.pool)
        losing = (1 - self.fail) * sound + self.fail * failed
        losers, wholes = (float(self.metric.aggregate(rows)) for rows in (losing, sound))
        return wholes / losers if self.swapped else losers / wholes

    @property
    def pool(self) -> tuple[Array, Array]:
        """Statistics of the texts that there are: of sound outputs, and of failed ones."""
        return text_pool(self.metric.name, round(self.cap * self.fill))

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return statistics of student and teacher."""
        sound, failed = self.pool
        chosen = rng.integers(0, len(sound), self.n)
        fails = rng.random((self.n, 1)) < self.fail
        wholes, losers = sound[chosen], np.where(fails, failed[chosen], sound[chosen])
        return (wholes, losers) if self.swapped else (losers, wholes)

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the floor."""
        return corpus_test(self.metric, *sample, self.floor, self.cap)


@cache
def text_pool(metric: str, length: int) -> tuple[Array, Array]:
    """Return statistics of 2,000 outputs, sound and failed: of about 22 words, and of `length`."""
    rng = np.random.default_rng(1)
    words = np.ceil(rng.lognormal(3, 0.4, 2000)) + 3
    if metric == "bleu":
        ngrams = np.maximum(words[:, None] - np.arange(4), 0)
        matches = rng.binomial(ngrams.astype(int), [0.7, 0.5, 0.4, 0.3])
        looped = np.zeros_like(ngrams) + np.maximum(length - np.arange(4), 0)
        few = np.minimum(matches, [min(3, length), 0, 0, 0])
        sound = np.column_stack([words, words, matches, ngrams])
        return sound, np.column_stack([np.full(len(words), length), words, few, looped])
    ngrams = np.maximum(5 * words[:, None] - np.arange(6), 0)
    matches = rng.binomial(ngrams.astype(int), [0.9, 0.75, 0.65, 0.55, 0.5, 0.45])
    looped = np.zeros_like(ngrams) + np.maximum(4 * length - np.arange(6), 0)
    few = np.minimum(matches, [min(40, 4 * length), min(10, length), 0, 0, 0, 0])
    both = [(ngrams, ngrams, matches), (looped, ngrams, few)]
    chrf_sound, chrf_failed = (
        np.stack(parts, axis=-1).reshape(len(words), -1).astype(np.float64) for parts in both
    )
    return chrf_sound, chrf_failed


def text_designs() -> Iterator[Design]:
    """Yield BLEU and chrF with outputs that fail."""
    for metric, kind in ((BLEU, "BLEU"), (CHRF, "chrF")):
        found = [
            *[Texts(metric, n, 0.01, cap) for n, cap in product((100, 200, 500, 1000), (64, 256))],
            *[Texts(metric, n, 0.005, 64) for n in (200, 1000)],
            *[Texts(metric, 50, 0.05, 64), Texts(metric, 500, 0.02, 64)],
            *[Texts(metric, n, 0.02, 256, fill=0.0) for n in (50, 200)],
            *[Texts(metric, n, 0.01, 64, swapped=True) for n in (100, 500)],
        ]
        for texts in found:
            what = "empty" if texts.fill == 0 else "loop"
            who = ", the teacher's" if texts.swapped else ""
            name = f"n {texts.n:,}, cap {texts.cap}, {texts.fail:.1%} of outputs {what}{who}"
            yield Design(kind, name, texts.draw, texts.judge, 2_000)
        for n, cap, floor in ((200, 64, 0.9), (500, 64, 0.95), (500, 256, 0.9), (1000, 256, 0.95)):
            texts = Texts(metric, n, 0.0, cap, at=floor)
            name = f"n {n:,}, cap {cap}, a student equal to its teacher, floor {floor}"
            yield Design(kind, name, texts.draw, texts.judge, 300, Bound(wanted=0.99))


# --- better than SFT ------------------------------------------------------------------------------
OVER_SFT = Bound(0.053)


@dataclass(frozen=True)
class Gains:
    """A student a little better than SFT but for disasters: just `least` better on average.

    Parameters
    ----------
    n : int
        Examples, or clusters.
    fail : float
        The share on which the student scores 0 and SFT nearly 1.
    least : float
        `min_gain`.
    spread : bool
        Whether the small gains differ.
    sigma : float, optional
        Of the logarithm of clusters' sizes, which fail as a whole; None where there are none.
    """

    n: int
    fail: float
    least: float = 0.0
    spread: bool = False
    sigma: float | None = None

    def draw(self, rng: RNG) -> tuple[Array, Array, Array]:
        """Return scores of student and SFT, and how many examples have these."""
        small = (self.fail + self.least) * (rng.uniform(0, 2, self.n) if self.spread else 1)
        student = np.where(rng.random(self.n) < self.fail, 0.0, 1.0)
        sizes = np.ones(self.n) if self.sigma is None else rng.choice(sizes_of(self.sigma), self.n)
        return student, np.zeros(self.n) + 1 - small, sizes.astype(int)

    def judge(self, sample: tuple[Array, Array, Array]) -> FloorTest:
        """Return the test of a gain."""
        *scores, sizes = sample
        student, other = (np.repeat(values, sizes) for values in scores)
        clusters = None if self.sigma is None else np.repeat(np.arange(self.n), sizes).tolist()
        test = Scoring(clusters=clusters).resampling_test(student, other, self.least)
        return FloorTest(test.p_value, 1.0)


@dataclass(frozen=True)
class BetterTexts:
    """BLEU of a student that is better than SFT but for outputs that loop: equal on average."""

    n: int
    fail: float
    cap: int

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return statistics of student and SFT."""
        sound, failed = text_pool("bleu", self.cap)
        chosen = rng.integers(0, len(sound), self.n)
        fails = rng.random((self.n, 1)) < self.fail
        less = sound[chosen] * np.array([1, 1, *[kept_matches(self)] * 4, 1, 1, 1, 1])
        return np.where(fails, failed[chosen], sound[chosen]), less

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test of a gain, with fewer swaps than the gate makes."""
        test = Scoring(
            BLEU.range,
            aggregate=BLEU.aggregate,
            extremes=BLEU.extremes(np.concatenate(sample), self.cap),
        ).resampling_test(*sample, n_resamples=999)
        return FloorTest(test.p_value, 1.0)


@cache
def kept_matches(texts: BetterTexts) -> float:
    """Return the share of its matches with which SFT is as good on average as the student."""
    sound, failed = (rows.mean(axis=0) for rows in text_pool("bleu", texts.cap))
    aim = float(BLEU.aggregate((1 - texts.fail) * sound + texts.fail * failed))
    # BLEU grows with the share in proportion while no output is too short.
    return aim / float(BLEU.aggregate(sound))


@dataclass(frozen=True)
class BetterLabels:
    """Macro-F1 of a student that loses of the rare class what SFT loses of a common one."""

    n: int
    rare: int
    lost: float

    @property
    def lost_by_sft(self) -> float:
        """The share of the second class with which the two are equal."""
        low, high, aim = 0.0, 1.0, self._score(2, self.lost)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._score(1, middle) > aim else (low, middle)
        return low

    def _score(self, label: int, lost: float) -> float:
        gold = np.array(counts_of(self.n, self.rare, 3), np.float64)
        predicted, right = gold.copy(), gold.copy()
        right[label] -= lost * gold[label]
        predicted[label] -= lost * gold[label]
        predicted[0] += lost * gold[label]
        return float(MACRO_F1.aggregate(np.concatenate([right, predicted, gold])))

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return statistics of student and SFT."""
        gold = np.repeat(np.arange(3), counts_of(self.n, self.rare, 3))
        chances = ((2, self.lost), (1, self.lost_by_sft))
        said = [np.where((gold == c) & (rng.random(self.n) < q), 0, gold) for c, q in chances]
        student, sft = label_rows(gold, *said)
        return student, sft

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test of a gain, with fewer swaps than the gate makes."""
        extremes = MACRO_F1.extremes(np.concatenate(sample), None)
        test = Scoring(aggregate=MACRO_F1.aggregate, extremes=extremes).resampling_test(
            *sample, n_resamples=999
        )
        return FloorTest(test.p_value, 1.0)


def sft_designs() -> Iterator[Design]:
    """Yield students that are equal to SFT on average."""
    cost = {20: 3_000, 50: 3_000, 100: 2_500, 300: 1_200, 1000: 400}
    for n, fail in (
        *product((20, 50, 100, 300), (0.005, 0.01, 0.02, 0.05)),
        *[(1000, 0.002), (1000, 0.005), (1000, 0.01)],
    ):
        gains = Gains(n, fail)
        name = f"n {n:,}, disasters on {fail:.1%}"
        yield Design("beats SFT", name, gains.draw, gains.judge, cost[n], OVER_SFT)
    for n, fail, least in ((100, 0.01, 0.02), (300, 0.01, 0.05), (300, 0.02, 0.01)):
        gains = Gains(n, fail, least, spread=True)
        name = f"n {n:,}, disasters on {fail:.1%}, gains differ, min_gain {least:g}"
        yield Design("beats SFT", name, gains.draw, gains.judge, cost[n], OVER_SFT)
    for n, fail, sigma in (
        *[(5, 0.01, 0.0), (20, 0.01, 0.0), (20, 0.05, 0.0), (50, 0.01, 0.0), (50, 0.05, 0.0)],
        *[(300, 0.01, 0.0), (50, 0.02, 1.5), (100, 0.05, 1.0)],
    ):
        gains = Gains(n, fail, sigma=sigma)
        name = f"{n} clusters, {fail:.0%} fail" + (f", sizes of sigma {sigma:g}" if sigma else "")
        yield Design("beats SFT", name, gains.draw, gains.judge, 1_000, OVER_SFT)
    for better in (BetterTexts(100, 0.01, 64), BetterTexts(500, 0.01, 64)):
        name = f"BLEU, n {better.n}, cap {better.cap}, {better.fail:.0%} loop"
        yield Design("beats SFT", name, better.draw, better.judge, 150, OVER_SFT)
    for labels in (BetterLabels(1000, 10, 0.2), BetterLabels(1000, 20, 0.1)):
        name = f"macro-F1, n {labels.n:,}, {labels.rare} rare, {labels.lost:.0%} of these lost"
        yield Design("beats SFT", name, labels.draw, labels.judge, 150, OVER_SFT)
    for n, least, wanted in ((300, -0.03, 0.9), (1000, -0.01, 0.9)):
        gains = Gains(n, 0.0, least)
        aware = Deserving(gains, -least)
        name = f"n {n:,}, {-least:.0%} better on every example"
        yield Design("beats SFT", name, aware.draw, aware.judge, 200, Bound(wanted=wanted))


@dataclass(frozen=True)
class Deserving:
    """A student that gains the same on every example, judged against a gain of 0."""

    gains: Gains
    gain: float

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return scores of student and SFT."""
        other = rng.uniform(0, 1 - self.gain, self.gains.n)
        return other + self.gain, other

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test of a gain."""
        return FloorTest(Scoring().resampling_test(*sample).p_value, 1.0)


# --- bounded scores -------------------------------------------------------------------------------
@dataclass(frozen=True)
class Scores:
    """Pairs of scores of a few kinds.

    Parameters
    ----------
    n : int
        Examples.
    kinds : tuple
        (student, teacher, chance) of each.
    range : tuple of float
        Of the metric.
    higher : bool
        Whether higher is better.
    """

    n: int
    kinds: tuple[tuple[float, float, float], ...]
    range: tuple[float, float] = (0.0, 1.0)
    higher: bool = True

    @property
    def floor(self) -> float:
        """The true retention."""
        student, teacher, chances = np.array(self.kinds).T
        s, t = float(chances @ student), float(chances @ teacher)
        return s / t if self.higher else t / s

    def draw(self, rng: RNG) -> Array:
        """Return pairs of scores."""
        kinds = np.array(self.kinds)
        drawn: Array = kinds[rng.choice(len(kinds), self.n, p=kinds[:, 2]), :2]
        return drawn

    def judge(self, sample: Array) -> FloorTest:
        """Return the test at the floor."""
        student, teacher = sample.T
        retention = Scoring(self.range, higher_is_better=self.higher).t_retention(student, teacher)
        return retention.test(self.floor)


def all_or_nothing(n: int) -> list[Found]:
    """Return the exact rates of losses of everything, at the floor at which each is greatest.

    Passing is easiest just at the bound of what was observed. The upper side is that of a student
    that is right on a few examples of a teacher that is right on all.
    """
    found: list[Found] = []
    for confidence in CONFIDENCES:
        passed = failed = 0.0
        for k in range(min(n, 40)):
            losing = np.repeat([1.0, 0.0], [n - k, k])
            lower = Scoring().t_retention(losing, np.ones(n)).interval(confidence).one_sided_lower
            upper = (
                Scoring().t_retention(1 - losing, np.ones(n)).interval(confidence).one_sided_upper
            )
            if lower > 0:
                passed = max(passed, float(binom.cdf(k, n, 1 - lower)))
            if upper < 1:
                failed = max(failed, float(binom.cdf(k, n, upper)))
        found += [("pass", confidence, passed), ("fail", confidence, failed)]
    return found


def bounded_designs() -> Iterator[Design | Enumerated]:
    """Yield bounded scores with rare losses, and with rare wins."""
    for n in (2, 5, 20, 50, 200, 1000):
        name = f"n {n:,}, all or nothing is lost, the worst floor"
        yield Enumerated("bounded scores", name, partial(all_or_nothing, n))
    found = []
    for n, few in product((20, 50, 200, 1000), (1, 3, 6)):
        q = few / n
        name = f"n {n:,}, {few} expected on which the teacher alone is at 0"
        found.append((name, Scores(n, ((0.9, 1, 1 - q), (1, 0, q)))))
    for n, q in product((2, 5), (0.05, 0.5)):
        name = f"n {n}, {q:.0%} on which the teacher alone is at 0"
        found.append((name, Scores(n, ((0.9, 1, 1 - q), (1, 0, q)))))
    for n in (20, 100, 500):
        found += [
            (f"n {n}, student .8, on 3 % 1", Scores(n, ((0.8, 1, 0.97), (1, 1, 0.03)))),
            (
                f"n {n}, half lost on 4 %, gained on 2 %",
                Scores(n, ((0.8, 0.8, 0.94), (0.3, 0.8, 0.04), (1, 0.6, 0.02))),
            ),
            (
                f"n {n}, grades 1 to 5, 2 % fall from 5 to 1",
                Scores(n, ((4, 4, 0.4), (5, 5, 0.58), (1, 5, 0.02)), (1.0, 5.0)),
            ),
            (
                f"n {n}, lower is better, 1 % all wrong",
                Scores(n, ((0.05, 0.05, 0.99), (1, 0.05, 0.01)), higher=False),
            ),
            (
                f"n {n}, the teacher nearly always at 0",
                Scores(n, ((0, 0, 0.93), (0.9, 1, 0.05), (1, 0, 0.02))),
            ),
        ]
    for name, scores in found:
        yield Design("bounded scores", name, scores.draw, scores.judge, 4_000)
    for n, floor in ((200, 0.95), (1000, 0.99)):
        equal = EqualScores(n, floor)
        name = f"n {n:,}, a student equal to its teacher, floor {floor}"
        yield Design("bounded scores", name, equal.draw, equal.judge, 300, Bound(wanted=0.99))


@dataclass(frozen=True)
class EqualScores:
    """A student with its teacher's scores, judged at a floor below 1."""

    n: int
    floor: float

    def draw(self, rng: RNG) -> Array:
        """Return scores."""
        scores: Array = rng.beta(8, 2, self.n)
        return scores

    def judge(self, sample: Array) -> FloorTest:
        """Return the test at the floor."""
        return Scoring().t_retention(sample, sample).test(self.floor)


# --- clusters -------------------------------------------------------------------------------------
UNEQUAL_CLUSTERS = Bound(0.068)


@cache
def sizes_of(sigma: float, median: float = 10) -> Array:
    """Return 20,000 sizes of a log-normal law, each as likely as the others."""
    places = (np.arange(20_000) + 0.5) / 20_000
    sizes: Array = np.ceil(np.exp(math.log(median) + sigma * ndtri(places)))
    return sizes


@dataclass(frozen=True)
class Clusters:
    """Clusters of log-normal size that are lost as a whole, of a teacher that is right.

    Parameters
    ----------
    n : int
        Clusters.
    sigma : float
        Of the logarithm of the size; the median is 10.
    lost : float
        The chance of a cluster to be lost.
    by_size : bool
        Whether that is the chance at the median, and others' in proportion to their size.
    swapped : bool
        Whether the teacher loses.
    """

    n: int
    sigma: float
    lost: float
    by_size: bool = False
    swapped: bool = False

    @property
    def floor(self) -> float:
        """The true retention."""
        sizes = sizes_of(self.sigma)
        kept = 1 - float((sizes * self._chances(sizes)).sum() / sizes.sum())
        return 1 / kept if self.swapped else kept

    def _chances(self, sizes: Array) -> Array:
        shares = sizes / 10 if self.by_size else np.ones(len(sizes))
        chances: Array = np.minimum(self.lost * shares, 1.0)
        return chances

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return the size of each cluster, and whether it is kept."""
        sizes = rng.choice(sizes_of(self.sigma), self.n)
        return sizes.astype(int), rng.random(self.n) >= self._chances(sizes)

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the floor."""
        sizes, kept = sample
        losers = np.repeat(kept.astype(np.float64), sizes)
        wholes, clusters = np.ones_like(losers), np.repeat(np.arange(self.n), sizes).tolist()
        student, teacher = (wholes, losers) if self.swapped else (losers, wholes)
        return Scoring(clusters=clusters).t_retention(student, teacher).test(self.floor)


def cluster_designs() -> Iterator[Design]:
    """Yield clusters of unequal size."""

    def design(clusters: Clusters, what: str, bound: Bound, replications: int = 1_000) -> Design:
        name = f"{clusters.n} clusters, sizes of sigma {clusters.sigma:g}, {what}"
        return Design("clusters", name, clusters.draw, clusters.judge, replications, bound)

    for n, sigma, lost in product((20, 50, 200), (1, 1.5), (0.02, 0.05, 0.2)):
        yield design(Clusters(n, sigma, lost), f"{lost:.0%} lost", UNEQUAL_CLUSTERS)
    for n, lost in product((12, 20, 50), (0.02, 0.1, 0.3)):
        yield design(Clusters(n, 0.5, lost), f"{lost:.0%} lost", UNEQUAL_CLUSTERS)
    for n, sigma, lost in ((50, 1, 0.05), (200, 1.5, 0.05)):
        clusters = Clusters(n, sigma, lost, swapped=True)
        yield design(clusters, f"the teacher loses {lost:.0%}", UNEQUAL_CLUSTERS)
    for n, sigma, floor, wanted in ((100, 0.5, 0.9, 0.99), (200, 1, 0.9, 0.99)):
        equal = EqualClusters(n, sigma, floor)
        name = f"{n} clusters, sizes of sigma {sigma:g}, an equal student, floor {floor}"
        yield Design("clusters", name, equal.draw, equal.judge, 200, Bound(wanted=wanted))


@dataclass(frozen=True)
class EqualClusters:
    """A student that is right where its teacher is, in clusters; judged at a floor below 1."""

    n: int
    sigma: float
    floor: float

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return clusters and scores."""
        clusters = np.repeat(
            np.arange(self.n), rng.choice(sizes_of(self.sigma), self.n).astype(int)
        )
        return clusters, (rng.random(len(clusters)) < 0.9).astype(np.float64)

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the floor."""
        clusters, scores = sample
        return Scoring(clusters=clusters.tolist()).t_retention(scores, scores).test(self.floor)


# --- perplexity, bits per byte, rates -------------------------------------------------------------
HEAVY = Bound(0.08)
DIVERGED = 3.0
SIZES = (20, 200, 1000)
TAILS = (0.5, 1.5)


@dataclass(frozen=True)
class Nats:
    """Texts of log-normal length with nats lost a token, on average .05, that differ by text.

    Parameters
    ----------
    measure : str
        "perplexity" or "bits per byte".
    n : int
        Texts.
    sigma : float
        Of the logarithm of the length.
    tail : float
        Of the logarithm of the nats lost a token; 0: their logarithm doesn't differ.
    noise : float
        Standard deviation of what is added to them.
    diverge : float
        The share of texts on which 3 nats a token are lost.
    at : float, optional
        The floor, where it is not the truth.
    """

    measure: str
    n: int
    sigma: float
    tail: float = 0.0
    noise: float = 0.0
    diverge: float = 0.0
    at: float | None = None

    @property
    def floor(self) -> float:
        """The true retention."""
        mean = (1 - self.diverge) * 0.05 + self.diverge * DIVERGED
        truth = math.exp(-mean) if self.measure == "perplexity" else 2 / (2 + mean)
        return truth if self.at is None else self.at

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return the tokens of each text, and what is lost a token."""
        lost = 0.05 * rng.lognormal(-(self.tail**2) / 2, self.tail, self.n)
        lost += self.noise * rng.standard_normal(self.n)
        lost[rng.random(self.n) < self.diverge] = DIVERGED
        return rng.choice(sizes_of(self.sigma, 100), self.n), lost

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the floor."""
        tokens, lost = sample
        exp, nats = self.measure == "perplexity", ((2 + lost) * tokens, 2 * tokens)
        return likelihood_retention(*nats, tokens, logarithmic=exp).test(self.floor)


@dataclass(frozen=True)
class Agreement:
    """A rate per token: some texts agree nowhere, or diverge ten times as much as the others."""

    n: int
    sigma: float
    fail: float
    bounded: bool = True

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return the tokens of each text, and whether it fails."""
        return rng.choice(sizes_of(self.sigma, 100), self.n), rng.random(self.n) < self.fail

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the true rate."""
        tokens, fails = sample
        if self.bounded:
            kept = np.where(fails, 0.0, 0.9) * tokens
            return rates.Rate(kept, kept, tokens, True, 0.0).test(0.9 * (1 - self.fail))
        far = np.where(fails, 1.0, 0.1) * tokens
        rate = rates.Rate(far, far, tokens, False, None, math.inf)
        return rate.test(0.1 + 0.9 * self.fail)


def nats_designs() -> Iterator[Design]:
    """Yield perplexity, bits per byte and rates per token with texts of unequal length."""
    for measure in ("perplexity", "bits per byte"):
        found = [
            *[(Nats(measure, n, 1.5, noise=0.02), Bound(0.05 if n < 50 else 0.08)) for n in SIZES],
            *[
                (Nats(measure, n, s, tail=t), HEAVY)
                for n, s, t in product(SIZES, (0.5, 1.5), TAILS)
            ],
        ]
        for nats, bound in found:
            differ = f"losses of sigma {nats.tail:g}" if nats.tail else "normal losses"
            name = f"n {nats.n:,}, tokens of sigma {nats.sigma:g}, {differ}"
            yield Design(measure, name, nats.draw, nats.judge, 2_500, bound)
        nats = Nats(measure, 500, 0.5, noise=0.02, at=0.93)
        name = "n 500, a student that loses 5 % (2.5 % in bits), floor .93"
        yield Design(measure, name, nats.draw, nats.judge, 300, Bound(wanted=0.99))
    for n, sigma, fail in product(SIZES, (0.5, 1.5), (0.02, 0.2)):
        rate = Agreement(n, sigma, fail)
        name = f"n {n:,}, tokens of sigma {sigma:g}, {fail:.0%} of texts agree nowhere"
        yield Design("rate per token", name, rate.draw, rate.judge, 2_500, HEAVY)
    for n, sigma in product((200, 1000), (0.5, 1.5)):
        rate = Agreement(n, sigma, 0.05, bounded=False)
        name = f"n {n:,}, tokens of sigma {sigma:g}, 5% of texts diverge tenfold"
        yield Design("rate per token", name, rate.draw, rate.judge, 2_500, HEAVY)


# --- 0/1 scores, exactly --------------------------------------------------------------------------
EXACT = Bound(0.05)


def passing(p: Callable[[int], float], most: int, confidence: float, near: int) -> int:
    """Return up to which number p, which grows with it, is small enough; -1 where never.

    Looks around `near` first: of neighbouring rows the numbers hardly differ.
    """
    low, high, step = -1, most, 1
    near = min(max(near, 0), most)
    if shown(p(near), confidence):
        low = near
        while low < most and low + step <= most:
            if not shown(p(low + step), confidence):
                high = low + step - 1
                break
            low, step = low + step, 2 * step
    else:
        high = near - 1
        while high >= 0:
            low = max(high - step + 1, 0)
            if shown(p(low), confidence):
                break
            low, high, step = -1, low - 1, 2 * step
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if shown(p(middle), confidence) else (low, middle - 1)
    return low


def likely(n: int, chances: Sequence[float]) -> range:
    """Return the counts that are at all likely."""
    return range(min(int(binom.isf(1e-8, n, max(chances))), n) + 1)


def score_sums(u: int, floor: float, chances: Sequence[float]) -> list[Found]:
    """Return the exact rates at the floor, of `u` examples that one of the two gets right.

    The greatest over the chances that the student alone is right.
    """
    found: list[Found] = []
    won = likely(u, chances)
    for confidence in CONFIDENCES:
        most, least = [0], [0]
        for c in won:
            near = u - c - least[-1] + 1
            most.append(passing(partial(_below, u, c, floor), u - c, confidence, most[-1]))
            least.append(u - c - passing(partial(_above, u, c, floor), u - c, confidence, near))
        del most[0], least[0]
        passed, failed = [], []
        for q in chances:
            of_row, share = binom.pmf(won, u, q), min((1 - floor * (1 - q)) / (1 - q), 1.0)
            left = u - np.array(won)
            passed.append(float(of_row @ binom.cdf(most, left, share)))
            failed.append(float(of_row @ binom.sf(np.array(least) - 1, left, share)))
        found += [("pass", confidence, max(passed)), ("fail", confidence, max(failed))]
    return found


def _below(u: int, c: int, floor: float, b: int) -> float:
    return below_tail(u - b - c, b, c, floor)


def _above(u: int, c: int, floor: float, both: int) -> float:
    return above_tail(both, u - c - both, c, floor)


def gain_sums(n: int, gain: float, chances: Sequence[float]) -> list[Found]:
    """Return the exact rates where the gain is just `gain`, the greatest over chances of a loss."""
    found: list[Found] = []
    lost = likely(n, chances)
    for confidence in CONFIDENCES:
        least = [0]
        for c in lost:
            p = partial(_gain, n, c, gain)
            least.append(n - c - passing(p, n - c, confidence, n - c - least[-1]))
        del least[0]
        rates = [
            float(
                binom.pmf(lost, n, q)
                @ binom.sf(np.array(least) - 1, n - np.array(lost), (q + gain) / (1 - q))
            )
            for q in chances
        ]
        found.append(("pass", confidence, max(rates)))
    return found


def _gain(n: int, losses: int, gain: float, not_won: int) -> float:
    return difference_tail(n - losses - not_won, losses, n, gain)


def proportion_designs() -> Iterator[Enumerated]:
    """Yield 0/1 scores of a flawless or nearly flawless student, and gains of some points."""
    chances = (0.0, 0.001, 0.003, 0.01, 0.03)
    for floor, sizes in {
        0.9: (10, 25, 29, 60),
        0.95: (52, 59, 100),
        0.98: (133, 149),
        0.99: (268, 299),
    }.items():
        for u in sizes:
            name = f"{u} that one of the two gets right, floor {floor}"
            yield Enumerated("0/1 scores", name, partial(score_sums, u, floor, chances), EXACT)
    for n, gain in ((50, 0.05), (100, 0.02), (300, 0.01)):
        name = f"0/1 scores, n {n}, min_gain {gain}"
        yield Enumerated("beats SFT", name, partial(gain_sums, n, gain, chances), EXACT)


# --- slices, and the gap --------------------------------------------------------------------------
@dataclass(frozen=True)
class Slices:
    """Slices that are all just at the floor: whether any is called below, or all are shown."""

    count: int
    n: int
    floor: float
    graded: bool

    def draw(self, rng: RNG) -> Array:
        """Return the student's scores in each slice."""
        return np.where(rng.random((self.count, self.n)) < self.floor, 1.0, 0.0)

    def judge(self, sample: Array) -> FloorTest:
        """Return Holm's least p on the side against a slice, and the greatest on the other."""
        ones, scoring = np.ones(self.n), Scoring()
        retention = scoring.t_retention if self.graded else scoring.retention
        tests = [retention(scores, ones).test(self.floor) for scores in sample]
        against = float(holm(test.p_below for test in tests).min())
        return FloorTest(max(test.p_retained for test in tests), against)


def slice_designs() -> Iterator[Design]:
    """Yield slices with Holm's adjustment."""
    for (count, n, floor), graded in product(
        ((10, 50, 0.95), (20, 30, 0.95), (10, 30, 0.99), (5, 200, 0.98)), (False, True)
    ):
        slices = Slices(count, n, floor, graded)
        name = f"{count} slices of {n}, {'graded' if graded else '0/1'}, floor {floor}"
        yield Design("slices", name, slices.draw, slices.judge, 600)


@dataclass(frozen=True)
class Gap:
    """0/1 scores near the ceiling: how often the interval of the gap recovered misses the truth.

    Parameters
    ----------
    n : int
        Examples.
    teacher, student, sft : float
        Accuracies; the students err where the teacher does, and elsewhere each for itself.
    """

    n: int
    teacher: float
    student: float
    sft: float

    def draw(self, rng: RNG) -> tuple[Array, Array, Array]:
        """Return the scores of student, SFT student and teacher."""
        teacher = rng.random(self.n) < self.teacher
        student, sft = (
            teacher & (rng.random(self.n) < accuracy / self.teacher)
            for accuracy in (self.student, self.sft)
        )
        return student, sft, teacher

    def judge(self, sample: tuple[Array, Array, Array]) -> FloorTest:
        """Return p 0 where the 90, 95 or 99 % interval misses, as the greatest level that does."""
        truth = (self.student - self.sft) / (self.teacher - self.sft)
        values = [of_mean(scores.astype(np.float64), None, (0.0, 1.0)) for scores in sample]
        for level in (0.01, 0.05, 0.1):
            found = gap_recovered(*values, confidence=1 - level)
            if found.lower is None or found.upper is None:
                return NO_VERDICT
            if not found.lower <= truth <= found.upper:
                return FloorTest(level, 1.0)
        return NO_VERDICT


def gap_designs() -> Iterator[Design]:
    """Yield the gap recovered near the ceiling; "pass" is here: missed by the interval."""
    for n, scores in product(
        (100, 300, 1000, 5000), ((0.99, 0.98, 0.96), (0.97, 0.97, 0.95), (0.95, 0.92, 0.85))
    ):
        gap = Gap(n, *scores)
        name = "n {:,}, teacher {}, student {}, SFT {}".format(n, *scores)
        yield Design("gap recovered", name, gap.draw, gap.judge, 3_000)


# --- several evals --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Evals:
    """Evals whose student loses everything on a share of examples; all keep the same, or one loses.

    Parameters
    ----------
    aggregate : str
        Of the ratios.
    sizes : tuple of int
        Examples of each eval.
    lost : float
        That share.
    one : bool
        Whether the first eval alone loses, else all.
    teacher : float
        The teacher's accuracy; its other scores are 0.
    """

    aggregate: Combined
    sizes: tuple[int, ...]
    lost: float
    one: bool = False
    teacher: float = 1.0

    def draw(self, rng: RNG) -> list[tuple[Array, Array]]:
        """Return scores of student and teacher on each eval."""
        found = []
        for place, n in enumerate(self.sizes):
            teacher = (rng.random(n) < self.teacher).astype(np.float64)
            lost = self.lost if place == 0 or not self.one else 0.0
            found.append((teacher * (rng.random(n) >= lost), teacher))
        return found

    def judge(self, sample: list[tuple[Array, Array]]) -> FloorTest:
        """Return the test at the true aggregate."""
        kept = np.full(len(self.sizes), 1 - self.lost)
        if self.one:
            kept[1:] = 1
        of_logs = self.aggregate == "geometric"
        floor = float(np.exp(np.log(kept).mean()) if of_logs else kept.mean())
        ratios = [Scoring().t_retention(*scores) for scores in sample]
        return suite_retention(ratios, self.aggregate).test(floor)


def suite_designs() -> Iterator[Design]:
    """Yield designs of `suite_retained`."""
    aggregates: tuple[Combined, ...] = ("ratio_of_averages", "average_of_ratios", "geometric")
    for sizes, lost, one in (
        ((100, 100), 0.05, False),
        ((100, 400), 0.03, True),
        ((50, 1000), 0.06, True),
        ((200, 200, 200), 0.01, False),
        ((300, 300, 300), 0.02, True),
        ((50, 100, 200, 500, 1000), 0.02, False),
    ):
        for aggregate in aggregates:
            evals = Evals(aggregate, sizes, lost, one, 1.0 if one else 0.9)
            who = "the first" if one else "each"
            name = f"{aggregate}, n {' + '.join(map(str, sizes))}, {who} loses {lost:.0%}"
            yield Design("suites", name, evals.draw, evals.judge, 1_000)


# --- repeated times, and many students ------------------------------------------------------------
@dataclass(frozen=True)
class Times:
    """Examples that are timed again and again, a student just as fast as asked.

    Parameters
    ----------
    order : float
        The quantile: of the ratios for the median, else of the times.
    n, timed : int
        Different examples, and how often one is timed in all.
    spreads : tuple of float
        Standard deviations of the logarithms: from example to example, and within one.
    """

    order: float
    n: int
    timed: int
    spreads: tuple[float, float]

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return times, whose median is 1, and their examples."""
        return repeats.times(self.n, self.timed, self.spreads, rng)

    def judge(self, sample: tuple[Array, Array], confidence: float) -> tuple[bool, bool]:
        """Return what `faster` says of the median of ratios, or `latency` of times."""
        found = unit_interval(*sample, self.order, confidence)
        if self.order == 0.5:
            return found.one_sided_lower >= 1, found.one_sided_upper < 1
        limit = math.exp(float(ndtri(self.order)) * math.hypot(*self.spreads))
        return found.one_sided_upper <= limit, found.one_sided_lower > limit


def speed_designs() -> Iterator[Counted]:
    """Yield designs of `faster` and `latency`."""
    for (order, n, timed), spreads in product(
        ((0.5, 10, 100), (0.5, 20, 100), (0.5, 50, 100), (0.95, 10, 100), (0.95, 60, 300)),
        repeats.SPREADS,
    ):
        times = Times(order, n, timed, spreads)
        name = (
            f"{'median ratio' if order == 0.5 else 'p95'}, {n} examples timed {timed} times, "
            f"spread {spreads[0]:g} between and {spreads[1]:g} within"
        )
        yield Counted("speed", name, times.draw, times.judge, 2_000)


@dataclass(frozen=True)
class Students:
    """So many students that are all just at the floor, judged on one gold set."""

    students: int

    def draw(self, rng: RNG) -> repeats.Students:
        """Return how many each got right where the teacher was right, and else."""
        return repeats.students(self.students, repeats.FLOOR, rng)

    def judge(self, sample: repeats.Students, confidence: float) -> tuple[bool, bool]:
        """Return whether one of them is recommended; nothing is failed."""
        return repeats.recommends(sample, confidence), False


def recommend_designs() -> Iterator[Counted]:
    """Yield designs of `recommend`."""
    for k in (5, 10, 20):
        students = Students(k)
        yield Counted(
            "recommend", f"{k} students at the floor", students.draw, students.judge, 4_000
        )


# --- whole gates ----------------------------------------------------------------------------------
class Recorded:
    """An engine that gives labels as they are in a list.

    Parameters
    ----------
    info : ModelInfo
        What it says of itself.
    labels : mapping
        Example id -> label.
    """

    def __init__(self, info: ModelInfo, labels: Mapping[str, str]) -> None:
        self.info = info
        self.labels = labels

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield the labels."""
        return (Prediction(r.id, prediction=self.labels[r.id]) for r in requests)

    def close(self) -> None:
        """Hold nothing."""


@dataclass(frozen=True)
class WholeGate:
    """A gate of a test, on recorded labels, at confidence .95.

    Parameters
    ----------
    gate : callable
        Floor -> the gate.
    metric : str
        Of the eval.
    counts : tuple of int
        Gold examples of each label, in each slice.
    lost : float
        The share of the last label that the student answers with the first.
    slices : int
        How many slices there are, all alike.
    """

    gate: Callable[[float], Gate]
    metric: str
    counts: tuple[int, ...]
    lost: float
    slices: int = 1

    def draw(self, rng: RNG) -> Comparison:
        """Return models of which one has answered."""
        gold = np.tile(np.repeat(np.arange(len(self.counts)), self.counts), self.slices)
        fails = (gold == gold.max()) & (rng.random(len(gold)) < self.lost)
        said: dict[Role, Array] = {"teacher": gold, "student": np.where(fails, 0, gold)}
        places = np.repeat(np.arange(self.slices), sum(self.counts))
        examples = GoldSet(
            "gold",
            tuple(
                Example(
                    f"e{i}", {"input": f"text {i}", "target": f"c{g}", "part": f"p{p}"}, f"gold:{i}"
                )
                for i, (g, p) in enumerate(zip(gold.tolist(), places.tolist(), strict=True))
            ),
        )
        labels = tuple(f"c{c}" for c in range(len(self.counts)))
        task, slices = Classification(labels=labels), ("part",) if self.slices > 1 else ()
        eval_ = Eval("drawn", task, examples, (BUILT_IN[self.metric],), slices)
        models: dict[str, Model] = {}
        for role, answers in said.items():
            mine = {f"e{i}": f"c{label}" for i, label in enumerate(answers.tolist())}
            engine = Recorded(ModelInfo(role, role), mine)
            models[role] = RunModel(role, role, partial(_same, engine))
        return Comparison(eval_, models, None, None, 0.05)

    def judge(self, sample: Comparison) -> FloorTest:
        """Return p .05 on the side on which the gate is sure, else 1."""
        if self.metric == "accuracy":
            floor = 1 - self.lost * self.counts[-1] / sum(self.counts)
        else:
            floor = Labels(BUILT_IN[self.metric], self.counts, self.lost).floor
        outcome = self.gate(floor).judge(sample).outcome
        return FloorTest(
            0.05 if outcome is Outcome.PASSED else 1.0, 0.05 if outcome is Outcome.FAILED else 1.0
        )


def _same(engine: Recorded) -> Recorded:
    return engine


def _sure(floor: float) -> Gate:
    return QualityRetained(min=floor, confidence=0.95)


def _in_slices(floor: float) -> Gate:
    return SlicesRetained(min=floor, by="part")


def gate_designs() -> Iterator[Design]:
    """Yield gates as a test calls them, with recorded predictions."""
    for metric, counts, lost in (
        ("macro_f1", (600, 390, 10), 0.2),
        ("matthews", (490, 10), 0.2),
        ("accuracy", (50, 2), 0.5),
        ("accuracy", (100, 100), 0.04),
    ):
        whole = WholeGate(_sure, metric, counts, lost)
        name = f"{metric}, {' + '.join(map(str, counts))} gold, {lost:.0%} of the last lost"
        yield Design("whole gates", name, whole.draw, whole.judge, 400)
    whole = WholeGate(_in_slices, "accuracy", (20, 20), 0.1, 10)
    yield Design("whole gates", "accuracy in 10 slices of 40", whole.draw, whole.judge, 300)


# --- what it costs --------------------------------------------------------------------------------
COST_FLOORS = (0.9, 0.95, 0.98)


def costs() -> Iterator[tuple[str, list[int | None]]]:
    """Yield with how many examples a student that answers as its teacher begins to pass.

    Of each kind of gold set at the floors .90, .95 and .98; of clusters the number of clusters.
    """
    rng = np.random.default_rng(0)
    n = 2000

    def least(retention: Retention, share: float = 1.0) -> list[int | None]:
        found = [retention.least(floor) for floor in COST_FLOORS]
        return [None if few is None else math.ceil(few * share) for few in found]

    yield "0/1 scores, teacher always right", least(ProportionRetention(n, 0, 0, 0))
    yield "0/1 scores, teacher right on 80 %", least(ProportionRetention(4 * n, 0, 0, n))
    graded = rng.beta(8, 2, n)
    yield "bounded scores, mean .8", least(Scoring().t_retention(graded, graded))
    for metric, word in ((MACRO_F1, "macro-F1"), (MATTHEWS, "MCC")):
        for k, rare in ((10, 200), (2, 1000), (2, 200), (2, 40), (2, 20)):
            rows, _ = Labels(metric, counts_of(n, rare, k), 0.0, 0.95).draw(rng)
            classes = f"{k} classes alike" if k * rare == n else f"{rare / n:.0%} positive"
            yield f"{word}, {classes}, teacher .95", least(corpus_retention(metric, rows, rows))
    for of_texts, word in ((BLEU, "BLEU"), (CHRF, "chrF")):
        for cap in (64, 128, 256, 512):
            rows, _ = Texts(of_texts, n, 0.0, cap).draw(rng)
            yield (
                f"{word}, texts of 25 words, cap {cap}",
                least(corpus_retention(of_texts, rows, rows, cap)),
            )
    for sigma in (0.0, 1.0, 1.5):
        clusters, scores = EqualClusters(n, sigma, 0.9).draw(rng)
        retention = Scoring(clusters=clusters.tolist()).t_retention(scores, scores)
        like = "of one size" if not sigma else f"with sizes of sigma {sigma:g}"
        yield f"clusters {like}", least(retention, n / len(scores))


# --- what no test of a gold set can exclude -------------------------------------------------------
@dataclass(frozen=True)
class OtherLabels:
    """A student that at times answers with a label that no gold example has, each time wrongly.

    One such answer makes a class whose F1 is 0, and takes 1 / (classes + 1) off macro-F1.
    """

    n: int
    classes: int
    fail: float

    def draw(self, rng: RNG) -> tuple[Array, Array]:
        """Return statistics of student and teacher."""
        gold = rng.integers(0, self.classes, self.n)
        said = np.where(rng.random(self.n) < self.fail, self.classes, gold)
        student, teacher = label_rows(gold, said, gold)
        return student, teacher

    def judge(self, sample: tuple[Array, Array]) -> FloorTest:
        """Return the test at the floor."""
        k, q = self.classes, self.fail
        return corpus_test(MACRO_F1, *sample, k / (k + 1) * 2 * (1 - q) / (2 - q))


def limits() -> Iterator[Design]:
    """Yield designs whose errors are documented: the bound is what docs/statistics.md says."""

    def design(name: str, what: Any, share: float, replications: int = 2_000) -> Design:
        bound = Bound(share, always=True)
        return Design("documented limits", name, what.draw, what.judge, replications, bound)

    for measure, (n, share) in product(
        ("perplexity", "bits per byte"), ((200, 0.41), (500, 0.09), (1000, 0.055))
    ):
        nats = Nats(measure, n, 0.5, noise=0.02, diverge=0.005)
        yield design(f"{measure}, n {n:,}, 0.5 % of texts diverge", nats, share)
    for n, sigma, share in ((12, 1.5, 0.2), (20, 1.5, 0.1), (20, 2.0, 0.25), (200, 2.0, 0.1)):
        nats = Nats("perplexity", n, 0.5, tail=sigma)
        yield design(f"perplexity, n {n}, losses of sigma {sigma:g}", nats, share)
    for n, share in ((500, 0.15), (1000, 0.15)):
        texts = Texts(BLEU, n, 2 / n, 64, fill=4.0)
        yield design(f"BLEU, n {n:,}, cap 64, 2 loops expected, 4 words a token", texts, share)
    for n, k in ((200, 3), (1000, 10)):
        labels = OtherLabels(n, k, 0.5 / n)
        yield design(f"macro-F1, n {n:,}, half an answer with an unknown label", labels, 0.65)
    for n, log_sd, lost in ((50, 1.0, 0.05), (200, 1.0, 0.02), (200, 1.5, 0.005)):
        clusters = Clusters(n, log_sd, lost, by_size=True)
        name = f"{n} clusters, sizes of sigma {log_sd:g}, large ones fail more often"
        yield design(name, clusters, 0.3, 1_000)
