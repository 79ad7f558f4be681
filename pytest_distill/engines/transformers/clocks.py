"""The time that chat templates are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from transformers.utils import chat_template_utils

from pytest_distill.engines.transformers.templates import CLOCK
from pytest_distill.errors import ModelError

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


@cache
def check_clock() -> None:
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


def note_of(name: str, told: Sequence[str]) -> str:
    """Return what a reader must know of prompts that hold a date."""
    return (
        f"model '{name}': its chat template reads the clock: the prompts of this run hold "
        f"{', '.join(map(repr, told))}, and on another day the model is asked something else"
    )
