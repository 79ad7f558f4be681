"""A checkpoint into a model and a tokenizer on their device, or an error that says why not."""

from __future__ import annotations

import copy
import io
from contextlib import nullcontext, redirect_stderr
from typing import Any

import torch
import transformers
from transformers.quantizers.auto import AutoQuantizationConfig

from pytest_distill.engines.transformers.architecture import (
    GGUF_DTYPE,
    architecture,
    as_model_errors,
    context_length,
    read_config,
    require,
    token_embeddings,
)
from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.clocks import Clock
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.fast.onednn import onednn_is_faster
from pytest_distill.engines.transformers.info import quantization
from pytest_distill.engines.transformers.loaded import Budget, Loaded
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.places import input_device, resolve_device, token_budget
from pytest_distill.engines.transformers.quantisation import (
    Packing,
    packing,
    require_package,
)
from pytest_distill.engines.transformers.weights import (
    check_packed,
    is_unpacked,
    left_of_packing,
    refuse_dropped,
    refuse_missing,
    run_once,
    unpacking,
    without_odd_kernels,
)
from pytest_distill.errors import ModelError, few


def load(spec: Spec, checkpoint: Checkpoint, notes: list[str], clock: Clock) -> Loaded:
    """Load a model with its adapter and its tokenizer; `notes` is where it leaves its notes.

    Its chat template is told the time of `clock`.

    Raises
    ------
    ModelError
        When the device isn't there, a package is missing, or the checkpoint doesn't hold every
        weight of its architecture.
    """
    if spec.threads is not None:
        torch.set_num_threads(spec.threads)
    device = resolve_device(spec)
    # The bar that unpacks a GGUF file is tqdm's own, which `quiet` does not reach.
    with quiet(), redirect_stderr(io.StringIO()), as_model_errors(spec):
        config = read_config(spec, checkpoint)
        kind, cls = architecture(spec, checkpoint, config)
        tokenizer = load_tokenizer(spec, checkpoint)
        packed = packing(spec, checkpoint.config)
        model = _load_model(spec, checkpoint, cls, device, packed)
        if checkpoint.adapter is not None:
            model = _with_adapter(spec, checkpoint, model)
        model.eval()
        # Its config may ask for tuples; what is in them is the same.
        model.config.return_dict = True
        embeddings = token_embeddings(model)
        if spec.options.device_map is not None:
            device = input_device(model, embeddings)
        if packed is not None:
            without_odd_kernels(model)
            run_once(spec, model, kind, packed)
    how = quantization(spec, checkpoint)
    if how is not None and is_unpacked(model):
        notes.append(
            f"model '{spec.name}': its weights are packed on disk ({how}) and unpacked in memory, "
            f"where they are {str(model.dtype).removeprefix('torch.')}"
        )
    return Loaded(
        name=spec.name,
        architecture=type(model).__name__,
        model=model,
        tokenizer=tokenizer,
        kind=kind,
        device=device,
        context=context_length(model, tokenizer, kind),
        budget=Budget(token_budget(spec, device, model)),
        generation_budget=Budget(token_budget(spec, device, model, generating=True)),
        vocabulary=None if embeddings is None else embeddings.shape[0],
        onednn=device.type == "cpu" and onednn_is_faster(),
        clock=clock,
        notes=notes,
    )


def load_tokenizer(spec: Spec, checkpoint: Checkpoint) -> Any:
    """Return a model's tokenizer; nothing else is loaded."""
    options: dict[str, Any] = {"trust_remote_code": spec.options.trust_remote_code}
    if spec.options.gguf_file and not spec.options.tokenizer:
        options["gguf_file"] = spec.options.gguf_file
    return transformers.AutoTokenizer.from_pretrained(checkpoint.tokenizer, **options)


