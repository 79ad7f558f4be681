"""Whether two evaluations are of the same eval, and of two different models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError, and_more
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.evaluation import Evaluation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model

SHOWN = 120
"""How many characters of an identity a message shows."""


def refuse_unlike(evaluation: MeasuredEvaluation, on: Eval) -> None:
    """Raise ComparisonError where an evaluation is not of exactly this eval."""
    if evaluation.eval.digest == on.digest:
        return
    name = evaluation.info.name
    if [e.id for e in evaluation.eval.gold] != [e.id for e in on.gold]:
        what = "other examples"
    elif evaluation.eval.task.settings() != on.task.settings():
        what = "another prompt, other choices or other decoding settings"
    else:
        what = "other contents under the same ids"
    raise ComparisonError(f"model '{name}' was evaluated on {what} than eval '{on.name}' has now")


def refuse_same_model(one: Evaluation, other: Evaluation) -> None:
    """Raise ComparisonError where two roles are one model: a student that is the teacher keeps all.

    They are the same where the bytes of their weights are, where both were recorded in one file, or
    where another tool wrote both and one is a copy of the other.
    """
    refuse_same_weights(one.info, other.info)
    if not (isinstance(one, MeasuredEvaluation) and isinstance(other, MeasuredEvaluation)):
        return
    names = f"'{one.info.name}' and '{other.info.name}'"
    if one.file is not None and one.file == other.file:
        raise ComparisonError(
            f"{names} have the same predictions, {one.file}: name a file of its own for each"
        )
    if _is_copy(one, other):
        raise ComparisonError(
            f"{names} gave the same answers to the last digit, in {one.source} and {other.source}: "
            "they are one model, or one file is a copy of the other; name the run of each model"
        )


def _is_copy(one: MeasuredEvaluation, other: MeasuredEvaluation) -> bool:
    """Return whether the runs of other tools are one: two models may well write the same texts."""
    if one.format is None or one.format != other.format or not one.predictions:
        return False
    same = one.predictions == other.predictions and one.samples == other.samples
    telling = one.called == other.called or all(p.loglikelihoods for p in one.predictions)
    return same and telling


def refuse_other_prompts(one: Evaluation, other: Evaluation) -> None:
    """Raise ComparisonError where two recorded models were asked other things under one id.

    Only what the same tool took a digest of is compared. In chat templates of two models the same
    messages are other texts, so that nothing can be told of prompts there.
    """
    if not (isinstance(one, MeasuredEvaluation) and isinstance(other, MeasuredEvaluation)):
        return
    odd = [
        id
        for id, digest in one.prompts.items()
        if id in other.prompts and asked_otherwise(digest, other.prompts[id])
    ]
    if odd:
        more = and_more(len(odd) - 1)
        raise ComparisonError(
            f"'{one.info.name}' and '{other.info.name}' were asked other prompts for example "
            f"'{odd[0]}'{more}, by the digests in {one.source} and {other.source}: evaluate both "
            "with the same solved examples, instructions, chat template, choices and settings"
        )


def asked_otherwise(one: str, other: str) -> bool:
    """Return whether two digests of prompts, which say their kind, are of different prompts."""
    (kind, _, mine), (its_kind, _, its) = one.partition(":"), other.partition(":")
    (tool, _, template), (its_tool, _, its_template) = kind.partition("+"), its_kind.partition("+")
    if template and its_template and template != its_template:
        mine, its = mine.partition(":")[2], its.partition(":")[2]
    return tool == its_tool and mine != its


def refuse_same_weights(one: ModelInfo, other: ModelInfo) -> None:
    """Raise ComparisonError where two models have the same weights, or are the same bytes.

    Weights alone decide where both are known: a space in ``config.json`` makes no other model.
    """
    for key in ("weights_digest", "digest"):
        digest = getattr(one, key)
        if digest is not None and digest == getattr(other, key):
            raise ComparisonError(
                f"'{one.name}' and '{other.name}' have the same weights (digest {digest[:12]}): a "
                "comparison of a model with itself says nothing; correct a path in distill.yaml"
            )


def refuse_same_identity(one: Model, other: Model) -> None:
    """Raise ComparisonError where two roles say that the same makes their answers."""
    mine = one.identity
    if mine is None or mine != other.identity:
        return
    raise ComparisonError(
        f"'{one.name}' and '{other.name}' have one identity ({_brief(mine)}): a comparison of a "
        "model with itself says nothing; correct an entry in distill.yaml or, where the two do "
        "differ, put what differs into the 'identity' of their engine: without it the store takes "
        "the answers of one for the other's"
    )


def _brief(identity: Mapping[str, Any]) -> str:
    said = ", ".join(f"{key}: {value}" for key, value in identity.items())
    return said if len(said) <= SHOWN else f"{said[:SHOWN]}..."
