"""What a step of generation copies, and what the cache takes: without a GPU, in bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_distill.engines.transformers.fast.caching import Slots
from pytest_distill.engines.transformers.fast.continuous_batching import _Batch
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .tiny import CORPUS, SMALL, Make, greedy, hf, predicted, saved

HEADS, HEAD = 4, 8  # of every layer; no other tensor of the model has both
TOKEN = 2 * 2 * HEADS * HEAD * 4  # bytes of a token's keys and values, in two layers


class Copies(TorchDispatchMode):
    """Counts the bytes of keys and values that torch writes: by copying, joining or picking."""

    _COPIES = ("cat", "copy_", "index_put_", "index", "clone", "constant_pad_nd", "index_select")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation of torch."""
        made = func(*args, **kwargs or {})
        name = func.overloadpacket.__name__
        if name in self._COPIES:
            written = args[2] if name == "index_put_" else made
            if written.shape[-1] == HEAD and HEADS in written.shape[:-1]:
                self.bytes += written.numel() * written.element_size()
        return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a Llama with as many heads for keys as for queries: torch repeats none of them."""
    torch.manual_seed(4)
    config = hf.LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=600, **SMALL)
    return saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path_factory.mktemp("mha"))


def _requests(count: int, length: int) -> list[GenerationRequest]:
    decoding = Decoding(max_new_tokens=length)
    prompts = [CORPUS[n : n + 20 + 5 * n] for n in range(count)]
    return [GenerationRequest(str(n), p, decoding=decoding) for n, p in enumerate(prompts)]


def _copied(made: Any, length: int) -> tuple[int, int]:
    """Return how many bytes of the cache generating some texts wrote, and how many tokens."""
    made._load().generation_budget.tokens = 5 * (length + 100)  # five at a time
    copies = Copies()
    with copies:
        got = predicted(made, _requests(12, length))
    return copies.bytes, sum(prediction.tokens or 0 for prediction in got)


def test_a_step_copies_one_token_of_each_text(engine: Make, folder: Path) -> None:
    """What another generated token costs is its own keys and values, however long the texts are."""
    made = engine(folder)
    made.tokenizer.eos_token_id = None
    made.model.generation_config.eos_token_id = None  # all texts take their full length
    predicted(made, _requests(12, 24))
    made._loaded = replace(made._load(), settled=True)  # nothing is looked at twice
    (short, few), (long, many) = _copied(made, 20), _copied(made, 200)
    assert (many - few) == 12 * 180
    each = (long - short) / (many - few) / TOKEN
    # Four times: written into the block, and by the model's own rotation (its halves swapped and
    # put together, which is of the queries too). Copying a cache of 250 tokens is 250 times.
    assert 1 <= each < 8, each


def test_the_cache_is_one_block_within_the_budget(
    engine: Make, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first step to the last text in the queue a layer's block is one and the same."""
    made = engine(folder)
    predicted(made, _requests(12, 24))
    loaded = made._load()
    loaded.generation_budget.tokens = 600
    blocks, widths = [], []
    step = _Batch.step

    def watched(self: _Batch) -> Any:
        finished = step(self)
        layers = self.slots.cache.layers
        blocks.append(tuple((layer.keys.data_ptr(), *layer.keys.shape) for layer in layers))
        widths.append(self.slots.width)
        return finished

    monkeypatch.setattr(_Batch, "step", watched)
    predicted(made, _requests(12, 40))
    assert len(blocks) > 40
    assert len(set(blocks)) <= 3  # as prompts get shorter, more fit: twice as many or none
    for _, rows, heads, columns, size in {layer for step in blocks for layer in step}:
        assert rows * columns <= 600
        assert (heads, size) == (HEADS, HEAD)
    assert len(set(widths)) > 20  # while what is read of it grows token by token


def _cached(*values: float, tokens: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return keys and values of one layer; every text has a number of its own."""
    rows = torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1).expand(-1, 2, tokens, 4)
    return [(rows.clone(), -rows.clone())]


def _numbers(slots: Slots) -> list[list[float]]:
    """Return what is in the first column and head of every slot, of keys and values."""
    (layer,) = slots.cache.layers
    return [layer.keys[:, 0, 0, 0].tolist(), layer.values[:, 0, 0, 0].tolist()]


def test_a_freed_slot_is_taken_by_the_last_text_and_emptied() -> None:
    """One row moves for one that leaves, and nothing of it stays behind."""
    slots = Slots()
    slots.rows, slots.columns = 5, 6
    slots.enter(_cached(1, 2, 3, 4), 0)
    assert slots.keep([0, 2, 3], 4) == [0, 3, 2]
    assert _numbers(slots) == [[1, 4, 3, 0, 0], [-1, -4, -3, 0, 0]]
    slots.enter(_cached(5, 6), 3)
    assert _numbers(slots)[0] == [1, 4, 3, 5, 6]
    assert slots.keep([3], 5) == [3]
    assert _numbers(slots)[0] == [5, 0, 0, 0, 0]
    assert slots.keep([], 1) == []
    (layer,) = slots.cache.layers
    assert not layer.keys.any()


def test_a_larger_block_takes_over_what_was_there() -> None:
    """More slots of fewer tokens hold the texts that stood in the old block, after a step too."""
    slots = Slots()
    slots.rows, slots.columns = 2, 8
    slots.enter(_cached(1, 2), 0)
    slots.open([3, 2], torch.device("cpu"))
    new = torch.full((2, 2, 1, 4), 7.0)
    keys, values = slots.cache.update(new, -new, 0)
    assert keys.shape == values.shape == (2, 2, 4, 4)
    assert keys[0, 0, :, 0].tolist() == [1, 1, 1, 7]
    assert keys[1, 0, :, 0].tolist() == [2, 2, 7, 0]
    slots.rows, slots.columns = 4, 5
    slots.enter(_cached(3), 2)
    (layer,) = slots.cache.layers
    assert layer.keys.shape == (4, 2, 5, 4)
    assert layer.keys[0, 0, :, 0].tolist() == [1, 1, 1, 7, 0]
    assert layer.values[1, 0, :, 0].tolist() == [-2, -2, -7, 0, 0]
    assert layer.keys[:, 1, 0, 0].tolist() == [1, 2, 3, 0]


def test_what_is_masked_is_no_other_text_s_number() -> None:
    """Not a number in the slots that texts left changes nothing in those that come after."""
    slots = Slots()
    slots.rows, slots.columns = 2, 4
    slots.enter(_cached(float("nan"), 1), 0)
    slots.keep([1], 2)
    slots.enter(_cached(2, tokens=1), 1)
    (layer,) = slots.cache.layers
    assert layer.keys.isfinite().all()


@pytest.mark.parametrize("budget", [1, 130, 4096])
def test_texts_of_many_lengths_are_those_of_each_alone(
    engine: Make, folder: Path, budget: int
) -> None:
    """Some end early, more come in as prompts get shorter: each text is what the model says."""
    made = engine(folder)
    made._load().generation_budget.tokens = budget
    words = [CORPUS[:n] for n in (150, 120, 90, 60, 40, 30, 20, 15, 10, 8, 6, 4)]
    alone = {word: greedy(made, word, 10) for word in words}
    stop = tuple({text[1:3] for text in list(alone.values())[::3] if text[1:3]})
    decoding = Decoding(max_new_tokens=10, stop=stop)
    got = predicted(made, [GenerationRequest(w, w, decoding=decoding) for w in words])
    assert not made.notes
    for prediction in got:
        whole = alone[prediction.id]
        ends = [whole.find(string) for string in stop]
        assert prediction.text == whole[: min((at for at in ends if at >= 0), default=len(whole))]
