"""How time and memory of a run grow with the gold set: recorded predictions, all the statistics.

Each size is one pytest run in a process of its own: three recorded models, accuracy and macro-F1,
gates on retention (both metrics), on slices, on SFT and on flips, with the report and its JSON. Run
from the repository's root; prints Markdown and, with matplotlib, draws the plot:

    python benchmarks/growth.py [--sizes 1000,10000,100000,1000000] [--repeats 3] [--plot FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from processes import Run, machine, pytest_run, table

LABELS = ("positive", "negative", "neutral", "mixed")
LANGUAGES = ("de", "en", "es", "fr", "it")
RIGHT = {"teacher": 0.92, "student": 0.90, "sft": 0.86}
COPIED = 0.8
"""How often a student is right or wrong where the teacher is: models err on the same examples."""

CONFIG = """\
models:
  teacher: {engine: recorded, predictions: teacher.jsonl, parameters: 7000000000}
  student: {engine: recorded, predictions: student.jsonl, parameters: 100000000}
  sft: {engine: recorded, predictions: sft.jsonl, parameters: 100000000}
evals:
  reviews:
    task: classification
    data: gold.jsonl
    input: text
    target: label
    metrics: [accuracy, macro_f1]
    slices: [language]
"""

GATES = """\
from pytest_distill import (
    assert_beats_sft,
    assert_flips,
    assert_quality_retained,
    assert_slices_retained,
)


def test_keeps(comparison):
    assert_quality_retained(min=0.9)
    assert_quality_retained(min=0.8, metric="macro_f1")


def test_keeps_in_every_slice(comparison):
    assert_slices_retained(min=0.8, by="language")


def test_pays(comparison):
    assert_beats_sft(confidence=None)
    assert_beats_sft(confidence=None, metric="macro_f1")


def test_loses_few(comparison):
    assert_flips(max_lost=0.2)
"""


def write_project(folder: Path, n: int, seed: int) -> None:
    """Write a project whose gold set has `n` examples of about a hundred characters."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, len(LABELS), n)
    language = rng.integers(0, len(LANGUAGES), n)
    (folder / "distill.yaml").write_text(CONFIG)
    (folder / "test_ship.py").write_text(GATES)
    with (folder / "gold.jsonl").open("w") as file:
        for i in range(n):
            text = f"review {i}: it came in time, works as described, and costs what it is worth"
            row = {"id": f"r{i}", "text": text, "label": LABELS[gold[i]]}
            file.write(json.dumps({**row, "language": LANGUAGES[language[i]]}) + "\n")
    luck = rng.random(n)
    for name, rate in RIGHT.items():
        right = np.where(rng.random(n) < COPIED, luck, rng.random(n)) < rate
        given = np.where(right, gold, (gold + rng.integers(1, len(LABELS), n)) % len(LABELS))
        with (folder / f"{name}.jsonl").open("w") as file:
            for i in range(n):
                file.write(json.dumps({"id": f"r{i}", "prediction": LABELS[given[i]]}) + "\n")


def measure(n: int, repeats: int, seed: int) -> list[Run]:
    """Run a project of `n` examples several times."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_project(folder, n, seed)
        return [
            pytest_run(folder, "--distill-report", "--distill-json", "out.json")
            for _ in range(repeats)
        ]


def row(n: int, runs: list[Run], smallest: tuple[int, float]) -> list[str]:
    """Return a row of the table; CPU time per example is what a size adds to the smallest one."""
    wall, cpu = [r.wall for r in runs], statistics.median(r.cpu for r in runs)
    added = "" if n == smallest[0] else f"{1e6 * (cpu - smallest[1]) / (n - smallest[0]):.0f}"
    return [
        f"{n:,}",
        f"{statistics.median(wall):.1f}",
        f"{min(wall):.1f} to {max(wall):.1f}",
        f"{cpu:.1f}",
        added,
        f"{max(r.peak for r in runs) / 1e6:,.0f}",
    ]


def main() -> None:
    """Print the table, and draw the plot where that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000")
    parser.add_argument("--repeats", type=int, default=3, help="runs a size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, help="draw into this file, e.g. a PNG")
    chosen = parser.parse_args()
    sizes = [int(size) for size in chosen.sizes.split(",")]
    measured = {n: measure(n, chosen.repeats, chosen.seed) for n in sizes}
    smallest = sizes[0], statistics.median(r.cpu for r in measured[sizes[0]])
    header = ["examples", "wall, s", "range", "CPU, s", "CPU µs an example more", "peak MB"]
    print(table(header, [row(n, runs, smallest) for n, runs in measured.items()]))
    print(f"\n{machine('numpy', 'pytest')}; {chosen.repeats} runs a size, medians")
    if chosen.plot:
        draw(measured, chosen.plot)


def draw(measured: dict[int, list[Run]], path: Path) -> None:
    """Draw CPU time and memory against the number of examples, both axes logarithmic."""
    try:
        import matplotlib
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    sizes = np.array(list(measured))
    cpu = np.array([statistics.median(r.cpu for r in runs) for runs in measured.values()])
    peak = np.array([max(r.peak for r in runs) / 1e9 for runs in measured.values()])
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    shown = {"CPU time, s": cpu, "peak memory, GB": peak}
    for axis, (unit, values) in zip(axes, shown.items(), strict=True):
        axis.loglog(sizes, values, "o-", label="measured")
        axis.loglog(sizes, values[-1] * sizes / sizes[-1], "--", color="gray", label="linear")
        axis.set_xlabel("examples in the gold set")
        axis.set_ylabel(unit)
        axis.set_ylim(bottom=values.min() / 2)
        axis.grid(alpha=0.3)
        axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
