"""Metrics: the example's score, how scores aggregate, and which direction is better, in one place.

A metric is a function of column sums: `statistics` gives one row an example, `aggregate` turns the
summed rows into the metric's value. Leaving examples out is then a subtraction.
"""

from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric, ScoredElsewhere

__all__ = ["Answer", "MeanMetric", "Metric", "ScoredElsewhere"]
