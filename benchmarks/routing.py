"""Re-measure how often a routed pair misses its target, by simulation.

The student's chance of being right rises with its confidence, the teacher's does not, so that the
share that may be handled at most is known. That share is a hair below one that is tried, where the
target is missed most easily. Prints Markdown; run from the repository's root:

    python benchmarks/routing.py [--replications 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from pytest_distill.statistics import results
from pytest_distill.statistics.confidences import cross_fitted, fixed_sequence, folds, thresholds
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import Retention
from pytest_distill.statistics.score import score_statistic
from pytest_distill.statistics.scoring import Scoring

Array = NDArray[np.float64]
LEVEL = 0.05
Z, SURE = float(ndtri(1 - LEVEL)), 0.4
TEACHER = 0.9
SIZES, MOST, SLOPES = (200, 1000, 5000), (0.3, 0.5, 0.8), (0.2, 0.6)
CONFIDENCES = ("continuous", "ten values")
SCORES = ("0/1", "fractions")


@dataclass(frozen=True)
class Design:
    """Scores, examples, share that may be handled, how much worse the student gets, confidences."""

    scores: str
    n: int
    most: float
    slope: float
    confidences: str

    @property
    def floor(self) -> float:
        """What the pair retains where it handles as much as it may, and not a hair more."""
        return self.retained(1 - self.most + 1e-6)

    def retained(self, threshold: float) -> float:
        """Return what the pair retains on all data: 1 - slope (1 - t)^2 / (2 teacher)."""
        handled = np.clip(1 - threshold, 0, 1)
        return float(1 - self.slope * handled**2 / (2 * TEACHER))

    def draw(self, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Return confidences, the student's scores and the teacher's."""
        sure = rng.random(self.n)
        chance = TEACHER - self.slope * (1 - sure)
        student, teacher = rng.random(self.n) < chance, rng.random(self.n) < TEACHER
        if self.confidences == "ten values":
            sure = np.floor(10 * sure) / 10
        if self.scores == "fractions":  # an answer that is not right may be partly so
            return sure, rng.binomial(4, chance) / 4, rng.binomial(4, TEACHER, self.n) / 4
        return sure, student.astype(float), teacher.astype(float)


def designs() -> Iterator[Design]:
    """Yield all designs."""
    for values in itertools.product(SCORES, SIZES, MOST, SLOPES, CONFIDENCES):
        yield Design(*values)


def routed(design: Design, rng: np.random.Generator) -> dict[str, float]:
    """Return what one gold set leads to."""
    sure, student, teacher = design.draw(rng)
    ratio: Callable[..., Retention] = Scoring().retention
    if design.scores == "fractions":
        ratio = Scoring().t_retention

    def shown(handled: NDArray[np.bool_], at: NDArray[np.intp]) -> bool:
        pair = np.where(handled, student[at], teacher[at])
        retention = ratio(pair, teacher[at])
        if isinstance(retention, ProportionRetention):
            counts = retention.both, retention.teacher_only, retention.student_only
            beyond = float(score_statistic(*counts, design.floor)) - Z
            if abs(beyond) > SURE:  # there the exact test says the same, and takes its time
                return beyond > 0
        return results.shown(retention.p_retained(design.floor), 1 - LEVEL)

    def observed(threshold: float) -> float:
        return float(np.where(sure >= threshold, student, teacher).sum() / teacher.sum())

    every, falling = np.arange(design.n), thresholds(sure)
    chosen = fixed_sequence(falling, lambda t: shown(sure >= t, every))
    picked = min((t for t in falling if observed(t) >= design.floor), default=math.inf)
    crossed = cross_fitted(sure, folds(design.n), shown)
    cross = float(np.where(crossed, student, teacher).sum() / teacher.sum())
    truth = design.retained(chosen)
    return {
        "fixed sequence misses": float(truth < design.floor - 1e-12),
        "picked misses": float(design.retained(picked) < design.floor - 1e-12),
        "handled": float((sure >= chosen).mean()),
        "cross-fitted handled": float(crossed.mean()),
        "observed - true": observed(chosen) - truth,
        "cross-fitted": cross,
        "true": truth,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("| scores | n | may handle | floor | confidences | fixed sequence | picked | handled |"
          " cross-fitted handled | retained | cross-fitted | observed |")  # fmt: skip
    print("| --- | ---: | ---: | ---: | --- |" + " ---: |" * 7)
    worst = 0.0
    for d in designs():
        rows = [routed(d, rng) for _ in range(options.replications)]
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        worst = max(worst, mean["fixed sequence misses"])
        told = [
            *(d.scores, f"{d.n:,}", f"{d.most}", f"{d.floor:.4f}", d.confidences),
            f"{mean['fixed sequence misses']:.1%}",
            f"{mean['picked misses']:.1%}",
            f"{mean['handled']:.3f}",
            f"{mean['cross-fitted handled']:.3f}",
            f"{mean['true']:.4f}",
            f"{mean['cross-fitted']:.4f}",
            f"{mean['true'] + mean['observed - true']:.4f}",
        ]
        print(f"| {' | '.join(told)} |", flush=True)
    print(f"\nworst: {worst:.1%}")


if __name__ == "__main__":
    main()
