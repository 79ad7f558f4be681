"""Two tiny models with a chat template, for runs of a whole project."""

from __future__ import annotations

from typing import Any

import pytest

# pytester drops the modules that are first imported in a test, and torch can't be imported twice.
import torch
import torch._dynamo  # comes by itself when a first model is made
import transformers

from .project import Project

LIBRARY: Any = transformers  # published with types that mypy strict does not pass
MODELS = LIBRARY.LlamaForCausalLM, LIBRARY.LlamaConfig  # imported here, for the same reason
LETTERS = "abcdefgh"


def write_chat_models(project: Project, template: str) -> None:
    """Let the project have a teacher and a student that know the letters from a to h."""
    tokenizers = pytest.importorskip("tokenizers")
    LIBRARY.utils.logging.disable_progress_bar()
    special = {"bos_token": "<s>", "eos_token": "</s>"}
    words = {word: i for i, word in enumerate((*special.values(), *LETTERS))}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=special["eos_token"]))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    made = LIBRARY.PreTrainedTokenizerFast(
        tokenizer_object=inner, chat_template=template, **special
    )
    project.models.clear()
    for seed, name in enumerate(("teacher", "student")):
        torch.manual_seed(seed)
        config = LIBRARY.LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=32,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
        LIBRARY.LlamaForCausalLM(config).save_pretrained(project.path / name)
        made.save_pretrained(project.path / name)
        project.models[name] = {"path": name, "device": "cpu"}
