"""Answers within several budgets of tokens out of one run, beside a run of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .scripted import scripted
from .tiny import SMALL, TEXTS, Make, hf, predicted, saved

SAMPLED = Decoding(do_sample=True, temperature=2.0, top_p=0.9, seed=3)
WAYS = [
    ("llama", "loop"),
    ("llama", "generate"),
    ("llama", "recompute"),
    ("sliding", "loop"),
    ("recurrent", "loop"),
    ("alibi", "loop"),
    ("seq2seq", "loop"),
    ("seq2seq", "recompute"),
]
_MODELS: dict[str, Callable[[int], Any]] = {
    "sliding": lambda size: hf.MistralForCausalLM(
        hf.MistralConfig(vocab_size=size, num_key_value_heads=2, sliding_window=8, **SMALL)
    ),
    "recurrent": lambda size: hf.MambaForCausalLM(
        hf.MambaConfig(vocab_size=size, hidden_size=32, num_hidden_layers=2, initializer_range=0.3)
    ),
    "alibi": lambda size: hf.BloomForCausalLM(
        hf.BloomConfig(vocab_size=size, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
    ),
    "seq2seq": lambda size: hf.T5ForConditionalGeneration(
        hf.T5Config(
            vocab_size=size,
            d_model=32,
            d_kv=8,
            d_ff=64,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=2,
            eos_token_id=1,
            pad_token_id=2,
        )
    ),
}


@pytest.fixture(params=WAYS, ids="-".join)
def made(
    request: pytest.FixtureRequest, engine: Make, tokenizer: Any, tmp_path: Path
) -> TransformersEngine:
    """Return an engine of a random model for each way to generate."""
    name, way = request.param
    if name in _MODELS:
        torch.manual_seed(7)
        folder = saved(_MODELS[name](len(tokenizer)), tokenizer, tmp_path)
    else:
        folder = request.getfixturevalue("causal_folder")
    engine_of = engine(folder)
    engine_of._load().findings.way = way
    return engine_of


def _asked(
    prompts: Sequence[str], budgets: Sequence[int], decoding: Decoding, **more: Any
) -> list[GenerationRequest]:
    return [
        GenerationRequest(
            f"{prompt} {most}", prompt, decoding=replace(decoding, max_new_tokens=most), **more
        )
        for prompt in prompts
        for most in budgets
    ]


def _one_by_one(made: TransformersEngine, asked: Sequence[GenerationRequest]) -> list[Prediction]:
    """Return the answers of as many calls as there are requests."""
    return [one for request in asked for one in predicted(made, [request])]


def _same(got: Sequence[Prediction], expected: Sequence[Prediction]) -> None:
    for one, other in zip(got, expected, strict=True):
        assert one.loglikelihoods == pytest.approx(other.loglikelihoods, abs=1e-4)
        assert one == replace(other, loglikelihoods=one.loglikelihoods)


def _passes(made: TransformersEngine) -> list[tuple[int, ...]]:
    """Return a list that fills with the shapes of what the model reads."""
    shapes: list[tuple[int, ...]] = []
    made.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: shapes.append(tuple(inputs[0].shape))
    )
    return shapes


@pytest.mark.parametrize("decoding", [Decoding(), SAMPLED], ids=["greedy", "sampled"])
def test_every_budget_gives_what_a_run_with_that_limit_gives(
    made: TransformersEngine, decoding: Decoding
) -> None:
    """Texts, endings, numbers of tokens and log-likelihoods, whatever the way to generate."""
    whole = [one.text or "" for one in predicted(made, _asked(TEXTS[:3], [12], decoding))]
    stopping = replace(decoding, stop=tuple(text[3:5] for text in whole if text[3:5]))
    for own in (decoding, stopping):
        asked = _asked(TEXTS[:3], [5, 1, 12, 4], own)
        expected = _one_by_one(made, asked)
        _same(predicted(made, asked), expected)
        finishes = {one.finish for one in expected}
        assert {"length", "stop" if own.stop else "length"} <= finishes


def test_a_budget_of_one_token_proves_nothing_of_the_next(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """A model that counts the positions of a padded text otherwise is found out all the same.

    The first token comes of reading the prompt, which it does right.
    """
    torch.manual_seed(7)
    sizes = {
        **dict.fromkeys(("decoder_layers", "encoder_layers"), 2),
        **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
        **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim"), 64),
    }
    config = hf.BartConfig(vocab_size=len(tokenizer), d_model=32, init_std=0.5, **sizes)
    config.tie_word_embeddings = False
    folder = saved(hf.BartForCausalLM(config), tokenizer, tmp_path)
    asked = _asked(("good", "a stitch", TEXTS[2]), [1, 4, 6], Decoding())
    got = predicted(engine(folder), asked)
    _same(got, _one_by_one(engine(folder), asked))


@pytest.fixture
def written(engine: Make, tokenizer: Any, tmp_path: Path) -> Callable[..., list[Prediction]]:
    """Return a function that asks a scripted model for its text within some budgets."""

    def ask(kind: str, script: str, budgets: Sequence[int], *stop: str) -> list[Prediction]:
        tokens = tokenizer(">" + script, add_special_tokens=False)["input_ids"]
        folder = tmp_path / kind
        made = engine(scripted(tokenizer, folder, [*tokens, tokenizer.eos_token_id], kind))
        asked = _asked([">"], budgets, Decoding(stop=stop))
        passes = _passes(made)
        expected = _one_by_one(made, asked)
        alone = len(passes)
        passes.clear()
        got = predicted(made, asked)
        _same(got, expected)
        assert len(budgets) * len(passes) <= 2 * alone
        return got

    return ask


@pytest.mark.parametrize("kind", ["causal", "sliding", "recurrent", "seq2seq"])
class TestBorders:
    """What stands at the border of a budget."""

    def test_a_stop_string_that_straddles_it(
        self, written: Callable[..., list[Prediction]], kind: str
    ) -> None:
        """Half of it stops nothing."""
        got = written(kind, "abcdef", [2, 3, 4, 9], "cd")
        assert [(one.text, one.finish, one.tokens) for one in got] == [
            ("ab", "length", 2),
            ("abc", "length", 3),
            ("ab", "stop", 4),
            ("ab", "stop", 4),
        ]

    def test_an_end_token_before_at_and_after_it(
        self, written: Callable[..., list[Prediction]], kind: str
    ) -> None:
        """A text is cut at its length only where it does not end there."""
        got = written(kind, "abc", [3, 4, 5, 30])
        assert [(one.text, one.finish, one.tokens) for one in got] == [
            ("abc", "length", 3),
            *[("abc", "end", 4)] * 3,
        ]

    def test_a_character_that_is_cut(
        self, written: Callable[..., list[Prediction]], kind: str
    ) -> None:
        """What is there of its bytes is decoded as ever."""
        got = written(kind, "a🙂b", [1, 2, 3, 4, 5, 6])
        assert [got[at].text for at in (0, 4, 5)] == ["a", "a🙂", "a🙂b"]
        assert all("\N{REPLACEMENT CHARACTER}" in (one.text or "") for one in got[1:4])


def test_a_small_budget_is_answered_before_the_large_one_is_done(
    engine: Make, causal_folder: Path
) -> None:
    """The first answers are there after as many passes as they have tokens."""
    made = engine(causal_folder)
    asked = _asked(TEXTS[:2], [10, 2], Decoding())
    predicted(made, asked)  # with its trials
    passes = _passes(made)
    answers = made.predict(asked)
    first = [next(answers), next(answers)]
    assert {one.tokens for one in first} == {2}
    assert len(passes) <= 4
    assert {one.tokens for one in answers} == {10}


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("no")])
def test_an_answer_that_was_given_is_not_given_again(
    engine: Make, causal_folder: Path, error: Exception
) -> None:
    """Where a run fails after its first answers, and the longer texts begin anew."""
    made = engine(causal_folder)
    asked = _asked(TEXTS[:3], [2, 9], Decoding())
    expected = _one_by_one(made, asked)
    predicted(made, asked)  # with its trials
    passes = 0

    def fail_once(_module: Any, _args: Any) -> None:
        nonlocal passes
        passes += 1
        if passes == 5:
            raise error

    handle = made.model.register_forward_pre_hook(fail_once)
    answers = made.predict(asked)
    first = [next(answers) for _ in range(3)]
    assert passes < 5
    rest = list(answers)
    handle.remove()
    assert passes > 5
    by_id = {one.id: one for one in (*first, *rest)}
    assert len(first) + len(rest) == len(by_id) == len(asked)
    _same([by_id[request.id] for request in asked], expected)
    assert made._load().findings.way == ("generate" if type(error) is RuntimeError else "loop")


def test_only_requests_that_ask_for_the_same_share_a_run(engine: Make, causal_folder: Path) -> None:
    """Another seed, temperature, stop string or prompt is another text."""
    made = engine(causal_folder)
    decodings = [
        SAMPLED,
        replace(SAMPLED, seed=4),
        replace(SAMPLED, temperature=1.5),
        replace(SAMPLED, top_p=0.5),
        replace(SAMPLED, stop=("x",)),
        Decoding(),
        Decoding(stop=("x",)),
    ]
    asked = [
        GenerationRequest(f"{n} {text} {most}", text, decoding=replace(own, max_new_tokens=most))
        for n, own in enumerate(decodings)
        for text in TEXTS[:2]
        for most in (3, 9)
    ]
    _same(predicted(made, asked), _one_by_one(made, asked))


def test_prompts_that_are_cut_share_a_run_only_where_they_are_the_same(
    engine: Make, causal_folder: Path
) -> None:
    """How much is cut from the left depends on the budget."""
    made = engine(causal_folder)
    asked = _asked(["one, two, three " * 30], [3, 9], Decoding(), truncate="left")
    asked += _asked(["one, two"], [3, 9], Decoding(), truncate="left")
    got = predicted(made, asked)
    _same(got, _one_by_one(made, asked))
    passes = _passes(made)
    predicted(made, asked[:2])
    assert {shape[1] for shape in passes} >= {96 - 3, 96 - 9}


def test_requests_that_are_timed_are_answered_each_for_itself(
    engine: Make, causal_folder: Path
) -> None:
    """Speed and memory are those of as many texts as were asked for."""
    made = engine(causal_folder)
    asked = _asked(TEXTS[:1], [4, 8], Decoding()) + _asked(["good"], [8], SAMPLED)
    asked += [replace(one, id=f"{one.id} again") for one in asked]
    passes = _passes(made)
    made.memory_here(asked)
    read = sum(rows * columns for rows, columns in passes if columns == 1)
    assert read >= 2 * (3 + 7 + 7)
    passes.clear()
    made.time_all(asked, 4096)
    assert max(rows for rows, _ in passes) >= 2
