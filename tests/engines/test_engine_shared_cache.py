"""Perplexity of long texts whose windows go on with what the model kept of the last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers.fast import shared_cache
from pytest_distill.engines.transformers.fast.shared_cache import Window, stretches
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, Make, hf, predicted, saved

TEXT = CORPUS * 5  # more than 200 tokens, and a model whose context is 96
SIGHTS = [(24, 7), (24, 12), (32, 29), (9, 5), (5, 1), (96, 40)]


def shared(engine: Any, texts: Sequence[str], window: int, stride: int) -> list[float]:
    """Return the total log-likelihood of every text."""
    requests = [
        PerplexityRequest(str(n), text, window, stride, share_cache=True)
        for n, text in enumerate(texts)
    ]
    totals = [prediction.loglikelihoods for prediction in predicted(engine, requests)]
    assert None not in totals
    return [total for (total,) in filter(None, totals)]


def in_one_pass(engine: Any, tokens: list[int], window: int, stride: int) -> float:
    """Return the same from one pass without a cache, under a mask that was written down.

    For every window that moved, the sinks stand in the row again, with positions just before the
    tokens that stay; its new tokens see them, and what stayed, and themselves.
    """
    read = [0, *tokens[:-1]]
    sinks = min(4, window - stride)
    recent = window - stride - sinks
    ids, positions, seen, column = list(read), list(range(len(read))), [], {}
    for place in range(len(read)):
        column[place] = place
        begin = window + (place - window) // stride * stride if place >= window else 0
        seen.append({column[other] for other in range(max(0, begin - recent), place + 1)})
    for begin in range(window, len(read), stride):
        at = [len(ids) + n for n in range(sinks)]
        ids += read[:sinks]
        positions += range(begin - recent - sinks, begin - recent)
        seen += [set(at[: n + 1]) for n in range(sinks)]
        for place in range(begin, min(begin + stride, len(read))):
            seen[place] |= set(at)
    mask = torch.full((len(ids), len(ids)), torch.finfo(torch.float64).min, dtype=torch.float64)
    for row, columns in enumerate(seen):
        mask[row, sorted(columns)] = 0
    model = engine.model.double()
    with torch.inference_mode():
        logits = model(
            input_ids=torch.tensor([ids], device=model.device),
            position_ids=torch.tensor([positions], device=model.device),
            attention_mask=mask[None, None].to(model.device),
            use_cache=False,
        ).logits[0, : len(tokens)]
    model.float()
    return float(logits.cpu().log_softmax(-1).gather(1, torch.tensor(tokens)[:, None]).sum())


@pytest.mark.parametrize(("window", "stride"), SIGHTS)
def test_a_window_sees_the_first_tokens_the_last_ones_and_its_own(
    engine: Make, causal_folder: Path, window: int, stride: int
) -> None:
    """The total is that of one pass under a mask that lets every token see just these."""
    made = engine(causal_folder)
    tokens = made.tokenizer(TEXT)["input_ids"]
    assert len(tokens) > 200
    (got,) = shared(made, [TEXT], window, stride)
    assert got == pytest.approx(in_one_pass(made, tokens, window, stride), abs=2e-3)


def test_texts_move_on_together_and_stay_what_they_are_alone(
    engine: Make, causal_folder: Path
) -> None:
    """Texts of many lengths, short ones among them, give the same totals whatever the batches."""
    texts = [TEXT[: 40 * n] for n in range(1, 14)]
    one_by_one = shared(engine(causal_folder, batch_tokens=24), texts, 24, 7)
    for budget in (72, 4096):
        made = engine(causal_folder, batch_tokens=budget)
        assert shared(made, texts, 24, 7) == pytest.approx(one_by_one, abs=2e-3)


def test_every_token_is_read_once(engine: Make, causal_folder: Path) -> None:
    """Beside the check and the sinks, no token of a text goes through the model twice."""
    made = engine(causal_folder)
    shared(made, [TEXT], 24, 7)
    read: list[int] = []
    made.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: read.append(inputs[0].numel())
    )
    shared(made, [TEXT], 24, 7)
    read.pop()  # once all is answered, a short text is read again
    tokens, moves = len(made.tokenizer(TEXT)["input_ids"]), len(read) - 2
    assert sum(read) == tokens + 4 * moves


def test_no_pass_takes_more_than_the_budget(engine: Make, causal_folder: Path) -> None:
    """The sinks of a few windows are read together, and not those of all."""
    made = engine(causal_folder, batch_tokens=60)
    made._prepare(made._load())
    read: list[int] = []
    made.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: read.append(inputs[0].numel())
    )
    shared(made, [TEXT, TEXT[40:], TEXT[:200]], 24, 3)
    assert max(read) <= 60
    assert sum(tokens > 48 for tokens in read) > 5  # more than two first windows: sinks


def test_a_text_within_the_window_is_read_as_ever(engine: Make, causal_folder: Path) -> None:
    """Where one window holds the text, there is nothing to share, and nothing changes."""
    made = engine(causal_folder)
    (plain,) = predicted(made, [PerplexityRequest("p", CORPUS[:60], 90, 30)])
    assert plain.loglikelihoods is not None
    assert shared(made, [CORPUS[:60]], 90, 30) == pytest.approx(plain.loglikelihoods, abs=1e-4)


@pytest.mark.parametrize("length", [26, 59, 60, 75, 76, 100, 131, 299])
@pytest.mark.parametrize(("window", "stride"), [(24, 7), (10, 9), (51, 20), (120, 1)])
def test_stretches_score_every_token_once_after_enough_context(
    monkeypatch: pytest.MonkeyPatch, length: int, window: int, stride: int
) -> None:
    """A text is cut where it gets too long, and each part begins with a window's context."""
    monkeypatch.setattr(shared_cache, "_LONGEST", 50)
    tokens = list(range(100, 100 + max(length, window + 1)))
    following = [7, *tokens]
    parts = list(stretches(tokens, 7, Window(window, stride)))
    assert [token for part in parts for token in part.span.targets] == tokens
    for number, part in enumerate(parts):
        assert len(part.row) > window
        assert part.span.start == (window - stride if number else 0)
        assert len(part.row) == part.span.start + len(part.span.targets)
        first = following.index(part.row[0])
        assert part.row == following[first : first + len(part.row)]
        scored = part.row[part.span.start :]
        assert following[following.index(scored[0]) + 1] == part.span.targets[0]


