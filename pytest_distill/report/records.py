"""What a report is made of. The JSON report is these records, and ``schema.json`` their schema.

The standard library alone: a report that says that the run did not end is written when pytest
starts. An infinite number is None, since JSON has no word for it; NaN is an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from pytest_distill._util.units import Unit
    from pytest_distill.gates.verdict import Outcome, Relation

Record = TypeVar("Record")

SCHEMA: Literal[2] = 2

LATER = {"later": True}
"""Metadata of a field that files of earlier versions lack, which are read as if it said nothing."""

UNFINISHED = "the run did not end"
"""What a report says from the start of a run to its end."""

Shipping = Literal["SHIP", "DO NOT SHIP", "INCOMPLETE"]


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


@dataclass(frozen=True, slots=True)
class _ByMetric:
    """Models on an eval of a ``distill.yaml``, by one metric."""

    config: str
    eval: str
    metric: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class ScoresRow(_ByMetric):
    """The scores by one metric of an eval, as one process knows them."""

    scores: dict[str, str]
    """Model -> exact fraction."""
    n: int | None
    reported: tuple[str, ...]
    at_tokens: int | None = None
    """The budget of tokens within which the answers were scored."""


@dataclass(frozen=True, slots=True)
class ComparisonRow(_ByMetric):
    """The models of an eval side by side, by one metric."""

    scores: dict[str, float]
    """Model -> score."""
    n: int | None
    """Number of examples; None for reported scores."""
    reported: tuple[str, ...]
    """The models whose scores are reported, not measured."""
    retained: dict[str, float | None]
    """Model -> share of the teacher's quality; infinite where lower is better and it makes no
    error. A model without a ratio is left out."""


@dataclass(frozen=True, slots=True)
class BudgetRow(ComparisonRow):
    """The models of an eval side by side, by what they answer within a budget of tokens."""

    at_tokens: int


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


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """One model by what it costs and quality."""

    model: str
    role: str
    parameters: int | None
    """None where only the latency is known."""
    score: float
    """By the eval's headline metric."""
    retained: float | None
    """Share of the teacher's quality; also None where there is no ratio, as of the teacher."""
    infinite: bool
    """Whether `retained` is infinite."""
    dominated: str
    """By whom and how, e.g. ``sft is as good and as small``; empty on the frontier."""
    latency_ms: float | None = field(default=None, metadata=LATER)
    """For one example: the median, where the models were measured on one device, else as
    ``distill.yaml`` declares it."""
    outpaced: str = field(default="", metadata=LATER)
    """By whom and how, e.g. ``sft is as good and faster``; empty on the frontier of latency and
    quality, and where the latency is not known."""


@dataclass(frozen=True, slots=True)
class Frontier(_ByMetric):
    """The models of one eval by size, or latency, and quality; the smallest first."""

    points: tuple[FrontierPoint, ...]


SLICES_OF_EACH = 40
"""Of an eval and a model that have a `RetainedRow`: those where it kept least."""


@dataclass(frozen=True, slots=True)
class RetainedRow(_ByMetric):
    """What a model kept of the teacher's quality, on all examples of an eval or on a slice."""

    model: str
    slice: str | None
    """E.g. ``lang=de``; None for all examples."""
    n: int
    retained: float | None
    """None where it is infinite; a slice without a ratio has no row."""
    lower: float | None
    upper: float | None
    """Two-sided 95 % interval; a bound that does not exist is None."""
    floor: float | None = None
    """The strictest that a gate of the run asked of it; None where none did."""


@dataclass(frozen=True, slots=True)
class PairRow(_ByMetric):
    """On how many examples a student does better, worse and the same as another model."""

    model: str
    other: str
    other_role: str
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The answers of a model whose probability is in a bin."""

    n: int
    probability: float
    """The mean of them."""
    right: float
    """The share of them that is right."""


@dataclass(frozen=True, slots=True)
class CalibrationRow:
    """Whether a model's probabilities are what they say."""

    config: str
    eval: str
    model: str
    ece: float
    """Expected calibration error over `bins`."""
    bins: tuple[CalibrationBin, ...]
    """Those that hold an answer, of equal width, rising."""


