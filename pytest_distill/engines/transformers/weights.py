"""Weights in memory: whether they are whole, whether packed ones run here, and what they take.

Neither transformers nor vLLM refuses a checkpoint that does not go with its architecture: what is
missing is filled with whatever stands there, and what is left over is dropped.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any

import torch
import transformers
from transformers.quantizers.auto import AutoHfQuantizer

from pytest_distill.engines.transformers.architecture import read_config
from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.failures import said
from pytest_distill.engines.transformers.info import unpacked_on_meta
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.quantisation import Packing
from pytest_distill.errors import ModelError, few

_LAYER_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
# How far below a module libraries keep tensors: bitsandbytes the scales of scales in a state within
# the state of a parameter, which is in the module's dictionary of parameters.
_DEEPEST = 6
_NOT_ENTERED = ("builtins", "torch", "transformers", "functools")


def refuse_missing(
    spec: Spec, checkpoint: Checkpoint, model: Any, missing: Collection[str]
) -> None:
    """Raise ModelError where there are weights that the checkpoint lacks."""
    if missing:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} lacks "
            f"{few(sorted(missing))}; a {type(model).__name__} would run with random numbers "
            "there: save the whole fine-tuned model, or correct 'architectures' in config.json"
        )


def refuse_dropped(
    spec: Spec, checkpoint: Checkpoint, left: Iterable[str], own: Iterable[str]
) -> None:
    """Raise ModelError where weights matter that are left over, since the model has no such name.

    They do where they look like the model's own (a layer beyond those in the config) or like an
    adapter that was never merged; a training head is harmless.

    Parameters
    ----------
    left : iterable of str
        What is left over.
    own : iterable of str
        The names that the model has.
    """
    places = {_LAYER_NUMBER.sub("*", name) for name in own}
    dropped = sorted(
        name
        for name in left
        if _LAYER_NUMBER.sub("*", name) in places or "lora_" in name or ".base_layer." in name
    )
    if dropped:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} holds {few(dropped)}, "
            "which its config.json has no place for, so that the model would run without: correct "
            "the number of layers there, or merge the adapter before saving"
        )


@contextmanager
def unpacking(spec: Spec, checkpoint: Checkpoint, cls: Any, packed: Packing) -> Iterator[None]:
    """Say what is wrong where the libraries can't read packed weights; a `ModelError`."""
    known: Any = AutoHfQuantizer
    if not known.supports_quant_method(packed.config):
        raise ModelError(
            f"model '{spec.name}': its weights are quantised by '{packed.method}', which "
            f"transformers {transformers.__version__} doesn't know: it would run them as they "
            "are stored, without their scales"
        )
    try:
        yield
    except (ImportError, torch.OutOfMemoryError):  # say by themselves what to do
        raise
    except Exception as error:  # each library has its own; all of it is said, and the cause kept
        lacking = [] if packed.on_the_fly else _lacking(checkpoint, cls, spec)
        if lacking:
            raise ModelError(
                f"model '{spec.name}': the checkpoint in {checkpoint.folder} lacks {few(lacking)}, "
                f"which {packed.method} needs to unpack its weights: save the quantised model again"
            ) from error
        raise ModelError(
            f"model '{spec.name}': the weights in {checkpoint.folder} can't be "
            f"{'quantised' if packed.on_the_fly else 'unpacked'}, {packed}: "
            f"{_reported(error) or said(error)}"
        ) from error


def _reported(error: BaseException) -> str | None:
    """Return the first of the reasons that transformers has for "the above report"."""
    for frame, _ in walk_tb(error.__traceback__):
        reasons = getattr(frame.f_locals.get("loading_info"), "conversion_errors", None)
        if reasons:
            name, text = next(iter(reasons.items()))
            return f"{name}: {[*text.splitlines(), ''][-3:][0]}"  # the last line says for which
    return None


def _lacking(checkpoint: Checkpoint, cls: Any, spec: Spec) -> list[str]:
    """Return what modules of one kind have in some layers of a checkpoint and not in others.

    A packed weight is stored as several tensors, whose names are the library's own affair.
    """
    names = checkpoint.stored_types
    parts: dict[str, set[str]] = defaultdict(set)
    every: dict[str, set[str]] = defaultdict(set)
    model = unpacked_on_meta(spec, cls, read_config(spec, checkpoint))
    for module, of in model.named_modules():
        if not module or next(of.parameters(recurse=False), None) is None:
            continue
        own = {name.removeprefix(f"{module}.") for name in names if name.startswith(f"{module}.")}
        parts[module] = own
        every[_LAYER_NUMBER.sub("*", module)] |= own
    return sorted(
        f"{module}.{part}"
        for module, own in parts.items()
        for part in every[_LAYER_NUMBER.sub("*", module)] - own
    )


