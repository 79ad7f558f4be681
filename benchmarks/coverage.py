"""Re-measure how often the gates err: one-sided false-pass and false-fail rates, by simulation.

Every floor is put exactly at the true retention, where a confident gate may pass (and fail) at most
5 % of the time. Run from the repository's root; prints Markdown:

    python benchmarks/coverage.py [--replications 20000] [--seed 0]
    python benchmarks/coverage.py --adversarial [--scale 1] [--workers 2] [--only KIND]

All examples of a design fall into a few kinds (right/wrong by teacher and student, ...), so a
replication is one multinomial draw, and all replications of a design are judged at once. That the
vectorised formulas here are the package's is asserted on some replications of every design.

With --adversarial the hard designs of adversarial.py, each judged by the package's own functions;
exits with 1 where one is over its bound by more than chance explains. A whole run puts its tables
into docs/statistics.md.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import adversarial
import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, ndtri, stdtrit

from pytest_distill.evals.metrics.labels import MACRO_F1
from pytest_distill.statistics.fieller import unseen_weight
from pytest_distill.statistics.levels import likelihood_retention
from pytest_distill.statistics.multiple import each_of
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import FloorTest
from pytest_distill.statistics.score import score_statistic
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.superiority import mcnemar_p

Array = NDArray[Any]
PAGE = Path(__file__).resolve().parents[1] / "docs" / "statistics.md"
LEVEL = 0.05
TEACHERS, RETENTIONS, SIZES = (0.6, 0.9, 0.97), (0.9, 0.95, 1.0), (50, 200, 1000, 5000)
CORRELATIONS = {"low": 0.2, "high": 0.9}
PRIORS = (0.5, 0.3, 0.2)
CHECKED = 3


@dataclass(frozen=True)
class Design:
    """One of the 72: teacher's accuracy, true retention, correlation, examples."""

    teacher: float
    retention: float
    correlation: str
    n: int

    @property
    def copied(self) -> float:
        """How far the student repeats the teacher."""
        return CORRELATIONS[self.correlation]


def designs() -> Iterator[Design]:
    """Yield the 72 designs."""
    for values in itertools.product(TEACHERS, RETENTIONS, CORRELATIONS, SIZES):
        yield Design(*values)


def draw(cells: Array, n: int, replications: int, rng: np.random.Generator) -> Array:
    """Return how many examples of each kind a replication has, shape (replications, kinds)."""
    return rng.multinomial(n, cells / cells.sum(), size=replications)


def expand(counts: Array, values: Array) -> Array:
    """Return the examples of one replication."""
    return np.repeat(values, counts, axis=0)


# --- 0/1 scores -----------------------------------------------------------------------------------
def proportion_cells(d: Design) -> Array:
    """Probabilities of both, teacher only, student only, neither."""
    s, t = d.retention * d.teacher, d.teacher
    both = s * t + d.copied * (min(s, t) - s * t)
    return np.array([both, t - both, s - both, 1 - s - t + both])


