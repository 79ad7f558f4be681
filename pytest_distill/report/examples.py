"""The examples of an eval and what each model answered, for whoever reads them side by side.

They are no part of the JSON report: of a large gold set they are larger than all the rest.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from pydantic import TypeAdapter

from pytest_distill.report.records.comparisons import PairRow
from pytest_distill.report.records.record import record_of
from pytest_distill.report.share import Listing, index_in

LOST, SAME, WON = "-", "=", "+"
"""Whether a model is worse, as good or better than another on an example."""


@dataclass(frozen=True, slots=True)
class ModelAnswers:
    """What one model answered, in the order of the examples."""

    model: str
    role: str
    answers: tuple[str, ...]
    """Empty where only scores are known."""
    scores: tuple[float, ...]
    gains: tuple[float, ...] = ()
    """By how much each is better than the teacher's, under 0 where it is worse; empty for the
    teacher, and where it gave none."""


@dataclass(frozen=True, slots=True)
class ExampleTable:
    """The examples of one eval, each told in text, and the models' answers by one metric."""

    config: str
    eval: str
    metric: str
    higher_is_better: bool
    right_or_wrong: bool
    """Whether every score is 1 or 0."""
    ids: tuple[str, ...]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    """What counts as right, an accepted answer a line."""
    slices: dict[str, tuple[str, ...]]
    """Field of the eval's ``slices:`` -> each example's value."""
    models: tuple[ModelAnswers, ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others of the run."""
        return self.config, self.eval, self.metric


@cache
def _adapter() -> TypeAdapter[list[ExampleTable]]:
    """Return what reads and writes tables; made where one crosses processes, and not before."""
    return TypeAdapter(list[ExampleTable])


def packed(tables: list[ExampleTable]) -> bytes:
    """Return the tables as they cross processes; half a surrogate pair does so escaped."""
    return zlib.compress(json.dumps(_adapter().dump_python(tables)).encode(), level=1)


def unpacked(told: bytes) -> list[ExampleTable]:
    """Return what `packed` made; ValueError where it is none."""
    try:
        return _adapter().validate_python(json.loads(zlib.decompress(told)))
    except zlib.error as error:
        raise ValueError(str(error)) from None


def joined(
    tables: Iterable[ExampleTable], listings: Mapping[str, Listing]
) -> tuple[ExampleTable, ...]:
    """Return each eval's table once, with the models of all processes and what they gained.

    Everything stands in the order of ``distill.yaml``, whichever process ends first.
    """
    found: dict[tuple[str, str, str], ExampleTable] = {}
    for table in tables:
        known = found.setdefault(table.key, table)
        if known.ids == table.ids:
            models = {m.model: m for m in (*table.models, *known.models)}
            either = known.right_or_wrong and table.right_or_wrong
            found[table.key] = replace(known, models=tuple(models.values()), right_or_wrong=either)
    ordered = sorted(found.values(), key=lambda table: _place(table, listings))
    return tuple(_with_gains(table, listings) for table in ordered)


def signs(mine: Sequence[float], its: Sequence[float], higher_is_better: bool) -> str:
    """Return on each example whether one model is worse, as good or better than another."""
    better, worse = (WON, LOST) if higher_is_better else (LOST, WON)
    return "".join(
        SAME if one == other else better if one > other else worse
        for one, other in zip(mine, its, strict=True)
    )


def counted(found: str) -> dict[str, int]:
    """Return on how many examples of `signs` a model wins, loses and ties."""
    return {"wins": found.count(WON), "losses": found.count(LOST), "ties": found.count(SAME)}


def pair_rows(tables: Iterable[ExampleTable]) -> Iterator[PairRow]:
    """Yield on how many examples each student does better and worse than each other role."""
    for table in tables:
        for mine in (model for model in table.models if model.role == "student"):
            for its in (model for model in table.models if model.role != "student"):
                yield record_of(
                    PairRow,
                    table,
                    model=mine.model,
                    other=its.model,
                    other_role=its.role,
                    **counted(signs(mine.scores, its.scores, table.higher_is_better)),
                )


def _place(table: ExampleTable, listings: Mapping[str, Listing]) -> tuple[str, int]:
    return table.config, index_in([*listings.get(table.config, Listing()).evals], table.eval)


def _with_gains(table: ExampleTable, listings: Mapping[str, Listing]) -> ExampleTable:
    names = listings.get(table.config, Listing()).models
    models = sorted(table.models, key=lambda model: index_in(names, model.model))
    teacher = next((model for model in models if model.role == "teacher"), None)
    if teacher is None:
        return replace(table, models=tuple(models))
    sign = 1 if table.higher_is_better else -1
    return replace(
        table,
        models=tuple(
            model
            if model is teacher
            else replace(
                model,
                gains=tuple(
                    sign * (mine - its)
                    for mine, its in zip(model.scores, teacher.scores, strict=True)
                ),
            )
            for model in models
        ),
    )
