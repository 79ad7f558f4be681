"""The assertion about a pair of models: the student where it is sure, the teacher for the rest."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from pytest_distill.assertions.asking import ask
from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import Metric
from pytest_distill.files import make_folder
from pytest_distill.report.threshold import write_threshold
from pytest_distill.verdicts.comparison import Comparison, Confidence
from pytest_distill.verdicts.gates import Routable
from pytest_distill.verdicts.verdict import Verdict


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
    if save is not None and not isinstance(save, str | os.PathLike):
        raise ConfigError(f"save={save!r}: must be the path of a file")
    path = None if save is None else str(Path(save))
    gate = Routable(min_handled, retained, by, metric, confidence, path)
    ask(gate, eval, student, lambda *told: _keep_threshold(gate.save, *told))


def _keep_threshold(
    save: str | None, verdict: Verdict, comparison: Comparison, project: Path
) -> Verdict:
    """Write the threshold of a verdict into a file; return the verdict with the file's name."""
    shown = save or f".distill/{_file_name('routing', verdict.eval, verdict.model)}"
    infos = {role: comparison.model(role).info for role in ("student", "teacher")}
    models = {role: {"name": i.name, "digest": i.digest} for role, i in infos.items()}
    try:
        if save is None:
            make_folder(project / ".distill")
        write_threshold(project / shown, verdict.to_dict(), models)
    except OSError as error:
        if save is not None:
            raise ConfigError(f"save='{save}': cannot be written: {error.strerror}") from None
        # A checkout that is read-only must not hide the verdict.
        return _with_line(verdict, f"the threshold is in no file: {error.strerror}", None)
    return _with_line(verdict, f"threshold file: {shown}", shown)


def _with_line(verdict: Verdict, line: str, file: str | None) -> Verdict:
    return replace(
        verdict,
        message=f"{verdict.message}\n  {line}",
        basis=f"{verdict.basis}; {line}",
        details={**verdict.details, "file": file},
    )


def _file_name(*parts: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9.=-]+', '-', '-'.join(parts))}.json"
