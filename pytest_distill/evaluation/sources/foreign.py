"""Files of other tools: which of them an eval is judged by, and of which example a sample is."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_distill.errors import ConfigError, EvaluationError, did_you_mean, few, one_line
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
from pytest_distill.evals.ids import DEFAULT_ID_FIELD, id_text, meeting
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format

_MAGIC = "*?["

_DATE = re.compile(r"\d{4}-\d\d-\d\d[T\d.:+-]*\d")
"""What tells the runs of a task apart in the name of a file."""

Named = Callable[[ForeignRow], str | None]


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
        if is_glob(self.pattern):
            said = f"no file matches {self.pattern} in {shown_path(self.folder)}"
        else:
            said = f"no such file: {self.pattern}"
        if "\\" in self.pattern:
            return f"{said}: write '/' between folders"
        if "[" in self.pattern:
            said += " ('[' begins a choice of characters: write '[[]' for the bracket itself)"
        folder = self.folder
        for part in Path(self.pattern).parts[:-1]:
            if is_glob(part):
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


def is_glob(text: str) -> bool:
    """Return whether a text stands for several paths."""
    return any(letter in text for letter in _MAGIC)


def task_named(on: Eval) -> str | None:
    """Return what another tool calls the task of an eval; None where the eval does not say it."""
    return on.task.of if isinstance(on.task, LmEval) else None


def with_ids_of(on: Eval, run: ForeignRun, format: Format) -> ForeignRun:
    """Return a run whose samples are named as the gold set of an eval names its examples.

    That is the tool's own id; else what the document says in the field that the gold set has its
    ids in; else the id of the example whose row is the document. The first of these that meets an
    id of the gold set holds for all samples.

    Raises
    ------
    EvaluationError
        Where none does, or one does for some of the samples alone; where ids that are no digests
        meet, and a sample's document is another example.
    """
    gold = on.gold.by_meeting
    for name in (_own, *_stated(on.gold), _same_row(on.gold, format)):
        named = [name(row) for row in run.rows]
        if not any(id is not None and meeting(id) in gold for id in named):
            continue
        if any(id is None for id in named):
            row = run.rows[named.index(None)]
            raise EvaluationError(
                f"{row.where} (id '{row.id}'): of which example of {on.gold.source} it is nobody "
                "says, though other samples do"
            )
        ids = [gold.get(meeting(str(id)), str(id)) for id in named]
        rows = [
            row if row.id == id else replace(row, id=id)
            for row, id in zip(run.rows, ids, strict=True)
        ]
        found = replace(run, rows=rows)
        return found if name is _own and format.by_content else _looked_at(found, on.gold)
    here = few(list(dict.fromkeys(row.id for row in run.rows)))
    there = few([example.id for example in on.gold])
    raise EvaluationError(
        f"{run.source}: no sample is of an example of {on.gold.source}: the ids here are {here}, "
        f"and there {there}; nor has a document its example's id in a field "
        f"'{on.gold.id_field}', nor is one a row of the gold set. 'python -m "
        f"pytest_distill import {format.name} ...' writes the gold set that the samples are of"
    )


def _looked_at(run: ForeignRun, gold: GoldSet) -> ForeignRun:
    """Return a run whose documents are those of its examples, as far as texts tell.

    An id may be a mere number: then two data sets have the same ids, or one in two orders has.
    """
    owners: dict[str, str | None] = {}
    for example in gold.whole:
        for field, text in example.fields.items():
            if isinstance(text, str) and field not in (gold.id_field, DEFAULT_ID_FIELD):
                owners[text] = example.id if owners.get(text, example.id) == example.id else None
    alone = True
    for row in run.rows:
        texts = [text for text in row.document.values() if isinstance(text, str)]
        telling = [text for text in texts if owners.get(text) is not None]
        if not telling:
            continue
        alone = False
        text = max(telling, key=len)
        if owners[text] != row.id and row.id not in map(owners.get, telling):
            raise EvaluationError(
                f"{row.where} (id '{row.id}'): {one_line(text)!r:.60} stands in its document, and "
                f"in example '{owners[text]}' of {gold.source}: the ids here and there are of "
                "other examples; give the gold set the ids of the data that the model was asked"
            )
    if not alone:
        return run
    note = (
        f"{run.source}: its samples are found in {gold.source} by their ids alone: no text of "
        "their documents stands there"
    )
    return replace(run, notes=(*run.notes, note))


def _own(row: ForeignRow) -> str:
    return row.id


def _stated(gold: GoldSet) -> list[Named]:
    """Return how to name a sample by a field of its document."""

    def by(field: str) -> Named:
        def name(row: ForeignRow) -> str | None:
            try:
                return id_text(row.document.get(field))
            except ValueError:
                return None

        return name

    return [by(field) for field in dict.fromkeys((gold.id_field, DEFAULT_ID_FIELD))]


def _same_row(gold: GoldSet, format: Format) -> Named:
    """Return how to name a sample by the row of the gold set that its document is."""
    known: Mapping[str, str] | None = None

    def name(row: ForeignRow) -> str | None:
        nonlocal known
        if known is None:
            named = ((format.id_of(example.fields), example.id) for example in gold.whole)
            known = {digest: id for digest, id in named if digest is not None}
        return known.get(row.id, row.id)

    return name
