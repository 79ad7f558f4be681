"""Who answers: the port that every engine has, and the built-in ones by name.

Nothing heavy is imported here; an engine's module is imported when one of its models is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from pytest_distill._util.hub import Found
from pytest_distill.engines import plain
from pytest_distill.engines.file_digests import FileDigests, file_digest
from pytest_distill.engines.likeness import Captured, Distributional, TokenLikeness
from pytest_distill.errors import ModelError, did_you_mean
from pytest_distill.evals.requests import Prediction, Request

Role = Literal["teacher", "student", "sft"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One entry under ``models:``, validated, with paths made absolute.

    Parameters
    ----------
    name, role : str
        The entry's name and its role.
    path : str
        A local folder (absolute) or a hub id.
    revision, adapter, gguf_file, tokenizer : str, optional
        Hub revision; folder of a LoRA adapter; GGUF file inside `path`; another tokenizer's path.
    load : mapping
        Further keyword arguments of ``from_pretrained``.
    device : str
        ``auto`` (CUDA where there is one, else CPU), ``cuda``, ``cuda:1`` or ``cpu``.
    dtype : str
        ``auto`` (as stored), ``float32``, ``bfloat16`` or ``float16``.
    trust_remote_code : bool
        Whether code inside the checkpoint may run.
    device_map : str or mapping, optional
        Spreads a big model over several devices, as in transformers.
    batch_tokens : int, optional
        At most how many tokens, padding included, one forward pass takes.
    threads : int, optional
        How many CPU threads the engine may use. None: all that the library takes by itself.
    worker : int
        Number of this process among several that share a machine; GPUs are dealt out by it.
    hash_file : callable
        File -> digest of its bytes. What it has hashed must stay as it is while the model is used:
        that is checked. The store gives one that remembers big files.
    options : mapping
        Further keys of the entry, for a user's own engine.
    began : datetime
        When the run began, in local time: what prompts that hold a date are told, so that all
        models are asked the same.
    resolved : dict
        Hub id and revision -> the commit that they stand for. All models of a run share it, so
        that a branch that moves meanwhile stays what it was.
    """

    name: str
    role: Role
    path: str = ""
    revision: str | None = None
    adapter: str | None = None
    gguf_file: str | None = None
    tokenizer: str | None = None
    load: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    dtype: str = "auto"
    trust_remote_code: bool = False
    device_map: str | Mapping[str, Any] | None = None
    batch_tokens: int | None = None
    threads: int | None = None
    worker: int = 0
    hash_file: Callable[[Path], str] = field(default_factory=FileDigests, compare=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    began: datetime = field(default_factory=datetime.now, compare=False)
    resolved: dict[tuple[str, str | None], Found] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of a model beside its answers; None where it is not known.

    Parameters
    ----------
    name, role : str
        As in ``distill.yaml``.
    parameters : int, optional
        Number of parameters, adapter included, shared ones once.
    bytes : int, optional
        Size of weights and tokenizer on disk, in bytes.
    dtype, device, path : str, optional
        Data type and device that the model runs in; where it came from.
    digest : str, optional
        SHA-256 over the bytes of weights, config and tokenizer: the model's identity.
    weights_digest : str, optional
        SHA-256 over the bytes of the weights alone, an adapter's included.
    active_parameters : int, optional
        How many parameters one token passes through: fewer than `parameters` for a mixture of
        experts.
    embedding_parameters : int, optional
        How many of them are the table of token embeddings.
    quantization : str, optional
        How the weights are packed, e.g. ``Q4_1``; None where each is a number of its own.
    latency_ms : float, optional
        Milliseconds for one example alone, as declared.
    cost_per_1k : float, optional
        Price of 1,000 examples, as declared, in the team's own currency.
    declared : tuple of str
        Which of the fields were declared in ``distill.yaml``, not measured.

    Raises
    ------
    ModelError
        Where a field is of another type, or a size is not above zero. Numbers and arrays with a
        single number of numpy, torch and the like become built-in ones.
    """

    name: str
    role: Role
    parameters: int | None = None
    bytes: int | None = None
    dtype: str | None = None
    device: str | None = None
    path: str | None = None
    digest: str | None = None
    active_parameters: int | None = None
    embedding_parameters: int | None = None
    quantization: str | None = None
    latency_ms: float | None = None
    cost_per_1k: float | None = None
    declared: tuple[str, ...] = ()
    weights_digest: str | None = None

    def __post_init__(self) -> None:
        """Take plain values only: they go into reports and the store, and decide on gates."""
        where = f"model {plain.quoted(self.name)}: what its engine says of it, ModelInfo"
        plainly(
            self,
            where,
            **dict.fromkeys(("name", "role", "dtype", "device", "path"), plain.text),
            **dict.fromkeys(("digest", "weights_digest", "quantization"), plain.text),
            **dict.fromkeys(("parameters", "bytes", "active_parameters"), _size),
            embedding_parameters=_count,
            **dict.fromkeys(("latency_ms", "cost_per_1k"), plain.finite),
            declared=plain.texts,
        )
        for part in ("active_parameters", "embedding_parameters"):
            of, whole = getattr(self, part), self.parameters
            if of is not None and whole is not None and of > whole:
                raise ModelError(f"{where}: {part}: {of:,} is more than all parameters, {whole:,}")


def info_from(values: object) -> ModelInfo:
    """Return a `ModelInfo` from its fields, as they were written down somewhere.

    Raises
    ------
    ModelError
        Where a field is missing, not known or not what it must be.
    """
    if not isinstance(values, Mapping):
        raise ModelError(f"ModelInfo: must be a mapping, not {plain.shown(values)}")
    known = [f.name for f in fields(ModelInfo)]
    for key in values:
        if key not in known:
            raise ModelError(f"ModelInfo: no field '{key}'; {did_you_mean(str(key), known)}")
    for key in ("name", "role"):
        if key not in values:
            raise ModelError(f"ModelInfo: '{key}' is missing")
    return ModelInfo(**values)


def plainly(of: Any, where: str, **takes: Callable[[Any], Any]) -> None:
    """Convert fields of a frozen dataclass in place; None stays where it is a field's default.

    Raises
    ------
    ModelError
        Naming the first field that is not what it must be.
    """
    optional = {f.name for f in fields(of) if f.default is None}
    for name, take in takes.items():
        value = getattr(of, name)
        if value is None and name in optional:
            continue
        try:
            object.__setattr__(of, name, take(value))
        except ValueError as error:
            raise ModelError(f"{where}: {name}: {error}") from None


def _size(value: Any) -> int:
    number = plain.whole(value)
    if number <= 0:
        raise ValueError(f"must be above zero, not {number}")
    return number


def _count(value: Any) -> int:
    number = plain.whole(value)
    if number < 0:
        raise ValueError(f"must not be below zero, it is {number}")
    return number


DECLARABLE = ("parameters", "bytes", "latency_ms", "cost_per_1k")
"""What ``distill.yaml`` may say of a model where it cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a model took for one request that was alone in its batch.

    Parameters
    ----------
    seconds : float
        For the whole answer, tokenization included.
    first_token : float, optional
        Seconds until the first generated token was there.
    tokens : int, optional
        Number of generated tokens, the one that ends the text included.
    """

    seconds: float
    first_token: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        """Take plain values only."""
        plainly(
            self,
            "what an engine measured, Timing",
            seconds=plain.finite,
            first_token=plain.finite,
            tokens=_count,
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """What a model holds in memory.

    Parameters
    ----------
    weights : int
        Bytes of its parameters and buffers, in the data type that it runs in.
    peak : int
        The most bytes that were held while it answered.
    held_by : str
        Whose they are: ``process`` (Python and its libraries included) or ``CUDA tensors``.
    """

    weights: int
    peak: int
    held_by: str

    def __post_init__(self) -> None:
        """Take plain values only."""
        plainly(
            self,
            "what an engine measured, Memory",
            weights=_count,
            peak=_count,
            held_by=plain.text,
        )


@runtime_checkable
class Engine(Protocol):
    """Runs one model. A class of one's own is built as ``MyEngine(spec)`` with a `ModelSpec`."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model."""

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, in any order, each as soon as it is there."""

    def close(self) -> None:
        """Free the model's memory. The engine is not used afterwards."""


@runtime_checkable
class Identified(Protocol):
    """An engine whose predictions may be stored: it can say exactly what makes them."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model's digest, the engine and its version, and all settings that may matter.

        JSON-able values, known without loading the model.
        """


@runtime_checkable
class Dated(Protocol):
    """An engine whose prompts may hang on the clock: then a request doesn't say all it asks."""

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the whole prompt of each request that hangs on more than the request says.

        A model is not loaded for it.
        """


@runtime_checkable
class Measurable(Protocol):
    """An engine that can say how fast it is and what it holds, and where."""

    @property
    def setting(self) -> Mapping[str, Any]:
        """What a measurement hangs on beside `identity`: device, its name, dtype, threads.

        JSON-able values. Figures of different settings are never compared.
        """

    def time_one(self, request: Request) -> Timing:
        """Answer one request alone."""

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Return how many seconds all requests take in batches of at most so many tokens."""

    def memory(self, requests: Sequence[Request]) -> Memory:
        """Return what the model holds while it answers the requests."""


ENGINES: Mapping[str, str] = {
    "transformers": "pytest_distill.engines.transformers:TransformersEngine",
}
"""Where the class of each built-in engine stands, as ``module:name``."""

SOURCES = ("recorded", "reported")
"""Named like engines in ``distill.yaml``, but run nothing: predictions or scores made elsewhere."""

__all__ = [
    "DECLARABLE",
    "ENGINES",
    "SOURCES",
    "Captured",
    "Dated",
    "Distributional",
    "Engine",
    "FileDigests",
    "Identified",
    "Measurable",
    "Memory",
    "ModelInfo",
    "ModelSpec",
    "Role",
    "Timing",
    "TokenLikeness",
    "file_digest",
    "info_from",
    "plainly",
]
