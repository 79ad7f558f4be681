"""On which devices a model runs, their memory, and what one forward pass may hold there.

It is one, or several over which ``device_map`` spreads a model. A device is passed on every call of
CUDA, since torch's default is the current device, which none of the models need be on.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch

from pytest_distill.engines.host import processor
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.errors import ModelError

_BY_ROOM = ("auto", "balanced", "balanced_low_0", "sequential")
"""The device maps that transformers makes of the memory that is free when it loads a model."""
# On a CPU a batch should stay in its caches: with SmolLM2-135M (one thread, 20 ARC-Easy questions)
# batches of 256, 512, 1024, 2048 and 4096 tokens took 7.0, 7.4, 8.0, 10.8 and 15.9 s of CPU time.
_TOKENS_ON_CPU = 512
# Bounds of what is found from the free memory: fewer tokens leave a GPU idle, more gain nothing.
_TOKENS_ON_CUDA = (1024, 32768)
# Generating reads all weights for one token a row, so here more rows always help.
_TOKENS_GENERATING_ON_CPU = 4096


def planned(spec: Spec) -> tuple[str, ...]:
    """Return the devices that a model will lie on; none where only loading it tells.

    Raises
    ------
    ModelError
        Where its device is not here.
    """
    count = torch.cuda.device_count()
    mapped = spec.options.device_map
    if mapped is None:
        return names([resolve_device(spec)], count)
    if isinstance(mapped, dict):
        return names(mapped.values(), count)
    if mapped not in _BY_ROOM:
        return names([mapped], count)
    return () if count else ("cpu",)


def shared(spec: Spec) -> tuple[str, ...]:
    """Return the ids of the GPUs that a model will use and that other workers may use too.

    Workers that are no more than the GPUs have one each, unless a model's entry says which.
    """
    count = torch.cuda.device_count()
    dealt = spec.options.device_map is None and spec.device in ("auto", "cuda")
    if dealt and spec.workers <= count:
        return ()
    return tuple(
        # torch 2.4 does not tell the id.
        str(getattr(torch.cuda.get_device_properties(place), "uuid", place.replace(":", "-")))
        for place in planned(spec) or names(range(count), count)
        if place.startswith("cuda")
    )


def found(model: Any) -> tuple[str, ...]:
    """Return the devices that a loaded model lies on, those that it is offloaded to included."""
    held = {tensor.device for tensor in _tensors(model) if tensor.device.type != "meta"}
    mapped = (getattr(model, "hf_device_map", None) or {}).values()
    return names([*held, *mapped], torch.cuda.device_count())


def names(devices: Iterable[object], count: int) -> tuple[str, ...]:
    """Return what devices are called, each once: GPUs first, then the CPU, then the disk.

    Parameters
    ----------
    devices : iterable
        As in a device map: numbers of GPUs, names, or torch's devices.
    count : int
        How many GPUs there are: a single one is ``cuda``, whatever its number.
    """
    known: dict[tuple[bool, str, int], str] = {}
    for device in devices:
        name = f"cuda:{device}" if str(device).isdecimal() else str(device)
        kind, _, index = name.partition(":")
        place = int(index) if index.isdecimal() else 0
        if kind == "cuda" and place < count:
            name = str(dealt_gpu(place, count))
        known[kind != "cuda", kind, place] = name
    return tuple(known[place] for place in sorted(known))


def gpus(model: Any) -> list[torch.device]:
    """Return the GPUs that a loaded model lies on."""
    return [torch.device(name) for name in found(model) if name.startswith("cuda")]


def bytes_beside(model: Any) -> int:
    """Return how many bytes of a model's weights lie on no GPU, on the CPU or on disk."""
    return sum(tensor.nbytes for tensor in _tensors(model) if tensor.device.type != "cuda")


def bytes_offloaded(model: Any) -> int:
    """Return how many bytes of its weights a model fetches when it needs them."""
    return sum(tensor.nbytes for tensor in _tensors(model) if tensor.device.type == "meta")


def input_device(model: Any, embeddings: torch.Tensor | None) -> torch.device:
    """Return where a spread model's inputs go: to its embeddings, where these are not offloaded."""
    held = chain([] if embeddings is None else [embeddings], _tensors(model))
    return next((t.device for t in held if t.device.type != "meta"), torch.device("cpu"))


def about(places: Sequence[str], threads: int | None) -> dict[str, Any]:
    """Return what a measurement's setting says of the devices that a model lies on.

    Of devices that are not known yet it names what they may be: all GPUs.
    """
    count = torch.cuda.device_count()
    chips = [
        torch.cuda.get_device_name(place) if place.startswith("cuda") else processor()
        for place in places or names(range(count), count)
        if place != "disk"
    ]
    return {
        "device": text(places),
        "device_name": " + ".join(dict.fromkeys(chips)),
        "threads": threads or torch.get_num_threads() if "cpu" in places else None,
    }


