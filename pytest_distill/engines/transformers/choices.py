"""Multiple choice: the log-likelihood of each continuation after the context."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pytest_distill.engines.transformers.batching import batches
from pytest_distill.engines.transformers.encoding import encode_pairs
from pytest_distill.engines.transformers.likelihood import Span, score_spans
from pytest_distill.engines.transformers.loading import Loaded
from pytest_distill.engines.transformers.quiet import quiet
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import ChoiceRequest, Prediction


def score_choices(loaded: Loaded, requests: Sequence[ChoiceRequest]) -> Iterator[Prediction]:
    """Yield the log-likelihoods of every request as soon as its last choice is scored.

    Tokenised as lm-evaluation-harness 0.4.13 does. The log-softmax is taken in float32 whatever
    the model runs in, as lm-evaluation-harness does with ``softmax_dtype=float32``; its default
    is the model's own type, which is the same for a float32 model.

    Raises
    ------
    ModelError
        When a prompt is too long for the model, or a choice adds no token to it.
    """
    # Choices that differ in their last token only (" A", " B") share one row.
    wanted: defaultdict[tuple[int, ...], list[tuple[int, int, Span]]] = defaultdict(list)
    with quiet():
        for index, request in enumerate(requests):
            for choice, (row, span) in enumerate(_rows(loaded, request)):
                wanted[row].append((index, choice, span))
    rows = list(wanted)
    scores: list[dict[int, float]] = [{} for _ in requests]
    for batch in batches([len(row) for row in rows], loaded.budget):
        places = [place for row in batch for place in wanted[rows[row]]]
        spans = [[span for _, _, span in wanted[rows[row]]] for row in batch]
        values = score_spans(loaded, [rows[row] for row in batch], spans)
        for (index, choice, _), value in zip(places, values, strict=True):
            scores[index][choice] = value
            count = len(requests[index].continuations)
            if len(scores[index]) == count:
                loglikelihoods = tuple(scores[index][choice] for choice in range(count))
                yield Prediction(id=requests[index].id, loglikelihoods=loglikelihoods)


def _rows(loaded: Loaded, request: ChoiceRequest) -> Iterator[tuple[tuple[int, ...], Span]]:
    """Yield what the model reads and what is scored in it, for each choice."""
    pairs = encode_pairs(loaded, request.context, request.continuations)
    for choice, (context, continuation) in enumerate(pairs):
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
                raise ModelError(
                    f"{where}: prompt and choice {choice} have {len(tokens)} tokens, and the "
                    f"model's context is {loaded.context}; shorten them, or set 'truncate: left'"
                )
            tokens = tokens[-limit:]
        start = len(tokens) - 1 - len(continuation)
        yield tuple(tokens[:-1]), Span(start, tuple(continuation))
