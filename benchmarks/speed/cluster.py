"""`engine: ray` against the same engine in one process, and two actors against one.

A cluster of this machine is started once, of more CPUs than it has. An engine that sleeps equally
long over each example stands for a model, so that what is left is what the cluster costs: real
models would share the machine's few cores.

Run from the repository's root; prints Markdown:

    python benchmarks/speed/cluster.py [--rounds 5] [--examples 1000]
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from pytest_distill.engines import ModelInfo, ModelSpec
from pytest_distill.engines.inner import Inner
from pytest_distill.engines.ray import RayEngine
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

WAYS = ("one process", "1 actor", "2 actors")


class Steady:
    """Sleeps equally long over each example."""

    def __init__(self, spec: ModelSpec) -> None:
        self.seconds = float(spec.options["seconds"])
        self.info = ModelInfo(spec.name, spec.role)

    def predict(self, requests: Sequence[PerplexityRequest]) -> Iterator[Prediction]:
        """Yield an answer for each."""
        for request in requests:
            if self.seconds:
                time.sleep(self.seconds)
            yield Prediction(request.id, loglikelihoods=(-1.0,), tokens=1)

    def close(self) -> None:
        """Hold nothing."""


@dataclass
class Case:
    """One model; what one process, one actor and two took for it, round by round.

    Parameters
    ----------
    name : str
        For the table.
    of : mapping
        The model's entry.
    requests : list of PerplexityRequest
        What is asked.
    """

    name: str
    of: Mapping[str, Any]
    requests: Sequence[PerplexityRequest]
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def measure(self, turn: int) -> None:
        """Run all three once, the order turning round by round; check that the answers agree."""
        found = {}
        for way in WAYS if turn % 2 == 0 else WAYS[::-1]:
            found[way] = self._run(way)
        one = found["one process"]
        for answers in found.values():
            assert answers.keys() == one.keys()
            for id, (value,) in answers.items():
                assert abs(value - one[id][0]) <= 1e-5 * max(1.0, abs(one[id][0]))

    def _run(self, way: str) -> dict[str, Any]:
        """Answer everything; keep the time to the first answer, and from there to the last."""
        with closing(self._engine(way)) as engine:
            if way == "one process":
                [*engine.predict(self.requests[:2])]  # loads it
            begin = time.perf_counter()
            first, answers = None, {}
            for prediction in engine.predict(self.requests):
                first = first or time.perf_counter()
                answers[prediction.id] = prediction.loglikelihoods
            took = (first - begin, time.perf_counter() - first)
        self.seconds.setdefault(way, []).append(took)
        return answers

    def _engine(self, way: str) -> Any:
        spec = ModelSpec("m", "teacher", threads=1)
        if way == "one process":
            inner = Inner.model_validate({**self.of, "device": "cpu"})
            return inner.kind(inner.spec(spec))
        options = {"of": {**self.of}, "actors": int(way[0])}
        return RayEngine(ModelSpec("m", "teacher", options=options))

    def row(self) -> str:
        """Return a row of the table."""
        one, actor, actors = (self.seconds[way] for way in WAYS)
        medians = (statistics.median(took[1] for took in way) for way in (one, actor, actors))
        each = len(self.requests) - 1
        extra = [(b[1] - a[1]) / each * 1e6 for a, b in zip(one, actor, strict=True)]
        twice = [a[1] / b[1] for a, b in zip(actor, actors, strict=True)]
        return " | ".join(
            [
                f"| {self.name}",
                f"{len(self.requests):,}",
                *(f"{median:.2f}" for median in medians),
                f"{statistics.median(extra):,.0f} ({min(extra):,.0f} to {max(extra):,.0f})",
                f"{statistics.median(twice):.2f} ({min(twice):.2f} to {max(twice):.2f})",
                f"{statistics.median(took[0] for took in actor):.1f} |",
            ]
        )


HEAD = (
    *("case", "examples", "one process, s", "1 actor, s", "2 actors, s"),
    *("more for each with 1 actor, µs", "1 actor / 2 actors", "until the first answer, s"),
)


def cases(examples: int) -> Iterator[Case]:
    """Yield the models."""
    texts = [PerplexityRequest(str(n), f"text {n}") for n in range(examples)]
    for name, seconds in (("no time", 0.0), ("1 ms each", 0.001), ("10 ms each", 0.01)):
        yield Case(name, {"engine": "cluster:Steady", "seconds": seconds}, texts)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--only", default="", help="the cases whose name contains this")
    chosen = parser.parse_args()
    import logging

    import ray

    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    versions = ", ".join(f"{name} {version(name)}" for name in ("ray", "torch", "transformers"))
    print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; Python "
        f"{platform.python_version()}, {versions}; {chosen.rounds} rounds\n"
    )
    print("| " + " | ".join(HEAD) + " |\n|" + " --- |" * len(HEAD), flush=True)
    try:
        for case in cases(chosen.examples):
            if chosen.only in case.name:
                for turn in range(chosen.rounds):
                    case.measure(turn)
                print(case.row(), flush=True)
        print(f"\nload average at the end {os.getloadavg()[0]:.1f}")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
