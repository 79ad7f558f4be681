"""What a server must honour for generated texts, and how that is seen.

An open prompt is asked, to which no model says one thing alone, and never the gold set's: those may
leave no room ("yes or no?"). What is compared are beginnings: a server that computes in batches
rounds otherwise from time to time, and a late token that differs is no sign of anything.

That a server ends where it is told to (``max_tokens``, ``stop``) is seen at every answer: `Texts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

from pytest_distill.engines.openai.calls import CHAT, PLAIN, Call, Send, call_of
from pytest_distill.engines.openai.checks import Trial
from pytest_distill.engines.openai.money import usage_of
from pytest_distill.engines.openai.texts import Texts
from pytest_distill.evals.tasks.decoding import GenerationRequest

PROMPT = "Tell a new story of a ship, a dog and a number:"
_TOKENS = 32
_MORE_TOKENS = 1024
"""Where a model thinks out of sight, before it says anything."""
_TOLD = 60
"""Characters of a text in a message."""
_BY_CHANCE = 8
"""By so many characters two texts may agree further than two others do, by chance."""
_SEEDS = (11, 22, 11, 22)


def trials(texts: Texts, requests: Sequence[GenerationRequest]) -> Mapping[Hashable, Trial]:
    """Return what is tried before these are asked, by what it is about."""
    found: dict[Hashable, Trial] = {}
    for request in requests:
        path = CHAT if request.is_chat else PLAIN
        trying = _Trying(texts, path, request.id)
        decoding = request.decoding
        found.setdefault(
            ("sampled" if decoding.do_sample else "greedy", path),
            trying.sampled if decoding.do_sample else trying.greedy,
        )
        asked = request.conversation
        if asked is not None and asked.tools:
            found.setdefault("tools", partial(_tools, texts, request))
    return found


class _Trying:
    """Trials of one way to ask.

    Parameters
    ----------
    texts : Texts
        Asks.
    path : str
        Where.
    id : str
        The example before which it is tried, for messages.
    """

    def __init__(self, texts: Texts, path: str, id: str) -> None:
        self._texts, self._path, self._id = texts, path, id
        self._checks = texts.checks

    async def greedy(self, send: Send) -> None:
        """See whether temperature 0 gives one text, whatever the seed."""
        found = await self._all(send, [{"temperature": 0, "seed": n} for n in _SEEDS[:2]])
        if found[0] == found[1]:
            return
        found += await self._all(send, [{"temperature": 0, "seed": n} for n in (33, 44)])
        pairs = [_alike(*pair) for pair in combinations(found, 2)]
        if sum(pairs) * 2 >= len(pairs):
            self._checks.note(
                "asked the same again, at temperature 0, its server gives another text now and "
                "then: they begin alike"
            )
            return
        self._checks.refuse(
            "temperature",
            "its server does not honour temperature 0, so that nothing is greedy",
            f"one prompt was answered {_both(found)}",
        )

    async def sampled(self, send: Send) -> None:
        """See whether sampling gives several texts, and one seed one text.

        All are asked at once, where the run does so too: a server may mix up the seeds of requests
        that it answers together.
        """
        asked = [{"temperature": 1, "top_p": 1, "seed": seed} for seed in _SEEDS]
        found = await self._all(send, asked)
        if not any(found):
            self._checks.note("it says so little that sampling could not be tried")
            return
        if len(set(found)) == 1:
            self._checks.refuse(
                "temperature",
                "its server does not honour temperature or seed, so that nothing is sampled",
                f"two seeds at temperature 1 gave one text, {_told(found[0])}",
            )
            return
        first, second, *again = found
        other = max(_shared(a, b) for a in (first, again[0]) for b in (second, again[1]))
        same = [(first, again[0]), (second, again[1])]
        further = [_alike(*pair) and _shared(*pair) > other + _BY_CHANCE for pair in same]
        if not all(a == b or more for (a, b), more in zip(same, further, strict=True)):
            few = " (asked one at a time it may: max_concurrency: 1)"
            self._checks.refuse(
                "seed",
                "its server does not honour seed, so that no text is sampled twice",
                f"one seed gave {_both(next(list(pair) for pair in same if pair[0] != pair[1]))}"
                f"{few if self._checks.options.max_concurrency > 1 else ''}",
            )

    async def _all(self, send: Send, bodies: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return what is answered, each time to the same prompt; longer where all is silence."""
        for tokens in (_TOKENS, _MORE_TOKENS):
            asked = [partial(self._one, send, body, tokens) for body in bodies]
            found = await together(asked, self._checks.options.max_concurrency)
            if any(text for text, _ in found) or not any(thinks for _, thinks in found):
                break
        return [text for text, _ in found]

    async def _one(self, send: Send, body: Mapping[str, Any], tokens: int) -> tuple[str, bool]:
        """Return what is said, the thinking included, and whether it may think out of sight."""
        prompt: dict[str, Any] = {"prompt": PROMPT}
        if self._path == CHAT:
            prompt = {"messages": [{"role": "user", "content": PROMPT}]}
        call = Call(self._id, self._path, {**prompt, "max_tokens": tokens, **body}, tokens)
        who = f"model '{self._checks.name}', example '{self._id}' (a trial before it)"
        said = await self._texts.ask(send, call, who)
        if said.visible is not None and said.visible > tokens:
            seen = f"{said.visible} tokens, of {tokens} at most"
            problem = "its server does not honour max_tokens"
            self._checks.refuse("max_tokens", problem, seen)
        text = said.thinking + said.text
        return text, not text and said.ended == "length"


async def _tools(texts: Texts, request: GenerationRequest, send: Send) -> None:
    """See whether tools reach the model: with them a prompt has more tokens.

    Where it has not, the same is asked with more words: a server that counts no more tokens for
    these tells nothing.
    """
    call = replace(call_of(request, f"model '{texts.checks.name}', example '{request.id}'"), most=1)
    with_tools = {**call.body, "max_tokens": 1}
    without = {key: value for key, value in with_tools.items() if key != "tools"}
    *others, last = without["messages"]
    longer = {**without, "messages": [*others, {**last, "content": f"{last['content']} {PROMPT}"}]}

    async def size(body: Mapping[str, Any]) -> int | None:
        usage = usage_of(await texts.dialect.ask(send, replace(call, body=body)))
        return None if usage is None else usage.input

    told, untold = await size(with_tools), await size(without)
    if told is None or untold is None or told > untold:
        return
    more = await size(longer)
    if more is not None and more > untold:
        texts.checks.refuse(
            "tools",
            "its server does not tell the model of the tools",
            f"the prompt has {told} tokens with them and {untold} without",
        )


async def together(asked: Sequence[Callable[[], Awaitable[Any]]], at_once: int) -> list[Any]:
    """Return what is answered, asked at once; one after the other where a run does so."""
    if at_once == 1:
        return [await ask() for ask in asked]
    return list(await asyncio.gather(*(ask() for ask in asked)))


def _shared(first: str, second: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _alike(first: str, second: str) -> bool:
    """Return whether two texts are the same, or agree in the first half of the longer one."""
    return first == second or 2 * _shared(first, second) >= max(len(first), len(second))


def _both(found: Sequence[str]) -> str:
    one = found[0]
    other = next(text for text in found if text != one)
    return f"{_told(one)} and {_told(other)}"


def _told(text: str) -> str:
    return repr(text if len(text) <= _TOLD else f"{text[:_TOLD]}...")
