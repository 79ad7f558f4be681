"""Where a server is: which addresses are understood and safe, and whether one can be asked."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from typing import Any
from urllib.parse import urlsplit

_WRITTEN = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII without a backslash, which some readers of URLs take for a slash."""
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]", re.IGNORECASE)
_PAGE = re.compile(r"/(chat/)?completions/*$")
_PORTS = {"http": 80, "https": 443}
_PATIENCE = 2.0
"""Seconds within which a server that runs takes a connection."""


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


def host_of(base_url: str) -> str:
    """Return a server's host, with its port where that is given."""
    return urlsplit(base_url).netloc.rpartition("@")[2]


def server_of(base_url: str, *, loopback: str | None = None) -> str:
    """Return host, port and path of a server: the same of all ways to write the same URL.

    Parameters
    ----------
    base_url : str
        As ``distill.yaml`` says it.
    loopback : str, optional
        What stands for every name of this machine; by default each stands for itself.
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    if loopback is not None and is_loopback(host):
        host = loopback
    shown = f"[{host}]" if ":" in host else host
    port = parts.port
    suffix = f":{port}" if port is not None and port != _PORTS.get(parts.scheme) else ""
    return f"{shown}{suffix}{parts.path.rstrip('/')}"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: localhost, 127.0.0.0/8 or ::1, and no other name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def can_be_asked(options: Any) -> bool:
    """Return whether a server can be asked from here, as far as can be told without asking it.

    Where there is a key to be given, that is whether it is; else whether a connection is taken.

    Parameters
    ----------
    options : OpenAIOptions
        Where the server is, and the name of the variable with its key.
    """
    if options.api_key_env is not None:
        return bool(os.environ.get(options.api_key_env))
    _, host, port = origin(options.base_url)
    try:
        socket.create_connection((host, port or 0), timeout=_PATIENCE).close()
    except OSError:
        return False
    return True
