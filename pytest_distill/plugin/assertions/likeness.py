"""Assertions about likeness: whether the student inherited the teacher, and its errors."""

from __future__ import annotations

from pytest_distill.comparison.comparison import Confidence, Slice
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import Acceptance, Agreement, Divergence, InheritedErrors
from pytest_distill.plugin.assertions.asking import ask


def assert_agreement(
    min: float,
    *,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert that the student's most likely label or token is the teacher's.

    Over labels or choices for classification and multiple choice. For perplexity and generation
    over the tokens of the gold text, on which both models are run beside each other.

    Parameters
    ----------
    min : float
        Share of the examples, or of the tokens, above 0 and at most 1.
    eval, student : str, optional
        Names; by default the marker's, else the only ones in ``distill.yaml``.
    slice : str or mapping, optional
        Look only at the examples where a field has a value: ``"lang=de"`` or ``{"lang": "de"}``.
    confidence : float, optional
        None: the observed share decides. A number such as 0.95: the one-sided bound at that
        confidence does, and the verdict may be INCONCLUSIVE. By default as the marker or
        ``distill.yaml`` says, else None.

    Raises
    ------
    AssertionError
        When they agree less often; the file of lost examples has those on which they part.
    DistillError
        When no verdict can be given, for one because the two have other labels or tokenizers.
    """
    __tracebackhide__ = True
    ask(Agreement(min, slice, confidence), eval, student)


def assert_divergence(
    max: float,
    *,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert that KL(teacher || student) is small: that the student misses little of the teacher.

    Parameters
    ----------
    max : float
        The mean in nats per example or per token, at least 0.
    eval, student, slice, confidence
        As for `assert_agreement`.

    Raises
    ------
    AssertionError
        When it is greater, or when that cannot be told: of a teacher of whom only the most likely
        tokens are known it lies between two bounds.
    DistillError
        When no verdict can be given.

    References
    ----------
    Kullback, S. and Leibler, R. A. (1951). On information and sufficiency. Annals of Mathematical
    Statistics 22:79-86.
    """
    __tracebackhide__ = True
    ask(Divergence(max, slice, confidence), eval, student)


def assert_acceptance(
    min: float,
    *,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert that a teacher would accept what the student drafts in speculative decoding.

    The rate is the mean of 1 - TV(teacher, student) over the tokens of the gold text, with TV the
    total variation. It is the probability that a drafted token is accepted when both models sample
    at temperature 1.

    Parameters
    ----------
    min : float
        The rate, above 0 and at most 1.
    eval, student, slice, confidence
        As for `assert_agreement`.

    Raises
    ------
    AssertionError
        When it is smaller, or when that cannot be told.
    DistillError
        When no verdict can be given.

    References
    ----------
    Leviathan, Y., Kalman, M. and Matias, Y. (2023). Fast inference from transformers via
    speculative decoding. ICML, theorem 3.5 and corollary 3.6.
    """
    __tracebackhide__ = True
    ask(Acceptance(min, slice, confidence), eval, student)


def assert_inherited_errors(
    max: float,
    *,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    slice: Slice | None = None,
    confidence: Confidence = "default",
) -> None:
    """Assert that the student seldom repeats the teacher's wrong answers.

    Looks at the examples that the teacher gets wrong, and counts those on which the student gives
    the same wrong answer. The SFT student's rate on the same examples stands beside it, with the
    test of the difference. Where the teacher gets nothing wrong the verdict is INCONCLUSIVE.

    Parameters
    ----------
    max : float
        Share of the teacher's errors, in [0, 1].
    metric : str or Metric, optional
        What says that an answer is wrong; its scores must be 0 or 1. By default the marker's, else
        the eval's first.
    eval, student, slice, confidence
        As for `assert_agreement`.

    Raises
    ------
    AssertionError
        When it repeats more, or when that cannot be told.
    DistillError
        When no verdict can be given.
    """
    __tracebackhide__ = True
    ask(InheritedErrors(max, metric, slice, confidence), eval, student)
