"""The assertions: ask a gate, record its verdict on the running test, raise if it did not pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Concatenate, ParamSpec

from pytest_distill.errors import printable
from pytest_distill.evals.metrics import Metric
from pytest_distill.report.lost import write_lost
from pytest_distill.session import running_test
from pytest_distill.verdicts.comparison import Comparison, Slice
from pytest_distill.verdicts.gates import BeatsSft, Gate, QualityRetained, Score

P = ParamSpec("P")

_subject: ContextVar[Comparison | None] = ContextVar("_subject", default=None)
"""The comparison whose method was called; None where a function of the DSL was."""


def assert_quality_retained(
    min: float,
    *,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
) -> None:
    """Assert that the student kept at least `min` of the teacher's quality.

    Parameters
    ----------
    min : float
        The floor for student score / teacher score (teacher / student where lower is better), any
        number above 0. Compared exactly, unrounded.
    metric : str or Metric, optional
        The metric; by default the marker's, else the eval's first.
    eval, student : str, optional
        Names; by default the marker's, else the only ones in ``distill.yaml``.
    slice : str or mapping, optional
        Look only at the examples where a field has a value: ``"lang=de"`` or ``{"lang": "de"}``.

    Raises
    ------
    AssertionError
        When the student kept less; the message shows the numbers.
    DistillError
        When no verdict can be given; the message says what to mend.
    """
    __tracebackhide__ = True
    _ask(QualityRetained(min, metric, slice), eval, student)


def assert_beats_sft(
    *,
    min_gain: float = 0.0,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
) -> None:
    """Assert that the distilled student scores above the plain-SFT student of the same size.

    Parameters
    ----------
    min_gain : float
        By more than how much, in units of the metric. Equal scores do not beat.
    metric : str or Metric, optional
        The metric; by default the marker's, else the eval's first.
    eval, student : str, optional
        Names; by default the marker's, else the only ones in ``distill.yaml``.

    Raises
    ------
    AssertionError
        When it does not.
    DistillError
        When no verdict can be given, for one because the two differ in size.
    """
    __tracebackhide__ = True
    _ask(BeatsSft(min_gain, metric), eval, student)


def assert_score(
    min: float | None = None,
    *,
    max: float | None = None,
    metric: str | Metric | None = None,
    eval: str | None = None,
    model: str = "student",
) -> None:
    """Assert an absolute bound on one model's score.

    Parameters
    ----------
    min, max : float, optional
        `min` for a metric where higher is better, `max` where lower is.
    metric : str or Metric, optional
        The metric; by default the marker's, else the eval's first.
    eval : str, optional
        Name of the eval; by default the marker's, else the only one.
    model : str
        Name or role of the model.

    Raises
    ------
    AssertionError
        When the score is beyond the bound.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    _ask(Score(min, max, metric, model), eval, None)


def _ask(gate: Gate, eval: str | None, student: str | None) -> None:
    __tracebackhide__ = True
    session, item = running_test(f"assert_{gate.name}")
    comparison = _subject.get()
    if comparison is None or eval is not None or student is not None:
        comparison = session.comparison(item, eval, student)
    verdict = session.record(item, gate.judge(comparison))
    if not verdict.stands:
        name = "-".join([verdict.eval, verdict.model, verdict.metric, gate.name])
        lost = write_lost(gate.lost(comparison), session.project(item).config.folder, name)
        where = [f"  lost examples: {_from_here(lost)}"] if lost else []
        raise AssertionError(printable("\n".join([verdict.message, *where])))


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _on_this(function: Callable[P, None]) -> Callable[Concatenate[Comparison, P], None]:
    """Return a function of the DSL as a method, which judges the comparison that it belongs to."""

    @functools.wraps(function)
    def method(self: Comparison, /, *args: P.args, **kwargs: P.kwargs) -> None:
        __tracebackhide__ = True
        token = _subject.set(self)
        try:
            function(*args, **kwargs)
        finally:
            _subject.reset(token)

    return method


class GateComparison(Comparison):
    """A comparison whose assertions record their verdicts on the running test."""

    assert_quality_retained = _on_this(assert_quality_retained)
    assert_beats_sft = _on_this(assert_beats_sft)
    assert_score = _on_this(assert_score)
