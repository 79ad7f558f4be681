"""Generation by transformers' ``generate``, for models that keep more than keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import transformers

from pytest_distill.engines.transformers.batching import mask, pad
from pytest_distill.engines.transformers.fast.onednn import computing
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.texts import (
    SeededSampling,
    Text,
    holds,
    of_tokens,
    tail_length,
)


@torch.inference_mode()
def generate_batch(loaded: Loaded, texts: Sequence[Text]) -> None:
    """Generate what follows each prompt, all of them in one batch."""
    decoding, ends = texts[0].decoding, texts[0].ends
    causal = loaded.kind == "causal"
    # A causal model goes on from the last token of a row, which must not be padding.
    side: Any = "left" if causal else "right"
    filler = _filler(loaded, ends)
    rows = [text.prompt for text in texts]
    inputs = {
        "input_ids": pad(rows, filler, loaded.device, side),
        "attention_mask": mask(rows, loaded.device, side),
    }
    skip = inputs["input_ids"].shape[1] if causal else 1  # the prompt, or the start token
    likelihoods = Likelihoods(skip)
    processors = transformers.LogitsProcessorList([likelihoods])
    if decoding.do_sample:
        processors.append(SeededSampling(texts))
    criteria = transformers.StoppingCriteriaList()
    stopper = StopAtStrings(loaded.tokenizer, decoding.stop, skip, len(rows))
    if decoding.stop:
        criteria.append(stopper)
    with computing(loaded), _own_decoding(loaded, texts[0], filler):
        output = loaded.model.generate(
            **inputs, logits_processor=processors, stopping_criteria=criteria
        )
    likely = likelihoods.of(output)
    for row, (text, tokens) in enumerate(zip(texts, output[:, skip:].tolist(), strict=True)):
        ended = (at + 1 for at, token in enumerate(tokens) if token in ends)
        length = min(next(ended, len(tokens)), stopper.lengths.get(row, len(tokens)))
        text.tokens, text.log_probabilities = tokens[:length], likely[row][:length]


def _filler(loaded: Loaded, ends: Sequence[int]) -> int:
    """Return the token that fills up rows; it is masked wherever it stands."""
    own = loaded.model.generation_config.pad_token_id
    loaded.refuse_unknown(own, "generation_config.json: pad_token_id")
    known = (own, loaded.tokenizer.pad_token_id, *ends)
    return next((token for token in known if token is not None and loaded.knows(token)), 0)


@contextmanager
def _own_decoding(loaded: Loaded, text: Text, filler: int) -> Iterator[None]:
    """Put a generation config of ours in the place of the checkpoint's.

    Passing one to ``generate`` is not enough: whatever it leaves unset is filled in from the
    checkpoint's, whose sampling and penalties would then decide.
    """
    model, theirs = loaded.model, loaded.model.generation_config
    config: Any = transformers.GenerationConfig  # Any: it carries no types
    model.generation_config = config(
        max_new_tokens=text.decoding.max_new_tokens,
        do_sample=False,  # a sampled token is made the largest by `SeededSampling`
        num_beams=1,
        use_cache=True,
        eos_token_id=list(text.ends) or None,
        pad_token_id=filler,
        bos_token_id=theirs.bos_token_id,
        decoder_start_token_id=theirs.decoder_start_token_id,
        # The language that a translation model writes; part of the format, not a way to decode.
        forced_bos_token_id=theirs.forced_bos_token_id,
    )
    try:
        yield
    finally:
        model.generation_config = theirs


class Likelihoods(transformers.LogitsProcessor):
    """Writes down the log-probability of every token that ``generate`` chooses; changes nothing.

    It stands before the sampling, and sees what the model itself says. A token is known when the
    next one is asked for, so that one step's scores are kept; ``generate`` would keep all of them.

    Parameters
    ----------
    skip : int
        How many tokens of a row were not generated.
    """

    def __init__(self, skip: int) -> None:
        self.skip = skip
        self.scores: torch.Tensor | None = None
        self.steps: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Take in the last step's tokens and this step's scores; return the scores as they are."""
        self._take(input_ids)
        self.scores = scores.float()
        return scores

    def of(self, output: torch.Tensor) -> list[list[float]]:
        """Return the log-probabilities of all generated tokens, those after a row's end too."""
        self._take(output)
        self.scores = None
        rows: list[list[float]] = torch.stack(self.steps, dim=1).tolist()
        return rows

    def _take(self, tokens: torch.Tensor) -> None:
        if self.scores is not None:
            self.steps.append(of_tokens(self.scores, tokens[:, self.skip + len(self.steps)]))


class StopAtStrings(transformers.StoppingCriteria):
    """Ends a row when a stop string stands in what it generated.

    Only generated text counts: transformers' own criterion also sees the end of the prompt, and
    a prompt that ends in half a stop string would stop at once.

    Attributes
    ----------
    lengths : dict of int to int
        For each row that a stop string ended, how many tokens it had generated by then.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], skip: int, rows: int) -> None:
        self.tokenizer, self.stop, self.skip, self.rows = tokenizer, stop, skip, rows
        self.tail = tail_length(stop)
        self.lengths: dict[int, int] = {}

    def __call__(
        self,
        input_ids: torch.Tensor,
        scores: Any,  # noqa: ARG002 - as in the base class
        **_: Any,
    ) -> torch.Tensor:
        """Return for every row whether it is done."""
        length = input_ids.shape[1] - self.skip
        begin = max(self.skip, input_ids.shape[1] - self.tail)
        open_rows = [row for row in range(self.rows) if row not in self.lengths]
        tails = self.tokenizer.batch_decode(input_ids[open_rows, begin:])
        for row, text in zip(open_rows, tails, strict=True):
            if holds(text, self.stop) and holds(
                self.tokenizer.decode(input_ids[row, self.skip :]), self.stop
            ):
                self.lengths[row] = length
        done = [row in self.lengths for row in range(self.rows)]
        return torch.tensor(done, device=input_ids.device)

    def _written(self, row: torch.Tensor) -> str:
        return str(self.tokenizer.decode(row[self.skip :]))
