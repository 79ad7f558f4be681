"""Generation: a text that answers the prompt, decoded as the request says and not otherwise."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch

from pytest_distill.engines.transformers.architecture import attention_window
from pytest_distill.engines.transformers.encoding import encode_rendered, fitting, rendered
from pytest_distill.engines.transformers.failures import FAILURES, first_line, quiet
from pytest_distill.engines.transformers.fast.caching import cache_name
from pytest_distill.engines.transformers.fast.continuous_batching import WrongTextError, run_all
from pytest_distill.engines.transformers.hf_generate import generate_batch
from pytest_distill.engines.transformers.likelihood import logits_at
from pytest_distill.engines.transformers.loaded import Company, Loaded, Neighbours
from pytest_distill.engines.transformers.neighbours import WrongAloneError
from pytest_distill.engines.transformers.reader import Reader, tokens_named
from pytest_distill.engines.transformers.texts import Text, go_on
from pytest_distill.engines.transformers.whole_texts import (
    crosses,
    forced_token,
    in_batches_of_texts,
    whole,
)
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Finish, Prediction
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.thinking import answer_in
from pytest_distill.evals.tasks.tool_calls import MARKERS, calls_of

_BY_ITSELF = ("end", "stop")


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
            for text in in_batches_of_texts(loaded, own, findings.texts, generate_batch):
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


def prediction(reader: Reader, request: GenerationRequest, prompt: str, text: Text) -> Prediction:
    """Return the answer to a request.

    Parameters
    ----------
    prompt : str
        What was asked, as the chat template writes it.
    text : Text
        What was generated, finished.

    Raises
    ------
    ModelError
        When the model's logits were no numbers.
    """
    if any(map(math.isnan, text.log_probabilities)):
        raise ModelError(
            f"{reader.who}, example '{request.id}': its logits are no numbers (NaN), so that no "
            "token follows from them; use another dtype, or save it again"
        )
    kept = _kept(request)
    said, finish = _said(reader, text, kept)
    if request.thinking is not None and prompt.rstrip().endswith(request.thinking[0].rstrip()):
        said = request.thinking[0] + said
    return Prediction(
        id=request.id,
        text=said,
        loglikelihoods=(math.fsum(text.log_probabilities),),
        tokens=len(text.tokens),
        finish="tool_call" if finish in _BY_ITSELF and _calls(request, said) else finish,
        thinking_tokens=_thinking_tokens(reader, text, kept, request.thinking, said),
    )


def _said(reader: Reader, text: Text, kept: Sequence[str]) -> tuple[str, Finish | None]:
    """Return what was generated up to an end token or a stop string, and why it ended."""
    end = next((at for at, token in enumerate(text.tokens) if token in text.ends), None)
    told = _decoded(reader, text.tokens[:end], kept)
    found = [at for at in map(told.find, text.decoding.stop) if at >= 0]
    if found:
        return told[: min(found)], "stop"
    return told, text.ending(reader)


def _kept(request: GenerationRequest) -> tuple[str, ...]:
    """Return the markers of which an answer is read, so that they stay in its text."""
    tools = request.conversation is not None and request.conversation.tools
    return (*(request.thinking or ()), *(MARKERS if tools else ()))


def _decoded(reader: Reader, tokens: Sequence[int], kept: Sequence[str]) -> str:
    """Return tokens as text without special tokens, but for those that make up a marker."""
    special = reader.special_tokens if kept else {}
    staying = {at for at in special.keys() & set(tokens) if _is_of(special[at], kept)}
    if not staying:
        return str(reader.tokenizer.decode(tokens, skip_special_tokens=True))
    shown = [token for token in tokens if token not in special or token in staying]
    return str(reader.tokenizer.decode(shown, skip_special_tokens=False))


def _is_of(name: str, kept: Sequence[str]) -> bool:
    return bool(name) and any(name in marker for marker in kept)


def _calls(request: GenerationRequest, said: str) -> bool:
    """Return whether a text calls a tool that it was told of, after its thinking."""
    if request.conversation is None or not request.conversation.tools:
        return False
    return bool(calls_of(answer_in(said, request.thinking) if request.thinking else said))


def _thinking_tokens(
    reader: Reader, text: Text, kept: Sequence[str], thinking: tuple[str, str] | None, said: str
) -> int | None:
    """Return how many tokens were generated until the thinking's end stood there.

    All of them where it began and did not end; see `answer_in`.
    """
    if thinking is None:
        return None
    start, end = thinking
    if end not in said:
        return len(text.tokens) if start in said else 0
    return bisect_left(
        range(len(text.tokens)),
        True,
        key=lambda count: end in _decoded(reader, text.tokens[:count], kept),
    )
