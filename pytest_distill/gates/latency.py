"""Whether the student is fast for one example alone, and against the teacher."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import (
    floor_text,
    interval_text,
    limit_text,
    quantity_text,
    range_text,
)
from pytest_distill._util.numbers import Ratio, decimal, positive
from pytest_distill._util.units import Unit, quantity
from pytest_distill.comparison.comparison import Comparison, Confidence
from pytest_distill.comparison.sameness import refuse_same_identity
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation import efficiency
from pytest_distill.evaluation.figures import LatencyFigure, Provenance, device_text, runs_here
from pytest_distill.evaluation.models import Model
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_option, checked_count
from pytest_distill.gates.deciding import Decision, observed, within
from pytest_distill.gates.gate import EvalGate
from pytest_distill.gates.measured import EXAMPLES, examples_of, setting_text
from pytest_distill.gates.verdict import Outcome, Relation, Verdict, finite
from pytest_distill.statistics.quantiles import (
    QuantileInterval,
    SerialCorrelation,
    needed_for_a_bound,
    serial_correlation,
    unit_interval,
    unit_medians,
)

Floats = NDArray[np.float64]
Units = NDArray[np.intp]
Of = Literal["example", "first_token", "token"]
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Faster(EvalGate):
    """The student answers an example at least `min_speedup` times as fast as the teacher.

    Both are in memory, warmed up, and answer the same examples one at a time, in random order
    within each pair. The median of teacher's time / student's time over examples is judged; an
    example that comes round again, for want of others, counts once, with the median of its ratios,
    and so do the examples of a cluster.

    Parameters
    ----------
    min_speedup : float
        Any number above 0.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else 0.95: the one-sided bound of the
        median decides, and the verdict may be INCONCLUSIVE. None: the observed median does.
    examples : int
        How many pairs are timed. More of them than the gold set has examples make each example's
        ratio steadier, and do not count as further examples.
    """

    name: ClassVar[str] = "faster"
    asks: ClassVar[str] = "Does {model} answer an example {what} times as fast as the teacher?"
    answers: ClassVar[bool] = False

    min_speedup: float
    _: KW_ONLY
    confidence: Confidence = "default"
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure both, or take what is declared, and judge the median of the ratios."""
        floor = positive(self.min_speedup, "min_speedup")
        confidence = comparison.confidence_level(self.confidence, default=0.95)
        teacher, student = _pair(comparison, self.examples)
        fixed = teacher.declared and student.declared
        ratios = teacher.seconds / student.seconds
        units = (teacher if student.declared else student).units
        interval = unit_interval(ratios, units, 0.5, confidence or 0.95)
        decision = _decided(interval, ">=", floor, None if fixed else confidence)
        counted = _counted(interval.n, len(ratios), comparison, "pairs")
        basis = "" if fixed else f"median ratio of {counted}, {_bounds(interval)}"
        serial = None if fixed else _serial(ratios, units)
        drift = _drift_notes(serial)
        return self.verdict(
            comparison,
            decision,
            decision.headline(self.min_speedup, "times as fast as the teacher", text=_speedup_text),
            metric="latency",
            n=None if fixed else interval.n,
            basis=[basis] if basis else [],
            facts=[] if fixed else _facts(decision, interval, counted),
            notes=(*teacher.notes, *student.notes, *drift),
            lines=[
                f"  {basis or 'one declared figure each'}",
                teacher.line,
                student.line,
                *_too_few("the median", 0.5, decision, interval, comparison, (teacher, student)),
                *explain.note_lines(drift),
            ],
            details={
                "settings": _settings(teacher, student),
                "speedup": _as_details(interval),
                "serial": serial and asdict(serial),
            },
        )


