"""What the tests of the engines share: texts, and the type of the fixture `engine`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers

from pytest_distill.engines.transformers import TransformersEngine

# Any, because transformers' constructors carry no types.
hf: Any = transformers

CORPUS = (
    "The quick brown fox jumps over the lazy dog. A stitch in time saves nine, and the early bird "
    "gets the worm; one, two, three, four, five, six. Question: what is the capital? Answer: Paris"
)
TEXTS = (
    "good",
    "a stitch in time saves nine",
    "the early bird gets the worm, and the second mouse gets the cheese",
    "one, two, three, four, five, six, seven, eight, nine, ten. " * 2,
    "bad, bad",
    "quick brown foxes jump over lazy dogs in the winter",
)
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Make = Callable[..., TransformersEngine]


def saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Write a checkpoint; return its folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
