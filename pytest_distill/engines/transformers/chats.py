"""A prompt as a user's message in a chat: what a model's chat template makes of it, and when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import jinja2
from transformers.utils import chat_template_utils

from pytest_distill._util.user_code import raised
from pytest_distill.engines.transformers.failures import raised_here
from pytest_distill.engines.transformers.templates import CLOCK
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.generation import GenerationRequest

_PROBE = "%Y-%m-%d %H:%M:%S %f"


@dataclass(eq=False)
class Clock:
    """The time that chat templates are told: one for a whole run, also past midnight.

    Parameters
    ----------
    time : datetime
        Local time, as transformers tells it.
    told : list of str
        What templates were told, as they wished it written.
    """

    time: datetime
    told: list[str] = field(default_factory=list)

    def now(self, *_: Any) -> Clock:
        """Stand in for ``datetime.now``."""
        return self

    def strftime(self, format: str) -> str:
        """Stand in for the method of ``datetime.now()``."""
        text = self.time.strftime(format)
        if text not in self.told:
            self.told.append(text)
        return text

    @classmethod
    def of(cls, began: datetime) -> Clock:
        """Return the clock of a run that began then; where somebody set transformers', that one."""
        theirs = getattr(chat_template_utils, "datetime", datetime)
        return cls(began if theirs is datetime else _first_told(theirs, began))

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Let transformers read this clock in the block.

        Its templates cannot be handed another: what is no plain value reaches none of them.
        """
        module: Any = chat_template_utils
        theirs = getattr(module, "datetime", datetime)
        module.datetime = self
        try:
            yield
        finally:
            module.datetime = theirs


@cache
def _first_told(theirs: Any, began: datetime) -> datetime:  # noqa: ARG001 - what is kept is kept by it: one time a run
    """Return what a clock that somebody set says when a run, told by its begin, first asks it."""
    now: datetime = theirs.now()
    return now


@dataclass(frozen=True)
class Chat:
    """The chat template of one model.

    Parameters
    ----------
    name : str
        The model's name in ``distill.yaml``.
    tokenizer
        The transformers tokenizer, which has the template.
    clock : Clock
        What the template is told of the time.
    """

    name: str
    tokenizer: Any
    clock: Clock

    def render(self, request: GenerationRequest) -> str:
        """Return the prompt as a user's message, up to where the answer begins.

        Raises
        ------
        ModelError
            Where there is no template, several and none of them the default, or it fails.
        """
        self._check()
        message = [{"role": "user", "content": request.prompt}]
        try:
            with self.clock.shown():
                text = self.tokenizer.apply_chat_template(
                    message, add_generation_prompt=True, tokenize=False
                )
        except Exception as error:  # a template may raise anything; what is ours goes on
            if raised_here(error):
                raise
            # What the template raises by itself says enough: "conversation roles must alternate".
            said = str(error) if isinstance(error, jinja2.TemplateError) else raised(error)
            raise ModelError(
                f"chat template of model '{self.name}' fails on example '{request.id}': {said}"
            ) from error
        if not isinstance(text, str):
            raise ModelError(
                f"chat template of model '{self.name}' gives {type(text).__name__}, not text, for "
                f"example '{request.id}'"
            )
        return text

    def dated(self, request: GenerationRequest) -> tuple[str, bool]:
        """Return the prompt, and whether the template looked at the clock for it."""
        alone = Chat(self.name, self.tokenizer, Clock(self.clock.time))
        text = alone.render(request)
        self.clock.told += [told for told in alone.clock.told if told not in self.clock.told]
        return text, bool(alone.clock.told)

    def _check(self) -> None:
        """Raise ModelError where there is no template to render, or none that can be repeated."""
        template = getattr(self.tokenizer, "chat_template", None)
        if not template:
            raise ModelError(
                f"tokenizer of model '{self.name}' has no chat template; set chat: false"
            )
        if isinstance(template, dict):
            if "default" not in template:
                raise ModelError(
                    f"model '{self.name}': chat_template of its tokenizer has the templates "
                    f"{', '.join(map(repr, sorted(template)))} and none called 'default': call one "
                    "so, in tokenizer_config.json or as chat_template.jinja, or set chat: false"
                )
            template = template["default"]
        chance = _chance(str(template))
        if chance:
            raise ModelError(
                f"model '{self.name}': its chat template draws at random ({chance}), so that no "
                "prompt could be repeated: write what it should say into the template"
            )
        if CLOCK in str(template):
            _check_clock()


@cache
def _check_clock() -> None:
    """Raise ModelError where templates read another clock than the one they are shown."""
    clock = Clock(datetime(2001, 2, 3, 4, 5, 6))
    with clock.shown():
        rendered: Any = chat_template_utils.render_jinja_template(
            [[{"role": "user", "content": ""}]], chat_template=f"{{{{ {CLOCK}('{_PROBE}') }}}}"
        )
    if rendered[0] != [clock.time.strftime(_PROBE)]:
        raise ModelError(
            "the chat templates of this version of transformers read a clock that cannot be held "
            "for the length of a run: use one that is known to work"
        )


@cache
def _chance(template: str) -> str | None:
    """Return by what a template draws at random: a filter and a function of jinja2 do."""
    try:
        tokens = [token[1:] for token in jinja2.Environment(autoescape=True).lex(template)]
    except jinja2.TemplateError:
        return None  # told where it is rendered
    tokens = [token for token in tokens if token[0] not in ("whitespace", "data", "comment")]
    for before, (kind, value) in zip([("", ""), *tokens], tokens, strict=False):
        if kind == "name" and value == "random" and before[1] == "|":
            return "the filter 'random'"
        if kind == "string" and value.strip("'\"") == "random":
            return "the filter 'random'"
        if kind == "name" and value == "lipsum" and before[1] != ".":
            return "the function 'lipsum'"
    return None


def note_of(name: str, told: Sequence[str]) -> str:
    """Return what a reader must know of prompts that hold a date."""
    return (
        f"model '{name}': its chat template reads the clock: the prompts of this run hold "
        f"{', '.join(map(repr, told))}, and on another day the model is asked something else"
    )
