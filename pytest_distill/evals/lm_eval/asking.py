"""What lm-evaluation-harness asks about a document, as one request of ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_distill.evals.lm_eval.generation import decoding_of
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest


def request_of(id: str, instances: Sequence[Any], longest: int | None) -> Request:
    """Return the request that stands for all instances of a document, in their order.

    The start of what is too long for a model is cut off, as by lm-evaluation-harness's models.

    Parameters
    ----------
    id : str
        The document's.
    instances : sequence of Instance
        What is asked.
    longest : int, optional
        The greatest number of tokens of a text, in place of the one that an instance states.
    """
    kind = instances[0].request_type
    if kind == "loglikelihood":
        contexts, continuations = zip(*(instance.args for instance in instances), strict=True)
        if len(set(contexts)) == 1:
            return ChoiceRequest(id, contexts[0], continuations, "left")
        return ChoiceRequest(id, "", continuations, "left", contexts)
    (instance,) = instances
    if kind == "loglikelihood_rolling":
        return PerplexityRequest(id, instance.args[0])
    prompt, kwargs = instance.args
    decoding = decoding_of(kwargs)
    if longest is not None:
        decoding = replace(decoding, max_new_tokens=longest)
    return GenerationRequest(id, prompt, False, decoding, "left")
