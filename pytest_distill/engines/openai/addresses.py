"""Where a server is: which addresses are understood, and which are safe."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pytest_distill.engines.openai.places import is_loopback

_WRITTEN = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without a backslash, which some readers of URLs take for a slash."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_PAGE = re.compile(r"/(chat/)?completions/*$")
_PORTS = {"http": 80, "https": 443}


def refuse_address(url: str, *, insecure: bool) -> None:
    """Raise ValueError where a base URL cannot be one, or may not be asked.

    Parameters
    ----------
    url : str
        Without key: nothing of what may be one is repeated.
    insecure : bool
        Whether plain http to another machine is fine.
    """
    if not _WRITTEN.fullmatch(url):
        raise ValueError("must be a URL of ASCII characters, without blanks and backslashes")
    scheme = url.partition("://")[0].lower()
    if scheme not in _PORTS or "://" not in url:
        raise ValueError("must begin with https:// or http://, as in https://api.example.com/v1")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from None
    if "@" in parts.netloc:
        raise ValueError(
            "must not hold a name or a password: write the key into an environment variable, and "
            "that variable's name as 'api_key_env'"
        )
    if (page := _PAGE.search(parts.path)) is not None:
        raise ValueError(
            f"must end before {page[0]}, which the engine adds, as in https://api.example.com/v1"
        )
    if "?" in url or "#" in url:
        raise ValueError("must end with its path: no '?', no '#'")
    named = parts.netloc.removesuffix(f":{parts.netloc.rpartition(':')[2]}" if port else "")
    if not _HOST.fullmatch(named.removesuffix(":")):
        raise ValueError("has no host that is understood, as in https://api.example.com/v1")
    if scheme == "http" and not insecure and not is_here(url):
        raise ValueError(
            "plain http to another machine shows everybody on the way the key and the gold set: "
            "write https://, or 'insecure: true' where that is fine"
        )


def is_here(url: str) -> bool:
    """Whether a URL's host is this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(scheme)
