"""Multiple choice: the log-likelihood of each continuation after the context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from pytest_distill.engines.transformers.asked import parts
from pytest_distill.engines.transformers.encoding import in_blocks
from pytest_distill.engines.transformers.fast.tree_choices import score_in_trees
from pytest_distill.engines.transformers.fast.trees import Part, by_row
from pytest_distill.engines.transformers.likelihood import Likelihood, score_rows
from pytest_distill.engines.transformers.loaded import Loaded
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
