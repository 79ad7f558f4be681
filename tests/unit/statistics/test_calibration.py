"""The expected calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from pytest_distill.statistics.confidences import calibration_error


@pytest.mark.parametrize("bins", [5, 10, 15])
@pytest.mark.parametrize("seed", range(4))
def test_bins_are_those_of_scikit_learn(bins: int, seed: int) -> None:
    """The gaps of its `calibration_curve`, weighted by how many examples lie in each bin."""
    rng = np.random.default_rng(seed)
    sure = np.append(rng.random(500) ** 0.3, [0.0, 1.0, 0.2, 0.4])
    right = rng.random(504) < sure**2
    accuracy, confidence = calibration_curve(right, sure, n_bins=bins)
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    counts = np.bincount(np.searchsorted(inner, sure), minlength=bins)
    weights = counts[counts > 0] / 504
    expected = float((weights * np.abs(accuracy - confidence)).sum())
    assert calibration_error(sure, right, bins) == pytest.approx(expected)


def test_a_calibrated_model_has_a_small_error() -> None:
    """Right as often as it says, 100,000 times: the error is what chance leaves."""
    rng = np.random.default_rng(0)
    sure = rng.random(100_000)
    assert calibration_error(sure, rng.random(100_000) < sure) < 0.01


@pytest.mark.parametrize(
    ("sure", "right", "error"),
    [([1.0], [False], 1.0), ([0.0], [False], 0.0), ([0.6, 0.6], [True, False], 0.1)],
)
def test_errors_by_hand(sure: list[float], right: list[bool], error: float) -> None:
    """Sure and wrong is the worst; 0.6 and right half of the time is off by 0.1."""
    assert calibration_error(sure, right) == pytest.approx(error)


@pytest.mark.parametrize("sure", [[1.1], [-0.1], [float("nan")], []])
def test_what_is_no_probability_is_refused(sure: list[float]) -> None:
    """Log-likelihoods or nothing at all cannot be calibrated."""
    with pytest.raises(ValueError, match=r"beyond \[0, 1\]|no example"):
        calibration_error(sure, [True] * len(sure))
