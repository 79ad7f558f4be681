"""What one of several xdist workers may use of the machine that they share."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any

import pytest

OUTPUT = "distill"
"""Key under which a worker hands over its share of the ledger, as JSON."""

RUN = "distill_run"
"""Key under which a worker is told the number of the whole run."""

BEGAN = "distill_began"
"""Key under which a worker is told when the run began."""


def run_began(config: pytest.Config) -> datetime:
    """Return when the whole run began, in local time; all workers of a run share it."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return datetime.fromisoformat(given[BEGAN]) if BEGAN in given else datetime.now()


def run_number(config: pytest.Config) -> int:
    """Return a number that no other run has, and all workers of this one share.

    Clocks jump, so that the time of the start would not tell runs apart.
    """
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return int(given.get(RUN) or int.from_bytes(os.urandom(7)))


def worker_name() -> str:
    """Return what tells this process from others of the run."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def worker_number() -> int | None:
    """Return the number of this xdist worker; None without xdist."""
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) if name.startswith("gw") else None


def threads_per_worker() -> int | None:
    """Return how many CPU threads one xdist worker may use; None without xdist."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if not workers:
        return None
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // workers)
