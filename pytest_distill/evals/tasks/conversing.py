"""Tasks whose prompt may be a conversation: their keys, and what they make of an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pytest_distill._util import strict_json
from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import LATER
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.decoding import Conversation
from pytest_distill.evals.tasks.messages import INSTRUCTIONS, Message, read_messages, read_tools
from pytest_distill.evals.tasks.prompts import FewShot, fill, variables

TAKEN = frozenset(
    {
        "add_generation_prompt",
        "chat_template",
        "continue_final_message",
        "conversation",
        "conversations",
        "documents",
        "max_length",
        "messages",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "sanitize_control_tokens",
        "self",
        "tokenize",
        "tokenizer_kwargs",
        "tools",
        "truncation",
    }
)
"""What ``apply_chat_template`` of transformers takes for itself, or hands to every template."""


@dataclass(frozen=True)
class Conversing(FewShot):
    """A task whose prompt may go through the model's chat template, alone or in a conversation.

    Parameters
    ----------
    chat : bool, optional
        Whether the prompt is a message of the user, for the chat template. Any of the keys below
        says so too.
    messages : str, optional
        The field with a list of messages, in place of a prompt.
    system : str, optional
        A jinja2 template over the example's fields: the system's turn, before all others.
    tools : str or tuple of mapping, optional
        The field with definitions of the tools that may be called, or these definitions.
    template : str or mapping, optional
        The name of the chat template, or what it is told, with its name as ``name``.
    """

    chat: bool | None = None
    messages: str | None = field(default=None, metadata=LATER)
    system: str | None = field(default=None, metadata=LATER)
    tools: str | tuple[Mapping[str, Any], ...] | None = field(default=None, metadata=LATER)
    template: str | Mapping[str, Any] | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        said = [key for key in _KEYS if getattr(self, key) is not None]
        if said and self.chat is False:
            raise ConfigError(
                f"chat: is false, but '{said[0]}' goes through the chat template: drop one of them"
            )
        object.__setattr__(self, "chat", bool(self.chat or said))
        if self.messages is not None:
            other = {"prompt": self.prompt, "shots": self.shots, "input": self.input != "input"}
            for key in (key for key, given in other.items() if given):
                raise ConfigError(
                    f"messages: are all that is asked: put what '{key}' says into them, and drop it"
                )
        if self.system is not None:
            variables(self.system, "system")
        _ = self._template, self._defined

    @property
    def inputs(self) -> tuple[str, ...]:
        """The field with the messages where there are some."""
        return super().inputs if self.messages is None else (self.messages,)

    @property
    def reads(self) -> tuple[str, ...]:
        """Also what the system's turn names, and the field with the tools."""
        *asked, target = super().reads
        more = {self.tools} if isinstance(self.tools, str) else set()
        if self.system is not None:
            more |= variables(self.system, "system")
        return (*asked, *sorted(more - {*asked, target}), target)

    def notes(self, gold: GoldSet) -> Iterator[str]:
        """Yield a note also where the system's turn has the target."""
        yield from super().notes(gold)
        if self.system is not None and self.target in variables(self.system, "system"):
            yield f"the system's turn reads the target field '{self.target}': it tells the answer"

    def conversation(self, example: Example) -> Conversation | None:
        """Return what the chat template is asked to render; None for a prompt alone.

        Raises
        ------
        GoldSetError
            Where the example's messages, its tools or a template's fields are not as they must be.
        """
        if all(getattr(self, key) is None for key in _KEYS):
            return None
        name, arguments = self._template
        messages = (*self._system(example), *self._turns(example))
        return Conversation(messages, self._tools(example), name, arguments)

    def _system(self, example: Example) -> tuple[Message, ...]:
        if self.system is None:
            return ()
        return ({"role": "system", "content": fill(self.system, example, "system")},)

    def _turns(self, example: Example) -> tuple[Message, ...]:
        if self.messages is None:
            return ({"role": "user", "content": self.solved + self.prompt_of(example)},)
        messages = read_messages(example, self.messages)
        for number, message in enumerate(messages, 1):
            if self.system is not None and message["role"] in INSTRUCTIONS:
                raise example.gold_error(
                    f"message {number} of '{self.messages}' is of the {message['role']}, and "
                    "'system' puts such a turn before all messages: drop one of them"
                )
        return messages

    def _tools(self, example: Example) -> tuple[Mapping[str, Any], ...]:
        name = self.tools
        if not isinstance(name, str):
            return self._defined
        given = fields.entries(example, name, "definitions of tools")
        return read_tools(given, lambda problem: example.gold_error(f"'{name}': {problem}"))

    @cached_property
    def _defined(self) -> tuple[Mapping[str, Any], ...]:
        """The tools that are the same for all examples."""
        if self.tools is None or isinstance(self.tools, str):
            return ()
        if not isinstance(self.tools, list | tuple) or not self.tools:
            raise ConfigError("tools: must be the name of a field, or a list of definitions")
        tools = read_tools(self.tools, lambda problem: ConfigError(f"tools: {problem}"))
        if not strict_json.writable(list(self.tools)):
            raise ConfigError(f"tools: hold something that {_UNWRITABLE}")
        return tools

    @cached_property
    def _template(self) -> tuple[str | None, dict[str, Any]]:
        """The name of the chat template, and what it is told."""
        given = self.template
        if given is None:
            return None, {}
        if isinstance(given, str) and given:
            return given, {}
        if not isinstance(given, Mapping) or not given:
            raise ConfigError(
                "template: must be the name of a chat template, or a mapping of what it is told, "
                f"such as {{enable_thinking: false}}, not {given!r}"
            )
        for key, value in given.items():
            _check_argument(key, value)
        return given.get("name"), {key: value for key, value in given.items() if key != "name"}


_UNWRITABLE = "JSON does not know: write dates, times and names that are numbers in quotes"
_KEYS = ("messages", "system", "tools", "template")


def _check_argument(key: Any, value: Any) -> None:
    if not isinstance(key, str):
        raise ConfigError(f"template: what a template is told has a text as its name, not {key!r}")
    if key in TAKEN:
        raise ConfigError(
            f"template: '{key}' is not for a template to be told: transformers takes it for itself"
        )
    if key == "name" and (not isinstance(value, str) or not value):
        raise ConfigError(f"template: name must be the name of a chat template, not {value!r}")
    if not strict_json.writable(value):
        raise ConfigError(f"template: {key} is something that {_UNWRITABLE}: {value!r}")
