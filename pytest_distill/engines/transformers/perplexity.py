"""Perplexity: the log-likelihood of a whole text, with a sliding window where it is long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

from pytest_distill.engines.transformers.asked import window_and_stride
from pytest_distill.engines.transformers.encoding import encode, prefix_token
from pytest_distill.engines.transformers.fast.shared_cache import Window, score_stretches, stretches
from pytest_distill.engines.transformers.likelihood import score_rows
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.quiet import quiet
from pytest_distill.engines.windows import Reading, windows
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.perplexity import PerplexityRequest


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
