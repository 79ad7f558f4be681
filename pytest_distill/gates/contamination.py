"""Whether the gold set leaked into the data that the student was trained on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from pytest_distill._util.format import ceil_text, floor_text
from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.shown import example_row
from pytest_distill.errors import ComparisonError, ConfigError, did_you_mean
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.rows import open_rows
from pytest_distill.evals.tasks.messages import spoken
from pytest_distill.gates.deciding import headline, observed
from pytest_distill.gates.gate import Row, listed
from pytest_distill.gates.subjects import EvalGate
from pytest_distill.gates.verdict import Verdict


@dataclass(frozen=True)
class NotContaminated(EvalGate):
    """No gold example is in the training or transfer data, whole or in a long run of words.

    Words are runs of letters and digits, in lower case. Two texts overlap when their words are the
    same, or when they share `n` words in a row; 13 is what Brown et al. (2020), "Language Models
    are Few-Shot Learners", appendix C, took. A row without words overlaps with nothing: it is left
    out and counted in a note. Where most rows are so, or none has text, the field is the wrong one.

    Parameters
    ----------
    train : str or path
        The data, relative to ``distill.yaml``: .jsonl, .csv, .parquet or a datasets folder.
    field : str
        Field with the text, in the training data and in the gold set (there, where it lacks the
        field, what the task asks about).
    n : int, optional
        How many words in a row count as overlap; None looks for whole texts only.
    max_overlap : float
        Share of the gold examples that may overlap, in [0, 1).
    """

    name: ClassVar[str] = "not_contaminated"
    asks: ClassVar[str] = "Does {what} of the gold set stand in the training data?"

    train: str | os.PathLike[str]
    _: KW_ONLY
    field: str = "input"
    n: int | None = 13
    max_overlap: float = 0.0

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the gold examples that overlap."""
        found = set(self._overlap(comparison).ids)
        on = _measured(comparison)
        return [example_row(e) for e in on.gold if e.id in found]

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
        if overlap.wordless_gold == len(on.gold):
            raise ConfigError(
                f"{on.gold.source}: no example has words in '{self.field}', so that nothing would "
                "be found; name the field with the text (the argument field=)"
            )
        wordless = tuple(self._wordless(overlap, len(on.gold)))
        share = Fraction(len(overlap.ids), len(on.gold))
        clean = [i for i, example in enumerate(on.gold) if example.id not in set(overlap.ids)]
        remainder = self._remainder(comparison, clean) if overlap.ids else ()
        counted = (*wordless, *remainder)
        whole_texts, runs = overlap.exact, overlap.partial
        what = f"of the gold set in {train.name}"
        return self.verdict(
            comparison,
            observed(share, "<=", most),
            headline(ceil_text(share), "<=", f"{self.max_overlap:g}", what),
            metric=comparison.metric().name,
            n=len(on.gold),
            facts=[f"{overlap.rows:,} rows read", f"{len(whole_texts) + len(runs):,} overlap"],
            notes=(f"{overlap.rows:,} rows of {train.name} read", *counted),
            lines=[
                f"  {len(whole_texts):,} whole texts: {listed(whole_texts)}",
                f"  {len(runs):,} share {self.n} words in a row: {listed(runs)}",
                *(f"  {line}" for line in counted),
            ],
            details={"exact": whole_texts, "runs": runs},
        )

    def _overlap(self, comparison: Comparison) -> Overlap:
        on = _measured(comparison)
        texts = {e.id: self._gold_words(e, on) for e in on.gold}
        return find_overlap(texts, self._train_texts(comparison.folder / self.train), self.n)

    def _wordless(self, overlap: Overlap, examples: int) -> Iterator[str]:
        """Yield how many rows and examples were left out, as nothing would be found there."""
        if overlap.wordless:
            yield f"{overlap.wordless:,} of {overlap.rows:,} rows have no words in '{self.field}'"
        if overlap.wordless_gold:
            yield f"{overlap.wordless_gold:,} of {examples:,} gold examples have no words"

    def _train_texts(self, train: Path) -> Iterator[list[str]]:
        """Yield the words of each row; ConfigError where the field is not the one with the text."""
        shown, rows, _ = open_rows(train, None)
        n = wordless = with_text = 0
        odd = ""  # the first row without text
        for where, row in rows:
            n += 1
            if self.field not in row:
                raise ConfigError(
                    f"{where}: no field '{self.field}'; {did_you_mean(self.field, row)} "
                    "(the argument field=)"
                )
            value = row[self.field]
            found = _words_in(value)
            is_text = bool(found) if isinstance(value, str) else _has_text(value)
            wordless += not found
            with_text += is_text
            if not is_text and not odd:
                odd = f"{where}: {'null' if value is None else repr(value):.60}"
            yield found
        if n and (not with_text or 2 * wordless > n):
            some = f"words in {wordless:,} of {n:,} rows"
            lacking = some if with_text else f"text in any of its {n:,} rows"
            raise ConfigError(
                f"{shown}: field '{self.field}' has no {lacking} ({odd}), so that nothing would be "
                "found there; name the field with the text (the argument field=), "
                "or remove such rows"
            )

    def _gold_words(self, example: Example, on: Eval) -> list[str]:
        fields = example.fields
        if self.field in fields:
            return _words_in(fields[self.field])
        named = on.task.inputs
        lacking = next((name for name in named if name not in fields), None)
        if lacking is not None:
            raise ConfigError(
                f"eval '{on.name}' has no field '{self.field}'; {did_you_mean(self.field, fields)} "
                "(the argument field=)"
            )
        return [word for name in named for word in _words_in(fields[name])]

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
    """Ids of gold examples that stand in the training data, and how many rows were read.

    `wordless` of these rows, and `wordless_gold` of the gold examples, have no words to compare.
    """

    exact: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    rows: int = 0
    wordless: int = 0
    wordless_gold: int = 0

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
    rows = wordless = 0
    for text in train:
        rows += 1
        wordless += not text
        exact |= dict.fromkeys(whole.get(tuple(text), ()))
        for run in _runs(text, n):
            partial |= dict.fromkeys(sorted(runs.get(run, ())))
    only_partial = [i for i in partial if i not in exact]
    wordless_gold = sum(not text for text in gold.values())
    return Overlap(list(exact), only_partial, rows, wordless, wordless_gold)


def words(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits, in lower case."""
    return re.findall(r"\w+", composed(text.lower()))


def _runs(text: list[str], n: int | None) -> Iterator[tuple[str, ...]]:
    if n is not None:
        for start in range(len(text) - n + 1):
            yield tuple(text[start : start + n])


def _measured(comparison: Comparison) -> Eval:
    if not isinstance(comparison.on, Eval):
        raise ComparisonError(f"eval '{comparison.eval}' has reported scores, and no gold set")
    return comparison.on


def _words_in(value: Any) -> list[str]:
    """Return the words of a field; null has none, and numbers and lists are read as Python's.

    Of messages they are what was said: roles and instructions are the same in many rows.
    """
    said = spoken(value)
    return [] if value is None else words(str(value) if said is None else said)


def _has_text(value: Any) -> bool:
    """Return whether a value is text with words, or holds some: numbers alone are no text."""
    if isinstance(value, Mapping):
        return any(map(_has_text, value.values()))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return any(map(_has_text, value))
    return isinstance(value, str) and bool(words(value))