@dataclass(frozen=True, slots=True)
class RecommendationRow:
    """The smallest student that is shown to meet a criterion, where a test asked for it."""

    config: str
    criterion: str
    model: str | None
    passed_over: tuple[str, ...]
    """Students that do not fit."""
    ended_by: str | None
    """The student that is not shown to keep the quality."""
    not_tried: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """Bounds of the observed number; a bound that does not exist is None."""

    one_sided_lower: float | None
    one_sided_upper: float | None
    lower: float | None
    upper: float | None
    confidence: float
    """Of the one-sided bounds; the two-sided interval is of 95 %."""
    method: str


@dataclass(frozen=True, slots=True)
class GapRow:
    """Which share of the distance from the SFT student to the teacher distilling closed."""

    recovered: float | None
    lower: float | None
    upper: float | None
    method: str


@dataclass(frozen=True, slots=True)
class GateRow:
    """One verdict, or a gate test without one; None where something is not known."""

    nodeid: str
    config: str | None
    gate: str | None
    """``own_assertion`` for a gate test that asks none and looks at a model; None for NOT RUN."""
    outcome: Outcome
    eval: str | None = None
    metric: str | None = None
    model: str | None = None
    observed: float | None = None
    """The number that was measured; also None where there is none."""
    infinite: bool = False
    """Whether `observed` is infinite."""
    required: float | None = None
    relation: Relation | None = None
    """How `observed` must stand to `required`; None where there is no verdict."""
    unit: Unit = ""
    """What the two are counted in; nothing for scores and ratios."""
    criterion: str | None = None
    """The criterion of ``distill.yaml`` that it is a part of."""
    confidence: float | None = None
    """How sure the verdict had to be; None where the observed number decides."""
    n: int | None = None
    slice: str | None = None
    at_tokens: int | None = field(default=None, metadata=LATER)
    """The budget of tokens within which the answers were looked at."""
    file: str | None = None
    """Where the gate was asked, else where its test is: relative to the repository, with ``/``."""
    line: int | None = None
    """From 1."""
    facts: tuple[str, ...] = ()
    """The two or three things that the verdict rests on, short."""
    basis: str = ""
    """All that it rests on, in words."""
    notes: tuple[str, ...] = ()
    """What a reader must know beside the numbers."""
    doubts: tuple[str, ...] = ()
    """Those of the notes that tell what is suspicious, so that the verdict is not firm."""
    message: str = ""
    """What the failing test says."""
    lost_examples: tuple[str, ...] = ()
    """After a failure: the first of the examples that the student lost, one line each."""
    lost_more: int = 0
    """How many more it lost."""
    waived: str | None = None
    """Who answers for the failure, why and until when."""
    excused: str | None = None
    """Why a gate that did not run keeps no student from shipping."""
    interval: IntervalRow | None = None
    clusters: int | None = None
    firm: bool | None = None
    needed: int | None = None
    lost: int | None = None
    won: int | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    p_value: float | None = None
    test: str | None = None
    gap_recovered: GapRow | None = None
    above_chance: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind of gate tells."""


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """The accepted run that this one is held against."""

    config: str
    path: str
    made: float
    """Seconds since 1970."""
    commit: str | None
    """Of the accepted run, where it was known."""
    ancestor: bool | None = None
    """Whether it is one that the commit checked out now comes from; None where git can't tell."""
    notes: tuple[str, ...] = ()
    """What makes it another than this run's: its gold set, its models, its age."""


@dataclass(frozen=True, slots=True)
class ChangeRow(_ByMetric):
    """A model now and in the baseline, on the examples that both runs have."""

    model: str
    role: str
    before: float
    now: float
    difference: float
    """`now` less `before`, of paired examples."""
    lower: float | None
    upper: float | None
    """Two-sided 95 % interval of `difference`; a bound that does not exist is None."""
    n: int
    """How many examples both runs have."""
    wins: int | None = None
    losses: int | None = None
    """Examples that are better and worse now; None where the metric scores no examples."""
    same: bool | None = None
    """Whether it is the same checkpoint; None where a digest is not known."""


