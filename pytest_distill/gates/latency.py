"""Whether the student is fast for one example alone, and against the teacher."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass
from fractions import Fraction
from typing import ClassVar, Literal, get_args

import numpy as np

from pytest_distill._util.format import floor_text, interval_text, limit_text, range_text
from pytest_distill._util.numbers import Ratio, decimal, positive
from pytest_distill._util.units import Unit, quantity
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.side_by_side import Confidence
from pytest_distill.errors import ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_option
from pytest_distill.gates.deciding import Decision, observed, within
from pytest_distill.gates.subjects import EvalGate
from pytest_distill.gates.times import (
    EXAMPLES,
    Of,
    Times,
    drift_notes,
    examples_of,
    pair_times,
    seconds_text,
    serial_of,
    settings_of,
    times_of,
)
from pytest_distill.gates.verdict import Outcome, Relation, Verdict, finite
from pytest_distill.statistics.quantiles import QuantileInterval, needed_for_a_bound, unit_interval

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
        teacher, student = pair_times(comparison, self.examples)
        fixed = teacher.declared and student.declared
        ratios = teacher.seconds / student.seconds
        units = (teacher if student.declared else student).units
        interval = unit_interval(ratios, units, 0.5, confidence or 0.95)
        decision = _decided(interval, ">=", floor, None if fixed else confidence)
        counted = _counted(interval.n, len(ratios), comparison, "pairs")
        basis = "" if fixed else f"median ratio of {counted}, {_bounds(interval)}"
        serial = None if fixed else serial_of(ratios, units)
        drift = drift_notes(serial)
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
                "settings": settings_of(teacher, student),
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
        student = times_of(comparison, comparison.model("student"), self.of, self.examples)
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
            f"{name} {seconds_text(found[name].estimate)} <= {limit_text(limit, 's')}"
            + ("" if fixed else f" ({_bounds(found[name], 's')})")
            for name, limit in given.items()
        ]
        interval = found[worst]
        serial = None if fixed else serial_of(times, units)
        drift = drift_notes(serial)
        counted = _counted(interval.n, len(times), comparison, "times")
        what = {"example": "an example", "first_token": "the first token", "token": "a token"}
        return self.verdict(
            comparison,
            decision,
            decision.headline(
                limit_text(given[worst], "s"),
                f"{worst} latency of {what[self.of]}",
                text=seconds_text,
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
                "settings": settings_of(student),
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


def _too_few(
    of: str,
    order: float,
    decision: Decision,
    interval: QuantileInterval,
    comparison: Comparison,
    times: tuple[Times, ...],
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


def _bounds(interval: QuantileInterval, unit: Literal["", "s"] = "") -> str:
    return f"95 % interval {interval_text(interval.lower, interval.upper, unit)}"


def _as_details(interval: QuantileInterval) -> dict[str, float | None]:
    """Return an interval as JSON-able values."""
    return {name: finite(value) for name, value in asdict(interval).items()}
