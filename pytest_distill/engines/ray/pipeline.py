"""Ray Data's part: requests in blocks, which a pool of actors is given; it runs in a thread."""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytest_distill.engines.ray.answering import REQUEST, Answers, Work
from pytest_distill.engines.ray.library import ray
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.evals.requests import Request

_mine = threading.local()
"""The pipeline that a thread runs."""


class _StoppedError(Exception):
    """The run needs no more."""


class Pipeline:
    """Blocks of requests on their way through the actors of one model.

    Parameters
    ----------
    requests : sequence of Request
        What is asked.
    work : Work
        What each actor is made with.
    collector : actor
        Who takes their predictions.
    options : RayOptions
        How many actors, and what each has.
    least, most : int
        How many actors there are.
    environment : mapping
        Ray's runtime environment of the actors, where the connection doesn't say it.
    """

    def __init__(
        self,
        requests: Sequence[Request],
        work: Work,
        collector: Any,
        options: RayOptions,
        *,
        least: int,
        most: int,
        environment: dict[str, Any],
    ) -> None:
        data = ray("data")
        self.error: BaseException | None = None
        self.stopped = threading.Event()
        self.executor: Any = None
        blocks = _blocks(requests, min(options.batch_size, -(-len(requests) // most)))
        with _quiet():
            asked = data.from_arrow(blocks)
            self._set(asked.context)
            self._answered = asked.map_batches(
                Answers,
                fn_constructor_args=(work, collector),
                batch_size=None,
                batch_format="pyarrow",
                compute=data.ActorPoolStrategy(
                    min_size=min(least, len(blocks)), max_size=min(most, len(blocks))
                ),
                num_cpus=options.num_cpus,
                num_gpus=options.num_gpus,
                **({"runtime_env": environment} if environment else {}),
            )
        self._thread = threading.Thread(target=self._run, name="distill-ray", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether there will be no further prediction."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End the actors, whatever they do, and wait until Ray Data has ended."""
        if self._thread.is_alive() and self.executor is not None:
            self.executor.shutdown(force=True)
        self.stopped.set()
        self._thread.join()

    def _set(self, context: Any) -> None:
        """Let Ray Data neither print, nor leave out what goes wrong, nor try again by itself."""
        context.custom_execution_callback_classes = [
            *context.custom_execution_callback_classes,
            _Stopping,
        ]
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.enable_auto_log_stats = False
        context.max_errored_blocks = 0
        context.actor_task_retry_on_errors = False

    def _run(self) -> None:
        _mine.pipeline = self
        try:
            with _quiet():
                for _ in self._answered.iter_internal_ref_bundles():
                    pass
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 (raised in the thread of the run)
            self.error = None if self.stopped.is_set() else error


class _Stopping:
    """What Ray Data calls while it runs a pipeline, in the thread of which it was made.

    It has the methods of ``ExecutionCallback``. Its class goes to the actors by its name.
    """

    def __init__(self) -> None:
        self._pipeline: Pipeline = _mine.pipeline

    def before_execution_starts(self, executor: Any) -> None:
        """Remember what can be ended."""
        self._pipeline.executor = executor

    def on_execution_step(self, executor: Any) -> None:  # noqa: ARG002
        """End it where it was too early for that."""
        if self._pipeline.stopped.is_set():
            raise _StoppedError

    def after_execution_succeeds(self, executor: Any) -> None:
        """Do nothing."""

    def after_execution_fails(self, executor: Any, error: Exception) -> None:
        """Do nothing: it is raised."""


def _blocks(requests: Sequence[Request], size: int) -> list[Any]:
    """Return tables of at most so many requests each."""
    import pyarrow as pa

    rows = [pickle.dumps(request) for request in requests]
    return [
        pa.table({REQUEST: pa.array(rows[start : start + size], pa.binary())})
        for start in range(0, len(rows), size)
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray Data's own words out of the terminal; its files have them."""
    handlers = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    for handler in handlers:
        handler.addFilter(_nothing)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(_nothing)


def _nothing(_record: logging.LogRecord) -> bool:
    return False
