"""Whether the student is fast for one example alone, and against the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ComparisonError, ConfigError, did_you_mean
from pytest_distill.evaluation import efficiency
from pytest_distill.evaluation.models import Model, RunModel
from pytest_distill.verdicts.comparison import Comparison, Confidence
from pytest_distill.verdicts.gates.measured import (
    EXAMPLES,
    LooksAtNoAnswers,
    checked_count,
    examples_of,
    setting_text,
)
from pytest_distill.verdicts.numbers import floor_text, positive
from pytest_distill.verdicts.statistics.quantiles import QuantileInterval, quantile_interval
from pytest_distill.verdicts.units import quantity, text
from pytest_distill.verdicts.verdict import Outcome, Verdict, as_float, decided, finite

Floats = NDArray[np.float64]
Of = Literal["example", "first_token", "token"]
_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Faster(LooksAtNoAnswers):
    """Teacher's time / student's time, the median over examples, is at least `min_speedup`.

    Both answer the same examples one at a time, in random order within each pair.

    Parameters
    ----------
    min_speedup : float
        Any number above 0.
    confidence : float, optional
        0.95 by default: the bound of the median decides. None: the observed median does.
    examples : int
        How many pairs.
    """

    name: ClassVar[str] = "faster"

    min_speedup: float
    confidence: Confidence = "default"
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure both, or take what is declared, and judge the median of the ratios."""
        floor = positive(self.min_speedup, "min_speedup")
        confidence = comparison.sure(self.confidence, default=0.95)
        teacher, student = (comparison.model(role) for role in ("teacher", "student"))
        times, notes, details = _pair(comparison, teacher, student, self.examples)
        ratios = times[0] / times[1]
        interval = quantile_interval(ratios, 0.5, confidence or 0.95)
        fixed = len(ratios) == 1
        observed = Fraction(interval.estimate)
        if confidence is None or fixed:
            outcome = decided(observed >= floor)
        elif interval.one_sided_lower >= floor:
            outcome = Outcome.PASSED
        else:
            short = interval.one_sided_upper < floor
            outcome = Outcome.FAILED if short else Outcome.INCONCLUSIVE
        medians = [text(float(np.median(t)), "s", up=True) for t in times]
        basis = f"median ratio of {len(ratios)} pairs, {_bounds(interval)}" if not fixed else ""
        lines = [
            f"assert {floor_text(observed)} >= {self.min_speedup} times as fast as the teacher"
            + (f" ({100 * confidence:g} % bound)" if confidence and not fixed else ""),
            f"  {basis}" if basis else "  one declared figure each",
            *(
                f"  {model.name}  median {shown}"
                for model, shown in zip((teacher, student), medians, strict=True)
            ),
            *(f"  note: {note}" for note in notes),
        ]
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric="latency",
            model=student.name,
            observed=as_float(observed, ">="),
            required=float(self.min_speedup),
            relation=">=",
            outcome=outcome,
            confidence=None if fixed else confidence,
            n=None if fixed else len(ratios),
            slice=None,
            notes=notes,
            message="\n".join(lines),
            basis=basis,
            details={**details, "speedup": interval_dict(interval)},
        )


