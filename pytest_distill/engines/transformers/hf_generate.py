"""Generation by transformers' ``generate``, for models that keep more than keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import transformers

from pytest_distill.engines.transformers.batching import mask, pad
from pytest_distill.engines.transformers.decoding import (
    Likelihoods,
    SeededSampling,
    StopAtStrings,
)
from pytest_distill.engines.transformers.fast.onednn import computing
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.texts import Text, in_batches_of_texts
from pytest_distill.evals.tasks.generation import Decoding


def generate_batches(
    loaded: Loaded, texts: Sequence[Text], decoding: Decoding, ends: Sequence[int]
) -> Iterator[Text]:
    """Yield every text, batch by batch.

    Raises
    ------
    WrongAloneError
        When a text isn't what the model says when it reads all of it at once.
    """
    generate = partial(_generate, loaded, decoding=decoding, ends=ends)
    yield from in_batches_of_texts(loaded, texts, decoding, loaded.findings.texts, generate)


@torch.inference_mode()
def _generate(
    loaded: Loaded, texts: Sequence[Text], decoding: Decoding, ends: Sequence[int]
) -> None:
    """Generate what follows each prompt, all of them in one batch."""
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
        processors.append(SeededSampling(decoding, rows, [text.seed for text in texts]))
    criteria = transformers.StoppingCriteriaList()
    stopper = StopAtStrings(loaded.tokenizer, decoding.stop, skip, len(rows))
    if decoding.stop:
        criteria.append(stopper)
    with computing(loaded), _own_decoding(loaded, decoding, list(ends), filler):
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
def _own_decoding(
    loaded: Loaded, decoding: Decoding, ends: list[int], filler: int
) -> Iterator[None]:
    """Put a generation config of ours in the place of the checkpoint's.

    Passing one to ``generate`` is not enough: whatever it leaves unset is filled in from the
    checkpoint's, whose sampling and penalties would then decide.
    """
    model, theirs = loaded.model, loaded.model.generation_config
    config: Any = transformers.GenerationConfig  # Any: it carries no types
    model.generation_config = config(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=False,  # a sampled token is made the largest by `SeededSampling`
        num_beams=1,
        use_cache=True,
        eos_token_id=ends or None,
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
