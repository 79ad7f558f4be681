"""Gold texts into rows of tokens: what a model reads, and which of the tokens are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_distill.engines.transformers.encoding import (
    encode,
    encode_pairs,
    encode_prompts,
    prefix_token,
    window_and_stride,
)
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.windows import Reading, Span, windows
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import GoldText
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

Row = Sequence[Reading]
"""A text's tokens in the order in which a model reads them, and which are compared."""


def compared(row: Row) -> list[int]:
    """Return the compared tokens of a text."""
    return [token for _, span in row for token in span.targets]


def read(loaded: Loaded, texts: Sequence[GoldText], models: Sequence[Loaded]) -> list[Row]:
    """Return what is read of every text, with one model's tokenizer and the contexts of all."""
    plain = [text.request for text in texts if isinstance(text.request, PerplexityRequest)]
    encoded = iter(encode(loaded, [request.text for request in plain]))
    asked = [(t.request, t.target) for t in texts if isinstance(t.request, GenerationRequest)]
    pairs = _prompts_and_answers(loaded, asked)
    rows: list[Row] = []
    for text in texts:
        if isinstance(text.request, PerplexityRequest):
            tokens = loaded.checked(text.id, next(encoded))
            read = [window_and_stride(one, text.request) for one in models]
            window, stride = (min(sizes) for sizes in zip(*read, strict=True))
            prefix = prefix_token(loaded) if tokens else 0
            rows.append(list(windows(tokens, prefix, window, stride)))
        elif isinstance(text.request, GenerationRequest):
            rows.append(_prompted(loaded, text.request, *next(pairs), models))
        else:
            raise ModelError(
                f"model '{loaded.name}' runs with transformers, which has no way to compare models "
                f"token by token on the task {text.request.task}"
            )
    return rows


def _prompts_and_answers(
    loaded: Loaded, asked: Sequence[tuple[GenerationRequest, str]]
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the tokens of each prompt and of the target that follows it."""
    chats = [(request, target) for request, target in asked if request.is_chat]
    prompts = encode_prompts(loaded, [request for request, _ in chats])
    answers = encode(loaded, [target for _, target in chats], bare=True)
    rendered = zip(prompts, answers, strict=True)
    plain = [(request.prompt, [target]) for request, target in asked if not request.is_chat]
    pairs = encode_pairs(loaded, plain)
    for request, _ in asked:
        yield next(rendered) if request.is_chat else next(pairs)[0]


def _prompted(
    loaded: Loaded,
    request: GenerationRequest,
    prompt: list[int],
    answer: list[int],
    models: Sequence[Loaded],
) -> Row:
    """Return prompt and target as one row, cut from the left where that is allowed."""
    prompt = prompt or [prefix_token(loaded)]
    loaded.checked(request.id, [*prompt, *answer])
    contexts = [one.context for one in models if one.context is not None]
    over = len(prompt) + len(answer) - 1 - min(contexts) if contexts else 0
    if over > 0:
        if request.truncate is None or over >= len(prompt):
            raise ModelError(
                f"model '{loaded.name}', example '{request.id}': prompt and answer have "
                f"{len(prompt) + len(answer)} tokens, but the context is {min(contexts)}; shorten "
                "them, or set 'truncate: left'"
            )
        prompt = prompt[over:]
    if not answer:
        return []
    return [Reading([*prompt, *answer[:-1]], Span(len(prompt) - 1, tuple(answer)))]
