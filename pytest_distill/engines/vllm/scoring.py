"""Choices and whole texts: what vLLM's log-probabilities of a prompt's own tokens add up to.

Before the first they are tried: what is said of a text that it reads, beside what was said of the
same text when it wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from math import fsum
from typing import Any

import torch

from pytest_distill.engines.transformers.encoding import (
    encode,
    in_blocks,
    parts,
    prefix_token,
    window_and_stride,
)
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.fast.trees import Part
from pytest_distill.engines.transformers.likelihood import Likelihood
from pytest_distill.engines.transformers.reader import Reader
from pytest_distill.engines.vllm.loading import RunningModel
from pytest_distill.engines.vllm.process import Job, JobAnswer
from pytest_distill.engines.windows import windows
from pytest_distill.errors import ModelError, UnsoundAnswersError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

_TEXT = "The quick brown fox jumps over the lazy dog, and one, two, three, four."
_READ, _WRITTEN = 16, 4  # tokens


def scored(of: int, row: Sequence[int], targets: Sequence[int]) -> Job:
    """Return what asks for the log-probabilities of targets, the last of which follows a row."""
    return Job(of, [*row, targets[-1]], {"score": len(targets)})


def likelihood(reader: Reader, requests: Sequence[Request], answer: JobAnswer) -> Likelihood:
    """Return how likely the tokens are that were scored.

    Raises
    ------
    ModelError
        Where vLLM refuses a request.
    """
    refuse_refused(reader, requests[answer.job.of], answer)
    values, greedy = answer.values
    return Likelihood(fsum(values), all(greedy))


def refuse_refused(reader: Reader, request: Request, answer: JobAnswer) -> None:
    """Raise ModelError where vLLM does not take a request."""
    if answer.kind == "refused":
        said = str(answer.values[0])
        raise ModelError(f"{reader.who}, example '{request.id}': vLLM refuses it: {said:.300}")


def score_choices(running: RunningModel, requests: Sequence[ChoiceRequest]) -> Iterator[Prediction]:
    """Yield the log-likelihoods of every request as soon as its last choice is scored.

    Tokenised as lm-evaluation-harness 0.4.13 does; see the same of the engine transformers.

    Raises
    ------
    ModelError
        When a prompt is too long for the model, or a choice adds no token to it.
    """
    yield from in_blocks(
        running.scoring, requests, partial(parts, running.scoring), partial(_choices, running)
    )


def _choices(
    running: RunningModel, requests: Sequence[ChoiceRequest], read: Sequence[Part]
) -> Iterator[Prediction]:
    found: list[dict[int, Likelihood]] = [{} for _ in requests]
    # The choices that a job is of; several where they ask the same of the model.
    same: dict[tuple[int, tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for part in read:
        same.setdefault((part.request, part.row, part.span.targets), []).append(part.choice)
    jobs = [scored(of, row, targets) for of, row, targets in same]
    choices = dict(zip(map(id, jobs), same.values(), strict=True))
    for answer in running.process.answers(jobs):
        of = answer.job.of
        likely = likelihood(running.scoring, requests, answer)
        found[of] |= dict.fromkeys(choices[id(answer.job)], likely)
        if len(found[of]) == len(requests[of].continuations):
            values, greedy = zip(*(found[of][choice] for choice in sorted(found[of])), strict=True)
            yield Prediction(id=requests[of].id, loglikelihoods=values, greedy=greedy)


def score_texts(
    running: RunningModel, requests: Sequence[PerplexityRequest]
) -> Iterator[Prediction]:
    """Yield the total log-likelihood of every text and the number of tokens it was taken over.

    In windows as the engine transformers has them; each is read by itself, also where a request
    lets windows share what was read.

    Raises
    ------
    ModelError
        When window or stride don't fit the model, or there is nothing to predict the first token
        from.
    """
    reader = running.scoring
    prefix = prefix_token(reader)
    with quiet():
        texts = encode(reader, [request.text for request in requests])
    due = [0] * len(requests)
    shapes = []
    for request, tokens in zip(requests, texts, strict=True):
        reader.checked(request.id, tokens)
        shapes.append(window_and_stride(reader, request))

    def jobs() -> Iterable[Job]:
        for of, tokens in enumerate(texts):
            read = list(windows(tokens, prefix, *shapes[of]))
            due[of] = len(read)
            for one in read:
                yield scored(of, one.row, one.span.targets)

    for of, tokens in enumerate(texts):
        if not tokens:
            yield Prediction(id=requests[of].id, loglikelihoods=(0.0,), tokens=0)
    values: list[list[float]] = [[] for _ in requests]
    for answer in running.process.answers(jobs()):
        of = answer.job.of
        values[of].append(likelihood(reader, requests, answer).value)
        if len(values[of]) == due[of]:
            total = fsum(values[of])
            yield Prediction(id=requests[of].id, loglikelihoods=(total,), tokens=len(texts[of]))


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
        got, expected = fsum(likely), fsum(read)
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
