"""How often a gold set was looked at: which students were judged on it, in this run and before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import file_digest
from pytest_distill.errors import ModelError, printable
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEvaluation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.store.keeping import Keeper, run_key

_DIGEST = re.compile("[0-9a-f]{16,128}")
"""What an engine of the user's calls its model's digest need not be one."""


class Looks:
    """The looks of one project at its gold sets.

    Parameters
    ----------
    keeper : Keeper, optional
        Knows those of earlier runs.
    accepted : Accepted, optional
        Knows those of the runs before the accepted one, wherever these were.
    """

    def __init__(self, keeper: Keeper | None, accepted: Accepted | None = None) -> None:
        self._keeper = keeper
        self._accepted = accepted or Accepted()
        self._own: dict[Eval, set[str]] = {}
        self._seen: set[tuple[Eval, Model]] = set()

    def add(self, model: str, comparisons: Sequence[Comparison]) -> None:
        """Remember a verdict on the answers of a model, where that is a student.

        A part of a gold set is not the gold set: what ``--distill-limit`` cuts down is not looked
        at.

        Parameters
        ----------
        model : str
            Name of the model.
        comparisons : sequence of Comparison
            What was judged.
        """
        for comparison in comparisons:
            on, judged = comparison.whole, comparison.models.get(model)
            if judged is None or judged.role != "student":
                continue
            if isinstance(on, Eval) and not on.gold.left_out:
                self._add(on, judged)

    def known(self) -> dict[str, frozenset[str]]:
        """Return the students known to be judged on the gold set of each eval that was asked about.

        By their digests; those that have none are not among them. Nothing is read here.
        """
        kept = self._keeper.looks if self._keeper is not None else lambda _gold: frozenset()
        return {on.name: kept(on.gold_digest) | own for on, own in self._own.items()}

    def _add(self, on: Eval, student: Model) -> None:
        evaluation = next((e for e in student.evaluations if e.eval is on), None)
        by_token = any(on in key for key in student.likenesses)
        if (evaluation is None and not by_token) or (on, student) in self._seen:
            return
        self._seen.add((on, student))
        digest = checkpoint_digest(student, evaluation)
        new = set() if digest is None else {digest}
        new.update(self._accepted.looks.get(on.gold_digest, ()))
        self._own.setdefault(on, set()).update(new)
        if self._keeper is not None:
            self._keeper.add_looks(on.gold_digest, new, printable(on.name))


def checkpoint_digest(model: Model, evaluation: Evaluation | None) -> str | None:
    """Return what tells a model from others that are judged; None where nothing does.

    The digest of its bytes; of recorded predictions that of their file; of reported scores theirs.
    Not the versions of libraries: a checkpoint that is run by another one is not another student.
    """
    identity = model.identity or {}
    digest = identity.get("model", model.known.digest)
    if digest is not None:
        is_one = isinstance(digest, str) and _DIGEST.fullmatch(digest)
        return str(digest) if is_one else canonical_sha256(digest).hexdigest()
    if identity:
        return run_key(identity)
    if isinstance(evaluation, ReportedEvaluation):
        scores = {name: str(score) for name, score in evaluation.reported.items()}
        return canonical_sha256(scores).hexdigest()
    if isinstance(evaluation, MeasuredEvaluation) and evaluation.file is not None:
        with suppress(OSError, ModelError):  # it is gone, or being written
            return file_digest(evaluation.file)
    return None
