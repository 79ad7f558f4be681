"""Generated texts: a request as the server takes it, and its answer as a prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_distill.engines.openai.calls import PLAIN, Call, CallRefusedError, Send, call_of
from pytest_distill.engines.openai.checks import Dialect, ServerChecks
from pytest_distill.engines.openai.reading import Written, written
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Finish, Prediction
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.thinking import answer_in
from pytest_distill.evals.tasks.tool_calls import calls_of

_FINISHES: Mapping[str, Finish] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
}
_BEYOND = 16
"""How many characters may follow a stop string: those of the token that it ends in."""
_LONG_TOKEN = 40
"""More characters than a token has on the average, in any text."""
_NO_PAGE = (404, 405, 501)


@dataclass(frozen=True)
class Texts:
    """Asks one model for texts.

    Parameters
    ----------
    dialect : Dialect
        How its server wants to be asked.
    """

    dialect: Dialect

    @property
    def checks(self) -> ServerChecks:
        """Which model, and what its server need not honour."""
        return self.dialect.checks

    async def predict(self, send: Send, request: GenerationRequest) -> Prediction:
        """Return the text that answers a prompt, or a conversation.

        Raises
        ------
        ModelError
            Where the server refuses, answers nothing that can be used, or does not honour what was
            asked.
        """
        who = f"model '{self.checks.name}', example '{request.id}'"
        said = await self.ask(send, call_of(request, who), who, truncate=request.truncate)
        self._refuse_unasked(request, said)
        text, stopped = self._text(request, said)
        likely, tokens = self._likely(said)
        finish = _FINISHES.get(said.ended)
        if stopped:
            finish = "stop"
        if finish in (None, "end", "stop") and said.calls:
            finish = "tool_call"
        if finish in ("end", "stop") and _calls_a_tool(request, text):
            finish = "tool_call"
        return Prediction(
            request.id,
            text=text,
            loglikelihoods=likely,
            tokens=tokens,
            finish=finish,
            thinking_tokens=_thinking_tokens(request, said, text, tokens),
            tool_calls=said.calls,
        )

    async def ask(
        self, send: Send, call: Call, who: str, *, truncate: str | None = None
    ) -> Written:
        """Return what the model wrote; what the server refuses is told with what to do."""
        try:
            return written(await self.dialect.ask(send, call), who)
        except CallRefusedError as error:
            raise ModelError(f"{error}{_remedy(call, error, truncate)}") from None

    def _text(self, request: GenerationRequest, said: Written) -> tuple[str, bool]:
        """Return what was written up to a stop string, and whether one ended it.

        What the server told apart as thinking stands between the request's markers again.
        """
        text = said.text
        if request.thinking is not None:
            start, end = request.thinking
            if said.thinking and start not in text:  # some say it twice
                unended = not text and not said.calls and said.ended == "length"
                text = f"{start}{said.thinking}{'' if unended else end}{text}"
            elif end in text and start not in text:  # the template wrote the start
                text = start + text
        found = [at for at in map(text.find, request.decoding.stop) if at >= 0]
        if found:
            return text[: min(found)], True
        return text, said.stop in request.decoding.stop

    def _likely(self, said: Written) -> tuple[tuple[float, ...] | None, int | None]:
        """Return the log-likelihood of the text where it is that of all its tokens, and these.

        Some servers leave the end token out of what they tell, or what was thought: without the
        first the rest stands for all, without the second nothing is known.
        """
        if said.likely is None:
            if "logprobs" not in self.checks.options.extra_body:  # there they are not asked for
                self.checks.note(
                    "its server gives no logprobs, so that how sure the model is of a text is not "
                    "known"
                )
            return None, said.tokens
        count = len(said.likely)
        tokens = max(said.tokens or 0, count)
        if count < tokens - 1:
            self.checks.note(
                "its server gives the logprobs of a part of the tokens, so that how sure the model "
                "is of a text is not known"
            )
            return None, tokens
        return (math.fsum(said.likely),), tokens

    def _refuse_unasked(self, request: GenerationRequest, said: Written) -> None:
        """Refuse an answer that goes on where it was to end."""
        most, length = request.decoding.max_new_tokens, len(said.text)
        problem = "its server does not honour max_tokens"
        if said.visible is not None and said.visible > most:
            seen = f"{said.visible} tokens for example '{request.id}', of {most} at most"
            self.checks.refuse("max_tokens", problem, seen)
        elif said.visible is None and length > most * _LONG_TOKEN:
            seen = f"{length} characters for example '{request.id}', in {most} tokens at most"
            self.checks.refuse("max_tokens", problem, seen)
        for stop in request.decoding.stop:
            if _goes_on(said.text, stop):
                seen = f"the text for example '{request.id}' goes on after {stop!r:.60}"
                self.checks.refuse("stop", "its server does not honour stop", seen)


def _goes_on(text: str, stop: str) -> bool:
    """Return whether a text goes on after a stop string, by more than the rest of a token."""
    return len(text.partition(stop)[2].strip()) > _BEYOND


def _calls_a_tool(request: GenerationRequest, text: str) -> bool:
    """Return whether a text calls a tool that the model was told of, after its thinking."""
    if request.conversation is None or not request.conversation.tools:
        return False
    return bool(calls_of(answer_in(text, request.thinking) if request.thinking else text))


def _thinking_tokens(
    request: GenerationRequest, said: Written, text: str, tokens: int | None
) -> int | None:
    """Return how many tokens were thought, where thinking is asked about and that is known."""
    if request.thinking is None:
        return None
    if said.thought is not None:
        return said.thought
    start, end = request.thinking
    if end in text:
        return None
    return tokens if start in text else 0


def _remedy(call: Call, error: CallRefusedError, truncate: str | None) -> str:
    """Return what to do where a server refuses a call."""
    if call.path == PLAIN and error.status in _NO_PAGE:
        return (
            "; where the server has chats alone, ask by them: 'chat: true' in the eval makes the "
            "prompt a message of the user"
        )
    if error.is_too_long:
        cut = "; a server cuts no prompt, also with 'truncate: left'" if truncate else ""
        return f"{cut}; if the prompt is too long, shorten it or set a smaller max_new_tokens"
    if "temperature" in call.body and "temperature" in error.said:
        return (
            "; extra_body: {temperature: null} leaves it out: what is not greedy then is refused, "
            "or accepted by accept: [temperature]"
        )
    return ""
