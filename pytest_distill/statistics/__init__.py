"""Intervals and paired tests on arrays, and nothing else; most of it is reached from `Scoring`.

Needs numpy and ``scipy.special`` alone: importing ``scipy.stats`` takes over a second.
"""

from pytest_distill.statistics.gap import GapRecovered as GapRecovered
from pytest_distill.statistics.results import FloorTest as FloorTest
from pytest_distill.statistics.results import Judgement as Judgement
from pytest_distill.statistics.results import Retention as Retention
from pytest_distill.statistics.results import RetentionInterval as RetentionInterval
from pytest_distill.statistics.superiority import PairedTest as PairedTest
