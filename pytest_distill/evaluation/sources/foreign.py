"""Files that other tools wrote, where they lie: which of them an eval is judged by."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import fsum, isclose
from pathlib import Path
from typing import Any

from pytest_distill._util.user_code import is_ours
from pytest_distill.errors import ConfigError, DistillError, EvaluationError, did_you_mean, few
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import ScoredElsewhere
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.fields import PROMPT
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format
from pytest_distill.evaluation.sources.rows import REPEAT, RecordedRows

MAGIC = "*?["
"""What a glob has and a path has not."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d[T\d.:+-]*\d")
"""What tells the runs of a task apart in the name of a file."""

TEMPLATE_DIGITS = 16
"""Of the digest of a chat template."""

CLOSE = 1e-6
"""How far apart two scores may be that are computed of the same answers."""


@dataclass(frozen=True)
class ForeignFiles:
    """The files of a model, as ``distill.yaml`` names them.

    Parameters
    ----------
    format : Format
        What reads them.
    folder : Path
        Where the glob starts.
    pattern : str
        A path, or a glob; ``**`` is any number of folders.
    key : str
        What messages call the entry.
    """

    format: Format
    folder: Path
    pattern: str
    key: str

    def paths(self) -> list[Path]:
        """Return the files; ConfigError where there is none."""
        literal = self.folder / self.pattern
        if literal.is_file():
            return [literal]
        if literal.is_dir():
            raise ConfigError(
                f"{self.key}: {self.pattern} is a folder: name the files in it, e.g. "
                f"'{self.pattern.rstrip('/')}/**/{self.format.globs[0]}'"
            )
        found = glob.glob(self.pattern, root_dir=self.folder, recursive=True)  # noqa: PTH207
        files = [path for path in (self.folder / name for name in sorted(found)) if path.is_file()]
        ours = [path for path in files if self.format.is_named(path)]
        if not files:
            raise ConfigError(f"{self.key}: {self._nothing()}")
        return ours or files

    def run_for(self, on: Eval) -> ForeignRun:
        """Return the run that an eval is judged by.

        That is the run of the task that the eval names, else of a task that is called as the eval
        is, else the only one that there is.

        Raises
        ------
        ConfigError
            Where there is none, or several.
        EvaluationError
            Where a file is not as its tool wrote it.
        """
        paths = self.paths()
        named = {path: self.format.task_of(path) for path in paths}
        if None not in named.values():  # else only reading them all tells
            task = self._chosen(map(str, named.values()), on)
            paths = [path for path in paths if named[path] == task]
        runs = self.format.read(paths)
        task = self._chosen({run.task for run in runs}, on)
        found = [run for run in runs if run.task == task]
        if len(found) > 1:
            raise ConfigError(f"{self.key}: {self._several(task, found)}")
        return found[0]

    def _chosen(self, tasks: Iterable[str], on: Eval) -> str:
        known = sorted(set(tasks))
        stated = task_named(on)
        for name in (stated, on.name):
            if name in known:
                return str(name)
        if len(known) == 1 and stated is None:
            return known[0]
        wanted = on.name if stated is None else stated
        raise ConfigError(
            f"{self.key}: no run of task '{wanted}' for eval '{on.name}' in {self.pattern}; "
            f"{did_you_mean(wanted, known)} (where the eval is called otherwise, map it to its "
            f"files: 'predictions: {{{on.name}: ...}}')"
        )

    def _several(self, task: str, found: Sequence[ForeignRun]) -> str:
        """Return what to say of several runs of one task."""
        models = list(dict.fromkeys(run.model for run in found if run.model))
        of = f", of the models {few(models)}" if len(models) > 1 else ""
        listed = "\n".join(f"  {run.source}" for run in found[:10])
        more = f"\n  and {len(found) - 10:,} more" if len(found) > 10 else ""
        return (
            f"{len(found):,} runs of task '{task}' match {self.pattern}{of}; name the one that is "
            f"meant, by its path or by a glob that only it matches:\n{listed}{more}"
        )

    def _nothing(self) -> str:
        """Return what to say where no file matches: what was searched, and what is there."""
        if any(letter in self.pattern for letter in MAGIC):
            said = f"no file matches {self.pattern} in {shown_path(self.folder)}"
        else:
            said = f"no such file: {self.pattern}"
        folder = self.folder
        for part in Path(self.pattern).parts[:-1]:
            if any(letter in part for letter in MAGIC):
                break
            if not (folder / part).is_dir():
                beside = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
                return f"{said}: there is no folder '{part}'; {did_you_mean(part, beside)}"
            folder /= part
        found = [path for path in folder.rglob("*") if self.format.is_named(path)]
        there = {_DATE.sub("*", path.name) for path in found if path.is_file()}
        if not there:
            return f"{said}; nor are any of {self.format.files} under {shown_path(folder)}"
        last = Path(self.pattern).name
        return f"{said}; {did_you_mean(last, there)}"


def task_named(on: Eval) -> str | None:
    """Return what another tool calls the task of an eval; None where the eval does not say it."""
    name: object = getattr(on.task, "of", None)  # of lm_eval:NAME
    return name if isinstance(name, str) and name else None


