"""What vLLM says of a text that it writes, beside what it says of the same text that it reads."""

from __future__ import annotations

import math
from typing import Any

import torch

from pytest_distill.engines.transformers.encoding import encode, prefix_token
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.vllm.loading import RunningModel
from pytest_distill.engines.vllm.process import Job
from pytest_distill.engines.vllm.scoring import scored
from pytest_distill.errors import ModelError, UnsoundAnswersError

_TEXT = "The quick brown fox jumps over the lazy dog, and one, two, three, four."
_READ, _WRITTEN = 16, 4  # tokens


def examine(running: RunningModel, dtype: str | None) -> None:
    """Hold the log-probabilities of a written text to those of the same text when it is read.

    Raises
    ------
    UnsoundAnswersError
        Where they are others, so that one of them is not the model's.
    """
    reader = running.scoring
    room = (reader.context or _READ + _WRITTEN) - _WRITTEN
    if room < 1:
        return
    with quiet():
        told = [token for token in encode(reader, [_TEXT])[0] if reader.knows(token)]
    prompt = told[: min(_READ, room)] or [prefix_token(reader)]
    sampling = {"max_tokens": _WRITTEN, "temperature": 0.0, "logprobs": 0, "ignore_eos": True}
    written: list[int] = []
    likely: list[float] = []
    for answer in running.process.answers([Job(0, prompt, sampling)]):
        tokens, values, _ = _told(running, answer.kind, answer.values)
        written += tokens
        likely += values
    row = [*prompt, *written[:-1]]
    for answer in running.process.answers([scored(0, row, written)]):
        read, _ = _told(running, answer.kind, answer.values)
        got, expected = math.fsum(likely), math.fsum(read)
        if not abs(got - expected) <= _rounding(dtype, len(written), expected):
            raise UnsoundAnswersError(
                f"{reader.who}: vLLM gives {len(written)} tokens that it writes a log-likelihood "
                f"of {got:.4f}, and {expected:.4f} when it reads them, so that one of the two is "
                "not what the model says"
            )


def _told(running: RunningModel, kind: str, values: list[Any]) -> list[Any]:
    if kind == "refused":
        raise ModelError(f"{running.reader.who}: vLLM refuses a trial: {values[0]!s:.300}")
    return values


def _rounding(dtype: str | None, tokens: int, expected: float) -> float:
    """Return how far two log-likelihoods of some tokens may be apart by rounding alone."""
    known = getattr(torch, dtype or "", None)
    if known in (torch.float16, torch.bfloat16):
        return 16 * 4 * torch.finfo(known).eps * tokens
    return max(1e-3, 1e-5 * abs(expected))
