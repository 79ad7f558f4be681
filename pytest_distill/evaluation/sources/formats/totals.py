"""What a tool printed of a run, beside what the run's samples come to."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignMetric


@dataclass(frozen=True)
class RunResults:
    """What is known of a run beside what it made of each document.

    Parameters
    ----------
    shown : str, optional
        What messages call the file of results; None where there is none.
    task : str
        The task.
    said : mapping
        What the file says.
    """

    shown: str | None
    task: str
    said: Mapping[str, Any]

    def of_task(self, section: str) -> Mapping[str, Any]:
        """Return what a section says of the task."""
        return mapping_of(mapping_of(self.said.get(section)).get(self.task))


def read_results(file: Path) -> Mapping[str, Any]:
    """Return what a file of results says; EvaluationError where it can't be read."""
    try:
        return mapping_of(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        reason = error.strerror or error
        raise EvaluationError(f"{shown_path(file)}: cannot be read: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{shown_path(file)}: not valid JSON: {error}") from None


def mapping_of(value: object) -> Mapping[str, Any]:
    """Return what a file says where it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class Scored:
    """The scores of a run.

    Parameters
    ----------
    metrics : tuple of ForeignMetric
        Those that are numbers of a document.
    left_out : tuple of str
        The other metrics: they are of the whole task alone.
    notes : tuple of str
        What could not be checked, or is another number here.
    """

    metrics: tuple[ForeignMetric, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...]

    def names(self, values: Collection[str]) -> list[str]:
        """Return the metrics that a document with these values has a score by."""
        return [metric.name for metric in self.metrics if metric.name in values]


def refuse_other_total(source: str, name: str, printed: float, found: float, remedy: str) -> None:
    """Raise EvaluationError where a total is not that of its samples.

    The last digits may differ: they depend on the order of a sum.

    Parameters
    ----------
    source : str
        Where it is printed.
    name : str
        What is printed there, with the tool's name.
    printed, found : float
        The total there, and that of the samples.
    remedy : str
        What to do.
    """
    if math.isnan(printed) and math.isnan(found):
        return
    if not math.isclose(printed, found, rel_tol=1e-6, abs_tol=1e-9):
        raise EvaluationError(
            f"{source}: {name} is {printed:.10g}, and {found:.10g} by its samples: the two are not "
            f"of one run, or one was changed; {remedy}"
        )


def range_of(values: Iterable[float]) -> tuple[float, float]:
    """Return the range of a metric of which values are known: 0 to 1, without end where beyond."""
    found = list(values)
    return (0.0 if min(found) >= 0 else -math.inf), (1.0 if max(found) <= 1 else math.inf)
