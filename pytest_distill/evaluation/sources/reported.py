"""Published scores of models that do not run here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval, ReportedEvaluation
from pytest_distill.evaluation.sources.source import Source, SourceOptions

ScoreTable = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Model -> eval -> metric -> score, as in ``distill.yaml``."""


class ReportedOptions(SourceOptions):
    """The scores: eval -> metric -> score."""

    answers = False
    scores: dict[str, dict[str, float]]
    """Eval → metric → score."""

    @property
    def by_eval(self) -> tuple[str, Mapping[str, Any]]:
        """The scores by eval."""
        return "scores", self.scores

    def metrics_of(self, on: str) -> Iterable[str]:
        """Return the metrics of an eval that it has a score of."""
        return self.scores.get(on, ())


class ReportedModel(Source):
    """A model of which only scores are known.

    Parameters
    ----------
    info : ModelInfo
        What is declared of the model.
    table : mapping
        The reported scores of all models: whether a score is in per cent shows beside the others.
    """

    Options = ReportedOptions

    def __init__(self, info: ModelInfo, table: ScoreTable) -> None:
        super().__init__(info)
        self._table = table

    @classmethod
    def declared_as(
        cls,
        info: ModelInfo,
        options: Mapping[str, Any],
        file: Path,  # noqa: ARG003 (only files of predictions are looked for)
    ) -> ReportedModel:
        """Return the model of an entry; see `Source`."""
        return cls(info, {name: of.scores for name, of in options.items()})

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        known = self._table[self.name].get(on.name)
        if not known:
            raise ConfigError(
                f"distill.yaml: models.{self.name}.scores: model '{self.name}' reports no score "
                f"on eval '{on.name}'"
            )
        metrics = {metric.name: metric for metric in on.metrics}
        scores = {
            name: fraction_of_one(self.name, on.name, metrics[name], self._table)
            for name in known
            if name in metrics
        }
        return ReportedEvaluation(self._info, on, scores)


def fraction_of_one(model: str, eval: str, metric: Metric, table: ScoreTable) -> Fraction:
    """Return a reported score exactly, divided by 100 where the table gives it in per cent.

    A metric that cannot exceed 1 is in per cent where any model's score does.

    Raises
    ------
    ConfigError
        Where a score is not finite or out of range, or some models' scores look like fractions
        and others' like percentages.
    """
    where = f"distill.yaml: models.{model}.scores.{eval}.{metric.name}"
    scores = {
        name: of[eval][metric.name] for name, of in table.items() if metric.name in of.get(eval, {})
    }
    for name, score in scores.items():
        if not math.isfinite(score):
            place = f"distill.yaml: models.{name}.scores.{eval}.{metric.name}"
            raise ConfigError(f"{place}: is {score}, not a finite number")
    value = scores[model]
    percent = _in_percent([*scores.values()], metric, where)
    exact = Fraction(str(value)) / (100 if percent else 1)
    low, high = metric.range
    if not low <= exact <= high:
        raise ConfigError(f"{where}: {value:g} is not in the range of {metric.name}")
    return exact


def _in_percent(scores: Sequence[float], metric: Metric, where: str) -> bool:
    if metric.range[1] != 1:
        return False
    over = [s for s in scores if abs(s) > 1]
    small = [s for s in scores if 0 < abs(s) <= 1]
    if over and small:
        raise ConfigError(
            f"{where}: {small[0]:g} beside {over[0]:g}: one looks like a fraction and one like "
            "per cent; write the scores of all models in the same unit"
        )
    return bool(over)
