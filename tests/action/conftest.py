"""Fixtures of the action's tests: GitHub on loopback."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .stand_in import Hub, serving


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Return a GitHub that serves one repository, without a pull request yet."""
    with serving(Hub()) as served:
        yield served
