"""Models side by side on an eval, as a report holds them: scores, ratios, frontiers, pairs."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_distill.report.records.record import LATER


@dataclass(frozen=True, slots=True)
class ByMetric:
    """Models on an eval of a ``distill.yaml``, by one metric."""

    config: str
    eval: str
    metric: str
    higher_is_better: bool


@dataclass(frozen=True, slots=True)
class ScoresRow(ByMetric):
    """The scores by one metric of an eval, as one process knows them."""

    scores: dict[str, str]
    """Model -> exact fraction."""
    n: int | None
    reported: tuple[str, ...]
    at_tokens: int | None = None
    """The budget of tokens within which the answers were scored."""


@dataclass(frozen=True, slots=True)
class ComparisonRow(ByMetric):
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
class Frontier(ByMetric):
    """The models of one eval by size, or latency, and quality; the smallest first."""

    points: tuple[FrontierPoint, ...]


SLICES_OF_EACH = 40
"""Of an eval and a model that have a `RetainedRow`: those where it kept least."""


@dataclass(frozen=True, slots=True)
class RetainedRow(ByMetric):
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
class PairRow(ByMetric):
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
