"""Hooks by which a project adds to pytest-distill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_distill.evals.metrics import Metric


@pytest.hookspec()
def pytest_distill_metrics() -> Sequence[Metric]:  # type: ignore[empty-body]  # a specification
    """Return metrics that ``metrics:`` in ``distill.yaml`` may name, beside the built-in ones.

    Each has a name of its own: that of a built-in metric is refused.
    """


@pytest.hookspec()
def pytest_distill_engines() -> Mapping[str, type[Any]]:  # type: ignore[empty-body]
    """Return engine classes that ``engine:`` in ``distill.yaml`` may name: name -> class.

    The name of a built-in engine is refused.
    """
