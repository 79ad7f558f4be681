"""Of which example a row of a model's answers is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.errors import EvaluationError, few, some_of
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet, stated_id
from pytest_distill.evals.ids import DEFAULT_ID_FIELD, meeting, met, would_meet


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