def recorded_rows(run: ForeignRun, on: Eval, kind: str) -> RecordedRows:
    """Return a run's samples as rows of a file of predictions.

    Of its scores those that the eval declares are kept: the others were not asked for.

    Parameters
    ----------
    run : ForeignRun
        The run.
    on : Eval
        The eval that is judged by it.
    kind : str
        What the digests of its prompts are called: the format's name.

    Raises
    ------
    EvaluationError
        Where a sample is there twice, or the eval declares a score that the run has not, or the
        run has neither answers nor a score that is declared.
    """
    declared = [metric.name for metric in on.metrics if isinstance(metric, ScoredElsewhere)]
    known = [metric.name for metric in run.metrics]
    for name in declared:
        if name in run.left_out:
            raise EvaluationError(
                f"{run.source}: '{name}', which eval '{on.name}' declares, is no mean over "
                "examples there, so that no example has a score by it; report the number "
                "(engine: reported), or let a metric compute it from the answers"
            )
        if name not in known:
            raise EvaluationError(
                f"{run.source}: no score '{name}', which eval '{on.name}' declares; "
                f"{did_you_mean(name, known)}"
            )
    rows = run.rows
    if on.task.repeats == 1:
        alone = len(declared) == len(on.metrics)
        rows = first_of_equal(rows, partial(_scores, names=declared) if alone else _answer)
    prompt = prompt_kind(kind, run)
    by_id: dict[str, dict[int, Example]] = {}
    for row in rows:
        samples = by_id.setdefault(row.id, {})
        if row.repeat in samples:
            raise EvaluationError(
                f"{row.where} (id '{row.id}'): sample {row.repeat} of this example stands at "
                f"{samples[row.repeat].where} already"
            )
        samples[row.repeat] = Example(row.id, kept_fields(row, declared, prompt), row.where)
    found = RecordedRows(
        run.source, {id: [each[n] for n in sorted(each)] for id, each in by_id.items()}
    )
    answers = set(on.task.answered_by)
    if not declared and not any(answers & row.fields.keys() for row in found.all):
        declare = f"({few(known)}): 'metrics: [{{name: {known[0]}}}]'" if known else "(it has none)"
        raise EvaluationError(
            f"{run.source}: no answers for the task {on.task.name}, and eval '{on.name}' declares "
            f"none of its scores {declare}"
        )
    return found


def first_of_equal(
    rows: Sequence[ForeignRow], said: Callable[[ForeignRow], object]
) -> Sequence[ForeignRow]:
    """Return the first sample of each example where all of them say the same.

    So it is where several answers made one score, and nothing but that is asked of them.
    """
    first: dict[str, ForeignRow] = {}
    for row in rows:
        kept = first.setdefault(row.id, row)
        if kept is not row and said(row) != said(kept):
            return rows
    return list(first.values())


def _answer(row: ForeignRow) -> object:
    return row.answer


def _scores(row: ForeignRow, names: Sequence[str]) -> object:
    return [_score(row, name) for name in names]


def _score(row: ForeignRow, name: str) -> object:
    scores = row.answer.get("scores")
    return scores.get(name) if isinstance(scores, Mapping) else None


def prompt_kind(kind: str, run: ForeignRun) -> str:
    """Return what the digests of a run's prompts are of: see `PROMPT`."""
    return kind if run.template is None else f"{kind}+{run.template[:TEMPLATE_DIGITS]}"


def kept_fields(row: ForeignRow, scores: Collection[str], prompt: str) -> dict[str, Any]:
    """Return the fields of a recorded row, with those of its scores that are wanted."""
    fields: dict[str, Any] = {"id": row.id, REPEAT: row.repeat, **row.answer}
    if row.prompt is not None:
        fields[PROMPT] = f"{prompt}:{row.prompt}"
    found = fields.pop("scores", None)
    if isinstance(found, Mapping):
        kept = {name: value for name, value in found.items() if name in scores}
        if kept:
            fields["scores"] = kept
    return fields


def differing(run: ForeignRun, evaluation: MeasuredEvaluation) -> Iterator[str]:
    """Yield a note on every metric that is computed here and has other values in a run's files."""
    on = evaluation.eval
    known = {metric.name for metric in run.metrics}
    for metric in on.metrics:
        if metric.name not in known or isinstance(metric, ScoredElsewhere) or not is_ours(metric):
            continue
        with suppress(DistillError):  # what cannot be computed is said by the gate that asks for it
            here = evaluation.scores(metric)
            there = _means(run, metric.name)
            odd = [
                (example.id, there[example.id], float(mine))
                for example, mine in zip(on.gold, here, strict=True)
                if example.id in there and not isclose(there[example.id], mine, abs_tol=CLOSE)
            ]
            if odd:
                id, theirs, mine = odd[0]
                yield (
                    f"{run.source}: {metric.name} is computed here from the answers, and is "
                    f"another number than the file's for {len(odd):,} of {len(on.gold):,} examples,"
                    f" first '{id}': {mine:g} here, {theirs:g} there; to judge by the file's, "
                    f"declare it: 'metrics: [{{name: {metric.name}}}]'"
                )


def _means(run: ForeignRun, name: str) -> dict[str, float]:
    """Return the mean of a score over the samples of each example that has it."""
    values: dict[str, list[float]] = {}
    for row in run.rows:
        value = _score(row, name)
        if isinstance(value, int | float):
            values.setdefault(row.id, []).append(float(value))
    return {id: fsum(found) / len(found) for id, found in values.items()}
