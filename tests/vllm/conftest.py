"""A tiny model whose heads are as wide as vLLM's kernels for CPUs want them: 64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engines.conftest import tokenizer
from tests.engines.tiny import hf, saved

__all__ = ["causal_folder", "tokenizer"]


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a random Llama of two layers with a context of 96 tokens."""
    torch.manual_seed(1)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=96,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.2,  # sharp enough that no two tokens are a rounding error apart
    )
    return saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path_factory.mktemp("llama"))
