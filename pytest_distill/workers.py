"""What one of several xdist workers may use of the machine that they share."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

OUTPUT = "distill"
"""Key under which a worker hands over its share of the ledger, as JSON."""

STARTED = "distill_started"
"""Key under which a worker is told when the whole run started."""


def started_at(config: pytest.Config) -> float:
    """Return when the run started, in seconds since 1970: of all workers the same."""
    given: dict[str, Any] = getattr(config, "workerinput", {})
    return float(given.get(STARTED, time.time()))


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
