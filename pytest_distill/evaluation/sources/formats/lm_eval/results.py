"""What lm-evaluation-harness printed of a run, and which values of its samples are scores."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pytest_distill.errors import EvaluationError, few
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignMetric
from pytest_distill.evaluation.sources.formats.lm_eval.samples import NO_FILTER, HarnessDocument
from pytest_distill.evaluation.sources.formats.totals import (
    RunResults,
    Scored,
    mapping_of,
    range_of,
    read_results,
    refuse_other_total,
)

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.jsonl")
"""What the samples of a task are called."""

CLOSE = 1e-9
"""How far apart, relatively, two sums of the same numbers may be."""

BY_DEFAULT: Mapping[str, str] = {
    **dict.fromkeys(("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match"), "mean"),
    "likelihood": "mean",
    "perplexity": "perplexity",
    "word_perplexity": "weighted_perplexity",
    "byte_perplexity": "weighted_perplexity",
    "bits_per_byte": "bits_per_byte",
}
"""How a metric is aggregated whose task does not say it (0.4.13, ``lm_eval/api/metrics.py``)."""


def _weighted(pairs: Sequence[Sequence[float]]) -> float:
    return math.fsum(pair[0] for pair in pairs) / math.fsum(pair[1] for pair in pairs)


AGGREGATIONS: Mapping[str, Callable[[Sequence[Any]], float]] = {
    "mean": fmean,
    "nanmean": fmean,
    "perplexity": lambda values: math.exp(-fmean(values)),
    "weighted_perplexity": lambda pairs: math.exp(-_weighted(pairs)),
    "bits_per_byte": lambda pairs: -_weighted(pairs) / math.log(2),
}
"""Those that are recomputed; the others are of the whole task alone, and no score is used."""

MEANS = ("mean", "nanmean")


@dataclass(frozen=True)
class HarnessResults(RunResults):
    """What is known of a run beside its samples."""

    @property
    def model(self) -> str | None:
        """What the model is called."""
        name = self.said.get("model_name")
        return name if isinstance(name, str) and name else None

    @property
    def template(self) -> str | None:
        """The digest of the chat template that prompts were put into."""
        digest = self.said.get("chat_template_sha")
        return digest if isinstance(digest, str) else None

    def total(self, name: str) -> float | None:
        """Return a metric's number of all documents; None where none is printed."""
        metric, _, chosen = name.partition(",")
        value = self.of_task("results").get(f"{metric},{chosen or NO_FILTER}")
        return float(value) if isinstance(value, int | float) else None

    def aggregation(self, metric: str) -> str | None:
        """Return how a metric's values are aggregated; None where nothing says it."""
        listed = self.of_task("configs").get("metric_list")
        for told in listed if isinstance(listed, list) else ():
            if isinstance(told, Mapping) and told.get("metric") == metric and "aggregation" in told:
                return str(told["aggregation"])
        return BY_DEFAULT.get(metric)

    def higher_is_better(self, metric: str) -> bool:
        """Return the direction of a metric; of one that nothing is said of, the usual one."""
        return self.of_task("higher_is_better").get(metric) is not False

    def refuse_other_count(self, source: str, documents: int) -> None:
        """Raise EvaluationError where the samples are of more or fewer documents."""
        said = self.of_task("n-samples").get("effective")
        if isinstance(said, int) and said != documents:
            raise EvaluationError(
                f"{source}: samples of {documents:,} documents, and {self.shown} says that "
                f"{said:,} were evaluated: the file is not whole, or not of that run"
            )

    def refuse_other_lines(self, source: str, digests: Mapping[str, Mapping[int, str]]) -> None:
        """Raise EvaluationError where documents, prompts or targets are others than were evaluated.

        The results have one digest of all of them.

        Parameters
        ----------
        source : str
            The file of samples.
        digests : mapping
            Filter -> doc_id -> the digests of its line, in the order of the file.
        """
        said = mapping_of(self.said.get("task_hashes")).get(self.task)
        if not isinstance(said, str):
            return
        as_written = "".join(text for lines in digests.values() for text in lines.values())
        in_order = "".join(lines[n] for lines in digests.values() for n in sorted(lines))
        if said not in {hashlib.sha256(t.encode()).hexdigest() for t in (as_written, in_order)}:
            raise EvaluationError(
                f"{source}: {self.shown} was printed of other documents, prompts or targets (the "
                f"digest of all of {self.task} in its task_hashes is another): lines were changed, "
                "or are of another run; evaluate again"
            )

    def note_of_limit(self) -> str | None:
        """Return what to say where not all documents of the task were evaluated."""
        counts = self.of_task("n-samples")
        done, all_of_it = counts.get("effective"), counts.get("original")
        if not isinstance(done, int) or not isinstance(all_of_it, int) or done >= all_of_it:
            return None
        return f"of {all_of_it:,} documents of {self.task} {done:,} were evaluated (--limit)"


