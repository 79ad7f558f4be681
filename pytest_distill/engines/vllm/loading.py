"""A checkpoint into vLLM: with which arguments, and how much of a text it then reads."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers

from pytest_distill.engines.transformers.architecture import (
    architecture,
    as_model_errors,
    context_length,
    read_config,
    token_embeddings,
)
from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.clocks import Clock
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.info import unpacked_on_meta
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.places import resolve_device
from pytest_distill.engines.transformers.reader import Reader, tokens_named
from pytest_distill.engines.vllm.options import VLLMOptions
from pytest_distill.engines.vllm.process import Process, VLLMFailedError, load_error
from pytest_distill.engines.vllm.weights import check_weights, seen
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import CAUSAL

_BESIDE = 2
"""How many tokens vLLM counts to a text that is scored and the model doesn't read: the last one,
which is only predicted, and the one that vLLM has every model write."""
_CPU_CACHE = 2.0  # GiB
_SCALED_BY_TEXT = ("dynamic", "longrope")


@dataclass(frozen=True)
class Plan:
    """How a checkpoint is run.

    Parameters
    ----------
    reader : Reader
        Of the texts that are gone on from.
    config
        The transformers config.
    length : int or None
        How many tokens vLLM is told that a text has at most; None where nothing states it.
    extended : bool
        Whether that is more than the config states.
    ends : tuple of int
        The tokens that end a text.
    """

    reader: Reader
    config: Any
    length: int | None
    extended: bool
    ends: tuple[int, ...]


@dataclass(frozen=True)
class RunningModel:
    """A model in vLLM, ready to be asked.

    Parameters
    ----------
    reader, scoring : Reader
        Of texts that are gone on from, and of those that are scored.
    ends : tuple of int
        The tokens that end a text.
    process : Process
        Where it runs.
    """

    reader: Reader
    scoring: Reader
    ends: tuple[int, ...]
    process: Process


def planned(
    spec: Spec,
    options: VLLMOptions,
    checkpoint: Checkpoint,
    tokenizer: Any,
    clock: Clock,
    notes: list[str],
) -> Plan:
    """Return how a checkpoint is run; its weights are not looked at.

    Raises
    ------
    ModelError
        Where its architecture is none that vLLM writes and scores texts with, or it cannot read as
        much as it is to.
    """
    with quiet(), as_model_errors(spec):
        config = read_config(spec, checkpoint)
        kind, cls = architecture(spec, checkpoint, config)
        names = getattr(config, "architectures", None) or [cls.__name__]
        _refuse_other_kind(spec, kind, str(names[0]))
        model = unpacked_on_meta(spec, cls, config)
        check_weights(spec, checkpoint, model, notes)
        table = token_embeddings(model)
        stated = context_length(model, tokenizer, kind)
        ends = _end_tokens(checkpoint, config, tokenizer)
    asked = options.max_model_len
    if asked is not None and stated is not None and asked > stated:
        raise ModelError(
            f"model '{spec.name}': max_model_len is {asked}, but the model's context is {stated}"
        )
    _note_scaled(config, str(names[0]), spec, notes)
    context = asked or stated
    room = None if context is None else context + _BESIDE
    beyond = room is not None and stated is not None and room > stated
    extended = beyond and _counts_on(config)
    reader = Reader(
        name=spec.name,
        architecture=str(names[0]),
        tokenizer=tokenizer,
        kind=kind,
        context=context,
        vocabulary=None if table is None else table.shape[0],
        clock=clock,
        notes=notes,
    )
    return Plan(reader, config, stated if beyond and not extended else room, extended, ends)


def load(
    spec: Spec, options: VLLMOptions, checkpoint: Checkpoint, plan: Plan, dtype: str | None
) -> RunningModel:
    """Start vLLM with a model.

    Raises
    ------
    ModelError
        Where vLLM does not load it, or runs on another device than it is to.
    """
    device = resolve_device(spec)
    _refuse_few_gpus(spec, options, device)
    arguments = {
        **options.engine_args,
        "config_format": "hf",  # not Mistral's own, which may lie beside it
        "tokenizer": str(checkpoint.tokenizer),
        "skip_tokenizer_init": True,
        "load_format": "safetensors",
        "trust_remote_code": options.trust_remote_code,
        "dtype": dtype or "auto",  # vLLM's own "auto" runs float32 weights in half precision
        "quantization": options.quantization,
        "tensor_parallel_size": options.tensor_parallel_size,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "enforce_eager": options.enforce_eager,
        "generation_config": "vllm",  # not the checkpoint's: the eval says how a text is decoded
        "logprobs_mode": "raw_logprobs",
        "use_tqdm_on_load": False,
        "disable_log_stats": True,
    }
    if plan.length is not None:
        arguments["max_model_len"] = plan.length
    if plan.extended:
        overrides = dict(arguments.get("hf_overrides") or {})
        arguments["hf_overrides"] = {"max_position_embeddings": plan.length, **overrides}
    cache = options.kv_cache_gib or (_CPU_CACHE if device.type == "cpu" else None)
    if cache is not None:
        arguments["kv_cache_memory_bytes"] = int(cache * 2**30)
    try:
        with seen(checkpoint) as folder:
            process = Process(
                {**arguments, "model": str(folder)}, _environment(spec, options, device)
            )
    except VLLMFailedError as error:
        raise load_error(spec, str(error), options.engine_args) from None
    if process.about["device"] != device.type:
        process.close()
        raise ModelError(
            f"model '{spec.name}': device '{spec.device}' means {device.type} here, and the vLLM "
            f"that is installed runs on {process.about['device']}: install its build for "
            f"{device.type}, or correct 'device'"
        )
    return RunningModel(*_readers(plan, int(process.about["max_model_len"])), plan.ends, process)


def _readers(plan: Plan, length: int) -> tuple[Reader, Reader]:
    """Return how much a model reads of texts that it goes on from, and of those it scores."""
    reader = plan.reader if plan.reader.context else replace(plan.reader, context=length)
    assert reader.context is not None  # noqa: S101 (for mypy: one of the two is stated)
    scored = min(reader.context, length - _BESIDE)
    if scored < reader.context:
        reader.note(
            f"{reader.who} reads at most {scored} tokens of a text that vLLM scores, of the "
            f"{reader.context} of its context: vLLM counts the token that is predicted last, and "
            "one that it has the model write"
        )
    return reader, replace(reader, context=scored)


def _refuse_other_kind(spec: Spec, kind: str, name: str) -> None:
    if kind != CAUSAL.name:
        raise ModelError(
            f"model '{spec.name}' is a {name}; engine: vllm runs causal models alone "
            f"(...{CAUSAL.suffix}): set 'engine: transformers'"
        )


def _refuse_few_gpus(spec: Spec, options: VLLMOptions, device: torch.device) -> None:
    wanted, there = options.tensor_parallel_size, torch.cuda.device_count()
    if wanted == 1:
        return
    if device.type == "cuda" and spec.device not in ("auto", "cuda"):
        raise ModelError(
            f"model '{spec.name}': device names one GPU, and tensor_parallel_size is {wanted}: "
            "leave 'device' out, and let CUDA_VISIBLE_DEVICES say which GPUs there are"
        )
    if device.type == "cuda" and wanted > there:
        raise ModelError(
            f"model '{spec.name}': tensor_parallel_size is {wanted}, and {there} "
            f"GPU{'s are' if there > 1 else ' is'} here"
        )


def _note_scaled(config: Any, name: str, spec: Spec, notes: list[str]) -> None:
    """Tell that vLLM scales positions otherwise, where transformers does it for each text."""
    rope = getattr(config, "rope_parameters", None)
    scaled = rope.get("rope_type") if isinstance(rope, dict) else None
    note = (
        f"model '{spec.name}' ({name}): vLLM scales its positions (rope_type {scaled}) as for the "
        "longest text, transformers for each text: its answers are not those of transformers"
    )
    if scaled in _SCALED_BY_TEXT and note not in notes:
        notes.append(note)


def _counts_on(config: Any) -> bool:
    """Return whether positions beyond those that a config states are as good as those within.

    Plain rotary ones are: a position's angles follow from its number alone. No token that is read
    there is looked at by any that counts.
    """
    rope = getattr(config, "rope_parameters", None)
    plain = isinstance(rope, dict) and rope.get("rope_type") == "default"
    return plain and config.get_text_config() is config


def _end_tokens(checkpoint: Checkpoint, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the tokens that end a text: those of the checkpoint and of its tokenizer."""
    made: Any = transformers.GenerationConfig
    if (checkpoint.folder / "generation_config.json").is_file():
        own = made.from_pretrained(checkpoint.folder)
    else:
        own = made.from_model_config(config)
    return tuple(sorted(tokens_named(own.eos_token_id, tokenizer.eos_token_id)))


def _environment(spec: Spec, options: VLLMOptions, device: torch.device) -> dict[str, str]:
    """Return what vLLM finds in its environment: no network, no reports, no log but of errors."""
    found = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # it has a process of its own as it is
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_HOST_IP": os.environ.get("VLLM_HOST_IP", "127.0.0.1"),
    }
    if options.enforce_eager:
        found["TORCH_COMPILE_DISABLE"] = "1"  # nothing at all is compiled
    if spec.threads is not None:
        found["OMP_NUM_THREADS"] = str(spec.threads)
    if device.type == "cuda" and device.index is not None:
        visible = [n for n in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if n]
        found["CUDA_VISIBLE_DEVICES"] = visible[device.index] if visible else str(device.index)
    return found
