"""Generation as it is defined: all of a text is read for every token. Slow, and right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from pytest_distill.engines.transformers.loading import Loaded
from pytest_distill.engines.transformers.logits import logits_at
from pytest_distill.engines.transformers.neighbours import (
    Company,
    Neighbours,
    WrongAloneError,
)
from pytest_distill.engines.transformers.texts import (
    Text,
    forced_token,
    go_on,
    in_batches_of_texts,
    whole,
)
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.generation import Decoding


def generate_anew(
    loaded: Loaded, texts: Sequence[Text], decoding: Decoding, ends: Sequence[int]
) -> Iterator[Text]:
    """Yield every text; those with prompts of one length are generated together.

    Raises
    ------
    ModelError
        When the model says another thing each time that it reads a text.
    """
    neighbours = Neighbours(max(Company.EQUAL, loaded.trust.rows.company))
    generate = partial(_generate, loaded, decoding=decoding, ends=ends)
    try:
        yield from in_batches_of_texts(loaded, texts, decoding, neighbours, generate)
    except WrongAloneError as error:
        raise ModelError(f"{loaded.who} is not deterministic: {error}") from None


@torch.inference_mode()
def _generate(
    loaded: Loaded, texts: Sequence[Text], decoding: Decoding, ends: Sequence[int]
) -> None:
    for text in texts:
        text.begin(decoding)
    going = list(texts)
    while going:
        inputs = whole(loaded, going)
        last = len(going[0].tokens) + (len(going[0].prompt) - 1 if loaded.kind == "causal" else 0)
        go_on(going, logits_at(loaded, inputs, range(len(going)), [last] * len(going)))
        forced = forced_token(loaded)
        if forced is not None and len(going[0].tokens) == 1:
            for text in going:
                text.tokens[:] = [forced]
        going = [text for text in going if not text.is_finished(loaded, decoding, ends)]
