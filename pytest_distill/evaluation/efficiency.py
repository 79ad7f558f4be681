"""Latency, throughput and memory of models: measured on an eval's own examples, and stored.

Figures depend on the device and the versions, so that a stored one serves only where both are as
they were when it was taken.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from pytest_distill.engines import Engine, Measurable, Memory, Timing, plain
from pytest_distill.errors import ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Request
from pytest_distill.evaluation.described_model import dated
from pytest_distill.evaluation.figures import (
    LatencyFigure,
    MemoryFigure,
    Provenance,
    ThroughputFigure,
    runnable,
    setting_of,
)
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel, together
from pytest_distill.statistics.quantiles import Units

FigureT = TypeVar("FigureT", Timing, Memory)
Timer = Callable[[Request], Timing]

SEED = 0
WARM_UP = 3
"""How many requests every model answers before the clock counts."""
REPEATS = 3
_REVISION = 3
"""Raised when figures are taken in another way, so that no older one is believed."""
_FIRST_BATCH, _LAST_BATCH = 256, 65536  # tokens a batch, doubled while that helps


def latencies(models: Sequence[Model], on: Eval, examples: int) -> list[LatencyFigure]:
    """Return how long each model takes for an example alone; example i stands at place i of each.

    All models answer the same examples, warmed up, and in an order that is drawn anew for each:
    measuring one after the other misjudges a machine that drifts.

    Parameters
    ----------
    models : sequence of Model
        All of them are in memory at once.
    on : Eval
        Whose examples are answered.
    examples : int
        How many, drawn at random, of each cluster one before any has another; where there are
        fewer, they come round again.
    """
    running = [runnable(model) for model in models]
    independent = _independent(on)
    drawn = _drawn(independent, examples)
    unit, chosen = np.array([place for place, _ in drawn]), [request for _, request in drawn]

    def measure() -> Any:
        with together(running) as engines:
            return _timed([_timer(*pair) for pair in zip(running, engines, strict=True)], chosen)

    value, provenances = _figure("latency", running, chosen, measure)
    found = [
        _latency([Timing(*row) for row in rows], provenance, unit, len(independent))
        for rows, provenance in zip(value, provenances, strict=True)
    ]
    for model, latency in zip(running, found, strict=True):
        model.figures[on.name, "latency"] = latency
    return found


def throughput(model: Model, on: Eval, examples: int) -> ThroughputFigure:
    """Return how many examples a model answers in a second, at the best of several batch sizes."""
    running = runnable(model)
    each = [[request] for request in on.requests()]
    chosen = [request for _, request in _drawn(each, min(examples, len(each)))]

    def measure() -> Any:
        with together([running]) as (engine,):
            return _best_batch(engine, chosen)

    (batch_tokens, seconds), (provenance,) = _figure("throughput", [running], chosen, measure)
    rates = [len(chosen) / each for each in seconds]
    found = ThroughputFigure(
        per_second=median(rates),
        lowest=min(rates),
        highest=max(rates),
        batch_tokens=batch_tokens,
        n=len(chosen),
        provenance=provenance,
    )
    model.figures[on.name, "throughput"] = found
    return found


def memory(model: Model, on: Eval, examples: int) -> MemoryFigure:
    """Return what a model holds while it answers the longest of an eval's examples.

    Raises
    ------
    ModelError
        Where its engine cannot tell.
    """
    running = runnable(model)
    chosen = sorted(on.requests(), key=_length, reverse=True)[:examples]

    def measure() -> Any:
        with together([running]) as (engine,):
            if not isinstance(engine, Measurable):
                raise ModelError(
                    f"the engine of model '{model.name}' cannot tell what it holds in memory"
                )
            return asdict(_given(Memory, engine, engine.memory(chosen)))

    value, (provenance,) = _figure("memory", [running], chosen, measure)
    found = MemoryFigure(Memory(**value), len(chosen), provenance)
    model.figures[on.name, "memory"] = found
    return found


def interleaved(
    timers: Sequence[Timer], requests: Sequence[Request], seed: int = SEED
) -> list[list[Timing]]:
    """Time every request with all timers, in an order drawn anew for each request.

    Returns
    -------
    list of list of Timing
        One list a timer, in the order of the requests.
    """
    draw = random.Random(seed)
    taken: list[list[Timing]] = [[] for _ in timers]
    for request in requests:
        for place in draw.sample(range(len(timers)), len(timers)):
            taken[place].append(timers[place](request))
    return taken


def _timed(timers: Sequence[Timer], requests: Sequence[Request]) -> list[list[tuple[Any, ...]]]:
    for timer in timers:
        for request in requests[:WARM_UP]:
            timer(request)
    return [[astuple(timing) for timing in rows] for rows in interleaved(timers, requests)]


def _timer(model: RunModel, engine: Engine) -> Timer:
    """Return what answers one request with a model, and blames that model for what it raises."""

    def timed(request: Request) -> Timing:
        with model.asking():
            if isinstance(engine, Measurable):
                return _given(Timing, engine, engine.time_one(request))
            return Timing(_seconds(engine, [request]))

    return timed


def _time_all(engine: Measurable, requests: Sequence[Request], size: int) -> float:
    seconds = engine.time_all(requests, size)
    try:
        return plain.finite(seconds)
    except ValueError as error:
        raise ModelError(f"time_all of the engine {type(engine).__qualname__}: {error}") from None


def _given(kind: type[FigureT], engine: Measurable, value: Any) -> FigureT:
    """Return what an engine measured where it is of the kind that it must be."""
    if not isinstance(value, kind):
        raise ModelError(
            f"the engine {type(engine).__qualname__} gave {plain.shown(value)}, not a "
            f"{kind.__name__}"
        )
    return value


def _best_batch(engine: Engine, requests: Sequence[Request]) -> tuple[int | None, list[float]]:
    """Return the batch size that answers fastest, and how many seconds it took each time."""
    if not isinstance(engine, Measurable):
        return None, [_seconds(engine, requests) for _ in range(1 + REPEATS)][1:]
    engine.time_all(requests[:WARM_UP], _FIRST_BATCH)
    best, least, worse = _FIRST_BATCH, float("inf"), 0
    size = _FIRST_BATCH
    while size <= _LAST_BATCH and worse < 2:
        seconds = _time_all(engine, requests, size)
        worse = 0 if seconds < least else worse + 1
        best, least = (size, seconds) if seconds < least else (best, least)
        size *= 2
    return best, [_time_all(engine, requests, best) for _ in range(REPEATS)]


def _seconds(engine: Engine, requests: Sequence[Request]) -> float:
    begin = perf_counter()
    for _prediction in engine.predict(requests):
        pass
    return perf_counter() - begin


def _latency(
    timings: Sequence[Timing], provenance: Provenance, unit: Units, independent: int
) -> LatencyFigure:
    """Return times as arrays; those of first tokens where every text has some."""
    first = [t.first_token for t in timings if t.first_token is not None]
    each = [
        (t.seconds - t.first_token) / (t.tokens - 1)
        if t.first_token is not None and t.tokens is not None and t.tokens > 1
        else np.nan
        for t in timings
    ]
    return LatencyFigure(
        example=np.array([t.seconds for t in timings]),
        first_token=np.array(first) if len(first) == len(timings) else None,
        token=None if np.isnan(each).all() else np.array(each),
        provenance=provenance,
        unit=unit,
        independent=independent,
    )


def _figure(
    kind: str, models: Sequence[RunModel], requests: Sequence[Request], measure: Callable[[], Any]
) -> tuple[Any, list[Provenance]]:
    """Return a figure, from the store where all that it depends on is as it was.

    The requests stand in the order in which they are answered, and so tell of which of them each
    stored time is. Where the models lay stands beside the figure: a setting may not know it before.
    """
    settings = [setting_of(model) for model in models]
    about = {
        "figure": kind,
        "settings": settings,
        "requests": [request_key(request).hex() for request in requests],
        "how": [_REVISION, SEED, WARM_UP, REPEATS],
        **dated(models, requests),
    }
    identities = [model.identity for model in models]
    known = None not in identities

    def placed() -> Any:
        value = measure()
        return value, [model.placement for model in models]

    found = models[0].figure({**about, "models": identities} if known else None, placed)
    value, placements = found.value
    return value, [
        Provenance({**setting, **placement}, found.made, found.earlier)
        for setting, placement in zip(settings, placements, strict=True)
    ]


def _independent(on: Eval) -> list[list[Request]]:
    """Return the requests of each cluster in random order: what asks the same thing is one.

    Without clusters every request stands alone. Times of examples of one cluster are alike, as
    those of an example that is asked again are, so that they tell little more than one of them.
    """
    requests, clusters = on.requests(), on.clusters
    if clusters is None:
        return [[request] for request in requests]
    members: dict[str, list[Request]] = {}
    for request, cluster in zip(requests, clusters, strict=True):
        members.setdefault(cluster, []).append(request)
    draw = random.Random(SEED)
    return [draw.sample(each, len(each)) for each in members.values()]


def _drawn(groups: Sequence[Sequence[Request]], count: int) -> list[tuple[int, Request]]:
    """Return requests in random order with their groups' places.

    Each group has its turn before any comes again, then with its next request.
    """
    draw = random.Random(SEED)
    drawn: list[tuple[int, Request]] = []
    turn = 0
    while len(drawn) < count:
        places = draw.sample(range(len(groups)), min(len(groups), count - len(drawn)))
        drawn += [(place, groups[place][turn % len(groups[place])]) for place in places]
        turn += 1
    return drawn


def _length(request: Request) -> int:
    return sum(len(value) for value in astuple(request) if isinstance(value, str | tuple))
