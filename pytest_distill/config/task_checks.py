"""What the checks of the tasks' own classes refuse, as far as a JSON Schema can say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_distill.config.json_parts import Json

_LABEL: Json = {"type": ["string", "integer", "boolean"]}
_MARKER: Json = {"type": "string", "minLength": 1}

_OF_KEYS: Mapping[str, Json] = {
    "labels": {
        "items": _LABEL,
        "minItems": 2,
        "uniqueItems": True,
        "additionalProperties": {**_LABEL, "minimum": 0},
        "minProperties": 1,
    },
    "thinking": {
        "properties": {
            "start": {**_MARKER, "description": "What the thinking begins with."},
            "end": {**_MARKER, "description": "What it ends with."},
        },
        "required": ["start", "end"],
        "additionalProperties": False,
    },
    "tools": {"items": {"type": "object"}, "minItems": 1},
}
"""Key of an eval -> what holds of it whatever form it has: each word is of one form only."""

_OF_ENTRIES: Mapping[str, tuple[str, Json]] = {
    "metrics": ("array", {"uniqueItems": True}),
    "at_tokens": ("array", {"uniqueItems": True}),
}
"""Key of several forms -> what holds of the one with this type."""


def add_checks(part: Json) -> None:
    """Add what can be said of the keys of an eval of one task, and of how they go together."""
    keys = part["properties"]
    for name, check in _OF_KEYS.items():
        if name in keys:
            keys[name] |= check
    for name, (kind, check) in _OF_ENTRIES.items():
        for form in keys.get(name, {}).get("anyOf", ()):
            if form.get("type") == kind:
                form |= check
    if "stop" in keys:
        one, several = keys["stop"]["anyOf"]
        one["minLength"] = several["items"]["minLength"] = 1
    if {"do_sample", "repeats"} <= keys.keys():
        part["allOf"] = [*_sampling()]


def _sampling() -> Iterator[Json]:
    """Yield that sampling needs a seed, and several answers sampling."""
    sampled: Json = {"properties": {"do_sample": {"const": True}}, "required": ["do_sample"]}
    several = {"properties": {"repeats": {"type": "integer", "minimum": 2}}}
    yield {
        "if": sampled,
        "then": {"properties": {"seed": {"type": "integer"}}, "required": ["seed"]},
    }
    yield {"if": {**several, "required": ["repeats"]}, "then": sampled}
