"""Models with sliding windows or chunks against a Llama of their size, on texts within the window.

Every row is shorter than the window, so that it hides nothing, and the engine's fast paths are
those of full attention. The weights are random: of time they tell as much as trained ones. Run from
the repository's root; prints Markdown:

    python benchmarks/speed/windows.py [--rounds 5] [--threads 1]
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from common import SMOLLM2, Measured, interleaved, machine, options, our_engine
from multiple_choice import Question, arc_easy, few_shot

from pytest_distill.evals.requests import ChoiceRequest, Decoding, GenerationRequest, Request

hf: Any = transformers
SIZES = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 6,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "tie_word_embeddings": True,
}
WINDOW = 2048
MODELS: dict[str, Callable[[int], Any]] = {
    "Mistral": lambda n: hf.MistralForCausalLM(
        hf.MistralConfig(vocab_size=n, sliding_window=WINDOW, **SIZES)
    ),
    "Phi-3": lambda n: hf.Phi3ForCausalLM(
        hf.Phi3Config(vocab_size=n, sliding_window=WINDOW, **SIZES)
    ),
    "Gemma 2": lambda n: hf.Gemma2ForCausalLM(
        hf.Gemma2Config(vocab_size=n, sliding_window=WINDOW, head_dim=64, **SIZES)
    ),
    "Gemma 3": lambda n: hf.Gemma3ForCausalLM(
        hf.Gemma3TextConfig(vocab_size=n, sliding_window=WINDOW, head_dim=64, **SIZES)
    ),
}


def choices(questions: list[Question]) -> list[Request]:
    """Return the questions as they are asked."""
    return [
        ChoiceRequest(q.id, q.prompt, tuple(f" {choice}" for choice in q.choices))
        for q in questions
    ]


def answers(questions: list[Question]) -> list[Request]:
    """Return the questions to be answered in 32 tokens."""
    return [GenerationRequest(q.id, q.prompt, decoding=Decoding(32)) for q in questions]


CASES: dict[str, Callable[[int], list[Request]]] = {
    "choices, 0 shots": lambda begin: choices(arc_easy()[begin : begin + 20]),
    "choices, 5 shots": lambda begin: choices(few_shot()[begin : begin + 10]),
    "generation": lambda begin: answers(arc_easy()[begin : begin + 12]),
}


def main() -> None:
    """Measure all models and print the table."""
    chosen = options(__doc__, rounds=5)
    tokenizer = hf.AutoTokenizer.from_pretrained(SMOLLM2)
    print(machine(chosen), "\n")
    print("| model | case | Llama, s | its own, s | own / Llama | range | notes |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:

        def engine(name: str, model: Any) -> Any:
            torch.manual_seed(chosen.seed)
            path = Path(folder) / name.replace(" ", "")
            model.save_pretrained(path)
            tokenizer.save_pretrained(path)
            return our_engine(path, chosen)

        llama = engine("Llama", hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=49152, **SIZES)))
        for name, make in MODELS.items():
            own = engine(name, make(49152))
            for case, requests in CASES.items():
                if chosen.only not in f"{name} {case}":
                    continue
                measured = Measured(case)
                for one in (llama, own):
                    list(one.predict(requests(0)))  # with its trials
                for turn in range(chosen.rounds):
                    asked = requests(20 * (turn + chosen.seed + 1))
                    interleaved(
                        measured,
                        turn,
                        lambda asked=asked: list(llama.predict(asked)),
                        lambda asked=asked, own=own: list(own.predict(asked)),
                    )
                ratios = [1 / ratio for ratio in measured.ratios(1)]
                theirs = statistics.median(wall for _, wall in measured.theirs)
                ours = statistics.median(wall for _, wall in measured.ours)
                print(
                    f"| {name} | {case} | {theirs:.2f} | {ours:.2f} | "
                    f"{statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} | "
                    f"{'; '.join(own.notes) or 'none'} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
