"""The test of one score by itself, against scipy's t test and against what it must equal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_distill.statistics.levels import Level, likelihood_level, likelihood_retention
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.results import Judgement
from pytest_distill.statistics.scoring import Scoring

ONCE = float(stats.norm.cdf(1))
"""At this confidence the example that was not seen is counted exactly once."""


def level(scores: np.ndarray, ends: tuple[float, float] = (0.0, 1.0), higher: bool = True) -> Level:
    """Return the test of a mean of scores."""
    return Scoring(ends, higher).t_level(scores)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_mean_is_scipy_s_t_test_with_the_worst_appended(scale: float) -> None:
    """Its one-sided bounds are those of scipy's, one example more on each side; per cent too."""
    scores = scale * np.random.default_rng(0).beta(8, 2, 120)
    found = level(scores, (0.0, scale)).interval(ONCE)
    for end, bound, side in (
        (0.0, found.one_sided_lower, "greater"),
        (scale, found.one_sided_upper, "less"),
    ):
        t = stats.ttest_1samp(np.append(scores, end), bound, alternative=side)
        assert t.pvalue == pytest.approx(1 - ONCE, abs=1e-9)


def test_a_ceiling_is_a_floor_turned_around() -> None:
    """Of errors 1 - x at most 1 - m is what of scores x at least m is."""
    scores = np.random.default_rng(1).beta(8, 2, 60)
    floor, ceiling = level(scores), level(1 - scores, higher=False)
    one, other = floor.interval(), ceiling.interval()
    assert other.upper == pytest.approx(1 - one.lower, abs=1e-12)
    assert other.one_sided_lower == pytest.approx(1 - one.one_sided_upper, abs=1e-12)
    for limit in (0.7, 0.8, 0.9):
        p, q = floor.test(limit), ceiling.test(1 - limit)
        assert (p.p_retained, p.p_below) == pytest.approx((q.p_retained, q.p_below), rel=1e-6)
        assert floor.needed(limit) == ceiling.needed(1 - limit)


def test_a_score_without_a_worst_counts_a_guess() -> None:
    """An error rate has no greatest value: one twice as far as the furthest seen stands for it.

    Scores that are all alike say nothing of those that were not seen.
    """
    scores = np.random.default_rng(2).gamma(2, 0.05, 200)
    found = level(scores, (0.0, math.inf), higher=False)
    apart = scores.max() - scores.mean()
    bound = found.interval(ONCE).one_sided_upper
    guess = np.append(scores, scores.mean() + 2 * apart)
    assert stats.ttest_1samp(guess, bound, alternative="less").pvalue == pytest.approx(
        1 - ONCE, abs=1e-9
    )
    assert "guess" in found.interval().method
    alike = level(np.full(50, 0.1), (0.0, math.inf), higher=False)
    assert alike.test(10.0).judge(0.95) is Judgement.UNCLEAR
    assert alike.interval().upper == math.inf


