"""Whether the student is fast for one example alone, and against the teacher."""

from __future__ import annotations

import math
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
from pytest_distill.verdicts.numbers import decimal, floor_text, positive
from pytest_distill.verdicts.sameness import refuse_same_identity
from pytest_distill.verdicts.statistics.quantiles import QuantileInterval, quantile_interval
from pytest_distill.verdicts.units import quantity, text
from pytest_distill.verdicts.verdict import Outcome, Verdict, as_float, decided, finite

Floats = NDArray[np.float64]
Of = Literal["example", "first_token", "token"]
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


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
        teacher, student = _pair(comparison, self.examples)
        ratios = teacher.seconds / student.seconds
        interval = quantile_interval(ratios, 0.5, confidence or 0.95)
        fixed = teacher.declared and student.declared
        observed = decimal(interval.estimate)
        if confidence is None or fixed:
            outcome = decided(observed >= floor)
        elif interval.one_sided_lower >= floor:
            outcome = Outcome.PASSED
        else:
            short = interval.one_sided_upper < floor
            outcome = Outcome.FAILED if short else Outcome.INCONCLUSIVE
        basis = "" if fixed else f"median ratio of {len(ratios)} pairs, {_bounds(interval)}"
        notes = (*teacher.notes, *student.notes)
        sure = f" ({100 * confidence:g} % bound)" if confidence and not fixed else ""
        lines = [
            f"assert {floor_text(observed)} >= {self.min_speedup} times as fast as the teacher"
            f"{sure}",
            f"  {basis or 'one declared figure each'}",
            teacher.line,
            student.line,
        ]
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric="latency",
            model=student.model,
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
            details={"settings": _settings(teacher, student), "speedup": interval_dict(interval)},
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
            for name in QUANTILES
            if (limit := getattr(self, name)) is not None
        }
        if not given:
            raise ConfigError("assert_latency: give p50=, p95= or p99=, such as p95='50 ms'")
        if self.of not in get_args(Of):
            raise ConfigError(f"of={self.of!r}: {did_you_mean(str(self.of), get_args(Of))}")
        confidence = comparison.sure(self.confidence, default=0.95)
        student = _alone(comparison, comparison.model("student"), self.of, self.examples)
        times = student.seconds
        fixed = student.declared
        found = {
            name: quantile_interval(times, QUANTILES[name], confidence or 0.95) for name in given
        }
        outcomes = {
            name: _within(interval, given[name], confidence, fixed=fixed)
            for name, interval in found.items()
        }
        worst = max(
            given, key=lambda n: (_BADNESS[outcomes[n]], decimal(found[n].estimate) / given[n])
        )
        told = [
            f"{name} {text(found[name].estimate, 's', up=True)} <= "
            f"{text(limit, 's', up=False)}" + ("" if fixed else f" ({_bounds(found[name], 's')})")
            for name, limit in given.items()
        ]
        interval = found[worst]
        observed = decimal(interval.estimate)
        what = {"example": "an example", "first_token": "the first token", "token": "a token"}
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=f"latency {worst}",
            model=student.model,
            observed=as_float(observed, "<="),
            required=float(given[worst]),
            relation="<=",
            outcome=outcomes[worst],
            confidence=None if fixed else confidence,
            n=None if fixed else len(times),
            slice=None,
            notes=student.notes,
            message="\n".join(
                [
                    f"assert {text(observed, 's', up=True)} <= "
                    f"{text(given[worst], 's', up=False)} {worst} latency of {what[self.of]}",
                    *(f"  {line}" for line in told),
                    *_too_few(worst, outcomes[worst], interval),
                    student.line,
                ]
            ),
            basis="; ".join(told) + ("" if fixed else f"; n = {len(times)}, of {what[self.of]}"),
            details={
                "settings": _settings(student),
                "quantiles": {name: interval_dict(each) for name, each in found.items()},
            },
            unit="s",
        )


_BADNESS = {Outcome.PASSED: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAILED: 2}


def _within(
    interval: QuantileInterval, limit: Fraction, confidence: float | None, *, fixed: bool
) -> Outcome:
    if confidence is None or fixed:
        return decided(decimal(interval.estimate) <= limit)
    if interval.one_sided_upper <= limit:
        return Outcome.PASSED
    return Outcome.FAILED if interval.one_sided_lower > limit else Outcome.INCONCLUSIVE


def _too_few(name: str, outcome: Outcome, interval: QuantileInterval) -> list[str]:
    """Return how many examples a bound needs, where it is for want of them that none exists."""
    if outcome is not Outcome.INCONCLUSIVE or np.isfinite(interval.one_sided_upper):
        return []
    needed = math.ceil(math.log(1 - interval.confidence) / math.log(QUANTILES[name]))
    return [f"  {interval.n} examples give no upper bound of {name}: examples={needed} do"]


@dataclass(frozen=True)
class _Times:
    """A model's times in seconds, a single one where they are declared, and where they are from."""

    model: str
    seconds: Floats
    taken: efficiency.Taken | None = None

    @property
    def declared(self) -> bool:
        return self.taken is None

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.declared:
            return ()
        return (f"latency declared, not measured: {self.model}",)

    @property
    def line(self) -> str:
        where = setting_text(**vars(self.taken)) if self.taken else "declared"
        median = text(float(np.median(self.seconds)), "s", up=True)
        return f"  {self.model}  median {median}, {where}"


def _pair(comparison: Comparison, examples: int) -> tuple[_Times, _Times]:
    """Return the times of teacher and student, interleaved where both run here."""
    pair = (comparison.model("teacher"), comparison.model("student"))
    refuse_same_identity(*pair)
    if not all(isinstance(model, RunModel) for model in pair):
        teacher, student = (_alone(comparison, m, "example", examples) for m in pair)
        return teacher, student
    taken = efficiency.latencies(pair, examples_of(comparison), checked_count(examples))
    teacher, student = (
        _Times(model.name, latency.example, latency.taken)
        for model, latency in zip(pair, taken, strict=True)
    )
    _refuse_other_devices(teacher, student)
    return teacher, student


def _alone(comparison: Comparison, model: Model, of: Of, examples: int) -> _Times:
    """Return one model's times, the declared one where it does not run here."""
    if not isinstance(model, RunModel) and model.info.latency_ms is not None and of == "example":
        return _Times(model.name, np.array([model.info.latency_ms / 1000]))
    count = checked_count(examples)
    (latency,) = efficiency.latencies((model,), examples_of(comparison), count)
    times: Floats | None = getattr(latency, of)
    if times is None:
        raise ComparisonError(
            f"of={of!r}: eval '{comparison.eval}' generates no text of several tokens with model "
            f"'{model.name}': only the time of an example is known"
        )
    return _Times(model.name, times, latency.taken)


def _refuse_other_devices(*times: _Times) -> None:
    """Refuse times of two models that ran on different devices."""
    where = {one.model: efficiency.device_text(one.taken.setting) for one in times if one.taken}
    if len(set(where.values())) > 1:
        told = " and ".join(f"'{name}' on {device}" for name, device in where.items())
        raise ComparisonError(
            f"model {told}: figures of different devices are not compared; give both models one "
            "device, e.g. --distill-device cpu"
        )


def _settings(*times: _Times) -> dict[str, Any]:
    return {one.model: dict(one.taken.setting) if one.taken else "declared" for one in times}


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
