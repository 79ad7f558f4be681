"""Prompts: jinja2 templates over an example's fields, in its sandbox."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from pytest_distill.errors import ConfigError, GoldSetError, did_you_mean
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.tasks import fields

if TYPE_CHECKING:
    import jinja2

SHOT_SEPARATOR = "\n\n"
"""What stands between few-shot examples, as in lm-evaluation-harness."""


def check_prompt(prompt: str | None) -> None:
    """Raise ConfigError where a prompt is not a template."""
    if prompt is not None:
        _compiled(prompt)


def variables(prompt: str | None) -> frozenset[str]:
    """Return the names of the fields that a prompt reads; none without a prompt."""
    return frozenset() if prompt is None else _compiled(prompt)[1]


def render(prompt: str | None, example: Example, *, input: str) -> str:
    """Return the prompt filled in with the example's fields; without a prompt, the input field.

    Parameters
    ----------
    prompt : str or None
        A jinja2 template; each field is a variable of its name.
    example : Example
        Whose fields are filled in.
    input : str
        The field that is the whole prompt where there is no template.

    Raises
    ------
    GoldSetError
        The example lacks a field that the template uses, or the template fails on its values.
    ConfigError
        The template reaches for something that the sandbox forbids.
    """
    if prompt is None:
        return fields.text(example, input)
    import jinja2

    template, names = _compiled(prompt)
    try:
        return template.render(dict(example.fields))
    except jinja2.exceptions.SecurityError as error:
        raise ConfigError(f"prompt: the sandbox forbids it: {error}") from None
    except jinja2.UndefinedError as error:
        raise GoldSetError(
            f"{example.place}: prompt: {_undefined(error, names, example)}"
        ) from None
    except Exception as error:  # noqa: BLE001 - a template's expressions can raise anything
        raise GoldSetError(f"{example.place}: prompt: {type(error).__name__}: {error}") from None


def _undefined(error: Exception, names: frozenset[str], example: Example) -> str:
    for name in names - set(example.fields):
        if str(error) == f"'{name}' is undefined":
            return f"no field '{name}'; {did_you_mean(name, example.fields)}"
    return str(error)


@cache
def _compiled(prompt: str) -> tuple[jinja2.Template, frozenset[str]]:
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
        names = jinja2.meta.find_undeclared_variables(environment.parse(prompt))
        return environment.from_string(prompt), frozenset(names)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(
            f"prompt: {error.message} (line {error.lineno} of the template)"
        ) from None
