"""The assertion about a pair of models: the student where it is sure, the teacher for the rest."""

from __future__ import annotations

import os

from pytest_distill.comparison.comparison import Confidence
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import Routable
from pytest_distill.plugin.assertions.asking import ask


def assert_routable(
    min_handled: float,
    retained: float,
    *,
    by: str | None = None,
    metric: str | Metric | None = None,
    eval: str | None = None,
    student: str | None = None,
    confidence: Confidence = "default",
    save: str | os.PathLike[str] | None = None,
) -> None:
    """Assert that the student can answer most requests itself, the teacher only the hard ones.

    The student answers where its confidence is at least a threshold, else the teacher does. The
    threshold is the lowest for which this pair is shown to keep `retained` of the teacher's
    quality, by fixed sequence testing. It is written to a file, whatever the verdict is.

    Parameters
    ----------
    min_handled : float
        Which share of the examples the student must answer, in (0, 1].
    retained : float
        Which share of the teacher's quality the pair must be shown to keep, any number above 0.
    by : str, optional
        What the student's confidence is; higher is surer. ``max_probability``: of the most probable
        label or choice (the default for classification and multiple choice); ``margin``: how far
        the second most probable one is below it; ``mean_log_probability``: of the tokens of a
        generated text (the default for generation); ``field:NAME``: a field with numbers in the
        student's file of recorded predictions.
    metric, eval, student
        As for `assert_quality_retained`.
    confidence : float, optional
        How sure it must be that the pair keeps `retained`; by default as the marker or
        ``distill.yaml`` says, else 0.95. Not None: a threshold needs evidence.
    save : str or path, optional
        Where the threshold is written, relative to ``distill.yaml``; by default
        ``.distill/routing-EVAL-STUDENT.json``.

    Raises
    ------
    AssertionError
        When the student answers less, or when too few examples show that it could answer more; the
        message has the deferral curve.
    DistillError
        When no verdict can be given, or the file that `save` names cannot be written.
    """
    __tracebackhide__ = True
    ask(Routable(min_handled, retained, by, metric, confidence, save), eval, student)
