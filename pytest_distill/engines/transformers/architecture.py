"""What a checkpoint's config says: its architecture, what that can do, and how much it reads."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from pytest_distill._util.packages import Package
from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.failures import in_own_code, said
from pytest_distill.engines.transformers.handlers import HEADS
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import CAUSAL, SEQ2SEQ
from pytest_distill.evals.tasks.elsewhere import OTHER_TASKS

# What `dtype: auto` means for a GGUF file. Its weights are packed; float32 is what the kernels for
# them compute in.
GGUF_DTYPE = "float32"

# What `load:` may not say, because a key of the model says it, or because it would undo a check.
_OWN = ("device_map", "dtype", "revision", "trust_remote_code", "gguf_file")
_KEYS = {"torch_dtype": "dtype", "subfolder": "path", **{key: key for key in _OWN}}
_FIXED = (
    *("config", "state_dict", "key_mapping"),
    *("use_safetensors", "output_loading_info", "ignore_mismatched_sizes"),
)


def read_config(spec: Spec, checkpoint: Checkpoint) -> Any:
    """Return the transformers config, with what ``load:`` changes in it (``num_labels``, ...)."""
    load = spec.options.load
    for key in load:
        if key in _KEYS or key in _FIXED:
            fixed = "it is fixed, so that models are checked"
            hint = f"use the model's own key '{_KEYS[key]}:'" if key in _KEYS else fixed
            raise ModelError(f"model '{spec.name}': load: '{key}' can't be set here; {hint}")
    if spec.options.gguf_file:
        require(spec, "gguf", "gguf", "gguf_file")
        require(spec, "accelerate", "gguf", "gguf_file")
        return _config(checkpoint, load, gguf_file=spec.options.gguf_file)
    _refuse_odd_names(spec, load.get("id2label", checkpoint.config.get("id2label")))
    own_code = "AutoConfig" in (checkpoint.config.get("auto_map") or {})
    known = checkpoint.config.get("model_type") in transformers.CONFIG_MAPPING
    if own_code and not known and not spec.options.trust_remote_code:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} brings code of its own; "
            "if you trust it, set 'trust_remote_code: true'"
        )
    config = _config(checkpoint, load, trust_remote_code=spec.options.trust_remote_code)
    _refuse_padding_outside(spec, config)
    return config


_OTHER_ADAPTERS = {"TOKEN_CLS": "token classification", "QUESTION_ANS": "answers by spans"}
"""What peft calls the tasks whose head lies in an adapter and is none of `HEADS`."""


def _config(checkpoint: Checkpoint, load: Mapping[str, Any], **own: Any) -> Any:
    changes = copy.deepcopy(dict(load))  # transformers takes apart what is nested in there
    return transformers.AutoConfig.from_pretrained(checkpoint.folder, **own, **changes)


def _refuse_odd_names(spec: Spec, names: Any) -> None:
    """Raise ModelError where ``id2label`` is no mapping of numbers, so that nothing can read it.

    Whether it names every output once is asked where a model classifies.
    """
    if names is None:
        return
    try:
        _ = [int(number) for number, _ in names.items()]
    except (AttributeError, TypeError, ValueError):
        raise ModelError(
            f"model '{spec.name}': config.json: id2label must give each output, by its number from "
            f"0, a name; it is {names!r:.80}"
        ) from None


def _refuse_padding_outside(spec: Spec, config: Any) -> None:
    """Raise ModelError where the model has no embedding for what rows are filled up with."""
    try:
        text = config.get_text_config()
    except ValueError:  # of several, it is not known which
        return
    padding, tokens = (getattr(text, key, None) for key in ("pad_token_id", "vocab_size"))
    if isinstance(padding, int) and isinstance(tokens, int) and padding >= tokens > 0:
        raise ModelError(
            f"model '{spec.name}': config.json: pad_token_id is {padding}, but the model knows "
            f"only {tokens} tokens (vocab_size): give the id of a token that it knows, or save it "
            "after resize_token_embeddings"
        )


def architecture(spec: Spec, checkpoint: Checkpoint, config: Any) -> tuple[str, Any]:
    """Return the name of a checkpoint's head (`Head`) and the class that loads it.

    The class follows ``architectures`` in the config, or the task that an adapter was trained
    for where the base model has another head.
    """
    adapted = checkpoint.adapter_config.get("task_type")
    if adapted in _OTHER_ADAPTERS:
        raise ModelError(
            f"model '{spec.name}': its adapter was trained for {_OTHER_ADAPTERS[adapted]} "
            f"({adapted}), which no task asks ({OTHER_TASKS})"
        )
    trained_for = next((head.name for head in HEADS.values() if head.adapter == adapted), None)
    names = list(getattr(config, "architectures", None) or ())
    kind = _kind_of(names[0], config) if names else ("causal" if spec.options.gguf_file else None)
    if trained_for is not None and trained_for != kind:
        return trained_for, _auto_class(trained_for)
    if not names and kind is None:
        raise ModelError(
            f"model '{spec.name}': config.json in {checkpoint.folder} names no architecture; add "
            'e.g. "architectures": ["BertForSequenceClassification"]'
        )
    if kind is None:
        raise ModelError(
            f"model '{spec.name}' is a {names[0]}, which neither classifies texts nor generates "
            "them; a ...ForSequenceClassification, ...ForCausalLM or ...ForConditionalGeneration "
            f"checkpoint is needed ({OTHER_TASKS})"
        )
    own = getattr(transformers, names[0], None) if names else None
    if own is not None and (reads := _reads_beside_text(own)):
        raise ModelError(
            f"model '{spec.name}' is a {names[0]}, which reads {reads}, not text alone "
            f"({OTHER_TASKS})"
        )
    if own is None or (spec.options.trust_remote_code and getattr(config, "auto_map", None)):
        return kind, _auto_class(kind)
    return kind, own


def _reads_beside_text(cls: Any) -> str | None:
    """Return what a class of transformers must be given that is no text: sound, a picture."""
    main = getattr(cls, "main_input_name", "input_ids")
    given = inspect.signature(cls.forward).parameters
    needs = "input_ids" not in given or (main in given and given[main].default is given[main].empty)
    return main if main != "input_ids" and needs else None


def _auto_class(head: str) -> Any:
    return getattr(transformers, f"AutoModel{HEADS[head].auto}")


def _kind_of(name: str, config: Any) -> str | None:
    ends = next((head.name for head in HEADS.values() if name.endswith(head.suffix)), None)
    if ends not in (None, CAUSAL.name, SEQ2SEQ.name):
        return ends
    cls = getattr(transformers, name, None)
    generates = (
        cls.can_generate()
        if cls is not None
        else name.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"))
    )
    if not generates:
        return None
    return (SEQ2SEQ if getattr(config, "is_encoder_decoder", False) else CAUSAL).name


def context_length(model: Any, tokenizer: Any, kind: str) -> int | None:
    """Return how many tokens a model can read, None where nothing says so.

    Taken from the config, else from the tokenizer, as lm-evaluation-harness 0.4.13 does
    (``resolve_max_length``). For a classifier the smaller of the two holds. Position tables that
    start counting after the padding index (RoBERTa's and its kin's) hold that many tokens fewer.
    """
    config = getattr(model.config, "text_config", None) or model.config
    names = ("n_positions", "max_position_embeddings", "n_ctx")
    values = [getattr(config, name, None) for name in names]
    stated = next((value for value in values if isinstance(value, int) and value > 0), None)
    limit = getattr(tokenizer, "model_max_length", None)
    # "Unlimited" is written as int(1e30).
    by_tokenizer = int(limit) if limit is not None and limit < 1e9 else None
    if stated is None:
        return by_tokenizer
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        table = getattr(module, "weight", None)  # not every such layer is an Embedding of torch
        if name.endswith("position_embeddings") and padding is not None and table is not None:
            stated = min(stated, table.shape[0] - padding - 1)
    if kind == "classification" and by_tokenizer is not None:
        return min(stated, by_tokenizer)
    return stated


def attention_window(config: Any) -> int | None:
    """Return how many tokens a layer looks back at most, as the config says; None for all.

    Up to so many tokens, a text is read as by full attention: windows and chunks hide nothing yet.
    """
    text = config.get_text_config()
    if not set(getattr(text, "layer_types", None) or ("",)) - {"full_attention"}:
        return None
    if not getattr(text, "use_sliding_window", True):
        return None
    stated = (getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((size for size in stated if isinstance(size, int) and size > 0), default=None)


def token_embeddings(model: Any) -> torch.Tensor | None:
    """Return the table of token embeddings; code of a checkpoint's own may not say where it is."""
    try:
        table: torch.Tensor = model.get_input_embeddings().weight
    except (NotImplementedError, AttributeError):
        return None
    return table


def require(spec: Spec, module: str, extra: str, what: str) -> None:
    """Raise a `ModelError` that names the extra to install where `module` is missing."""
    try:
        __import__(module)
    except ImportError:
        needs = Package(module, module, extra).lacking(f"model '{spec.name}': {what}")
        raise ModelError(needs) from None


@contextmanager
def as_model_errors(spec: Spec) -> Iterator[None]:
    """Turn what the libraries raise about a checkpoint into one short `ModelError`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"model '{spec.name}' does not fit into the memory of its device ({said(error)}); "
            "use a smaller dtype, 'device_map: auto' or another device"
        ) from None
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        # In words of the libraries' own; anything else is a defect of the model's: `model_code`.
        if isinstance(error, NotImplementedError | RecursionError) or in_own_code(error):
            raise
        raise ModelError(
            f"model '{spec.name}' can't be loaded from {spec.path}: {said(error)}"
        ) from error