@dataclass(frozen=True, slots=True)
class GoldChangeRow:
    """What became of the gold set of an eval since the baseline, in examples."""

    config: str
    eval: str
    common: int
    added: int
    gone: int
    relabelled: int


@dataclass(frozen=True, slots=True)
class GateChangeRow:
    """A gate that the baseline has otherwise, or that only one of the two has."""

    config: str
    nodeid: str
    about: str
    """Which gate, on what, in words."""
    change: Literal["added", "removed", "lowered", "raised"]
    """Of the gate, or of what it requires; ``lowered`` is less strict, ``raised`` stricter."""
    before: str
    now: str
    """What was and is required, in words; empty where there was no such gate."""


@dataclass(frozen=True, slots=True)
class LooksRow:
    """How often a gold set was looked at."""

    config: str
    eval: str
    students: int
    """How many student checkpoints are known to have been judged on it; there may be more."""
    confidence: float
    """Of each one's bound, if all of them together are to be wrong at most one time in 20."""


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """Who was judged on the gold set of an eval, as one process knows it."""

    config: str
    eval: str
    students: tuple[str, ...]
    """Digests; one that was judged in this run and has none is not among them."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that stands in the way of a SHIP, or what a SHIP is of."""

    text: str
    names: tuple[str, ...] = ()
    """The node ids, files or gates that it is about."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found out, and what it comes to. A format tells it and computes nothing."""

    schema: Literal[2] = SCHEMA
    outcome: Shipping = "INCOMPLETE"
    """SHIP only when every gate ran and passed, and nothing else went wrong."""
    reason: str = UNFINISHED
    """The words of all `reasons`."""
    culprits: tuple[str, ...] = ()
    """The names of all `reasons`."""
    reasons: tuple[Reason, ...] = ()
    scope: tuple[str, ...] = ()
    """Of a SHIP: the files, projects and students that it is of, where that is not all."""
    tally: tuple[str, ...] = ()
    """How many gates passed, and what became of the others, in words."""
    models: tuple[ModelRow, ...] = ()
    comparisons: tuple[ComparisonRow, ...] = ()
    budgets: tuple[BudgetRow, ...] = field(default=(), metadata=LATER)
    evaluations: tuple[EvaluationRow, ...] = ()
    figures: tuple[FiguresRow, ...] = ()
    frontiers: tuple[Frontier, ...] = ()
    retained: tuple[RetainedRow, ...] = field(default=(), metadata=LATER)
    """By the headline metric of each eval, the students first; of many slices the worst."""
    pairs: tuple[PairRow, ...] = field(default=(), metadata=LATER)
    """The students against the others, by the same metric."""
    calibration: tuple[CalibrationRow, ...] = field(default=(), metadata=LATER)
    recommendations: tuple[RecommendationRow, ...] = ()
    gates: tuple[GateRow, ...] = ()
    baselines: tuple[BaselineRow, ...] = ()
    changes: tuple[ChangeRow, ...] = ()
    gold_changes: tuple[GoldChangeRow, ...] = ()
    gate_changes: tuple[GateChangeRow, ...] = ()
    looks: tuple[LooksRow, ...] = ()
    worth: tuple[str, ...] = ()
    """Sentences: whether SFT is beaten, where it does alone, what is recommended."""
    remarks: tuple[str, ...] = ()
    """What to know of files that were skipped or left out."""


def record_of(kind: type[Record], *sources: object, **more: Any) -> Record:
    """Return a record with the attributes that `sources` have under the names of its fields.

    Parameters
    ----------
    kind : type
        Which record.
    *sources : object
        The first that has an attribute of a field's name gives it.
    **more
        Fields that none has, or has otherwise.
    """
    for name in (each.name for each in fields(kind)):  # type: ignore[arg-type]
        found = next((s for s in sources if hasattr(s, name)), None)
        if found is not None and name not in more:
            value = getattr(found, name)
            infinite = isinstance(value, float) and math.isinf(value)
            more[name] = None if infinite else value
    return kind(**more)
