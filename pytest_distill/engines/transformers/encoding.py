"""Requests and texts as tokens, exactly as lm-evaluation-harness 0.4.13 does for causal models.

The rules are those of ``lm_eval/models/huggingface.py`` (``tok_encode``, ``prefix_token_id``) and
``lm_eval/api/model.py`` (``_encode_pair``, ``loglikelihood``), so that log-likelihoods agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

from pytest_distill.engines.transformers.chats import each_once
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.fast.trees import Part
from pytest_distill.engines.transformers.reader import Reader
from pytest_distill.engines.windows import Span
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

R = TypeVar("R")
T = TypeVar("T")
A = TypeVar("A")

_BLOCK = 1024  # requests whose texts are tokenised together
_WINDOW = 2048  # lm-evaluation-harness's, where neither config nor tokenizer states a context


def prefix_token(reader: Reader) -> int:
    """Return the token that stands before the first one of a text: BOS, else EOS."""
    tokenizer = reader.tokenizer
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelError(
        f"model '{reader.name}': its tokenizer has neither a BOS nor an EOS token, so there is "
        "nothing to predict the first token of a text from"
    )


def encode(reader: Reader, texts: Sequence[str], *, bare: bool = False) -> list[list[int]]:
    """Return the tokens of each text, with the special tokens that the tokenizer adds by itself.

    A text that already begins with the BOS token (a rendered chat) gets no second one; a `bare`
    text gets none. Each different text is tokenised once, and all in one call: a fast tokenizer
    has threads of its own.
    """
    has_prefix = (reader.tokenizer.bos_token_id, reader.tokenizer.eos_token_id) != (None, None)
    prefix = reader.tokenizer.decode([prefix_token(reader)]) if has_prefix else None
    added = {text: not (bare or (prefix and text.startswith(prefix))) for text in texts}
    tokens: dict[str, list[int]] = {}
    for special in (True, False):
        if chosen := [text for text, own in added.items() if own is special]:
            encoded = reader.tokenizer(
                chosen, add_special_tokens=special, return_attention_mask=False, verbose=False
            )
            tokens |= zip(chosen, map(list, encoded["input_ids"]), strict=True)
    return [tokens[text] for text in texts]


def encode_prompts(reader: Reader, requests: Sequence[GenerationRequest]) -> list[list[int]]:
    """Return the tokens of each prompt; a chat's special tokens are those that its template writes.

    Raises
    ------
    ModelError
        When a chat cannot be rendered.
    """
    return encode_rendered(reader, requests, rendered(reader, requests))


def rendered(reader: Reader, requests: Sequence[GenerationRequest]) -> list[str]:
    """Return the text of each prompt, a chat's as its template writes it; see `encode_prompts`."""
    chats = [request for request in requests if request.is_chat]
    texts = iter(each_once(reader.chat.render, chats))
    return [next(texts) if request.is_chat else request.prompt for request in requests]


def encode_rendered(
    reader: Reader, requests: Sequence[GenerationRequest], prompts: Sequence[str]
) -> list[list[int]]:
    """Return the tokens of each prompt that was rendered before."""
    asked = list(zip(requests, prompts, strict=True))
    chats = iter(encode(reader, [text for request, text in asked if request.is_chat], bare=True))
    plain = iter(encode(reader, [text for request, text in asked if not request.is_chat]))
    return [next(chats if request.is_chat else plain) for request in requests]


