"""Models that write what they are told: each token is followed by one other, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from .tiny import hf, saved

_SHARP = 20.0
"""By how much the logit of the next token is above all others, at least about."""


def scripted(tokenizer: Any, folder: Path, tokens: Sequence[int], kind: str = "causal") -> Path:
    """Save a model that goes on from each of some tokens with the next one; return its folder.

    The embedding of a token is a unit vector, and no layer adds anything to it, but for one: the
    projection onto the vocabulary, or where that is tied a feed-forward layer, turns it into the
    next token's.

    Parameters
    ----------
    tokens : sequence of int
        All different. A prompt must end in the first one; the decoder of a seq2seq model begins
        with padding, whatever the prompt.
    kind : {"causal", "sliding", "recurrent", "seq2seq"}
        Which model: one for our own loop, or one that transformers generates with.
    """
    assert len(set(tokens)) == len(tokens)
    size = len(tokenizer)
    width = -(-size // 8) * 8  # heads must divide it
    torch.manual_seed(1)
    model = _MAKE[kind](size, width)
    for name, weights in model.named_parameters():
        if name.endswith(_ADDING):
            weights.data.zero_()
    model.get_input_embeddings().weight.data = torch.eye(size, width)
    turned = torch.zeros(size, width)
    first = tokenizer.pad_token_id if kind == "seq2seq" else tokens[0]
    for token, following in pairwise([first, *tokens[1:]]):
        turned[following, token] = _SHARP
    if kind == "seq2seq":
        layer = model.decoder.block[0].layer[2].DenseReluDense
        layer.wi.weight.data = torch.eye(width)
        layer.wo.weight.data[:size] = turned
    else:
        model.get_output_embeddings().weight.data = turned
    return saved(model, tokenizer, folder)


# What layers add to what goes through the model: attention, feed-forward and mixers of all kinds.
_ADDING = ("o_proj.weight", "down_proj.weight", ".o.weight", ".wo.weight", "out_proj.weight")
_IDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2, "tie_word_embeddings": False}
_LAYERS = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 8,
}
_MAKE: dict[str, Any] = {
    "causal": lambda size, width: hf.LlamaForCausalLM(
        hf.LlamaConfig(vocab_size=size, hidden_size=width, **_LAYERS, **_IDS)
    ),
    "sliding": lambda size, width: hf.MistralForCausalLM(
        hf.MistralConfig(vocab_size=size, hidden_size=width, sliding_window=4, **_LAYERS, **_IDS)
    ),
    "recurrent": lambda size, width: hf.MambaForCausalLM(
        hf.MambaConfig(vocab_size=size, hidden_size=width, num_hidden_layers=2, **_IDS)
    ),
    "seq2seq": lambda size, width: hf.T5ForConditionalGeneration(
        hf.T5Config(
            vocab_size=size,
            d_model=width,
            d_kv=8,
            d_ff=width,
            num_layers=2,
            num_heads=4,
            decoder_start_token_id=2,
            **_IDS,
        )
    ),
}
