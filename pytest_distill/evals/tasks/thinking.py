"""The thinking that stands before an answer in a model's text, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.errors import ConfigError, did_you_mean

Markers = tuple[str, str]
"""What thinking begins and ends with."""
KEYS = ("start", "end")


def markers_of(thinking: Any) -> Markers | None:
    """Return the markers that the key ``thinking:`` says; None where it says nothing.

    Raises
    ------
    ConfigError
        Where it does not say two texts.
    """
    if thinking is None:
        return None
    if not isinstance(thinking, Mapping):
        raise ConfigError(
            "thinking: must say start: and end:, such as {start: <think>, end: </think>}, "
            f"not {thinking!r:.60}"
        )
    for key in thinking:
        if key not in KEYS:
            raise ConfigError(f"thinking: no key '{key}'; {did_you_mean(str(key), KEYS)}")
    start, end = (_marker(thinking, key) for key in KEYS)
    if start == end:
        raise ConfigError("thinking: start and end are the same text, so that no end is known")
    return start, end


def _marker(thinking: Mapping[Any, Any], key: str) -> str:
    if key not in thinking:
        raise ConfigError(f"thinking: {key} is missing")
    marker = thinking[key]
    if not isinstance(marker, str) or not marker.strip():
        raise ConfigError(f"thinking: {key} must be a text, not {marker!r:.60}")
    return marker


def answer_in(text: str, markers: Markers) -> str:
    """Return the answer that follows the thinking in a text.

    That is what follows the first `end`, as for the reasoning parsers of vLLM, without the line
    breaks between the two; whether `start` is there or not, since the prompt may have ended in it.
    A text that begins to think and does not end it has the empty answer; one without both markers
    is an answer.
    """
    start, end = markers
    _, ended, answer = text.partition(end)
    if ended:
        return answer.lstrip("\r\n")
    return "" if start in text else text
