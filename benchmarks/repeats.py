"""How often looking again passes what is not good enough: repeated times, and many students.

    python benchmarks/repeats.py [--replications 4000] [--seed 0]

Every limit is put exactly at the truth, where a gate with `confidence=0.95` may pass (and fail) in
at most 5 % of cases. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from pytest_distill.gates.recommendation import recommended
from pytest_distill.statistics import results
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.quantiles import (
    quantile_interval,
    serial_correlation,
    unit_interval,
    unit_medians,
)

Array = NDArray[Any]
TIMED = 100
"""What `examples=` asks for where nobody says."""
SPREADS = ((0.3, 0.0), (0.3, 0.1), (0.3, 0.3), (0.0, 0.3))
"""Standard deviations of the logarithms: from example to example, and within one."""
FLOOR, TEACHER, ALONE, GOLD = 0.95, 0.9, 0.2, 1000
"""Floor, the teacher's accuracy, the student's where the teacher is wrong, gold examples."""


def drawn(n: int, timed: int, rng: np.random.Generator) -> Array:
    """Return which of n examples are timed: each once before any comes again, in random order."""
    turns = [rng.permutation(n) for _ in range(-(-timed // n))]
    return np.concatenate(turns)[:timed]


def times(
    n: int, timed: int, spreads: tuple[float, float], rng: np.random.Generator, rho: float = 0.0
) -> tuple[Array, Array]:
    """Return log-normal times whose median is 1, and their examples; AR(1) noise with `rho`."""
    units = drawn(n, timed, rng)
    noise = rng.normal(size=timed)
    for i in range(1, timed if rho else 0):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    between, within = spreads
    return np.exp(between * rng.normal(size=n)[units] + within * noise), units


def median_ratio(
    n: int, spreads: tuple[float, float], replications: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return how often `faster` passes and fails a student that is just as fast as asked."""
    passed = failed = naive = 0
    for _ in range(replications):
        ratios, units = times(n, TIMED, spreads, rng)
        found = unit_interval(ratios, units, 0.5)
        passed += found.one_sided_lower >= 1
        failed += found.one_sided_upper < 1
        naive += quantile_interval(ratios, 0.5).one_sided_lower >= 1
    return {
        "passed": passed / replications,
        "failed": failed / replications,
        "as independent": naive / replications,
    }


def tail(
    n: int, timed: int, spreads: tuple[float, float], replications: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return the same of `latency` with a limit of p95 at the p95 of all times.

    `by medians` is what comes of counting each example with the median of its times.
    """
    limit = float(np.exp(ndtri(0.95) * np.hypot(*spreads)))
    passed = failed = naive = medians = 0
    for _ in range(replications):
        taken, units = times(n, timed, spreads, rng)
        found = unit_interval(taken, units, 0.95)
        passed += found.one_sided_upper <= limit
        failed += found.one_sided_lower > limit
        naive += quantile_interval(taken, 0.95).one_sided_upper <= limit
        medians += quantile_interval(unit_medians(taken, units), 0.95).one_sided_upper <= limit
    return {
        "passed": passed / replications,
        "failed": failed / replications,
        "by medians": medians / replications,
        "as independent": naive / replications,
    }


def drift(n: int, rho: float, replications: int, rng: np.random.Generator) -> dict[str, float]:
    """Return how often `faster` passes on a machine that drifts, and how often a note says so."""
    passed = noted = silent = 0
    for _ in range(replications):
        ratios, units = times(n, TIMED, (0.0, 0.3), rng, rho)
        serial = serial_correlation(np.log(ratios), units)
        wrong = unit_interval(ratios, units, 0.5).one_sided_lower >= 1
        shown = serial is not None and serial.shown
        passed, noted, silent = passed + wrong, noted + shown, silent + (wrong and not shown)
    return {
        "passed": passed / replications,
        "noted": noted / replications,
        "passed without a note": silent / replications,
    }


Students = tuple[int, list[tuple[int, int]]]
"""How many the teacher got right; of each student how many of these, and how many of the others."""


def students(count: int, truth: float, rng: np.random.Generator) -> Students:
    """Return so many students that really retain `truth`, all on one gold set."""
    both = (truth * TEACHER - ALONE * (1 - TEACHER)) / TEACHER
    right = int(rng.binomial(GOLD, TEACHER))
    kept = rng.binomial(right, both, size=count).tolist()
    won = rng.binomial(GOLD - right, ALONE, size=count).tolist()
    return right, list(zip(kept, won, strict=True))


def recommends(found: Students, confidence: float | None) -> bool:
    """Return whether one of the students is recommended, each tried in turn."""
    right, counts = found

    def keeps(place: str) -> list[str]:
        return [] if passes(right, *counts[int(place)], confidence) else ["short"]

    return recommended([*map(str, range(len(counts)))], lambda _: [], keeps).model is not None


def recommendation(
    count: int, confidence: float | None, replications: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return how often one of so many students is recommended that are all no good.

    All answer the same gold set. With `confidence` each is exactly at the floor; without, where the
    observed ratio decides, each is one point under it. `first that passes` tries from the smallest
    up.
    """
    truth = FLOOR if confidence is not None else FLOOR - 0.01
    found = luck = 0
    for _ in range(replications):
        drawn = students(count, truth, rng)
        luck += any(passes(drawn[0], *each, confidence) for each in drawn[1])
        found += recommends(drawn, confidence)
    return {"recommended": found / replications, "first that passes": luck / replications}


@cache
def passes(right: int, both: int, alone: int, confidence: float | None) -> bool:
    """Return whether a student with these counts keeps the floor, as `quality_retained` says."""
    if confidence is None:
        return both + alone >= FLOOR * right
    retained = ProportionRetention(both, right - both, alone, GOLD - right - alone)
    return results.shown(retained.p_retained(FLOOR), confidence)


def table(rows: Iterable[tuple[dict[str, object], dict[str, float]]]) -> None:
    """Print one row a design: what it is, and rates in per cent."""
    for place, (design, rates) in enumerate(rows):
        if place == 0:
            print("\n| " + " | ".join([*design, *(f"{name}, %" for name in rates)]) + " |")
            print("| " + " | ".join(["---:"] * (len(design) + len(rates))) + " |")
        cells = [*map(str, design.values()), *(f"{100 * rate:.1f}" for rate in rates.values())]
        print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    times, rng = options.replications, np.random.default_rng(options.seed)
    for title, rows in designs(times, rng).items():
        print(f"\n{title}")
        table(rows)


def designs(
    times: int, rng: np.random.Generator
) -> dict[str, Iterator[tuple[dict[str, object], dict[str, float]]]]:
    """Return what is simulated: title -> designs and their rates."""
    return {
        f"`faster`, n examples timed {TIMED} times": (
            ({"n": n, "between": s[0], "within": s[1]}, median_ratio(n, s, times, rng))
            for n in (10, 20, 50)
            for s in SPREADS
        ),
        "`latency`, p95": (
            ({"n": n, "timed": t, "between": s[0], "within": s[1]}, tail(n, t, s, times, rng))
            for n, t in ((10, 100), (30, 100), (60, 100), (60, 300))
            for s in SPREADS
        ),
        f"`faster` on a machine that drifts, {TIMED} times": (
            ({"n": n, "AR(1)": rho}, drift(n, rho, times, rng))
            for n in (20, 100)
            for rho in (0.0, 0.3, 0.6)
        ),
        "`recommend`": (
            (
                {"students": k, "confidence": confidence},
                recommendation(k, confidence, times, rng),
            )
            for confidence in (0.95, None)
            for k in (5, 10, 20)
        ),
    }


if __name__ == "__main__":
    main()
