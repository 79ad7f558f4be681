"""Prompts: jinja2 templates over an example's fields, in its sandbox; solved examples before it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.request_keys import quick_hashes
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.base import Task

if TYPE_CHECKING:
    import jinja2

SHOT_SEPARATOR = "\n\n"
"""What stands between few-shot examples, as in lm-evaluation-harness."""


@dataclass(frozen=True)
class Prompted(Task):
    """A task with a target, whose text is a field or a template over an example's fields.

    Parameters
    ----------
    target : str
        The field with what counts as right.
    prompt : str, optional
        A jinja2 template, in place of `input`.
    """

    target: str = "target"
    prompt: str | None = None

    def __post_init__(self) -> None:
        if self.prompt is not None:
            variables(self.prompt)

    @property
    def reads(self) -> tuple[str, ...]:
        """The input, or what the template names, and the target."""
        asked = self.inputs if self.prompt is None else sorted(variables(self.prompt))
        return (*asked, self.target)

    def prompt_of(self, example: Example) -> str:
        """Return the prompt filled in with an example's fields; without one, its input field.

        Raises
        ------
        GoldSetError
            The example lacks a field that the template uses, or the template fails on its values.
        ConfigError
            The template reaches for something that the sandbox forbids.
        """
        if self.prompt is None:
            return fields.text(example, self.inputs[0])
        return fill(self.prompt, example)

    def notes(self, gold: GoldSet) -> Iterator[str]:  # noqa: ARG002 (what others look at)
        """Yield a note where the target stands in what is asked."""
        if self.prompt is not None and self.target in variables(self.prompt):
            yield f"the prompt reads the target field '{self.target}': it tells the answer"
        if self.prompt is None and self.target in self.inputs:
            yield f"the input is the target field '{self.target}': it tells the answer"


@dataclass(frozen=True)
class FewShot(Prompted):
    """A task whose prompt may stand behind solved examples.

    Parameters
    ----------
    shots : tuple of Example
        The solved examples.
    """

    input: str = "input"
    shots: tuple[Example, ...] = ()

    @abstractmethod
    def solution(self, shot: Example) -> str:
        """Return what follows the prompt of a solved example: the right answer."""

    @cached_property
    def solved(self) -> str:
        """What stands before every prompt."""
        return "".join(
            self.prompt_of(shot) + self.solution(shot) + SHOT_SEPARATOR for shot in self.shots
        )

    def notes(self, gold: GoldSet) -> Iterator[str]:
        """Yield a note also where a solved example is asked."""
        yield from super().notes(gold)
        if self.shots:
            asked = set(quick_hashes(map(self.request, gold)).tolist())
            solved = sum(number in asked for number in quick_hashes(map(self.request, self.shots)))
            if solved:
                yield (
                    f"{solved} of the few-shot examples are gold examples too: the prompt tells "
                    "their answers"
                )


def fill(template: str, example: Example, key: str = "prompt") -> str:
    """Return a jinja2 template, which stands at `key`, filled in with the example's fields.

    Raises
    ------
    GoldSetError, ConfigError
        As `Prompted.prompt_of`.
    """
    import jinja2

    compiled, names = _compiled(template, key)
    try:
        return compiled.render(dict(example.fields))
    except jinja2.exceptions.SecurityError as error:
        raise ConfigError(f"{key}: the sandbox forbids it: {error}") from None
    except jinja2.UndefinedError as error:
        raise example.gold_error(f"{key}: {_undefined(error, names, example)}") from None
    except Exception as error:  # noqa: BLE001 - a template's expressions can raise anything
        raise example.gold_error(f"{key}: {type(error).__name__}: {error}") from None


def variables(template: str, key: str = "prompt") -> frozenset[str]:
    """Return the fields that a jinja2 template names; ConfigError where it is none."""
    return _compiled(template, key)[1]


def _undefined(error: Exception, names: frozenset[str], example: Example) -> str:
    for name in names - set(example.fields):
        if str(error) == f"'{name}' is undefined":
            return f"no field '{name}'; {did_you_mean(name, example.fields)}"
    return str(error)


@cache
def _compiled(template: str, key: str) -> tuple[jinja2.Template, frozenset[str]]:
    """Return the template and the names of its variables."""
    import jinja2.meta
    import jinja2.sandbox

    # As lm-evaluation-harness sets it up (lm_eval/utils.py), and sandboxed: a prompt may come with
    # a shared config. Nothing is escaped, for a prompt is not HTML.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    # What draws at random would ask teacher and student different things.
    del environment.filters["random"], environment.globals["lipsum"]
    try:
        names = jinja2.meta.find_undeclared_variables(environment.parse(template))
        return environment.from_string(template), frozenset(names)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{key}: {error.message} (line {error.lineno} of the template)") from None