def check_packed(spec: Spec, checkpoint: Checkpoint, model: Any, packed: Packing) -> None:
    """Refuse weights that were read without their scales, or run in another type than asked."""
    unscaled = _unscaled(checkpoint.stored_types)
    if unscaled:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} holds {few(unscaled)} in "
            "floats of 8 bits, and no scale for them: save the quantised model again"
        )
    runs_in = str(model.dtype).removeprefix("torch.")
    if spec.options.dtype not in ("auto", runs_in):
        raise ModelError(
            f"model '{spec.name}': dtype: {spec.options.dtype} was asked for, but weights "
            f"quantised by {packed.method} run in {runs_in}, in which they were saved: use "
            "'dtype: auto'"
        )
    for name, parameter in model.named_parameters():
        state: Any = getattr(parameter, "quant_state", None)  # of bitsandbytes
        if state is not None and not (state.nested or state.absmax.is_floating_point()):
            raise ModelError(
                f"model '{spec.name}': the checkpoint in {checkpoint.folder} lacks the scales of "
                f"the scales of {name} (nested_absmax): save the quantised model again"
            )


def _unscaled(types: Mapping[str, str]) -> list[str]:
    """Return the weights in floats of 8 bits that stand alone in their module, a bias aside.

    They can be read as they are, so that no library need say that their scale is not there.
    """
    within = Counter(name.rpartition(".")[0] for name in types if not name.endswith(".bias"))
    return sorted(
        name
        for name, kind in types.items()
        if kind.startswith("F8") and within[name.rpartition(".")[0]] == 1
    )


def left_of_packing(model: Any, unexpected: Sequence[str]) -> list[str]:
    """Return those of a checkpoint's left over tensors that belong to a linear layer.

    Beside a plain weight there is at most a bias: what else is there says how to unpack it.
    """
    kinds = (torch.nn.Linear, torch.nn.Embedding)
    linear = {name for name, module in model.named_modules() if isinstance(module, kinds)}
    return [
        key
        for key in unexpected
        if not (key.endswith((".weight", ".bias")) or "lora_" in key)
        and any(key[: dot.start()] in linear for dot in re.finditer(r"\.", key))
    ]


def without_odd_kernels(model: Any) -> None:
    """Let layers of bitsandbytes run plainly whose shape its fast kernel for CPUs does not take.

    On processors with bfloat16 it is given every layer of 4 bits, and fails where the outputs are
    no multiple of 32, as a classifier's are, or where a row is no whole number of blocks.
    """
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            state = getattr(module.weight, "quant_state", None)
            if state is not None and (state.shape[0] % 32 or state.shape[1] % state.blocksize):
                module.support_avx512bf16_for_cpu = False


def run_once(spec: Spec, model: Any, kind: str, packed: Packing) -> None:
    """Let a model read three tokens; ModelError where its packed weights can't be run there.

    Some libraries unpack at the first pass what stays unpacked from then on.
    """
    ids = torch.ones((1, 3), dtype=torch.long, device=model.device)
    more = {"decoder_input_ids": ids} if kind == "seq2seq" else {}
    try:
        with torch.no_grad():  # what is unpacked now stays fit for a gradient
            model(input_ids=ids, **more)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a kernel that is not there is whatever its library says of it
        raise ModelError(
            f"model '{spec.name}': its weights are quantised, {packed}, and don't run on "
            f"{model.device} in {str(model.dtype).removeprefix('torch.')}: {said(error)}"
        ) from error


def is_unpacked(model: Any) -> bool:
    """Return whether every weight is a plain tensor of floats of two bytes or more."""
    return all(
        (
            type(tensor) in (torch.Tensor, torch.nn.Parameter)
            and (tensor.is_floating_point() and tensor.itemsize > 1)
        )
        or tensor.dim() < 2
        or tensor.dtype is torch.bool
        for tensor in (*model.parameters(), *model.buffers())
    )


def bytes_held(model: torch.nn.Module) -> int:
    """Return the bytes of all tensors that a model's modules hold, shared ones once.

    A packed weight counts with what it really holds and with its scales. Its own ``nbytes`` may be
    those of the weight that it stands for. What accelerate fetches when it is needed does not.
    """
    sizes: dict[tuple[torch.device, int], int] = {}
    seen: set[int] = set()
    for module in model.modules():
        seen.add(id(vars(module).get("_hf_hook")))
        for tensor in _tensors(vars(module), seen, _DEEPEST):
            if tensor.device.type != "meta":
                place = tensor.device, tensor.data_ptr()
                sizes[place] = max(sizes.get(place, 0), tensor.nbytes)
    return sum(sizes.values())


def _tensors(value: Any, seen: set[int], depth: int) -> Iterator[torch.Tensor]:
    """Yield the plain tensors in an attribute of a module, but not those of modules within."""
    if id(value) in seen or isinstance(value, torch.nn.Module):
        return
    seen.add(id(value))
    within: list[Any] = []
    if isinstance(value, torch.Tensor):
        if hasattr(value, "__tensor_flatten__"):
            names, _ = value.__tensor_flatten__()
            within = [getattr(value, name) for name in names]
        else:
            yield value
        within += vars(value).values()
    elif isinstance(value, Mapping):
        within = list(value.values())
    elif isinstance(value, (list, tuple)):
        within = list(value)
    elif type(value).__module__.partition(".")[0] not in _NOT_ENTERED:
        within = list(getattr(value, "__dict__", {}).values())
    if depth:
        for part in within:
            yield from _tensors(part, seen, depth - 1)
