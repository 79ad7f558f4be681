"""On which devices a model lies: one, or several over which ``device_map`` spreads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import torch

from pytest_distill.engines.host import processor
from pytest_distill.engines.transformers.device import dealt_gpu, resolve_device
from pytest_distill.engines.transformers.options import Spec

_BY_ROOM = ("auto", "balanced", "balanced_low_0", "sequential")
"""The device maps that transformers makes of the memory that is free when it loads a model."""


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
