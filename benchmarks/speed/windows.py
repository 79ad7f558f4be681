"""Models with sliding windows against themselves without, and against a Llama of their size.

Every text is shorter than the window, so that it hides nothing, and the engine's fast paths are
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

from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

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
FULL = {"layer_types": ["full_attention"] * 6}


def model(name: str, vocabulary: int, *, window: bool) -> Any:
    """Return a model of random weights, with or without a window."""
    keys: dict[str, Any] = {"vocab_size": vocabulary, **SIZES}
    if name == "Llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**keys))
    if name == "Mistral":
        own = WINDOW if window else None
        return hf.MistralForCausalLM(hf.MistralConfig(sliding_window=own, **keys))
    if name == "Phi-3":
        own = WINDOW if window else None
        return hf.Phi3ForCausalLM(hf.Phi3Config(sliding_window=own, **keys))
    keys |= {"sliding_window": WINDOW, "head_dim": 64, **({} if window else FULL)}
    if name == "Gemma 2":
        return hf.Gemma2ForCausalLM(hf.Gemma2Config(**keys))
    return hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**keys))


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
    hf.utils.logging.disable_progress_bar()
    tokenizer = hf.AutoTokenizer.from_pretrained(SMOLLM2)
    print(machine(chosen), "\n")
    print("| model | case | with its window, s | to itself without | range | to a Llama | range |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:

        def engine(name: str, *, window: bool) -> Any:
            torch.manual_seed(chosen.seed)
            path = Path(folder) / f"{name}{window}".replace(" ", "")
            model(name, len(tokenizer), window=window).save_pretrained(path)
            tokenizer.save_pretrained(path)
            return our_engine(path, chosen)

        llama = engine("Llama", window=False)
        for name in ("Mistral", "Phi-3", "Gemma 2", "Gemma 3"):
            own, full = engine(name, window=True), engine(name, window=False)
            for case, requests in CASES.items():
                if chosen.only not in f"{name} {case}":
                    continue
                peers = {"full": (full, Measured(case)), "llama": (llama, Measured(case))}
                for one in (llama, own, full):
                    list(one.predict(requests(0)))  # with its trials
                for turn in range(chosen.rounds):
                    asked = requests(20 * (turn + chosen.seed + 1))
                    for peer, measured in peers.values():
                        interleaved(
                            measured,
                            turn,
                            lambda asked=asked, peer=peer: list(peer.predict(asked)),
                            lambda asked=asked, own=own: list(own.predict(asked)),
                        )
                cells = [name, case]
                cells += [f"{statistics.median(wall for wall, _ in peers['full'][1].ours):.2f}"]
                for _, measured in peers.values():
                    ratios = [1 / ratio for ratio in measured.ratios(1)]
                    cells += [f"{statistics.median(ratios):.2f}"]
                    cells += [f"{min(ratios):.2f} to {max(ratios):.2f}"]
                print("| " + " | ".join(cells) + " |", flush=True)
            assert not own.notes, own.notes


if __name__ == "__main__":
    main()
