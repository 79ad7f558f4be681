"""Multiple choice and perplexity: the log-likelihood of continuations, and of whole texts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain

from pytest_distill.engines.transformers.encoding import (
    encode,
    in_blocks,
    parts,
    prefix_token,
    window_and_stride,
)
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.fast.shared_cache import Window, score_stretches, stretches
from pytest_distill.engines.transformers.fast.tree_choices import score_in_trees
from pytest_distill.engines.transformers.fast.trees import Part, by_row
from pytest_distill.engines.transformers.likelihood import Likelihood, score_rows
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.windows import Reading, windows
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest


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
    yield from in_blocks(loaded, requests, partial(parts, loaded), partial(_answers, loaded))


def _answers(
    loaded: Loaded, requests: Sequence[ChoiceRequest], read: Sequence[Part]
) -> Iterator[Prediction]:
    found: list[dict[int, Likelihood]] = [{} for _ in requests]
    for part, likelihood in _score(loaded, read):
        own, request = found[part.request], requests[part.request]
        own[part.choice] = likelihood
        if len(own) == len(request.continuations):
            values, greedy = zip(*(own[choice] for choice in sorted(own)), strict=True)
            yield Prediction(id=request.id, loglikelihoods=values, greedy=greedy)


def _score(loaded: Loaded, read: Sequence[Part]) -> Iterator[tuple[Part, Likelihood]]:
    """Yield every part with how likely it is: in trees, and where they can't be, in rows."""
    left = yield from score_in_trees(loaded, read)
    yield from score_in_rows(loaded, left)


def score_in_rows(loaded: Loaded, read: Sequence[Part]) -> Iterator[tuple[Part, Likelihood]]:
    """Yield every part with how likely it is, each different row by itself, padded."""
    wanted = by_row(read)  # choices that differ in their last token only (" A", " B") share one
    rows = list(wanted)
    spans = [[part.span for part in wanted[row]] for row in rows]
    for index, found in score_rows(loaded, rows, spans):
        yield from zip(wanted[rows[index]], found, strict=True)


def score_texts(loaded: Loaded, requests: Sequence[PerplexityRequest]) -> Iterator[Prediction]:
    """Yield the total log-likelihood of every text and the number of tokens it was taken over.

    The same total as lm-evaluation-harness's ``loglikelihood_rolling`` when neither window nor
    stride is given: the first token is predicted from the BOS (else EOS) token, and the special
    tokens that the tokenizer adds by itself are scored like all others.

    Raises
    ------
    ModelError
        When window or stride don't fit the model, or there is nothing to predict the first token
        from.
    """
    prefix = prefix_token(loaded)
    with quiet():
        texts = encode(loaded, [request.text for request in requests])
    rows: list[tuple[int, Reading]] = []
    sharing: defaultdict[Window, list[tuple[int, Reading]]] = defaultdict(list)
    due = [0] * len(requests)
    for index, (request, tokens) in enumerate(zip(requests, texts, strict=True)):
        loaded.checked(request.id, tokens)
        window, stride = window_and_stride(loaded, request)
        if request.share_cache and stride < window < len(tokens):
            shape = Window(window, stride)
            own = [(index, one) for one in stretches(tokens, prefix, shape)]
            sharing[shape] += own
        else:
            own = [(index, one) for one in windows(tokens, prefix, window, stride)]
            rows += own
        due[index] = len(own)
        if not tokens:
            yield Prediction(id=request.id, loglikelihoods=(0.0,), tokens=0)
    totals = [0.0] * len(requests)
    read = [one for _, one in rows]
    scored = score_rows(loaded, [one.row for one in read], [[one.span] for one in read])
    for index, value in chain(
        *(score_stretches(loaded, own, shape) for shape, own in sharing.items()),
        ((rows[at][0], one.value) for at, (one,) in scored),
    ):
        totals[index] += value
        due[index] -= 1
        if due[index] == 0:
            yield Prediction(
                id=requests[index].id, loglikelihoods=(totals[index],), tokens=len(texts[index])
            )
