"""What engines say of their models: what is known of them, how fast they are, what they hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pytest_distill.engines import plain
from pytest_distill.engines.spec import Role
from pytest_distill.errors import ModelError, did_you_mean


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
