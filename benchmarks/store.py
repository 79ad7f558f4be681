"""How fast the store takes predictions, finds them again, and hashes weights.

Writing and finding are compared with Python's own sqlite3 and json, given the same predictions and
asked for no more than to have them on disk; hashing with `sha256sum` and `hashlib.file_digest`.
Sides run in turns. Run from the repository's root; prints Markdown:

    python benchmarks/store.py [--predictions 100000] [--rounds 5] [--megabytes 1000]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from processes import machine, table

from pytest_distill.engines import ModelInfo
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evaluation.store.file import FILE_NAME
from pytest_distill.evaluation.store.keeping import Keeper

LABELS = ("negative", "neutral", "positive")
IDENTITY = {"model": "0" * 64, "engine": "benchmark", "version": "1", "dtype": "float32"}


def silent(message: str) -> None:
    """Stop where the store is set aside: its times would be of something else."""
    raise AssertionError(message)


def make(n: int, seed: int) -> tuple[list[Request], list[Prediction]]:
    """Return what is asked and answered: `n` texts, three probabilities each."""
    rng = random.Random(seed)
    requests: list[Request] = []
    predictions = []
    for i in range(n):
        requests.append(ClassificationRequest(f"r{i}", f"a text of some length with number {i}"))
        weights = [rng.random() for _ in LABELS]
        probabilities = tuple(weight / sum(weights) for weight in weights)
        predictions.append(Prediction(f"r{i}", probabilities=probabilities, labels=LABELS))
    return requests, predictions


def answer(prediction: Prediction) -> str:
    """Return what must be kept of a prediction."""
    return json.dumps({"probabilities": prediction.probabilities, "labels": prediction.labels})


Predict = Callable[[Sequence[Request]], Iterator[Prediction]]


def keep(folder: Path, requests: Sequence[Request], predict: Predict) -> int:
    """Evaluate through the store, as a run does; return how many came from it."""
    keeper = Keeper(folder, warn=silent, tell=silent)
    keeper.info(IDENTITY, lambda: ModelInfo("student", "student"))
    kept = keeper.evaluate("student on texts", IDENTITY, requests, predict)
    keeper.close()
    assert len(kept.predictions) == len(requests)
    return kept.from_store


def executemany(folder: Path, keys: Sequence[bytes], predictions: Sequence[Prediction]) -> None:
    """Write all rows in one transaction, which a crash would lose as a whole."""
    connection = sqlite3.connect(folder / "plain.sqlite3")
    connection.execute(
        "CREATE TABLE predictions (run TEXT, request BLOB, answer TEXT, checksum INTEGER, "
        "made REAL, PRIMARY KEY (run, request)) WITHOUT ROWID"
    )
    answers = map(answer, predictions)
    rows = (
        ("run", key, text, zlib.crc32(text.encode()), time.time())
        for key, text in zip(keys, answers, strict=True)
    )
    with connection:
        connection.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()


def append_lines(folder: Path, keys: Sequence[bytes], predictions: Sequence[Prediction]) -> None:
    """Append a line of JSON each, handed to the operating system at once, on disk at the end."""
    with (folder / "lines.jsonl").open("w") as file:
        for key, prediction in zip(keys, predictions, strict=True):
            file.write(f'{{"request": "{key.hex()}", "answer": {answer(prediction)}}}\n')
            file.flush()
        os.fsync(file.fileno())


def read_plain(folder: Path) -> None:
    """Read all rows back and decode them."""
    connection = sqlite3.connect(folder / "plain.sqlite3")
    found = {key: json.loads(a) for key, a in connection.execute(
        "SELECT request, answer FROM predictions WHERE run = 'run'"
    )}  # fmt: skip
    connection.close()
    assert found


def read_lines(folder: Path) -> None:
    """Read all lines back and decode them."""
    with (folder / "lines.jsonl").open() as file:
        assert {row["request"]: row["answer"] for row in map(json.loads, file)}


def timed(act: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def in_turns(sides: Mapping[str, Callable[[], object]], turn: int) -> dict[str, float]:
    """Time every side once, each turn in another order."""
    names = list(sides)
    first = turn % len(names)
    return {name: timed(sides[name]) for name in (*names[first:], *names[:first])}


def rows(found: Sequence[Mapping[str, float]], work: float, ours: str) -> list[list[str]]:
    """Return a row a side: seconds, work a second, and our time over its, round by round."""
    lines = []
    for name in found[0]:
        seconds = [one[name] for one in found]
        ratios = [one[ours] / one[name] for one in found]
        lines.append(
            [
                name,
                f"{statistics.median(seconds):.3f}",
                f"{min(seconds):.3f} to {max(seconds):.3f}",
                f"{work / statistics.median(seconds):,.0f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            ]
        )
    return lines


def measure_predictions(folder: Path, n: int, rounds: int, seed: int) -> None:
    """Print how long it takes to write predictions, and to find them again."""
    requests, predictions = make(n, seed)
    keys = [hashlib.sha256(request.id.encode()).digest() for request in requests]
    written, found = [], []

    def anew(_: Sequence[Request]) -> Iterator[Prediction]:
        return iter(predictions)

    for turn in range(-1, rounds):  # the first one warms up
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        writing = {
            "the store": lambda: keep(folder, requests, anew),
            "sqlite3, one transaction": lambda: executemany(folder, keys, predictions),
            "JSON lines, flushed": lambda: append_lines(folder, keys, predictions),
        }
        finding = {
            "the store": lambda: keep(folder, requests, refuse),
            "sqlite3, all rows": lambda: read_plain(folder),
            "JSON lines": lambda: read_lines(folder),
        }
        times = in_turns(writing, turn), in_turns(finding, turn)
        if turn >= 0:
            written.append(times[0])
            found.append(times[1])
    size = (folder / FILE_NAME).stat().st_size
    for what, times_of in (("write", written), ("find again", found)):
        head = [f"{n:,} predictions: {what}", "s", "range", "a second", "the store's time / its"]
        print(table(head, rows(times_of, n, "the store")), end="\n\n")
    print(f"On disk: {size / n:.0f} bytes a prediction in the store.\n")


def refuse(missing: Sequence[Request]) -> Iterator[Prediction]:
    """Stop: everything was to be found."""
    raise AssertionError(f"{len(missing)} requests were not found")


def measure_hashing(folder: Path, megabytes: int, rounds: int) -> None:
    """Print how long it takes to hash a file of weights, first and remembered."""
    folder.mkdir()
    path = folder / "weights.bin"
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))

    def digest() -> None:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256").hexdigest()

    command = [shutil.which("sha256sum") or "sha256sum", str(path)]
    found = []
    for turn in range(-1, rounds):
        (folder / FILE_NAME).unlink(missing_ok=True)
        keeper = Keeper(folder, warn=silent, tell=silent)
        sides = {
            "the store, first": lambda keeper=keeper: keeper.file_digests()(path),
            "hashlib.file_digest": digest,
            "sha256sum": lambda: subprocess.run(command, check=True, capture_output=True),
        }
        times = in_turns(sides, turn)
        keeper.close()
        again = Keeper(folder, warn=silent, tell=silent)
        times["the store, remembered"] = timed(lambda: again.file_digests()(path))  # noqa: B023 (now)
        again.close()
        if turn >= 0:
            found.append(times)
    head = [f"{megabytes:,} MB: hash", "s", "range", "MB a second", "the first pass / its"]
    print(table(head, rows(found, megabytes, "the store, first")), end="\n\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the file to hash")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        measure_predictions(folder / "store", chosen.predictions, chosen.rounds, chosen.seed)
        measure_hashing(folder / "weights", chosen.megabytes, chosen.rounds)
    print(f"{machine()}; SQLite {sqlite3.sqlite_version}; {chosen.rounds} rounds, medians")


if __name__ == "__main__":
    main()
