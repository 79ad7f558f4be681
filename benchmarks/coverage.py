"""Re-measure how often the gates err: one-sided false-pass and false-fail rates, by simulation.

Every floor is put exactly at the true retention, where a confident gate may pass (and fail) at most
5 % of the time. Run from the repository's root; prints Markdown:

    python benchmarks/coverage.py [--replications 20000] [--seed 0]

All examples of a design fall into a few kinds (right/wrong by teacher and student, ...), so a
replication is one multinomial draw, and all replications of a design are judged at once. That the
vectorised formulas here are the package's is asserted on some replications of every design.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, ndtri, stdtrit

from pytest_distill.evals.metrics.labels import MACRO_F1
from pytest_distill.verdicts import statistics as st

Array = NDArray[Any]
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
    """0/1 scores: the score test, and McNemar where the two are equal."""
    counts = draw(proportion_cells(d), d.n, replications, rng)
    a, b, c, _ = counts.T
    score = st.score_statistic(a, b, c, d.retention)
    z = ndtri(1 - LEVEL)
    for row in range(CHECKED):
        test = st.ProportionRetention(*counts[row].tolist()).test(d.retention)
        assert (test.p_retained <= LEVEL) == (score[row] >= z)
    found = {"score pass": float((score >= z).mean()), "score fail": float((score < -z).mean())}
    if d.retention == 1:
        at_least = np.where(c > 0, bdtrc(np.maximum(c - 1, 0), np.maximum(b + c, 1), 0.5), 1.0)
        at_least = np.where((b + c == 0) | (c == 0), 1.0, at_least)
        above = np.where(c < b + c, bdtrc(c, np.maximum(b + c, 1), 0.5), 0.0)
        mid = np.where(b + c == 0, 1.0, (at_least + above) / 2)
        for row in range(CHECKED):
            assert np.isclose(st.mcnemar_p(int(c[row]), int(b[row])), at_least[row])
            assert np.isclose(st.mcnemar_p(int(c[row]), int(b[row]), mid_p=True), mid[row])
        found["McNemar"] = float((at_least <= LEVEL).mean())
        found["mid-p"] = float((mid <= LEVEL).mean())
    return found


# --- t statistics of weighted values --------------------------------------------------------------
def t_statistics(
    weights: Array, d: Array, estimate: Array, worst: Array | float
) -> tuple[Array, Array]:
    """Return t of the values d, shape (cells,) or (replications, cells), plain and with `worst`."""
    n = weights.sum(axis=-1)
    total, squares = (weights * d).sum(axis=-1), (weights * d**2).sum(axis=-1)
    variance = np.maximum(squares - total**2 / n, 0.0) / (n - 1)
    variance = np.where(variance < 1e-14, 0.0, variance)
    total, squares = total + worst, squares + worst**2
    widened = np.maximum(squares - total**2 / (n + 1), 0.0) / n
    estimate = np.where(np.abs(estimate) < 1e-12, 0.0, estimate)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = np.where(estimate == 0, 0.0, estimate / np.sqrt(variance / n))
        appended = (n * estimate + worst) / (n + 1) / np.sqrt(widened / (n + 1))
    return plain, appended


def rates(name: str, plain: Array, appended: Array, units: int) -> dict[str, float]:
    """Return how often each t test passes, and how often it fails."""
    t, t_appended = stdtrit(units - 1, 1 - LEVEL), stdtrit(units, 1 - LEVEL)
    return {
        f"{name} plain": float((plain >= t).mean()),
        f"{name} pass": float((appended >= t_appended).mean()),
        f"{name} fail": float((plain < -t).mean()),
    }


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
    plain, appended = t_statistics(counts, values, counts @ values / d.n, -d.retention)
    for row in range(CHECKED):
        s, t = expand(counts[row], pairs).T
        test = st.mean_retention(s, t).test(d.retention)
        assert (test.p_retained <= LEVEL) == (appended[row] >= stdtrit(d.n, 1 - LEVEL))
    return rates("t", plain, appended, d.n)


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
    estimates, pseudo = [], []
    for rows in (student, teacher):
        totals = counts @ rows
        without = np.maximum(totals[:, None, :] - rows, 0.0)  # of kinds that occur; weight 0 else
        estimates.append(MACRO_F1.aggregate(totals))
        pseudo.append(d.n * estimates[-1][:, None] - (d.n - 1) * MACRO_F1.aggregate(without))
    values = pseudo[0] - truth * pseudo[1]
    estimate = estimates[0] - truth * estimates[1]
    plain, appended = t_statistics(counts, values, estimate, -truth)
    for row in range(CHECKED):
        mine, theirs = expand(counts[row], student), expand(counts[row], teacher)
        test = st.metric_retention(mine, theirs, MACRO_F1.aggregate).test(truth)
        assert (test.p_retained <= LEVEL) == (appended[row] >= stdtrit(d.n, 1 - LEVEL))
    return rates("jackknife", plain, appended, d.n)


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
    score = st.score_statistic(a, b, c, retention)
    found["clusters ignored"] = float((score >= ndtri(1 - LEVEL)).mean())
    critical = stdtrit(groups, 1 - LEVEL)
    plain, whole = t_statistics(ones, d, estimate, -retention)
    found["no worst case"] = float((plain >= stdtrit(groups - 1, 1 - LEVEL)).mean())
    # The appended example is a tenth of a cluster.
    worst = (1 - 1 / SIZE) * estimate - retention / SIZE
    _, example = t_statistics(ones, d, estimate, worst)
    found["worst-case example"] = float((example >= critical).mean())
    found["worst-case cluster"] = float((whole >= critical).mean())
    found["fail"] = float((plain < -stdtrit(groups - 1, 1 - LEVEL)).mean())
    for row in range(CHECKED):
        labels = np.repeat(np.arange(groups), SIZE).tolist()
        pair = student[row].ravel(), teacher[row].ravel()
        test = st.mean_retention(*pair, clusters=labels).test(retention)
        assert (test.p_retained <= LEVEL) == (whole[row] >= critical)
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
    # The text that is worst at the observed ratio is counted twice.
    ratio = -(tokens * lost).sum(axis=1, keepdims=True) / tokens.sum(axis=1, keepdims=True)
    lowest = np.argmin(-tokens * lost - ratio * tokens, axis=1)
    twice = d[np.arange(replications), lowest]
    plain, appended = t_statistics(np.ones(shape), d, d.mean(axis=1), twice)
    for row in range(CHECKED):
        retention = st.perplexity_retention(tokens[row] * lost[row], np.zeros(n), tokens[row])
        passed = retention.test(float(np.exp(-0.05))).p_retained <= LEVEL
        assert passed == (appended[row] >= stdtrit(n, 1 - LEVEL))
    return rates("t", plain, appended, n)


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
    passed = st.score_statistic(a, b, c, d.retention) >= ndtri(1 - LEVEL)
    return {"the last look": float(passed[:, -1].mean()), "any look": float(passed.any(1).mean())}


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


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows: list[dict[str, Any]] = []
    for d in designs():
        row: dict[str, Any] = {"teacher": str(d.teacher), "retention": str(d.retention),
                               "correlation": d.correlation, "n": str(d.n)}  # fmt: skip
        for measure in (proportions, bounded, macro_f1):
            row |= measure(d, options.replications, rng)
        rows.append(row)
    grouped: list[dict[str, Any]] = []
    for groups, effect, retention in itertools.product(
        (10, 20, 40, 100), (1, 3, 6, 10), (0.9, 0.95, 0.98)
    ):
        row = {"clusters": str(groups), "design effect": str(effect), "retention": str(retention)}
        grouped.append(row | clusters(groups, effect, retention, options.replications // 4, rng))
    few = [{"n": str(n)} | small(n, options.replications, rng) for n in (5, 10, 20, 30)]
    again = looks(options.replications, rng)
    texts: list[dict[str, Any]] = []
    for n, tail in itertools.product((50, 200, 1000), (0.5, 1.0, 1.5)):
        row = {"texts": str(n), "tail": str(tail)}
        texts.append(row | perplexity(n, tail, options.replications // 4, rng))
    print("### Summary\n", summary(rows), "\n### Designs\n", table(rows), sep="\n", end="\n\n")
    print("### Clusters: summary\n", summary(grouped), "\n### Clusters\n", table(grouped), sep="\n")
    print("\n### Small gold sets: the worst of 18 designs\n", table(few), sep="\n")
    print("\n### Looking ten times\n", table([again]), sep="\n")
    print("\n### Perplexity\n", table(texts), sep="\n")


if __name__ == "__main__":
    main()
