"""What ``distill.yaml`` may say of a model that transformers loads; torch is not imported."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pydantic import BaseModel, Field

from pytest_distill._util.strict import STRICT, PositiveCount
from pytest_distill.engines.spec import ModelSpec, located


class TransformersOptions(BaseModel):
    """The keys of ``engine: transformers``; those that change no answer are left out of exports.

    Parameters
    ----------
    revision, adapter, gguf_file, tokenizer : str, optional
        Hub revision; folder of a LoRA adapter; GGUF file inside the path; another tokenizer's path.
    load : mapping
        Further keyword arguments of ``from_pretrained``.
    dtype : str
        ``auto`` (as stored), ``float32``, ``bfloat16`` or ``float16``.
    trust_remote_code : bool
        Whether code inside the checkpoint may run.
    device_map : str or mapping, optional
        Spreads a big model over several devices, as in transformers.
    batch_tokens : int, optional
        At most how many tokens, padding included, one forward pass takes.
    """

    model_config = STRICT

    revision: str | None = None
    adapter: str | None = None
    gguf_file: str | None = None
    tokenizer: str | None = None
    load: dict[str, Any] = {}
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False
    device_map: str | dict[str, Any] | None = Field(default=None, exclude=True)
    batch_tokens: PositiveCount | None = Field(default=None, exclude=True)


@dataclass(frozen=True, slots=True)
class Spec(ModelSpec):
    """A `ModelSpec` with the options of this engine, their paths made absolute."""

    options: TransformersOptions = field(default_factory=TransformersOptions)

    @classmethod
    def of(cls, spec: ModelSpec) -> Spec:
        """Return a spec with its options validated; pydantic's error where they are not sound."""
        if isinstance(spec, Spec):
            return spec
        said: Any = spec.options
        own = said if isinstance(said, TransformersOptions) else TransformersOptions(**said)
        paths = {
            key: located(path, spec.folder)
            for key in ("adapter", "tokenizer")
            if (path := getattr(own, key))
        }
        shared = {f.name: getattr(spec, f.name) for f in fields(ModelSpec)}
        return cls(**{**shared, "options": own.model_copy(update=paths)})