def encode_pairs(
    reader: Reader, asked: Sequence[tuple[str, Sequence[str]]]
) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Yield for each context the tokens of it and of the continuation, for every continuation.

    Spaces at the end of the context belong to the continuation, and context and continuation are
    encoded as one text and then split, because tokens may reach across the seam.
    """
    whole = encode(
        reader,
        [
            text
            for context, continuations in asked
            if context
            for text in (context.rstrip(), *(context + more for more in continuations))
        ],
    )
    begun = [more for context, continuations in asked if not context for more in continuations]
    rows, bare = iter(whole), iter(encode(reader, begun, bare=True))
    for context, continuations in asked:
        if context:
            first, *rest = islice(rows, 1 + len(continuations))
            yield [(first, row[len(first) :]) for row in rest]
        else:
            prefix = prefix_token(reader)
            yield [
                (row[:1], row[1:]) if row[:1] == [prefix] else ([prefix], row)
                for row in islice(bare, len(continuations))
            ]


def in_blocks(
    reader: Reader,
    requests: Sequence[R],
    read: Callable[[Sequence[R]], T],
    answer: Callable[[Sequence[R], T], Iterator[A]],
) -> Iterator[A]:
    """Yield the answers to requests, block by block, with the texts of later blocks read meanwhile.

    A thread reads them, so that a GPU doesn't wait for tokens; what is wrong with one of them is
    raised as soon as it is found. A tokenizer that is written in Python would only take the
    interpreter from the passes: there all texts are read first.

    Parameters
    ----------
    reader : Reader
        The model that is asked.
    requests : sequence
        One or more.
    read : callable
        Makes of a block of requests what `answer` takes; nothing in it may warn or log.
    answer : callable
        Yields the answers to a block.
    """
    size = _BLOCK if getattr(reader.tokenizer, "is_fast", False) else len(requests)
    blocks = [requests[begin : begin + size] for begin in range(0, len(requests), size)]
    failed: list[BaseException] = []

    def ahead(block: Sequence[R]) -> T:
        try:
            return read(block)
        except BaseException as error:
            failed.append(error)
            raise

    with quiet():
        first = read(blocks[0])
    with ThreadPoolExecutor(1, thread_name_prefix="distill-tokens") as pool:
        coming = [pool.submit(ahead, block) for block in blocks[1:]]
        try:
            results = chain([first], (one.result() for one in coming))
            for block, made in zip(blocks, results, strict=True):
                for one in answer(block, made):
                    yield one
                    if failed:
                        raise failed[0]
        finally:
            pool.shutdown(cancel_futures=True)


def parts(reader: Reader, requests: Sequence[ChoiceRequest]) -> list[Part]:
    """Return what the model reads and what is scored in it, for each choice of each request."""
    encoded = encode_pairs(reader, [asked for request in requests for asked in request.asked])
    return [
        _part(reader, request, index, choice, *pair)
        for index, request in enumerate(requests)
        for choice, pair in enumerate(
            pair for pairs in islice(encoded, len(request.asked)) for pair in pairs
        )
    ]


def _part(
    reader: Reader,
    request: ChoiceRequest,
    index: int,
    choice: int,
    context: list[int],
    continuation: list[int],
) -> Part:
    where = f"model '{reader.name}', example '{request.id}'"
    if not context or not continuation:
        raise ModelError(
            f"{where}: choice {choice} ({request.continuations[choice]!r}) adds no token to "
            "the prompt, so it has no likelihood"
        )
    tokens = reader.checked(request.id, context + continuation)
    limit = None if reader.context is None else reader.context + 1  # the last one isn't read
    if limit is not None and len(tokens) > limit:
        if request.truncate is None or len(continuation) >= limit:
            cut = ", or set 'truncate: left'" if request.truncate is None else ""
            raise ModelError(
                f"{where}: prompt and choice {choice} have {len(tokens)} tokens, and the "
                f"model's context is {reader.context}; shorten them{cut}"
            )
        tokens = tokens[-limit:]
    start = len(tokens) - 1 - len(continuation)
    return Part(index, choice, tuple(tokens[:-1]), Span(start, tuple(continuation)))


def fitting(
    reader: Reader, requests: Sequence[GenerationRequest], rows: Sequence[list[int]]
) -> list[list[int]]:
    """Return the tokens of every prompt, cut from the left where that is allowed."""
    fitting = []
    for request, row in zip(requests, rows, strict=True):
        tokens = reader.checked(request.id, row or [prefix_token(reader)])
        room = _room(reader, request.decoding)
        if room is not None and len(tokens) > room:
            if request.truncate is None or room < 1:
                cut = ", or set 'truncate: left'" if request.truncate is None else ""
                raise ModelError(
                    f"model '{reader.name}', example '{request.id}': the prompt has {len(tokens)} "
                    f"tokens and max_new_tokens is {request.decoding.max_new_tokens}, but the "
                    f"model's context is {reader.context}; shorten them{cut}"
                )
            tokens = tokens[-room:]
        fitting.append(tokens)
    return fitting


def _room(reader: Reader, decoding: Decoding) -> int | None:
    """Return how many tokens a prompt may have; None where nothing limits it."""
    if reader.context is None:
        return None
    if reader.kind == "seq2seq":  # encoder and decoder have a context each
        return reader.context if decoding.max_new_tokens < reader.context else 0
    return reader.context - decoding.max_new_tokens


def window_and_stride(reader: Reader, request: PerplexityRequest) -> tuple[int, int]:
    """Return how a text is read: as the request says, else as much at once as the model can."""
    window = request.window or reader.context or _WINDOW
    stride = request.stride or window
    where = f"model '{reader.name}', example '{request.id}'"
    if reader.context is not None and window > reader.context:
        raise ModelError(
            f"{where}: a window of {window} tokens is longer than the model's context of "
            f"{reader.context}"
        )
    if window < 1 or not 1 <= stride <= window:
        raise ModelError(
            f"{where}: a stride of {stride} doesn't fit a window of {window} tokens; it must be "
            "between 1 and the window"
        )
    return window, stride
