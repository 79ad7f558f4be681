"""Predictions in the order of the gold set: each example has its own, and none is surplus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Prediction


def aligned(predictions: Iterable[Prediction], on: Eval, source: str) -> tuple[Prediction, ...]:
    """Return one prediction a request, in the order of `Eval.all_requests`.

    That is one an example, in the order of the gold set, where there are no repeats.

    Raises
    ------
    EvaluationError
        Where one is missing, surplus, or there twice.
    """
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.id in by_id:
            raise EvaluationError(f"{source}: two predictions for example '{prediction.id}'")
        by_id[prediction.id] = prediction
    return tuple(by_id[i] for i in matched(by_id, on, source, on.asked_ids()))


def matched(
    ids: Iterable[str], on: Eval, source: str, asked: Sequence[str] | None = None
) -> list[str]:
    """Return the ids of the gold set where `ids` are the same ones; EvaluationError else.

    Ids that a sample of the gold set left out may be there too.

    Parameters
    ----------
    asked : sequence of str, optional
        The ids that were asked for, where these are others.
    """
    expected = [example.id for example in on.gold] if asked is None else list(asked)
    given = set(ids) - on.gold.left_out
    for problem, odd in (
        ("no prediction for example", [i for i in expected if i not in given]),
        ("a prediction for an example that is not in the gold set:", given.difference(expected)),
    ):
        if odd:
            more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
            raise EvaluationError(
                f"{source}: {problem} '{min(odd)}'{more} ({on.gold.source} has {len(on.gold)} "
                "examples)"
            )
    return expected
