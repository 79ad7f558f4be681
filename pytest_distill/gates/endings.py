"""Whether the student's texts end by themselves as the teacher's do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.flips import lost_rows
from pytest_distill.errors import ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.metrics.endings import FINISHED
from pytest_distill.gates.gate import Row
from pytest_distill.gates.retention import judge_retained
from pytest_distill.gates.subjects import AnswersGate
from pytest_distill.gates.verdict import Verdict


@dataclass(frozen=True)
class Finished(AnswersGate):
    """The student finishes at least `min` times the share of texts that the teacher finishes.

    A text is finished that ended at an end token, at a stop string or with a call of a tool; one
    that was cut at ``max_new_tokens`` is not. Student's share / teacher's share is compared
    exactly.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 2: 0.98 asks for 98 % of the teacher's share.
    """

    name: ClassVar[str] = "finished"
    asks: ClassVar[str] = (
        "Does {model} finish {what} times the share of texts that the teacher finishes?"
    )

    min: float

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor, or its bounds where a confidence is asked for."""
        refuse_without_texts(comparison, self)
        what = "of the teacher's share of finished texts"
        return judge_retained(self, comparison, FINISHED, self.min, what)

    def scored_by(self, comparison: Comparison) -> Metric:  # noqa: ARG002 (one for all)
        """Return the metric."""
        return FINISHED

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples that the teacher finished and the student did not."""
        return lost_rows(comparison, FINISHED, "teacher", self.slice)


def refuse_without_texts(comparison: Comparison, gate: AnswersGate) -> None:
    """Raise ConfigError where models write no texts on the eval, which could end or be long."""
    if isinstance(comparison.on, Eval) and comparison.on.task.longest is None:
        raise ConfigError(
            f"assert_{gate.name} is about texts that models write, and eval '{comparison.eval}' is "
            f"of the task {comparison.on.task.name}: ask it of one of the task generation"
        )