@dataclass(frozen=True)
class Latency(EvalGate):
    """The student's time for one example alone, at the given quantiles, is within limits.

    An example that comes round again, for want of others, counts once: p50 is over the median of
    each example's times, p95 and p99 are over the first time of each.

    Parameters
    ----------
    p50, p95, p99 : str or float, optional
        ``"50 ms"``, or seconds. At least one of them.
    of : {"example", "first_token", "token"}
        The whole answer; of a generated text its first token, or each token after it.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else 0.95: the quantile's bound decides.
        None: the observed quantile does.
    examples : int
        How many are timed. A bound of p95 at 0.95 needs 59 different ones, one of p99 299: an
        example that comes round again counts once, and so do the examples of a cluster.
    """

    name: ClassVar[str] = "latency"
    asks: ClassVar[str] = "Is the {metric} of {model} {what}, for one example alone?"
    answers: ClassVar[bool] = False

    _: KW_ONLY
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
            raise ConfigError("give p50=, p95= or p99=, such as p95='50 ms'")
        check_option(self.of, "of", get_args(Of))
        confidence = comparison.confidence_level(self.confidence, default=0.95)
        student = _alone(comparison, comparison.model("student"), self.of, self.examples)
        times, units = student.seconds, student.units
        fixed = student.declared
        found = {
            name: unit_interval(times, units, QUANTILES[name], confidence or 0.95) for name in given
        }
        decisions = {
            name: _decided(interval, "<=", given[name], None if fixed else confidence)
            for name, interval in found.items()
        }
        worst, decision = max(
            decisions.items(),
            key=lambda each: (_BADNESS[each[1].outcome], each[1].observed / each[1].limit),
        )
        told = [
            f"{name} {_seconds_text(found[name].estimate)} <= {limit_text(limit, 's')}"
            + ("" if fixed else f" ({_bounds(found[name], 's')})")
            for name, limit in given.items()
        ]
        interval = found[worst]
        serial = None if fixed else _serial(times, units)
        drift = _drift_notes(serial)
        counted = _counted(interval.n, len(times), comparison, "times")
        what = {"example": "an example", "first_token": "the first token", "token": "a token"}
        return self.verdict(
            comparison,
            decision,
            decision.headline(
                limit_text(given[worst], "s"),
                f"{worst} latency of {what[self.of]}",
                text=_seconds_text,
            ),
            metric=f"latency {worst}",
            n=None if fixed else interval.n,
            basis=[*told, *([] if fixed else [f"{counted}, of {what[self.of]}"])],
            facts=[] if fixed else _facts(decision, interval, counted, "s"),
            notes=(*student.notes, *drift),
            lines=[
                *(f"  {line}" for line in told),
                *_too_few(worst, QUANTILES[worst], decision, interval, comparison, (student,)),
                student.line,
                *explain.note_lines(drift),
            ],
            details={
                "settings": _settings(student),
                "quantiles": {name: _as_details(each) for name, each in found.items()},
                "serial": serial and asdict(serial),
            },
            unit="s",
        )


def _facts(
    decision: Decision, interval: QuantileInterval, counted: str, unit: Unit = ""
) -> list[str]:
    """Return over how many it is, and the interval where no bound decided."""
    if decision.bound is not None:
        return [counted]
    return [range_text(interval.lower, interval.upper, unit), counted]


_BADNESS = {Outcome.PASSED: 0, Outcome.INCONCLUSIVE: 1, Outcome.FAILED: 2}


def _decided(
    interval: QuantileInterval,
    relation: Relation,
    limit: Fraction,
    confidence: float | None,
) -> Decision:
    """Return the decision on a quantile."""
    estimate = decimal(interval.estimate)
    if confidence is None:
        return observed(estimate, relation, limit)
    outcome = within(interval.one_sided_lower, interval.one_sided_upper, relation, limit)
    return Decision(estimate, relation, limit, outcome, confidence, bounds=interval)


def _speedup_text(value: Ratio) -> str:
    return floor_text(max(value, Fraction(0)))  # a lower bound that does not exist


def _seconds_text(value: Ratio) -> str:
    return quantity_text(value, "s", up=True)


def _too_few(
    of: str,
    order: float,
    decision: Decision,
    interval: QuantileInterval,
    comparison: Comparison,
    times: tuple[_Times, ...],
) -> list[str]:
    """Return how many examples a bound needs, where it is for want of them that none exists."""
    bound, side = (
        (interval.one_sided_lower, "lower")
        if of == "the median"
        else (interval.one_sided_upper, "upper")
    )
    if decision.outcome is not Outcome.INCONCLUSIVE or np.isfinite(bound):
        return []
    needed = needed_for_a_bound(order, interval.confidence)
    measured = next(each for each in times if not each.declared)
    if interval.n < measured.timed:
        return [
            f"  {interval.n} of {measured.timed} texts have several tokens, and an {side} bound of "
            f"{of} needs {needed}"
        ]
    there = measured.independent
    if there >= needed:
        return [f"  {interval.n} examples give no {side} bound of {of}: examples={needed} do"]
    examples = examples_of(comparison)
    where = "this run's sample of the gold set" if examples.gold.left_out else "the gold set"
    return [
        f"  {where} has only {there} {_word(examples)}, and {'an' if side == 'upper' else 'a'} "
        f"{side} bound of {of} needs {needed}: an example that is timed again is no further one"
    ]


