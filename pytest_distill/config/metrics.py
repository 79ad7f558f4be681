"""The entries under ``metrics:`` of an eval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_distill._util.user_code import load_object
from pytest_distill.config.config import task_of
from pytest_distill.config.document import Document
from pytest_distill.config.evals import (
    SAMPLED,
    DeclaredMetric,
    EvalConfig,
    HarnessEval,
    MajorityMetric,
    MeasuredEval,
    PassAtMetric,
)
from pytest_distill.errors import did_you_mean, name_problem
from pytest_distill.evals.built_in import BUILT_IN, check_own_metric
from pytest_distill.evals.metrics import MeanMetric, Metric, ScoredElsewhere
from pytest_distill.evals.metrics.samples import OfSamples, named_apart
from pytest_distill.evals.tasks import Task


class MetricReader:
    """Finds the metrics that a file names.

    Parameters
    ----------
    document : Document
        The file.
    added : mapping
        Metrics that hooks of the user's project add, by name.
    """

    def __init__(self, document: Document, added: Mapping[str, Metric]) -> None:
        self.document = document
        self.added = added

    def all_of(
        self, entry: EvalConfig, reported: Iterable[str], where: tuple[str, str]
    ) -> tuple[Metric, ...]:
        """Return the metrics of an eval, the one that it goes by first.

        Parameters
        ----------
        entry : EvalConfig
            The eval.
        reported : iterable of str
            The metrics that some model reports a score of.
        where : tuple of str
            Where it stands in the file.

        Raises
        ------
        ConfigError
            Where one of them is not known, does not suit the eval, or is given twice.
        """
        key = (*where, "metrics")
        listed = entry.metrics
        if not listed and isinstance(entry, MeasuredEval):
            listed = [metric.name for metric in self.task_of(entry).usual]
        listed = listed or list(dict.fromkeys(reported))
        if not listed:
            raise self.document.error(where, "has no metrics: no model reports a score of it")
        kept = {
            i: self.metric(m, entry, (*key, i))
            for i, m in enumerate(listed)
            if not isinstance(m, SAMPLED)
        }
        own = {metric.name: metric for metric in kept.values()}
        sampled = {
            i: self.of_samples(m, entry, own, (*key, i))
            for i, m in enumerate(listed)
            if isinstance(m, SAMPLED)
        }
        found = tuple((kept | named_apart(sampled))[i] for i in range(len(listed)))
        for number, metric in enumerate(found):
            if metric.name in [m.name for m in found[:number]]:
                raise self.document.error((*key, number), f"'{metric.name}' is given twice")
            misfit = self.task_of(entry).misfit(metric) if isinstance(entry, MeasuredEval) else None
            if misfit is not None:
                raise self.document.error((*key, number), misfit)
        return found

    def of_samples(
        self,
        metric: PassAtMetric | MajorityMetric,
        entry: EvalConfig,
        listed: Mapping[str, Metric],
        key: tuple[str | int, ...],
    ) -> OfSamples:
        """Return a metric of several samples; `listed` are the eval's other metrics by name."""
        if isinstance(entry, HarnessEval):
            raise self.document.error(
                (*key, metric.key),
                "is not for tasks of lm-evaluation-harness: what several samples come to is said "
                f"by the task's own filters; it has {', '.join(self.suited(entry))}",
            )
        k: int = getattr(metric, metric.key)
        repeats = getattr(entry, "repeats", 1)
        if repeats == 1:
            raise self.document.error(
                (*key, metric.key),
                "needs several samples of each example: set repeats in the eval "
                f"(repeats: {max(k, 2):,}, do_sample: true and a seed; task generation)",
            )
        if k > repeats:
            raise self.document.error(
                (*key, metric.key), f"{k:,} is more than there are samples (repeats: {repeats:,})"
            )
        of = listed.get(metric.of) or self.metric(metric.of, entry, (*key, "of"))
        suited = BUILT_IN.get(of.name) is not of or (isinstance(of, MeanMetric) and of.binary)
        if not suited or not of.higher_is_better:
            suited_ones = self.suited(entry).values()
            known = [m.name for m in suited_ones if getattr(m, "binary", False)]
            raise self.document.error(
                (*key, "of"),
                f"'{of.name}' does not say right or wrong as 1 or 0; of those that do this task "
                f"has {', '.join(known)}, and a metric of your own may",
            )
        return metric.of_samples(f"{metric.of_samples.word}@{k}", k=k, of=of)

    def metric(
        self, metric: str | DeclaredMetric, entry: EvalConfig, key: tuple[str | int, ...]
    ) -> Metric:
        """Return one metric, of a task's, of the user's, or declared."""
        if isinstance(metric, DeclaredMetric):
            if problem := name_problem(metric.name, of_a_file=False):
                raise self.document.error(key, f"the name {metric.name!r} {problem}")
            low, high = metric.range
            return ScoredElsewhere(
                metric.name, higher_is_better=metric.higher_is_better, range=(low, high)
            )
        suited = self.suited(entry)
        if metric in self.added:
            return self.added[metric]
        if metric in suited:
            return suited[metric]
        if metric in BUILT_IN:
            raise self.document.error(
                key, f"'{metric}' does not suit task {entry.task}; it has {', '.join(suited)}"
            )
        if "." in metric or ":" in metric:
            where = f"{self.document.path.name}: {'.'.join(map(str, key))}"
            return check_own_metric(load_object(metric, where), where)
        known = [*suited, *self.added]
        raise self.document.error(
            key,
            f"unknown metric '{metric}'; {did_you_mean(metric, known)} "
            "(one of your own is a dotted path; one scored elsewhere is a mapping with a name)",
        )

    def suited(self, entry: EvalConfig) -> Mapping[str, Metric]:
        """Return the metrics that suit an eval by name: any where it states no task."""
        if not isinstance(entry, MeasuredEval):
            return BUILT_IN
        return {metric.name: metric for metric in self.task_of(entry).suited}

    def task_of(self, entry: MeasuredEval) -> Task:
        """Return the task of an entry, whose solved examples are not read yet."""
        return task_of(entry, self.document.path.parent)
