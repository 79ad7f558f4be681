"""Several evals under one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from pytest_distill.errors import few


@dataclass(frozen=True)
class Average:
    """A number of a group: the mean of a metric over its evals.

    Parameters
    ----------
    of : str
        What is averaged, and by whom.
    metric : str
        The metric.
    evals : tuple of str
        The evals that have it, in their order; one that the group names twice counts twice.
    by_size : bool
        Whether an eval counts by its examples; else all of them count alike.
    """

    of: str
    metric: str
    evals: tuple[str, ...]
    by_size: bool

    def __call__(self, scores: Mapping[str, Fraction], sizes: Mapping[str, int]) -> Fraction:
        """Return the mean of the scores of the evals, by name."""
        weights = {name: sizes[name] if self.by_size else 1 for name in self.evals}
        total = sum((scores[name] * weights[name] for name in self.evals), Fraction(0))
        return total / sum(weights[name] for name in self.evals)


@dataclass(frozen=True)
class EvalGroup:
    """The evals that one entry of ``distill.yaml`` stands for.

    Parameters
    ----------
    name : str
        The entry's name.
    evals : tuple of str
        Their names.
    averages : tuple of Average
        What the group itself makes of them.
    """

    name: str
    evals: tuple[str, ...]
    averages: tuple[Average, ...] = ()

    def named_for_one(self) -> str:
        """Return what to say where one eval is asked for, and the group is named."""
        return (
            f"'{self.name}' is a group of {len(self.evals):,} evals: name one of them "
            f"({few(self.evals)}); all of them are judged by "
            f"assert_suite_retained(evals=['{self.name}'])"
        )
