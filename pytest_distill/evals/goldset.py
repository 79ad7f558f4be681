"""The gold set: the labelled examples of one eval, read-only, and how they are read from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pytest_distill._util.gc import collector_paused
from pytest_distill.errors import EvaluationError, GoldSetError, did_you_mean
from pytest_distill.evals.ids import DEFAULT_ID_FIELD, id_text, meeting, met, would_meet
from pytest_distill.evals.rows import ClassNames, Rows, open_rows


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled example.

    Parameters
    ----------
    id : str
        Stable over runs: the row's id field, else a digest of the row.
    fields : mapping
        The row as it stands in the file, field name -> value. What was read from a file is
        read-only: metrics and engines share it.
    where : str
        File and line (or row), for messages.
    """

    id: str
    fields: Mapping[str, Any]
    where: str

    @property
    def place(self) -> str:
        """Where the example stands and its id: how a message about it starts."""
        return f"{self.where} (id '{self.id}')"

    def gold_error(self, problem: str) -> GoldSetError:
        """Return the error about what the gold set says in this example."""
        return GoldSetError(f"{self.place}: {problem}")

    def answer_error(self, problem: str) -> EvaluationError:
        """Return the error about what a model or a metric gave for this example."""
        return EvaluationError(f"{self.place}: {problem}")


@dataclass(frozen=True, slots=True)
class GoldSet:
    """The labelled examples of one eval, in the order of the file; never empty, ids unique."""

    source: str
    examples: tuple[Example, ...]
    rest: tuple[Example, ...] = ()
    """The file's examples that a sample left out."""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field -> what the source calls the classes that stand there as numbers from 0."""
    origin: str | None = None
    """Which commit a data set of the hub is."""
    id_field: str = DEFAULT_ID_FIELD
    """The field with the ids, in the gold set and in predictions."""
    states_ids: bool = True
    """Whether the rows have it; else an id is a digest of its row."""

    @property
    def by_meeting(self) -> Mapping[str, str]:
        """What each id of the file meets others by -> the id: see `pytest_distill.evals.ids`."""
        return {meeting(example.id): example.id for example in self.whole}

    @property
    def left_out(self) -> frozenset[str]:
        """Ids of the examples that a sample left out."""
        return frozenset(example.id for example in self.rest)

    @property
    def whole(self) -> tuple[Example, ...]:
        """All examples of the file, for what a sample cannot tell: which labels there are."""
        return (*self.examples, *self.rest)

    def sample(self, n: int) -> GoldSet:
        """Return `n` of the examples, the same ones at every call, in the order of the file.

        Which ones depends on the ids alone, so that a file in another order gives the same sample.
        """
        if n >= len(self.examples):
            return self
        by_digest = sorted(self.examples, key=lambda e: hashlib.sha256(e.id.encode()).digest())
        chosen = {example.id for example in by_digest[:n]}
        taken = tuple(example for example in self.examples if example.id in chosen)
        rest = (*by_digest[n:], *self.rest)
        return replace(self, examples=taken, rest=rest)

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)


@collector_paused()
def read_gold_set(
    source: Path | str,
    *,
    id_field: str = DEFAULT_ID_FIELD,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> GoldSet:
    """Read a gold set.

    Parameters
    ----------
    source : Path or str
        A ``.jsonl``, ``.csv`` or ``.parquet`` file, a folder that ``datasets`` saved to disk, or
        the name of a dataset on the Hugging Face hub (with `split`).
    id_field : str
        The field that holds an example's id, a text or a number. Where no row has the default
        field, an example's id is a digest of its row; another field must be there.
    split : str, optional
        Which split of a ``datasets`` folder or of a hub dataset.
    config, revision : str, optional
        Which config of a hub dataset, and which branch, tag or commit.

    Returns
    -------
    GoldSet

    Raises
    ------
    GoldSetError
        Nothing can be read there, a row is malformed, an id is used twice, or there is no row.
    """
    names: ClassNames = {}
    shown, rows, origin = open_rows(source, split, names, config=config, revision=revision)
    by_id: dict[str, Example] = {}
    for example in with_ids(rows, id_field):
        key = meeting(example.id)
        if key in by_id:
            raise _duplicate(by_id[key], example, id_field)
        by_id[key] = example
    if not by_id:
        raise GoldSetError(f"{shown}: it is empty; at least one example is needed")
    examples = tuple(by_id.values())
    states = examples[0].fields.get(id_field) is not None
    return GoldSet(shown, examples, (), names, origin, id_field, states)


def row_digest(row: Mapping[str, Any]) -> str:
    """Return the id of a row that states none: 16 hex digits of its canonical JSON's SHA-256."""
    canonical = json.dumps(row, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def with_ids(rows: Rows, id_field: str) -> Iterator[Example]:
    """Yield rows as examples, each under its id; GoldSetError where it states none that can be."""
    first: tuple[str, bool] | None = None
    for where, row in rows:
        stated = row.get(id_field) is not None
        # Only the default may be absent: under another name it is a slip, not a wish for digests.
        if not stated and id_field != DEFAULT_ID_FIELD:
            raise GoldSetError(f"{where}: no field '{id_field}'; {did_you_mean(id_field, row)}")
        first = first or (where, stated)
        if stated != first[1]:
            without, with_id = (where, first[0]) if first[1] else (first[0], where)
            raise GoldSetError(
                f"{without}: no '{id_field}', though {with_id} has one; give every row an id, "
                "or none"
            )
        id = stated_id(where, id_field, row[id_field]) if stated else row_digest(row)
        yield Example(id, read_only(row), where)


def stated_id(where: str, id_field: str, value: Any) -> str:
    """Return the id that a row states; GoldSetError where it is none."""
    try:
        return id_text(value)
    except ValueError as error:
        raise GoldSetError(f"{where}: '{id_field}' {error}") from None


def _duplicate(first: Example, second: Example, id_field: str) -> GoldSetError:
    if second.fields.get(id_field) is not None:
        if would_meet(first.fields[id_field], second.fields[id_field]):
            one, other = first.fields[id_field], second.fields[id_field]
            return GoldSetError(met(second.where, other, first.where, one, id_field))
        return GoldSetError(
            f"{second.where}: the {id_field} '{second.id}' is already used at {first.where}"
        )
    return GoldSetError(
        f"{second.where}: the same row as {first.where}; remove one, or tell them apart by "
        f"'{id_field}'"
    )


def _refuse(self: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
    raise TypeError(
        f"gold examples are read-only: take a copy, such as copy.deepcopy(...), to change {self!r}"
    )


class ReadOnlyDict(dict[str, Any]):
    """A dict that refuses to be changed; copies of it are plain dicts."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A list that refuses to be changed; copies of it are plain lists."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = remove = _refuse
    clear = pop = sort = reverse = _refuse

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)


_CHANGEABLE = (dict, list)


def read_only(value: Any) -> Any:
    """Return a value of JSON with its mappings and lists made read-only, however deep.

    They stay dicts and lists, so that json and ``isinstance`` know them.
    """
    if isinstance(value, dict):
        # Most values are none of the two: a row costs a copy, and a call for each that is.
        nested = {k: read_only(v) for k, v in value.items() if isinstance(v, _CHANGEABLE)}
        return ReadOnlyDict(value | nested if nested else value)
    if isinstance(value, list):
        return ReadOnlyList(map(read_only, value))
    return value
