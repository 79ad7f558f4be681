"""The log-likelihood that comes with a generated text, against plain forward passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill.engines.transformers.fast.continuous_batching import run_all
from pytest_distill.engines.transformers.texts import Text
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .tiny import TEXTS, Make, hf, one_each, predicted, saved

GREEDY = Decoding(max_new_tokens=12)
SAMPLED = Decoding(max_new_tokens=12, do_sample=True, temperature=2.0, top_p=0.8, seed=3)
ENDS = [1]


def forward(model: Any, prompt: list[int], tokens: list[int]) -> list[float]:
    """Return the log-probability of each token, from one pass over the whole text."""
    with torch.no_grad():
        if model.config.is_encoder_decoder:
            start = [model.config.decoder_start_token_id, *tokens[:-1]]
            decoder = torch.tensor([start], device=model.device)
            logits = model(
                torch.tensor([prompt], device=model.device), decoder_input_ids=decoder
            ).logits[0]
        else:
            logits = model(torch.tensor([prompt + tokens[:-1]], device=model.device)).logits[0]
            logits = logits[len(prompt) - 1 :]
    likely = logits.double().log_softmax(-1)
    return [float(likely[place, token]) for place, token in enumerate(tokens)]


def until_the_end(tokens: list[int]) -> list[int]:
    """Return generated tokens up to the end token, which is one of them."""
    return tokens[: tokens.index(1) + 1] if 1 in tokens else tokens


@pytest.fixture
def sliding_folder(tokenizer: Any, tmp_path: Path) -> Path:
    """Return a Mistral with a sliding window, which transformers' own ``generate`` runs."""
    torch.manual_seed(7)
    config = hf.MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=8,
        initializer_range=0.3,
    )
    return saved(hf.MistralForCausalLM(config), tokenizer, tmp_path)


@pytest.mark.parametrize("batch_tokens", [40, 4096])
@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_log_probabilities_are_those_of_a_forward_pass(
    engine: Make, causal_folder: Path, decoding: Decoding, batch_tokens: int
) -> None:
    """Of every generated token, in any batch, and before temperature and nucleus where sampled."""
    made = engine(causal_folder, batch_tokens=batch_tokens)
    rows = [made.tokenizer(text)["input_ids"] for text in TEXTS]
    texts = [Text(n, row, decoding, ENDS) for n, row in enumerate(rows)]
    done = list(run_all(made._load(), texts))
    assert len(done) == len(TEXTS)
    for text in done:
        expected = forward(made.model, text.prompt, text.tokens)
        assert text.log_probabilities == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
@pytest.mark.parametrize("kind", ["seq2seq", "sliding"])
def test_transformers_own_loop_tells_the_same(
    engine: Make,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    decoding: Decoding,
) -> None:
    """Where ``generate`` runs a model, each prediction has the sum and the number of its tokens."""
    made = engine(request.getfixturevalue(f"{kind}_folder"))
    outputs: dict[tuple[int, ...], list[int]] = {}  # a batch that is refused is generated again
    plain = made.model.generate

    def spied(**options: Any) -> Any:
        output = plain(**options)
        read, mask = options["input_ids"], options["attention_mask"].bool()
        skip = 1 if kind == "seq2seq" else read.shape[1]
        for ids, own, tokens in zip(read, mask, output[:, skip:].tolist(), strict=True):
            outputs[tuple(ids[own].tolist())] = tokens
        return output

    monkeypatch.setattr(made.model, "generate", spied)
    requests = [GenerationRequest(text, text, decoding=decoding) for text in TEXTS]
    got = list(made.predict(requests))
    for prediction in one_each(requests, got):
        prompt = made.tokenizer(prediction.id)["input_ids"]
        tokens = until_the_end(outputs[tuple(prompt)])
        expected = forward(made.model, prompt, tokens)
        assert prediction.tokens == len(tokens)
        assert prediction.loglikelihoods == pytest.approx((sum(expected),), abs=1e-3)


def test_the_end_token_counts(engine: Make, causal_folder: Path, tmp_path: Path) -> None:
    """Its log-probability is one of the sum: to end the text is part of the answer."""
    made = engine(causal_folder)
    prompt = made.tokenizer("one, two")["input_ids"]
    (text,) = run_all(made._load(), [Text(0, prompt, GREEDY, [])])
    at = next(i for i in range(2, 12) if text.tokens[i] not in text.tokens[:i])
    copy = shutil.copytree(causal_folder, tmp_path / "copy")
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, text.tokens[at]]}))
    (got,) = predicted(engine(copy), [GenerationRequest("1", "one, two", decoding=GREEDY)])
    assert got.tokens == at + 1
    assert got.loglikelihoods == pytest.approx((sum(text.log_probabilities[: at + 1]),))


@pytest.mark.parametrize("kind", ["causal", "sliding"])
def test_the_tokens_of_a_stop_string_count(
    engine: Make, request: pytest.FixtureRequest, kind: str
) -> None:
    """All tokens that were generated until a stop string stood there, and none after."""
    made = engine(request.getfixturevalue(f"{kind}_folder"))
    ask = GenerationRequest("1", "one, two", decoding=GREEDY)
    (whole,) = predicted(made, [ask])
    stop = (whole.text or "")[3:5]
    decoding = Decoding(max_new_tokens=12, stop=(stop,))
    (got,) = predicted(made, [GenerationRequest("1", "one, two", decoding=decoding)])
    prompt = made.tokenizer("one, two")["input_ids"]
    output = made.model.generate(
        input_ids=torch.tensor([prompt], device=made.model.device),
        do_sample=False,
        max_new_tokens=12,
    )
    tokens = output[0, len(prompt) :].tolist()
    ended = next(n for n in range(1, 13) if stop in made.tokenizer.decode(tokens[:n]))
    assert got.tokens == ended < 12
    expected = forward(made.model, prompt, tokens[:ended])
    assert got.loglikelihoods == pytest.approx((sum(expected),), abs=1e-3)
