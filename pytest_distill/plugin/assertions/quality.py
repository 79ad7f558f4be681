"""Assertions about quality: what the student kept, and whether it beats plain SFT."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pytest_distill.comparison.comparison import Confidence, Slice
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import (
    BeatsSft,
    Flips,
    NotContaminated,
    QualityRetained,
    Score,
    SlicesRetained,
    SuiteRetained,
)
from pytest_distill.gates.slices import MIN_EXAMPLES
from pytest_distill.gates.suite import Aggregate
from pytest_distill.plugin.assertions.asking import ask


def assert_quality_retained(
    min: float,
    *,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
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
    confidence : float, optional
        None: the observed ratio decides. A number such as 0.95: the one-sided bound at that
        confidence does, and the verdict may be INCONCLUSIVE. By default as the marker or
        ``distill.yaml`` says, else None.

    Raises
    ------
    AssertionError
        When the student kept less, or when that cannot be told; the message shows the numbers.
    DistillError
        When no verdict can be given; the message says what to mend.
    """
    __tracebackhide__ = True
    ask(QualityRetained(min, metric, slice, confidence), eval, student)


def assert_beats_sft(
    *,
    min_gain: float = 0.0,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
    mid_p: bool = False,
) -> None:
    """Assert that the distilled student is better than the plain-SFT student of the same size.

    Parameters
    ----------
    min_gain : float
        By more than how much, in units of the metric. Equal scores do not beat.
    metric, eval, student, slice
        As for `assert_quality_retained`.
    confidence : float, optional
        How sure the verdict must be; by default as the marker or ``distill.yaml`` says, else 0.95.
        None: the observed scores decide.
    mid_p : bool
        For 0/1 scores use the mid-p value, which is less conservative than the exact one.

    Raises
    ------
    AssertionError
        When it is not, or when that cannot be told.
    DistillError
        When no verdict can be given, for one because the two differ in size.
    """
    __tracebackhide__ = True
    ask(BeatsSft(min_gain, metric, slice, confidence, mid_p), eval, student)


def assert_score(
    min: float | None = None,
    *,
    max: float | None = None,
    metric: str | Metric | None = None,
    eval: str | None = None,
    model: str = "student",
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert an absolute bound on one model's score.

    Parameters
    ----------
    min, max : float, optional
        `min` for a metric where higher is better, `max` where lower is.
    metric, eval, student, slice, confidence
        As for `assert_quality_retained`.
    model : str
        Name or role of the model.

    Raises
    ------
    AssertionError
        When the score is beyond the bound, or when that cannot be told.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    ask(Score(min, max, metric, model, slice, confidence), eval, student)


def assert_slices_retained(
    min: float,
    *,
    by: str,
    min_examples: int = MIN_EXAMPLES,
    strict: bool = False,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert that the student kept at least `min` of the teacher's quality in every slice.

    Parameters
    ----------
    min : float
        The floor in each slice.
    by : str
        A field of the gold set; ``"length:quartiles"`` bins a field with numbers (also halves,
        thirds, quintiles, deciles).
    min_examples : int
        With ``confidence=None``, slices with fewer examples are too small to tell.
    strict : bool
        Whether slices that are too small to tell fail the gate.
    metric, eval, student
        As for `assert_quality_retained`.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else 0.95: a slice fails on evidence
        against it, adjusted for the number of slices. None: its observed ratio decides.

    Raises
    ------
    AssertionError
        With a table of the slices, when one fell short.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    gate = SlicesRetained(min, by, min_examples, strict, metric, confidence)
    ask(gate, eval, student)


def assert_suite_retained(
    min: float,
    *,
    evals: Sequence[str] | None = None,
    aggregate: Aggregate = "ratio_of_averages",
    student: str | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert how much of the teacher's quality the student kept over several evals.

    Parameters
    ----------
    min : float
        The floor of the aggregate.
    evals : sequence of str, optional
        Their names; all of ``distill.yaml`` by default. Each counts by its headline metric.
    aggregate : str
        ``ratio_of_averages``, ``average_of_ratios``, ``geometric`` or ``minimum``. All four are
        shown; this one decides.
    student : str, optional
        Name of the student.
    confidence : float, optional
        As for `assert_quality_retained`. The evals count as independent.

    Raises
    ------
    AssertionError
        When the aggregate is under the floor, or when that cannot be told.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    ask(SuiteRetained(min, aggregate, evals, confidence), None, student)


def assert_flips(
    max_lost: float | None = None,
    *,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert that few right answers of the teacher were lost, and none of ``must_keep:``.

    Parameters
    ----------
    max_lost : float, optional
        Share of the examples, in [0, 1). None: only the eval's ``must_keep:`` ids are looked at.
    metric, eval, student, slice, confidence
        As for `assert_quality_retained`. It is about the share: a ``must_keep:`` id that is wrong
        fails the gate whatever it is.

    Raises
    ------
    AssertionError
        When more was lost, or when that cannot be told; the message names the examples.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    ask(Flips(max_lost, metric, slice, confidence), eval, student)


def assert_not_contaminated(
    train: str | os.PathLike[str],
    *,
    field: str = "input",
    n: int | None = 13,
    max_overlap: float = 0.0,
    eval: str | None = None,
    student: str | None = None,
) -> None:
    """Assert that the gold set is not in the training or transfer data.

    Parameters
    ----------
    train : str or path
        The data, relative to ``distill.yaml``: .jsonl, .csv, .parquet or a datasets folder.
    field : str
        The field with the text.
    n : int, optional
        How many words in a row count as overlap; None looks for whole texts only.
    max_overlap : float
        Share of the gold examples that may overlap.
    eval, student : str, optional
        As for `assert_quality_retained`.

    Raises
    ------
    AssertionError
        With the overlapping ids, and what was retained on the clean examples.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    ask(NotContaminated(train, field, n, max_overlap), eval, student)
