"""The rows of a file of predictions: one an example, or one a sample of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_distill._util.format import count_text
from pytest_distill._util.gc import collector_paused
from pytest_distill.errors import EvaluationError, GoldSetError, did_you_mean, few, some_of
from pytest_distill.evals.cells import whole
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet, read_only, stated_id
from pytest_distill.evals.ids import DEFAULT_ID_FIELD, meeting, met, would_meet
from pytest_distill.evals.rows import Row, open_rows
from pytest_distill.evaluation.alignment import matched
from pytest_distill.evaluation.sources.forms import Forms

ANSWERS = ("prediction", "probabilities", "loglikelihoods", "text", "tool_calls", "scores")
"""The fields of a row, at least one of which it must have beside its id."""

REPEAT = "repeat"
"""The field that tells the samples of one example apart."""

AT_TOKENS = "at_tokens"
"""Field of an exported row that was asked within a budget of tokens: how many these are."""


class RowIds:
    """The ids that the rows of one file state, as the gold set writes them.

    Parameters
    ----------
    on : Eval, optional
        Whose examples they are; without it an id is what the field `id` says.
    """

    def __init__(self, on: Eval | None) -> None:
        self.gold = None if on is None else on.gold
        own = DEFAULT_ID_FIELD if on is None else on.gold.id_field
        self.fields = tuple(dict.fromkeys((own, DEFAULT_ID_FIELD)))
        self._gold_ids = {} if on is None else on.gold.by_meeting
        self._stated: dict[str, tuple[str, Any]] = {}
        self._others = {} if self.gold is None else _other_ids(self.gold)

    def of(self, where: str, row: Mapping[str, Any]) -> str:
        """Return the id of a row.

        Raises
        ------
        EvaluationError, GoldSetError
            Where it states none that can be, or another form of one that an earlier row states.
        """
        field = self._field(row)
        if field is None:
            raise EvaluationError(f"{where}: {self._lacking(row)}")
        value = row[field]
        written = value if type(value) is str else stated_id(where, field, value)
        key = meeting(written)
        first = self._stated.setdefault(key, (where, value))
        if first[1] is not value and would_meet(first[1], value):
            raise EvaluationError(met(where, value, *first, field))
        found = self._gold_ids.get(key, written)
        if field == DEFAULT_ID_FIELD and self._others.get(key, found) != found:
            raise EvaluationError(self._doubtful(where, written, self._others[key]))
        return found

    def _doubtful(self, where: str, id: str, other: str) -> str:
        own = self.gold.id_field if self.gold is not None else ""
        return (
            f"{where}: its 'id' {id!r:.60} is in the gold set the '{own}' of one example and the "
            f"'id' of another (whose '{own}' is {other!r:.60}): call the field here '{own}', or "
            "take 'id:' out of the eval"
        )

    def _field(self, row: Mapping[str, Any]) -> str | None:
        for field in self.fields:
            value = row.get(field)
            if value is not None and value != "":
                if len(self.fields) > 1:
                    self.fields = (field,)  # of one row as of the others
                return field
        return None

    def _lacking(self, row: Mapping[str, Any]) -> str:
        sought = " and no ".join(map(repr, self.fields))
        if self._stated or self.gold is None:
            return f"no {sought}"
        ids = few([example.id for example in self.gold])
        stated = self.gold.states_ids
        known = f"has {ids}" if stated else "states none either"
        both = "" if stated else ", here and in the gold set"
        return (
            f"no {sought}, which would say of which example it is; the row has "
            f"{some_of([*map(str, row)])}. Of ids {self.gold.source} {known}: give every row its "
            f"example's in a field 'id', or in the one that 'id:' of the eval names{both}"
        )


def _other_ids(gold: GoldSet) -> dict[str, str]:
    """Return what rows of the gold set have as `id` beside the ids that they are found by."""
    if gold.id_field == DEFAULT_ID_FIELD:
        return {}
    stated = ((example.fields.get(DEFAULT_ID_FIELD), example.id) for example in gold.whole)
    return {meeting(str(other)): id for other, id in stated if isinstance(other, str | int)}


@dataclass(frozen=True, slots=True)
class RecordedRows:
    """The rows of a file, by the id of their example.

    Parameters
    ----------
    source : str
        What messages call the file.
    by_id : mapping
        Id -> its rows, in the order of their field `repeat`.
    """

    source: str
    by_id: Mapping[str, Sequence[Example]]

    @property
    def all(self) -> list[Example]:
        """All rows, those of an example beside each other."""
        return [row for rows in self.by_id.values() for row in rows]

    @property
    def in_full(self) -> RecordedRows:
        """The rows without those that were asked within a budget of tokens."""
        return self.where(lambda row: AT_TOKENS not in row.fields)

    def where(self, wanted: Callable[[Example], bool]) -> RecordedRows:
        """Return the rows that are wanted."""
        kept = {id: [row for row in rows if wanted(row)] for id, rows in self.by_id.items()}
        return RecordedRows(self.source, {id: rows for id, rows in kept.items() if rows})

    def of(self, on: Eval) -> list[Example]:
        """Return one row a request, in the order of `Eval.all_requests`.

        Raises
        ------
        EvaluationError
            Where an example has no row, or another number of them than the eval has repeats, or a
            row is of no example.
        """
        order = matched(self.by_id, on, self.source)
        found = Counter(len(self.by_id[id]) for id in order)
        if found.keys() != {on.task.repeats}:
            raise EvaluationError(f"{self.source}: {self._wrong_number(on, order, found)}")
        return [row for id in order for row in self.by_id[id]]

    def _wrong_number(self, on: Eval, order: Sequence[str], found: Counter[int]) -> str:
        """Return what is wrong with the number of rows of an example, by its id."""
        repeats = on.task.repeats
        usual = repeats if repeats in found else found.most_common(1)[0][0]
        if len(found) > 1:
            odd, other = (
                next(id for id in order if (len(self.by_id[id]) == usual) is same)
                for same in (False, True)
            )
            return (
                f"{count_text(len(self.by_id[odd]), 'row')} for example '{odd}', and {usual:,} for "
                f"'{other}': record as many samples of every example"
            )
        rows = f"{count_text(usual, 'row')} for example '{order[0]}', and eval '{on.name}'"
        if not any(field.name == "repeats" for field in fields(on.task)):
            return f"{rows} has the task {on.task.name}, which takes one answer to each"
        if repeats == 1:
            return (
                f"{rows} asks for one answer to each: say 'repeats: {usual:,}' there (beside "
                "do_sample: true and a seed)"
            )
        return (
            f"{rows} asks for {repeats:,} (repeats: {repeats:,}): record as many, each with its "
            f"number in a field '{REPEAT}', or say 'repeats: {usual:,}'"
        )


@collector_paused()
def read_rows(path: Path, on: Eval | None = None) -> RecordedRows:
    """Return the rows of a file of predictions, which is read as a gold set is.

    Parameters
    ----------
    path : Path
        The file.
    on : Eval, optional
        Whose predictions they are: then a row may be in the forms of others, and has the id that
        the gold set writes. Without it they are our own.

    Raises
    ------
    EvaluationError
        Naming line and id, where a row has no answer; where two rows have one id and no numbers
        in their field `repeat` that tell them apart.
    """
    reader = _RowReader(on)
    try:
        source, rows, _ = open_rows(path, None)
        for where, row in rows:
            reader.add(where, row)
    except GoldSetError as error:
        raise EvaluationError(str(error)) from None
    return reader.rows(source)


class _RowReader:
    """The rows of one file as they are read."""

    def __init__(self, on: Eval | None) -> None:
        self.forms = None if on is None else Forms(on)
        self.ids = RowIds(on)
        self.by_id: dict[str, list[Example]] = {}

    def add(self, where: str, line: Row) -> None:
        """Take in a row of the file."""
        if self.forms is None:
            example = Example(self.ids.of(where, line), read_only(line), where)
            _check_row(example)
            self.by_id.setdefault(example.id, []).append(example)
            return
        for row in self.forms.samples(where, line):
            id = self.ids.of(where, row)
            for answer in self.forms.read(where, id, row):
                self.by_id.setdefault(id, []).append(Example(id, read_only(answer), where))

    def rows(self, source: str) -> RecordedRows:
        """Return all rows."""
        if not self.by_id:
            raise EvaluationError(f"{source}: it is empty; at least one example is needed")
        if self.forms is not None:
            self.forms.finish()
        in_order = {
            id: _by_number(rows) if len(rows) > 1 else rows for id, rows in self.by_id.items()
        }
        return RecordedRows(source, in_order)


def _check_row(row: Example) -> None:
    if not set(ANSWERS) & set(row.fields):
        odd = next((name for name in row.fields if name != "id"), "")
        raise row.answer_error(
            f"none of {', '.join(ANSWERS)}"
            + (f"; '{odd}': {did_you_mean(odd, ANSWERS)}" if odd else "")
        )


def _by_number(rows: Sequence[Example]) -> list[Example]:
    """Return the rows of one id by their numbers."""
    by_number: dict[int, Example] = {}
    first = rows[0]
    for row in rows:
        if REPEAT not in row.fields:
            other = first if row is not first else rows[1]
            later, earlier = (row, other) if row is not first else (other, row)
            raise EvaluationError(
                f"{later.where}: the id '{row.id}' is already used at {earlier.where}; where these "
                f"are samples of one example, number them in a field '{REPEAT}'"
            )
        number = whole(row.fields[REPEAT])
        if number is None:
            raise row.answer_error(f"{REPEAT} is {row.fields[REPEAT]!r:.60}, not a whole number")
        if number in by_number:
            raise row.answer_error(
                f"{REPEAT} {number} of this id is already used at {by_number[number].where}"
            )
        by_number[number] = row
    return [by_number[number] for number in sorted(by_number)]
