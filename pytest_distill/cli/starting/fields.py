"""The gold set of a first project: which task it is for, and which fields say what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median

from pytest_distill.cli.starting.first_model import IDS, INPUTS, TARGETS, FirstModel
from pytest_distill.errors import ConfigError, one_line, refuse_unknown, some_of
from pytest_distill.evals.cells import structure
from pytest_distill.evals.rows import Row
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evals.tasks.elsewhere import OTHER_TASKS

PAIRS = (
    *(("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2")),
    *(("question", "sentence"), ("text", "text_pair"), ("text1", "text2"), ("query", "passage")),
)
CHOICES = ("choices", "options", "endings")
MESSAGES = ("messages", "conversation")
"""What data sets call such fields, the likeliest name first."""

MOST_CLASSES = 100
MOST_LETTERS = 60
"""A target is a label where there are no more of them, and none is longer."""


@dataclass(frozen=True)
class GivenFields:
    """What the user says, where names do not tell: None is found out."""

    task: str | None = None
    id: str | None = None
    input: str | None = None
    target: str | None = None


@dataclass(frozen=True)
class Fields:
    """The keys of an eval that name fields; None: by default, or not there."""

    id: str | None = None
    input: str | tuple[str, str] | None = None
    target: str | None = None
    choices: str | None = None
    messages: str | None = None


class GoldFields:
    """Finds out what the fields of a gold set are.

    Parameters
    ----------
    path : Path
        The file.
    rows : sequence of mapping
        Its rows.
    asked : GivenFields
        What the user says.
    answers : collection of str
        Fields that are a model's answers, where the file is one of predictions too.
    predicted : collection of str
        What recorded models predict: labels, where a field has all of them.
    """

    def __init__(
        self,
        path: Path,
        rows: Sequence[Row],
        asked: GivenFields,
        answers: Collection[str] = (),
        predicted: Collection[str] = (),
    ) -> None:
        self.predicted = {*predicted}
        self.path = path
        self.rows = rows
        self.asked = asked
        there = [name for name in dict.fromkeys(chain(*rows)) if name not in answers]
        self.names = [name for name in there if all(row.get(name) is not None for row in rows)]
        self._partly = [name for name in there if name not in self.names]
        for option in ("id", "input", "target"):
            name = getattr(asked, option)
            if name is not None:
                what = f"--{option}: no field '{one_line(name)}' in every row"
                refuse_unknown(name, self.names, f"{one_line(str(path))}: {what}")

    @property
    def target(self) -> str | None:
        """The field with what counts as right; None where neither names nor values tell."""
        found = self.asked.target or self._first(TARGETS, self._right)
        if found is None and self.predicted:
            labels = [name for name in self.names if self._right(name) and self._is_label(name)]
            fitting = [name for name in labels if self.predicted <= self.texts(name)]
            found = fitting[0] if len(fitting) == 1 else None
        return found

    def task(self, models: Sequence[FirstModel]) -> str:
        """Return the task that all models can be asked and that suits the gold set.

        Raises
        ------
        ConfigError
            Where there is none.
        """
        able = tasks_of_all(models, self.asked.task)
        if "multiple_choice" in able and self._first(CHOICES, self._list):
            return "multiple_choice"
        if self.target is None:
            return "perplexity" if "perplexity" in able else able[0]
        if "classification" in able and (len(able) == 1 or self._is_label(self.target)):
            return "classification"
        return "generation" if "generation" in able else able[0]

    def of(self, task: str, models: Sequence[FirstModel]) -> Fields:
        """Return the fields that a task needs.

        Raises
        ------
        ConfigError
            Where names do not tell which field is meant.
        """
        target = None if task == "perplexity" else self.target
        if target is None and task != "perplexity":
            raise self._unknown("target", ())
        recorded = [model for model in models if model.recorded]
        id = self._id(target, recorded)
        choices = self._first(CHOICES, self._list) if task == "multiple_choice" else None
        messages = self._first(MESSAGES, self._list) if task == "generation" else None
        if messages is not None:
            return Fields(id, None, target, None, messages)
        unasked = len(recorded) == len(models)
        input = self._input((target, id, choices), pair=task == "classification", unasked=unasked)
        return Fields(id, input, target, choices)

    def texts(self, field: str) -> set[str]:
        """Return the values of a field as labels."""
        return {str(row[field]) for row in self.rows}

    def is_long(self, field: str | None) -> bool:
        """Return whether most texts of a field are longer than what is answered word for word."""
        values = [row[field] for row in self.rows] if field is not None else []
        return median([len(v) if isinstance(v, str) else 0 for v in values] or [0]) > MOST_LETTERS

    def _id(self, target: str | None, recorded: Sequence[FirstModel]) -> str | None:
        """Return the field with the ids; None where a row's own digest will do."""

        def may_be(name: str) -> bool:
            return name != target and self._unique(name)

        found = self.asked.id or self._first(IDS, may_be)
        if found is None and recorded:
            shared = {*self.names}.intersection(*(model.rows[0] for model in recorded))
            left = [name for name in self.names if name in shared and may_be(name)]
            if len(left) != 1:
                raise self._unknown("id", (target,), " Predictions are aligned by it.")
            found = left[0]
        return found

    def _input(
        self, taken: Sequence[str | None], *, pair: bool, unasked: bool
    ) -> str | tuple[str, str]:
        if self.asked.input is not None:
            return self.asked.input
        free = [name for name in self.names if name not in taken and self._text(name)]
        for first, second in PAIRS if pair else ():
            if first in free and second in free:
                return first, second
        found = self._first(INPUTS, free.__contains__)
        if found is None and len(free) > 1:
            free = [name for name in free if self._unique(name)] or free
        if found is None and len(free) == 1:
            found = free[0]
        id = taken[1]
        if found is None and not free and unasked and id is not None and self._text(id):
            found = id  # nothing is asked of recorded models
        if found is None:
            raise self._unknown("input", taken)
        return found

    def _first(self, known: Iterable[str], suits: Callable[[str], bool]) -> str | None:
        """Return the first known name that is there and suits, in whatever case."""
        there = {name.lower(): name for name in reversed(self.names)}
        return next((there[name] for name in known if name in there and suits(there[name])), None)

    def _right(self, name: str) -> bool:
        """Return whether a field may hold what counts as right."""
        return all(isinstance(row[name], str | int | list) for row in self.rows)

    def _is_label(self, field: str) -> bool:
        values = [row[field] for row in self.rows]
        if not all(isinstance(v, str | int) and len(str(v)) <= MOST_LETTERS for v in values):
            return False
        return len({*map(str, values)}) <= max(2, min(MOST_CLASSES, len(values) // 2))

    def _list(self, name: str) -> bool:
        return all(isinstance(structure(row[name]), list) for row in self.rows)

    def _text(self, name: str) -> bool:
        return all(isinstance(row[name], str) for row in self.rows)

    def _unique(self, name: str) -> bool:
        values = [row[name] for row in self.rows]
        if not all(isinstance(value, str | int | float) for value in values):
            return False
        return len({*map(str, values)}) == len(values)

    def _unknown(self, what: str, taken: Collection[str | None], why: str = "") -> ConfigError:
        rest = [one_line(name) for name in self.names if name not in taken]
        known = f"Of {some_of(rest, most=10)} no name tells" if rest else "No field is left for it"
        return ConfigError(
            f"{one_line(str(self.path))}: which field is the {what}?{why} {known}"
            f"{self._why_not(what)}: say it with --{what} FIELD"
        )

    def _why_not(self, what: str) -> str:
        """Return why a field of the right name is not taken."""
        known = {"id": IDS, "input": INPUTS, "target": TARGETS}[what]
        partly = next((name for name in self._partly if name.lower() in known), None)
        if partly is not None:
            first = next(n for n, row in enumerate(self.rows, 1) if row.get(partly) is None)
            return f" ('{one_line(partly)}' is not in every row: row {first} has none)"
        named = next((name for name in self.names if name.lower() in known), None)
        if what != "target" or named is None or self._right(named):
            return ""
        if any(isinstance(row[named], Mapping) for row in self.rows):
            return f" ('{one_line(named)}' has mappings in it, and no texts)"
        return f" ('{one_line(named)}' has numbers that are no labels; {OTHER_TASKS})"


def tasks_of_all(models: Sequence[FirstModel], asked: str | None) -> list[str]:
    """Return the tasks that all models can be asked, the usual one first: the one that is `asked`.

    Raises
    ------
    ConfigError
        Where there is none.
    """
    if asked is not None:
        refuse_unknown(asked, TASKS, f"--task: no task is called '{one_line(asked)}'")
    able = [task for task in models[0].tasks if all(task in model.tasks for model in models)]
    wanted = able if asked is None else [task for task in able if task == asked]
    if not wanted:
        each = "; ".join(f"{one_line(str(m.path))}: {', '.join(m.tasks)}" for m in models)
        what = "no task suits all models" if asked is None else f"--task {asked}: does not suit all"
        raise ConfigError(f"{what} ({each})")
    return wanted


def refuse_other_targets(models: Sequence[FirstModel], fields: Fields) -> None:
    """Raise ConfigError where files of predictions, one of which is the gold set, disagree.

    Parameters
    ----------
    models : sequence of FirstModel
        The one with the gold set first.
    fields : Fields
        Its fields.
    """
    if fields.id is None or fields.target is None:
        return
    first, *others = models
    gold = {str(row[fields.id]): str(row[fields.target]) for row in first.rows}
    for model in others:
        if not {fields.id, fields.target} <= {*(model.rows or ({},))[0]}:
            continue
        for row in model.rows:
            id, target = str(row.get(fields.id)), str(row.get(fields.target))
            if gold.get(id, target) != target:
                raise ConfigError(
                    f"{one_line(str(model.path))}: the {fields.target} of '{one_line(id)}' is "
                    f"{target!r:.60}, and in {one_line(str(first.path))} {gold[id]!r:.60}: name "
                    "the gold set with --gold FILE"
                )
