"""What ``distill.yaml`` may say of a model that vLLM runs; neither vLLM nor torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from pytest_distill._util.strict import STRICT, PositiveCount
from pytest_distill._util.strict_json import refuse_no_json
from pytest_distill.engines.transformers.options import TransformersOptions

_KEYS = (
    *("revision", "tokenizer", "dtype", "trust_remote_code", "quantization"),
    *("tensor_parallel_size", "gpu_memory_utilization", "max_model_len", "enforce_eager"),
)
"""What ``engine_args`` may not say, because a key of the model does."""
_KEYS_CALLED: Mapping[str, str] = {
    **{key: key for key in _KEYS},
    "model": "path",
    "kv_cache_memory_bytes": "kv_cache_gib",
    "device": "device",
    "hf_token": "path",
    "code_revision": "revision",
    "tokenizer_revision": "tokenizer",
}
_FIXED: Mapping[str, str] = {
    "load_format": "nothing but safetensors is loaded",
    "model_weights": "the weights are those in 'path'",
    "ignore_patterns": "the weights are those in 'path'",
    "hf_config_path": "the config is that in 'path'",
    "config_format": "the config is that in 'path'",
    "skip_tokenizer_init": "texts are made into tokens here, as lm-evaluation-harness does",
    "tokenizer_mode": "texts are made into tokens here, as lm-evaluation-harness does",
    "logprobs_mode": "log-probabilities are the model's own, before temperature and penalties",
    "max_logprobs": "it is fixed",
    "use_tqdm_on_load": "vLLM's log stays out of the terminal",
    "disable_log_stats": "vLLM's log stays out of the terminal",
    "generation_config": "how a text is decoded is the eval's to say",
    "override_generation_config": "how a text is decoded is the eval's to say",
    "logits_processors": "how a text is decoded is the eval's to say",
    "runner": "the model writes and scores texts here",
    "convert": "the model writes and scores texts here",
    "task": "the model writes and scores texts here",
    "data_parallel_size": "workers of pytest-xdist, or engine: ray, do that",
    "distributed_executor_backend": "all runs on this machine; engine: ray spreads over several",
}
"""What ``engine_args`` may not say at all, and why."""


class VLLMOptions(BaseModel):
    """The keys of ``engine: vllm``; those that change no answer are left out of exports."""

    model_config = STRICT

    revision: str | None = None
    """Branch, tag or commit (all 40 digits) on the hub, of `path`; by default `main`."""
    tokenizer: str | None = None
    """Folder or hub id of another tokenizer than that of `path`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is the type that the weights are stored in."""
    trust_remote_code: bool = False
    """Whether code inside the checkpoint may run."""
    max_model_len: PositiveCount | None = None
    """How many tokens of a text the model reads at most; by default all that its config states."""
    quantization: str | None = None
    """How weights that are stored as they are get quantised when they are loaded, as vLLM calls
    it. A quantised checkpoint says it by itself."""
    tensor_parallel_size: PositiveCount = Field(default=1, exclude=True)
    """Over how many GPUs each layer is split."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = Field(default=0.9, exclude=True)
    """Which share of a GPU's memory the weights and the cache of keys and values take."""
    kv_cache_gib: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, exclude=True
    )
    """How large that cache is. By default 2 on the CPU, and on a GPU what its share leaves."""
    enforce_eager: bool = Field(default=False, exclude=True)
    """Whether nothing is compiled and no CUDA graph is captured: slower, and ready sooner."""
    engine_args: dict[str, Any] = {}
    """Further arguments of vLLM's `LLM`."""

    @field_validator("engine_args")
    @classmethod
    def _not_ours(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key, value in given.items():
            if key in _KEYS_CALLED:
                raise ValueError(f"'{key}' is said by the model's own key '{_KEYS_CALLED[key]}'")
            if key in _FIXED:
                raise ValueError(f"'{key}' can't be set: {_FIXED[key]}")
            refuse_no_json(value, key)
        return given

    @property
    def files(self) -> TransformersOptions:
        """What they say of the model's files, in the words of ``engine: transformers``."""
        return TransformersOptions(
            revision=self.revision,
            tokenizer=self.tokenizer,
            dtype=self.dtype,
            trust_remote_code=self.trust_remote_code,
            device_map="auto" if self.tensor_parallel_size > 1 else None,
        )

    @property
    def answering(self) -> dict[str, Any]:
        """Those on which answers may depend, beside the model's files and its type."""
        own = {"max_model_len": self.max_model_len, "quantization": self.quantization}
        return {**own, **self.engine_args}
