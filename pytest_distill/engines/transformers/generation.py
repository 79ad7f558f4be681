"""Generation: a text that answers the prompt, decoded as the request says and not otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch

from pytest_distill.engines.transformers.answers import prediction
from pytest_distill.engines.transformers.architecture import attention_window
from pytest_distill.engines.transformers.asked import fitting
from pytest_distill.engines.transformers.encoding import encode_rendered, rendered
from pytest_distill.engines.transformers.failures import FAILURES, first_line
from pytest_distill.engines.transformers.fast.caching import cache_name
from pytest_distill.engines.transformers.fast.continuous_batching import WrongTextError, run_all
from pytest_distill.engines.transformers.findings import Company, Neighbours
from pytest_distill.engines.transformers.hf_generate import generate_batches
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.logits import logits_at
from pytest_distill.engines.transformers.neighbours import WrongAloneError
from pytest_distill.engines.transformers.quiet import quiet
from pytest_distill.engines.transformers.reader import tokens_named
from pytest_distill.engines.transformers.texts import Text, go_on
from pytest_distill.engines.transformers.whole_texts import (
    crosses,
    forced_token,
    in_batches_of_texts,
    whole,
)
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest


def generate(loaded: Loaded, requests: Sequence[GenerationRequest]) -> Iterator[Prediction]:
    """Yield the generated text of every request, batch by batch.

    Greedy unless the request samples. Nothing of the checkpoint's own ``generation_config`` is
    used but its special tokens: sampling, beams, penalties and lengths are the request's, the
    same for teacher and student.

    A sampled text depends on the seed and on its prompt, and neither on the batch nor on the
    other requests, up to the rounding of the logits.

    With each text comes its log-likelihood under the model itself, before temperature and nucleus:
    the sum over its tokens, that of the end token or of the stop string included.

    Requests that differ in `max_new_tokens` alone are answered by one run, the shorter ones by what
    it begins with; see `joined`.

    Raises
    ------
    ModelError
        When the prompt and the new tokens don't fit the model's context, a chat is asked of a
        tokenizer without a chat template, or the model's logits are no numbers.
    """
    with quiet():
        prompts = rendered(loaded, requests)
        rows = fitting(loaded, requests, encode_rendered(loaded, requests, prompts))
    ends = _end_tokens(loaded)
    every = [
        Text(index, rows[index], request.decoding, ends) for index, request in enumerate(requests)
    ]
    groups: defaultdict[Decoding, list[Text]] = defaultdict(list)
    for text in joined(every) if loaded.joins else every:
        groups[replace(text.decoding, seed=0)].append(text)
    left = set(every)  # a beginning may come before the longest text and, again, with it
    for texts in groups.values():
        for finished in _texts(loaded, texts):
            for text in (*finished.beginnings(), finished):
                if text in left:
                    left.remove(text)
                    yield prediction(loaded, requests[text.index], prompts[text.index], text)


def joined(texts: Sequence[Text]) -> Iterator[Text]:
    """Yield the longest of those texts that differ in their greatest length alone.

    The others are its `Text.shorter`: with the same prompt, and the same seed where tokens are
    drawn, each is what the longest one begins with.
    """
    groups: defaultdict[tuple[tuple[int, ...], Decoding], list[Text]] = defaultdict(list)
    for text in texts:
        groups[tuple(text.prompt), replace(text.decoding, max_new_tokens=1)].append(text)
    for group in groups.values():
        *shorter, longest = sorted(group, key=lambda text: text.longest)
        longest.shorter = shorter
        yield longest


def _texts(loaded: Loaded, texts: Sequence[Text]) -> Iterator[Text]:
    """Yield every text as soon as it is finished, and in our loop its beginnings before it.

    Our own loop, in which a finished text makes room for the next one, runs causal models with
    plain attention caches; transformers' ``generate`` runs all others, batch by batch. Where a
    way does not give what the model says of the whole text, the next one is taken, with a note;
    the last reads all of a text for every token.
    """
    findings = loaded.findings
    left = dict.fromkeys(texts)  # in their order; taking one out costs the same in a million
    if findings.way == "loop" and loaded.kind == "causal":
        if cache_name(loaded) is None:
            _give_up(loaded, "generate", "it fills no cache of keys and values")
        fitting = _within_window(loaded, texts) if findings.way == "loop" else []
        try:
            for text in run_all(loaded, fitting):
                left.pop(text, None)
                yield text
        except (WrongTextError, *FAILURES) as error:
            _give_up(loaded, "generate", first_line(error))
    if findings.way != "recompute":
        own = [text for text in left if not crosses(loaded, text, text.longest)]
        try:
            for text in generate_batches(loaded, own):
                del left[text]
                yield text
        except (WrongAloneError, *FAILURES) as error:
            _give_up(loaded, "recompute", first_line(error))
    yield from _recompute(loaded, list(left))


def _recompute(loaded: Loaded, texts: Sequence[Text]) -> Iterator[Text]:
    """Yield every text as generation is defined: all of it is read for every token.

    Those with prompts of one length are generated together.

    Raises
    ------
    ModelError
        When the model says another thing each time that it reads a text.
    """
    neighbours = Neighbours(max(Company.EQUAL, loaded.findings.rows.company))
    try:
        yield from in_batches_of_texts(loaded, texts, neighbours, _recompute_batch)
    except WrongAloneError as error:
        raise ModelError(f"{loaded.who} is not deterministic: {error}") from None


@torch.inference_mode()
def _recompute_batch(loaded: Loaded, texts: Sequence[Text]) -> None:
    for text in texts:
        text.begin()
    going = list(texts)
    while going:
        inputs = whole(loaded, going)
        last = len(going[0].tokens) + (len(going[0].prompt) - 1 if loaded.kind == "causal" else 0)
        go_on(going, logits_at(loaded, inputs, range(len(going)), [last] * len(going)))
        forced = forced_token(loaded)
        if forced is not None and len(going[0].tokens) == 1:
            for text in going:
                text.tokens[:] = [forced]
        going = [text for text in going if not text.ending(loaded)]


def _within_window(loaded: Loaded, texts: Sequence[Text]) -> list[Text]:
    """Return the texts in which no layer's window hides anything."""
    window = attention_window(loaded.model.config)
    if window is None:
        return list(texts)
    fitting = [text for text in texts if text.longest <= window]
    if len(fitting) < len(texts):
        loaded.note(
            f"{loaded.who} generates texts of more than {window} tokens with transformers, which "
            "is slower: some of its layers look no further back"
        )
    return fitting


def _give_up(loaded: Loaded, way: Literal["generate", "recompute"], reason: str) -> None:
    loaded.findings.way = way
    how = (
        "generates with transformers, which is slower"
        if way == "generate"
        else "reads all of a text for every token that it generates, which is slow"
    )
    loaded.note(f"{loaded.who} {how}: {reason}")


def _end_tokens(loaded: Loaded) -> list[int]:
    """Return the tokens that end a text: those of the checkpoint and of its tokenizer."""
    own = loaded.model.generation_config.eos_token_id
    return sorted(tokens_named(own, loaded.tokenizer.eos_token_id))
