"""Log-likelihoods of continuations and texts, from a server that scores prompts.

Texts become tokens as lm-evaluation-harness 0.4.13 has it for causal models, which is how the
engine ``transformers`` does it. No tokenizer is needed here: where a continuation begins is told
by how many tokens its context alone has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, isnan

from pytest_distill.engines.openai.calls import Call, Send
from pytest_distill.engines.openai.echoes import AS_ID, Echo, Prompt, echoes
from pytest_distill.engines.openai.score_trials import CUT, PromptScoring
from pytest_distill.engines.windows import windows
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

_TOKENIZE = "../tokenize"
"""Where vLLM's server gives the tokens of a text; it stands beside the API's own paths."""


def needs_prefix(request: Request) -> bool:
    """Return whether a token stands before the first one of what is scored."""
    if isinstance(request, ChoiceRequest):
        return any(not context for context, _ in request.asked)
    return isinstance(request, PerplexityRequest)


async def score_choices(scoring: PromptScoring, send: Send, request: ChoiceRequest) -> Prediction:
    """Return the log-likelihood of each continuation after its context.

    Raises
    ------
    ModelError
        Where the server does not give them, or a continuation adds no token to its context.
    """
    pairs = [
        _texts(scoring, request.id, context, more)
        for context, continuations in request.asked
        for more in continuations
    ]
    for choice, (_, whole) in enumerate(pairs):
        if not whole:
            raise ModelError(_no_token(scoring, request, choice))
    prompts = dict.fromkeys(text for pair in pairs for text in pair if text)  # each is sent once
    found = await echoes(send, request.id, list(prompts), scoring.manner, scoring.who)
    echo_of = dict(zip(prompts, found, strict=True))
    scored = await _scored(
        scoring,
        send,
        request,
        [
            _context_and_whole(scoring, request, choice, echo_of.get(bare), echo_of[whole])
            for choice, (bare, whole) in enumerate(pairs)
        ],
    )
    told = tuple(greedy for one in scored if (greedy := one.greedy) is not None)
    return Prediction(
        request.id,
        loglikelihoods=tuple(one.total for one in scored),
        greedy=told if len(told) == len(scored) else None,
    )


def _texts(scoring: PromptScoring, id: str, context: str, more: str) -> tuple[str, str]:
    """Return a context and all of the text as they are sent.

    Spaces at the end of the context belong to the continuation.
    """
    if context:
        return scoring.sent(context.rstrip()), scoring.sent(context + more)
    prefix = scoring.prefix_for(f"example '{id}' has an empty context")
    more = more.removeprefix(prefix)
    return "", scoring.begun(more) if more else ""


def _context_and_whole(
    scoring: PromptScoring, request: ChoiceRequest, choice: int, context: Echo | None, whole: Echo
) -> tuple[Echo, Echo]:
    """Return what is said of the context's tokens, and of those of all of the text."""
    text = request.contexts[choice] if request.contexts else request.context
    if not text:
        scoring.refuse_cut(request.id, whole)
    if context is None:  # the token before the first one stands alone, if any
        context = whole.before(1 if scoring.adds_prefix or not text else 0)
    elif len(text.split()) > 1 and whole.tokens[:1] != context.tokens[:1]:
        raise ModelError(f"{scoring.who}: example '{request.id}': {CUT}")
    if not 0 < len(context.tokens) < len(whole.tokens):
        raise ModelError(_no_token(scoring, request, choice))
    return context, whole


async def _scored(
    scoring: PromptScoring, send: Send, request: ChoiceRequest, pairs: Sequence[tuple[Echo, Echo]]
) -> list[Echo]:
    """Return what is said of the tokens of each continuation after those of its context.

    Where a token of the whole text reaches across the seam, the two are not what the server read:
    it is asked again, for the tokens themselves.
    """
    counts = [len(context.tokens) for context, _ in pairs]
    rows = [
        context.tokens + whole.tokens[count:]
        for (context, whole), count in zip(pairs, counts, strict=True)
    ]
    alike = [whole.tokens == row for (_, whole), row in zip(pairs, rows, strict=True)]
    apart = list(dict.fromkeys(row for row, same in zip(rows, alike, strict=True) if not same))
    if apart and not scoring.manner.as_ids:
        choice = rows.index(apart[0])
        raise ModelError(
            f"{scoring.who}: example '{request.id}': the prompt's last token and the first one of "
            f"choice {choice} ({request.continuations[choice]!r}) are one where they stand "
            "together, and this server neither tells nor takes the ids of tokens, as vLLM's does: "
            "end the prompt where a word ends"
        )
    prompts = [[int(token.removeprefix(AS_ID)) for token in row] for row in apart]
    found = await echoes(send, request.id, prompts, scoring.manner, scoring.who)
    for row, echo in zip(apart, found, strict=True):
        _refuse_other_tokens(scoring, request.id, row, echo)
    again = dict(zip(apart, found, strict=True))
    return [
        _known(scoring, request.id, (whole if same else again[row]).after(count))
        for (_, whole), row, same, count in zip(pairs, rows, alike, counts, strict=True)
    ]