def _word(on: Eval) -> str:
    """Return what counts once, in the plural."""
    if on.cluster is not None:
        return f"clusters ({on.cluster})"
    return "distinct examples" if on.repeated else "examples"


def _counted(n: int, taken: int, comparison: Comparison, what: Literal["pairs", "times"]) -> str:
    """Return how many count, and where these are fewer, how many were taken."""
    if n == taken:
        return f"{n} {what}" if what == "pairs" else f"n = {n}"
    counted = f"{n} {_word(examples_of(comparison))}"
    return (
        f"{counted} in {taken} pairs" if what == "pairs" else f"n = {counted}, timed {taken} times"
    )


def _serial(values: Floats, units: Units) -> SerialCorrelation | None:
    """Return how far the logarithms depend on those before; None where there are too few."""
    usable = len(values) > 1 and bool((values > 0).all() and np.isfinite(values).all())
    return serial_correlation(np.log(values), units) if usable else None


def _drift_notes(found: SerialCorrelation | None) -> tuple[str, ...]:
    if found is None or not found.shown:
        return ()
    return (
        f"what was measured depends on what was measured just before (autocorrelation at lag 1 "
        f"{found.lag_one:.2f}, more than 2 standard errors, {found.bound:.2f}): something else "
        "ran on this machine, or it was throttled, and the bounds err more often than they say; "
        "measure on an idle machine, with --distill-refresh",
    )


@dataclass(frozen=True)
class _Times:
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
        return self.provenance is None

    @property
    def notes(self) -> tuple[str, ...]:
        if not self.declared:
            return ()
        return (f"latency declared, not measured: {self.model}",)

    @property
    def line(self) -> str:
        where = setting_text(**vars(self.provenance)) if self.provenance else "declared"
        median = _seconds_text(float(np.median(unit_medians(self.seconds, self.units))))
        return f"  {self.model}  median {median}, {where}"


def _pair(comparison: Comparison, examples: int) -> tuple[_Times, _Times]:
    """Return the times of teacher and student, interleaved where both run here."""
    pair = (comparison.model("teacher"), comparison.model("student"))
    refuse_same_identity(*pair)
    if not all(map(runs_here, pair)):
        teacher, student = (_alone(comparison, m, "example", examples) for m in pair)
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


def _alone(comparison: Comparison, model: Model, of: Of, examples: int) -> _Times:
    """Return one model's times, the declared one where it does not run here."""
    if not runs_here(model) and model.info.latency_ms is not None and of == "example":
        return _Times(model.name, np.array([model.info.latency_ms / 1000]), np.zeros(1, np.intp))
    count = checked_count(examples, "examples")
    (latency,) = efficiency.latencies((model,), examples_of(comparison), count)
    return _measured(comparison, model, latency, of)


def _measured(comparison: Comparison, model: Model, latency: LatencyFigure, of: Of) -> _Times:
    """Return the times of a part of the answers; ComparisonError where there is no such part."""
    times = latency.times(of)
    if times is None:
        raise ComparisonError(
            f"of={of!r}: eval '{comparison.eval}' generates no text of several tokens with model "
            f"'{model.name}': only the time of an example is known"
        )
    seconds, units = times
    timed = len(units if latency.unit is None else np.unique(latency.unit))
    return _Times(
        model.name, seconds, units, timed, latency.independent or timed, latency.provenance
    )


def _settings(*times: _Times) -> dict[str, Any]:
    return {
        one.model: dict(one.provenance.setting) if one.provenance else "declared" for one in times
    }


def _bounds(interval: QuantileInterval, unit: Literal["", "s"] = "") -> str:
    return f"95 % interval {interval_text(interval.lower, interval.upper, unit)}"


def _as_details(interval: QuantileInterval) -> dict[str, float | None]:
    """Return an interval as JSON-able values."""
    return {name: finite(value) for name, value in asdict(interval).items()}
