"""Which examples two runs have in common, whatever their ids: by what was asked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_distill.comparison.baseline.packing import Digests

Positions = NDArray[np.intp]


@dataclass(frozen=True, eq=False, slots=True)
class Pairing:
    """What became of a gold set.

    Parameters
    ----------
    before, now : ndarray, shape (common,)
        Positions of the examples that both runs asked and labelled alike, a pair a place.
    added, gone, relabelled : int
        Examples that only one of the two asks, and those that are labelled otherwise now.
    """

    before: Positions
    now: Positions
    added: int
    gone: int
    relabelled: int

    @property
    def common(self) -> int:
        """Number of examples that both runs asked and labelled alike."""
        return len(self.now)

    @property
    def others(self) -> str:
        """What became of the other examples: ``5 added, 2 gone``; nothing where there are none."""
        counts = {"added": self.added, "gone": self.gone, "relabelled": self.relabelled}
        return ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)

    def within(self, chosen: Positions) -> Pairing:
        """Return the pairs whose example of now is among the chosen positions."""
        kept = np.isin(self.now, chosen)
        return Pairing(self.before[kept], self.now[kept], self.added, self.gone, self.relabelled)


def pair(
    asked_before: Digests, expected_before: Digests, asked: Digests, expected: Digests
) -> Pairing:
    """Pair the examples of two runs.

    Examples that ask the same are told apart by what counts as right, and then by their order.
    """
    before = list(zip(asked_before.tolist(), expected_before.tolist(), strict=True))
    now = list(zip(asked.tolist(), expected.tolist(), strict=True))
    waiting: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place in reversed(range(len(before))):
        waiting[before[place]].append(place)
    pairs: list[tuple[int, int]] = []
    left: list[int] = []
    for place, example in enumerate(now):
        places = waiting.get(example)
        if places:
            pairs.append((places.pop(), place))
        else:
            left.append(place)
    others: defaultdict[int, int] = defaultdict(int)
    for (question, _), places in waiting.items():
        others[question] += len(places)
    relabelled = 0
    for place in left:
        if others[now[place][0]]:
            others[now[place][0]] -= 1
            relabelled += 1
    found = np.array(pairs, np.intp).reshape(-1, 2)
    return Pairing(
        before=found[:, 0],
        now=found[:, 1],
        added=len(left) - relabelled,
        gone=len(before) - len(pairs) - relabelled,
        relabelled=relabelled,
    )
