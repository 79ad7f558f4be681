"""Whether the gold set leaked into the data that the student was trained on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from pytest_distill.errors import ComparisonError, ConfigError, did_you_mean
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.rows import open_rows
from pytest_distill.verdicts.comparison import Comparison
from pytest_distill.verdicts.numbers import bounded, ceil_text, floor_text
from pytest_distill.verdicts.verdict import Verdict, as_float, decided

MOST_IDS = 10


@dataclass(frozen=True)
class NotContaminated:
    """No gold example is in the training or transfer data, whole or in a long run of words.

    Words are runs of letters and digits, in lower case. Two texts overlap when their words are the
    same, or when they share `n` words in a row; 13 is what Brown et al. (2020), "Language Models
    are Few-Shot Learners", appendix C, took.

    Parameters
    ----------
    train : str or path
        The training data, relative to ``distill.yaml``: .jsonl, .csv, .parquet or a datasets
        folder.
    field : str
        Field with the text, in the training data and in the gold set (there, where it lacks the
        field, what the task asks about).
    n : int
        Length of a shared run of words; None looks for whole texts only.
    max_overlap : float
        Share of the gold examples that may overlap, in [0, 1).
    """

    name: ClassVar[str] = "not_contaminated"

    train: str | os.PathLike[str]
    field: str = "input"
    n: int | None = 13
    max_overlap: float = 0.0

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the gold examples that overlap."""
        found = set(self._overlap(comparison).ids)
        on = _measured(comparison)
        return [{"id": e.id, "fields": dict(e.fields)} for e in on.gold if e.id in found]

    def judge(self, comparison: Comparison) -> Verdict:
        """Look for the gold examples in the training data."""
        on = _measured(comparison)
        if not isinstance(self.train, str | os.PathLike):
            raise ConfigError(f"train={self.train!r}: must be the path of a file")
        train = comparison.folder / self.train
        most = bounded(
            self.max_overlap, "max_overlap", least=0, below=1, what="a share of the gold examples"
        )
        whole = self.n is None or (isinstance(self.n, int) and not isinstance(self.n, bool))
        if not whole or (self.n is not None and self.n < 1):
            raise ConfigError(f"n={self.n!r}: must be a number of words, at least 1, or None")
        overlap = self._overlap(comparison)
        if not overlap.rows:
            raise ConfigError(f"{train}: has no rows, so that it proves nothing")
        share = Fraction(len(overlap.ids), len(on.gold))
        clean = [i for i, example in enumerate(on.gold) if example.id not in set(overlap.ids)]
        remainder = self._remainder(comparison, clean) if overlap.ids else ()
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=comparison.metric().name,
            model=comparison.model("student").name,
            observed=as_float(share, "<="),
            required=float(self.max_overlap),
            relation="<=",
            outcome=decided(share <= most),
            confidence=None,
            n=len(on.gold),
            slice=None,
            notes=(f"{overlap.rows:,} rows of {train.name} read", *remainder),
            message="\n".join(
                [
                    f"assert {ceil_text(share)} <= {self.max_overlap:g} of the gold set in "
                    f"{train.name}",
                    f"  {len(overlap.exact):,} whole texts: {_listed(overlap.exact)}",
                    f"  {len(overlap.partial):,} share {self.n} words in a row: "
                    f"{_listed(overlap.partial)}",
                    *(f"  {line}" for line in remainder),
                ]
            ),
            details={"exact": overlap.exact, "runs": overlap.partial},
        )

    def _overlap(self, comparison: Comparison) -> Overlap:
        on = _measured(comparison)
        texts = {e.id: self._gold_words(e, on) for e in on.gold}
        return find_overlap(texts, self._train_texts(comparison.folder / self.train), self.n)

    def _train_texts(self, train: Path) -> Iterator[list[str]]:
        _, rows = open_rows(train, None)
        for where, row in rows:
            if self.field not in row:
                raise ConfigError(
                    f"{where}: no field '{self.field}'; {did_you_mean(self.field, row)} "
                    "(assert_not_contaminated(field=...))"
                )
            yield _words_in(row[self.field], self.field, where)

    def _gold_words(self, example: Example, on: Eval) -> list[str]:
        fields = example.fields
        if self.field in fields:
            return _words_in(fields[self.field], self.field, example.place)
        asked = getattr(on.task, "input", self.field)
        named = asked if isinstance(asked, tuple) else (asked,)
        lacking = next((name for name in named if name not in fields), None)
        if lacking is not None:
            raise ConfigError(
                f"eval '{on.name}' has no field '{self.field}'; {did_you_mean(self.field, fields)} "
                "(assert_not_contaminated(field=...))"
            )
        return [word for name in named for word in _words_in(fields[name], name, example.place)]

    def _remainder(self, comparison: Comparison, clean: list[int]) -> tuple[str, ...]:
        if not clean:
            return ("no clean example remains",)
        if not {"teacher", "student"} <= {m.role for m in comparison.models.values()}:
            return ()
        retained = comparison.exact_retained(slice=clean)
        whole = comparison.exact_retained()
        return (
            f"retained {floor_text(retained)} on the {len(clean):,} clean examples, "
            f"{floor_text(whole)} on all",
        )


@dataclass
class Overlap:
    """Ids of gold examples that stand in the training data, and how many rows were read."""

    exact: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    rows: int = 0

    @property
    def ids(self) -> list[str]:
        """All of them."""
        return [*self.exact, *self.partial]


def find_overlap(gold: dict[str, list[str]], train: Iterator[list[str]], n: int | None) -> Overlap:
    """Return which gold texts stand in the training data; memory grows with the gold set alone.

    Parameters
    ----------
    gold : dict
        Id -> words.
    train : iterator of list of str
        The words of each training text.
    n : int, optional
        Length of a shared run of words.
    """
    whole: dict[tuple[str, ...], list[str]] = {}
    runs: dict[tuple[str, ...], set[str]] = {}
    for identity, text in gold.items():
        if text:
            whole.setdefault(tuple(text), []).append(identity)
        for run in _runs(text, n):
            runs.setdefault(run, set()).add(identity)
    exact: dict[str, None] = {}
    partial: dict[str, None] = {}
    rows = 0
    for text in train:
        rows += 1
        exact |= dict.fromkeys(whole.get(tuple(text), ()))
        for run in _runs(text, n):
            partial |= dict.fromkeys(sorted(runs.get(run, ())))
    return Overlap(list(exact), [i for i in partial if i not in exact], rows)


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits, in lower case."""
    return re.findall(r"\w+", text.lower())


def _runs(text: list[str], n: int | None) -> Iterator[tuple[str, ...]]:
    if n is not None:
        for start in range(len(text) - n + 1):
            yield tuple(text[start : start + n])


def _measured(comparison: Comparison) -> Eval:
    if not isinstance(comparison.on, Eval):
        raise ComparisonError(f"eval '{comparison.eval}' has reported scores, and no gold set")
    return comparison.on


def _words_in(value: Any, name: str, where: str) -> list[str]:
    """Return the words of a field; ConfigError where it has none: nothing would be found there."""
    found = words(value) if isinstance(value, str) else []
    if not found:
        given = "null" if value is None else repr(value)[:60]
        raise ConfigError(
            f"{where}: field '{name}' has no text with words to compare, but {given}; remove the "
            "row, or name the field with the text: assert_not_contaminated(field=...)"
        )
    return found


def _listed(ids: list[str]) -> str:
    more = [f"and {len(ids) - MOST_IDS} more"] if len(ids) > MOST_IDS else []
    return ", ".join([*ids[:MOST_IDS], *more]) or "none"
