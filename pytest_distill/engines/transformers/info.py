"""What is known of a model beside its answers, without loading its weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from safetensors import safe_open

from pytest_distill.engines import ModelInfo
from pytest_distill.engines.transformers import places
from pytest_distill.engines.transformers.architecture import (
    GGUF_DTYPE,
    architecture,
    as_model_errors,
    read_config,
    token_embeddings,
)
from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.quantisation import gguf_packing, packing

_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def describe(spec: Spec, checkpoint: Checkpoint) -> ModelInfo:
    """Return what is known of a model: its size, its identity and what it will run in."""
    with quiet(), as_model_errors(spec):
        config = read_config(spec, checkpoint)
        _, cls = architecture(spec, checkpoint, config)
        count = count_parameters(spec, cls, config)
    adapter = sum(
        prod(shape)
        for name, shape in checkpoint.adapter_shapes().items()
        if name not in count.names  # in the place of the base model's own, as a new head is
    )
    return ModelInfo(
        name=spec.name,
        role=spec.role,
        parameters=count.total + adapter,
        active_parameters=count.active + adapter,
        embedding_parameters=count.embedding,
        quantization=quantization(spec, checkpoint),
        bytes=checkpoint.bytes,
        dtype=_dtype(spec, checkpoint, config),
        device=_device(spec),
        path=spec.path,
        digest=checkpoint.digest,
        weights_digest=checkpoint.weights_digest,
    )


@dataclass(frozen=True, slots=True)
class Count:
    """Numbers of parameters, tied ones once.

    Parameters
    ----------
    total, active, embedding : int
        All; those that one token passes through; those of the table of token embeddings.
    names : frozenset of str
        What the tensors are called that hold them.
    """

    total: int
    active: int
    embedding: int
    names: frozenset[str] = field(default=frozenset(), compare=False)


def count_parameters(spec: Spec, cls: Any, config: Any) -> Count:
    """Return how many parameters an architecture has.

    Counted on the meta device, where tensors have a shape and no memory. Packed weights of a
    quantised checkpoint hold several parameters each, so that its quantisation is left out. Of a
    mixture of experts a token passes through ``num_experts_per_tok`` of those that the router
    chooses from, and through everything else.
    """
    model = unpacked_on_meta(spec, cls, config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    total = sum(sizes.values())
    routed = sum(size for name, size in sizes.items() if ".experts." in name)
    chosen, experts = _experts(config)
    idle = routed * (experts - chosen) // experts if routed else 0
    table = token_embeddings(model)
    return Count(total, total - idle, 0 if table is None else table.numel(), frozenset(sizes))


def unpacked_on_meta(spec: Spec, cls: Any, config: Any) -> Any:
    """Return a model as its architecture has it, without memory and without quantisation."""
    config = copy.deepcopy(config)
    for part in (config, config.get_text_config()):
        if hasattr(part, "quantization_config"):
            del part.quantization_config
    with torch.device("meta"):
        if hasattr(cls, "from_config"):  # an Auto class
            return cls.from_config(config, trust_remote_code=spec.options.trust_remote_code)
        return cls(config)


def _experts(config: Any) -> tuple[int, int]:
    """Return how many experts a token passes through, and how many there are to choose from."""
    text = config.get_text_config()
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    experts = next((n for name in names if (n := getattr(text, name, None))), 1)
    return min(getattr(text, "num_experts_per_tok", None) or experts, experts), experts


def quantization(spec: Spec, checkpoint: Checkpoint) -> str | None:
    """Return how the weights are packed, as far as the checkpoint says it."""
    if spec.options.gguf_file:
        return gguf_packing(checkpoint.weights[0])
    packed = packing(spec, checkpoint.config)
    return None if packed is None else str(packed)


def _device(spec: Spec) -> str | None:
    """Return where the model runs: a device that is not here is no error before it is loaded."""
    if spec.options.device_map is None and spec.device != "auto":
        return places.text(places.names([spec.device], torch.cuda.device_count()))
    return places.text(places.planned(spec))


def _dtype(spec: Spec, checkpoint: Checkpoint, config: Any) -> str | None:
    """Return the data type that the weights are loaded in, as transformers decides it."""
    if spec.options.dtype != "auto":
        return spec.options.dtype
    if spec.options.gguf_file:
        return GGUF_DTYPE
    stated = getattr(config, "dtype", None)
    if stated is not None:
        return str(stated).removeprefix("torch.")
    with safe_open(checkpoint.weights[0], framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - not a mapping, only iterable by its keys
            dtype = file.get_slice(name).get_dtype()
            if dtype in _FLOATS:
                return _FLOATS[dtype]
    return None
