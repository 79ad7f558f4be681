"""Texts that a pipeline generated, with or without the prompt in front of them."""

from __future__ import annotations

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import GenerationRequest


class PromptedTexts:
    """The generated texts of one file, in which all have their prompt in front or none has it.

    transformers' text-generation puts the prompt before what the model wrote, unless it is told
    ``return_full_text=False``; a file does not say which. So it is certain where every text begins
    with the prompt of its example, and where there is no prompt in any.

    Parameters
    ----------
    on : Eval
        Whose prompts they are.
    """

    def __init__(self, on: Eval) -> None:
        self.on = on
        self._prompts: dict[str, str] | None = None
        self._with: str | None = None
        self._without: str | None = None
        self._free: str | None = None
        """The places of a text with its prompt in front, one without, and one that lacks it."""

    def alone(self, place: str, id: str, text: str) -> str:
        """Return a text without its prompt."""
        prompt = self._prompt_of(id)
        if not prompt:  # there is none, or the example is none of the gold set's
            return text
        if text.startswith(prompt):
            self._with = self._with or place
            return text[len(prompt) :]
        self._without = self._without or place
        if prompt.strip() not in text:
            self._free = self._free or place
        return text

    def refuse_doubtful(self) -> None:
        """Raise EvaluationError where it is not certain what the model wrote."""
        if self._without is None or (self._with is None and self._free is not None):
            return
        odd = "does not begin with its prompt"
        if self._with is None:
            odd = "holds its prompt, and does not begin with it as the eval asks it"
        other = "" if self._with is None else f", and that of {self._with} does"
        raise EvaluationError(
            f"{self._without}: its generated_text {odd}{other}: what the model wrote cannot be "
            "told from what it read; generate with return_full_text=False"
        )

    def _prompt_of(self, id: str) -> str:
        if self._prompts is None:
            requests = map(self.on.task.request, self.on.gold.whole)
            self._prompts = {request.id: _prompt(request) for request in requests}
        return self._prompts.get(id, "")


def _prompt(request: Request) -> str:
    """Return what a model read last: the prompt, or the last message to it."""
    if not isinstance(request, GenerationRequest):
        return ""
    if request.conversation is None:
        return request.prompt
    content = request.conversation.messages[-1].get("content")
    return content if isinstance(content, str) else ""