def test_long_texts_are_read_in_stretches(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions don't grow for ever; the total is the sum over the stretches."""
    made = engine(causal_folder)
    tokens = made.tokenizer(TEXT)["input_ids"]
    (whole,) = shared(made, [TEXT], 24, 7)
    monkeypatch.setattr(shared_cache, "_LONGEST", 100)
    assert len(list(stretches(tokens, 0, Window(24, 7)))) > 1
    (cut,) = shared(made, [TEXT], 24, 7)
    assert cut != whole
    assert cut == pytest.approx(whole, rel=0.05)


SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "initializer_range": 0.3,
}

DYNAMIC: dict[str, Any] = {
    **SMALL,
    "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4},
}


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("Qwen2ForCausalLM", lambda n: hf.Qwen2Config(vocab_size=n, **SMALL), None),
        ("OlmoForCausalLM", lambda n: hf.OlmoConfig(vocab_size=n, **SMALL), None),
        (
            "GPT2LMHeadModel",
            lambda n: hf.GPT2Config(vocab_size=n, n_embd=32, n_layer=2, n_head=4, n_positions=96),
            "it has no rotary positions (inv_freq) that reach beyond its context",
        ),
        ("LlamaForCausalLM", lambda n: hf.LlamaConfig(vocab_size=n, **DYNAMIC), "at position "),
        (
            "MistralForCausalLM",
            lambda n: hf.MistralConfig(vocab_size=n, sliding_window=16, **SMALL),
            "some of its layers look no further back than 16 tokens",
        ),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_architectures_share_their_cache_or_are_refused(
    engine: Make,
    dtype: str,
    tokenizer: Any,
    tmp_path: Path,
    name: str,
    config: Callable[[int], Any],
    reason: str | None,
) -> None:
    """Where a model can't, the error says why: its number would be of another kind."""
    torch.manual_seed(5)
    made = engine(
        saved(getattr(hf, name)(config(len(tokenizer))), tokenizer, tmp_path), dtype=dtype
    )
    if reason is None:
        (got,) = shared(made, [TEXT], 24, 7)
        if dtype == "float32":
            tokens = made.tokenizer(TEXT)["input_ids"]
            assert got == pytest.approx(in_one_pass(made, tokens, 24, 7), abs=2e-3)
        return
    with pytest.raises(ModelError) as raised:
        shared(made, [TEXT, *(CORPUS[n : n + 20] for n in range(50))], 24, 7)
    message = str(raised.value)
    assert f"model 'student' ({name}) can't share its cache between windows: " in message
    assert reason in message
    assert message.endswith("leave out 'share_cache', so that all models read every window anew")


def test_a_longer_text_is_checked_again(engine: Make, tokenizer: Any, tmp_path: Path) -> None:
    """What held as far as the first texts went is looked at anew where one goes on for longer."""
    torch.manual_seed(5)
    config = hf.LlamaConfig(vocab_size=len(tokenizer), **DYNAMIC)
    made = engine(saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path))
    short = TEXT[:150]
    assert 24 < len(made.tokenizer(short)["input_ids"]) < SMALL["max_position_embeddings"]
    assert shared(made, [short], 24, 7)[0] < 0
    with pytest.raises(ModelError, match="can't share its cache between windows"):
        shared(made, [TEXT], 24, 7)


def test_a_real_model_loses_little_by_sharing(
    engine: Make, smollm2: Path, request: pytest.FixtureRequest
) -> None:
    """SmolLM2's perplexity differs by less than 5 % from windows that are read anew."""
    text = (request.config.rootpath / "docs" / "statistics.md").read_text(encoding="utf-8")[:2500]
    made = engine(smollm2)
    found = []
    for share in (False, True):
        (one,) = predicted(made, [PerplexityRequest("p", text, 256, 128, share)])
        assert one.loglikelihoods is not None
        assert one.tokens is not None
        assert one.tokens > 500
        found.append(exp(-one.loglikelihoods[0] / one.tokens))
    anew, sharing = found
    assert sharing == pytest.approx(anew, rel=0.05)
    assert sharing != anew
