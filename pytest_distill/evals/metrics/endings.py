"""Whether a generated text ended by itself."""

from __future__ import annotations

from pytest_distill.evals.metrics.base import Answer, MeanMetric


def finished(answer: Answer) -> float:
    """Return 1.0 where the text ended by itself, 0.0 where it was cut at the greatest length.

    By itself is at an end token, at a stop string, or with a call of a tool.

    Raises
    ------
    EvaluationError
        Where it is not known why the text ended.
    """
    finish = answer.prediction.finish
    if finish is None:
        raise answer.example.answer_error(
            "why its text ended is not known: a recorded row, or an engine of your own, must say "
            "'finish' (end, stop, length or tool_call); an answer that an earlier version stored "
            "is made anew with --distill-refresh"
        )
    return float(finish != "length")


FINISHED = MeanMetric("finished", finished, binary=True)