def _refuse_other_tokens(scoring: PromptScoring, id: str, asked: Sequence[str], echo: Echo) -> None:
    if tuple(asked) != echo.tokens:
        raise ModelError(
            f"{scoring.who}: example '{id}': the answer is about {len(echo.tokens)} tokens, which "
            f"are not the {len(asked)} that were asked for by their ids"
        )


def _no_token(scoring: PromptScoring, request: ChoiceRequest, choice: int) -> str:
    return (
        f"{scoring.who}: example '{request.id}': choice {choice} "
        f"({request.continuations[choice]!r}) adds no token to the prompt, so it has no likelihood"
    )


def _known(scoring: PromptScoring, id: str, echo: Echo) -> Echo:
    """Return what is said of some tokens; ModelError where the value of one is not."""
    if isnan(echo.total):
        place = next(place for place, value in enumerate(echo.values) if value is None)
        raise ModelError(
            f"{scoring.who}: example '{id}': the answer has no log-probability of the token "
            f"{echo.tokens[place]!r}: nothing can be said of how likely the text is"
        )
    return echo


async def score_text(scoring: PromptScoring, send: Send, request: PerplexityRequest) -> Prediction:
    """Return the log-likelihood of a whole text, and the number of its tokens.

    Raises
    ------
    ModelError
        Where the server does not give it, or the text is to be read in windows and the server
        does not tell its tokens.
    """
    prefix = scoring.prefix_for("a text's first token is predicted from one before it")
    if request.window is None:
        text = request.text
        if not (scoring.adds_prefix and text.startswith(prefix)):
            text = prefix + text
        (echo,) = await echoes(send, request.id, [text], scoring.manner, scoring.who)
        scoring.refuse_cut(request.id, echo)
        found = [echo.after(1)]
    else:
        found = await _in_windows(scoring, send, request, prefix)
    parts = [_known(scoring, request.id, one) for one in found]
    return Prediction(
        request.id,
        loglikelihoods=(fsum(one.total for one in parts),),
        tokens=sum(len(one.tokens) for one in parts),
    )


async def _in_windows(
    scoring: PromptScoring, send: Send, request: PerplexityRequest, prefix: str
) -> list[Echo]:
    """Return what is said of the tokens that are scored in each window."""
    if not scoring.manner.as_ids:
        raise ModelError(
            f"{scoring.who}: example '{request.id}': a text is read in windows of tokens, and this "
            "server neither tells nor takes their ids, as vLLM's does; leave out window"
        )
    window = request.window or 1
    stride = request.stride or window
    special = not request.text.startswith(prefix)
    tokens = await _tokens(scoring, send, request.id, request.text, special=special)
    (first,) = await _tokens(scoring, send, request.id, prefix, special=False)
    if request.share_cache and stride < window < len(tokens):
        raise ModelError(
            f"{scoring.who}: example '{request.id}': a server reads every window by itself: leave "
            "out share_cache"
        )
    read = list(windows(tokens, first, window, stride))
    prompts: list[Prompt] = [[*one.row, one.span.targets[-1]] for one in read]
    found = await echoes(send, request.id, prompts, scoring.manner, scoring.who)
    for prompt, echo in zip(prompts, found, strict=True):
        _refuse_other_tokens(scoring, request.id, [f"{AS_ID}{token}" for token in prompt], echo)
    return [echo.after(one.span.start + 1) for one, echo in zip(read, found, strict=True)]


async def _tokens(
    scoring: PromptScoring, send: Send, id: str, text: str, *, special: bool
) -> Sequence[int]:
    """Return the ids of a text's tokens, as the server tells them."""
    body = {"prompt": text, "add_special_tokens": special}
    answer: Mapping[str, object] = await send(Call(id, _TOKENIZE, body, aside=True))
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise ModelError(
            f"{scoring.who}: example '{id}': a text is read in windows of tokens, and /tokenize, "
            "which vLLM's server has, gave none; leave out window, or ask a server that has it"
        )
    return tokens
