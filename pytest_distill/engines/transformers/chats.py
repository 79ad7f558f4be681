"""Conversations as prompts: what a model's chat template makes of one, and when."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jinja2

from pytest_distill._util.user_code import raised
from pytest_distill.engines.transformers.clocks import Clock, check_clock
from pytest_distill.engines.transformers.failures import raised_here
from pytest_distill.engines.transformers.templates import CLOCK, chance_in, names_in, unread
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.decoding import Conversation, GenerationRequest

T = TypeVar("T")

_MORE = " and more"
"""What is added to a message, to see whether a template writes it."""
_OTHER = "_other"
"""What is added to the name of a tool, for the same."""
_LONG = 20
"""A text of more characters does not stand in a prompt by chance."""


@dataclass(frozen=True)
class Chat:
    """The chat templates of one model.

    Parameters
    ----------
    name : str
        The model's name in ``distill.yaml``.
    tokenizer
        The transformers tokenizer, which has the templates.
    clock : Clock
        What a template is told of the time.
    note : callable
        Tells the reader of the results something, once.
    """

    name: str
    tokenizer: Any
    clock: Clock
    note: Callable[[str], None]

    def render(self, request: GenerationRequest) -> str:
        """Return a conversation, or the prompt as a user's message, up to where the answer begins.

        Raises
        ------
        ModelError
            Where there is no template, several and none of them the default or of the wanted name,
            it fails, or it leaves out a part of the conversation.
        """
        asked = request.conversation
        alone = Conversation(({"role": "user", "content": request.prompt},))
        template = self._template(asked)
        self._check(template.text)
        text, written = self._rendered(asked or alone, template, request.id)
        if asked is not None:
            for key in asked.arguments:
                if key not in names_in(template.text):
                    self.note(unread(self.name, key))
            self._refuse_untold(written, template, text, request.id)
        return text

    def dated(self, request: GenerationRequest) -> tuple[str, bool]:
        """Return the prompt, and whether the template looked at the clock for it."""
        alone = replace(self, clock=Clock(self.clock.time))
        text = alone.render(request)
        self.clock.told += [told for told in alone.clock.told if told not in self.clock.told]
        return text, bool(alone.clock.told)

    def _template(self, asked: Conversation | None) -> _Template:
        """Return the template of the given name, else the one that transformers would choose."""
        found = getattr(self.tokenizer, "chat_template", None)
        if not found:
            instead = "set chat: false" if asked is None else "ask by 'input' or 'prompt' alone"
            raise ModelError(f"tokenizer of model '{self.name}' has no chat template; {instead}")
        several = found if isinstance(found, dict) else {"default": found}
        there = ", ".join(map(repr, sorted(several)))
        if asked is not None and asked.template is not None:
            if asked.template not in several:
                raise ModelError(
                    f"model '{self.name}': its tokenizer has no chat template called "
                    f"{asked.template!r:.100}; it has {there}"
                )
            name = asked.template
        else:
            name = "tool_use" if asked and asked.tools and "tool_use" in several else "default"
            if name not in several:
                raise ModelError(
                    f"model '{self.name}': chat_template of its tokenizer has the templates "
                    f"{there} and none called 'default': call one so, in tokenizer_config.json or "
                    "as chat_template.jinja, name one by 'template', or set chat: false"
                )
        # A name that is handed to a tokenizer with one template would be taken for a template.
        named = isinstance(found, dict) and asked is not None
        return _Template(str(several[name]), {"chat_template": name} if named else {})

    def _check(self, template: str) -> None:
        """Raise ModelError where a template makes nothing that could be repeated."""
        chance = chance_in(template)
        if chance:
            raise ModelError(
                f"model '{self.name}': its chat template draws at random ({chance}), so that no "
                "prompt could be repeated: write what it should say into the template"
            )
        if CLOCK in template:
            check_clock()

    def _rendered(
        self, asked: Conversation, template: _Template, id: str
    ) -> tuple[str, Conversation]:
        """Return the prompt, and the conversation in the form that the template took."""
        own = inspect.signature(self.tokenizer.apply_chat_template).parameters
        for key in asked.arguments:
            if key in own and own[key].kind is not inspect.Parameter.VAR_KEYWORD:
                raise ModelError(
                    f"model '{self.name}': 'template' says '{key}', which apply_chat_template of "
                    "its tokenizer takes for itself, so that the template would not be told"
                )
        failed: Exception | None = None
        for form in _forms(asked):
            try:
                text = self._applied(form, template)
            except Exception as error:  # a template may raise anything; what is ours goes on
                if raised_here(error):
                    raise
                failed = failed or error
                continue
            if not isinstance(text, str):
                raise ModelError(
                    f"chat template of model '{self.name}' gives {type(text).__name__}, not text, "
                    f"for example '{id}'"
                )
            return text, form
        assert failed is not None  # noqa: S101 (for mypy: there is a first form)
        # What the template raises by itself says enough: "conversation roles must alternate".
        said = str(failed) if isinstance(failed, jinja2.TemplateError) else raised(failed)
        raise ModelError(
            f"chat template of model '{self.name}' fails on example '{id}': {said}"
        ) from failed

    def _applied(self, asked: Conversation, template: _Template) -> Any:
        tools = {"tools": list(asked.tools)} if asked.tools else {}
        with self.clock.shown():
            return self.tokenizer.apply_chat_template(
                list(asked.messages),
                add_generation_prompt=True,
                tokenize=False,
                **tools,
                **template.by_name,
                **asked.arguments,
            )

    def _refuse_untold(self, asked: Conversation, template: _Template, text: str, id: str) -> None:
        """Raise ModelError where a part of a conversation changes nothing in its prompt."""
        trial = replace(self, clock=Clock(self.clock.time))  # what it is told is in no prompt

        def would_change(**given: Any) -> bool:
            try:
                return bool(trial._applied(replace(asked, **given), template) != text)
            except Exception as error:  # it looked at what was changed
                if raised_here(error):
                    raise
                return True

        def leaves_out(what: str) -> ModelError:
            return ModelError(
                f"chat template of model '{self.name}' leaves out {what} of example '{id}', so "
                "that the model would not be told: take a template that writes it"
            )

        if asked.tools and not would_change(tools=list(map(_renamed, asked.tools))):
            raise leaves_out("the definitions of the tools")
        for number, message in enumerate(asked.messages):
            told = f"message {number + 1} ({message['role']})"
            before, after = asked.messages[:number], asked.messages[number + 1 :]
            if calls := message.get("tool_calls"):
                other = {**message, "tool_calls": list(map(_renamed, calls))}
                if not would_change(messages=[*before, other, *after]):
                    raise leaves_out(f"the calls of tools in {told}")
            # A turn of the assistant may be cut: templates drop what it thought.
            content = message.get("content") or ""
            other = {**message, "content": f"{content}{_MORE}"}
            is_told = message["role"] == "assistant" or (len(content) > _LONG and content in text)
            if not is_told and not would_change(messages=[*before, other, *after]):
                raise leaves_out(told)


def each_once(
    render: Callable[[GenerationRequest], T], requests: Sequence[GenerationRequest]
) -> list[T]:
    """Return what is rendered for each request, once where only how it is answered differs.

    Samples and budgets ask the same of a template, and there may be hundreds for an example.
    """
    found: dict[tuple[str, Conversation | None], T] = {}
    for request in requests:
        asked = request.prompt, request.conversation
        if asked not in found:
            found[asked] = render(request)
    return [found[request.prompt, request.conversation] for request in requests]


def _forms(asked: Conversation) -> Iterator[Conversation]:
    """Yield a conversation, and where it has calls of tools also with their arguments as text.

    Most templates write arguments as JSON by themselves; those of DeepSeek take a text.
    """
    yield asked
    if any(message.get("tool_calls") for message in asked.messages):
        yield replace(asked, messages=list(map(_with_texts, asked.messages)))


def _with_texts(message: Mapping[str, Any]) -> Mapping[str, Any]:
    calls = [
        {**call, "function": {**function, "arguments": text}}
        for call in message.get("tool_calls", ())
        for function in [call["function"]]
        for text in [json.dumps(function["arguments"], ensure_ascii=False)]
    ]
    return {**message, "tool_calls": calls} if calls else message


def _renamed(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool, or a call of one, under another name."""
    function = tool["function"]
    return {**tool, "function": {**function, "name": f"{function['name']}{_OTHER}"}}


@dataclass(frozen=True)
class _Template:
    """A template, and how a tokenizer with several is told which it is."""

    text: str
    by_name: Mapping[str, str]
