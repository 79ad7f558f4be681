"""The slices of an eval: what the student retained in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pytest_distill._util.numbers import Ratio, retained_share
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.cells import real
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Metric

BINS: Mapping[str, int] = {"halves": 2, "thirds": 3, "quartiles": 4, "quintiles": 5, "deciles": 10}
"""How ``by="length:quartiles"`` parts a field with numbers: into bins of about equal size."""


@dataclass(frozen=True, slots=True)
class SliceScores:
    """One slice of one comparison.

    Parameters
    ----------
    name : str
        E.g. ``lang=de``.
    positions : sequence of int
        Its examples.
    teacher, student : Fraction
        Their scores.
    retained : Fraction or math.inf, optional
        None where no ratio exists: the teacher scores nothing in it.
    """

    name: str
    positions: Sequence[int]
    teacher: Fraction
    student: Fraction
    retained: Ratio | None

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.positions)


def slice_scores(comparison: Comparison, metric: Metric, by: str) -> list[SliceScores]:
    """Return all slices of a field, the one where the student kept least first.

    Parameters
    ----------
    by : str
        A field of the gold set, or ``field:quartiles`` for one with numbers.

    Raises
    ------
    ConfigError
        Where the eval has no such field, or it has no numbers to bin.
    """
    on = comparison.on
    if not isinstance(on, Eval):
        raise ConfigError(f"eval '{on.name}' has only reported scores, and so no slices")
    teacher, student = comparison.pair("teacher", "student")
    found = []
    for name, positions in slice_positions(on, by).items():
        t, s = teacher.exact_score(metric, positions), student.exact_score(metric, positions)
        ratio = retained_share(s, t, metric.higher_is_better)
        found.append(SliceScores(name, positions, t, s, ratio))
    return sorted(found, key=lambda row: (row.retained is None, row.retained or Fraction(0)))


def slice_positions(on: Eval, by: str) -> dict[str, list[int]]:
    """Return slice name -> positions of its examples."""
    field, colon, bins = by.partition(":")
    known = set().union(*(example.fields for example in on.gold))
    if field not in known:
        raise ConfigError(
            f"eval '{on.name}' has no field '{field}' to slice by; {did_you_mean(field, known)}"
        )
    if not colon:
        return {f"{field}={value}": where for value, where in on.slice_ids(field).items()}
    if bins not in BINS:
        raise ConfigError(f"by='{by}': no such bins '{bins}'; {did_you_mean(bins, BINS)}")
    return _binned(on, field, BINS[bins])


def worst_slices(comparison: Comparison, metric: Metric, most: int) -> list[SliceScores]:
    """Return the slices of the eval's ``slices:`` where the student kept least.

    Slices in which the teacher scores nothing have no ratio and are left out.
    """
    on = comparison.on
    if not isinstance(on, Eval) or not comparison.measured():
        return []
    rows = [row for field in on.slices for row in slice_scores(comparison, metric, field)]
    with_ratio = [row for row in rows if row.retained is not None]
    return sorted(with_ratio, key=lambda row: row.retained or Fraction(0))[:most]


def _binned(on: Eval, field: str, bins: int) -> dict[str, list[int]]:
    numbers = np.array([_number(on, example, field) for example in on.gold], np.float64)
    # Equal numbers stay together, so that a slice is a range that a reader can name.
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1]))
    which = np.searchsorted(edges, numbers, side="left")
    found = {}
    for number in np.unique(which):
        positions = np.flatnonzero(which == number)
        low, high = numbers[positions].min(), numbers[positions].max()
        found[f"{field}={low:g}..{high:g}"] = [int(p) for p in positions]
    return found


def _number(on: Eval, example: Example, field: str) -> float:
    """Return a number of an example, which stands as text where the gold set is a CSV file."""
    value = example.fields.get(field)
    found = real(value)
    if found is None:
        raise ConfigError(
            f"eval '{on.name}': field '{field}' has {value!r:.60}, not a number to bin "
            f"({example.place})"
        )
    return found
