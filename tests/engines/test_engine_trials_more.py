"""Trust that was gained on what tells nothing is no trust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.trials import trial_tokens
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, SMALL, TEXTS, Make, greedy, hf, predicted, saved, scored

Forward = Callable[..., Any]


@pytest.fixture(scope="session")
def long_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a random Llama with a context of 1024 tokens."""
    torch.manual_seed(21)
    config = hf.LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=1024, **SMALL)
    return saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path_factory.mktemp("long"))


def _with(made: TransformersEngine, odd: Forward) -> TransformersEngine:
    """Give a model another forward pass: `odd`, which is given the true one first."""
    inner = made.model.forward
    made.model.forward = lambda *args, **keywords: odd(inner, *args, **keywords)
    return made


def _without_mask(inner: Forward, *args: Any, **keywords: Any) -> Any:
    """Read a text as if nobody had given a mask or positions."""
    keywords.pop("attention_mask", None)
    keywords.pop("position_ids", None)
    return inner(*args, **keywords)


def _beside_others(inner: Forward, *args: Any, **keywords: Any) -> Any:
    """Let every row but the first of a pass be changed by the one before it."""
    out = inner(*args, **keywords)
    out.logits[1:] += out.logits[:-1].roll(1, dims=-1)
    return out


@pytest.mark.parametrize(
    "first",
    [("!", "#"), (" the", " the worm")],
    ids=["no branches", "one branch empty"],
)
def test_a_tree_that_stands_alone_earns_no_trust_for_others(
    engine: Make, long_folder: Path, first: tuple[str, str]
) -> None:
    """A long question with nothing before it shows no mask; shorter ones in one row do."""
    made = _with(engine(long_folder), _without_mask)
    predicted(made, [ChoiceRequest("long", CORPUS, first)])
    asked = [
        ChoiceRequest(str(n), CORPUS[n : n + 30].strip(), (" Paris", " worm nine", " a"))
        for n in range(12)
    ]
    got = {prediction.id: prediction.loglikelihoods for prediction in predicted(made, asked)}
    for request in asked:
        assert got[request.id] == pytest.approx(scored(made, request), abs=1e-3)
    (note,) = made.notes
    assert "scores every choice in a row of its own" in note


def test_padding_that_is_gone_when_a_text_ends_counts(engine: Make, long_folder: Path) -> None:
    """A text that began beside a long one, which ended soon, is compared."""
    made = _with(engine(long_folder), _without_mask)
    alone = GenerationRequest("0", CORPUS, decoding=Decoding(max_new_tokens=30))
    predicted(made, [alone])
    assert made.notes == []
    begun = {text: greedy(made, text, 2) for text in (CORPUS[n:] for n in range(50))}
    long, stop = next(item for item in begun.items() if item[1].strip().isalpha())
    decoding = Decoding(max_new_tokens=20, stop=(stop,))
    asked = [GenerationRequest(text, text, decoding=decoding) for text in (long, TEXTS[0])]
    got = {prediction.id: prediction.text for prediction in predicted(made, asked)}
    for request in asked:
        whole = greedy(made, request.prompt, 20)
        assert got[request.id] == whole.partition(stop)[0]
    assert made.notes


def test_a_text_alone_earns_no_trust_for_several(engine: Make, long_folder: Path) -> None:
    """Texts of one length, shorter than one that was generated alone, are compared."""
    made = _with(engine(long_folder), _beside_others)
    predicted(made, [GenerationRequest("0", CORPUS, decoding=Decoding(max_new_tokens=20))])
    assert made.notes == []
    prompts = ("a", "b", "c", "d", "e")
    asked = [GenerationRequest(p, p, decoding=Decoding(max_new_tokens=8)) for p in prompts]
    got = {prediction.id: prediction.text for prediction in predicted(made, asked)}
    assert got == {prompt: greedy(made, prompt, 8) for prompt in prompts}
    assert any("one at a time" in note for note in made.notes)


