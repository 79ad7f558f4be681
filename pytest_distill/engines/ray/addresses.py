"""Where a cluster is, and whether anything listens there: Ray itself would wait for minutes."""

from __future__ import annotations

import os
import socket

from pytest_distill.engines.ray.library import ray
from pytest_distill.errors import ModelError, one_line

SECONDS = 5.0
"""How long a connection to a cluster may take."""
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
    host, _, port = at.rpartition(":")
    if not host or not port.isdecimal():
        raise ModelError(f"{who}: {source} is {one_line(at)!r}, which is no host:port of a cluster")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise ModelError(
            f"{who}: no Ray cluster listens at {one_line(at)} ({source}: {one_line(str(error))}): "
            "start it there ('ray start --head'), correct the address, or write address: local to "
            "start one for the run"
        ) from None
    return at


def _named(address: str, who: str) -> tuple[str, str]:
    """Return where a cluster should be, and who says so."""
    if address != "auto":
        return address, "address"
    if told := os.environ.get(VARIABLE):
        if told in ("auto", "local"):
            raise ModelError(f"{who}: {VARIABLE} is '{told}': write host:port of the cluster")
        return told, VARIABLE
    if here := _of_this_machine():
        return here, "the cluster that was last started on this machine"
    raise ModelError(
        f"{who}: address: auto finds no Ray cluster: {VARIABLE} is not set, and none runs on this "
        "machine; start one ('ray start --head'), name its host:port, or write address: local to "
        "start one for the run"
    )


def _of_this_machine() -> str | None:
    """Return the address that ``ray start`` left, else that of a cluster whose process runs."""
    services, utils = ray("_private.services"), ray("_private.utils")
    left = utils.read_ray_address(None)
    if left:
        return str(left)
    running = sorted(services.find_gcs_addresses())
    return str(running[0]) if running else None
