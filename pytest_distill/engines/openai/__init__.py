"""A model behind a server that speaks OpenAI's API: a vendor's, or one of the team's own.

Nothing is sent before the first prediction is asked for.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pytest_distill.engines.info import ModelInfo
from pytest_distill.engines.openai.addresses import can_be_asked, host_of, server_of
from pytest_distill.engines.openai.answered import Seen, signed
from pytest_distill.engines.openai.checks import ServerChecks
from pytest_distill.engines.openai.money import Purse
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.engines.openai.pacing import Pace
from pytest_distill.engines.openai.running import Ask, answers
from pytest_distill.engines.spec import ModelSpec
from pytest_distill.errors import one_line
from pytest_distill.evals.requests import Prediction, Request

REVISION = 1
"""Raised when this engine's own code changes what it asks, so that nothing older is believed."""


class OpenAIEngine:
    """Asks a model behind an OpenAI-compatible server.

    Parameters
    ----------
    spec : ModelSpec
        The model's entry in ``distill.yaml``.

    Attributes
    ----------
    notes : list of str
        Sentences about how the predictions came about that a reader should see.
    """

    Options = OpenAIOptions

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.options = spec.options_as(OpenAIOptions)
        self.notes: list[str] = [
            f"{spec.name}: asked at {self._host} as {one_line(self.options.model)}: its "
            "weights cannot be digested, so that a change behind that name shows only in the "
            "system_fingerprint of its answers, where the server gives one"
        ]
        kept = spec.kept
        self.purse: Purse = kept.setdefault("purse", Purse(spec.name, self.options, spec.workers))
        self.while_waiting: Callable[[], None] = lambda: None
        self._pace: Pace | None = None
        self._seen: Seen = kept.setdefault("seen", Seen())
        self._began = time.monotonic(), self.purse.output
        self._checks = ServerChecks(
            spec.name, self.options, self._note, kept.setdefault("tried", set())
        )

    def _note(self, note: str) -> None:
        told = f"{self.spec.name}: {note}"
        if told not in self.notes:
            self.notes.append(told)

    @property
    def status(self) -> str:
        """How many tokens a second are written since it was asked, and what was spent so far."""
        began, before = self._began
        seconds, written = time.monotonic() - began, self.purse.output - before
        rate = f"{written / seconds:,.0f} tokens/s" if written and seconds else ""
        waiting = self._pace.status if self._pace is not None else ""
        return ", ".join(part for part in (rate, self.purse.status, waiting) if part)

    @property
    def spent(self) -> str:
        """What was asked and spent in this run, in a sentence; empty where nothing was."""
        return self.purse.told

    @property
    def identity(self) -> dict[str, Any]:
        """Where the server is, what it calls the model, and what is sent with every request."""
        return {
            "model": self.options.model,
            "server": server_of(self.options.base_url),
            "engine": "openai",
            "revision": REVISION,
            "extra_body": self.options.extra_body,
            "pin": self.options.pin,
        }

    @property
    def noise_check(self) -> int | None:
        """How many examples of each eval are asked twice."""
        return self.options.noise_check

    @property
    def _host(self) -> str:
        return one_line(host_of(self.options.base_url))

    @property
    def asked_at(self) -> str:
        """What the model is called where it is asked, and where that is."""
        return f"{one_line(self.options.model)} at {self._host}"

    @property
    def _who(self) -> str:
        return f"model '{self.spec.name}' ({self.asked_at})"

    @staticmethod
    def is_here(spec: ModelSpec) -> bool:
        """Return whether the model can be asked from here: its key is given, or its server runs."""
        return can_be_asked(spec.options)

    @staticmethod
    def weights_named(spec: ModelSpec) -> tuple[object, ...]:
        """Return what names the weights of a model: its name, and the server that has it."""
        options = spec.options
        return (options.model, server_of(options.base_url, loopback="127.0.0.1"))

    @property
    def info(self) -> ModelInfo:
        """What is known of the model: where it is asked."""
        return ModelInfo(self.spec.name, self.spec.role, path=self.asked_at)

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, each as soon as its answer is there, in any order.

        Parameters
        ----------
        requests : sequence of Request
            All of one kind.

        Raises
        ------
        ModelError
            Where the server cannot be reached, refuses, or does not honour what is asked.
        """
        if requests:
            self._began = time.monotonic(), self.purse.output
            from pytest_distill.engines.openai.kinds import kind_of

            kind = kind_of(type(requests[0]), self._who, self._checks, self.spec.kept)

            @asynccontextmanager
            async def opened() -> AsyncIterator[Ask[Request, Prediction]]:
                from pytest_distill.engines.openai.server import connected

                async with connected(self.spec.name, self.options, self.purse, self._seen) as send:
                    self._pace = send.pace
                    await self._checks.run(send, kind.trials(requests))
                    signing = signed(kind.ask, send, self._who, self.options)

                    async def ask(request: Request) -> Prediction:
                        try:
                            return await signing(request)
                        except Exception:  # those that wait for their turn are not sent either
                            send.pace.stop()
                            raise

                    yield ask

            at_once = self.options.max_concurrency
            try:
                yield from answers(opened, requests, at_once, lambda: self.while_waiting())
            finally:
                if self._pace is not None and self._pace.told:
                    self._note(self._pace.told)

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id what is asked beside what requests say: labels, a first token."""
        from pytest_distill.engines.openai.kinds import whole_prompts

        return whole_prompts(requests, self.options)

    def close(self) -> None:
        """Hold nothing: connections are closed when the last answer is there."""
