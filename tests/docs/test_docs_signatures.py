"""The signatures of gates in the pages."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import pytest_distill

GATES = Path(__file__).parents[2] / "docs" / "gates.md"
TOLD = {
    name: told
    for name, told in re.findall(r"^`(assert_\w+)\(([^`]*)\)`$", GATES.read_text("utf-8"), re.M)
    if "*," in told
}
REFUSED = {("assert_not_worse", "at_tokens")}
"""Arguments that a gate takes to say why it can't."""


@pytest.mark.parametrize("name", TOLD)
def test_a_gate_s_signature_has_all_arguments(name: str) -> None:
    """What the page says that a gate takes is what it takes."""
    parameters = inspect.signature(getattr(pytest_distill, name)).parameters
    taken = {each for each in parameters if (name, each) not in REFUSED}
    assert set(re.findall(r"\w+", re.sub(r"=[^,]+", "", TOLD[name]))) == taken
