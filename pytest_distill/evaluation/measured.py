"""The evaluation of a model whose answers, or ready scores, are known example by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pytest_distill._util.gc import collector_paused
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import DistillError, EvaluationError
from pytest_distill.evals.built_in import BUILT_IN, undeclared
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Answer, MeanMetric, Metric, ScoredElsewhere
from pytest_distill.evals.metrics.own import identity_of
from pytest_distill.evals.metrics.samples import OfSamples
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.evaluation import Evaluation, Indices, KnownScore
from pytest_distill.evaluation.metric_values import MetricValues, exact_mean, means, read_only
from pytest_distill.statistics.results import Floats


@dataclass(frozen=True, eq=False)
class MeasuredEvaluation(Evaluation):
    """An evaluation that has an answer, or a ready score, for every example.

    Parameters
    ----------
    info : ModelInfo
        The model.
    eval : Eval
        What it was asked.
    predictions : tuple of Prediction
        One an example, in the order of the gold set; empty where only scores were recorded. Of
        several samples the first.
    recorded_scores : mapping
        Scores made elsewhere: metric name -> shape (n,), or (n, repeats).
    source : str
        Where the predictions come from, for messages.
    file : Path, optional
        The file that they were recorded in.
    format : str, optional
        What reads it, where another tool wrote it.
    called : str, optional
        What that tool calls the model.
    prompts : mapping
        Id -> a digest of what the model was asked, where it is known; see `PROMPT`.
    from_store : int
        How many of the predictions were not made in this run.
    samples : tuple of tuple of Prediction
        All samples of each example, where the eval has repeats; else empty.
    budgets : mapping
        Budget of tokens -> the evaluation of the answers within it.
    elsewhere : bool
        Whether the model runs elsewhere, so that nobody here knows its bytes.
    again : tuple of MeasuredEvaluation, optional
        Of some of the examples these answers, and those of the model when it was asked again.
    """

    info: ModelInfo
    eval: Eval
    predictions: tuple[Prediction, ...]
    recorded_scores: Mapping[str, Floats] = field(default_factory=dict)
    source: str = ""
    file: Path | None = None
    format: str | None = None
    called: str | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    from_store: int = 0
    samples: tuple[tuple[Prediction, ...], ...] = ()
    budgets: Mapping[int, MeasuredEvaluation] = field(default_factory=dict)
    elsewhere: bool = False
    again: tuple[MeasuredEvaluation, MeasuredEvaluation] | None = None
    _asked: dict[int, Metric] = field(default_factory=dict, init=False, repr=False)
    """The metrics that were asked for, by the number that what they gave is kept under below."""
    _known_scores: dict[int, KnownScore | None] = field(
        default_factory=dict, init=False, repr=False
    )
    _scores: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)
    _exact: dict[int, list[Fraction]] = field(default_factory=dict, init=False, repr=False)
    _of_samples: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)
    _statistics: dict[int, Floats] = field(default_factory=dict, init=False, repr=False)
    _beside: dict[tuple[int, ...], tuple[object, list[Floats]]] = field(
        default_factory=dict, init=False, repr=False
    )

    @classmethod
    def of(
        cls, info: ModelInfo, on: Eval, predictions: Sequence[Prediction], **about: Any
    ) -> MeasuredEvaluation:
        """Return an evaluation of one prediction a request, in the order of `Eval.all_requests`.

        Those within budgets may be left out.
        """
        repeats = on.task.repeats
        own = len(on.gold) * repeats
        if len(predictions) > own:
            alone = {name: told for name, told in about.items() if name != "from_store"}
            parts = [predictions[i : i + own] for i in range(own, len(predictions), own)]
            about["budgets"] = {
                tokens: cls.of(info, within, part, **alone)
                for (tokens, within), part in zip(on.budgets.items(), parts, strict=True)
            }
            predictions = predictions[:own]
        by_example = (predictions[i : i + repeats] for i in range(0, own, repeats))
        samples = tuple(
            tuple(p if p.id == example.id else replace(p, id=example.id) for p in said)
            for said, example in zip(by_example, on.gold, strict=True)
        )
        if repeats > 1:
            about["samples"] = samples
        return cls(info, on, tuple(first for first, *_ in samples), **about)

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.eval.gold)

    @property
    def by_example(self) -> Sequence[Sequence[Prediction]]:
        """Of each example its samples, or the one prediction that there is."""
        return self.samples or [(prediction,) for prediction in self.predictions]

    @property
    def asked(self) -> int:
        """Number of predictions: of each example one a repeat, and the same within each budget."""
        return self._values.asked * (1 + len(self.budgets))

    @cached_property
    def _values(self) -> MetricValues:
        return MetricValues(self.eval, self.source)

    def _key(self, metric: Metric) -> int:
        """Return the number of a metric, which is held: so that it stands for no other one."""
        key = identity_of(metric)
        self._asked.setdefault(key, metric)
        return key

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The eval's metrics, and those that were asked for beside them."""
        asked = [self._asked[key] for key in (*self._scores, *self._statistics)]
        return tuple({identity_of(m): m for m in (*self.eval.metrics, *asked)}.values())

    @property
    def known_scores(self) -> Sequence[KnownScore]:
        """The scores by the eval's metrics and those that were asked for; nothing is computed."""
        return [told for told in self._known_scores.values() if told is not None]

    def score_for_report(self, metrics: Sequence[Metric]) -> None:
        """Compute the scores by these metrics for the report, which runs no code of the user's.

        One that is refused is left out: a gate that asks for it says why.
        """
        for metric in metrics:
            key = self._key(metric)
            if key not in self._known_scores:
                self._known_scores[key] = None  # what is computed below comes here again
                with suppress(DistillError):
                    if BUILT_IN.get(metric.name) is not metric and metric is self.eval.metrics[0]:
                        self.scores(metric)  # of each example, which nobody asks for afterwards
                    score = self.exact_score(metric)
                    self._known_scores[key] = KnownScore(
                        metric.name, metric.higher_is_better, score
                    )

    @cached_property
    def answers(self) -> tuple[Answer[Any], ...]:
        """The predictions in the gold set's words, in the order of the gold set.

        Where there are repeats each is the first sample, and has all of them.
        """
        if not self.predictions:
            raise EvaluationError(
                f"{self.source}: has ready scores for "
                f"{', '.join(self.recorded_scores)} and no predictions"
            )
        try:
            with collector_paused():
                task, gold = self.eval.task, self.eval.gold
                if self.samples:
                    return task.sampled_answers(gold, self.samples)
                return task.answers(gold, self.predictions)
        except EvaluationError as error:
            raise EvaluationError(f"{self.source}: {error}") from None

    @cached_property
    def single_answers(self) -> Sequence[Answer[Any]]:
        """What a metric is asked about: each sample alone, after the others of its example."""
        if not self.samples:
            return self.answers
        return [sample for answer in self.answers for sample in answer.samples]

    def scores(self, metric: Metric) -> Floats:
        """Return each example's own score, shape (n,), finite and in the metric's range.

        Of several samples the mean: they are no independent examples.

        Raises
        ------
        EvaluationError
            Naming the source and the example, where a score is not.
        """
        key = self._key(metric)
        if key not in self._scores:
            recorded = self._recorded(metric)
            if recorded is None and isinstance(metric, OfSamples):
                right = self._values.right_or_wrong(self.sample_scores(metric.of), metric)
                self._exact[key] = metric.exact_scores(right, lambda: self.answers)
                scores = read_only(np.array([float(share) for share in self._exact[key]]))
            else:
                rows = self.sample_scores(metric)
                scores = rows[:, 0] if rows.shape[1] == 1 else read_only(means(rows))
            self._scores[key] = scores
            self.score_for_report([metric])
        return self._scores[key]

    def has_scores(self, metric: Metric) -> bool:
        """Return whether `scores` runs no code of the user's."""
        return identity_of(metric) in self._scores or BUILT_IN.get(metric.name) is metric

    def sample_scores(self, metric: Metric) -> Floats:
        """Return the score of every sample, shape (n, repeats); one column without repeats.

        Raises
        ------
        EvaluationError
            Naming the source and the example, where a score is not finite or out of range.
        """
        key = self._key(metric)
        if key not in self._of_samples:
            recorded = self._recorded(metric)
            if recorded is None:
                scores = self._values.scores(self.single_answers, metric)
            else:
                scores = self._values.checked(recorded.ravel(), metric)
            self._of_samples[key] = scores.reshape(self.n, -1)
        return self._of_samples[key]

    def exact_score(self, metric: Metric, indices: Indices | None = None) -> Fraction:
        """Return the metric over all examples, or over those at `indices`.

        Raises
        ------
        EvaluationError
            Where it is not finite or out of the metric's range.
        """
        told = self._known_scores.get(identity_of(metric)) if indices is None else None
        if told is not None:
            return told.score
        every = slice(None) if indices is None else list(indices)
        if not isinstance(metric, MeanMetric):
            return self._values.exact_score(self.statistics(metric)[every].sum(axis=0), metric)
        self.scores(metric)
        exact = self._exact.get(identity_of(metric))
        if exact is None:  # each example has as many samples: this is the mean of the means
            return exact_mean(self.sample_scores(metric)[every].ravel())
        chosen = [exact[place] for place in np.arange(self.n)[every]]  # 2/3 is no float
        return sum(chosen, Fraction(0)) / len(chosen)

    def statistics(self, metric: Metric) -> Floats:
        """Return the metric's sufficient statistics, shape (n, k); of several samples the sum."""
        key = self._key(metric)
        self._recorded(metric)
        if key not in self._statistics:
            self._statistics[key] = self._values.statistics(self.single_answers, metric)
            self.score_for_report([metric])
        return self._statistics[key]

    def statistics_beside(self, metric: Metric, *others: MeasuredEvaluation) -> list[Floats]:
        """Return the statistics of this and other models, each of shape (n, k), of one call.

        The columns of two calls need not be the same, so that one call is made for all of them.
        """
        models = (self, *others)
        if metric.same_columns:
            return [model.statistics(metric) for model in models]
        key = (self._key(metric), *map(id, others))
        if key not in self._beside:
            for model in models:
                model._recorded(metric)
            answers = [answer for model in models for answer in model.single_answers]
            rows = self._values.statistics(answers, metric)
            self._beside[key] = others, np.split(rows, len(models))
        return self._beside[key][1]

    def _recorded(self, metric: Metric) -> Floats | None:
        """Return ready scores of a declared metric; EvaluationError where they are of another."""
        recorded = self.recorded_scores.get(metric.name)
        if recorded is not None and not isinstance(metric, ScoredElsewhere):
            raise EvaluationError(f"{self.source}: {undeclared(metric, self.eval.name)}")
        return recorded
