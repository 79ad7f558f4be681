"""Generated texts beside what a model says when it reads all of one at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.likelihood import differ, score_places, score_spans
from pytest_distill.engines.transformers.loaded import Loaded, Neighbours
from pytest_distill.engines.transformers.neighbours import in_company
from pytest_distill.engines.transformers.texts import Text
from pytest_distill.engines.windows import Span


def crosses(loaded: Loaded, text: Text, size: int) -> bool:
    """Return whether a text of `size` tokens ends beyond a border that it began before.

    What a cache keeps of its beginning is then not what the model makes of all of it.
    """
    border = loaded.findings.border
    return border is not None and len(text.prompt) <= border < size


def forced_token(loaded: Loaded) -> int | None:
    """Return the token that every text of a translation model begins with: its language."""
    token = loaded.model.generation_config.forced_bos_token_id
    return int(token) if loaded.kind == "seq2seq" and token is not None else None


def difference(loaded: Loaded, text: Text) -> str | None:
    """Return how a text's log-likelihood differs from that of reading all of it in one pass.

    The token that a checkpoint forces at the start of every text is not looked at. Nor are texts
    that cross a border of the model's positions: read at once, their beginning is another's.
    """
    if crosses(loaded, text, text.size):
        return None
    first = 0 if forced_token(loaded) is None else 1
    targets = tuple(text.tokens[first:])
    if not targets:
        return None
    got = math.fsum(text.log_probabilities[first:])
    if loaded.kind == "causal":
        start = len(text.prompt) - 1
        ((expected, _),) = score_spans(loaded, [text.row[:-1]], [[Span(start, targets)]])
    else:
        inputs = whole(loaded, [text])
        places = [(0, first + offset) for offset in range(len(targets))]
        ((expected, _),) = score_places(loaded, inputs, [(places, targets)])
    if not differ(loaded, len(targets), got, expected):
        return None
    return (
        f"the log-likelihood of a generated text was {got:.4f}, and {expected:.4f} when all of it "
        "was read at once"
    )


def in_batches_of_texts(
    loaded: Loaded,
    texts: Sequence[Text],
    neighbours: Neighbours,
    generate: Callable[[Loaded, Sequence[Text]], None],
) -> Iterator[Text]:
    """Yield every text once `generate` has generated all of its batch.

    Raises
    ------
    WrongAloneError
        When a text isn't what the model says when it reads all of it at once.
    """

    def forward(batch: list[int]) -> list[Text]:
        chosen = [texts[place] for place in batch]
        generate(loaded, chosen)
        return chosen

    def wrong(_: int, text: Text) -> str | None:
        return difference(loaded, text)

    budget = loaded.generation_budget
    lengths = [text.longest for text in texts]
    for _, finished in in_company(
        loaded, budget, neighbours, lengths, forward, wrong, alone_is_right=False
    ):
        yield from finished


def whole(loaded: Loaded, texts: Sequence[Text]) -> dict[str, torch.Tensor | bool]:
    """Return what a model reads of texts whose prompts, and answers, are of one length."""
    if loaded.kind == "causal":
        rows = pad([text.row for text in texts], 0, loaded.device)
        return {"input_ids": rows, "use_cache": False}
    start = start_token(loaded)
    return {
        "input_ids": pad([text.prompt for text in texts], 0, loaded.device),
        "decoder_input_ids": pad([[start, *text.tokens] for text in texts], 0, loaded.device),
        "use_cache": False,
    }


def start_token(loaded: Loaded) -> int:
    """Return the token that the decoder of a seq2seq model begins with."""
    theirs, config = loaded.model.generation_config, loaded.model.config
    known = (
        theirs.decoder_start_token_id,
        getattr(config, "decoder_start_token_id", None),
        theirs.bos_token_id,
    )
    return next((int(token) for token in known if isinstance(token, int)), 0)
