"""Which tests look at a model: what such a test asserts of its own is about that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_distill.plugin.detection import fixtures_of, takes
from pytest_distill.plugin.records import publish, state_of


class Looks:
    """Which tests and fixtures of one session look at a model."""

    def __init__(self) -> None:
        self._set_up: list[pytest.FixtureDef[Any]] = []
        self._looking: set[pytest.FixtureDef[Any]] = set()

    def note(self, item: pytest.Item) -> None:
        """Remember that a test looks at a model, and through which fixtures it does."""
        self._looking.update(self._set_up)
        attempt = state_of(item).attempt
        if not attempt.looked:
            attempt.looked = True
            publish(item)

    @contextmanager
    def setting_up(self, fixture: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Know which fixture is made: what it looks at, all tests that it serves look at."""
        self._set_up.append(fixture)
        try:
            yield
        finally:
            self._set_up.pop()

    def note_through_fixtures(self, item: pytest.Item) -> None:
        """Remember that a test looks at what a fixture that serves several tests looked at."""
        if any(
            definition in self._looking
            and definition.scope != "function"
            and takes(item, definition.argname)
            for of_name in fixtures_of(item)
            for definition in of_name
        ):
            self.note(item)
