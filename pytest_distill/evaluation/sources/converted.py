"""Runs of other tools as plain files of ours: rows of answers, and the gold set they are of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evaluation.sources.foreign_rows import first_of_equal, kept_fields, prompt_kind
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun
from pytest_distill.evaluation.sources.rows import REPEAT

DOCUMENT_ID = "document_id"
"""The field of a gold set with what a document itself calls its id, where the tool's is another."""

OWN_METRICS: Mapping[str, tuple[str, ...]] = {"perplexity": ("word_perplexity", "bits_per_byte")}
"""Task -> its metrics that a run without scores is judged by, where not the usual ones."""


def file_name(name: str) -> str:
    """Return a name as a part of the name of a file: ``HuggingFaceTB/x`` is ``HuggingFaceTB_x``."""
    return re.sub(r"[^\w-]+", "_", name).strip("_") or "run"


@dataclass(frozen=True)
class Converted:
    """The runs of one task, each of another model.

    Parameters
    ----------
    task : str
        What the tool calls the task.
    runs : mapping
        Model -> its run.
    kind : str
        The format's name.
    """

    task: str
    runs: Mapping[str, ForeignRun]
    kind: str

    @cached_property
    def gold(self) -> dict[str, dict[str, Any]]:
        """Id -> row of the gold set.

        Raises
        ------
        EvaluationError
            Naming the id, where two runs are of other documents.
        """
        (first, run), *others = self.runs.items()
        found = self._gold_of(run)
        for name, other in others:
            for id, row in self._gold_of(other).items():
                if id not in found:
                    raise _unlike(f"'{id}' of {other.source} is not in {run.source}", self.task)
                if found[id] != row:
                    odd = [f for f in {**found[id], **row} if found[id].get(f) != row.get(f)]
                    raise _unlike(
                        f"'{id}' has another '{odd[0]}' in {other.source} ({name}) than in "
                        f"{run.source} ({first})",
                        self.task,
                    )
            for id in sorted(found.keys() - {row.id for row in other.rows}):
                raise _unlike(f"'{id}' of {run.source} is not in {other.source}", self.task)
        return found

    def _gold_of(self, run: ForeignRun) -> dict[str, dict[str, Any]]:
        return {row.id: _gold_row(row, self.asks["task"]) for row in run.rows}

    @cached_property
    def asks(self) -> dict[str, Any]:
        """What the entry of the eval says of its task."""
        said = [dict(run.asks) for run in self.runs.values()]
        asks = said[0] if all(other == said[0] for other in said) else {}
        task = asks.get("task") or self._task
        if self.repeats > 1 and task != "generation":
            task, asks = "generation", {}
        asks = {"task": task, **{key: value for key, value in asks.items() if key != "task"}}
        if self.repeats > 1:
            asks |= {"repeats": self.repeats, "do_sample": True, "seed": 0}
        return asks

    @property
    def _task(self) -> str:
        """The task that the documents and answers suit."""
        rows = [row for run in self.runs.values() for row in run.rows]
        if all(_is_choice(row) for row in rows):
            return "multiple_choice"
        return "generation"

    @cached_property
    def rows(self) -> Mapping[str, Sequence[ForeignRow]]:
        """Model -> its samples; of several that are all alike the first."""
        return {
            name: first_of_equal(run.rows, lambda row: row.said) for name, run in self.runs.items()
        }

    @cached_property
    def repeats(self) -> int:
        """How many samples an example has."""
        return 1 + max(row.repeat for rows in self.rows.values() for row in rows)

    @property
    def metrics(self) -> list[Any]:
        """The metrics of the entry: those that every run has scores by, else ones of ours."""
        every = [{metric.name: metric for metric in run.metrics} for run in self.runs.values()]
        declared: list[Any] = []
        for name, metric in every[0].items():
            found = [own[name] for own in every if name in own]
            if len(found) < len(every):
                continue
            low = min(other.range[0] for other in found)
            high = max(other.range[1] for other in found)
            entry: dict[str, Any] = {"name": name}
            if not metric.higher_is_better:
                entry["higher_is_better"] = False
            if (low, high) != (0.0, 1.0):
                entry["range"] = [low, high]
            declared.append(entry)
        return declared or list(OWN_METRICS.get(self.asks["task"], ()))

    def entry(self, data: str) -> dict[str, Any]:
        """Return the entry under ``evals:``; its gold set is in the file `data`."""
        said = {"data": data, **({"metrics": self.metrics} if self.metrics else {})}
        return {"task": self.asks["task"], **said, **self.asks}

    def gold_lines(self) -> str:
        """Return the file of the gold set."""
        return "".join(map(_line, self.gold.values()))

    def lines(self, model: str) -> str:
        """Return the file of a model's answers and scores."""
        listed = [metric["name"] for metric in self.metrics if isinstance(metric, dict)]
        prompt = prompt_kind(self.kind, self.runs[model])
        lines = []
        for row in self.rows[model]:
            fields = kept_fields(row, listed, prompt)
            if self.repeats == 1:
                del fields[REPEAT]
            lines.append(_line(fields))
        return "".join(lines)


def _unlike(problem: str, task: str) -> EvaluationError:
    return EvaluationError(
        f"task {task}: example {problem}: models are compared on the same documents, asked for in "
        "the same way; evaluate them alike, or convert each alone"
    )


def _is_choice(row: ForeignRow) -> bool:
    choices = row.document.get("choices")
    values = row.answer.get("loglikelihoods")
    return (
        isinstance(choices, list)
        and isinstance(values, list)
        and len(values) == len(choices) > 1
        and row.document.get("target") is not None
    )


def _gold_row(row: ForeignRow, task: str) -> dict[str, Any]:
    """Return a row that the task can read."""
    document = {str(name): _json(value) for name, value in row.document.items()}
    found = {"id": row.id, **{name: v for name, v in document.items() if name != "id"}}
    if "id" in document and document["id"] != row.id:
        found[DOCUMENT_ID] = document["id"]
    if not isinstance(found.get("input"), str) or (task == "perplexity" and not found["input"]):
        found["input"] = json.dumps(document.get("input", document), ensure_ascii=False)
    if task == "generation":
        found["target"] = _accepted(found.get("target"))
    return found


def _accepted(target: Any) -> str | list[str]:
    """Return a target as the accepted texts that a generated one is compared with."""
    if isinstance(target, str) and target:
        return target
    if isinstance(target, list) and target and all(isinstance(t, str) and t for t in target):
        return target
    return json.dumps(target, ensure_ascii=False)


def _json(value: Any) -> Any:
    """Return a value as JSON has it: what it has not is text, and a number that is none is null."""
    if isinstance(value, Mapping):
        return {str(key): _json(inside) for key, inside in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inside) for inside in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
