"""How fast a loaded model is, one request at a time and in batches, and what it holds.

Measured is the model as torch runs it by itself, without `onednn`: as it would be served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import torch

from pytest_distill.engines import Memory, Timing, file_digest, host
from pytest_distill.engines.transformers import places
from pytest_distill.engines.transformers.loaded import Budget, Loaded
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.places import release, synchronize
from pytest_distill.engines.transformers.weights import bytes_held
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request

Answer = Callable[[Loaded, Sequence[Request]], Iterator[Prediction]]
"""The engine's way to answer requests of one kind."""

_MOST_TIMES = 3
"""How often answers are given until a pass shows nothing new; twice, but for a model that draws."""


def setting(spec: Spec, dtype: str | None) -> dict[str, Any]:
    """Return what a measurement depends on beside the model and the versions; nothing is loaded.

    Where only loading the model tells on which devices it lies, its ``device_map`` stands for them.
    """
    known = places.planned(spec)
    where = places.about(known, spec.threads)
    return {**where, "device": where["device"] or spec.options.device_map, "dtype": dtype}


def placement(loaded: Loaded) -> dict[str, Any]:
    """Return what `setting` says of the devices, as it is now that the model is loaded."""
    return places.about(places.found(loaded.model), None)


def time_one(loaded: Loaded, answer: Answer, request: Request) -> Timing:
    """Answer one request, and read the clock before, at the first generated token and after.

    The device is synchronised before each reading: its kernels run on their own; see `_clocked`.
    Tokens are counted at the projection onto the vocabulary, which runs once a token in every way
    to generate.
    """
    stamps: list[float] = []
    gpus = places.gpus(loaded.model)

    def stamp(*_: Any) -> None:
        if not stamps:
            synchronize(gpus)
        stamps.append(perf_counter())

    projection = loaded.model.get_output_embeddings() if request.generates else None
    with nullcontext() if projection is None else projection.register_forward_hook(stamp):
        begin, seconds = _clocked(_settled(loaded, answer, [request]), answer, [request], stamps)
    if not stamps:
        return Timing(seconds)
    return Timing(seconds, stamps[0] - begin, len(stamps))


def time_all(
    loaded: Loaded, answer: Answer, requests: Sequence[Request], batch_tokens: int
) -> float:
    """Return how many seconds all requests take together."""
    sized = replace(
        _settled(loaded, answer, requests),
        budget=Budget(batch_tokens),
        generation_budget=Budget(batch_tokens),
        notes=[],
    )
    return _clocked(sized, answer, requests)[1]


def _clocked(
    loaded: Loaded, answer: Answer, requests: Sequence[Request], stamps: list[float] | None = None
) -> tuple[float, float]:
    """Return when answers began, and how many seconds they took with no pass of a new shape.

    A GPU's libraries load, choose or build a kernel at the first sight of a shape, which may take
    longer than all else. So the answers are given again where a pass had tensors of shapes that
    this model had not read before the clock ran; `stamps` is emptied before that.
    """
    seen, begin, seconds = loaded.findings.shapes, 0.0, 0.0
    gpus = places.gpus(loaded.model)
    for _ in range(_MOST_TIMES):
        shapes: set[tuple[torch.Size, ...]] = set()
        with _looking(loaded.model, shapes):
            if stamps:
                stamps.clear()
            synchronize(gpus)
            begin = perf_counter()
            list(answer(loaded, requests))
            synchronize(gpus)
            seconds = perf_counter() - begin
        if shapes <= seen:
            break
        seen |= shapes
    return begin, seconds


def _looking(model: Any, shapes: set[tuple[torch.Size, ...]]) -> AbstractContextManager[Any]:
    """Collect what shapes the tensors of each pass have: a mask tells how long its cache is."""

    def look(_module: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
        values = (*args, *given.values())
        shapes.add(tuple(value.shape for value in values if isinstance(value, torch.Tensor)))

    hook: AbstractContextManager[Any] = model.register_forward_pre_hook(look, with_kwargs=True)
    return hook


def _settled(loaded: Loaded, answer: Answer, requests: Sequence[Request]) -> Loaded:
    """Return the model with all trials behind it: while the clock runs, nothing is read twice.

    Where not as many requests of this kind were answered before, they are, so that it is known how.
    """
    warm = loaded.findings.warmed_up
    plain, kind = _as_served(loaded), type(requests[0]).__name__
    if len(requests) > warm.get(kind, 0):
        list(answer(plain, requests))
        warm[kind] = len(requests)
    return replace(plain, settled=True)


def _as_served(loaded: Loaded) -> Loaded:
    """Return the model as torch runs it by itself, each request answered for itself."""
    return replace(loaded, onednn=False, joins=False)


def memory(loaded: Loaded, answer: Answer, requests: Sequence[Request]) -> Memory:
    """Return the bytes of the weights, and the most that was held while the requests ran.

    Of a model on GPUs that is the sum over them, and what of its weights lies elsewhere.
    """
    model = loaded.model
    gpus = places.gpus(model)
    release(loaded.device)
    with _peak(gpus) as peak:
        list(answer(_as_served(loaded), requests))
    weights = bytes_held(model) + places.bytes_offloaded(model)
    beside = places.bytes_beside(model) if gpus else 0
    return Memory(weights, sum(peak) + beside, "CUDA tensors" if gpus else "process")


def on_cpu(spec: Spec) -> bool:
    """Return whether a model runs on the CPU, as far as can be told without loading it."""
    return places.planned(spec) == ("cpu",)


def memory_apart(
    spec: Spec, requests: Sequence[Request], measure: Callable[[Spec, list[Request]], Memory]
) -> Memory:
    """Return what `measure` does in a process that holds this model and nothing else.

    Raises
    ------
    ModelError
        As where the model is loaded here, or when the process is killed.
    """
    # The store's way to hash files can't leave this process; loading needs no digest.
    alone = replace(spec, hash_file=file_digest)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(measure, alone, list(requests)).result()
        except ModelError as error:
            raise ModelError(str(error)) from None  # without the other process's traceback
        except BrokenProcessPool:
            raise ModelError(
                f"model '{spec.name}': the process that measures its memory was ended from "
                "outside, as the system does where memory runs out"
            ) from None


@contextmanager
def _peak(gpus: Sequence[torch.device]) -> Iterator[list[int]]:
    """Give a list that holds the peak, in bytes, of each GPU or of the process at the end."""
    for gpu in gpus:
        torch.cuda.reset_peak_memory_stats(gpu)
    host.forget_peak()
    peak: list[int] = []
    yield peak
    synchronize(gpus)
    peak += [torch.cuda.max_memory_allocated(gpu) for gpu in gpus] or [host.peak_memory()]
