"""Generation: a text that answers the prompt, decoded as the request says and not otherwise."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import transformers

from pytest_distill.engines.transformers.batching import mask, pad
from pytest_distill.engines.transformers.decoding import (
    Likelihoods,
    SeededSampling,
    StopAtStrings,
)
from pytest_distill.engines.transformers.encoding import encode, prefix_token
from pytest_distill.engines.transformers.loading import Loaded
from pytest_distill.engines.transformers.memory import in_batches
from pytest_distill.engines.transformers.products import computing
from pytest_distill.engines.transformers.quiet import quiet
from pytest_distill.engines.transformers.running import Text, run_all
from pytest_distill.engines.transformers.tree_attention import obstacle
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Decoding, GenerationRequest, Prediction


def generate(loaded: Loaded, requests: Sequence[GenerationRequest]) -> Iterator[Prediction]:
    """Yield the generated text of every request, batch by batch.

    Greedy unless the request samples. Nothing of the checkpoint's own ``generation_config`` is
    used but its special tokens: sampling, beams, penalties and lengths are the request's, the
    same for teacher and student.

    A sampled text depends on the seed and on its prompt, and neither on the batch nor on the
    other requests, up to the rounding of the logits.

    With each text comes its log-likelihood under the model itself, before temperature and nucleus:
    the sum over its tokens, that of the end token or of the stop string included.

    Raises
    ------
    ModelError
        When the prompt and the new tokens don't fit the model's context, or a chat is asked of a
        tokenizer without a chat template.
    """
    with quiet():
        prompts = _prompts(loaded, requests)
    groups: defaultdict[Decoding, list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        groups[replace(request.decoding, seed=None)].append(index)
    for decoding, indices in groups.items():
        texts = [Text(n, prompts[n], requests[n].decoding.seed) for n in indices]
        for index, made in _texts(loaded, texts, decoding):
            yield Prediction(
                id=requests[index].id,
                text=made.text,
                loglikelihoods=(math.fsum(made.log_probabilities),),
                tokens=len(made.log_probabilities),
            )


class _Made(NamedTuple):
    """A generated text, and the log-probability of each token up to its end token or stop."""

    text: str
    log_probabilities: Sequence[float]


def _texts(
    loaded: Loaded, texts: Sequence[Text], decoding: Decoding
) -> Iterator[tuple[int, _Made]]:
    """Yield every finished text with the index of its request.

    Our own loop, in which a finished text makes room for the next one, runs causal models with
    plain attention caches; transformers' ``generate`` runs all others, batch by batch.
    """
    if loaded.kind == "causal" and not loaded.trust.refused and obstacle(loaded) is None:
        ends = _end_tokens(loaded)
        for text in run_all(loaded, texts, decoding, ends):
            made = _decoded(loaded, text.tokens, decoding, ends)
            yield text.index, _Made(made, text.log_probabilities)
        return

    def forward(batch: list[int]) -> list[_Made]:
        chosen = [texts[place] for place in batch]
        seeds = [text.seed for text in chosen]
        return _forward(loaded, [text.prompt for text in chosen], decoding, seeds)

    lengths = [len(text.prompt) + decoding.max_new_tokens for text in texts]
    for batch, finished in in_batches(loaded, loaded.generation_budget, lengths, forward):
        yield from zip([texts[place].index for place in batch], finished, strict=True)


def _prompts(loaded: Loaded, requests: Sequence[GenerationRequest]) -> list[list[int]]:
    """Return the tokens of every prompt, cut from the left where that is allowed."""
    rows = encode(loaded, [request.prompt for request in requests])
    fitting = []
    for request, row in zip(requests, rows, strict=True):
        _check_decoding(loaded, request)
        tokens = loaded.chat.tokens(request) if request.chat else row
        tokens = loaded.checked(request.id, tokens or [prefix_token(loaded)])
        room = _room(loaded, request.decoding)
        if room is not None and len(tokens) > room:
            if request.truncate is None or room < 1:
                raise ModelError(
                    f"model '{loaded.name}', example '{request.id}': the prompt has {len(tokens)} "
                    f"tokens and max_new_tokens is {request.decoding.max_new_tokens}, but the "
                    f"model's context is {loaded.context}; shorten them, or set 'truncate: left'"
                )
            tokens = tokens[-room:]
        fitting.append(tokens)
    return fitting


def _room(loaded: Loaded, decoding: Decoding) -> int | None:
    """Return how many tokens a prompt may have; None where nothing limits it."""
    if loaded.context is None:
        return None
    if loaded.kind == "seq2seq":  # encoder and decoder have a context each
        return loaded.context if decoding.max_new_tokens < loaded.context else 0
    return loaded.context - decoding.max_new_tokens


def _check_decoding(loaded: Loaded, request: GenerationRequest) -> None:
    decoding = request.decoding
    where = f"model '{loaded.name}', example '{request.id}'"
    if decoding.max_new_tokens < 1:
        raise ModelError(
            f"{where}: max_new_tokens is {decoding.max_new_tokens}; at least 1 is needed"
        )
    if not decoding.do_sample:
        return
    if decoding.seed is None:
        raise ModelError(f"{where}: sampling needs a 'seed', so that a run can be repeated")
    if not decoding.temperature > 0 or not 0 < decoding.top_p <= 1:
        raise ModelError(
            f"{where}: sampling needs temperature > 0 and 0 < top_p <= 1, not "
            f"{decoding.temperature} and {decoding.top_p}"
        )


@torch.inference_mode()
def _forward(
    loaded: Loaded, rows: Sequence[list[int]], decoding: Decoding, seeds: Sequence[int | None]
) -> list[_Made]:
    """Return the text that follows each row."""
    causal = loaded.kind == "causal"
    # A causal model goes on from the last token of a row, which must not be padding.
    side: Any = "left" if causal else "right"
    ends = _end_tokens(loaded)
    filler = _filler(loaded, ends)
    inputs = {
        "input_ids": pad(rows, filler, loaded.device, side),
        "attention_mask": mask(rows, loaded.device, side),
    }
    skip = inputs["input_ids"].shape[1] if causal else 1  # the prompt, or the start token
    likelihoods = Likelihoods(skip)
    processors = transformers.LogitsProcessorList([likelihoods])
    if decoding.do_sample:
        processors.append(SeededSampling(decoding, rows, seeds))
    criteria = transformers.StoppingCriteriaList()
    stopper = StopAtStrings(loaded.tokenizer, decoding.stop, skip, len(rows))
    if decoding.stop:
        criteria.append(stopper)
    with computing(loaded), _own_decoding(loaded, decoding, ends, filler):
        output = loaded.model.generate(
            **inputs, logits_processor=processors, stopping_criteria=criteria
        )
    texts = []
    likely = likelihoods.of(output)
    for row, tokens in enumerate(output[:, skip:].tolist()):
        length = stopper.lengths.get(row, len(tokens))
        text = _decoded(loaded, tokens[:length], decoding, ends)
        ended = next((at + 1 for at, token in enumerate(tokens) if token in ends), length)
        texts.append(_Made(text, likely[row][: min(length, ended)]))
    return texts


def _decoded(loaded: Loaded, tokens: Sequence[int], decoding: Decoding, ends: Sequence[int]) -> str:
    """Return generated tokens as text, up to an end token or a stop string."""
    end = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
    text = loaded.tokenizer.decode(list(tokens[:end]), skip_special_tokens=True)
    return _cut(text, decoding.stop)


def _cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first stop string in it."""
    found = [text.find(string) for string in stop]
    return text[: min((at for at in found if at >= 0), default=len(text))]


def _end_tokens(loaded: Loaded) -> list[int]:
    """Return the tokens that end a text: those of the checkpoint and of its tokenizer."""
    ends: set[int] = set()
    own = loaded.model.generation_config.eos_token_id
    for tokens in (own, loaded.tokenizer.eos_token_id):
        if tokens is not None:
            ends.update([tokens] if isinstance(tokens, int) else tokens)
    return sorted(ends)


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
