"""The gold set: the labelled examples of one eval, and how they are read from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled example.

    Parameters
    ----------
    id : str
        Stable over runs: the row's id field, else a digest of the row.
    fields : mapping
        The row as it stands in the file, field name -> value.
    where : str
        File and line (or row), for messages.
    """

    id: str
    fields: Mapping[str, Any]
    where: str


@dataclass(frozen=True, slots=True)
class GoldSet:
    """The labelled examples of one eval, in the order of the file; never empty, ids unique."""

    source: str
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)
