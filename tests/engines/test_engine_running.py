from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .tiny import CORPUS, TEXTS, Make, hf, predicted, saved

HEADER = "Question: what gets the worm?\nAnswer: the early bird\n\n" * 5


def _alone(engine: Any, prompt: str, length: int) -> str:
    """Return what transformers generates for one prompt, greedily, without a batch."""
    inputs = engine.tokenizer(prompt, return_tensors="pt").to(engine.model.device)
    output = engine.model.generate(**inputs, do_sample=False, max_new_tokens=length)[0]
    new = output[inputs["input_ids"].shape[1] :]
    return str(engine.tokenizer.decode(new, skip_special_tokens=True))


def _shapes(engine: Any) -> list[tuple[int, ...]]:
    """Return a list that fills with the shapes of what the model reads."""
    shapes: list[tuple[int, ...]] = []
    engine.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: shapes.append(tuple(inputs[0].shape))
    )
    return shapes


def _texts(engine: Any, requests: list[GenerationRequest]) -> dict[str, str | None]:
    return {prediction.id: prediction.text for prediction in predicted(engine, requests)}


def test_a_finished_text_leaves_and_the_next_one_enters(engine: Make, causal_folder: Path) -> None:
    """With three places for twelve texts, each is what it would be alone, and no row is idle."""
    made = engine(causal_folder, batch_tokens=150)
    prompts = [f"{CORPUS[n : n + 12 + n]}," for n in range(12)]
    alone = [_alone(made, prompt, 12) for prompt in prompts]
    stop = tuple({text[2:4] for text in alone[::3]})  # some texts end early
    decoding = Decoding(max_new_tokens=12, stop=stop)
    shapes = _shapes(made)
    got = _texts(made, [GenerationRequest(p, p, decoding=decoding) for p in prompts])
    for prompt, text in zip(prompts, alone, strict=True):
        ends = [text.find(string) for string in stop]
        assert got[prompt] == text[: min((at for at in ends if at >= 0), default=len(text))]
    steps = [rows for rows, tokens in shapes if tokens == 1]
    assert 1 < max(steps) < len(prompts)
    whole = sum(len(made.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in alone)
    assert sum(steps) < whole  # what is read after a text's end is read in vain


def test_what_all_prompts_begin_with_is_read_once(
    engine: Make, causal_folder: Path, changed: Any
) -> None:
    """A few-shot header is one pass of one row; the texts are the same as without sharing."""
    made = engine(changed(causal_folder, max_position_embeddings=600))
    prompts = [f"{HEADER}Question: {text}\nAnswer:" for text in TEXTS]
    alone = {prompt: _alone(made, prompt, 8) for prompt in prompts}
    decoding = Decoding(max_new_tokens=8)
    _texts(made, [GenerationRequest(p, p, decoding=decoding) for p in prompts])  # with its trials
    shapes = _shapes(made)
    assert _texts(made, [GenerationRequest(p, p, decoding=decoding) for p in prompts]) == alone
    header = len(made.tokenizer(HEADER)["input_ids"])
    assert sum(rows * tokens > header // 2 and rows == 1 for rows, tokens in shapes) >= 1
    assert sum(rows * tokens for rows, tokens in shapes) < 2 * header + 600


def test_equal_prompts_give_equal_texts(engine: Make, causal_folder: Path) -> None:
    """Prompts that are the shared prefix and nothing else still have a token to go on from."""
    made = engine(causal_folder, batch_tokens=512)
    prompt = CORPUS[:120]
    decoding = Decoding(max_new_tokens=5)
    got = _texts(made, [GenerationRequest(str(n), prompt, decoding=decoding) for n in range(30)])
    assert set(got.values()) == {_alone(made, prompt, 5)}
    assert len(got) == 30


@pytest.mark.parametrize("batch_tokens", [90, 4096])
def test_samples_of_one_prompt_read_it_once(
    engine: Make, causal_folder: Path, batch_tokens: int
) -> None:
    """Whatever the order of the requests, and whatever finds room at a time; texts are as alone."""
    made = engine(causal_folder, batch_tokens=batch_tokens)
    decoding = Decoding(max_new_tokens=5, do_sample=True, temperature=3.0, seed=0)
    asked = [
        GenerationRequest(f"{text} {seed}", text, decoding=replace(decoding, seed=seed))
        for seed in range(5)
        for text in TEXTS[:3]
    ]
    alone: dict[str, str | None] = {}
    for request in asked:
        alone |= _texts(made, [request])
    shapes = _shapes(made)
    assert _texts(made, asked) == alone
    assert len(set(alone.values())) > 10
    assert made._load().findings.way == "loop"
    if batch_tokens > 90:
        lengths = [len(made.tokenizer(text)["input_ids"]) for text in TEXTS[:3]]
        longest, *_ = sorted(lengths, reverse=True)
        shapes.clear()
        _texts(made, asked)
        read = [rows for rows, columns in shapes if columns > 1]
        assert sum(read) <= 3 + 1  # a short text is read again when all is answered
        assert max(columns for _, columns in shapes) == longest


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "MambaForCausalLM",
            lambda n: hf.MambaConfig(vocab_size=n, hidden_size=32, num_hidden_layers=2),
        ),
        (
            "BloomForCausalLM",
            lambda n: hf.BloomConfig(vocab_size=n, hidden_size=32, n_layer=2, n_head=4),
        ),
        (
            "MistralForCausalLM",
            lambda n: hf.MistralConfig(
                vocab_size=n,
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                sliding_window=8,
            ),
        ),
    ],
)
def test_models_that_keep_something_else_generate_with_transformers(
    engine: Make, tokenizer: Any, tmp_path: Path, name: str, config: Any
) -> None:
    """Recurrent, ALiBi and sliding-window models give the texts of one prompt alone."""
    torch.manual_seed(7)
    made_config = config(len(tokenizer))
    made_config.initializer_range = 0.3
    made = engine(saved(getattr(hf, name)(made_config), tokenizer, tmp_path))
    decoding = Decoding(max_new_tokens=6)
    got = _texts(made, [GenerationRequest(text, text, decoding=decoding) for text in TEXTS[:3]])
    assert got == {text: _alone(made, text, 6) for text in TEXTS[:3]}
