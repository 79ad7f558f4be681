"""The models of one eval beside each other: named by role, evaluated when first asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import checked_confidence
from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.chance import refuse_below_chance
from pytest_distill.comparison.sameness import (
    refuse_other_prompts,
    refuse_same_identity,
    refuse_same_model,
    refuse_unlike,
)
from pytest_distill.engines import Role
from pytest_distill.errors import ComparisonError, ConfigError, did_you_mean, some_of
from pytest_distill.evals.built_in import check_own_metric
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.evaluation.evaluation import (
    Evaluation,
    Indices,
    ReportedEval,
    find_metric,
    within_budget,
)
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model

Slice = str | Mapping[str, object]

Selection = Slice | Sequence[int] | None
"""Which examples are looked at: a slice, positions in the gold set, or None for all."""

Confidence = float | Literal["default"] | None
"""The confidence level of a verdict; None lets the observed numbers decide; "default" is what
the marker or ``distill.yaml`` says, else what the gate's documentation does."""


class SideBySide:
    """The models of one eval. Each is evaluated when a number of it is first asked for.

    Parameters
    ----------
    on : Eval or ReportedEval
        The eval.
    models : mapping
        Name -> model, for every model that may be asked for.
    student : str, optional
        Name of the student that is compared with the teacher; None where there is none.
    metric : str or Metric, optional
        The metric that is compared where none is named; the eval's headline metric by default.
    sft_size_tolerance : float
        By which share the parameters of SFT student and student may differ.
    confidence : float, optional
        Confidence level of a verdict whose gate does not say.
    folder : Path
        Where relative paths start.
    accepted : Accepted, optional
        The accepted run that this one may be held against; none by default.
    at_tokens : int, optional
        The budget of tokens within which the answers are compared; see `at`.
    """

    def __init__(
        self,
        on: Eval | ReportedEval,
        models: Mapping[str, Model],
        student: str | None,
        metric: str | Metric | None = None,
        sft_size_tolerance: float = 0.05,
        confidence: Confidence = "default",
        folder: Path = Path(),
        accepted: Accepted | None = None,
        at_tokens: int | None = None,
    ) -> None:
        self._whole = on
        self.at_tokens = at_tokens
        self.on = on if at_tokens is None else within_budget(on, at_tokens)
        self.folder = folder
        self.accepted = accepted or Accepted()
        self.models = models
        self.sft_size_tolerance = sft_size_tolerance
        self.confidence = confidence
        self.chosen = student
        self._metric = metric

    @property
    def eval(self) -> str:
        """Name of the eval."""
        return self.on.name

    @property
    def whole(self) -> Eval | ReportedEval:
        """The eval without a budget of tokens, of which models have an evaluation."""
        return self.on if self.at_tokens is None else self._whole

    @property
    def budget(self) -> str:
        """What stands behind a name of what is compared, e.g. `` at 512 tokens``, or nothing."""
        return "" if self.at_tokens is None else f" {budget_text(self.at_tokens)}"

    def at(self, tokens: int) -> Self:
        """Return the same comparison of the answers within a budget, one of the eval's `at_tokens`.

        Raises
        ------
        ConfigError
            Where the eval has no such budget.
        """
        found = copy(self)
        found._whole, found.at_tokens = self.whole, tokens
        found.on = within_budget(self.whole, tokens)
        return found

    @property
    def teacher(self) -> Model:
        """The teacher; ConfigError where there is none."""
        return self.model("teacher")

    @property
    def student(self) -> Model:
        """The student; ConfigError where there is none, or several and none was named."""
        return self.model("student")

    @property
    def sft(self) -> Model:
        """The student of plain supervised fine-tuning (SFT); ConfigError where there is none."""
        return self.model("sft")

    def model(self, name: str) -> Model:
        """Return the model with that name or role; ConfigError where there is none."""
        return find_model(self.models, name, self.chosen)

    def has(self, role: str) -> bool:
        """Return whether there is a model of that role."""
        return any(model.role == role for model in self.models.values())

    def metric(self, metric: str | Metric | None = None) -> Metric:
        """Return a metric of the eval by its name; the one that is looked at without one."""
        metric = self._metric if metric is None else metric
        if metric is None:
            return self.on.metrics[0]
        if not isinstance(metric, str):
            if any(metric is listed for listed in self.on.metrics):  # e.g. declared
                return metric
            return check_own_metric(metric, "metric=")
        return find_metric(self.on, metric)

    def indices(self, selection: Selection) -> Indices | None:
        """Return the positions of the chosen examples; None for all."""
        if selection is None:
            return None
        if not isinstance(self.on, Eval):
            raise ComparisonError(f"eval '{self.eval}' has only reported scores, and so no slices")
        if isinstance(selection, str) or (isinstance(selection, Mapping) and selection):
            return self.on.select(selection)
        if isinstance(selection, Sequence) and not isinstance(selection, str):
            return selection
        raise ConfigError(
            f"slice={selection!r}: write a field and its value, 'lang=de' or {{'lang': 'de'}}"
        )

    def positions(self, selection: Selection) -> NDArray[np.intp]:
        """Return the positions of the chosen examples, all of them for None."""
        indices = self.indices(selection)
        if indices is None:
            return np.arange(self.n() or 0)
        return np.asarray(indices, np.intp)

    def evaluation(self, model: str) -> Evaluation:
        """Return the evaluation of the model with that name or role, checked against the others.

        Raises
        ------
        ComparisonError
            Where it is of another gold set, prompt or decoding than the eval's, or a teacher's
            answers are shown to be worse than chance.
        """
        of = self.model(model)
        evaluation = self.within(of.evaluate(self.whole))
        if isinstance(evaluation, MeasuredEvaluation) and isinstance(self.on, Eval):
            refuse_unlike(evaluation, self.on)
        if of.role == "teacher":
            refuse_below_chance(evaluation)
        return evaluation

    def within(self, evaluation: Evaluation) -> Evaluation:
        """Return an evaluation of the eval, or what it is within the budget of this comparison."""
        return evaluation if self.at_tokens is None else evaluation.at(self.at_tokens)

    def pair(self, one: str, other: str) -> tuple[Evaluation, Evaluation]:
        """Return two evaluations to compare; ComparisonError where both are of one model."""
        evaluations = self.evaluation(one), self.evaluation(other)
        refuse_same_model(*evaluations)
        refuse_other_prompts(*evaluations)
        refuse_same_identity(self.model(one), self.model(other))
        return evaluations

    def measured_pair(
        self, one: str, other: str, what: str = "answers"
    ) -> tuple[MeasuredEvaluation, MeasuredEvaluation]:
        """Return `pair`, with each example's scores; ComparisonError where these are unknown."""
        first, second = self.pair(one, other)
        if isinstance(first, MeasuredEvaluation) and isinstance(second, MeasuredEvaluation):
            return first, second
        raise ComparisonError(f"eval '{self.eval}' has reported scores: no {what} are known")

    def n(self, slice: Selection = None) -> int | None:
        """Return the number of examples; None where only scores are known."""
        indices = self.indices(slice)
        if indices is not None:
            return len(indices)
        return len(self.on.gold) if isinstance(self.on, Eval) else None

    def confidence_level(self, asked: Confidence, default: float | None) -> float | None:
        """Return the confidence level of a verdict; None where the observed numbers decide.

        As asked, else as the comparison says, else `default`.

        Raises
        ------
        ConfigError
            Where it is no level that a verdict can rest on.
        """
        given = self.confidence if asked == "default" else asked
        return checked_confidence(default if given == "default" else given)

    def measured(self) -> bool:
        """Return whether there are examples to look at, or scores alone."""
        return all(
            isinstance(self.evaluation(m), MeasuredEvaluation) for m in ("teacher", "student")
        )


def find_model(models: Mapping[str, Model], name: str, student: str | None) -> Model:
    """Return a model by its name or role.

    Parameters
    ----------
    models : mapping
        Name -> model.
    name : str
        A model's name, or a role.
    student : str, optional
        The name of the student that the role `student` means, where there are several.

    Raises
    ------
    ConfigError
        Where there is none, or several and none was chosen.
    """
    if name == "student" and student is not None:
        return models[student]
    is_role = name in get_args(Role)
    found = [m for n, m in models.items() if (m.role == name if is_role else n == name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"distill.yaml has several students ({some_of([m.name for m in found])}): name one, "
            f"e.g. @pytest.mark.distill(student='{found[0].name}')"
        )
    if name in get_args(Role):
        raise ConfigError(f"a model with the role '{name}' is needed, and distill.yaml has none")
    known = {*models, *(m.role for m in models.values())}
    raise ConfigError(f"distill.yaml has no model '{name}'; {did_you_mean(name, known)}")
