"""The rows of a file of predictions: one an example, or one a sample of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from pytest_distill._util.format import count_text
from pytest_distill._util.gc import collector_paused
from pytest_distill.errors import EvaluationError, GoldSetError, did_you_mean
from pytest_distill.evals.cells import whole
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, read_only
from pytest_distill.evals.rows import Row, open_rows
from pytest_distill.evaluation.alignment import matched
from pytest_distill.evaluation.sources.forms import Forms
from pytest_distill.evaluation.sources.row_ids import RowIds

ANSWERS = ("prediction", "probabilities", "loglikelihoods", "text", "tool_calls", "scores")
"""The fields of a row, at least one of which it must have beside its id."""

REPEAT = "repeat"
"""The field that tells the samples of one example apart."""

AT_TOKENS = "at_tokens"
"""Field of an exported row that was asked within a budget of tokens: how many these are."""


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
