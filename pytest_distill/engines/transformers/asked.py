"""Requests as tokens: what a causal model reads of each, or why it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from pytest_distill.engines.transformers.encoding import encode_pairs, prefix_token
from pytest_distill.engines.transformers.fast.trees import Part
from pytest_distill.engines.transformers.reader import Reader
from pytest_distill.engines.windows import Span
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

_WINDOW = 2048  # lm-evaluation-harness's, where neither config nor tokenizer states a context


def parts(reader: Reader, requests: Sequence[ChoiceRequest]) -> list[Part]:
    """Return what the model reads and what is scored in it, for each choice of each request."""
    encoded = encode_pairs(reader, [asked for request in requests for asked in request.asked])
    return [
        _part(reader, request, index, choice, *pair)
        for index, request in enumerate(requests)
        for choice, pair in enumerate(
            pair for pairs in islice(encoded, len(request.asked)) for pair in pairs
        )
    ]


def _part(
    reader: Reader,
    request: ChoiceRequest,
    index: int,
    choice: int,
    context: list[int],
    continuation: list[int],
) -> Part:
    where = f"model '{reader.name}', example '{request.id}'"
    if not context or not continuation:
        raise ModelError(
            f"{where}: choice {choice} ({request.continuations[choice]!r}) adds no token to "
            "the prompt, so it has no likelihood"
        )
    tokens = reader.checked(request.id, context + continuation)
    limit = None if reader.context is None else reader.context + 1  # the last one isn't read
    if limit is not None and len(tokens) > limit:
        if request.truncate is None or len(continuation) >= limit:
            cut = ", or set 'truncate: left'" if request.truncate is None else ""
            raise ModelError(
                f"{where}: prompt and choice {choice} have {len(tokens)} tokens, and the "
                f"model's context is {reader.context}; shorten them{cut}"
            )
        tokens = tokens[-limit:]
    start = len(tokens) - 1 - len(continuation)
    return Part(index, choice, tuple(tokens[:-1]), Span(start, tuple(continuation)))


def fitting(
    reader: Reader, requests: Sequence[GenerationRequest], rows: Sequence[list[int]]
) -> list[list[int]]:
    """Return the tokens of every prompt, cut from the left where that is allowed."""
    fitting = []
    for request, row in zip(requests, rows, strict=True):
        tokens = reader.checked(request.id, row or [prefix_token(reader)])
        room = _room(reader, request.decoding)
        if room is not None and len(tokens) > room:
            if request.truncate is None or room < 1:
                cut = ", or set 'truncate: left'" if request.truncate is None else ""
                raise ModelError(
                    f"model '{reader.name}', example '{request.id}': the prompt has {len(tokens)} "
                    f"tokens and max_new_tokens is {request.decoding.max_new_tokens}, but the "
                    f"model's context is {reader.context}; shorten them{cut}"
                )
            tokens = tokens[-room:]
        fitting.append(tokens)
    return fitting


def _room(reader: Reader, decoding: Decoding) -> int | None:
    """Return how many tokens a prompt may have; None where nothing limits it."""
    if reader.context is None:
        return None
    if reader.kind == "seq2seq":  # encoder and decoder have a context each
        return reader.context if decoding.max_new_tokens < reader.context else 0
    return reader.context - decoding.max_new_tokens


def window_and_stride(reader: Reader, request: PerplexityRequest) -> tuple[int, int]:
    """Return how a text is read: as the request says, else as much at once as the model can."""
    window = request.window or reader.context or _WINDOW
    stride = request.stride or window
    where = f"model '{reader.name}', example '{request.id}'"
    if reader.context is not None and window > reader.context:
        raise ModelError(
            f"{where}: a window of {window} tokens is longer than the model's context of "
            f"{reader.context}"
        )
    if window < 1 or not 1 <= stride <= window:
        raise ModelError(
            f"{where}: a stride of {stride} doesn't fit a window of {window} tokens; it must be "
            "between 1 and the window"
        )
    return window, stride
