"""Order-statistic intervals of quantiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from pytest_distill.statistics.quantiles import (
    needed_for_a_bound,
    quantile_interval,
    serial_correlation,
    unit_interval,
    unit_medians,
)


@pytest.mark.parametrize("order", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("n", [5, 12, 59, 100, 400])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_bounds_are_those_of_scipys_quantile_test(order: float, n: int, confidence: float) -> None:
    """One-sided and two-sided bounds equal scipy's, and are infinite where scipy has none."""
    values = np.random.default_rng(n).lognormal(size=n)
    found = quantile_interval(values, order, confidence)

    def scipys(alternative: str, level: float) -> tuple[float, float]:
        test = stats.quantile_test(values, p=order, alternative=alternative)
        low, high = test.confidence_interval(level)
        return (
            -np.inf if np.isnan(low) else float(low),
            np.inf if np.isnan(high) else float(high),
        )

    assert (found.lower, found.upper) == scipys("two-sided", 0.95)
    assert found.one_sided_lower == scipys("greater", confidence)[0]
    assert found.one_sided_upper == scipys("less", confidence)[1]
    assert found.estimate == pytest.approx(np.quantile(values, order))


@pytest.mark.parametrize(("order", "needed"), [(0.95, 59), (0.99, 299)])
def test_an_upper_bound_needs_enough_values(order: float, needed: int) -> None:
    """The 95 % bound of p95 exists from 59 values on, that of p99 from 299 on."""
    assert np.isinf(quantile_interval(np.arange(needed - 1.0), order).one_sided_upper)
    assert quantile_interval(np.arange(float(needed)), order).one_sided_upper == needed - 1


def test_the_bound_of_the_median_covers_it_as_often_as_promised() -> None:
    """In 95 % of 4,000 samples of a skewed distribution the bound is on the right side."""
    draw = np.random.default_rng(0)
    true = np.exp(0.0)
    held = [
        quantile_interval(draw.lognormal(size=30), 0.5).one_sided_lower <= true for _ in range(4000)
    ]
    assert np.mean(held) >= 0.945


def test_a_unit_counts_once_however_often_it_was_looked_at() -> None:
    """Five values a hundred times over have the interval of five."""
    values = np.random.default_rng(0).lognormal(size=5)
    again = np.tile(np.arange(5), 100)
    for order in (0.5, 0.95):
        assert unit_interval(values[again], again, order) == quantile_interval(values, order)


def test_the_value_of_a_unit() -> None:
    """For the median its own, of two in the middle the earlier one; else what was taken first."""
    values = np.array([4.0, 8.0, 1.0, 9.0, 2.0, 9.5, 0.5, 5.0])
    units = np.array([7, 3, 7, 3, 5, 3, 7, 7])
    assert unit_medians(values, units).tolist() == [9.0, 2.0, 4.0]
    assert unit_interval(values, units, 0.5).estimate == 4.0
    assert unit_interval(values, units, 0.95) == quantile_interval(np.array([4.0, 8.0, 2.0]), 0.95)


@pytest.mark.parametrize("turns", [2, 3, 5])
def test_the_median_over_repeats_is_as_often_too_high_as_too_low(turns: int) -> None:
    """Of skewed noise as well: half of the units lie above the median of the noise."""
    values = np.random.default_rng(turns).exponential(size=20_000 * turns)
    medians = unit_medians(values, np.tile(np.arange(20_000), turns))
    assert np.mean(medians > np.log(2)) == pytest.approx(0.5, abs=0.012)


@pytest.mark.parametrize(("order", "confidence"), [(0.5, 0.95), (0.95, 0.95), (0.99, 0.9)])
def test_a_bound_exists_from_that_many_values_on(order: float, confidence: float) -> None:
    """One fewer has none."""
    needed = needed_for_a_bound(order, confidence)
    bounds = [
        quantile_interval(np.arange(float(n)), order, confidence).one_sided_upper
        for n in (needed - 1, needed)
    ]
    assert np.isinf(bounds[0])
    assert np.isfinite(bounds[1])


def test_the_lag_one_autocorrelation_is_numpys() -> None:
    """Where each unit has one value it is that of the values, in the order of being taken."""
    values = np.random.default_rng(0).normal(size=40)
    found = serial_correlation(values, np.arange(40)[::-1].copy())
    assert found is not None
    centred = values - values.mean()
    every = np.correlate(centred, centred, "full")
    assert found.lag_one == pytest.approx(every[40] / every[39])
    assert found.bound == pytest.approx(2 / np.sqrt(40))


def drifting(rho: float, draw: np.random.Generator, n: int, turns: int) -> tuple[Any, Any]:
    """Return logarithms of times on a machine with AR(1) noise, and their units."""
    units = np.concatenate([draw.permutation(n) for _ in range(turns)])
    noise = np.zeros(len(units))
    shocks = draw.normal(size=len(units)) * np.sqrt(1 - rho**2)
    for i in range(len(units)):
        noise[i] = rho * noise[i - 1] + shocks[i]
    return draw.normal(size=n)[units] * (turns > 1) + noise, units


@pytest.mark.parametrize(("n", "turns"), [(100, 1), (20, 5), (10, 10)])
def test_a_drift_is_seen_and_independence_is_not_taken_for_one(n: int, turns: int) -> None:
    """However different the units are: an AR(1) of .6 in most runs, independent noise in few."""
    draw = np.random.default_rng(0)

    def seen(rho: float) -> float:
        found = [serial_correlation(*drifting(rho, draw, n, turns)) for _ in range(1000)]
        return float(np.mean([each is not None and each.shown for each in found]))

    assert seen(0.0) <= 0.03
    assert seen(0.6) >= 0.9


def test_equal_values_have_no_autocorrelation() -> None:
    """As those that an engine declares rather than measures."""
    assert serial_correlation(np.full(9, 0.1), np.arange(9)) is None
    assert serial_correlation(np.log(np.tile([0.1, 0.3], 9)), np.tile([0, 1], 9)) is None
