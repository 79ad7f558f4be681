"""How often "not worse than the baseline" errs with a confidence, where the drop is the margin.

python benchmarks/not_worse.py prints the table of docs/statistics.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache

import numpy as np

from pytest_distill.statistics.difference import ProportionDifference, proportion_difference
from pytest_distill.statistics.results import Judgement
from pytest_distill.statistics.scoring import Scoring

Pair = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, int], Pair]


def flips(margin: float, wins: float) -> Draw:
    """Return what draws 0/1 scores of which `wins` are won and `margin` more are lost."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        place = random.random(n)
        before = np.where(place < wins, 0.0, 1.0)
        now = np.where((place >= wins) & (place < 2 * wins + margin), 0.0, 1.0)
        return now, before

    return draw


def catastrophes(margin: float, cost: float) -> Draw:
    """Return what draws real scores of which a few lose `cost`, `margin` on average."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        before = random.uniform(cost, 1.0, n)
        return before - np.where(random.random(n) < margin / cost, cost, 0.0), before

    return draw


def noise(margin: float, spread: float) -> Draw:
    """Return what draws real scores that all move a little."""

    def draw(random: np.random.Generator, n: int) -> Pair:
        before = random.uniform(0.4, 0.6, n)
        return before - margin + random.normal(0.0, spread, n), before

    return draw


DESIGNS: tuple[tuple[str, float, Draw], ...] = (
    ("0/1, no wins", 0.01, flips(0.01, 0.0)),
    ("0/1, few wins", 0.01, flips(0.01, 0.01)),
    ("0/1, many wins", 0.02, flips(0.02, 0.1)),
    ("real, all move", 0.02, noise(0.02, 0.1)),
    ("real, rare losses of half", 0.01, catastrophes(0.01, 0.5)),
    ("real, rare losses of nearly all", 0.01, catastrophes(0.01, 0.9)),
)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=10_000)
    replications = parser.parse_args().replications
    print("| design | margin | n | pass | fail |\n| --- | --- | --- | --- | --- |")
    for number, (name, margin, draw) in enumerate(DESIGNS):
        for n in (50, 200, 1000):
            random = np.random.default_rng([number, n])
            told = [_judged(*draw(random, n), margin) for _ in range(replications)]
            rates = [told.count(kind) / replications for kind in _SIDES]
            shown = " | ".join(f"{100 * rate:.1f} %" for rate in rates)
            print(f"| {name} | {margin} | {n:,} | {shown} |")


_SIDES = (Judgement.RETAINED, Judgement.NOT_RETAINED)


def _judged(now: np.ndarray, before: np.ndarray, margin: float) -> Judgement:
    scoring = Scoring((0.0, 1.0))
    if scoring.exact(now, before):
        return _of_counts(proportion_difference(now, before), margin)
    return scoring.gain_test(now, before).test(-margin).judge(0.95)


@cache
def _of_counts(found: ProportionDifference, margin: float) -> Judgement:
    return found.test(-margin).judge(0.95)


if __name__ == "__main__":
    main()
