"""How every mapping of ``distill.yaml`` is validated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
"""Of a pydantic model: unknown keys are mistakes, text is not turned into numbers.

What stands below a key is what editors and the reference say of it."""

PositiveCount = Annotated[int, Field(ge=1)]
NOT_BLANK = r"\S"
"""The pattern of a text that says something."""
Said = Annotated[str, Field(pattern=NOT_BLANK)]


@dataclass(frozen=True, slots=True)
class Written:
    """Marks a text that a pattern must match as a whole; no message shows the pattern.

    Parameters
    ----------
    pattern : str
        A regular expression.
    words : str
        What may be written, as in ``should be a or b``.
    """

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Look at the text once it is known to be one."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say the pattern to editors."""
        return {**handler(schema), "pattern": self.pattern}

    def _checked(self, text: str) -> str:
        if re.fullmatch(self.pattern, text) is None:
            raise PydanticCustomError("written", "{words}", {"words": self.words})
        return text


@dataclass(frozen=True)
class Listed:
    """Marks a list for which a single text, number or mapping may stand."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Put a list around it before it is validated."""
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say that both are right."""
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | int | float | dict) else value


@dataclass(frozen=True)
class ShortFor:
    """Marks a mapping for which a text may stand: the value of `key`."""

    key: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Put a mapping around it before it is validated."""

        def whole(value: object) -> object:
            return {self.key: value} if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(whole, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say that both are right."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}
