"""What this engine can be asked: the function that answers each kind of request."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Head, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

HANDLERS: Mapping[type[Request], str] = {
    ClassificationRequest: "classification:classify",
    ChoiceRequest: "scoring:score_choices",
    GenerationRequest: "generation:generate",
    PerplexityRequest: "scoring:score_texts",
}
"""Kind of request -> module of this folder, and its function of a loaded model and requests."""

HEADS: Mapping[str, Head] = {head.name: head for kind in HANDLERS for head in kind.heads}


def handler(model: str, kind: type[Request]) -> Any:
    """Return the function that answers a kind of request; importing it imports torch.

    Raises
    ------
    ModelError
        Where there is none.
    """
    if kind not in HANDLERS:
        raise ModelError(
            f"model '{model}' runs with transformers, which has no way to do the task {kind.task} "
            f"({kind.__name__}); it does {', '.join(known.task for known in HANDLERS)}"
        )
    module, _, name = HANDLERS[kind].partition(":")
    return getattr(importlib.import_module(f"pytest_distill.engines.transformers.{module}"), name)


def refuse_other_head(model: str, architecture: str, head: str, kind: type[Request]) -> None:
    """Raise ModelError where a model's head is none that can answer a kind of request."""
    if head not in [able.name for able in kind.heads]:
        words = " or ".join(able.words for able in kind.heads)
        classes = ", ".join(f"...{able.suffix}" for able in kind.heads)
        raise ModelError(
            f"model '{model}' is a {architecture}, which can't do the task {kind.task}: it needs a "
            f"{words} model ({classes})"
        )
