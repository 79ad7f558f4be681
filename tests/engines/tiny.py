"""What the tests of the engines share: texts, sizes, and what a model says of one text alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
import transformers

from pytest_distill.engines import Engine, ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

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

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}

Make = Callable[..., TransformersEngine]
Template = Callable[[Any], Path]
"""Gives a tiny model another chat template, or several by name."""


def spec_of(path: Path | str, **given: Any) -> Spec:
    """Return the spec of a model from its keys in ``distill.yaml``, and what a run adds."""
    shared = {field.name for field in fields(ModelSpec)} - {"options"}
    options = {key: value for key, value in given.items() if key not in shared}
    known = {"name": "student", "role": "student", **given}
    own = {key: value for key, value in known.items() if key in shared}
    return Spec.of(ModelSpec(path=str(path), options=options, **own))


def saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    """Write a checkpoint; return its folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Found = TypeVar("Found", bound=_Identified)


def one_each(asked: Sequence[_Identified], found: Iterable[Found]) -> list[Found]:
    """Return what came of each that was asked, in that order; nothing lacks or comes twice."""
    came = list(found)
    assert asked, "nothing was asked"
    assert sorted(one.id for one in came) == sorted(one.id for one in asked)
    by_id = {one.id: one for one in came}
    return [by_id[one.id] for one in asked]


def predicted(engine: Engine, requests: Sequence[Request]) -> list[Prediction]:
    """Return exactly one prediction a request, in the order of the requests."""
    return one_each(requests, engine.predict(requests))


def plain(made: TransformersEngine, row: list[int]) -> torch.Tensor:
    """Return the log-probabilities of one row, read alone and unpadded."""
    with torch.inference_mode():
        ids = torch.tensor([row], device=made.model.device)
        logits: torch.Tensor = made.model(input_ids=ids).logits[0]
    return logits.log_softmax(-1).cpu()


def scored(made: TransformersEngine, request: ChoiceRequest) -> list[float]:
    """Return the log-likelihood of every choice, each in a row that is read alone."""
    values = []
    context = len(made.tokenizer(request.context)["input_ids"])
    for choice in request.continuations:
        whole = made.tokenizer(request.context + choice)["input_ids"]
        said = plain(made, whole[:-1])
        values.append(sum(said[at - 1, whole[at]].item() for at in range(context, len(whole))))
    return values


def greedy(made: TransformersEngine, prompt: str, count: int) -> str:
    """Return what follows a prompt where all of the text is read for every token."""
    row = made.tokenizer(prompt)["input_ids"]
    new: list[int] = []
    for _ in range(count):
        new.append(int(plain(made, row + new)[-1].argmax()))
        if new[-1] == made.tokenizer.eos_token_id:
            break
    return str(made.tokenizer.decode(new, skip_special_tokens=True))
