"""Predictions in the order of the gold set: each example has its own, and none is surplus."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_distill.errors import EvaluationError, and_more, few, some_of
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
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
    if asked is None and given and given.isdisjoint(expected):
        raise EvaluationError(f"{source}: {_strangers(given, on.gold)}")
    for problem, odd in (
        ("no prediction for example", [i for i in expected if i not in given]),
        ("a prediction for an example that is not in the gold set:", given.difference(expected)),
    ):
        if odd:
            more = and_more(len(odd) - 1)
            raise EvaluationError(
                f"{source}: {problem} '{min(odd)}'{more} ({on.gold.source} has {len(on.gold)} "
                f"examples){_without_zeros(min(odd), given.symmetric_difference(expected))}"
            )
    return expected


def _strangers(given: Iterable[str], gold: GoldSet) -> str:
    """Return what is wrong where no id at all is one of the gold set's."""
    shown = few([example.id for example in gold])
    problem = f"none of its ids ({few(sorted(given))}) is one of {gold.source}"
    if gold.states_ids:
        return (
            f"{problem}, which has {shown} in '{gold.id_field}'; 'id:' of the eval names the field "
            "that holds the same ids here and there"
        )
    fields = some_of([*map(str, gold.examples[0].fields)])
    return (
        f"{problem}: that has no field '{gold.id_field}' (it has {fields}), so that its examples "
        f"are called by digests of their rows ({shown}). Give the gold set these ids in a field "
        f"'{gold.id_field}', or name the field that holds them by 'id:' in the eval"
    )


def _without_zeros(id: str, others: Iterable[str]) -> str:
    """Return what to say where an id lost its leading zeros, as a table does that to numbers."""
    bare = id.lstrip("0")
    other = next((i for i in others if i != id and bare and i.lstrip("0") == bare), None)
    if other is None:
        return ""
    return f"; '{other}' is another id than '{id}': the zeros in front count, keep ids as text"
