"""What pydantic finds wrong with an entry, in words that fit behind a key."""

from __future__ import annotations

import re
from collections.abc import Collection

from pydantic_core import ErrorDetails

from pytest_distill._util.keys import unknown_key
from pytest_distill._util.strict import NOT_BLANK

_CLASS = re.compile(r" or instance of \w+$")
"""Nobody writes an object of ours into a file."""


def sentence(error: ErrorDetails, known: Collection[str]) -> str:
    """Return what pydantic found, in words that fit behind a key."""
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(str(error["loc"][-1]), known)
        case "missing":
            return "is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case "string_pattern_mismatch" if error["ctx"]["pattern"] == NOT_BLANK:
            return "must not be empty"
    message = error["msg"].removeprefix("Input ").replace("valid dictionary", "mapping")
    message = _CLASS.sub("", message)
    return f"{message[0].lower()}{message[1:]}, not {error['input']!r}"