def proportions(d: Design, replications: int, rng: np.random.Generator) -> dict[str, float]:
    """0/1 scores: the exact test, and McNemar where the two are equal.

    The exact p costs milliseconds, so that a fifth of the replications are judged, and of these by
    it the ones that the score test puts anywhere near the line; some others are checked.
    """
    counts = draw(proportion_cells(d), d.n, replications, rng)
    a, b, c, _ = counts.T
    judged = np.array([exactly(row, d.retention) for row in counts[: replications // 5].tolist()])
    found = {"0/1 pass": float((judged > 0).mean()), "0/1 fail": float((judged < 0).mean())}
    score = score_statistic(a, b, c, d.retention)
    z = ndtri(1 - LEVEL)
    found["score pass"] = float((score >= z).mean())
    found["score fail"] = float((score < -z).mean())
    for row in range(CHECKED):
        test = ProportionRetention(*counts[row].tolist()).test(d.retention)
        assert (test.p_retained <= LEVEL) == (judged[row] > 0)
        assert (test.p_below <= LEVEL) == (judged[row] < 0)
    if d.retention == 1:
        at_least = np.where(c > 0, bdtrc(np.maximum(c - 1, 0), np.maximum(b + c, 1), 0.5), 1.0)
        at_least = np.where((b + c == 0) | (c == 0), 1.0, at_least)
        above = np.where(c < b + c, bdtrc(c, np.maximum(b + c, 1), 0.5), 0.0)
        mid = np.where(b + c == 0, 1.0, (at_least + above) / 2)
        for row in range(CHECKED):
            assert np.isclose(mcnemar_p(int(c[row]), int(b[row])), at_least[row])
            assert np.isclose(mcnemar_p(int(c[row]), int(b[row]), mid_p=True), mid[row])
        found["McNemar"] = float((at_least <= LEVEL).mean())
        found["mid-p"] = float((mid <= LEVEL).mean())
    return found


NEAR = (1.3, 2.6)
"""Between these the score does not say what the exact p will."""


def exactly(counts: Sequence[int], floor: float) -> int:
    """Return 1 where retention is shown, -1 where it is shown to be below, else 0."""
    a, b, c, neither = counts
    score = float(score_statistic(a, b, c, floor))
    if abs(score) < NEAR[0]:
        return 0
    side = 1 if score > 0 else -1
    if abs(score) > NEAR[1] and a + b + c > 20:
        return side
    test = ProportionRetention(a, b, c, neither).test(floor)
    return side * int((test.p_retained if side > 0 else test.p_below) <= LEVEL)


# --- t statistics of weighted values --------------------------------------------------------------
WEIGHT = unseen_weight(LEVEL)


def t_statistics(
    weights: Array, d: Array, estimate: Array, unseen: Array | float
) -> tuple[Array, Array]:
    """Return t of the values d, plain and with a unit that was not seen counted as the tests do.

    Values have the shape (cells,) or (replications, cells).
    """
    n = weights.sum(axis=-1)
    mean = (weights * d).sum(axis=-1) / n
    squares = np.maximum((weights * d**2).sum(axis=-1) - n * mean**2, 0.0)
    squares = np.where(squares < 1e-14 * n, 0.0, squares)
    estimate = np.where(np.abs(estimate) < 1e-12, 0.0, estimate)
    total = n + WEIGHT
    widened = squares + n * WEIGHT / total * (mean - unseen) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(estimate == 0, 0.0, estimate / np.sqrt(squares / (n - 1) / n))
        counted = (n * estimate + WEIGHT * unseen) / total
        return plain, counted / np.sqrt(widened / (total - 1) / total)


def rates(
    name: str,
    values: tuple[Array, Array, Array],
    units: int,
    worst: Array | float,
    best: Array | float,
) -> tuple[dict[str, float], Array, Array]:
    """Return how often the t tests pass, and fail; and which replications do.

    Parameters
    ----------
    name : str
        Of the method.
    values : tuple of ndarray
        How often each value occurs, the values and the estimate.
    units : int
        How many examples there are.
    worst, best : ndarray or float
        Values of the units that were not seen.
    """
    weights, d, estimate = values
    plain, lower = t_statistics(weights, d, estimate, worst)
    _, upper = t_statistics(weights, -d, -estimate, -np.asarray(best))
    t = stdtrit(units - 1, 1 - LEVEL)
    line = stdtrit(units + WEIGHT - 1, 1 - LEVEL)
    passed, failed = lower >= line, upper >= line
    found = {
        f"{name} plain pass": float((plain >= t).mean()),
        f"{name} plain fail": float((plain <= -t).mean()),
        f"{name} pass": float(passed.mean()),
        f"{name} fail": float(failed.mean()),
    }
    return found, passed, failed


def check(test: FloorTest, passed: Any, failed: Any) -> None:
    """Hold the vectorised answer against the package's."""
    assert (test.p_retained <= LEVEL) == bool(passed)
    assert (test.p_below <= LEVEL) == bool(failed)


# --- bounded scores -------------------------------------------------------------------------------
ATOMS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])


def score_cells(d: Design) -> tuple[Array, Array]:
    """Return (student, teacher) scores and their probabilities: copied or anew, at times lost."""
    full = (d.teacher - 0.375) / 0.625
    teacher = np.array([*[(1 - full) / 4] * 4, full])
    kept = d.copied * np.diag(teacher) + (1 - d.copied) * np.outer(teacher, teacher)
    cells = d.retention * kept
    cells[:, 0] += (1 - d.retention) * teacher
    t, s = np.meshgrid(ATOMS, ATOMS, indexing="ij")
    return np.column_stack([s.ravel(), t.ravel()]), cells.ravel()


def bounded(d: Design, replications: int, rng: np.random.Generator) -> dict[str, float]:
    """Scores of 0, 1/4, 1/2, 3/4 and 1."""
    pairs, cells = score_cells(d)
    counts = draw(cells, d.n, replications, rng)
    values = pairs[:, 0] - d.retention * pairs[:, 1]
    estimate = counts @ values / d.n
    found, passed, failed = rates("t", (counts, values, estimate), d.n, -d.retention, 1.0)
    for row in range(CHECKED):
        s, t = expand(counts[row], pairs).T
        check(Scoring().t_retention(s, t).test(d.retention), passed[row], failed[row])
    return found


# --- macro-F1 -------------------------------------------------------------------------------------
def label_cells(d: Design) -> tuple[Array, Array, Array]:
    """Return statistics of student and teacher by kind of example, and probabilities."""
    k = len(PRIORS)
    answer = np.full((k, k), (1 - d.teacher) / (k - 1))
    np.fill_diagonal(answer, d.teacher)
    rows, cells = [], []
    for gold, t, s in itertools.product(range(k), repeat=3):
        kept = d.copied * (s == t) + (1 - d.copied) * answer[gold, s]
        right = d.copied * (t == gold) + (1 - d.copied) * d.teacher
        # A right answer is lost at times, to any other label.
        if s == gold:
            kept *= d.retention
        else:
            kept += (1 - d.retention) * right / (k - 1)
        cells.append(PRIORS[gold] * answer[gold, t] * kept)
        rows.append([label_row(gold, said, k) for said in (s, t)])
    both: Array = np.array(rows)
    return both[:, 0], both[:, 1], np.array(cells)


def label_row(gold: int, said: int, k: int) -> Array:
    """Return the statistics of macro-F1 of one example."""
    row = np.zeros((3, k))
    row[0, gold] = gold == said
    row[1, said] = row[2, gold] = 1
    return row.ravel()


def macro_f1(d: Design, replications: int, rng: np.random.Generator) -> dict[str, float]:
    """Macro-F1 over three classes of .5, .3 and .2."""
    student, teacher, cells = label_cells(d)
    assert np.isclose(cells.sum(), 1)
    truth = float(MACRO_F1.aggregate(cells @ student) / MACRO_F1.aggregate(cells @ teacher))
    counts = draw(cells, d.n, replications, rng)
    extremes = MACRO_F1.extremes(np.concatenate([student, teacher]), None)
    assert extremes is not None
    estimates, pseudo, unseen = [], [], []
    for rows in (student, teacher):
        totals = counts @ rows
        without = np.maximum(totals[:, None, :] - rows, 0.0)  # of kinds that occur; weight 0 else
        estimates.append(MACRO_F1.aggregate(totals))
        pseudo.append(d.n * estimates[-1][:, None] - (d.n - 1) * MACRO_F1.aggregate(without))
        unseen.append(
            [
                (d.n + 1) * MACRO_F1.aggregate(totals[:, None, :] + end)
                - d.n * estimates[-1][:, None]
                for end in extremes
            ]
        )
    values = pseudo[0] - truth * pseudo[1]
    estimate = estimates[0] - truth * estimates[1]
    worst = (unseen[0][0] - truth * unseen[1][1]).min(axis=1)
    best = (unseen[0][1] - truth * unseen[1][0]).max(axis=1)
    found, passed, failed = rates("jackknife", (counts, values, estimate), d.n, worst, best)
    for row in range(CHECKED):
        mine, theirs = expand(counts[row], student), expand(counts[row], teacher)
        known = MACRO_F1.extremes(np.concatenate([mine, theirs]), None)
        retention = Scoring(aggregate=MACRO_F1.aggregate, extremes=known).t_retention(mine, theirs)
        check(retention.test(truth), passed[row], failed[row])
    return found


# --- clusters -------------------------------------------------------------------------------------
SIZE = 10


def clusters(
    groups: int, effect: float, retention: float, replications: int, rng: np.random.Generator
) -> dict[str, float]:
    """0/1 scores, teacher .9, clusters of ten; losses share a cluster's fate at design `effect`."""
    shape = (replications, groups, SIZE)
    teacher = rng.random(shape) < 0.9
    shared = rng.random(shape) < np.sqrt((effect - 1) / (SIZE - 1))
    lost_together = rng.random((replications, groups, 1)) < 1 - retention
    lost = np.where(shared, lost_together, rng.random(shape) < 1 - retention)
    student = teacher & ~lost
    s, t = student.mean(axis=2), teacher.mean(axis=2)
    d = s - retention * t
    estimate, ones = d.mean(axis=1), np.ones(d.shape)
    found = {}
    a, b, c = ((x & y).sum(axis=(1, 2)) for x, y in
               ((student, teacher), (~student, teacher), (student, ~teacher)))  # fmt: skip
    score = score_statistic(a, b, c, retention)
    found["clusters ignored"] = float((score >= ndtri(1 - LEVEL)).mean())
    values = ones, d, estimate
    # An example is a tenth of a cluster.
    one = (1 - 1 / SIZE) * estimate - retention / SIZE
    example, *_ = rates("example", values, groups, one, 1.0)
    whole, passed, failed = rates("cluster", values, groups, -retention, 1.0)
    found["no worst case"] = whole["cluster plain pass"]
    found["worst-case example"] = example["example pass"]
    found["worst-case cluster"], found["fail"] = whole["cluster pass"], whole["cluster fail"]
    for row in range(CHECKED):
        labels = np.repeat(np.arange(groups), SIZE).tolist()
        pair = student[row].ravel(), teacher[row].ravel()
        retained = Scoring(clusters=labels).t_retention(*pair)
        check(retained.test(retention), passed[row], failed[row])
    return found


# --- perplexity -----------------------------------------------------------------------------------
def perplexity(
    n: int, tail: float, replications: int, rng: np.random.Generator
) -> dict[str, float]:
    """Texts of log-normal length; nats lost a token are log-normal too, with spread `tail`."""
    shape = (replications, n)
    tokens = np.ceil(rng.lognormal(5, 0.5, shape))
    lost = 0.05 * rng.lognormal(-(tail**2) / 2, tail, shape)
    d = -tokens * lost + 0.05 * tokens  # less ln(m) tokens, at the true ln(m) = -0.05
    plain, _ = t_statistics(np.ones(shape), d, d.mean(axis=1), 0.0)
    floor = float(np.exp(-0.05))
    tests = [
        likelihood_retention(some * per, np.zeros(n), some, logarithmic=True).test(floor)
        for some, per in zip(tokens, lost, strict=True)
    ]
    t = stdtrit(n - 1, 1 - LEVEL)
    return {
        "t plain pass": float((plain >= t).mean()),
        "t plain fail": float((plain <= -t).mean()),
        "t pass": float(np.mean([test.p_retained <= LEVEL for test in tests])),
        "t fail": float(np.mean([test.p_below <= LEVEL for test in tests])),
    }


# --- small gold sets, and looking again -----------------------------------------------------------
def small(n: int, replications: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the worst rates over the designs with so few examples."""
    worst: dict[str, float] = {}
    for teacher, retention, correlation in itertools.product(TEACHERS, RETENTIONS, CORRELATIONS):
        d = Design(teacher, retention, correlation, n)
        found = proportions(d, replications, rng) | bounded(d, replications, rng)
        worst |= {name: max(rate, worst.get(name, 0.0)) for name, rate in found.items()}
    return worst


def looks(replications: int, rng: np.random.Generator) -> dict[str, float]:
    """Return how often the score test passes after 2,000 examples, or after any 200 on the way."""
    d = Design(0.9, 0.95, "low", 200)
    steps = rng.multinomial(d.n, proportion_cells(d), size=(replications, 10)).cumsum(axis=1)
    a, b, c, _ = np.moveaxis(steps, -1, 0)
    passed = score_statistic(a, b, c, d.retention) >= ndtri(1 - LEVEL)
    return {"the last look": float(passed[:, -1].mean()), "any look": float(passed.any(1).mean())}


def students(replications: int, rng: np.random.Generator, k: int = 10) -> list[dict[str, Any]]:
    """Return how often any of k students at the floor passes on one gold set, and one alone.

    They have one teacher, and err independently of each other where it is right, and where not.
    """
    found: list[dict[str, Any]] = []
    for correlation, n in itertools.product(CORRELATIONS, (1000, 5000)):
        d = Design(0.9, 0.95, correlation, n)
        both, lost, won, neither = proportion_cells(d)
        right = rng.binomial(n, d.teacher, size=(replications, 1))
        a = rng.binomial(right, both / (both + lost), size=(replications, k))
        c = rng.binomial(n - right, won / (won + neither), size=(replications, k))
        score = score_statistic(a, right - a, c, d.retention)
        passed = score >= ndtri(1 - LEVEL)
        found.append(
            {
                "correlation": correlation,
                "n": str(n),
                "one, 95 %": float(passed[:, 0].mean()),
                f"any of {k}, 95 %": float(passed.any(1).mean()),
                f"any of {k}, {each_of(k, LEVEL):.1%}": float(
                    (score >= ndtri(each_of(k, LEVEL))).any(1).mean()
                ),
                f"any of {k}, observed": float(((a + c) >= d.retention * right).any(1).mean()),
                "the best looks better by": float(((a + c) / right).max(1).mean() - d.retention),
            }
        )
    return found


def observed(replications: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return how often the observed ratio passes a floor of .95 by n and true retention."""
    found: list[dict[str, Any]] = []
    for correlation, n in itertools.product(CORRELATIONS, (50, 200, 1000, 5000)):
        row: dict[str, Any] = {"correlation": correlation, "n": str(n)}
        for truth in (0.9, 0.93, 0.94, 0.95, 0.96, 0.97):
            d = Design(0.9, truth, correlation, n)
            a, b, c, _ = draw(proportion_cells(d), n, replications, rng).T
            row[f"true {truth}"] = float((20 * (a + c) >= 19 * (a + b)).mean())
        found.append(row)
    return found


# --- tables ---------------------------------------------------------------------------------------
def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    heads = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(heads) + " |", "|" + " ---: |" * len(heads)]
    lines += ["| " + " | ".join(cell(row.get(head)) for head in heads) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return one cell of a table."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.1%}"


def summary(rows: list[dict[str, Any]]) -> str:
    """Return mean and worst of every rate."""
    heads = list(dict.fromkeys(k for row in rows for k, v in row.items() if isinstance(v, float)))
    lines = []
    for head in heads:
        values = np.array([row[head] for row in rows if head in row])
        over = str((values > 0.055).sum())
        found = {"rate": head, "designs": str(len(values))}
        lines.append(found | {"mean": values.mean(), "worst": values.max(), "over 5.5 %": over})
    return table(lines)


def documented(replications: int, seed: int) -> None:
    """Print the tables of the designs that are not hard."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for d in designs():
        row: dict[str, Any] = {"teacher": str(d.teacher), "retention": str(d.retention),
                               "correlation": d.correlation, "n": str(d.n)}  # fmt: skip
        for measure in (proportions, bounded, macro_f1):
            row |= measure(d, replications, rng)
        rows.append(row)
    grouped: list[dict[str, Any]] = []
    for groups, effect, retention in itertools.product(
        (10, 20, 40, 100), (1, 3, 6, 10), (0.9, 0.95, 0.98)
    ):
        row = {"clusters": str(groups), "design effect": str(effect), "retention": str(retention)}
        grouped.append(row | clusters(groups, effect, retention, replications // 4, rng))
    few = [{"n": str(n)} | small(n, replications, rng) for n in (5, 10, 20, 30)]
    again = looks(replications, rng)
    ten = students(replications, np.random.default_rng(seed))
    texts: list[dict[str, Any]] = []
    for n, tail in itertools.product((50, 200, 1000), (0.5, 1.0, 1.5)):
        row = {"texts": str(n), "tail": str(tail)}
        texts.append(row | perplexity(n, tail, replications // 4, rng))
    print("### Summary\n", summary(rows), "\n### Designs\n", table(rows), sep="\n", end="\n\n")
    print("### Clusters: summary\n", summary(grouped), "\n### Clusters\n", table(grouped), sep="\n")
    print("\n### Small gold sets: the worst of 18 designs\n", table(few), sep="\n")
    print("\n### Looking ten times\n", table([again]), sep="\n")
    print("\n### Ten students\n", table(ten), sep="\n")
    print("\n### Perplexity\n", table(texts), sep="\n")
    print("\n### The observed ratio, floor .95\n", table(observed(replications, rng)), sep="\n")


# --- hard designs ---------------------------------------------------------------------------------
SIDES = ("pass", "fail")


def adversarial_rates(
    scale: float = 1.0, workers: int = 2, kinds: Sequence[str] = ()
) -> list[adversarial.Rate]:
    """Return the rates of the hard designs: the same ones for any number of workers.

    Parameters
    ----------
    scale : float
        Of the replications.
    workers : int
        Processes.
    kinds : sequence of str
        Which kinds; all where there is none.
    """
    chosen = [
        (place, scale)
        for place, design in enumerate(adversarial.designs())
        if not kinds or design.kind in kinds
    ]
    if workers == 1:
        return [rate for job in chosen for rate in _measured(job)]
    with multiprocessing.Pool(workers) as pool:
        return [rate for rates in pool.imap(_measured, chosen) for rate in rates]


def _measured(job: tuple[int, float]) -> list[adversarial.Rate]:
    place, scale = job
    return adversarial.designs()[place].rates(scale)


def adversarial_table(found: Sequence[adversarial.Rate]) -> str:
    """Return a row for each design: how often it passes and fails by level, and its bound."""
    rows: list[dict[str, Any]] = []
    for (kind, name), group in itertools.groupby(
        (rate for rate in found if rate.side != "power"), key=lambda r: (r.kind, r.design)
    ):
        rates = list(group)
        row: dict[str, Any] = {"gate": kind, "design": name}
        row |= dict.fromkeys(
            f"{side}, {1 - c:.0%}" for side in SIDES for c in adversarial.CONFIDENCES
        )
        row |= {f"{r.side}, {1 - r.confidence:.0%}": r.rate for r in rates}
        row["bound, 5%"] = next(r.bound for r in rates if r.confidence == 0.95)
        row["ok"] = "yes" if all(rate.holds for rate in rates) else "NO"
        rows.append(row)
    return table(rows)


def power_table(found: Sequence[adversarial.Rate]) -> str:
    """Return a row for each design of a student that deserves to pass, at confidence .95."""
    rows: list[dict[str, Any]] = []
    for rate in found:
        if rate.side == "power":
            row: dict[str, Any] = {"gate": rate.kind, "design": rate.design, "passes": rate.rate}
            rows.append(row | {"wanted": rate.bound, "ok": "yes" if rate.holds else "NO"})
    return table(rows)


def cost_table() -> str:
    """Return with how many examples an equal student begins to pass, by kind and floor."""
    heads = [f"floor {floor}" for floor in adversarial.COST_FLOORS]
    rows: list[dict[str, Any]] = []
    for name, found in adversarial.costs():
        numbers = ["-" if few is None else f"{few:,}" for few in found]
        rows.append({"gold set": name} | dict(zip(heads, numbers, strict=True)))
    return table(rows)


def adversarial_summary(found: Sequence[adversarial.Rate]) -> str:
    """Return a row for each kind: how many designs, and the worst rates at 5 %."""
    rows: list[dict[str, Any]] = []
    for kind in dict.fromkeys(rate.kind for rate in found):
        mine = [rate for rate in found if rate.kind == kind and rate.confidence == 0.95]
        row: dict[str, Any] = {"gate": kind, "designs": str(len({rate.design for rate in mine}))}
        for side in SIDES:
            row[f"worst {side}"] = max((r.rate for r in mine if r.side == side), default=None)
        row["over their bound"] = str(sum(not rate.holds for rate in found if rate.kind == kind))
        rows.append(row)
    return table(rows)


def main() -> int:
    """Print the tables; return 1 where a hard design is over its bound.

    The tables of all hard designs, at the full number of replications, go into the docs as well.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adversarial", action="store_true", help="the hard designs instead")
    parser.add_argument("--scale", type=float, default=1.0, help="of their replications")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", action="append", default=[], metavar="KIND")
    options = parser.parse_args()
    if not options.adversarial:
        documented(options.replications, options.seed)
        return 0
    found = adversarial_rates(options.scale, options.workers, options.only)
    tables = {
        "Summary": adversarial_summary(found),
        "Designs": adversarial_table(found),
        "Students that deserve to pass": power_table(found),
        "With how many examples an equal student begins to pass": cost_table(),
    }
    for title, lines in tables.items():
        print(f"### {title}\n", lines, "", sep="\n")
    if options.scale == 1 and not options.only:
        PAGE.write_text(with_tables(PAGE.read_text(), list(tables.values())))
    return int(not all(rate.holds for rate in found))


def with_tables(page: str, tables: Sequence[str]) -> str:
    """Return a page in which tables of the same heads are replaced by these."""
    for new in tables:
        head = new.splitlines()[0]
        old = re.search(rf"^{re.escape(head)}\n(\|.*\n)+", page, re.MULTILINE)
        if old is None:
            raise ValueError(f"no table with the heads {head}")
        page = f"{page[: old.start()]}{new}\n{page[old.end() :]}"
    return page


if __name__ == "__main__":
    sys.exit(main())
