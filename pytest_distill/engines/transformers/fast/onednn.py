"""Which of torch's kernels compute: matrix products on the CPU, and attention on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from time import perf_counter
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.loaded import Loaded

# Any, because its functions carry no types.
_cuda: Any = torch.backends.cuda
_SMALL = 2**21  # multiplications up to which calling oneDNN costs more than it gains
_WORKSPACE = 2**22  # more floats than oneDNN was seen to need beside its result
_TRIALS = 5
_GAIN = 1.2  # by less, a measurement of some milliseconds doesn't tell


@contextmanager
def computing(loaded: Loaded) -> Iterator[None]:
    """Let a model compute as fast as its device can, with transformers kept quiet.

    In float32 on an x86 CPU torch multiplies with MKL, which on other processors than Intel's
    stays below what they can do: on an AMD EPYC with AVX-512 oneDNN, a part of torch too, was 2.3
    times as fast. Results differ by rounding. Only products with weights are affected, and only
    inside: nothing is changed in the model. Never held across a ``yield`` of a generator.

    On CUDA cuDNN's attention builds a plan for every new shape, which takes longer than a pass, and
    hardly two batches are of one shape: torch's own kernels are left. All of the process sees that
    switch, so that it is as it was before when the pass ends.
    """
    cudnn = _cuda.cudnn_sdp_enabled()
    _cuda.enable_cudnn_sdp(False)
    try:
        with quiet(), OneDNN() if loaded.onednn else nullcontext():
            yield
    finally:
        _cuda.enable_cudnn_sdp(cudnn)


def all_logits(loaded: Loaded, **inputs: Any) -> torch.Tensor:
    """Return the logits of every position that a model reads; see `computing`."""
    with computing(loaded):
        logits: torch.Tensor = loaded.model(**inputs).logits
    return logits


class OneDNN(TorchFunctionMode):
    """Sends products of float32 activations and weights on the CPU to oneDNN."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run one of torch's functions, or oneDNN's product in its place."""
        if func is torch.nn.functional.linear:
            product = _product(*args, **kwargs or {})
        elif func is torch.addmm and not kwargs and len(args) == 3:
            # The layers of GPT-2, whose weights stand the other way round.
            bias, rows, weight = args
            product = _product(rows, weight.t(), bias)
        else:
            product = None
        return func(*args, **kwargs or {}) if product is None else product


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN beats torch's own choice by a fifth; measured once, in some milliseconds."""
    rows, weight = torch.ones(128, 512), torch.ones(512, 512)  # random ones are the user's to draw

    def seconds(run: Callable[[], Any]) -> float:
        begin = perf_counter()
        run()
        return perf_counter() - begin

    with torch.inference_mode():
        try:
            pairs = [
                (
                    seconds(lambda: torch.nn.functional.linear(rows, weight)),
                    seconds(lambda: _onednn(rows, weight, None)),
                )
                for _ in range(_TRIALS)
            ]
        except (AttributeError, RuntimeError):  # a build of torch without oneDNN
            return False
    own, other = (min(times) for times in zip(*pairs, strict=True))
    return bool(own > _GAIN * other)


def _product(
    input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor | None:
    """Return ``input @ weight.T + bias`` from oneDNN; None where it can't or needn't do it."""
    of_kind = all(
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.dtype is torch.float32
        and tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        for tensor in (input, weight, bias)
        if tensor is not None
    )
    if not of_kind or weight.dim() != 2 or torch.is_grad_enabled():
        return None
    if input.shape[-1:] != weight.shape[1:] or not (bias is None or bias.shape == weight.shape[:1]):
        return None
    if input.numel() * weight.shape[0] < _SMALL:
        return None
    try:
        # Where oneDNN finds no memory it may end the process. What is only reserved costs nothing.
        torch.empty(input.numel() // weight.shape[1] * weight.shape[0] + _WORKSPACE)
        return _onednn(input, weight, bias)
    except RuntimeError:  # torch's own product says better what is wrong
        return None


def _onednn(input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Multiply in oneDNN; the operator that ``torch.compile`` uses, which has no public name."""
    product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
    return product
