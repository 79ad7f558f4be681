"""The answers as the page carries them: columns, compressed, as base64.

Every row is there, with its id and its scores. Where there is no room for all the texts, long ones
are cut.
"""

from __future__ import annotations

import gzip
import json
import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

from pytest_distill._util.format import score_text, shown_score
from pytest_distill.report.examples import ExampleTable, signs

ROOM = 1_400_000
"""Characters of a page, of whatever size the gold sets are."""
ROOM_OF_EACH = 30
"""Characters more for each example."""
LEAST_CUT = 8
"""Characters of a text that are always there."""
LOST_KEEP = 4
"""How many times the length of others the texts of lost examples may have."""
SAMPLE, BLOCK = 1000, 50
"""Examples by which the size of all is estimated, and how many of them are neighbours: they may
have much in common."""
CLOSE = 1.02
"""How near the longest cut that fits is looked for."""

Texts = list[list[str | int]]


@dataclass(frozen=True, slots=True)
class Packed:
    """The tables as base64 of gzipped JSON, in their order, and where long texts were cut."""

    tables: tuple[str, ...]
    cut: int | None
    """Characters that a text has at most, of a lost example `LOST_KEEP` times as many; None where
    all texts are whole."""


def packed(tables: Sequence[ExampleTable]) -> Packed:
    """Return the tables with texts that are as long as there is room for."""
    rows = sum(len(table.ids) for table in tables)
    room = ROOM + ROOM_OF_EACH * rows
    sheets = [_Sheet(table) for table in tables]
    cut = _longest_cut(sheets, room)
    while True:
        found = tuple(sheet.packed(cut) for sheet in sheets)
        size = sum(map(len, found))
        if size <= room or (cut is not None and cut <= LEAST_CUT):
            return Packed(found, cut)
        # The estimate was too bold.
        longest = cut or max(sheet.longest for sheet in sheets)
        cut = max(LEAST_CUT, int(longest * min(0.9, room / size)))


def _longest_cut(sheets: Sequence[_Sheet], room: int) -> int | None:
    """Return the longest cut that seems to fit; None where no text need be cut."""

    def fits(cut: int | None) -> bool:
        return sum(sheet.estimate(cut) for sheet in sheets) <= room

    if fits(None):
        return None
    low, high = LEAST_CUT, 2 * LEAST_CUT
    while fits(high):
        low, high = high, 2 * high
    while high > max(low + 1, low * CLOSE):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


class _Sheet:
    """One table in columns: what is always whole, and the texts."""

    def __init__(self, table: ExampleTable) -> None:
        self._whole = _whole(table)
        self._lost = _lost(table)
        self._texts = _told_once(
            [
                table.inputs,
                table.targets,
                *(m.answers or [""] * len(table.ids) for m in table.models),
            ]
        )
        blocks = max(1, SAMPLE // BLOCK)
        step = max(BLOCK, len(table.ids) // blocks)
        places = range(0, len(table.ids), step)
        self._sample = [i for start in places for i in range(start, start + BLOCK)]
        self._sample = [i for i in self._sample if i < len(table.ids)]
        lengths = [sum(map(_length, row)) for row in zip(*self._texts, strict=True)]
        self._longest = nlargest(BLOCK, range(len(lengths)), key=lengths.__getitem__)
        self.longest = max((_length(text) for column in self._texts for text in column), default=0)
        self._size = _size(self._whole)

    def estimate(self, cut: int | None) -> float:
        """Return about how many characters it takes."""
        if not self._sample:
            return self._size
        sampled = [i for i in self._sample if i not in self._longest]
        share = (len(self._lost) - len(self._longest)) / max(1, len(sampled))
        # A few texts may be longer than all others.
        rest = share * self._size_of(sampled, cut)
        return self._size + self._size_of(self._longest, cut) + rest

    def _size_of(self, places: Sequence[int], cut: int | None) -> int:
        texts = [[column[i] for i in places] for column in self._texts]
        return _size(_cut(texts, [self._lost[i] for i in places], cut))

    def packed(self, cut: int | None) -> str:
        """Return it as base64."""
        return _base64({**self._whole, "texts": _cut(self._texts, self._lost, cut)})


def _whole(table: ExampleTable) -> dict[str, Any]:
    """Return what is never cut."""
    return {
        "higher": table.higher_is_better,
        "binary": table.right_or_wrong,
        "ids": table.ids,
        "slices": {field: _by_value(values) for field, values in table.slices.items()},
        "models": [
            {"name": m.model, "role": m.role, "answers": bool(m.answers)} for m in table.models
        ],
        "scores": [_shown(model.scores, table.higher_is_better) for model in table.models],
        "pairs": [*_pairs(table)],
    }


def _by_value(values: Sequence[str]) -> dict[str, Any]:
    places = {value: place for place, value in enumerate(sorted(set(values)))}
    return {"values": [*places], "at": [places[value] for value in values]}


def _shown(scores: Sequence[float], higher_is_better: bool) -> list[int | float | str]:
    """Return scores as the report tells them everywhere: the page has nothing to round."""
    told: dict[float, int | float | str] = {}
    for score in scores:
        if score not in told:
            told[score] = _shown_score(score, higher_is_better)
    return [told[score] for score in scores]


def _shown_score(score: float, higher_is_better: bool) -> int | float | str:
    if score in (0, 1):
        return int(score)
    if math.isfinite(score):
        return shown_score(score, higher_is_better=higher_is_better)
    return score_text(score, higher_is_better=higher_is_better)


def _pairs(table: ExampleTable) -> Iterator[dict[str, Any]]:
    """Yield whether each model is better than the teacher and than each SFT student, by example.

    As the exact scores have it, which shown ones may hide.
    """
    for place, model in enumerate(table.models):
        for against, other in enumerate(table.models):
            if model.role != "teacher" and other.role != "student" and model is not other:
                found = signs(model.scores, other.scores, table.higher_is_better)
                yield {"model": place, "other": against, "signs": found}


def _lost(table: ExampleTable) -> list[bool]:
    """Return which examples a student lost."""
    lost = [False] * len(table.ids)
    for model in table.models:
        if model.role == "student":
            for place, gain in enumerate(model.gains):
                lost[place] = lost[place] or gain < 0
    return lost


def _length(text: str | int) -> int:
    return len(text) if isinstance(text, str) else 0


def _told_once(columns: Sequence[Sequence[str]]) -> Texts:
    """Return the columns with the place of an earlier text in place of one that is the same."""
    told: Texts = [[] for _ in columns]
    for row in zip(*columns, strict=True):
        seen: dict[str, int] = {}
        for place, text in enumerate(row):
            first = seen.setdefault(text, place)
            told[place].append(text if first == place or not text else first)
    return told


def _cut(columns: Texts, lost: Sequence[bool], cut: int | None) -> Texts:
    if cut is None:
        return columns
    most = [LOST_KEEP * cut if each else cut for each in lost]
    return [
        [
            text
            if isinstance(text, int) or len(text) <= n
            else f"{text[:n]}\N{HORIZONTAL ELLIPSIS}"
            for text, n in zip(column, most, strict=True)
        ]
        for column in columns
    ]


def _size(told: object) -> int:
    return len(_base64(told))


def _base64(told: object) -> str:
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Half of a surrogate pair is no text, but JSON can tell it.
    return b64encode(gzip.compress(text.encode("utf-8", "backslashreplace"), 6, mtime=0)).decode()
