"""Whether a server honours what it is asked: a 200 says nothing of it, so it is tried.

Each kind of request names its trials, `Trial` by what they are about. They run on first use, before
the first example is asked, once a run; see `ServerChecks.run`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, MutableSet
from dataclasses import dataclass

from pytest_distill.engines.openai.calls import Send
from pytest_distill.engines.openai.options import Accepted, OpenAIOptions
from pytest_distill.errors import ModelError


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
        self.note(f"{self.name}: {problem} (accept: [{what}])")


Trial = Callable[[Send], Awaitable[None]]
"""Tries one thing, and says by `ServerChecks.refuse` where it is not honoured."""