@dataclass(frozen=True)
class Latency(LooksAtNoAnswers):
    """The student's time for one example alone, at the given quantiles, is within limits.

    Parameters
    ----------
    p50, p95, p99 : str or float, optional
        ``"50 ms"``, or seconds. At least one of them.
    of : {"example", "first_token", "token"}
        The whole answer; of a generated text its first token, or each token after it.
    confidence : float, optional
        0.95 by default: the quantile's bound decides. None: the observed quantile does.
    examples : int
        How many are timed. A bound of p95 needs 59, one of p99 299.
    """

    name: ClassVar[str] = "latency"

    p50: str | float | None = None
    p95: str | float | None = None
    p99: str | float | None = None
    of: Of = "example"
    confidence: Confidence = "default"
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure the student, and judge the quantile that is nearest to its limit."""
        given = {
            name: quantity(limit, "s", name)
            for name in _QUANTILES
            if (limit := getattr(self, name)) is not None
        }
        if not given:
            raise ConfigError("assert_latency: give p50=, p95= or p99=, such as p95='50 ms'")
        if self.of not in get_args(Of):
            raise ConfigError(f"of={self.of!r}: {did_you_mean(str(self.of), get_args(Of))}")
        confidence = comparison.sure(self.confidence, default=0.95)
        student = comparison.model("student")
        times, notes, details = _alone(comparison, student, self.of, self.examples)
        found = {
            name: quantile_interval(times, _QUANTILES[name], confidence or 0.95) for name in given
        }
        outcomes = {
            name: _within(interval, given[name], confidence, fixed=len(times) == 1)
            for name, interval in found.items()
        }
        worst = max(
            given, key=lambda n: (_BADNESS[outcomes[n]], Fraction(found[n].estimate) / given[n])
        )
        told = [
            f"{name} {text(found[name].estimate, 's', up=True)} <= "
            f"{text(limit, 's', up=False)} ({_bounds(found[name], 's')})"
            for name, limit in given.items()
        ]
        interval = found[worst]
        observed = Fraction(interval.estimate)
        what = {"example": "an example", "first_token": "the first token", "token": "a token"}
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=f"latency {worst}",
            model=student.name,
            observed=as_float(observed, "<="),
            required=float(given[worst]),
            relation="<=",
            outcome=outcomes[worst],
            confidence=confidence,
            n=len(times) if len(times) > 1 else None,
            slice=None,
            notes=notes,
            message="\n".join(
                [
                    f"assert {text(observed, 's', up=True)} <= "
                    f"{text(given[worst], 's', up=False)} {worst} latency of {what[self.of]}",
                    *(f"  {line}" for line in told),
                    *(f"  note: {note}" for note in notes),
                ]
            ),
            basis=f"{'; '.join(told)}; n = {len(times)}, of {what[self.of]}",
            details={**details, "quantiles": {k: interval_dict(v) for k, v in found.items()}},
            unit="s",
        )


_BADNESS = {Outcome.PASSED: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAILED: 2}


def _within(
    interval: QuantileInterval, limit: Fraction, confidence: float | None, *, fixed: bool
) -> Outcome:
    if confidence is None or fixed:
        return decided(Fraction(interval.estimate) <= limit)
    if interval.one_sided_upper <= limit:
        return Outcome.PASSED
    return Outcome.FAILED if interval.one_sided_lower > limit else Outcome.INCONCLUSIVE


def _pair(
    comparison: Comparison, teacher: Model, student: Model, examples: int
) -> tuple[tuple[Floats, Floats], tuple[str, ...], dict[str, Any]]:
    """Return both models' times, notes on them, and details for JSON."""
    if isinstance(teacher, RunModel) and isinstance(student, RunModel):
        pair = (teacher, student)
        taken = efficiency.latencies(pair, examples_of(comparison), checked_count(examples))
        settings = {m.name: latency.setting for m, latency in zip(pair, taken, strict=True)}
        _refuse_other_devices(settings)
        notes = (
            f"{model.name} {setting_text(latency.setting, latency.made)}"
            for model, latency in zip(pair, taken, strict=True)
        )
        return (taken[0].example, taken[1].example), tuple(notes), {"settings": settings}
    one, one_notes, one_details = _alone(comparison, teacher, "example", examples)
    other, other_notes, other_details = _alone(comparison, student, "example", examples)
    settings = {**one_details["settings"], **other_details["settings"]}
    return (one, other), (*one_notes, *other_notes), {"settings": settings}


def _alone(
    comparison: Comparison, model: Model, of: Of, examples: int
) -> tuple[Floats, tuple[str, ...], dict[str, Any]]:
    """Return one model's times, a single declared one where it does not run here."""
    if not isinstance(model, RunModel) and model.info.latency_ms is not None and of == "example":
        note = f"latency declared, not measured: {model.name}"
        seconds = np.array([model.info.latency_ms / 1000])
        return seconds, (note,), {"settings": {model.name: "declared"}}
    count = checked_count(examples)
    (latency,) = efficiency.latencies((model,), examples_of(comparison), count)
    times: Floats | None = getattr(latency, of)
    if times is None:
        raise ComparisonError(
            f"of={of!r}: eval '{comparison.eval}' generates no text of several tokens with model "
            f"'{model.name}': only the time of an example is known"
        )
    note = f"{model.name} {setting_text(latency.setting, latency.made)}"
    return times, (note,), {"settings": {model.name: latency.setting}}


def _refuse_other_devices(settings: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse times of two models that ran on different devices."""
    where = {
        name: f"{str(setting['device']).partition(':')[0]} ({setting['device_name']})"
        for name, setting in settings.items()
    }
    if len(set(where.values())) > 1:
        told = " and ".join(f"'{name}' on {device}" for name, device in where.items())
        raise ComparisonError(
            f"model {told}: figures of different devices are not compared; give both models one "
            "device, e.g. --distill-device cpu"
        )


def _bounds(interval: QuantileInterval, unit: Literal["", "s"] = "") -> str:
    ends = [
        "unbounded" if not np.isfinite(bound) else text(bound, unit, up=up)
        for bound, up in ((interval.lower, False), (interval.upper, True))
    ]
    return f"95 % interval {ends[0]} to {ends[1]}"


def interval_dict(interval: QuantileInterval) -> dict[str, float | int | None]:
    """Return an interval as JSON-able values."""
    names = ("estimate", "one_sided_lower", "one_sided_upper", "lower", "upper", "confidence")
    return {name: finite(getattr(interval, name)) for name in names} | {"n": interval.n}
