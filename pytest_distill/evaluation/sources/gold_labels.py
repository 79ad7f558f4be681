"""Rows of a gold set with a model's score beside them, whose `label` is none of the model's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.rows import Row

LABEL = "label"
"""What pipelines call the label that they predict, and many data sets the right one."""


class GoldLabels:
    """The labels of one file, of which all may be the gold set's own.

    A row of the gold set to which somebody gave a column `score` looks as if a pipeline had filled
    it. So it is certain that the labels are a model's where one of them is not the right one.

    Parameters
    ----------
    on : Eval
        Whose predictions they are.
    """

    def __init__(self, on: Eval) -> None:
        self.on = on
        self._first: str | None = None
        self._is_certain = False

    def look_at(self, place: str, id: str, row: Row) -> None:
        """Look whether a row may be one of the gold set."""
        if self._is_certain:
            return
        self._first = self._first or place
        self._is_certain = not _is_row_of(self._gold.get(id, {}), row)

    def refuse_doubtful(self) -> None:
        """Raise EvaluationError where all rows may be the gold set's."""
        if self._first is not None and not self._is_certain:
            raise EvaluationError(
                f"{self._first}: this row and all others have fields of {self.on.gold.source}, its "
                f"'{LABEL}' too: nothing tells it from the gold label; write what the model "
                "predicted into a field 'prediction'"
            )

    @cached_property
    def _gold(self) -> Mapping[str, Mapping[str, Any]]:
        return {example.id: example.fields for example in self.on.gold.whole}


def _is_row_of(gold: Mapping[str, Any], row: Row) -> bool:
    """Return whether a row has the label of an example, and a text of it beside that."""
    if LABEL not in gold or str(gold[LABEL]) != str(row.get(LABEL)):
        return False
    return any(
        isinstance(text, str) and name not in ("id", LABEL) and row.get(name) == text
        for name, text in gold.items()
    )
