"""What a gate test is, what it recorded, and how that travels on its reports."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from pytest_distill.config.schema import Waiver
    from pytest_distill.verdicts.verdict import Verdict

MARKER = "distill"
MARKER_ARGUMENTS = ("eval", "metric", "student", "confidence")
STUDENTS = "students"
"""The fixture that runs a test once for every student."""
PROPERTY = "distill"
"""Name of the user property that carries a gate test's record, also to JUnit XML."""


@dataclass
class TestState:
    """What one gate test recorded so far; `looked`: it took something of a model, or a verdict."""

    __test__ = False

    verdicts: list[Verdict] = field(default_factory=list)
    config: str | None = None
    error: bool = False
    looked: bool = False
    request: pytest.FixtureRequest | None = None


STATE = pytest.StashKey[TestState]()


def marker_arguments(item: pytest.Item) -> dict[str, Any]:
    """Return the arguments of a test's markers; those nearest to the test win.

    Where the test runs once for every student, it is about the one whose turn it is.
    """
    arguments: dict[str, Any] = {}
    for marker in item.iter_markers(MARKER):
        arguments = {**marker.kwargs, **arguments}
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if isinstance(parameters.get(STUDENTS), str):
        arguments["student"] = parameters[STUDENTS]
    return arguments


def check_marker(item: pytest.Item) -> None:
    """Raise ConfigError where a test's marker has an argument that it does not know."""
    for marker in item.iter_markers(MARKER):
        written = f"marker distill of {item.name}"
        if marker.args:
            raise ConfigError(
                f"{written}: arguments need names, e.g. distill(eval={marker.args[0]!r})"
            )
        for name, value in marker.kwargs.items():
            if name not in MARKER_ARGUMENTS:
                raise ConfigError(
                    f"{written}: unknown argument '{name}'; {did_you_mean(name, MARKER_ARGUMENTS)}"
                )
            if name == "confidence":
                _check_confidence(value, written)
            if name in ("eval", "student") and not isinstance(value, str | None):
                raise ConfigError(f"{written}: {name}={value!r} is no name")


def _check_confidence(value: object, written: str) -> None:
    from pytest_distill.verdicts.numbers import confidence

    try:
        confidence(value)
    except ConfigError as error:
        raise ConfigError(f"{written}: {error}") from None


def state_of(item: pytest.Item) -> TestState:
    """Return what a test recorded so far."""
    return item.stash.setdefault(STATE, TestState())


def publish(item: pytest.Item) -> None:
    """Write a test's record into its user properties, which travel on every report of it."""
    state = state_of(item)
    verdicts = [{"config": state.config, **verdict.to_dict()} for verdict in state.verdicts]
    record = {"verdicts": verdicts, "error": state.error, "looked": state.looked}
    item.user_properties[:] = [p for p in item.user_properties if p[0] != PROPERTY]
    item.user_properties.append((PROPERTY, json.dumps(record, allow_nan=False)))


def waived(verdict: Verdict, nodeid: str, waivers: Sequence[Waiver]) -> Verdict:
    """Return a verdict with the waiver that holds for it, or with a note why one does not."""
    about = [waiver for waiver in waivers if waiver.gate in (verdict.gate, nodeid)]
    if verdict.passed or not about:
        return verdict
    broken = [(waiver, why_not(waiver, verdict)) for waiver in about]
    for waiver, why in broken:
        if why is None:
            return replace(verdict, waived=str(waiver))
    note = str(broken[0][1])
    return replace(verdict, notes=(*verdict.notes, note), message=f"{verdict.message}\n  {note}")


def why_not(waiver: Waiver, verdict: Verdict) -> str | None:
    """Return why a waiver does not hold for a failed verdict; None where it does."""
    if waiver.expires < datetime.date.today():
        return f"the waiver by {waiver.owner} expired on {waiver.expires}"
    if not verdict.reaches(waiver.floor):
        return f"worse than the floor {waiver.floor} of the waiver by {waiver.owner}"
    return None
