"""What lighteval printed of a run: the file of results beside its details."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from pytest_distill.errors import EvaluationError, few
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignMetric
from pytest_distill.evaluation.sources.formats.totals import (
    RunResults,
    Scored,
    mapping_of,
    range_of,
    read_results,
    refuse_other_total,
)

_NAME = re.compile(r"details_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)")
"""What a file of details is called; the file of results of the same run has the same date."""

SETTINGS = (
    *("temperature", "top_k", "top_p", "min_p", "max_new_tokens", "min_new_tokens", "stop_tokens"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty", "length_penalty"),
    *("truncate_prompt", "response_format"),
)
"""Of a model's settings in lighteval those that decide what was asked."""


AGGREGATIONS: Mapping[str, Callable[[Sequence[float]], float]] = {
    **dict.fromkeys(("mean", "nanmean"), fmean),
    "max": max,
    "min": min,
}
"""How lighteval makes a total of numbers; DROP's f1 is the best document's, for example."""


@dataclass(frozen=True)
class LightevalResults(RunResults):
    """What is known of a run beside its details.

    Parameters
    ----------
    shown, task, said
        As for `RunResults`.
    folder : str, optional
        The model by the folder of the details.
    """

    folder: str | None

    @property
    def model(self) -> str | None:
        """What the model is called."""
        name = self._general.get("model_name")
        return name if isinstance(name, str) and name else self.folder

    @property
    def settings(self) -> dict[str, Any]:
        """What was asked of every document: a system prompt, and decoding that is not greedy."""
        config = mapping_of(self._general.get("model_config"))
        decoding = mapping_of(config.get("generation_parameters"))
        said = {name: decoding.get(name) for name in SETTINGS}
        said["system_prompt"] = config.get("system_prompt")
        return {name: value for name, value in said.items() if value}

    @property
    def _general(self) -> Mapping[str, Any]:
        return mapping_of(self.said.get("config_general"))

    def _told(self, metric: str, key: str) -> Any:
        """Return what the task says of a metric, which may be one of a group."""
        config = self.of_task("config_tasks")
        listed = config.get("metrics") or config.get("metric")
        for told in listed if isinstance(listed, list) else ():
            names = told.get("metric_name") if isinstance(told, Mapping) else None
            if names == metric:
                return told.get(key)
            if isinstance(names, list) and metric in names:
                of_group = told.get(key)
                return of_group.get(metric) if isinstance(of_group, Mapping) else of_group
        return None

    def scored(self, documents: Sequence[tuple[str, Mapping[str, Any]]], source: str) -> Scored:
        """Return the metrics of which every document has a number.

        Raises
        ------
        EvaluationError
            Where a value is a number for some documents alone, or a total that was printed is not
            that of the values.
        """
        metrics, left_out, others, unknown = [], [], [], []
        for name in documents[0][1]:
            values = _numbers(name, documents)
            if values is None:
                left_out.append(name)
                continue
            how = self._told(name, "corpus_level_fn") or "mean"
            if how not in AGGREGATIONS:
                left_out.append(name)
                continue
            if not self._is_checked(name, how, values, source):
                unknown.append(name)
            if AGGREGATIONS[how] is not fmean:
                others.append(f"{name} ({how})")
            better = self._told(name, "higher_is_better")
            metrics.append(ForeignMetric(name, better is not False, range_of(values)))
        notes = []
        if self.shown is None:
            notes.append("no file of results of the same date, so that totals were not checked")
        elif unknown:
            notes.append(f"{self.shown} has no total of {few(unknown)}, so that none was checked")
        if left_out:
            notes.append(
                f"totals of the whole task, of which no document has a number: {few(left_out)}; "
                "they were not checked"
            )
        if others:
            notes.append(
                f"lighteval's total is not the mean of the documents: {few(others)}; here it is"
            )
        return Scored(tuple(metrics), tuple(left_out), tuple(notes))

    def _is_checked(self, name: str, how: str, values: Sequence[float], source: str) -> bool:
        """Return whether there is a total to check; EvaluationError where it is another."""
        total = self.of_task("results").get(name)
        if not isinstance(total, int | float):
            return False
        printed = f"{name} of {self.task} in {self.shown} ({how} of {len(values):,} documents)"
        found = AGGREGATIONS[how](values)
        refuse_other_total(source, printed, float(total), found, "evaluate again")
        return True


def _numbers(name: str, documents: Sequence[tuple[str, Mapping[str, Any]]]) -> list[float] | None:
    """Return a metric's values; None where they are no numbers."""
    odd = [place for place, values in documents if not isinstance(values[name], int | float)]
    if not odd:
        return [float(values[name]) for _, values in documents]
    if len(odd) < len(documents):
        raise EvaluationError(f"{odd[0]}: {name} is no number, and is one for other documents")
    return None


def task_in(path: Path) -> str | None:
    """Return the task that a file of details is called after; None where it is called otherwise."""
    found = _NAME.fullmatch(path.stem)
    return found["task"] if found else None


def results_of(path: Path, task: str) -> LightevalResults:
    """Return what was printed of the run that a file of details is of.

    lighteval keeps details and results in two folders, and each again by model; on the hub they lie
    in one.

    Raises
    ------
    EvaluationError
        Where the file of results can't be read.
    """
    found = _NAME.fullmatch(path.stem)
    parts = path.parts
    at = max((n for n, part in enumerate(parts) if part == "details"), default=None)
    model = parts[at + 1 : -2] if at is not None else ()
    folder = "/".join(model) or None
    if found is None:
        return LightevalResults(None, task, {}, folder)
    name = f"results_{found['date']}.json"
    places = [path.parent / name, path.parent.parent / name]
    if at is not None:
        places.append(Path(*parts[:at], "results", *model, name))
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        return LightevalResults(None, task, {}, folder)
    return LightevalResults(shown_path(file), task, read_results(file), folder)
