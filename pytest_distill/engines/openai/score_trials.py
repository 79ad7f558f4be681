"""Whether a server scores prompts, and how: tried before the first example is asked.

A 200 says nothing of it. Servers are known that leave out ``logprobs``, that give each token the
log-probability of its neighbour, or that round them. So a few tokens are written, and read again as
a part of the prompt: both times they must be as likely.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from math import exp

from pytest_distill.engines.openai.calls import CallRefusedError, Send
from pytest_distill.engines.openai.echoes import (
    AS_ID,
    Echo,
    Manner,
    UnfitAnswerError,
    echoes,
    written,
)
from pytest_distill.errors import ModelError

TRIAL = "(tried first)"
"""What stands for an example's id in what is sent before any example."""
_PROMPTS = ("The capital of France is", "1, 2, 3, 4,", "Once upon a time there was")
_TOKENS = 8
_OTHERWISE = "With a model that is only talked to, ask for its text: task generation"
_WORD = "a b"
_SPACES = " \u2581\u0120"
"""How tokenizers write the space before a word."""
CUT = (
    "the answer has not the beginning of the text: the server cuts what is too long for it; "
    "shorten it"
)
_SAME = 0.2
"""How far a log-probability may be from itself: a server computes in bfloat16, in batches."""
_DIGITS = 3
_ABOVE = 0.01
"""How far above zero a log-probability may be by rounding."""
_WHOLE = 1.05
"""What the probabilities of two tokens cannot be together: 1, and how far both may be off."""
_TINY = 1e-6


@dataclass
class PromptScoring:
    """How one model's server scores prompts.

    Parameters
    ----------
    who : str
        The model and where it is asked, for messages.
    bos : str, optional
        The token that stands before the first one of a text, as ``distill.yaml`` has it.

    Attributes
    ----------
    manner : Manner
        How it takes them.
    adds_prefix : bool
        Whether it puts a token before every text by itself.
    """

    who: str
    bos: str | None = None
    manner: Manner = field(default=Manner(), init=False)
    adds_prefix: bool = field(default=False, init=False)
    _prefix: str | None = field(default=None, init=False)
    _first: str = field(default="", init=False)

    def prefix_for(self, what: str) -> str:
        """Return the text of the token that stands before the first one of a text.

        Raises
        ------
        ModelError
            Where it is not known, with `what` it is needed for.
        """
        if self._prefix is None:
            raise ModelError(
                f"{self.who}: {what}, and the server puts none there: say which, the tokenizer's "
                "BOS token or else its EOS token, as in 'bos: <s>'"
            )
        return self._prefix

    def sent(self, text: str) -> str:
        """Return a text without the token at its beginning that the server adds by itself."""
        return text.removeprefix(self._prefix or "") if self.adds_prefix else text

    def begun(self, text: str) -> str:
        """Return a text as it is sent so that one token stands before it."""
        return text if self.adds_prefix else f"{self._prefix}{text}"

    def refuse_cut(self, id: str, echo: Echo) -> None:
        """Raise ModelError where the token before a text's first one is missing in an answer."""
        if echo.tokens[:1] != (self._first,):
            raise ModelError(f"{self.who}: example '{id}': {CUT}")

    async def find_out(self, send: Send, task: str, otherwise: str = _OTHERWISE) -> None:
        """Try how the server scores prompts.

        Parameters
        ----------
        send : callable
            Sends a call.
        task : str
            What needs it.
        otherwise : str
            What to do where the server does not.

        Raises
        ------
        ModelError
            Where it does not, or not rightly.
        """
        try:
            await _refuse_lies(send, self.who)
            await self._find_prefix(send)
        except (CallRefusedError, UnfitAnswerError) as error:
            raise ModelError(
                f"{error}. The task {task} needs a server that scores prompts: one with "
                f"/completions that honours echo and logprobs, as vLLM's. {otherwise}"
            ) from None
        self.manner = await _manner(send, self.who)
        if self._prefix is not None:
            texts = [self.begun(_WORD)]
            (echo,) = await echoes(send, TRIAL, texts, self.manner, self.who)
            self._first = echo.tokens[0]

    async def _find_prefix(self, send: Send) -> None:
        """Find out which token stands before a text, and whether the server puts it there."""
        word = await _read(send, _WORD, self.who)
        begins = [_WORD.startswith(token.strip(_SPACES) or "?") for token in word.tokens]
        count = begins.index(True) if True in begins else 0
        self.adds_prefix = count > 0
        self._prefix = "".join(word.tokens[:count]) or self.bos
        if count > 1 or self.bos not in (None, self._prefix):
            raise ModelError(
                f"{self.who}: the server puts {self._prefix!r} before every text, "
                + ("which is more than one token" if count > 1 else f"not bos: {self.bos}")
            )
        if self.bos and not count:
            begun = await _read(send, self.bos + _WORD, self.who)
            if begun.tokens[1:] != word.tokens:
                raise ModelError(f"{self.who}: bos: {self.bos} is not one token of this model")


