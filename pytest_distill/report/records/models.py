"""What a report holds of models: what they are, their evaluations, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_distill.report.records.record import LATER


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that was evaluated or measured; None where something is not known."""

    config: str
    """The shown path of the ``distill.yaml``."""
    name: str
    role: str
    parameters: int | None
    bytes: int | None
    active_parameters: int | None
    embedding_parameters: int | None
    quantization: str | None
    latency_ms: float | None
    cost_per_1k: float | None
    declared: tuple[str, ...]
    """Which figures ``distill.yaml`` declares: they were not measured."""
    dtype: str | None
    device: str | None
    path: str | None
    digest: str | None
    engine: str
    """As in ``distill.yaml``; ``fixture`` where a fixture takes its place."""
    batch_tokens: int | None
    notes: tuple[str, ...]
    """What the engine says of this run."""
    trained: str | None
    asked_at: str | None = field(default=None, metadata=LATER)
    """What it is asked as, and where, where it runs elsewhere."""
    answering: str | None = field(default=None, metadata=LATER)
    """The engine that answers, where `engine` has another one run the model."""

    @property
    def answered_by(self) -> str:
        """The engine that answers."""
        return self.answering or self.engine


@dataclass(frozen=True, slots=True)
class ItselfRow:
    """What a model retains of itself by a metric, on the examples that it was asked twice."""

    metric: str
    n: int
    first: float
    """The score of the answers that are judged."""
    second: float
    """The score of the answers when it was asked again."""
    retained: float | None
    """The second score as a share of the first; None where no share exists, or it is infinite."""
    lower: float | None
    """The two-sided bounds at 95 %; None where these examples give none."""
    upper: float | None
    lost: int
    """On how many of the examples the second answer did worse."""
    won: int


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One model on one eval."""

    config: str
    model: str
    eval: str
    n: int | None
    """Number of examples; None for reported scores."""
    left_out: int
    """How many examples ``--distill-limit`` left out."""
    evaluated: int | None
    """How many predictions the model made in this run, of each example one a repeat; None where no
    engine ran it."""
    from_store: int | None
    """How many predictions came from the store; None where no engine ran it."""
    notes: tuple[str, ...]
    tokens: float | None = field(default=None, metadata=LATER)
    """Of texts: the mean number of tokens of one; None where that is not known of all."""
    thinking_tokens: float | None = field(default=None, metadata=LATER)
    """How many of these stand before the answer; None where that is not known of all."""
    finished: float | None = field(default=None, metadata=LATER)
    """The share of texts that ended by themselves; None where that is not known of all."""
    fingerprints: dict[str, int] = field(default_factory=dict, metadata=LATER)
    """A server's ``system_fingerprint`` -> how many answers have it; ``none`` for those without
    one. Empty where no answer has one."""
    itself: tuple[ItselfRow, ...] = field(default=(), metadata=LATER)
    """A row a metric where examples were asked twice."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of seconds, with bounds; a bound that does not exist is None."""

    estimate: float
    one_sided_lower: float | None
    one_sided_upper: float | None
    lower: float | None
    upper: float | None
    confidence: float
    n: int


@dataclass(frozen=True, slots=True)
class ThroughputRow:
    """Examples a second, in batches: median, lowest and highest of `n` passes."""

    per_second: float
    lowest: float
    highest: float
    batch_tokens: int | None
    n: int


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """Bytes of the weights alone, and at most, while `n` examples were answered."""

    weights: int
    peak: int
    held_by: str
    n: int


@dataclass(frozen=True, slots=True)
class ProvenanceRow:
    """On what, with what and when a figure was measured."""

    setting: Mapping[str, Any]
    made: float
    """Seconds since 1970."""
    earlier: bool
    """Whether before this run."""


@dataclass(frozen=True, slots=True)
class FiguresRow:
    """What was measured of a model on the examples of an eval; None for what was not."""

    config: str
    model: str
    eval: str
    taken: dict[str, ProvenanceRow]
    """``latency``, ``throughput`` or ``memory`` -> how that was measured."""
    latency: dict[str, dict[str, Quantile]] | None
    """``example``, ``first_token`` or ``token`` -> ``p50`` and ``p95``."""
    throughput: ThroughputRow | None
    memory: MemoryRow | None
