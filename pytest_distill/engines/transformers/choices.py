"""Multiple choice: the log-likelihood of each continuation after the context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice

from pytest_distill.engines.transformers.encoding import encode_pairs, in_blocks
from pytest_distill.engines.transformers.fast.tree_choices import score_in_trees
from pytest_distill.engines.transformers.fast.trees import Part, by_row
from pytest_distill.engines.transformers.likelihood import Likelihood, score_rows
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.windows import Span
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest


def score_choices(loaded: Loaded, requests: Sequence[ChoiceRequest]) -> Iterator[Prediction]:
    """Yield the log-likelihoods of every request as soon as its last choice is scored.

    With each comes whether the choice is what the model would have generated; see `Likelihood`.

    Tokenised as lm-evaluation-harness 0.4.13 does. The log-softmax is taken in float32 whatever
    the model runs in, as lm-evaluation-harness does with ``softmax_dtype=float32``; its default
    is the model's own type, which is the same for a float32 model.

    Raises
    ------
    ModelError
        When a prompt is too long for the model, or a choice adds no token to it.
    """
    yield from in_blocks(loaded, requests, partial(_parts, loaded), partial(_answers, loaded))


def _answers(
    loaded: Loaded, requests: Sequence[ChoiceRequest], parts: Sequence[Part]
) -> Iterator[Prediction]:
    found: list[dict[int, Likelihood]] = [{} for _ in requests]
    for part, likelihood in _score(loaded, parts):
        own, request = found[part.request], requests[part.request]
        own[part.choice] = likelihood
        if len(own) == len(request.continuations):
            values, greedy = zip(*(own[choice] for choice in sorted(own)), strict=True)
            yield Prediction(id=request.id, loglikelihoods=values, greedy=greedy)


def _score(loaded: Loaded, parts: Sequence[Part]) -> Iterator[tuple[Part, Likelihood]]:
    """Yield every part with how likely it is: in trees, and where they can't be, in rows."""
    left = yield from score_in_trees(loaded, parts)
    yield from score_in_rows(loaded, left)


def score_in_rows(loaded: Loaded, parts: Sequence[Part]) -> Iterator[tuple[Part, Likelihood]]:
    """Yield every part with how likely it is, each different row by itself, padded."""
    wanted = by_row(parts)  # choices that differ in their last token only (" A", " B") share one
    rows = list(wanted)
    spans = [[part.span for part in wanted[row]] for row in rows]
    for index, found in score_rows(loaded, rows, spans):
        yield from zip(wanted[rows[index]], found, strict=True)


def _parts(loaded: Loaded, requests: Sequence[ChoiceRequest]) -> list[Part]:
    """Return what the model reads and what is scored in it, for each choice of each request."""
    encoded = encode_pairs(loaded, [asked for request in requests for asked in request.asked])
    return [
        _part(loaded, request, index, choice, *pair)
        for index, request in enumerate(requests)
        for choice, pair in enumerate(
            pair for pairs in islice(encoded, len(request.asked)) for pair in pairs
        )
    ]


def _part(
    loaded: Loaded,
    request: ChoiceRequest,
    index: int,
    choice: int,
    context: list[int],
    continuation: list[int],
) -> Part:
    where = f"model '{loaded.name}', example '{request.id}'"
    if not context or not continuation:
        raise ModelError(
            f"{where}: choice {choice} ({request.continuations[choice]!r}) adds no token to "
            "the prompt, so it has no likelihood"
        )
    tokens = loaded.checked(request.id, context + continuation)
    limit = None if loaded.context is None else loaded.context + 1  # the last one isn't read
    if limit is not None and len(tokens) > limit:
        if request.truncate is None or len(continuation) >= limit:
            cut = ", or set 'truncate: left'" if request.truncate is None else ""
            raise ModelError(
                f"{where}: prompt and choice {choice} have {len(tokens)} tokens, and the "
                f"model's context is {loaded.context}; shorten them{cut}"
            )
        tokens = tokens[-limit:]
    start = len(tokens) - 1 - len(continuation)
    return Part(index, choice, tuple(tokens[:-1]), Span(start, tuple(continuation)))
