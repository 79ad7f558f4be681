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
from numpy.typing import NDArray

from pytest_distill._util.gc import collector_paused
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import DistillError, EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Answer, MeanMetric, Metric, ScoredElsewhere
from pytest_distill.evals.metrics.base import as_number
from pytest_distill.evals.metrics.own import identity_of
from pytest_distill.evals.metrics.samples import OfSamples
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.evaluation import Evaluation, Indices, KnownScore
from pytest_distill.statistics.exact import exact_sum, meant, widened


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
    recorded_scores: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
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
    _known_scores: dict[int, KnownScore | None] = field(
        default_factory=dict, init=False, repr=False
    )
    _scores: dict[int, tuple[Metric, NDArray[np.float64]]] = field(
        default_factory=dict, init=False, repr=False
    )
    _exact: dict[int, list[Fraction]] = field(default_factory=dict, init=False, repr=False)
    _of_samples: dict[int, tuple[Metric, NDArray[np.float64]]] = field(
        default_factory=dict, init=False, repr=False
    )
    _statistics: dict[int, tuple[Metric, NDArray[Any]]] = field(
        default_factory=dict, init=False, repr=False
    )
    _beside: dict[tuple[int, ...], tuple[object, list[NDArray[Any]]]] = field(
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
        if repeats == 1:
            named = zip(predictions, on.gold, strict=True)
            own_ids = (p if p.id == e.id else replace(p, id=e.id) for p, e in named)
            return cls(info, on, tuple(own_ids), **about)
        samples = tuple(
            tuple(
                replace(sample, id=example.id)
                for sample in predictions[place * repeats : (place + 1) * repeats]
            )
            for place, example in enumerate(on.gold)
        )
        return cls(info, on, tuple(first for first, *_ in samples), samples=samples, **about)

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
        return self._texts * (1 + len(self.budgets))

    @property
    def _texts(self) -> int:
        return self.n * self.eval.task.repeats

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The eval's metrics, and those that were asked for beside them."""
        asked = [metric for metric, _ in (*self._scores.values(), *self._statistics.values())]
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
            key = identity_of(metric)
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

    def scores(self, metric: Metric) -> NDArray[np.float64]:
        """Return each example's own score, shape (n,), finite and in the metric's range.

        Of several samples the mean: they are no independent examples.

        Raises
        ------
        EvaluationError
            Naming the source and the example, where a score is not.
        """
        key = identity_of(metric)
        if key not in self._scores:
            recorded = self._recorded(metric)
            if recorded is None and isinstance(metric, OfSamples):
                right = self._right_or_wrong(metric)
                self._exact[key] = metric.exact_scores(right, lambda: self.answers)
                scores = _read_only(np.array([float(share) for share in self._exact[key]]))
            else:
                rows = self.sample_scores(metric)
                scores = rows[:, 0] if rows.shape[1] == 1 else _read_only(_means(rows))
            self._scores[key] = metric, scores
            self.score_for_report([metric])
        return self._scores[key][1]

    def has_scores(self, metric: Metric) -> bool:
        """Return whether `scores` runs no code of the user's."""
        return identity_of(metric) in self._scores or BUILT_IN.get(metric.name) is metric

    def sample_scores(self, metric: Metric) -> NDArray[np.float64]:
        """Return the score of every sample, shape (n, repeats); one column without repeats.

        Raises
        ------
        EvaluationError
            Naming the source and the example, where a score is not finite or out of range.
        """
        key = identity_of(metric)
        if key not in self._of_samples:
            recorded = self._recorded(metric)
            given = self._given(metric) if recorded is None else recorded.ravel()
            scores = self._numbers(given, metric)
            self._refuse_bad(scores, metric)
            self._of_samples[key] = metric, scores.reshape(self.n, -1)
        return self._of_samples[key][1]

    def _given(self, metric: Metric) -> Any:
        """Return what a metric gives for all answers; an error says whose answers these are."""
        answers = self.single_answers
        try:
            return metric.scores(answers)
        except EvaluationError as error:
            raise EvaluationError(f"{self.source}: {error}") from error.__cause__

    def _right_or_wrong(self, metric: OfSamples) -> NDArray[np.bool_]:
        """Return which samples are right by the metric that `metric` is of, shape (n, repeats)."""
        scores = self.sample_scores(metric.of)
        odd = ~np.isin(scores, (0.0, 1.0))
        if odd.any():
            place = int(np.flatnonzero(odd.ravel())[0])
            raise EvaluationError(
                f"{self.source}: {metric.name} counts which samples are right, and "
                f"{metric.of.name} of {self._sample_named(place)} is {scores.ravel()[place]:g}, "
                "not 0 or 1; name a metric that says right or wrong, such as exact_match"
            )
        return np.asarray(scores == 1, np.bool_)

    def _sample_named(self, place: int) -> str:
        """Return what messages call one of all samples."""
        at, number = divmod(place, self.eval.task.repeats)
        several = self.eval.task.repeats > 1
        id = self.eval.gold.examples[at].id
        return f"example '{id}'" + (f" (sample {number})" if several else "")

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
        if isinstance(metric, MeanMetric):
            return self._exact_mean(metric, every)
        totals = self.statistics(metric)[every].sum(axis=0)
        value = self._aggregated(metric, totals)
        low, high = metric.range
        if _outside(np.array(value), low, high):
            raise EvaluationError(
                f"{self.source}: {metric.name} is {value}, not a number in [{low:g}, {high:g}]"
            )
        return exact_corpus_score(metric, totals, value)

    def _exact_mean(self, metric: MeanMetric, every: slice | list[int]) -> Fraction:
        """Return the mean of the exact scores: two of three samples are 2/3, and no float."""
        self.scores(metric)
        exact = self._exact.get(identity_of(metric))
        if exact is None:  # each example has as many samples: this is the mean of the means
            return exact_mean(self.sample_scores(metric)[every].ravel())
        chosen = [exact[place] for place in np.arange(self.n)[every]]
        return sum(chosen, Fraction(0)) / len(chosen)

    def statistics(self, metric: Metric) -> NDArray[Any]:
        """Return the metric's sufficient statistics, shape (n, k); of several samples the sum."""
        key = identity_of(metric)
        self._recorded(metric)
        if key not in self._statistics:
            rows = self._numbers(metric.statistics(self.single_answers), metric)
            self._statistics[key] = metric, self._summed(rows, self.n)
            self.score_for_report([metric])
        return self._statistics[key][1]

    def statistics_beside(self, metric: Metric, *others: MeasuredEvaluation) -> list[NDArray[Any]]:
        """Return the statistics of this and other models, each of shape (n, k), of one call.

        The columns of two calls need not be the same, so that one call is made for all of them.
        """
        models = (self, *others)
        if metric.same_columns:
            return [model.statistics(metric) for model in models]
        key = (identity_of(metric), *map(id, others))
        if key not in self._beside:
            for model in models:
                model._recorded(metric)
            answers = [answer for model in models for answer in model.single_answers]
            rows = self._numbers(metric.statistics(answers), metric)
            parts = np.split(self._summed(rows, self.n * len(models)), len(models))
            self._beside[key] = (metric, others), parts
        return self._beside[key][1]

    def _summed(self, rows: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """Return the sums of the rows of each example's samples, so that counts stay whole."""
        if not self.samples:
            return rows
        return _read_only(rows.reshape(n, -1, rows.shape[1]).sum(axis=1))

    def _recorded(self, metric: Metric) -> NDArray[np.float64] | None:
        """Return ready scores of a declared metric; EvaluationError where they are of another."""
        recorded = self.recorded_scores.get(metric.name)
        if recorded is not None and not isinstance(metric, ScoredElsewhere):
            raise EvaluationError(f"{self.source}: {undeclared(metric, self.eval.name)}")
        return recorded

    def _numbers(self, given: Any, metric: Metric) -> NDArray[np.float64]:
        """Return what a metric gave, so that nothing can change it any more.

        A metric of the user's may give the same array for every model, with other numbers in it:
        what it gave is copied.

        Raises
        ------
        EvaluationError
            Where that is no number.
        """
        try:
            found = np.asarray(given)
        except ValueError:
            raise EvaluationError(
                f"{self.source}: metric '{metric.name}' gave rows of different lengths"
            ) from None
        if found.dtype.kind in "fiub":
            own = BUILT_IN.get(metric.name) is not metric
            if found.dtype.kind == "f" and found.dtype.itemsize < 8:
                return _read_only(widened(found))
            return _read_only(found.astype(np.float64, copy=own))
        examples = [example for example in self.eval.gold for _ in range(self.eval.task.repeats)]
        rows = zip(examples, given, strict=False)  # what is too short is refused by its shape
        for example, row in rows:
            cells = row if isinstance(row, np.ndarray | list | tuple) else [row]
            for cell in cells:
                as_number(cell, metric.name, example)
        return _read_only(found.astype(np.float64))

    def _aggregated(self, metric: Metric, totals: NDArray[np.float64]) -> float:
        value = np.asarray(metric.aggregate(totals))
        if value.shape != () or value.dtype.kind not in "fiub":
            raise EvaluationError(
                f"{self.source}: metric '{metric.name}' gave {value!r:.60} as the score of all "
                "examples, not a number"
            )
        return float(value)

    def _refuse_bad(self, scores: NDArray[np.float64], metric: Metric) -> None:
        low, high = metric.range
        if scores.shape != (self._texts,):
            raise EvaluationError(
                f"metric '{metric.name}' gives scores of shape {scores.shape}, not ({self._texts},)"
            )
        bad = _outside(scores, low, high)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise EvaluationError(
                f"{self.source}: {metric.name} of {self._sample_named(first)} is {scores[first]}, "
                f"not a number in [{low:g}, {high:g}]"
                + (f" ({int(bad.sum())} {self._units} like it)" if bad.sum() > 1 else "")
            )

    @property
    def _units(self) -> str:
        return "samples" if self.eval.task.repeats > 1 else "examples"


def undeclared(metric: Metric, eval: str) -> str:
    """Return what is wrong with ready scores under the name of a metric that computes its own."""
    if metric.name not in BUILT_IN and not isinstance(metric, MeanMetric):
        return (
            f"has ready scores of '{metric.name}', which computes its own and is no mean over "
            "examples, so it needs recorded predictions, not scores"
        )
    ends = ", ".join(f"{end:g}".replace("inf", ".inf") for end in metric.range)  # as yaml says it
    better = "" if metric.higher_is_better else "higher_is_better: false, "
    kind = "a built-in metric" if metric.name in BUILT_IN else "a metric that computes its own"
    return (
        f"has ready scores of '{metric.name}', which is {kind}: what was scored "
        f"elsewhere is declared in distill.yaml, in evals.{eval}.metrics: "
        f"'- {{name: {metric.name}, {better}range: [{ends}]}}'; else record predictions alone"
    )


def _means(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the float next to the mean of the exact numbers of each row."""
    if (rows == np.floor(rows)).all():
        return np.asarray(rows.sum(axis=1) / rows.shape[1])
    return np.array([float(exact_mean(row)) for row in rows])


def exact_mean(scores: NDArray[np.float64]) -> Fraction:
    """Return the mean of the numbers that the scores stand for, as an exact fraction."""
    if not len(scores):
        raise EvaluationError("no example to take a mean over")
    return exact_sum(scores) / len(scores)


def exact_corpus_score(metric: Metric, totals: NDArray[Any], value: float) -> Fraction:
    """Return a corpus metric of summed statistics, of which `value` is the float.

    Exactly where it is a fraction of counts; else, and for metrics of the user's, as what the
    float stands for.
    """
    exact = metric.exact(totals)
    return meant(value) if exact is None else exact


def _read_only(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    numbers.flags.writeable = False
    return numbers


def _outside(scores: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    """Return which scores are not finite, or out of a range by more than rounding."""
    slack = 1e-9 * np.maximum(1.0, np.abs(scores))
    return np.asarray(~np.isfinite(scores) | (scores < low - slack) | (scores > high + slack))
