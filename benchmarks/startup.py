"""What the plugin costs at start, and how long a run takes that has nothing to evaluate.

Three tables: a project with one trivial test, with the plugin and with `-p no:distill`; a project
of 3 models, 2 evals and 1,000 examples each, whose predictions are all stored or exported, against
the trivial test without the plugin; and the import of the package. Sides run in turns, each in a
process of its own. The models are tiny and random, the engine is the real one: how predictions
came about does not matter to a run that makes none. Run from the repository's root; prints
Markdown:

    python benchmarks/startup.py [--pairs 40] [--examples 1000]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from processes import Run, machine, pytest_run, run, table

MOST_AT_START, MOST_WARM = 0.030, 1.5
"""The aims, in seconds."""

LABELS = ("negative", "neutral", "positive")
LANGUAGES = ("de", "en", "es", "fr", "it")
WORDS = tuple(f"word{i}" for i in range(200))
SPECIAL = {"unk_token": "[UNK]", "pad_token": "[PAD]"}
HIDDEN = {"teacher": 64, "student": 32, "sft": 32}

TRIVIAL = "def test_trivial():\n    assert True\n"

# What a run imported stands in a file: the test of it must not be in the way of its time.
NOTING = """\
import sys
from pathlib import Path


def pytest_unconfigure():
    Path("modules.txt").write_text("\\n".join(sys.modules))
"""

GATES = """\
import pytest
from pytest_distill import assert_flips, assert_quality_retained, assert_slices_retained

pytestmark = pytest.mark.parametrize(
    "_eval", [pytest.param(n, marks=pytest.mark.distill(eval=n)) for n in ("reviews", "letters")]
)


def test_keeps(_eval):
    assert_quality_retained(min=0.01)
    assert_quality_retained(min=0.01, metric="macro_f1")


def test_keeps_in_every_slice(_eval):
    assert_slices_retained(min=0.01, by="language", confidence=None)


def test_pays(_eval):
    assert_flips(0.9)
"""


def write_project(folder: Path, examples: int, seed: int) -> None:
    """Write models, gold sets and gates."""
    folder.mkdir()
    rng = random.Random(seed)
    lines = ["models:"]
    lines += [f"  {name}: {{path: models/{name}, device: cpu}}" for name in HIDDEN]
    lines.append("evals:")
    for name in ("reviews", "letters"):
        lines += [
            f"  {name}:",
            "    {task: classification, input: text, target: label, slices: [language],",
            f"     data: {name}.jsonl, metrics: [accuracy, macro_f1]}}",
        ]
        rows = (
            {
                "id": f"{name}-{i}",
                "text": " ".join(rng.choices(WORDS, k=12)),
                "label": rng.choice(LABELS),
                "language": rng.choice(LANGUAGES),
            }
            for i in range(examples)
        )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "distill.yaml").write_text("\n".join(lines) + "\n")
    (folder / "test_ship.py").write_text(GATES)
    (folder / "conftest.py").write_text(NOTING)
    for number, (name, hidden) in enumerate(HIDDEN.items()):
        write_model(folder / "models" / name, hidden, number)


def write_model(folder: Path, hidden: int, seed: int) -> None:
    """Write a BERT classifier of two layers with random weights and a vocabulary of its own."""
    import tokenizers
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    vocabulary = {word: i for i, word in enumerate((*SPECIAL.values(), *WORDS))}
    words = tokenizers.models.WordLevel(vocabulary, SPECIAL["unk_token"])
    inner = tokenizers.Tokenizer(words)
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, model_max_length=64, **SPECIAL
    ).save_pretrained(folder)


def in_turns(sides: Mapping[str, Callable[[], Run]], pairs: int) -> dict[str, list[Run]]:
    """Run all sides in turns, each round in another order, after one round that warms up."""
    done: dict[str, list[Run]] = {name: [] for name in sides}
    for turn in range(-1, pairs):
        order = list(sides)
        first = turn % len(order)
        for name in (*order[first:], *order[:first]):
            finished = sides[name]()
            if turn >= 0:
                done[name].append(finished)
    return done


def row(name: str, ours: list[Run], theirs: list[Run], aim: float, unit: float) -> list[str]:
    """Return a row: medians of both sides, of their difference in each round, and its quartiles."""
    more = [a.wall - b.wall for a, b in zip(ours, theirs, strict=True)]
    low, _, high = statistics.quantiles(more, n=4)
    cpu = statistics.median(a.cpu - b.cpu for a, b in zip(ours, theirs, strict=True))
    shown = [statistics.median(r.wall for r in side) for side in (theirs, ours)]
    shown += [statistics.median(more), low, high, cpu, aim]
    met = statistics.median(more) <= aim
    base, total, middle, low, high, cpu, aim = (round(value * unit, 2) for value in shown)
    return [
        name,
        f"{base:g}",
        f"{total:g}",
        f"{middle:g}",
        f"{low:g} to {high:g}",
        f"{cpu:g}",
        f"{aim:g}: {'met' if met else 'missed'}",
    ]


def head(unit: str) -> list[str]:
    """Return the head of the first two tables."""
    quantities = ("without", "with", "difference", "its quartiles", "CPU-time difference", "aim")
    return ["run", *(f"{name}, {unit}" for name in quantities)]


def added_modules(folder: Path, ours: Callable[[], Run], theirs: Callable[[], Run]) -> list[str]:
    """Return the modules that one side imports and the other does not, without Python's own."""
    found = []
    for side in (ours, theirs):
        side()
        found.append(set((folder / "modules.txt").read_text().splitlines()))
    names = found[0] - found[1]
    return sorted(n for n in names if n.partition(".")[0] not in sys.stdlib_module_names)


