"""Log-likelihoods of continuations and texts, from a server that scores prompts.

Texts become tokens as lm-evaluation-harness 0.4.13 has it for causal models, which is how the
engine ``transformers`` does it. No tokenizer is needed here: where a continuation begins is told
by how many tokens its context alone has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, isnan

from pytest_distill.engines.openai.calls import Call, Send
from pytest_distill.engines.openai.echoes import Echo, Prompt, echoes
from pytest_distill.engines.openai.score_trials import Scoring
from pytest_distill.engines.windows import windows
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

_TOKENIZE = "../tokenize"
"""Where vLLM's server gives the tokens of a text; it stands beside the API's own paths."""


async def score_choices(scoring: Scoring, send: Send, request: ChoiceRequest) -> Prediction:
    """Return the log-likelihood of each continuation after its context.

    Raises
    ------
    ModelError
        Where the server does not give them, or a continuation adds no token to its context.
    """
    prompts: dict[str, None] = {}  # each is sent once
    pairs = []
    for context, continuations in request.asked:
        bare = scoring.sent(context.rstrip()) if context else None
        if bare:
            prompts[bare] = None
        for more in continuations:
            whole = scoring.sent(context + more) if context else _begun(scoring, request.id, more)
            prompts[whole] = None
            pairs.append((bare, whole))
    if not all(prompts):
        raise ModelError(_no_token(scoring, request, [whole for _, whole in pairs].index("")))
    found = await echoes(send, request.id, list(prompts), scoring.manner, scoring.who)
    echo_of = dict(zip(prompts, found, strict=True))
    scored = [
        _scored(scoring, request, choice, echo_of.get(bare or ""), echo_of[whole])
        for choice, (bare, whole) in enumerate(pairs)
    ]
    told = tuple(greedy for one in scored if (greedy := one.greedy) is not None)
    return Prediction(
        request.id,
        loglikelihoods=tuple(one.total for one in scored),
        greedy=told if len(told) == len(scored) else None,
    )


def _begun(scoring: Scoring, id: str, more: str) -> str:
    """Return a continuation that begins a text, as it is sent."""
    prefix = scoring.prefix_for(f"example '{id}' has an empty context")
    more = more.removeprefix(prefix)
    return more if scoring.adds_prefix else prefix + more


def _scored(
    scoring: Scoring, request: ChoiceRequest, choice: int, context: Echo | None, whole: Echo
) -> Echo:
    """Return what is said of the tokens of one continuation."""
    bare = request.contexts[choice] if request.contexts else request.context
    if context is not None:
        count = len(context.tokens)
        _refuse_cut(scoring, request.id, bare, context, whole)
    else:  # the token before the first one alone, if any
        count = 1 if scoring.adds_prefix or not bare else 0
    continuation = whole.after(count)
    if not count or not continuation.tokens:
        raise ModelError(_no_token(scoring, request, choice))
    return _known(scoring, request.id, continuation)


def _no_token(scoring: Scoring, request: ChoiceRequest, choice: int) -> str:
    return (
        f"{scoring.who}: example '{request.id}': choice {choice} "
        f"({request.continuations[choice]!r}) adds no token to the prompt, so it has no likelihood"
    )


def _refuse_cut(scoring: Scoring, id: str, text: str, context: Echo, whole: Echo) -> None:
    """Raise ModelError where the server left out the beginning of a prompt that is too long.

    What follows may change the last word's tokens, and no more.
    """
    if len(text.split()) > 1 and whole.tokens[:1] != context.tokens[:1]:
        raise ModelError(
            f"{scoring.who}: example '{id}': the answer has not the beginning of the prompt: the "
            "server cuts what is too long for it; shorten the prompt"
        )


def _known(scoring: Scoring, id: str, echo: Echo) -> Echo:
    """Return what is said of some tokens; ModelError where the value of one is not."""
    if isnan(echo.total):
        place = next(place for place, value in enumerate(echo.values) if value is None)
        raise ModelError(
            f"{scoring.who}: example '{id}': the answer has no log-probability of the token "
            f"{echo.tokens[place]!r}: nothing can be said of how likely the text is"
        )
    return echo


async def score_text(scoring: Scoring, send: Send, request: PerplexityRequest) -> Prediction:
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
    scoring: Scoring, send: Send, request: PerplexityRequest, prefix: str
) -> list[Echo]:
    """Return what is said of the tokens that are scored in each window."""
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
        if len(prompt) != len(echo.tokens):
            raise ModelError(
                f"{scoring.who}: example '{request.id}': the answer has {len(echo.tokens)} tokens "
                f"for a prompt of {len(prompt)}: the server does not take the ids of tokens as "
                "they are; leave out window"
            )
    return [echo.after(one.span.start + 1) for one, echo in zip(read, found, strict=True)]


async def _tokens(
    scoring: Scoring, send: Send, id: str, text: str, *, special: bool
) -> Sequence[int]:
    """Return the ids of a text's tokens, as the server tells them."""
    body = {"prompt": text, "add_special_tokens": special}
    answer: Mapping[str, object] = await send(Call(id, _TOKENIZE, body))
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise ModelError(
            f"{scoring.who}: example '{id}': a text is read in windows of tokens, and /tokenize, "
            "which vLLM's server has, gave none; leave out window, or ask a server that has it"
        )
    return tokens
