"""lm-evaluation-harness's tasks through us against itself with its ``hf`` model.

Whole runs: loading the documents, building the requests, the model, and the scores. Run from the
repository's root; prints Markdown:

    python benchmarks/speed/lm_eval_tasks.py [--rounds 3] [--threads 1] [--torch-products]
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common import ROOT, Measured, best, header, machine, options
from sides import Sides

sys.path.insert(0, str(ROOT))

from pytest_distill.evals.lm_eval.declared import declared
from tests.lm_eval_cases import CASES, Case
from tests.lm_eval_tasks import differences, ours, theirs

BATCH_SIZES = (8, 1)  # those of lm-evaluation-harness that are tried


def _mmlu() -> Case:
    """Return a subject of MMLU, whose solved examples are the same for all of its documents."""
    folder = "hf_datasets/hails/mmlu_no_train/high_school_psychology"
    solved = {"sampler": "first_n", "samples": list(Case("", f"{folder}/dev").documents())}
    override = {"fewshot_split": None, "fewshot_config": solved}
    return Case("mmlu_high_school_psychology", f"{folder}/test", override, split="test")


@dataclass(frozen=True)
class Speed:
    """A task, the solved examples before a prompt, how many documents a round asks about."""

    case: Case
    shots: int
    n: int


SPEEDS = {
    "OpenBookQA, 0 shots": Speed(CASES["openbookqa"], 0, 16),
    "ARC-Easy, 0 shots": Speed(CASES["arc_easy"], 0, 12),
    "ARC-Easy, 5 shots": Speed(CASES["arc_easy"], 5, 6),
    "MMLU, one subject, 5 shots": Speed(_mmlu(), 5, 12),
    "LAMBADA, 0 shots": Speed(CASES["lambada_openai"], 0, 16),
    "GSM8K, 5 shots": Speed(CASES["gsm8k"], 5, 6),
}


@dataclass
class Rounds:
    """What the rounds of a case took: all of it, and around the model."""

    whole: Measured
    around: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    equal: bool = True

    def add(self, turn: int, speed: Speed, sides: Sides, data: Path) -> None:
        """Ask both sides, one right after the other, theirs first in even turns."""
        said = {"num_fewshot": speed.shots}
        runs = [
            (sides.theirs, lambda: theirs(speed.case, data, sides.hflm, **said)),
            (sides.ours, lambda: ours(speed.case, data, sides.engine, **said)),
        ]
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        found: dict[int, Any] = {side: runs[side][0].timed(runs[side][1]) for side in order}
        for side, times in enumerate((self.whole.theirs, self.whole.ours)):
            spent = found[side][1]
            times.append(spent["all"])
            self.around[side].append(spent["all"][1] - spent["model"][1])
        self.equal &= not differences(found[1][0], found[0][0])


def drawn(speed: Speed, seed: int, folder: Path, longest: int = 0) -> Path:
    """Write documents that are drawn by a seed, and some of the longest; return the file."""
    file = folder / f"{seed}.jsonl"
    every = sorted(speed.case.documents(), key=lambda each: len(json.dumps(each)))
    documents = random.Random(seed).sample(every, speed.n) + every[len(every) - longest :]
    file.write_text("".join(json.dumps(each) + "\n" for each in documents), encoding="utf-8")
    return file


def best_size(speed: Speed, sides: Sides, data: Path) -> int:
    """Return the batch size at which lm-evaluation-harness's model needs the least time."""

    def run(size: int) -> Any:
        sides.hflm.batch_size_per_gpu = size
        said = {"num_fewshot": speed.shots}
        return sides.theirs.timed(lambda: theirs(speed.case, data, sides.hflm, **said))

    size = best(BATCH_SIZES, run)
    sides.hflm.batch_size_per_gpu = size
    return size


def main() -> None:
    """Measure all cases and print the table."""
    chosen = options(__doc__, rounds=3)
    sides = Sides(chosen, BATCH_SIZES[0])
    print(machine(chosen), "\n")
    print(
        header("lm-eval", "around its model, CPU s", "around ours", "its batch size", "n", "equal")
    )
    for name, speed in SPEEDS.items():
        if chosen.only not in name:
            continue
        declared(speed.case.task)  # its file is looked for once, for both sides
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            warm = drawn(speed, chosen.seed - 1, folder, longest=2)
            size = best_size(speed, sides, warm)
            ours(speed.case, warm, sides.engine, num_fewshot=speed.shots)  # what is tried once
            rounds = Rounds(Measured(name))
            for turn in range(chosen.rounds):
                rounds.add(turn, speed, sides, drawn(speed, chosen.seed + turn, folder))
        around = [f"{statistics.median(seconds):.2f}" for seconds in rounds.around]
        print(
            rounds.whole.row(*around, str(size), str(speed.n), "yes" if rounds.equal else "NO"),
            flush=True,
        )
    assert not sides.engine.notes, sides.engine.notes


if __name__ == "__main__":
    main()
