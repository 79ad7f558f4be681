"""How often a teacher is taken to be above chance that is not, or below it; prints Markdown.

    python benchmarks/chance.py

The teacher's labels are drawn without a look at the gold labels (`skill` 0), or are right with the
probability `skill` and drawn else. `below` of a teacher at chance is a false error, `above` a doubt
that is missing; of one with skill `above` is the power.
"""

from __future__ import annotations

import numpy as np

from pytest_distill.comparison.chance import CONFIDENCE, LEVEL
from pytest_distill.statistics.association import association
from pytest_distill.statistics.rates import clopper_pearson

REPLICATIONS = 2000
SIZES = (10, 20, 50, 200, 1000)
CLASSES = {
    "2, even": (0.5, 0.5),
    "2, one in ten": (0.9, 0.1),
    "3, .6 .3 .1": (0.6, 0.3, 0.1),
    "10, even": (0.1,) * 10,
}
CHOICES = {"2 choices": (2,), "4 choices": (4,), "2 to 5 choices": (2, 3, 4, 5)}


def labels(
    n: int, shares: tuple[float, ...], skill: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return how often such a teacher is above chance, and how often below."""
    above = below = 0
    for _ in range(REPLICATIONS):
        gold, guess = (rng.choice(len(shares), n, p=shares) for _ in range(2))
        said = np.where(rng.random(n) < skill, gold, guess)
        found = association(gold.astype(str).tolist(), said.astype(str).tolist(), None, CONFIDENCE)
        above, below = above + found.above, below + found.below
    return above / REPLICATIONS, below / REPLICATIONS


def choices(
    n: int, sizes: tuple[int, ...], skill: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the same for questions with so many choices, in turn."""
    chances = 1 / np.resize(np.array(sizes), n)
    right = (rng.random((REPLICATIONS, n)) < skill + (1 - skill) * chances).sum(axis=1)
    bounds = {hits: clopper_pearson(int(hits), n, LEVEL) for hits in np.unique(right)}
    low, high = np.array([bounds[hits] for hits in right]).T
    return float(np.mean(low > chances.mean())), float(np.mean(high < chances.mean()))


def main() -> None:
    """Print one row a design: per cent."""
    rng = np.random.default_rng(0)
    print(
        "| n | classes or choices | above, skill 0 | below, skill 0 | above, skill .3 | "
        "above, skill .8 |"
    )
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for n in SIZES:
        for name, shares in CLASSES.items():
            rates = [labels(n, shares, skill, rng) for skill in (0.0, 0.3, 0.8)]
            print(_row(n, name, rates), flush=True)
        for name, sizes in CHOICES.items():
            print(_row(n, name, [choices(n, sizes, s, rng) for s in (0.0, 0.3, 0.8)]), flush=True)


def _row(n: int, name: str, rates: list[tuple[float, float]]) -> str:
    shown = (rates[0][0], rates[0][1], rates[1][0], rates[2][0])
    return f"| {n:,} | {name} | " + " | ".join(f"{100 * rate:.1f}" for rate in shown) + " |"


if __name__ == "__main__":
    main()
