"""What one server wants said otherwise than others, found out by what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pytest_distill.engines.openai.calls import Call, CallRefusedError, Send

_REFUSED = (400, 422)
_LIKELY = ("logprobs", "top_logprobs")


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
    name : str
        The model's, for messages.
    note : callable
        Tells the reader of the results something.
    learnt : Learnt
        What was found out so far, which is added to.
    """

    name: str
    note: Callable[[str], None]
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
            self.note(
                f"{self.name}: its server refuses logprobs, so that how sure the model is of a "
                "text is not known"
            )
            return True
        if "seed" in said.body and said.body["temperature"] == 0 and "seed" in error.said:
            self.learnt.seeded = False
            return True
        return False
