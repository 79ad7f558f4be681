"""What a gate is about: an eval, answers within a budget or of a slice, scores by a metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import floor_text
from pytest_distill._util.numbers import retained_floor
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.itself import Itself
from pytest_distill.comparison.shown import lost_rows
from pytest_distill.comparison.side_by_side import Confidence, Slice
from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates.gate import Asked, Gate, Row


@dataclass(frozen=True)
class EvalGate(Gate):
    """A gate on one eval.

    Parameters
    ----------
    eval : str, optional
        Name of the eval; by default the marker's, else the only one in ``distill.yaml``.
    """

    _: KW_ONLY
    eval: str | None = None

    def comparisons(self, asked: Asked) -> Sequence[Comparison]:
        """Return the comparison of that eval."""
        return [asked.comparison(self.eval, self.student)]


@dataclass(frozen=True)
class BudgetGate(EvalGate):
    """A gate on what the answers of one eval come to, also within a budget of tokens.

    Parameters
    ----------
    at_tokens : int, optional
        One of the eval's ``at_tokens:``: look at what the models answer within so many tokens.
    """

    within_budget: ClassVar[bool] = True

    _: KW_ONLY
    at_tokens: int | None = None

    def comparisons(self, asked: Asked) -> Sequence[Comparison]:
        """Return the comparison of that eval, within the budget."""
        return [*map(self._within, super().comparisons(asked))]

    def as_method_of(self, comparison: Comparison, asked: Asked) -> Sequence[Comparison]:
        """Return what is judged as a method of a comparison: that one, within the budget."""
        return [*map(self._within, super().as_method_of(comparison, asked))]

    def _within(self, comparison: Comparison) -> Comparison:
        if self.at_tokens is None or self.at_tokens == comparison.at_tokens:
            return comparison
        if comparison.at_tokens is not None:
            raise ConfigError(
                f"at_tokens={self.at_tokens!r}: this comparison is at {comparison.at_tokens} tokens"
            )
        return comparison.at(self.at_tokens)


@dataclass(frozen=True)
class SliceGate(EvalGate):
    """A gate on what examples show, all of them or those of a slice.

    Parameters
    ----------
    slice : str or mapping, optional
        Look only at the examples where a field has a value: ``"lang=de"`` or ``{"lang": "de"}``.
    confidence : float, optional
        None: the observed number decides. A number such as 0.95: the one-sided bound at that
        confidence does, and the verdict may be INCONCLUSIVE. By default as the marker or
        ``distill.yaml`` says, else None.
    """

    _: KW_ONLY
    slice: Slice | None = None
    confidence: Confidence = "default"


@dataclass(frozen=True)
class AnswersGate(SliceGate, BudgetGate):
    """A gate on answers, of all examples or of a slice, also within a budget of tokens."""


@dataclass(frozen=True)
class ScoresGate(EvalGate):
    """A gate on the scores of one metric.

    Parameters
    ----------
    metric : str or Metric, optional
        By default the marker's, else the eval's first.
    """

    lost_to: ClassVar[str] = "teacher"
    """The model, by its role, to which examples are lost."""

    _: KW_ONLY
    metric: str | Metric | None = None

    def scored_by(self, comparison: Comparison) -> Metric | None:
        """Return the metric."""
        return comparison.metric(self.metric)

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples that the student lost to another model."""
        metric, chosen = comparison.metric(self.metric), getattr(self, "slice", None)
        return lost_rows(comparison, metric, self.lost_to, chosen)


@dataclass(frozen=True)
class MetricGate(ScoresGate, AnswersGate):
    """A gate on the scores of one metric, of all examples or of a slice."""


class KeepsAShare:
    """A gate with a floor of retention; one above what a model retains of itself asks too much."""

    floor_key: ClassVar[str] = "min"
    """Its parameter that is the floor."""

    @property
    def floor(self) -> Fraction:
        """The floor as an exact number; ConfigError where it is none."""
        return retained_floor(getattr(self, self.floor_key), self.floor_key)

    def beyond_noise(self, itself: Itself) -> str | None:
        """Return a note where the floor lies above what a model retains of itself."""
        floor = self.floor
        if itself.least is None or min(floor, Fraction(1)) <= itself.least:
            return None
        either = "" if itself.retained == itself.least else ", taken the other way round"
        return (
            f"the floor {float(floor):g} lies above what {itself.model} retains of itself, "
            f"{floor_text(itself.least)} on {itself.n:,} examples{either}: by noise alone it would "
            "miss that floor itself"
        )
