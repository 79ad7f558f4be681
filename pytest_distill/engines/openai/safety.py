"""What keeps a key safe: where it may be sent, where it comes from, and that nothing repeats it."""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote

from pytest_distill.engines.openai.addresses import host_of
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.errors import ModelError

SHOWN = "[key]"
"""What stands in a text where a key was."""

_PART = 8
"""So many characters of a key in a row are a part of it; fewer may be there by chance."""
_SECRET = 16
"""A key with fewer characters, as ``EMPTY``, is no secret, and may be what a model writes."""
_START = 3
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})|\\[/\"\\]")
_MOST_ESCAPED = 3
"""How often a text may be escaped: what went through so many hands."""
_MASKED = r"\S*(?:\*{2,}|\.{3,}|…|x{4,}|X{4,})\S*"


class Key:
    """The key of a server, which no text or representation of this object shows.

    Parameters
    ----------
    value : str
        The key; empty where none is sent.
    """

    __slots__ = ("_forms", "_value")

    def __init__(self, value: str) -> None:
        self._value = value
        self._forms = [value, *_encoded(value)] if value else []

    @property
    def headers(self) -> dict[str, str]:
        """What is sent to tell it to the server."""
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def taken_from(self, found: Any) -> Any:
        """Return the JSON of what a server answered without the key: it goes into the store.

        However its letters were escaped: what was read is looked at, not what was sent.
        """
        if len(self._value) < _SECRET:
            return found
        text = plain = json.dumps(found, ensure_ascii=False)
        for form in self._forms:
            plain = plain.replace(json.dumps(form, ensure_ascii=False)[1:-1], SHOWN)
        return found if plain == text else json.loads(plain)

    def hidden_in(self, text: str) -> str:
        """Return a text without the key, its parts, and what tells it in other letters.

        Where the text is escaped, and the key is in what that stands for, this is returned.
        """
        if not self._value:
            return text
        for plain in _unescaped(text):
            shown = self._hidden_in(plain)
            if shown != plain:
                return shown
        return text

    def _hidden_in(self, text: str) -> str:
        if len(self._value) < _PART:
            alone = rf"(?<![A-Za-z0-9]){re.escape(self._value)}(?![A-Za-z0-9])"
            return re.sub(alone, SHOWN, text)
        masked = re.escape(self._value[:_START]) + _MASKED
        return _without(re.sub(masked, SHOWN, text), self._forms)

    @contextmanager
    def kept_from_logs(self, names: Iterable[str]) -> Iterator[None]:
        """Keep the key out of what loggers say as long as the block lasts: a server may repeat it.

        Parameters
        ----------
        names : iterable of str
            The loggers of the package that speaks HTTP.
        """
        loggers = [logging.getLogger(name) for name in names] if self._value else []
        for logger in loggers:
            logger.addFilter(self._hidden_in_record)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(self._hidden_in_record)

    def _hidden_in_record(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.hidden_in(record.getMessage()), None
        return True


def _unescaped(text: str) -> Iterator[str]:
    """Yield what a text stands for, once its escapes are read: all of them, or none."""
    plain = text
    for _ in range(_MOST_ESCAPED):
        plain = html.unescape(unquote(_ESCAPED.sub(_letter, plain)))
    if plain != text:
        yield plain
    yield text


def _letter(escaped: re.Match[str]) -> str:
    code = escaped[1]
    return chr(int(code, 16)) if code else escaped[0][1:]


def _encoded(key: str) -> Iterator[str]:
    """Yield how a key may be written otherwise: in URLs, base64 and hexadecimal digits."""
    yield quote(key, safe="")
    raw = key.encode()
    yield raw.hex()
    for before in (b"", b"\0", b"\0\0", b"Bearer "):
        # The first and last characters depend on what stands beside the key.
        inner = base64.b64encode(before + raw).decode()
        yield inner[4:-4] if before else inner.rstrip("=")


def _without(text: str, secrets: list[str]) -> str:
    """Return `text`; every run of characters that a secret has too is left out."""
    hidden = bytearray(len(text))
    parts = {secret[n : n + _PART] for secret in secrets for n in range(len(secret) - _PART + 1)}
    for part in parts:
        for found in re.finditer(f"(?={re.escape(part)})", text, re.IGNORECASE):
            hidden[found.start() : found.start() + _PART] = b"\1" * _PART
    kept = "".join("\0" if hide else char for char, hide in zip(text, hidden, strict=True))
    return re.sub("\0+", SHOWN, kept)


def key_of(name: str, options: OpenAIOptions) -> Key:
    """Return the key that an environment variable holds.

    Parameters
    ----------
    name : str
        The model's, for messages.
    options : OpenAIOptions
        What names the variable.

    Raises
    ------
    ModelError
        Where it is not set, or holds what cannot be a key.
    """
    if options.api_key_env is None:
        return Key("")
    found = os.environ.get(options.api_key_env)
    problem = "is not set" if found is None else _problem(found)
    if problem is not None:
        raise ModelError(
            f"model '{name}': {variable(options)} {problem}: set it to the key of "
            f"{host_of(options.base_url)}, or leave out 'api_key_env' where none is asked for"
        )
    return Key(found or "")


def variable(options: OpenAIOptions) -> str:
    """Return what to call the variable; whoever wrote the key itself there is not shown it."""
    named = options.api_key_env or ""
    shown = f" {named}" if named.isupper() else " that 'api_key_env' names"
    return f"the environment variable{shown}"


def _problem(key: str) -> str | None:
    if not key.strip():
        return "is empty"
    if any(char.isspace() for char in key):
        return "holds a blank or a new line"
    if not (key.isascii() and key.isprintable()):
        return "holds a character that no key has"
    return None
