"""A model that actors of a Ray cluster hold: each of them runs any other engine.

Ray is imported when predictions are asked for, not with this module.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_distill._util.user_code import unless_ours
from pytest_distill.engines import plain
from pytest_distill.engines.file_digests import FileDigests
from pytest_distill.engines.info import ModelInfo
from pytest_distill.engines.port import Dated, Engine, Identified, Unsteady
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.engines.ray.tally import CallProgress, Tally
from pytest_distill.engines.spec import ModelSpec
from pytest_distill.errors import ModelError, one_line
from pytest_distill.evals.requests import Prediction, Request

if TYPE_CHECKING:
    from pytest_distill.engines.ray.answering import Work
    from pytest_distill.engines.ray.collector import News


class RayEngine:
    """Has a model answered by actors of a Ray cluster.

    What the model is, it is as if this process ran it: its identity, digest and size are those of
    the engine under ``of``, so that a run that began here goes on in a cluster, and the other way
    round.

    Parameters
    ----------
    spec : ModelSpec
        The model's entry in ``distill.yaml``.

    Attributes
    ----------
    while_waiting : callable
        Called about once a second while no prediction comes.
    """

    Options = RayOptions

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.options = spec.options_as(RayOptions)
        self.while_waiting: Callable[[], None] = lambda: None
        self._told: dict[str, None] = {}
        self._devices: tuple[str, ...] = ()
        self._tally: Tally = spec.kept.setdefault("tally", Tally(spec.name))
        self._pace: CallProgress | None = None

    @cached_property
    def inner(self) -> Engine:
        """The engine of the model in this process, where it is never loaded."""
        kind = self.options.of.kind
        with unless_ours(kind, self._its_engine, ModelError):
            made: Engine = kind(self._inner_spec)
        return made

    def _asking(self) -> AbstractContextManager[None]:
        """Let whatever that engine raises in the block be an error of the model."""
        return unless_ours(self.inner, self._its_engine, ModelError)

    @property
    def _its_engine(self) -> str:
        return f"the engine of {self._who}"

    @property
    def _inner_spec(self) -> ModelSpec:
        return self.options.of.spec(self.spec)

    @property
    def notes(self) -> list[str]:
        """Sentences about how the predictions came about that a reader should see."""
        with self._asking():
            given = getattr(self.inner, "notes", ())
            said = [given] if isinstance(given, str) else [*map(str, given)]
        return list(dict.fromkeys([*said, *self._told]))

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """What makes the answers: what its own engine says; None where that can't."""
        with self._asking():
            return self.inner.identity if isinstance(self.inner, Identified) else None

    @property
    def info(self) -> ModelInfo:
        """What is known of the model, without the device: that is one of the cluster's."""
        with self._asking():
            known: object = self.inner.info
        if not isinstance(known, ModelInfo):
            raise ModelError(f"{self._its_engine}: info: {plain.shown(known)} is no ModelInfo")
        return replace(known, device=None)

    @property
    def noise_check(self) -> int | None:
        """How many examples of each eval are asked twice."""
        with self._asking():
            return self.inner.noise_check if isinstance(self.inner, Unsteady) else None

    @property
    def placement(self) -> dict[str, Any]:
        """What the actors' models lie on; nothing before the first has answered."""
        return {"device": ", ".join(self._devices)} if self._devices else {}

    @property
    def asked_at(self) -> str:
        """What is asked, as it is written, and in which cluster."""
        of = self.options.of
        return (
            f"{one_line(of.path or of.engine)} in the Ray cluster {one_line(self.options.address)}"
        )

    @property
    def status(self) -> str:
        """How many actors answer, and how fast."""
        return "" if self._pace is None else self._pace.status

    @property
    def spent(self) -> str:
        """How many actors answered in this run, and what was lost; empty where nothing was."""
        return self._tally.told

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id what its own engine asks beside what requests say."""
        with self._asking():
            return self.inner.dated_prompts(requests) if isinstance(self.inner, Dated) else {}

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, each as it is made, in any order.

        Parameters
        ----------
        requests : sequence of Request
            All of one kind.

        Raises
        ------
        ModelError
            Where the cluster cannot be used or has no room, a model in it is another one, or an
            example ends its actor time and again.
        """
        if not requests:
            return
        from pytest_distill.engines.ray.connection import connected

        self._pace = CallProgress(self.options.most)
        with connected(self, self.options, self._who) as ours:
            from pytest_distill.engines.ray.library import of_ray, ray
            from pytest_distill.engines.ray.running import Run

            run = Run(
                self._who,
                self.options,
                self._work(),
                ours=ours,
                tally=self._tally,
                pace=self._pace,
                heard=self._heard,
                while_waiting=lambda: self.while_waiting(),
            )
            try:
                yield from run.answers(requests)
            except ray("exceptions").RayError as error:
                raise ModelError(f"{self._who}: the Ray cluster failed: {of_ray(error)}") from None

    def close(self) -> None:
        """End the connection to the cluster, where no other model uses it."""
        try:
            if "inner" in vars(self):
                with self._asking():
                    self.inner.close()
        finally:
            if "pytest_distill.engines.ray.connection" in sys.modules:
                from pytest_distill.engines.ray.connection import leave

                leave(self)

    @property
    def _who(self) -> str:
        return f"model '{self.spec.name}'"

    def _heard(self, news: News) -> None:
        self._told.update(dict.fromkeys(news.notes))
        self._devices = news.devices

    def _work(self) -> Work:
        """Return what an actor is made with."""
        from pytest_distill.engines.ray.answering import Work, own_version
        from pytest_distill.engines.ray.library import ray

        options = self.options
        spec = replace(
            self._inner_spec,
            device="cpu"
            if options.of.device == "auto" and not options.num_gpus
            else options.of.device,
            threads=max(1, int(options.num_cpus)),
            worker=0,
            workers=1,
            hash_file=FileDigests(),
            kept={},
        )
        identity = self.identity
        working = options.runtime_env.get("working_dir")
        folder = None if not working else (self.spec.folder / str(working)).resolve()
        return Work(
            self._who,
            own_version(),
            tuple(path or str(Path.cwd()) for path in sys.path),
            ray("cloudpickle").dumps((options.of.kind, spec)),
            None if identity is None else plain.json_able(identity),
            folder if folder is not None and folder.is_dir() else None,
        )
