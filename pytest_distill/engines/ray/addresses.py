"""Where a cluster is, and whether anything listens there: Ray itself would wait for minutes."""

from __future__ import annotations

import os
import socket

from pytest_distill.engines.ray.library import ray
from pytest_distill.errors import ModelError, one_line

SECONDS = 5.0
"""How long a connection to a cluster may take."""
_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""HTTP/2's frame of settings (RFC 9113, section 6.5): each side of gRPC, as Ray is, begins so."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS
VARIABLE = "RAY_ADDRESS"
"""The environment variable that says which cluster ``auto`` is."""


def found(address: str, who: str) -> str:
    """Return ``host:port`` of a cluster that listens; ``local`` for one that is to be started.

    Raises
    ------
    ModelError
        Where there is none, nothing listens, or it cannot be used from here.
    """
    if address == "local":
        return address
    at, source = _named(address, who)
    if "://" in at:
        raise ModelError(
            f"{who}: {source} is {one_line(at)}, and Ray's client cannot be used: run pytest on a "
            "node of the cluster, with address: auto"
        )
    if (problem := _silent(at)) is None:
        return at
    raise ModelError(
        f"{who}: no Ray cluster listens at {one_line(at)} ({source}: {problem}): start it there "
        "('ray start --head'), correct the address, or write address: local to start one for the "
        "run"
    )


def _silent(at: str) -> str | None:
    """Return why nothing that may be a cluster answers at ``host:port``; None where it does."""
    host, _, port = at.rpartition(":")
    if not host or not port.isdecimal():
        return "it is no host:port"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), SECONDS) as there:
            if os.environ.get("RAY_USE_TLS", "0") != "0":
                return None  # it waits for a greeting that only Ray can give
            there.settimeout(SECONDS)
            there.sendall(_GREETING)
            answer = there.recv(len(_SETTINGS), socket.MSG_WAITALL)
    except (OSError, OverflowError, UnicodeError) as error:
        return one_line(str(error))
    return None if answer[3:4] == _SETTINGS[3:4] else "what answers there is no cluster"


def _named(address: str, who: str) -> tuple[str, str]:
    """Return where a cluster should be, and who says so."""
    if address != "auto":
        return address, "address"
    if told := os.environ.get(VARIABLE):
        if told in ("auto", "local"):
            raise ModelError(f"{who}: {VARIABLE} is '{told}': write host:port of the cluster")
        return told, VARIABLE
    if here := _of_this_machine():
        listening = next((each for each in here if _silent(each) is None), here[0])
        return listening, "the cluster that was last started on this machine"
    raise ModelError(
        f"{who}: address: auto finds no Ray cluster: {VARIABLE} is not set, and none runs on this "
        "machine; start one ('ray start --head'), name its host:port, or write address: local to "
        "start one for the run"
    )


def _of_this_machine() -> list[str]:
    """Return the address that ``ray start`` left, and those of clusters whose processes run."""
    services, utils = ray("_private.services"), ray("_private.utils")
    left = utils.read_ray_address(None)
    return [*([str(left)] if left else []), *sorted(map(str, services.find_gcs_addresses()))]