def task_in(path: Path) -> str:
    """Return the task that a file of samples is called after."""
    found = _NAME.fullmatch(path.name)
    return found["task"] if found else path.name.removesuffix(".jsonl").removeprefix("samples_")


def results_of(path: Path) -> HarnessResults:
    """Return what was printed of the run that a file of samples is of.

    Raises
    ------
    EvaluationError
        Where the file of results can't be read.
    """
    task = task_in(path)
    found = _NAME.fullmatch(path.name)
    beside = sorted(path.parent.glob(f"*_{found['date']}.json")) if found else []
    if not beside:
        return HarnessResults(None, task, {})
    return HarnessResults(shown_path(beside[0]), task, read_results(beside[0]))


def scored(source: str, documents: Sequence[HarnessDocument], results: HarnessResults) -> Scored:
    """Return the metrics whose values are scores of a document.

    Raises
    ------
    EvaluationError
        Where a value is not of the kind that the others are, or the number that was printed of all
        documents is not that of the values.
    """
    metrics, odd = [], []
    for name in dict.fromkeys(name for document in documents for name in document.scores):
        values = _values(name, documents)
        is_mean = _checked(source, name, values, results)
        if is_mean and all(isinstance(value, int | float) for value in values):
            better = results.higher_is_better(name.partition(",")[0])
            metrics.append(ForeignMetric(name, better, range_of(values)))
        else:
            odd.append(name)
    notes = []
    if results.shown is None:
        notes.append(
            f"{source}: no file of results beside it (results_DATE.json, of the same date), so "
            "that its totals could not be checked"
        )
    else:
        bare = [metric.name for metric in metrics if results.total(metric.name) is None]
        if bare:
            notes.append(
                f"{source}: {results.shown} has no number of {few(bare)} for {results.task}, so "
                "that its totals could not be checked"
            )
    return Scored(tuple(metrics), tuple(odd), tuple(notes))


def _values(name: str, documents: Sequence[HarnessDocument]) -> list[Any]:
    """Return the values of a metric: all of them numbers, or none."""
    holders = [document for document in documents if name in document.scores]
    values = [document.scores[name] for document in holders]
    numbers = [isinstance(value, int | float) for value in values]
    if any(numbers) and not all(numbers):
        place = numbers.index(False)
        raise EvaluationError(
            f"{holders[place].first.place}: {name} is {values[place]!r:.60}, and a number for "
            "other documents"
        )
    return values


def _checked(source: str, name: str, values: Sequence[Any], results: HarnessResults) -> bool:
    """Return whether a metric is the mean of its values; EvaluationError where a total differs."""
    aggregation = results.aggregation(name.partition(",")[0])
    total = results.total(name)
    found = _aggregated(AGGREGATIONS.get(aggregation or "mean"), values)
    if total is None or found is None:
        return aggregation in (None, *MEANS)
    if aggregation is None:  # nothing says that it is the mean: where it is not, it is no score
        return math.isclose(found, total, rel_tol=CLOSE, abs_tol=CLOSE)
    printed = f"{results.shown}, {name} of {results.task} ({aggregation})"
    refuse_other_total(source, printed, total, found, "evaluate again")
    return aggregation in MEANS


def _aggregated(aggregate: Any, values: Sequence[Any]) -> float | None:
    """Return the number of all documents; None where it cannot be computed of these values."""
    if aggregate is None:
        return None
    try:
        return float(aggregate(values))
    except (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError):
        return None
