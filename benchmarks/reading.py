"""How fast files that other tools wrote are read: 100,000 samples of lm-evaluation-harness.

Five shots and four choices, 3.7 kB a line. Beside it, in processes of their own and in turns: what
only reads the same lines (`json.loads` of each, pandas, datasets), and our own plain file of the
same answers. Seconds are those of the processor, since other work on the machine
lengthens the others. Run from the repository's root; prints Markdown:

    python benchmarks/reading.py [--rows 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import Run, machine, run, table

SHOT = "Question: what is the capital of France, and on which river?\nAnswer: Paris, the Seine\n\n"
QUESTION = "which of these would most likely happen when a plant gets too little light in spring?"
CHOICES = ("it grows {} cm", "it stops making food", "it turns to the moon", "it drinks more water")

SIDES = {
    "format: lm-eval": """
from pytest_distill.evaluation.sources.formats.format import format_of
def read(folder):
    (run,) = format_of("lm-eval").read([next(folder.glob("samples_*"))])
    return run.rows
""",
    "our plain file": """
from pytest_distill.evaluation.sources.recorded import read_predictions
def read(folder):
    return read_predictions(folder / "plain.jsonl")[1]
""",
    "json.loads of every line": """
import json
def read(folder):
    with next(folder.glob("samples_*")).open() as file:
        return [json.loads(line) for line in file]
""",
    "pandas.read_json": """
import pandas
def read(folder):
    return pandas.read_json(next(folder.glob("samples_*")), lines=True)
""",
    "datasets.load_dataset": """
import tempfile
import datasets
datasets.disable_progress_bars()
def read(folder):
    file = str(next(folder.glob("samples_*")))
    cache = tempfile.mkdtemp(dir=folder)  # else the second time nothing is read
    return datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
""",
}
"""What is timed: `read`, of the folder, returns as many rows as there are."""

TIMED = """
import sys, time
from pathlib import Path
{read}
started = time.process_time()
found = read(Path({folder!r}))
print(time.process_time() - started)
assert len(found) == {rows}
"""


def digest(text: str) -> str:
    """Return what lm-evaluation-harness calls the hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def samples(rows: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield samples of a task as lm-evaluation-harness writes them."""
    rng = random.Random(seed)
    for number in range(rows):
        choices = [choice.format(number) for choice in CHOICES]
        doc = {
            "id": f"Mercury_{number}",
            "question": f"No. {number}: {QUESTION}",
            "choices": {"text": choices, "label": list("ABCD")},
            "answerKey": "B",
        }
        prompt = f"{SHOT * 5}Question: {doc['question']}\nAnswer:"
        said = [-rng.randrange(1, 800) / 8 for _ in choices]
        by_length = [value / len(text) for value, text in zip(said, choices, strict=True)]
        answers = [[str(value), "False"] for value in said]
        yield {
            "doc_id": number,
            "doc": doc,
            "target": "1",
            "arguments": {
                f"gen_args_{at}": {"arg_0": prompt, "arg_1": f" {text}"}
                for at, text in enumerate(choices)
            },
            "resps": [[answer] for answer in answers],
            "filtered_resps": answers,
            "filter": "none",
            "metrics": ["acc", "acc_norm"],
            "doc_hash": digest(json.dumps(doc, indent=2, ensure_ascii=False)),
            "prompt_hash": digest(prompt),
            "target_hash": digest("1"),
            "acc": float(said.index(max(said)) == 1),
            "acc_norm": float(by_length.index(max(by_length)) == 1),
        }


def make(folder: Path, rows: int, seed: int) -> int:
    """Write the samples, and the same answers as a plain file; return the bytes of the first."""
    path = folder / "samples_arc_easy_2026-01-01T00-00-00.000000.jsonl"
    with path.open("w") as file, (folder / "plain.jsonl").open("w") as plain:
        for number, sample in enumerate(samples(rows, seed)):
            file.write(json.dumps(sample, ensure_ascii=False) + "\n")
            values = [float(answer) for ((answer, _),) in sample["resps"]]
            scores = {name: sample[name] for name in sample["metrics"]}
            row = {"id": f"e{number}", "loglikelihoods": values, "scores": scores}
            plain.write(json.dumps(row) + "\n")
    return path.stat().st_size


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(machine("pandas", "datasets"), end="\n\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make(folder, given.rows, given.seed)
        found: dict[str, list[tuple[float, Run]]] = {side: [] for side in SIDES}
        names = list(SIDES)
        for turn in range(given.rounds):
            for side in (*names[turn % len(names) :], *names[: turn % len(names)]):
                script = TIMED.format(read=SIDES[side], folder=name, rows=given.rows)
                done = run([sys.executable, "-c", script], folder)
                assert done.status == 0, done.output
                found[side].append((float(done.output.split()[-1]), done))
    ours = found[names[0]]
    lines = []
    for side, runs in found.items():
        seconds = [taken for taken, _ in runs]
        ratios = [mine / its for (mine, _), its in zip(ours, seconds, strict=True)]
        lines.append(
            [
                side,
                f"{statistics.median(seconds):.2f}",
                f"{min(seconds):.2f} to {max(seconds):.2f}",
                f"{max(done.peak for _, done in runs) / 1e6:,.0f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    head = [f"{given.rows:,} samples, {size / 1e6:,.0f} MB", "CPU s", "range", "peak, MB"]
    print(table([*head, "ours / its"], lines))


if __name__ == "__main__":
    main()
