"""One model on one eval: predictions and scores, aligned by example id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError, ConfigError, refuse_unknown
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric

Indices = Sequence[int]


@dataclass(frozen=True)
class ReportedEval:
    """An eval of which only scores are known: no gold set, no task."""

    name: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class KnownScore:
    """A score over all examples that was computed while a gate asked: what a report may tell."""

    metric: str
    higher_is_better: bool
    score: Fraction


class Evaluation(ABC):
    """One model on one eval. Scores are exact fractions, so that no verdict depends on rounding."""

    info: ModelInfo
    eval: Eval | ReportedEval
    budgets: Mapping[int, Evaluation]

    @property
    @abstractmethod
    def n(self) -> int | None:
        """Number of examples; None where only scores are known."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The eval's metrics, and those that were asked for beside them."""
        return self.eval.metrics

    @property
    @abstractmethod
    def known_scores(self) -> Sequence[KnownScore]:
        """The scores by the eval's metrics and those that were asked for; nothing is computed."""

    def at(self, tokens: int) -> Evaluation:
        """Return the evaluation of the answers within a budget, one of the eval's `at_tokens`.

        Raises
        ------
        ConfigError
            Where the eval has no such budget.
        ComparisonError
            Where the answers within it are not known, as of a recorded model.
        """
        within_budget(self.eval, tokens)
        found = self.budgets.get(tokens)
        if found is None:
            raise ComparisonError(
                f"model '{self.info.name}' on '{self.eval.name}': was not asked here, so that its "
                f"answers at {tokens} tokens are not known: record that run as an eval of its own, "
                f"with max_new_tokens: {tokens}"
            )
        return found

    @abstractmethod
    def exact_score(self, metric: Metric, indices: Indices | None = None) -> Fraction:
        """Return the metric over all examples, or over those at `indices`."""

    def score(self, metric: str | Metric | None = None) -> float:
        """Return the score by a metric, by its name or as an object; the eval's first without one.

        Raises
        ------
        ConfigError
            Where the eval has no such metric.
        """
        if metric is None:
            metric = self.eval.metrics[0]
        elif isinstance(metric, str):
            metric = find_metric(self.eval, metric)
        return float(self.exact_score(metric))


@dataclass(frozen=True, eq=False)
class ReportedEvaluation(Evaluation):
    """Published scores of a model that does not run here.

    Parameters
    ----------
    info : ModelInfo
        The model.
    eval : Eval or ReportedEval
        What it was scored on.
    reported : mapping
        Metric name -> score, as a fraction of one where it was published in per cent.
    """

    info: ModelInfo
    eval: Eval | ReportedEval
    reported: Mapping[str, Fraction]
    budgets: Mapping[int, Evaluation] = field(default_factory=dict, init=False, repr=False)

    @property
    def n(self) -> None:
        """Not known."""
        return

    @property
    def known_scores(self) -> Sequence[KnownScore]:
        """The published scores by the eval's metrics."""
        return [
            KnownScore(metric.name, metric.higher_is_better, self.reported[metric.name])
            for metric in self.eval.metrics
            if metric.name in self.reported
        ]

    def exact_score(self, metric: Metric, indices: Indices | None = None) -> Fraction:
        """Return the published score; there are no examples to choose from."""
        if indices is not None:
            raise ComparisonError(
                f"model '{self.info.name}' has only reported scores on '{self.eval.name}', "
                "so no slice of them can be taken"
            )
        if metric.name not in self.reported:
            raise ComparisonError(
                f"model '{self.info.name}' reports no '{metric.name}' on '{self.eval.name}'; "
                f"it reports {', '.join(self.reported)}"
            )
        return self.reported[metric.name]


def within_budget(on: Eval | ReportedEval, tokens: object) -> Eval:
    """Return an eval with answers within one of its budgets.

    Raises
    ------
    ConfigError
        Where it has no such budget.
    """
    if isinstance(on, Eval) and type(tokens) is int and tokens in on.budgets:
        return on.budgets[tokens]
    if not isinstance(on, Eval) or on.task.longest is None:
        why = "no text is generated there"
    elif on.budgets:
        why = f"at_tokens: lists {', '.join(map(str, on.budgets))}"
    else:
        why = f"list it in distill.yaml, as evals.{on.name}.at_tokens"
    raise ConfigError(f"at_tokens={tokens!r:.40}: eval '{on.name}' has no such budget; {why}")


def find_metric(on: Eval | ReportedEval, name: str) -> Metric:
    """Return a metric by its name: one listed for the eval, or one that suits its task."""
    suited = on.task.suited if isinstance(on, Eval) else ()
    metric = choose_metric(on.name, name, on.metrics, suited)
    misfit = on.task.misfit(metric) if isinstance(on, Eval) else None
    if misfit is not None:
        raise ConfigError(f"eval '{on.name}': {misfit}")
    return metric


def choose_metric(
    eval: str, name: str, listed: Sequence[Metric], suited: Sequence[Metric]
) -> Metric:
    """Return the metric of a name among those listed for an eval and those that suit its task."""
    known = {metric.name: metric for metric in (*suited, *listed)}
    refuse_unknown(name, known, f"eval '{eval}' has no metric '{name}'")
    return known[name]
