"""Prompts that a server scores: their tokens, each with its log-probability.

They are asked for by ``echo`` and ``logprobs`` of ``/completions``. One token is written too, since
not every server writes none where it is asked for none.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import fsum
from typing import Any

from pytest_distill.engines.openai.calls import PLAIN, Call, CallRefusedError, Send
from pytest_distill.errors import ModelError

Prompt = str | Sequence[int]
"""A text, or the ids of its tokens."""

CUTS_NOTHING = "a server cuts no prompt, whatever 'truncate' says: shorten it"
AS_ID = "token_id:"
"""What stands before a token's id where tokens are told by theirs."""
UNKNOWN = -9999.0
"""What servers write for a token whose log-probability is not known to them, or is minus infinity:
the least that OpenAI's API writes."""


class UnfitAnswerError(ModelError):
    """An answer that has not, or not rightly, what was asked for."""


@dataclass(frozen=True, slots=True)
class Echo:
    """What a server said of a prompt's tokens.

    Parameters
    ----------
    tokens : tuple of str
        As the server writes them: their texts, which may be parts of characters, or their ids.
    values : tuple of float or None
        The natural logarithm of each one's probability after those before it; None where it is not
        told, as for the first.
    tops : tuple of float or None
        The greatest log-probability that any token has at its place; None where it is not told.
    """

    tokens: tuple[str, ...]
    values: tuple[float | None, ...]
    tops: tuple[float | None, ...]

    def after(self, count: int) -> Echo:
        """Return the same without the first tokens."""
        return Echo(self.tokens[count:], self.values[count:], self.tops[count:])

    def before(self, count: int) -> Echo:
        """Return the first tokens alone."""
        return Echo(self.tokens[:count], self.values[:count], self.tops[:count])

    @property
    def total(self) -> float:
        """The log-probability of all tokens; NaN where one's is not known."""
        return fsum(float("nan") if value is None else value for value in self.values)

    @property
    def greedy(self) -> bool | None:
        """Whether each token is the most likely one at its place; None where that is not told."""
        if None in self.tops or None in self.values:
            return None
        return self.values == self.tops


@dataclass(frozen=True, slots=True)
class Manner:
    """How a server takes prompts.

    Parameters
    ----------
    lists : bool
        Whether it takes several in one request.
    as_ids : bool
        Whether it can write tokens as their ids. Of those that are parts of characters several
        have the same text, so that the most likely one may be mistaken for another.
    """

    lists: bool = False
    as_ids: bool = False


async def echoes(
    send: Send, id: str, prompts: Sequence[Prompt], manner: Manner, who: str
) -> list[Echo]:
    """Return what the server says of the tokens of each prompt.

    Parameters
    ----------
    send : callable
        Sends a call.
    id : str
        The example's id, for messages.
    prompts : sequence
        Texts, or ids of tokens; none is empty.
    manner : Manner
        How it is asked.
    who : str
        The model and where it is asked, for messages.

    Raises
    ------
    UnfitAnswerError
        Where the answer has not what is asked for.
    """
    where = f"{who}: example '{id}'"
    if manner.lists and len(prompts) > 1:
        with suppress(CallRefusedError):  # there may be too many for it, or one too long
            answer = await send(_call(id, list(prompts), len(prompts), manner))
            choices = _choices(answer, len(prompts), where)
            if _written(answer, where) == len(prompts):  # else some may have ended at once
                return [_without_written(_echo(choice, where), 1) for choice in choices]
    found = []
    for prompt in prompts:
        try:
            answer = await send(_call(id, prompt, 1, manner))
        except CallRefusedError as error:
            if not error.is_too_long:
                raise
            raise ModelError(f"{error}; {CUTS_NOTHING}") from None
        (choice,) = _choices(answer, 1, where)
        found.append(_without_written(_echo(choice, where), _written(answer, where)))
    return found


def _call(id: str, prompt: Prompt | Sequence[Prompt], most: int, manner: Manner) -> Call:
    body: dict[str, Any] = {"prompt": prompt, "max_tokens": 1, "temperature": 0}
    body |= {"echo": True, "logprobs": 1}
    if manner.as_ids:
        body["return_tokens_as_token_ids"] = True
    return Call(id, PLAIN, body, most)


async def written(send: Send, id: str, prompt: str, most: int, who: str) -> tuple[str, Echo]:
    """Return what the model writes after a prompt, and what the server says of its tokens."""
    where = f"{who}: example '{id}'"
    body = {"prompt": prompt, "max_tokens": most, "temperature": 0, "logprobs": 1}
    (choice,) = _choices(await send(Call(id, PLAIN, body, most)), 1, where)
    text = choice.get("text")
    if not isinstance(text, str):
        raise UnfitAnswerError(f"{where}: the answer has no text")
    return text, _echo(choice, where)


def _choices(answer: Mapping[str, Any], count: int, where: str) -> list[Mapping[str, Any]]:
    """Return the choices of an answer in the order of the prompts."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not all(isinstance(one, Mapping) for one in choices):
        raise UnfitAnswerError(f"{where}: the answer has no choices")
    said = [one.get("index") for one in choices]
    places = [place if at is None else at for place, at in enumerate(said)]
    by_index = dict(zip((at if type(at) is int else -1 for at in places), choices, strict=True))
    if len(choices) != count or by_index.keys() != set(range(count)):
        raise UnfitAnswerError(
            f"{where}: the answer has {len(choices)} choices for {count} "
            f"{'prompt' if count == 1 else 'prompts'}"
        )
    return [by_index[place] for place in range(count)]


def _echo(choice: Mapping[str, Any], where: str) -> Echo:
    said = choice.get("logprobs")
    if not isinstance(said, Mapping):
        raise UnfitAnswerError(f"{where}: the answer has no logprobs, though they were asked for")
    tokens, values = said.get("tokens"), said.get("token_logprobs")
    if not isinstance(tokens, list) or not isinstance(values, list) or len(tokens) != len(values):
        raise UnfitAnswerError(
            f"{where}: the answer's logprobs have not one of tokens and token_logprobs a token"
        )
    tops = said.get("top_logprobs")
    if not isinstance(tops, list) or len(tops) != len(tokens):
        tops = [None] * len(tokens)
    return Echo(tuple(map(str, tokens)), tuple(map(_value, values)), tuple(map(_greatest, tops)))


def _value(said: object) -> float | None:
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    return float(said) if UNKNOWN < said <= sys.float_info.max else None


def _greatest(said: object) -> float | None:
    if not isinstance(said, Mapping):
        return None
    values = [value for value in map(_value, said.values()) if value is not None]
    return max(values, default=None)


def _written(answer: Mapping[str, Any], where: str) -> int:
    """Return how many tokens an answer has beside its prompts'."""
    usage = answer.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    if type(count) is not int or count < 0:
        raise UnfitAnswerError(
            f"{where}: the answer does not say in usage how many tokens were written, so that they "
            "cannot be told from the prompt's"
        )
    return count


def _without_written(echo: Echo, count: int) -> Echo:
    return echo.before(max(len(echo.tokens) - count, 0))
