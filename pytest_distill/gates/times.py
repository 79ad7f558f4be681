"""The times of models, as gates judge them: measured or declared, and where they are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import quantity_text
from pytest_distill._util.numbers import Ratio
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.sameness import refuse_same_identity
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation import efficiency
from pytest_distill.evaluation.figures import LatencyFigure, Provenance, device_text, runs_here
from pytest_distill.evaluation.model import Model
from pytest_distill.gates.arguments import checked_count
from pytest_distill.statistics.quantiles import SerialCorrelation, serial_correlation, unit_medians

EXAMPLES = 100

Floats = NDArray[np.float64]
Units = NDArray[np.intp]
Of = Literal["example", "first_token", "token"]


def seconds_text(value: Ratio) -> str:
    """Return a time, rounded up: never faster than it is."""
    return quantity_text(value, "s", up=True)


def serial_of(values: Floats, units: Units) -> SerialCorrelation | None:
    """Return how far the logarithms depend on those before; None where there are too few."""
    usable = len(values) > 1 and bool((values > 0).all() and np.isfinite(values).all())
    return serial_correlation(np.log(values), units) if usable else None


def drift_notes(found: SerialCorrelation | None) -> tuple[str, ...]:
    """Return a note where times depend on those before; else none."""
    if found is None or not found.shown:
        return ()
    return (
        f"what was measured depends on what was measured just before (autocorrelation at lag 1 "
        f"{found.lag_one:.2f}, more than 2 standard errors, {found.bound:.2f}): something else "
        "ran on this machine, or it was throttled, and the bounds err more often than they say; "
        "measure on an idle machine, with --distill-refresh",
    )


@dataclass(frozen=True)
class Times:
    """A model's times in seconds, a single one where they are declared, and where they are from.

    `units` tells of which independent example each is. So many of these were `timed`, of all that
    the gold set has.
    """

    model: str
    seconds: Floats
    units: Units
    timed: int = 1
    independent: int = 1
    provenance: Provenance | None = None

    @property
    def declared(self) -> bool:
        """Whether ``distill.yaml`` says it, and nothing was measured."""
        return self.provenance is None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of them."""
        if not self.declared:
            return ()
        return (f"latency declared, not measured: {self.model}",)

    @property
    def line(self) -> str:
        """What a message tells of them."""
        where = setting_text(**vars(self.provenance)) if self.provenance else "declared"
        median = seconds_text(float(np.median(unit_medians(self.seconds, self.units))))
        return f"  {self.model}  median {median}, {where}"


def pair_times(comparison: Comparison, examples: int) -> tuple[Times, Times]:
    """Return the times of teacher and student, interleaved where both run here."""
    pair = (comparison.model("teacher"), comparison.model("student"))
    refuse_same_identity(*pair)
    if not all(map(runs_here, pair)):
        teacher, student = (times_of(comparison, m, "example", examples) for m in pair)
        return teacher, student
    taken = efficiency.latencies(pair, examples_of(comparison), checked_count(examples, "examples"))
    teacher, student = (
        _measured(comparison, model, latency, "example")
        for model, latency in zip(pair, taken, strict=True)
    )
    where = {
        one.model: device_text(one.provenance.setting)
        for one in (teacher, student)
        if one.provenance
    }
    if len(set(where.values())) > 1:
        told = " and ".join(f"'{name}' on {device}" for name, device in where.items())
        raise ComparisonError(
            f"model {told}: figures of different devices are not compared; give both models one "
            "device, e.g. --distill-device cpu"
        )
    return teacher, student


def times_of(comparison: Comparison, model: Model, of: Of, examples: int) -> Times:
    """Return one model's times, the declared one where it does not run here."""
    if not runs_here(model) and model.info.latency_ms is not None and of == "example":
        return Times(model.name, np.array([model.info.latency_ms / 1000]), np.zeros(1, np.intp))
    count = checked_count(examples, "examples")
    (latency,) = efficiency.latencies((model,), examples_of(comparison), count)
    return _measured(comparison, model, latency, of)


def _measured(comparison: Comparison, model: Model, latency: LatencyFigure, of: Of) -> Times:
    """Return the times of a part of the answers; ComparisonError where there is no such part."""
    times = latency.times(of)
    if times is None:
        raise ComparisonError(
            f"of={of!r}: eval '{comparison.eval}' generates no text of several tokens with model "
            f"'{model.name}': only the time of an example is known"
        )
    seconds, units = times
    timed = len(units if latency.unit is None else np.unique(latency.unit))
    return Times(
        model.name, seconds, units, timed, latency.independent or timed, latency.provenance
    )


def settings_of(*times: Times) -> dict[str, Any]:
    """Return on what each model was measured, JSON-able."""
    return {
        one.model: dict(one.provenance.setting) if one.provenance else "declared" for one in times
    }


def examples_of(comparison: Comparison) -> Eval:
    """Return the eval with the examples to measure with; ComparisonError where it has none."""
    if isinstance(comparison.on, Eval):
        return comparison.on
    raise ComparisonError(
        f"eval '{comparison.eval}' has only reported scores, and so no examples to measure with"
    )


def setting_text(setting: Mapping[str, Any], made: float, earlier: bool) -> str:
    """Return where, with what and when a figure was taken, and whether before this run."""
    where = {key: value for key, value in setting.items() if value is not None}
    device = f"{where.pop('device', 'unknown')} ({where.pop('device_name', 'unknown')})"
    threads, dtype = where.pop("threads", None), where.pop("dtype", None)
    parts = [
        device,
        *([f"{threads} thread{'s' if threads != 1 else ''}"] if threads else []),
        *([str(dtype)] if dtype else []),
        *(f"{package} {version}" for package, version in where.items()),
    ]
    taken = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M UTC")
    stored = " (stored; --distill-refresh measures anew)" if earlier else ""
    return f"measured on {', '.join(parts)}, {taken}{stored}"
