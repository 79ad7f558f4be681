"""Intervals and paired tests on arrays, and nothing else.

Needs numpy and ``scipy.special`` alone: importing ``scipy.stats`` takes over a second.
"""

from pytest_distill.statistics.association import Association, association
from pytest_distill.statistics.calibration import calibration_error
from pytest_distill.statistics.chance import above_chance
from pytest_distill.statistics.gap import GapRecovered, gap_recovered
from pytest_distill.statistics.jackknife import (
    Extremes,
    PseudoValues,
    of_mean,
    of_metric,
    t_bounds,
    worst_and_best,
)
from pytest_distill.statistics.levels import Level, likelihood_level, score_level
from pytest_distill.statistics.multiple import holm, intervals, slices_below
from pytest_distill.statistics.planning import (
    examples_needed,
    examples_needed_to_beat,
    teacher_right_needed,
)
from pytest_distill.statistics.proportions import (
    ProportionRetention,
    proportion_retention,
)
from pytest_distill.statistics.rates import Rate, clopper_pearson
from pytest_distill.statistics.results import (
    FloorTest,
    Judgement,
    NoRatioError,
    Retention,
    RetentionInterval,
    shown,
)
from pytest_distill.statistics.retention import (
    bits_per_byte_retention,
    mean_retention,
    metric_retention,
    perplexity_retention,
)
from pytest_distill.statistics.routing import (
    augrc,
    cross_fitted,
    fixed_sequence,
    folds,
    thresholds,
)
from pytest_distill.statistics.score import difference_statistic, score_statistic
from pytest_distill.statistics.suite import (
    Combined,
    LeastRetention,
    SuiteRetention,
    suite_retention,
)
from pytest_distill.statistics.superiority import (
    N_RESAMPLES,
    PairedTest,
    gain_test,
    mcnemar_p,
    proportion_test,
    randomization_test,
    sign_flip_test,
)
from pytest_distill.statistics.t_retention import TRetention, ratio_test

__all__ = [
    "N_RESAMPLES",
    "Association",
    "Combined",
    "Extremes",
    "FloorTest",
    "GapRecovered",
    "Judgement",
    "LeastRetention",
    "Level",
    "NoRatioError",
    "PairedTest",
    "ProportionRetention",
    "PseudoValues",
    "Rate",
    "Retention",
    "RetentionInterval",
    "SuiteRetention",
    "TRetention",
    "above_chance",
    "association",
    "augrc",
    "bits_per_byte_retention",
    "calibration_error",
    "clopper_pearson",
    "cross_fitted",
    "difference_statistic",
    "examples_needed",
    "examples_needed_to_beat",
    "fixed_sequence",
    "folds",
    "gain_test",
    "gap_recovered",
    "holm",
    "intervals",
    "likelihood_level",
    "mcnemar_p",
    "mean_retention",
    "metric_retention",
    "of_mean",
    "of_metric",
    "perplexity_retention",
    "proportion_retention",
    "proportion_test",
    "randomization_test",
    "ratio_test",
    "score_level",
    "score_statistic",
    "shown",
    "sign_flip_test",
    "slices_below",
    "suite_retention",
    "t_bounds",
    "teacher_right_needed",
    "thresholds",
    "worst_and_best",
]
