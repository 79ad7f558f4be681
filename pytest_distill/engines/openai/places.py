"""Where a server is, from its base URL, and whether it can be asked from here."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 2.0
"""Seconds within which a server that runs takes a connection."""


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
    parts = urlsplit(options.base_url)
    address = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80))
    try:
        socket.create_connection(address, timeout=_PATIENCE).close()
    except OSError:
        return False
    return True
