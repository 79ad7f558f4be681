"""Random models of real shapes, and the data that they are asked.

    python benchmarks/cuda/models.py FOLDER [--small]

The teacher has the shape of a Llama of 7B, student and SFT student that of SmolLM2-135M; all use
SmolLM2's tokenizer, so that they can be compared token by token. How fast a model is, and what it
holds, depends on its shape and on the texts alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "speed"))

from common import SMOLLM2, data

SHAPES: dict[str, dict[str, int]] = {
    "teacher": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
    },
    "student": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
}
SMALL: dict[str, dict[str, int]] = {
    "teacher": {
        "hidden_size": 192,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 6,
    },
    "student": {
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "num_key_value_heads": 1,
    },
}
CONTEXT = 8192


def make(folder: Path, shape: dict[str, int], seed: int, dtype: str | None = None) -> None:
    """Write a Llama with random weights, by default in bfloat16 where there is a GPU."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    cuda = torch.cuda.is_available()
    dtype = dtype or ("bfloat16" if cuda else "float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(SMOLLM2)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=dtype,
        **shape,
    )
    torch.manual_seed(seed)
    torch.set_default_dtype(getattr(torch, dtype))
    with torch.device("cuda" if cuda else "cpu"):
        model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(folder, max_shard_size="5GB")
    tokenizer.save_pretrained(folder)


def gold(folder: Path, questions: int, texts: int, prompts: int) -> None:
    """Write gold sets whose answers are the teacher's own, one in ten changed.

    A random model guesses, and no gate is about a teacher that does. This one is right nine times
    in ten, by what it says itself; its students are random, and fall short.
    """
    from pytest_distill.engines import ModelSpec
    from pytest_distill.engines.transformers import TransformersEngine
    from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
    from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

    rows = list(data("ai2_arc/ARC-Easy/validation"))[:questions]
    engine = TransformersEngine(ModelSpec("teacher", "teacher", path=str(folder / "teacher")))
    asked = [f"Question: {row['question']}\nAnswer:" for row in rows]
    choices = [tuple(f" {text}" for text in row["choices"]["text"]) for row in rows]
    requests = [
        ChoiceRequest(row["id"], prompt, of)
        for row, prompt, of in zip(rows, asked, choices, strict=True)
    ]
    said = {p.id: p.loglikelihoods for p in engine.predict(requests)}
    decoding = Decoding(max_new_tokens=16)
    texts_of = {
        p.id: p.text
        for p in engine.predict(
            [
                GenerationRequest(row["id"], prompt, decoding=decoding)
                for row, prompt in zip(rows[:prompts], asked, strict=False)
            ]
        )
    }
    engine.close()

    def answer(number: int, row: Any, of: tuple[str, ...]) -> int:
        values = said[row["id"]]
        best = values.index(max(values))
        return (best + (number % 10 == 0)) % len(of)

    _write(
        folder / "questions.jsonl",
        [
            {
                "id": row["id"],
                "question": prompt,
                "choices": [text.strip() for text in of],
                "answer": answer(number, row, of),
                "length": "long" if len(prompt) > 100 else "short",
            }
            for number, (row, prompt, of) in enumerate(zip(rows, asked, choices, strict=True))
        ],
    )
    _write(
        folder / "prompts.jsonl",
        [
            {"id": row["id"], "prompt": prompt, "answer": texts_of[row["id"]] or "nothing"}
            for row, prompt in zip(rows[:prompts], asked, strict=False)
        ],
    )
    supports = [row["support"] for row in data("sciq/none/validation") if row["support"].strip()]
    _write(
        folder / "texts.jsonl",
        [{"id": str(n), "text": text} for n, text in enumerate(supports[:texts])],
    )
    _write(
        folder / "train.jsonl",
        [{"text": text} for text in supports[texts : 2 * texts]],
    )


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write all models and gold sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="tiny shapes, for a CPU")
    chosen = parser.parse_args()
    if not (SMOLLM2 / "model.safetensors").exists():  # carried without its weights
        make(SMOLLM2, SHAPES["student"], 3, "float32")
    shapes = SMALL if chosen.small else SHAPES
    for seed, (name, shape) in enumerate({**shapes, "sft": shapes["student"]}.items()):
        make(chosen.folder / name, shape, seed)
    gold(chosen.folder, *((60, 20, 20) if chosen.small else (400, 200, 60)))


if __name__ == "__main__":
    main()