def measure_start(folder: Path, pairs: int) -> None:
    """Print what the plugin costs a project without gates."""
    folder.mkdir()
    (folder / "test_trivial.py").write_text(TRIVIAL)
    (folder / "conftest.py").write_text(NOTING)
    ours, theirs = (lambda: pytest_run(folder)), (lambda: pytest_run(folder, plugin="no:distill"))
    done = in_turns({"ours": ours, "theirs": theirs}, pairs)
    print(table(head("ms"), [row("trivial", done["ours"], done["theirs"], MOST_AT_START, 1e3)]))
    names = added_modules(folder, ours, theirs)
    print("\nModules beside Python's own:", ", ".join(names), end="\n\n")


def measure_warm(folder: Path, trivial: Path, pairs: int, examples: int, seed: int) -> None:
    """Print how long a run takes whose predictions are all there."""
    write_project(folder, examples, seed)
    report = ("--distill-report", "--distill-json", "out.json")
    pytest_run(folder, *report)
    exported = run([sys.executable, "-m", "pytest_distill", "store", "export", "made"], folder)
    assert exported.status == 0, exported.output
    away = folder / "elsewhere"
    elsewhere = (*report, "--distill-predictions", "made", "--distill-cache", "empty")

    def from_store() -> Run:
        done = pytest_run(folder, *report)
        told = json.loads((folder / "out.json").read_text())["evaluations"]
        assert all(e["from_store"] == examples and not e["evaluated"] for e in told), told
        refuse_engines(folder)
        return done

    def from_exported() -> Run:
        (folder / "models").rename(away)
        try:
            done = pytest_run(folder, *elsewhere)
        finally:
            away.rename(folder / "models")
        refuse_engines(folder)
        return done

    sides = {"stored": from_store, "exported": from_exported}
    done = in_turns({**sides, "base": lambda: pytest_run(trivial, plugin="no:distill")}, pairs)
    rows = [row(name, done[name], done["base"], MOST_WARM, 1) for name in sides]
    print(table(head("s"), rows), end="\n\n")


def refuse_engines(folder: Path) -> None:
    """Raise AssertionError where a run imported what loads models."""
    imported = set((folder / "modules.txt").read_text().splitlines())
    assert not imported & {"torch", "transformers"}


def measure_imports(folder: Path, pairs: int) -> None:
    """Print how long the package takes to import, once pytest is."""
    code = (
        "import time, pytest; a = time.perf_counter(); import pytest_distill; "
        "b = time.perf_counter(); import pytest_distill.plugin; "
        "c = time.perf_counter(); print(b - a, c - b)"
    )
    times = [run([sys.executable, "-c", code], folder).output.split() for _ in range(pairs)]
    rows = []
    for place, name in enumerate(("pytest_distill", "pytest_distill.plugin, after it")):
        found = [1e3 * float(both[place]) for both in times]
        low, middle, high = statistics.quantiles(found, n=4)
        rows.append([name, f"{middle:.2f}", f"{low:.2f} to {high:.2f}"])
    print(table(["import", "ms", "quartiles"], rows), end="\n\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40, help="rounds of each comparison")
    parser.add_argument("--examples", type=int, default=1000, help="in each of the two gold sets")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        trivial = Path(temporary) / "trivial"
        measure_start(trivial, chosen.pairs)
        project = Path(temporary) / "gates"
        measure_warm(project, trivial, chosen.pairs, chosen.examples, chosen.seed)
        measure_imports(trivial, chosen.pairs)
    print(f"{machine('pytest', 'numpy', 'pydantic')}; {chosen.pairs} rounds, medians")


if __name__ == "__main__":
    main()