def _load_model(
    spec: Spec,
    checkpoint: Checkpoint,
    cls: Any,
    device: torch.device,
    packed: Packing | None,
) -> Any:
    own = spec.options
    options: dict[str, Any] = copy.deepcopy(own.load)
    if packed is not None:
        require_package(spec, packed)
    if own.device_map is not None:
        require(spec, "accelerate", "device-map", "device_map")
        options["device_map"] = own.device_map
    elif packed is not None:
        # Quantised weights are packed for the device that they are loaded on.
        require(spec, "accelerate", "device-map", "a quantised checkpoint")
        options["device_map"] = {"": str(device)}
    if own.gguf_file:
        options["gguf_file"] = own.gguf_file
    elif cls.__module__.startswith("transformers.models.auto"):
        options["trust_remote_code"] = own.trust_remote_code
    with nullcontext() if packed is None else unpacking(spec, checkpoint, cls, packed):
        if "quantization_config" in options:
            # Beside one of the checkpoint's own transformers merges objects only.
            made = AutoQuantizationConfig.from_dict(options["quantization_config"])
            options["quantization_config"] = made
        model, report = cls.from_pretrained(
            checkpoint.folder,
            dtype=GGUF_DTYPE if own.gguf_file and own.dtype == "auto" else own.dtype,
            use_safetensors=None if own.gguf_file else True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # refused below, with their names
            **options,
        )
    if packed is not None:
        check_packed(spec, checkpoint, model, packed)
    _check_weights(spec, checkpoint, model, report, packed)
    return model if "device_map" in options else model.to(device)


def _check_weights(
    spec: Spec, checkpoint: Checkpoint, model: Any, report: Any, packed: Packing | None
) -> None:
    """Refuse a model that would run with untrained weights, or without some it has.

    transformers only warns, fills what is missing with random numbers and drops what is left
    over.
    """
    from_adapter = set(checkpoint.adapter_shapes())
    modules = tuple(checkpoint.adapter_config.get("modules_to_save") or ())
    if modules:
        from_adapter |= {key for key in report["missing_keys"] if key.split(".")[0] in modules}
    refuse_missing(spec, checkpoint, model, set(report["missing_keys"]) - from_adapter)
    mismatched = sorted(str(entry[0]) for entry in report["mismatched_keys"])
    if mismatched:
        names = len(model.config.id2label or ())
        heads = (entry[1] for entry in report["mismatched_keys"] if entry[2][:1] == (names,))
        head = next((f"; id2label names {names} outputs of {there[0]}" for there in heads), "")
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} and its config.json "
            f"disagree on the shape of {few(mismatched)}{head}"
        )
    unexpected = sorted(report["unexpected_keys"])
    scales = left_of_packing(model, unexpected)
    if scales and packed is None:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} holds {few(scales)}, as "
            "quantised weights do, and its config.json has no 'quantization_config': the weights "
            "would run without them; save the quantised model again, config included"
        )
    refuse_dropped(spec, checkpoint, unexpected, (name for name, _ in model.named_parameters()))


def _with_adapter(spec: Spec, checkpoint: Checkpoint, model: Any) -> Any:
    """Put an adapter's layers into the model; it stays an object of its own transformers class."""
    require(spec, "peft", "adapter", "adapter")
    import peft

    config = peft.PeftConfig.from_pretrained(str(checkpoint.adapter))
    if config.is_prompt_learning:
        raise ModelError(
            f"model '{spec.name}': adapter: {config.peft_type.value} adds virtual tokens to the "
            "prompt, which is not supported; LoRA and its kin are"
        )
    config.inference_mode = True
    adapted = peft.get_peft_model(model, config)
    report = adapted.load_adapter(str(checkpoint.adapter), "default", use_safetensors=True)
    own = (getattr(adapted.base_model, "prefix", "lora_"), "modules_to_save")
    missing = [key for key in report.missing_keys if any(part in key for part in own)]
    unexpected = list(report.unexpected_keys)
    if missing or unexpected:
        raise ModelError(
            f"model '{spec.name}': adapter: {checkpoint.adapter} doesn't fit the base model "
            f"{checkpoint.folder}: {few(sorted(missing or unexpected))} "
            f"{'is not in the adapter' if missing else 'has no place in the model'}"
        )
    return adapted.get_base_model()
