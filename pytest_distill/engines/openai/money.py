"""What a run spends at a server: counted exactly, and stopped before it is too much."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_distill._util.format import ceil_text, count_text
from pytest_distill._util.numbers import decimal
from pytest_distill.engines.openai.calls import Call
from pytest_distill.engines.openai.options import MOST_KEYS, OpenAIOptions
from pytest_distill.engines.openai.running import Signal
from pytest_distill.errors import ModelError

_MILLION = 1_000_000
_OVERHEAD = 256
"""How many tokens beside the bytes that are sent a chat template may write, before any answer said
more: a system's turn of its own, what stands around each turn and each tool."""
_MOST_COUNTED = 10**12
"""Tokens; more is no count of any answer's."""
_PLACES = 2
_MOST_PLACES = 6


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens an answer was billed for.

    Parameters
    ----------
    input, output : int
        Those that were read and written.
    told : int
        ``completion_tokens``: of some servers less than `output`, without what was thought.
    """

    input: int
    output: int
    told: int


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """Return what an answer says of its tokens; None where it says nothing that can be counted.

    Some servers leave what a model thought out of ``completion_tokens``, and have it in
    ``total_tokens`` alone: what is more counts.
    """
    said = answer.get("usage")
    if not isinstance(said, Mapping):
        return None
    asked, written = count_of(said, "prompt_tokens"), count_of(said, "completion_tokens")
    total = count_of(said, "total_tokens")
    if asked is None or (written is None and total is None):
        return None
    output = max(written or 0, (total or 0) - asked)
    return Usage(asked, output, output if written is None else written)


def count_of(said: Mapping[str, Any], key: str) -> int | None:
    """Return how many tokens a part of an answer's usage tells; None where it tells none."""
    value = said.get(key)
    return value if type(value) is int and 0 <= value <= _MOST_COUNTED else None


def money_text(amount: Fraction) -> str:
    """Return an amount in the currency of ``prices``, raised: two decimals, more where it is small.

    So many that two digits show: ``1.24``, ``0.0013``.
    """
    places = _PLACES
    if 0 < amount < 1:
        places = min(_MOST_PLACES, max(_PLACES, 1 - math.floor(math.log10(amount))))
    shown = ceil_text(amount, places)
    return shown if places == _PLACES else shown.rstrip("0")


