"""The connection of this process to a cluster: there can be one, and several models share it.

Where Ray is connected already it is used as it is, and left so. Whether anything listens at an
address is looked at before: Ray itself would wait for minutes.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest_distill.engines.ray.library import of_ray, require
from pytest_distill.engines.ray.library import ray as library
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.errors import ModelError, one_line


@dataclass(eq=False)
class _Ours:
    """A connection that was made here.

    Parameters
    ----------
    key : tuple
        What it is a connection to, and with which runtime environment.
    """

    key: tuple[str, str]
    users: set[int] = field(default_factory=set)
    asking: int = 0


SECONDS = 5.0
"""How long a connection to a cluster may take."""
_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""HTTP/2's frame of settings (RFC 9113, section 6.5): each side of gRPC, as Ray is, begins so."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _SETTINGS
VARIABLE = "RAY_ADDRESS"
"""The environment variable that says which cluster ``auto`` is."""
_LOG_LEVEL = "RAY_BACKEND_LOG_LEVEL"
"""The environment variable that says what Ray's own library writes to the terminal."""
_lock = threading.RLock()
_ours: _Ours | None = None


@contextmanager
def connected(user: object, options: RayOptions, who: str) -> Iterator[bool]:
    """Be connected in the block; give whether the connection was made here.

    Parameters
    ----------
    user : object
        The engine that asks; the connection stays until `leave` was called with all that did.

    Raises
    ------
    ModelError
        Where no connection can be made, or another one is in use.
    """
    with _lock:
        ours = _connection(options, who)
        if ours is not None:
            ours.users.add(id(user))
            ours.asking += 1
    try:
        yield ours is not None
    finally:
        with _lock:
            if ours is not None:
                ours.asking -= 1


def leave(user: object) -> None:
    """Need a connection no longer; what was made here for several ends with the last of them."""
    with _lock:
        if _ours is not None and id(user) in _ours.users:
            _ours.users.discard(id(user))
            if not _ours.users:
                _disconnect()


def _connection(options: RayOptions, who: str) -> _Ours | None:
    """Return the connection that was made here; None where somebody else's is used."""
    global _ours
    require(who)
    ray = library()
    if not ray.is_initialized():
        _ours = None
    elif _ours is None:
        _refuse_another(ray, options, who)
        return None
    if _ours is not None and options.address in ("auto", _ours.key[0]):
        key = (_ours.key[0], _environment(options))
    else:
        key = (found(options.address, who), _environment(options))
    if _ours is not None and _ours.key != key:
        if _ours.asking:
            raise ModelError(
                f"{who}: another model is being asked in the Ray cluster at {_ours.key[0]}, or "
                "with another runtime_env: one process can have one connection at a time; ask one "
                "model after the other"
            )
        _disconnect()
    if _ours is None:
        _connect(ray, key[0], options, who)
        _ours = _Ours(key)
    return _ours


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
    services, utils = library("_private.services"), library("_private.utils")
    left = utils.read_ray_address(None)
    return [*([str(left)] if left else []), *sorted(map(str, services.find_gcs_addresses()))]


def _environment(options: RayOptions) -> str:
    return json.dumps(options.runtime_env, sort_keys=True, default=repr)


def _refuse_another(ray: Any, options: RayOptions, who: str) -> None:
    """Raise ModelError where this process is connected to another cluster than is asked for."""
    if ray.util.client.ray.is_connected():
        raise ModelError(
            f"{who}: this process uses Ray's client, with which no cluster can be asked: connect "
            "on a node of the cluster, without ray://"
        )
    there = str(ray.get_runtime_context().gcs_address)
    if options.address not in ("auto", "local") and not _same(options.address, there):
        raise ModelError(
            f"{who}: address is {options.address}, and Ray is connected to {there} already: call "
            "ray.shutdown() there, or write address: auto to use that connection"
        )


def _same(one: str, other: str) -> bool:
    """Return whether two addresses are of one port of one machine."""

    def resolved(address: str) -> tuple[set[Any], str]:
        host, _, port = address.rpartition(":")
        hosts = {host, *(["127.0.0.1"] if host == "localhost" else [])}
        try:
            return {*hosts, *(info[4][0] for info in socket.getaddrinfo(host, None))}, port
        except OSError:
            return hosts, port

    (hosts, port), (others, at) = resolved(one), resolved(other)
    loopback = {"127.0.0.1", "localhost"}
    own = resolved(f"{socket.gethostname()}:0")[0] | loopback
    return port == at and bool(hosts & others or (hosts & own and others & own))


def _connect(ray: Any, address: str, options: RayOptions, who: str) -> None:
    """Connect, without a word in the terminal; the process keeps its handler of SIGTERM."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    starts = {"include_dashboard": False} if address == "local" else {}
    level = os.environ.get(_LOG_LEVEL)
    os.environ.setdefault(_LOG_LEVEL, "fatal")  # read when the process connects
    try:
        ray.init(
            # Of a cluster that it finds itself Ray takes the token, too, where that has one.
            address=address if options.address != "auto" else "auto",
            runtime_env=options.runtime_env or None,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **starts,
        )
    except Exception as error:  # noqa: BLE001 (Ray has many)
        ray.shutdown()
        where = "on this machine" if address == "local" else f"at {address}"
        raise ModelError(
            f"{who}: cannot use the Ray cluster {where}: {of_ray(error)}; the run must be on a "
            "node of that cluster, with its version of Ray and Python, and with "
            "RAY_AUTH_MODE=token where it was started with a token"
        ) from None
    finally:
        if level is None:
            os.environ.pop(_LOG_LEVEL, None)
        if main and before is not None:
            signal.signal(signal.SIGTERM, before)


def _disconnect() -> None:
    global _ours
    _ours = None
    library().shutdown()
