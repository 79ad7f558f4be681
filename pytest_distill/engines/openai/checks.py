"""Whether a server honours what it is asked, and what it wants said otherwise than others.

A 200 says nothing of it, so it is tried; what it wants otherwise is found out by what it refuses.

Each kind of request names its trials, `Trial` by what they are about. They run on first use, before
the first example is asked, once a run; see `ServerChecks.run`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, MutableSet
from dataclasses import dataclass, replace
from typing import Any

from pytest_distill.engines.openai.calls import Call, CallRefusedError, Send
from pytest_distill.engines.openai.options import Accepted, OpenAIOptions
from pytest_distill.errors import ModelError

_REFUSED = (400, 422)
_LIKELY = ("logprobs", "top_logprobs")


@dataclass(frozen=True)
class ServerChecks:
    """What was tried of one model's server.

    Parameters
    ----------
    name : str
        The model's, for messages.
    options : OpenAIOptions
        What of it need not be honoured.
    note : callable
        Tells the reader of the results something.
    done : set
        What was tried so far.
    """

    name: str
    options: OpenAIOptions
    note: Callable[[str], None]
    done: MutableSet[Hashable]

    async def run(self, send: Send, trials: Mapping[Hashable, Trial]) -> None:
        """Run the trials that did not run so far.

        Raises
        ------
        ModelError
            Where the server does not honour what it is asked, and that is not accepted.
        """
        for about, trial in trials.items():
            if about not in self.done:
                await trial(send)
                self.done.add(about)

    def refuse(self, what: Accepted, problem: str, seen: str) -> None:
        """Raise ModelError where `what` is not honoured; a note where that is accepted.

        Parameters
        ----------
        what : str
            Its name in ``accept``.
        problem : str
            What is wrong, as a sentence without its end: the note, the same for all examples.
        seen : str
            What of it was seen.
        """
        if what not in self.options.accept:
            raise ModelError(
                f"model '{self.name}': {problem}: {seen}; ask a server that honours it, or say "
                f"accept: [{what}] to make this a note in the report"
            )
        self.note(f"{problem} (accept: [{what}])")


Trial = Callable[[Send], Awaitable[None]]
"""Tries one thing, and says by `ServerChecks.refuse` where it is not honoured."""


@dataclass
class Learnt:
    """What was found out of a server.

    Parameters
    ----------
    limit : str
        What it calls the greatest number of tokens that are written.
    scored : bool
        Whether it can be asked for log-probabilities.
    seeded : bool
        Whether a greedy request may have a seed: only trials have one, and not all servers know it.
    """

    limit: str = "max_tokens"
    scored: bool = True
    seeded: bool = True


@dataclass(frozen=True)
class Dialect:
    """How one server is asked for the same.

    Parameters
    ----------
    checks : ServerChecks
        Which model, and who tells the reader of the results something.
    learnt : Learnt
        What was found out so far, which is added to.
    """

    checks: ServerChecks
    learnt: Learnt

    async def ask(self, send: Send, call: Call) -> Mapping[str, Any]:
        """Return the answer to a call, in the words that the server takes.

        Raises
        ------
        CallRefusedError
            Where it refuses what cannot be said otherwise.
        """
        while True:
            said = self._said(call)
            try:
                return await send(said)
            except CallRefusedError as error:
                if not self._learnt(said, error):
                    raise

    def _said(self, call: Call) -> Call:
        body = dict(call.body)
        if "max_tokens" in body:
            body[self.learnt.limit] = body.pop("max_tokens")
        if not self.learnt.scored:
            body = {key: value for key, value in body.items() if key not in _LIKELY}
        if not self.learnt.seeded and body.get("temperature") == 0:
            body.pop("seed", None)
        return replace(call, body=body)

    def _learnt(self, said: Call, error: CallRefusedError) -> bool:
        """Return whether what was refused can be said otherwise from now on."""
        if error.status not in _REFUSED:
            return False
        if "max_tokens" in said.body and "max_completion_tokens" in error.said:
            self.learnt.limit = "max_completion_tokens"
            return True
        if any(key in said.body for key in _LIKELY) and "logprobs" in error.said:
            self.learnt.scored = False
            self.checks.note(
                "its server refuses logprobs, so that how sure the model is of a text is not known"
            )
            return True
        if "seed" in said.body and said.body["temperature"] == 0 and "seed" in error.said:
            self.learnt.seeded = False
            return True
        return False
