"""What the scores of teacher, student and SFT student on one eval come to beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import Ratio, retained_share
from pytest_distill.comparison.sameness import refuse_same_identity, refuse_same_weights
from pytest_distill.comparison.side_by_side import Selection, SideBySide
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.likeness import Likeness, label_likeness, token_likeness


@dataclass(frozen=True, slots=True)
class FlippedExamples:
    """Example ids where teacher and student part.

    Parameters
    ----------
    lost : tuple of str
        The student's score is worse than the teacher's: teacher right, student wrong.
    won : tuple of str
        The student's score is better.
    """

    lost: tuple[str, ...]
    won: tuple[str, ...]


class Comparison(SideBySide):
    """The models of one eval, and what their scores come to beside each other.

    Parameters
    ----------
    on, models, student, metric, sft_size_tolerance, confidence, folder, accepted, at_tokens
        As for `SideBySide`.
    """

    def score(
        self,
        model: str = "student",
        metric: str | Metric | None = None,
        slice: Selection = None,
    ) -> float:
        """Return a model's score, by name or role."""
        return float(self.exact_score(model, metric, slice))

    def exact_score(
        self, model: str, metric: str | Metric | None = None, slice: Selection = None
    ) -> Fraction:
        """Return a model's score as an exact fraction."""
        return self.evaluation(model).exact_score(self.metric(metric), self.indices(slice))

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The score of every model by every metric of the eval: metric -> model -> score."""
        return {
            metric.name: {name: self.score(name, metric) for name in self.models}
            for metric in self.on.metrics
        }

    def retained(
        self,
        metric: str | Metric | None = None,
        *,
        model: str = "student",
        slice: Selection = None,
    ) -> float:
        """Return which share of the teacher's quality a model kept; 1.0 is as good as the teacher.

        Infinite where lower is better and the model makes no error.

        Raises
        ------
        ComparisonError
            Where the teacher's score is zero or negative, so that no ratio exists.
        """
        return float(self.exact_retained(metric, model=model, slice=slice))

    def exact_retained(
        self,
        metric: str | Metric | None = None,
        *,
        model: str = "student",
        slice: Selection = None,
    ) -> Ratio:
        """Return `retained` as an exact fraction, where it is not infinite."""
        wanted = self.metric(metric)
        self.pair(model, "teacher")
        return retention(
            self.exact_score(model, wanted, slice),
            self.exact_score("teacher", wanted, slice),
            wanted,
            f"{wanted.name} on '{self.eval}'",
        )

    @property
    def flips(self) -> FlippedExamples:
        """Where teacher and student part by the headline metric."""
        return self.flips_by(self.metric())

    def flips_by(
        self, metric: Metric, selection: Selection = None, to: str = "teacher"
    ) -> FlippedExamples:
        """Return where student and another model part, by each example's own score."""
        gains, chosen = self.gains(metric, to), self.positions(selection)
        examples = self.on.gold.examples if isinstance(self.on, Eval) else ()
        return FlippedExamples(
            lost=tuple(examples[i].id for i in chosen if gains[i] < 0),
            won=tuple(examples[i].id for i in chosen if gains[i] > 0),
        )

    def gains(self, metric: Metric, over: str) -> NDArray[np.float64]:
        """Return by how much the student does better than another model on each example."""
        other, student = self.measured_pair(over, "student", "flips")
        gains = student.scores(metric) - other.scores(metric)
        return gains if metric.higher_is_better else -gains

    def likeness(self) -> Likeness:
        """Return how alike the student's distributions are to the teacher's, over all examples.

        Over tokens where the examples are texts, for which both models are run beside each other
        once; else over labels or choices.
        """
        if isinstance(self.on, Eval) and self.on.task.by_token:
            refuse_same_weights(self.teacher.info, self.student.info)
            refuse_same_identity(self.teacher, self.student)
            return token_likeness(self.teacher, self.student, self.on)
        return label_likeness(*self.measured_pair("teacher", "student"))


def retention(student: Fraction, teacher: Fraction, metric: Metric, where: str) -> Ratio:
    """Return student / teacher; teacher / student for a metric where lower is better.

    Raises
    ------
    ComparisonError
        Where the ratio does not exist or says nothing: the teacher's score is not above zero, or
        lower is better and the student's is below zero.
    """
    ratio = retained_share(student, teacher, metric.higher_is_better)
    if ratio is not None:
        return ratio
    who, score = ("teacher", teacher) if teacher <= 0 else ("student", student)
    raise ComparisonError(
        f"{where}: the {who} scores {float(score):g}, so that no share of the teacher's quality "
        f"exists; check the {who}, or gate the student alone with assert_score()"
    )