class Purse:
    """What one model has spent in this run, and may spend.

    Every amount is a whole number of tokens times a price that is taken as it was written: nothing
    is rounded until it is shown.

    Parameters
    ----------
    name : str
        The model's, for messages.
    options : OpenAIOptions
        Its prices and what it may cost.
    workers : int
        How many processes ask it at once: each has its share of ``max_cost``.

    Attributes
    ----------
    asked, answers : int
        How many requests may have been billed, and how many of them were answered.
    input, output : int
        How many tokens they were billed for.
    unsure : int
        For how many of them nothing tells the tokens: they count as much as they could at most.
    """

    def __init__(self, name: str, options: OpenAIOptions, workers: int = 1) -> None:
        self.asked = self.answers = self.input = self.output = self.unsure = 0
        self._name, self._options, self._workers = name, options, workers
        prices = options.prices
        self._prices = None if prices is None else (decimal(prices.input), decimal(prices.output))
        limit = options.max_cost
        self._limit = None if limit is None else decimal(limit) / workers
        self._overhead = _OVERHEAD
        self._held: dict[Reserved, Fraction] = {}
        self._waiting: list[Signal] = []
        self._lock = threading.Lock()  # several loops may ask at once, each in a thread of its own

    @property
    def cost(self) -> Fraction:
        """What was spent; nothing where no prices are known."""
        return self._cost_of(self.input, self.output)

    @property
    def status(self) -> str:
        """What was spent so far, for a line of progress; empty where no prices are known."""
        return f"{money_text(self.cost)} spent" if self._prices else ""

    @property
    def told(self) -> str:
        """What was asked and spent, in a sentence; empty where nothing was."""
        if not self.asked:
            return ""
        parts = [count_text(self.asked, "request")]
        if self.input or self.output:
            parts.append(f"{self.input:,} tokens read and {self.output:,} written")
        if self._prices:
            parts.append(f"{money_text(self.cost)} spent{self._of_limit}")
        text = f"{self._name}: {', '.join(parts)}"
        if self.unsure and self._prices:
            text += (
                f"; of {count_text(self.unsure, 'request')} nothing tells the tokens: counted is "
                "the most that they can have cost"
            )
        return text

    async def reserve(self, call: Call) -> Reserved:
        """Hold back what a call may cost at most; waits while others may turn out to cost less.

        Exactly one of the methods of what is returned is to be called.

        Raises
        ------
        ModelError
            Where the call could exceed ``max_cost``.
        """
        size = self._size(call)
        while True:
            with self._lock:
                read = size + self._overhead if self._prices else 0
                reserved = Reserved(self, size, read, self._most(call) if self._prices else 0)
                most = self._cost_of(reserved.input, reserved.output)
                if self._limit is None or self._spoken_for + most <= self._limit:
                    self._held[reserved] = most
                    return reserved
                if not self._held:
                    raise ModelError(self._refusal(call, most))
                others = Signal()  # cost less than they could
                self._waiting.append(others)
            await others.wait()

    @property
    def _spoken_for(self) -> Fraction:
        """What is spent, and what may be by what is on its way."""
        return self.cost + sum(self._held.values(), Fraction())

    def settle(self, reserved: Reserved, usage: Usage | None, *, answered: bool) -> None:
        """Count what a call was billed, in place of what was held back for it.

        Parameters
        ----------
        reserved : Reserved
            What was held back; all of it counts where there is no `usage`.
        usage : Usage, optional
            What was billed, where that is known.
        answered : bool
            Whether a whole answer came.
        """
        with self._lock:
            if self._let_go(reserved):
                self.asked += 1
                self.answers += answered
                if usage is not None:
                    self._overhead = max(self._overhead, usage.input - reserved.size)
                else:
                    self.unsure += 1
                    usage = Usage(reserved.input, reserved.output, reserved.output)
                self.input += usage.input
                self.output += usage.output

    def free(self, reserved: Reserved) -> None:
        """Count nothing of what was held back for a call."""
        with self._lock:
            self._let_go(reserved)

    def _let_go(self, reserved: Reserved) -> bool:
        """Hold no more back for a call; False where it was counted already."""
        if self._held.pop(reserved, None) is None:
            return False
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.set()
        return True

    def _cost_of(self, read: int, written: int) -> Fraction:
        if self._prices is None:
            return Fraction()
        of_input, of_output = self._prices
        return (read * of_input + written * of_output) / _MILLION

    def _size(self, call: Call) -> int:
        """Return how many bytes are sent: a token holds at least one of them."""
        if self._prices is None:
            return 0
        sent = {**call.body, **self._options.extra_body}
        return len(json.dumps(sent, ensure_ascii=False).encode("utf-8", "surrogatepass"))

    def _most(self, call: Call) -> int:
        """Return how many tokens are written at most."""
        said = [{**call.body, **self._options.extra_body}.get(key) for key in MOST_KEYS]
        texts = call.most // max(call.body.get("max_tokens") or call.most, 1)
        return max((value * max(texts, 1) for value in said if value), default=call.most)

    def _refusal(self, call: Call, most: Fraction) -> str:
        share = f" ({self._workers} workers share it)" if self._workers > 1 else ""
        return (
            f"model '{self._name}': stopped before example '{call.id}', so that max_cost "
            f"{money_text(decimal(self._options.max_cost or 0))}{share} is not exceeded: "
            f"{money_text(self.cost)} is spent, and this request may cost up to "
            f"{money_text(most)}; {count_text(self.answers, 'answer')} came in this run, "
            "and where the store is on it keeps those to examples: run again with a greater "
            "max_cost, and only what is missing is asked"
        )

    @property
    def _of_limit(self) -> str:
        if self._limit is None:
            return ""
        whole = f"max_cost {money_text(decimal(self._options.max_cost or 0))}"
        if self._workers == 1:
            return f" ({whole})"
        return f" (of {money_text(self._limit)}, the share of one of {self._workers} in {whole})"


class Reserved:
    """What is held back for one call until it is known what it cost.

    Parameters
    ----------
    purse : Purse
        Whose it is.
    size : int
        How many bytes are sent.
    input, output : int
        How many tokens are read and written at most.
    """

    def __init__(self, purse: Purse, size: int, input: int, output: int) -> None:
        self.size, self.input, self.output = size, input, output
        self._purse = purse

    def paid(self, answer: Mapping[str, Any]) -> None:
        """Count what an answer says that it was billed; all that is held where it says nothing."""
        self._purse.settle(self, usage_of(answer), answered=True)

    def unknown(self) -> None:
        """Count all that is held: the call was sent, and may have been billed."""
        self._purse.settle(self, None, answered=False)

    def free(self) -> None:
        """Count nothing: the call was surely not billed."""
        self._purse.free(self)
