"""What one of several xdist workers may use of the machine that they share."""

from __future__ import annotations

import os
from datetime import datetime

import pytest

OUTPUT = "distill"
"""Key under which a worker hands over its share of the ledger, as JSON."""

EXAMPLES = "distill_examples"
"""Key under which it hands over what its models answered, packed, where a file shows that."""

RUN = "distill_run"
"""Key under which a worker is told the whole run's number, and when it began."""


def run_of(config: pytest.Config) -> tuple[int, str]:
    """Return the whole run's number, and when it began (ISO 8601, local time).

    All workers of a run share both, and no other run has the number: clocks jump, so that the time
    would not tell runs apart.
    """
    given: tuple[int, str] | None = getattr(config, "workerinput", {}).get(RUN)
    return given or (int.from_bytes(os.urandom(7)), datetime.now().isoformat())


def worker_name() -> str:
    """Return what tells this process from others of the run."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def worker_number() -> int | None:
    """Return the number of this xdist worker; None without xdist."""
    name = worker_name()
    return int(name.removeprefix("gw")) if name.startswith("gw") else None


def worker_count() -> int:
    """Return how many xdist workers share the run; 0 without xdist."""
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))


def threads_per_worker() -> int | None:
    """Return how many CPU threads one xdist worker may use; None without xdist."""
    workers = worker_count()
    if not workers:
        return None
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // workers)