def texts() -> tuple[np.ndarray, np.ndarray]:
    """Return log-likelihoods and lengths."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(20, 80, 150).astype(float)
    return lengths * rng.gamma(40, 0.05, 150), lengths


def test_perplexity_is_the_retention_of_a_teacher_that_is_sure() -> None:
    """A perplexity of at most 9 is a share of 1/9 of the quality of one with perplexity 1."""
    nats, tokens = texts()
    found = likelihood_level(nats, tokens, (1.0, math.inf), logarithmic=True)
    same = likelihood_retention(nats, np.zeros(150), tokens, logarithmic=True)
    assert found.test(9.0).p_retained == pytest.approx(same.test(1 / 9).p_retained, rel=1e-9)
    assert found.test(7.0).p_below == pytest.approx(same.test(1 / 7).p_below, rel=1e-9)
    one, other = found.interval(), same.interval()
    assert one.upper == pytest.approx(1 / other.lower, rel=1e-9)
    assert one.lower == pytest.approx(1 / other.upper, rel=1e-9)
    assert one.lower < math.exp(nats.sum() / tokens.sum()) < one.upper


def test_bits_per_byte_is_a_ratio_of_sums() -> None:
    """Held against a model whose every byte costs one nat, its ceiling is a floor of retention."""
    nats, lengths = texts()
    found = likelihood_level(nats, lengths, (0.0, math.inf), logarithmic=False)
    low, high = found.interval(ONCE).one_sided_lower, found.interval(ONCE).one_sided_upper
    assert low < nats.sum() / lengths.sum() < high
    plain = likelihood_retention(nats, lengths, lengths, logarithmic=False).interval(ONCE)
    # Not the same guess at the worst text, and nearly the same bound.
    assert 1 / high == pytest.approx(plain.one_sided_lower, rel=5e-3)


def test_a_model_at_the_limit_seldom_passes() -> None:
    """F1 of 1 but for zeros on 3 %, held to 0.97: at most 5 % of draws of 60 examples.

    1,000 draws at 5.5 % reach 76 once in 400 times.
    """
    rng = np.random.default_rng(4)
    passed = 0
    for _ in range(1000):
        scores = (rng.random(60) >= 0.03).astype(float)
        passed += level(scores).test(0.97).judge(0.95) is Judgement.RETAINED
    assert passed <= 76


@pytest.mark.parametrize(("limit", "enough"), [(0.05, 59), (0.01, 299), (0.1, 29)])
def test_a_flawless_share_needs_what_the_exact_test_does(limit: float, enough: int) -> None:
    """Without a loss, the least n for which (1 - limit)^n is at most 0.05."""
    none, ones = np.zeros(7), np.ones(7)
    rate = Rate(none, none, ones, higher_is_better=False, worst=1.0)
    assert rate.needed(limit) == enough == math.ceil(math.log(0.05) / math.log(1 - limit))
    mirrored = Rate(ones, ones, ones, higher_is_better=True, worst=0.0)
    assert mirrored.needed(1 - limit) == enough


@pytest.mark.parametrize("limit", [0.02, 0.04, 0.06, 0.1])
def test_as_many_as_needed_have_the_power(limit: float) -> None:
    """10 of 200: scipy's exact test of so many has about 80 % power, of half of them less."""
    lost = np.repeat([1.0, 0.0], [10, 190])
    rate = Rate(lost, lost, np.ones(200), higher_is_better=False, worst=1.0)
    needed = rate.needed(limit)
    assert needed is not None
    side = "less" if limit > 0.05 else "greater"

    def power(n: int) -> float:
        hits = np.arange(n + 1)
        tail = (
            stats.binom.cdf(hits, n, limit)
            if side == "less"
            else stats.binom.sf(hits - 1, n, limit)
        )
        return float(stats.binom.pmf(hits, n, 0.05)[tail <= 0.05].sum())

    assert power(needed) == pytest.approx(0.8, abs=0.05)
    assert power(needed // 2) < 0.7
    assert rate.needed(0.05) is None


def test_a_likelihood_is_a_t_test_of_sums_less_units() -> None:
    """Its upper bound is scipy's of nats less bound times units, with the guess at a text added."""
    rng = np.random.default_rng(7)
    units = rng.integers(20, 80, 60).astype(float)
    nats = units * rng.uniform(0.8, 1.4, 60)
    for logarithmic in (False, True):
        found = likelihood_level(nats, units, (0.0, math.inf), logarithmic=logarithmic)
        mean = nats.sum() / units.sum()
        bounds = found.interval(ONCE)
        upper = math.log(bounds.one_sided_upper) if logarithmic else bounds.one_sided_upper
        apart = nats - mean * units
        typical = (units**2).sum() / units.sum()
        size = max(apart.max(), typical * (apart / units).max())
        unseen = mean * typical + 2 * size - upper * typical
        t = stats.ttest_1samp(np.append(nats - upper * units, unseen), 0, alternative="less")
        assert t.pvalue == pytest.approx(1 - ONCE, abs=1e-6)
        assert bounds.clusters is None


def test_a_likelihood_over_clusters_is_that_of_their_sums() -> None:
    """Texts of one cluster count as one text of their joint length."""
    nats, units = texts()
    clusters = [str(n % 30) for n in range(len(nats))]
    groups = np.arange(len(nats)) % 30
    nats_of, units_of = np.bincount(groups, nats), np.bincount(groups, units)
    ends = (1.0, math.inf)
    found = likelihood_level(nats, units, ends, logarithmic=True, clusters=clusters).interval()
    joined = likelihood_level(nats_of, units_of, ends, logarithmic=True).interval()
    assert (found.n, found.clusters, joined.clusters) == (len(nats), 30, None)
    for end in ("lower", "upper", "one_sided_lower", "one_sided_upper"):
        assert getattr(found, end) == pytest.approx(getattr(joined, end))
