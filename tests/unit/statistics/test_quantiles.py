"""Order-statistic intervals of quantiles."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_distill.verdicts.statistics.quantiles import quantile_interval


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
