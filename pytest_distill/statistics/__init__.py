"""Intervals and paired tests on arrays, and nothing else.

Needs numpy and ``scipy.special`` alone: importing ``scipy.stats`` takes over a second.
"""

from pytest_distill.statistics.association import association as association
from pytest_distill.statistics.calibration import calibration_error as calibration_error
from pytest_distill.statistics.chance import above_chance as above_chance
from pytest_distill.statistics.gap import GapRecovered as GapRecovered
from pytest_distill.statistics.gap import gap_recovered as gap_recovered
from pytest_distill.statistics.jackknife import Extremes as Extremes
from pytest_distill.statistics.jackknife import PseudoValues as PseudoValues
from pytest_distill.statistics.jackknife import of_mean as of_mean
from pytest_distill.statistics.jackknife import of_metric as of_metric
from pytest_distill.statistics.jackknife import t_bounds as t_bounds
from pytest_distill.statistics.levels import Level as Level
from pytest_distill.statistics.likelihoods import likelihood_level as likelihood_level
from pytest_distill.statistics.likelihoods import likelihood_retention as likelihood_retention
from pytest_distill.statistics.multiple import holm as holm
from pytest_distill.statistics.multiple import intervals as intervals
from pytest_distill.statistics.multiple import slices_below as slices_below
from pytest_distill.statistics.planning import examples_needed as examples_needed
from pytest_distill.statistics.planning import examples_needed_to_beat as examples_needed_to_beat
from pytest_distill.statistics.proportions import ProportionRetention as ProportionRetention
from pytest_distill.statistics.proportions import proportion_retention as proportion_retention
from pytest_distill.statistics.rates import Rate as Rate
from pytest_distill.statistics.rates import clopper_pearson as clopper_pearson
from pytest_distill.statistics.results import FloorTest as FloorTest
from pytest_distill.statistics.results import Judgement as Judgement
from pytest_distill.statistics.results import NoRatioError as NoRatioError
from pytest_distill.statistics.results import Retention as Retention
from pytest_distill.statistics.results import RetentionInterval as RetentionInterval
from pytest_distill.statistics.results import shown as shown
from pytest_distill.statistics.routing import augrc as augrc
from pytest_distill.statistics.routing import cross_fitted as cross_fitted
from pytest_distill.statistics.routing import fixed_sequence as fixed_sequence
from pytest_distill.statistics.routing import folds as folds
from pytest_distill.statistics.routing import thresholds as thresholds
from pytest_distill.statistics.score import difference_statistic as difference_statistic
from pytest_distill.statistics.score import score_statistic as score_statistic
from pytest_distill.statistics.scoring import Scoring as Scoring
from pytest_distill.statistics.suite import Combined as Combined
from pytest_distill.statistics.suite import LeastRetention as LeastRetention
from pytest_distill.statistics.suite import SuiteRetention as SuiteRetention
from pytest_distill.statistics.suite import suite_retention as suite_retention
from pytest_distill.statistics.superiority import N_RESAMPLES as N_RESAMPLES
from pytest_distill.statistics.superiority import PairedTest as PairedTest
from pytest_distill.statistics.superiority import mcnemar_p as mcnemar_p
from pytest_distill.statistics.superiority import proportion_test as proportion_test
from pytest_distill.statistics.t_retention import TRetention as TRetention
from pytest_distill.statistics.t_retention import ratio_test as ratio_test
