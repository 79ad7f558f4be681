"""Whether a teacher's answers are above chance: what a guesser knows is nothing to keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from weakref import WeakKeyDictionary

from pytest_distill._util.format import ceil_text, count_text, floor_text, interval_text
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Answer, MeanMetric
from pytest_distill.evals.metrics.labels import ACCURACY
from pytest_distill.evaluation.evaluation import Evaluation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.statistics.association import association
from pytest_distill.statistics.jackknife import of_mean, t_bounds
from pytest_distill.statistics.rates import clopper_pearson

CONFIDENCE = 0.95
LEVEL = 1 - (1 - CONFIDENCE) / 2


class Side(Enum):
    """On which side of chance the answers are shown to be."""

    ABOVE = "above"
    UNCLEAR = "unclear"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class ChanceComparison:
    """Where a model's answers stand to chance, and what that rests on, in words."""

    side: Side
    shown: str


_KNOWN: WeakKeyDictionary[MeasuredEvaluation, ChanceComparison | None] = WeakKeyDictionary()


def compare_with_chance(evaluation: Evaluation) -> ChanceComparison | None:
    """Return where a model's answers stand to chance, by two-sided bounds at 95 %.

    None where nobody could guess: texts, and ready scores without answers.
    """
    if not isinstance(evaluation, MeasuredEvaluation) or not evaluation.predictions:
        return None
    if evaluation not in _KNOWN:
        _KNOWN[evaluation] = _compared(evaluation)
    return _KNOWN[evaluation]


def refuse_below_chance(evaluation: Evaluation) -> None:
    """Raise ComparisonError where a teacher's answers are shown to go against the gold labels."""
    found = compare_with_chance(evaluation)
    if found is not None and found.side is Side.BELOW:
        assert isinstance(evaluation, MeasuredEvaluation)  # noqa: S101 (for mypy)
        key = ", labels: in the eval," if evaluation.eval.task.guess == "label" else ""
        raise ComparisonError(
            f"teacher '{evaluation.info.name}' on '{evaluation.eval.name}': worse than chance: are "
            f"the labels inverted? ({found.shown}); correct the gold labels{key} or the teacher: "
            "a share of such a score is no share of quality"
        )


def _compared(evaluation: MeasuredEvaluation) -> ChanceComparison | None:
    answers, clusters = evaluation.answers, evaluation.eval.clusters
    match evaluation.eval.task.guess:
        case "label":
            return _of_labels(answers, clusters)
        case "choice":
            return _of_choices(evaluation, answers, clusters)
    return None


def _of_labels(answers: Sequence[Answer], clusters: Sequence[str] | None) -> ChanceComparison:
    gold = [answer.targets[0] for answer in answers]
    predicted = [answer.predicted for answer in answers]
    for what, labels in (("the gold set has", gold), ("it answers", predicted)):
        if len(set(labels)) == 1:
            return ChanceComparison(Side.UNCLEAR, f"{what} the label {labels[0]!r} alone")
    found = association(gold, predicted, clusters, CONFIDENCE)
    side = Side.ABOVE if found.above else Side.BELOW if found.below else Side.UNCLEAR
    low, high = (min(max(bound, -1.0), 1.0) for bound in (found.lower, found.upper))
    p = min(found.p_above, found.p_below, 1.0)
    return ChanceComparison(
        side,
        f"Matthews correlation {floor_text(found.estimate)}, 95 % interval "
        f"{interval_text(low, high)}, p of random labels {ceil_text(p)}{_of_clusters(clusters)}",
    )


def _of_choices(
    evaluation: MeasuredEvaluation, answers: Sequence[Answer], clusters: Sequence[str] | None
) -> ChanceComparison:
    """Compare the share of right choices with the mean chance, by the exact binomial bounds.

    Where the examples differ in their number of choices, the number of right ones spreads less than
    a binomial of the mean chance (Hoeffding 1956), so that the bounds err towards not telling.
    """
    headline, task = evaluation.eval.metrics[0], evaluation.eval.task
    right_or_wrong = isinstance(headline, MeanMetric) and headline.binary
    metric = headline if right_or_wrong and headline in task.suited else ACCURACY
    scores = metric.scores(answers)
    guessed = [float(task.chance(answer.example) or 0) for answer in answers]
    chance = sum(guessed) / len(answers)
    right, n = float(scores.sum()), len(answers)
    units = n if clusters is None else len(set(clusters))
    low, high = clopper_pearson(round(right * units / n), units, LEVEL)
    if clusters is not None:
        excess = [s - share for s, share in zip(scores, guessed, strict=True)]
        below, above = t_bounds(of_mean(excess, clusters), LEVEL)
        low, high = min(low, chance + below), max(high, chance + above)
    side = Side.ABOVE if low > chance else Side.BELOW if high < chance else Side.UNCLEAR
    bounds = interval_text(max(low, 0.0), min(high, 1.0))
    return ChanceComparison(
        side,
        f"{floor_text(right / n)} right, 95 % interval {bounds}, chance {ceil_text(chance)}"
        f"{_of_clusters(clusters)}",
    )


def _of_clusters(clusters: Sequence[str] | None) -> str:
    return "" if clusters is None else f", {count_text(len(set(clusters)), 'cluster')}"
