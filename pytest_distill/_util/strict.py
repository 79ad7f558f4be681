"""How every mapping of ``distill.yaml`` is validated."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
"""Of a pydantic model: unknown keys are mistakes, text is not turned into numbers.

What stands below a key is what editors and the reference say of it."""

PositiveCount = Annotated[int, Field(ge=1)]
NOT_BLANK = r"\S"
"""The pattern of a text that says something."""
Said = Annotated[str, Field(pattern=NOT_BLANK)]
