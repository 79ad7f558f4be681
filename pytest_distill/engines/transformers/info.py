"""What is known of a model beside its answers, without loading its weights."""

from __future__ import annotations

import copy
from math import prod
from typing import Any

import torch
from safetensors import safe_open

from pytest_distill.engines import ModelInfo, ModelSpec
from pytest_distill.engines.transformers.architecture import (
    GGUF_DTYPE,
    architecture,
    as_model_errors,
    read_config,
)
from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.device import resolve_device
from pytest_distill.engines.transformers.quiet import quiet

_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def describe(spec: ModelSpec, checkpoint: Checkpoint) -> ModelInfo:
    """Return what is known of a model: its size, its identity and what it will run in."""
    with quiet(), as_model_errors(spec):
        config = read_config(spec, checkpoint)
        _, cls = architecture(spec, checkpoint, config)
        parameters = count_parameters(spec, cls, config)
    parameters += sum(prod(shape) for shape in checkpoint.adapter_shapes().values())
    return ModelInfo(
        name=spec.name,
        role=spec.role,
        parameters=parameters,
        bytes=checkpoint.bytes,
        dtype=_dtype(spec, checkpoint, config),
        device=_device(spec),
        path=spec.path,
        digest=checkpoint.digest,
    )


def count_parameters(spec: ModelSpec, cls: Any, config: Any) -> int:
    """Return the number of parameters of an architecture, tied ones once.

    Counted on the meta device, where tensors have a shape and no memory. Packed weights of a
    quantised checkpoint hold several parameters each, so its quantisation is left out.
    """
    config = copy.deepcopy(config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        if hasattr(cls, "from_config"):  # an Auto class
            model = cls.from_config(config, trust_remote_code=spec.trust_remote_code)
        else:
            model = cls(config)
    return sum(parameter.numel() for parameter in model.parameters())


def _device(spec: ModelSpec) -> str:
    """Return where the model runs: a device that is not here is no error before it is loaded."""
    if spec.device_map is not None:
        return str(spec.device_map)
    return str(resolve_device(spec)) if spec.device == "auto" else spec.device


def _dtype(spec: ModelSpec, checkpoint: Checkpoint, config: Any) -> str | None:
    """Return the data type that the weights are loaded in, as transformers decides it."""
    if spec.dtype != "auto":
        return spec.dtype
    if spec.gguf_file:
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