def text(places: Sequence[str]) -> str | None:
    """Return devices as a report names them; None where they are not known."""
    return " + ".join(places) or None


def _tensors(model: Any) -> Iterable[torch.Tensor]:
    return chain(model.parameters(), model.buffers())


def resolve_device(spec: Spec) -> torch.device:
    """Return the device that ``device:`` means on this machine.

    Raises
    ------
    ModelError
        When it names CUDA, or a CUDA device, that is not there, or no device at all: a model that
        was meant for a GPU never runs silently on the CPU.
    """
    asked = f"model '{spec.name}': device '{spec.device}'"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if spec.device == "auto" and not count:
        return torch.device("cpu")
    if spec.device in ("auto", "cuda") and count:
        return dealt_gpu(spec.worker, count)
    try:
        device = torch.device(spec.device)
    except RuntimeError:
        raise ModelError(f"{asked} is unknown; use auto, cuda, cuda:N or cpu") from None
    if device.type == "cuda":
        if not count:
            raise ModelError(
                f"{asked} was asked for, but torch {torch.__version__} finds no CUDA device here; "
                "use 'device: auto' or 'cpu', or run where a GPU is"
            )
        if device.index is not None and device.index >= count:
            there = f"cuda:0 to cuda:{count - 1}" if count > 1 else "cuda:0"
            raise ModelError(f"{asked} was asked for, but this machine has only {there}")
    return device


def dealt_gpu(worker: int, count: int) -> torch.device:
    """Return the GPU of one of several processes that share a machine; plain where it has one."""
    return torch.device("cuda", worker % count) if count > 1 else torch.device("cuda")


def token_budget(spec: Spec, device: torch.device, model: Any, *, generating: bool = False) -> int:
    """Return how many tokens, padding included, a batch has: ``batch_tokens``, else a default.

    On CUDA the default follows from the memory that is free now, beside what other processes hold.
    """
    if spec.options.batch_tokens is not None:
        return spec.options.batch_tokens
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return tokens_that_fit(free + idle, bytes_per_token(model))
    return _TOKENS_GENERATING_ON_CPU if generating else _TOKENS_ON_CPU


def tokens_that_fit(free: int, each: int) -> int:
    """Return how many tokens of `each` bytes half of the `free` memory takes, within bounds.

    Half, because the allocator's blocks are not all of one size; a batch that doesn't fit all the
    same is halved.
    """
    least, most = _TOKENS_ON_CUDA
    return max(least, min(most, free // (2 * each)))


def bytes_per_token(model: Any) -> int:
    """Return about how many bytes a forward pass takes for a token, at its widest.

    One layer's activations (hidden states, queries, keys and values, and the feed-forward part,
    of which a few live at a time), all layers' cached keys and values, and the logits in the
    model's type and in float32.
    """
    config = model.config.get_text_config()
    hidden = _size(config, "hidden_size") or 1024
    inner = _size(config, "intermediate_size") or 4 * hidden
    outputs = _size(config, "vocab_size") or 0
    widest = model.dtype.itemsize * (8 * hidden + 3 * inner + outputs) + 2 * 4 * outputs
    return int(widest + cached_bytes_per_token(model))


def cached_bytes_per_token(model: Any) -> int:
    """Return how many bytes the keys and values of a token take, in all layers."""
    config = model.config.get_text_config()
    heads = _size(config, "num_attention_heads") or 1
    kv_heads = _size(config, "num_key_value_heads") or heads
    size = _size(config, "head_dim") or (_size(config, "hidden_size") or 1024) // heads
    layers = _size(config, "num_hidden_layers") or 1
    return 2 * layers * kv_heads * size * int(model.dtype.itemsize)


def _size(config: Any, key: str) -> int | None:
    """Return a size that a config names, the largest where it names one a layer; None if none."""
    try:
        named: Any = getattr(config, key, None)
    except Exception:  # noqa: BLE001 - some refuse to name one where layers differ
        return None
    sizes = [int(size) for size in (named if isinstance(named, list | tuple) else [named]) if size]
    return max(sizes, default=None)


def tokens_of_copies(model: Any, length: int) -> int:
    """Return what a row's own copy of the cache of a prefix counts in a budget, in tokens read."""
    return math.ceil(length * cached_bytes_per_token(model) / bytes_per_token(model))


def release(device: torch.device) -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.empty_cache()


def synchronize(devices: Iterable[torch.device]) -> None:
    """Wait until GPUs have done all that they were given: their kernels run on their own."""
    for device in devices:
        torch.cuda.synchronize(device)
