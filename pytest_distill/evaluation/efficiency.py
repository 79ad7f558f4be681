"""Latency, throughput and memory of models: measured on an eval's own examples, and stored.

Figures depend on the device and the versions, so that a stored one serves only where both are as
they were when it was taken.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from pytest_distill.engines import Engine, Measurable, Memory, Timing, host, plain
from pytest_distill.errors import ComparisonError, ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Request
from pytest_distill.evaluation.models import Model, RunModel, dated, together
from pytest_distill.statistics.quantiles import Units
from pytest_distill.statistics.results import Floats

FigureT = TypeVar("FigureT", Timing, Memory)
Timer = Callable[[Request], Timing]

SEED = 0
WARM_UP = 3
"""How many requests every model answers before the clock counts."""
REPEATS = 3
_REVISION = 3
"""Raised when figures are taken in another way, so that no older one is believed."""
_FIRST_BATCH, _LAST_BATCH = 256, 65536  # tokens a batch, doubled while that helps


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from: under which setting it was measured, and when.

    Parameters
    ----------
    setting : mapping
        Device, its name, dtype, threads, versions.
    made : float
        When, in seconds since 1970.
    earlier : bool
        Whether that was before this run.
    """

    setting: Mapping[str, Any]
    made: float
    earlier: bool = False


@dataclass(frozen=True)
class LatencyFigure:
    """One model's times, in seconds, one value a request, in the order in which they were taken.

    Parameters
    ----------
    example : array, shape (n,)
        For the whole answer.
    first_token, token : array, shape (n,), optional
        For generated text: until its first token, and for each token after it (NaN for a text of
        one token).
    provenance : Provenance
        Where they come from.
    unit : array of int, shape (n,), optional
        Of which independent example each is: the same number for those of one cluster, and so for
        an example that came round again. None: each is of another one.
    independent : int, optional
        How many independent examples there were to draw from.
    """

    example: Floats
    first_token: Floats | None
    token: Floats | None
    provenance: Provenance
    unit: Units | None = None
    independent: int | None = None

    def times(self, part: str) -> tuple[Floats, Units] | None:
        """Return the times of ``"example"``, ``"first_token"`` or ``"token"``, and their units.

        None where this model has no such times.
        """
        values: Floats | None = getattr(self, part)
        if values is None:
            return None
        unit = np.arange(len(values)) if self.unit is None else self.unit
        known = ~np.isnan(values)
        return values[known], unit[known]


@dataclass(frozen=True)
class ThroughputFigure:
    """How many examples a model answers in a second, in batches of the best size.

    Parameters
    ----------
    per_second : float
        The median of the repetitions.
    lowest, highest : float
        Their range.
    batch_tokens : int, optional
        Tokens a batch; None for an engine that batches as it likes.
    n : int
        Number of examples.
    provenance : Provenance
        Where it comes from.
    """

    per_second: float
    lowest: float
    highest: float
    batch_tokens: int | None
    n: int
    provenance: Provenance


@dataclass(frozen=True)
class MemoryFigure:
    """A model's memory while it answers `n` examples, and where the figure comes from."""

    memory: Memory
    n: int
    provenance: Provenance


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


def runs_here(model: Model) -> bool:
    """Return whether a model runs on this machine, so that it can be measured."""
    return isinstance(model, RunModel) and model.elsewhere is None


def runnable(model: Model) -> RunModel:
    """Return a model that runs here; ComparisonError where it does not."""
    if isinstance(model, RunModel):
        if model.elsewhere is not None:
            raise ComparisonError(
                f"model '{model.name}' is asked elsewhere, as {model.elsewhere}: how fast it "
                "answers is the network's and the other users' doing too, so that its speed and "
                "memory are not measured; its latency can be declared in distill.yaml, as "
                f"models.{model.name}.latency_ms"
            )
        return model
    raise ComparisonError(
        f"model '{model.name}' does not run here, so its speed and memory cannot be measured: "
        "declare 'latency_ms' in distill.yaml, or run it"
    )


def device_text(setting: Mapping[str, Any]) -> str:
    """Return the kinds of devices and their names: figures are compared where both are the same.

    Which one of several like GPUs it was makes no difference, and how many of them does.
    """
    kinds = (each.partition(":")[0] for each in str(setting["device"]).split(" + "))
    return f"{' + '.join(kinds)} ({setting['device_name']})"


def same_device(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two figures were taken on the same kind of device."""
    return device_text(one) == device_text(other)


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
    settings = [_setting(model) for model in models]
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


def _setting(model: RunModel) -> dict[str, Any]:
    """Return where and with what a model runs."""
    engine = model.runner
    with model.asking():
        if isinstance(engine, Measurable):
            versions = (model.identity or {}).get("versions", {})
            try:
                return {**plain.json_able(engine.setting), **versions}
            except (ValueError, TypeError) as error:
                raise ModelError(
                    f"model '{model.name}': setting of its engine {type(engine).__qualname__}: "
                    f"{error}"
                ) from None
    info = model.info
    return {"device": info.device, "device_name": host.processor(), "dtype": info.dtype} | {
        "python": platform.python_version()
    }


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
