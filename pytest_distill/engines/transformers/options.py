"""What ``distill.yaml`` may say of a model that transformers loads; torch is not imported."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pydantic import BaseModel, Field

from pytest_distill._util.strict import STRICT, PositiveCount
from pytest_distill.engines.spec import ModelSpec, located


class TransformersOptions(BaseModel):
    """The keys of ``engine: transformers``; those that change no answer are left out of exports."""

    model_config = STRICT

    revision: str | None = None
    """Branch, tag or commit (all 40 digits) on the hub, of `path`; by default `main`."""
    adapter: str | None = None
    """Folder or hub id of a LoRA adapter; `path` is then its base model. Digest and size cover
    both."""
    gguf_file: str | None = None
    """A GGUF file inside `path`."""
    tokenizer: str | None = None
    """Folder or hub id of another tokenizer than that of `path`."""
    load: dict[str, Any] = {}
    """Further arguments of `from_pretrained`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto` is the type that the weights are stored in."""
    trust_remote_code: bool = False
    """Whether code inside the checkpoint may run."""
    device_map: str | dict[str, Any] | None = Field(default=None, exclude=True)
    """Spreads a large model over several devices, as in transformers. The report tells on which it
    lay."""
    batch_tokens: PositiveCount | None = Field(default=None, exclude=True)
    """At most how many tokens, padding included, one forward pass takes. By default 512 on the CPU,
    4096 there for generation; on CUDA what the free memory takes."""


@dataclass(frozen=True, slots=True)
class Spec(ModelSpec):
    """A `ModelSpec` with the options of this engine, their paths made absolute."""

    options: TransformersOptions = field(default_factory=TransformersOptions)

    @classmethod
    def of(cls, spec: ModelSpec) -> Spec:
        """Return a spec with its options validated; pydantic's error where they are not sound."""
        if isinstance(spec, Spec):
            return spec
        return cls.with_options(spec, spec.options_as(TransformersOptions))

    @classmethod
    def with_options(cls, spec: ModelSpec, own: TransformersOptions) -> Spec:
        """Return a spec with these options in place of its own."""
        paths = {
            key: located(path, spec.folder)
            for key in ("adapter", "tokenizer")
            if (path := getattr(own, key))
        }
        shared = {f.name: getattr(spec, f.name) for f in fields(ModelSpec)}
        return cls(**{**shared, "options": own.model_copy(update=paths)})