async def _read(send: Send, text: str, who: str) -> Echo:
    (echo,) = await echoes(send, TRIAL, [text], Manner(), who)
    return echo


async def _refuse_lies(send: Send, who: str) -> None:
    """Raise ModelError where what is written has other log-probabilities when it is read."""
    seen: list[float] = []
    tried = 0
    for prompt in _PROMPTS:
        text, new = await written(send, TRIAL, prompt, _TOKENS, who)
        alone, whole = await _read(send, prompt, who), await _read(send, prompt + text, who)
        _refuse_no_logarithms(whole, who)
        seen += [value for value in whole.values if value is not None and value < -_TINY]
        start = len(alone.tokens)
        read = whole.after(start)
        told = new.before(_read_alike(new, read))
        if not told.tokens or whole.tokens[:start] != alone.tokens:
            continue
        if None in told.values or None in whole.values[1:]:
            raise UnfitAnswerError(
                f"{who}: the server leaves out the log-probabilities of some tokens"
            )
        off = [shift for shift in (-1, 1) if _alike(told, whole, start + shift)]
        if not _alike(told, whole, start):
            how = ": each token has its neighbour's" if off else ""
            raise UnfitAnswerError(
                f"{who}: the log-probabilities of a prompt's tokens are not those that the same "
                f"tokens have when they are written{how} ({_shown(told)} written, {_shown(read)} "
                "read)"
            )
        tried += not off
    if not tried:
        raise UnfitAnswerError(
            f"{who}: whether the log-probabilities of a prompt's tokens are right could not be "
            "tried: the server reads what the model wrote as other tokens"
        )
    if len(seen) >= _TOKENS and all(round(value, _DIGITS) == value for value in seen):
        raise UnfitAnswerError(f"{who}: the server rounds log-probabilities, to {_shown(whole)}")


def _refuse_no_logarithms(whole: Echo, who: str) -> None:
    """Raise UnfitAnswerError where numbers cannot be natural logarithms of probabilities."""
    for value, top in zip(whole.values, whole.tops, strict=True):
        if value is None:
            continue
        if value > _ABOVE:
            what = f"{value:.3f} is above zero"
        elif top is not None and value < top - _TINY and exp(value) + exp(top) > _WHOLE:
            what = f"two tokens with {value:.3f} and {top:.3f} are likelier than all together"
        else:
            continue
        raise UnfitAnswerError(
            f"{who}: what the server gives for log-probabilities are no natural logarithms: {what}"
        )


def _read_alike(new: Echo, read: Echo) -> int:
    """Return how many of the tokens that were written are read as the same ones.

    From some place on they may be others. Parts of characters may have the same text as others.
    """
    pairs = zip(new.tokens, read.tokens, strict=False)
    alike = takewhile(lambda pair: pair[0] == pair[1] and pair[0] and pair[0].isascii(), pairs)
    return len(list(alike))


def _alike(told: Echo, whole: Echo, start: int) -> bool:
    """Return whether tokens are as likely as those from a place on in a prompt."""
    there = whole.values[start : start + len(told.values)]
    pairs = [
        (a, b) for a, b in zip(told.values, there, strict=False) if a is not None and b is not None
    ]
    return bool(pairs) and all(abs(a - b) <= _SAME for a, b in pairs)


def _shown(echo: Echo) -> str:
    return ", ".join("nothing" if v is None else f"{v:.3f}" for v in echo.values[:4])


async def _manner(send: Send, who: str) -> Manner:
    """Return how a server can be asked: each way must give what the plain one does."""
    single = [await _read(send, text, who) for text in _PROMPTS[:2]]
    found = Manner()
    for manner in (Manner(lists=True), Manner(lists=True, as_ids=True), Manner(as_ids=True)):
        try:
            several = await echoes(send, TRIAL, _PROMPTS[:2], manner, who)
        except (CallRefusedError, UnfitAnswerError):  # refused: the plain way stays
            continue
        same = all(
            len(a.tokens) == len(b.tokens) and _alike(a.after(1), b.after(1), 0)
            for a, b in zip(single, several, strict=True)
        )
        ids = all(token.startswith(AS_ID) for echo in several for token in echo.tokens)
        if same and (ids or not manner.as_ids):
            found = Manner(found.lists or manner.lists, found.as_ids or manner.as_ids)
        if found == Manner(lists=True, as_ids=True):
            break
    return found
