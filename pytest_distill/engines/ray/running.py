"""One call of the engine: pipelines until every request has its prediction."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pytest_distill.engines.ray import room
from pytest_distill.engines.ray.answering import Work
from pytest_distill.engines.ray.collector import Collector, News
from pytest_distill.engines.ray.library import of_ray, ray
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.engines.ray.pipeline import Pipeline
from pytest_distill.engines.ray.tally import CallProgress, Tally
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request

_LOOK_SECONDS = 1.0
"""How often it is told that predictions are waited for."""
_END_SECONDS = 0.1
"""How often it is looked whether all is over, once every prediction is here."""
_IDLE_SECONDS = 15.0
"""How long no actor may do anything after a node was lost, until those that fit begin anew."""


@dataclass(eq=False)
class Run:
    """The requests of one call, on their way through a cluster that this process is connected to.

    Parameters
    ----------
    who : str
        The model, for messages.
    options : RayOptions
        What ``distill.yaml`` says.
    work : Work
        What each actor is made with.
    ours : bool
        Whether the connection was made for this model: else its runtime environment is not set.
    tally, pace : Tally, CallProgress
        Where it is counted.
    heard : callable
        Told what the actors say of their engines.
    while_waiting : callable
        Called about once a second while no prediction comes.
    """

    who: str
    options: RayOptions
    work: Work
    ours: bool
    tally: Tally
    pace: CallProgress
    heard: Callable[[News], None]
    while_waiting: Callable[[], None]

    def __post_init__(self) -> None:
        self._ray = ray()
        self._nodes: list[room.Node] = []
        self._idle_since: float | None = None
        self._goes_on = True
        self._before = self.tally.begun_anew, self.tally.asked_again
        self._homes: frozenset[str] = frozenset()

    def answers(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, each as it reaches this process."""
        self._make_room()
        collector = self._collector()
        left = {request.id: request for request in requests}
        least, most = self.options.least, self.options.most
        try:
            while True:
                pipeline = self._pipeline([*left.values()], collector, least, most)
                try:
                    for prediction in self._taken(pipeline, collector, left):
                        left.pop(prediction.id, None)
                        self.tally.answered += 1
                        self.pace.count()
                        yield prediction
                finally:
                    pipeline.stop()
                    self.tally.nodes_lost += self._lost_homes()
                if pipeline.error is not None:
                    raise ModelError(f"{self.who}: Ray ended: {of_ray(pipeline.error)}")
                if self._goes_on or not left:
                    return
                least, most = self._what_is_left(most)
        finally:
            self._ray.kill(collector)

    def _pipeline(
        self, requests: Sequence[Request], collector: Any, least: int, most: int
    ) -> Pipeline:
        self._nodes, self._idle_since, self._goes_on = self._alive(), None, True
        return Pipeline(
            requests,
            self.work,
            collector,
            self.options,
            least=least,
            most=most,
            environment={} if self.ours else self.options.runtime_env,
        )

    def _collector(self) -> Any:
        """Start the actor that takes predictions, on the node of this process."""
        on = ray("util.scheduling_strategies").NodeAffinitySchedulingStrategy
        here = self._ray.get_runtime_context().get_node_id()
        kind = self._ray.remote(num_cpus=0, max_restarts=0)(Collector)
        return kind.options(scheduling_strategy=on(here, soft=False)).remote(self.who)

    def _taken(
        self, pipeline: Pipeline, collector: Any, left: Mapping[str, Request]
    ) -> Iterator[Prediction]:
        """Yield predictions until the pipeline has ended, or goes no further."""
        while True:
            ended = pipeline.ended
            patience = 0.0 if ended else _LOOK_SECONDS if left else _END_SECONDS
            news: News = self._asked(collector.news.remote(patience))
            self._told(news)
            for answer in news.answers:
                prediction: Prediction = pickle.loads(answer)  # noqa: S301 (made by our actors)
                yield prediction
            if news.answers:
                continue
            if news.failure is not None:
                raise news.failure.error()
            if ended:
                return
            self.while_waiting()
            if not self._still_goes_on(news):
                self._goes_on = False
                return

    def _asked(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raise ModelError(
                f"{self.who}: the process that takes predictions on this node ended "
                f"({of_ray(error)}); what was answered before is kept, run again"
            ) from None

    def _told(self, news: News) -> None:
        self.heard(news)
        self.pace.ready = news.ready
        tally = self.tally
        self._homes = news.homes
        tally.actors = max(tally.actors, news.ready)
        tally.nodes = max(tally.nodes, news.answering)
        anew, again = self._before
        tally.begun_anew, tally.asked_again = anew + news.begun_anew, again + news.asked_again

    def _alive(self) -> list[room.Node]:
        return room.alive(self._ray.nodes())

    def _lost_homes(self) -> int:
        """Return how many nodes were lost that had an actor since the pipeline was started."""
        with suppress(self._ray.exceptions.RayError):
            alive = {node.id for node in self._alive()}
            return sum(node.id in self._homes and node.id not in alive for node in self._nodes)
        return 0

    def _still_goes_on(self, news: News) -> bool:
        """Return False where a node was lost, and no actor on the others does anything since."""
        alive = {node.id for node in self._alive()}
        if {node.id for node in self._nodes} <= alive or (news.loading | news.busy) & alive:
            self._idle_since = None
            return True
        self._idle_since = self._idle_since or time.monotonic()
        return time.monotonic() - self._idle_since < _IDLE_SECONDS

    def _what_is_left(self, most: int) -> tuple[int, int]:
        """Return how many actors fit into what is left of the cluster; ModelError where none."""
        options = self.options
        fit = room.fitting(self._alive(), options.num_cpus, options.num_gpus, reading=0)
        if fit < 1:
            lacking = self._lacking(1, waited=True)
            raise ModelError(f"{self.who}: nodes were lost, and there is {lacking}; run again then")
        return 1, int(min(most, fit))

    def _lacking(self, actors: int, *, waited: bool) -> str | None:
        options = self.options
        return room.lacking(
            self._alive(), actors, options.num_cpus, options.num_gpus, waited=waited
        )

    def _make_room(self) -> None:
        """Return once there is room for the actors; ModelError where there won't be."""
        options = self.options
        lacking = self._lacking(options.least, waited=bool(options.wait))
        if lacking is not None and options.wait:
            lacking = self._waited(lacking)
        if lacking is not None:
            waited = f" (after {options.wait:g} s)" if options.wait else ""
            raise ModelError(f"{self.who}: {lacking}{waited}")

    def _waited(self, lacking: str | None) -> str | None:
        """Ask an autoscaler for what is lacking, and return what is lacking then."""
        request_resources = ray("autoscaler.sdk").request_resources
        options, until = self.options, time.monotonic() + self.options.wait
        each = {"CPU": options.num_cpus, "GPU": options.num_gpus}
        bundle = {name: amount for name, amount in each.items() if amount}
        request_resources(bundles=[bundle] * options.least + [{"CPU": room.READING}])
        try:
            while lacking is not None and time.monotonic() < until:
                self.pace.waiting = "waiting for nodes"
                self.while_waiting()
                time.sleep(min(_LOOK_SECONDS, max(0.0, until - time.monotonic())))
                lacking = self._lacking(options.least, waited=True)
        finally:
            self.pace.waiting = ""
            request_resources(bundles=[])
        return lacking