def test_a_shared_window_is_held_against_the_layers_every_time(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """A window that the layers look over lets in no wider one after it."""
    torch.manual_seed(22)
    config = hf.MistralConfig(
        vocab_size=len(tokenizer), sliding_window=16, num_key_value_heads=4, **SMALL
    )
    made = engine(saved(hf.MistralForCausalLM(config), tokenizer, tmp_path))

    def ask(text: str, window: int) -> PerplexityRequest:
        return PerplexityRequest("p", text, window=window, stride=window // 2, share_cache=True)

    predicted(made, [ask(CORPUS * 2, 16)])
    with pytest.raises(ModelError, match="look no further back than 16 tokens"):
        list(made.predict([ask(CORPUS, 32)]))


@pytest.mark.parametrize("size", [2, 13, 26])
def test_blocks_of_any_size_that_are_read_together_are_seen(
    engine: Make, long_folder: Path, size: int
) -> None:
    """A model whose tokens see the rest of their block is refused."""

    def in_blocks(inner: Forward, **keywords: Any) -> Any:
        ids = keywords["input_ids"]
        block = torch.arange(ids.shape[1]) // size
        mask = torch.full((ids.shape[1], ids.shape[1]), torch.finfo(torch.float32).min)
        mask[block[:, None] >= block] = 0
        return inner(input_ids=ids, attention_mask=mask.expand(len(ids), 1, -1, -1))

    made = _with(engine(long_folder), in_blocks)
    with pytest.raises(ModelError, match="sees what follows a token"):
        list(made.predict([PerplexityRequest("p", CORPUS)]))


def test_noise_is_called_noise(engine: Make, long_folder: Path) -> None:
    """A model that says another thing each time is refused for that, also for a single text."""

    def noisy(inner: Forward, *args: Any, **keywords: Any) -> Any:
        out = inner(*args, **keywords)
        out.logits += torch.randn(out.logits.shape)
        return out

    made = _with(engine(long_folder), noisy)
    with pytest.raises(ModelError, match="is not deterministic"):
        list(made.predict([PerplexityRequest("p", CORPUS)]))


def test_logits_that_are_made_of_several_positions_are_all_made(
    engine: Make, long_folder: Path
) -> None:
    """A model that mixes its logits after the projection answers as it does of a text alone."""

    def mixing(inner: Forward, *args: Any, **keywords: Any) -> Any:
        out = inner(*args, **keywords)
        out.logits[:, 1:] += out.logits[:, :-1].clone()
        return out

    made = _with(engine(long_folder), mixing)
    asked = [ChoiceRequest(t, t.strip(), (" Paris", " worm nine", " a")) for t in TEXTS]
    got = {prediction.id: prediction.loglikelihoods for prediction in predicted(made, asked)}
    for request in asked:
        assert got[request.id] == pytest.approx(scored(made, request), abs=1e-3)
    assert any("those of all are computed" in note for note in made.notes)


def test_tokens_of_a_trial_differ_in_any_vocabulary(engine: Make, long_folder: Path) -> None:
    """Tokens that are all one would hide what positions do: their values are alike."""
    loaded = engine(long_folder)._load()
    for size in (2, 59, 61, 64, 122, 59 * 61 + 3):
        tokens = trial_tokens(replace(loaded, vocabulary=size), 8)
        assert len(set(tokens)) == (2 if size == 2 else 8)


def test_the_longest_row_of_a_batch_is_looked_at_too(
    engine: Make, long_folder: Path, tokenizer: Any
) -> None:
    """Where a row has more company than it was padded for, its shorter neighbours show nothing."""

    def with_the_mean(hidden: torch.Tensor) -> torch.Tensor:
        return (hidden + hidden.mean(0, keepdim=True)) / 2

    made = engine(long_folder)
    layer = made.model.model.layers[0]
    layer.register_forward_hook(lambda _layer, _args, out: with_the_mean(out))
    # What both rows read is alike up to where the shorter one ends.
    request = ChoiceRequest("c", CORPUS, (" worm", " worm nine, two"))
    assert len({len(tokenizer(choice)["input_ids"]) for choice in request.continuations}) == 2
    (got,) = predicted(made, [request])
    assert got.loglikelihoods == pytest.approx(scored(made, request), abs=1e-3)
    assert made.notes


def test_a_model_that_what_it_reads_changes_is_refused(engine: Make, long_folder: Path) -> None:
    """Frequencies that grow with the longest text so far would make an answer hang on the order."""
    longest = 0

    def growing(inner: Forward, *args: Any, **keywords: Any) -> Any:
        nonlocal longest
        longest = max(longest, keywords["input_ids"].shape[1])
        out = inner(*args, **keywords)
        out.logits *= 2 if longest > 160 else 1
        return out

    made = _with(engine(long_folder), growing)
    predicted(made, [PerplexityRequest("short", TEXTS[0])])
    with pytest.raises(ModelError, match="is another one after it read these texts"):
        list(made.predict([PerplexityRequest("long", CORPUS * 4)]))


def test_no_text_is_made_of_logits_that_are_no_numbers(engine: Make, long_folder: Path) -> None:
    """The first token of the vocabulary would stand for each of them, and read as an empty text."""

    def nothing(inner: Forward, *args: Any, **keywords: Any) -> Any:
        out = inner(*args, **keywords)
        out.logits *= torch.nan
        return out

    made = _with(engine(long_folder), nothing)
    with pytest.raises(ModelError, match=r"no numbers \(NaN\)"):
        list(made.predict([GenerationRequest("g", CORPUS, decoding=Decoding(max_new_tokens=4))]))
