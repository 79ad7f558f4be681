"""What lm-evaluation-harness asked in a run, beside what an eval of its task asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.formats.lm_eval.asked import prompts_digest


def refuse_other_than_asked(evaluation: MeasuredEvaluation, on: Eval, kind: str) -> None:
    """Raise EvaluationError where a run's prompts are others than those of the eval's own task.

    Prompts in a chat template are left alone: they are of the model too.

    Parameters
    ----------
    evaluation : MeasuredEvaluation
        What was recorded.
    on : Eval
        The eval.
    kind : str
        What digests are called that are of prompts alone.
    """
    if not isinstance(on.task, LmEval):
        return
    documents = on.task.documents
    mutual = "acc_mutual_info" in documents.task.aggregation()
    odd = []
    for id, said in evaluation.prompts.items():
        of, _, digests = said.partition(":")
        instances = documents.instances.get(id)
        if of != kind or instances is None:
            continue
        if digests.partition(":")[0] != prompts_digest(_prompts(instances, mutual=mutual)):
            odd.append(id)
    if odd:
        more = f" and {len(odd) - 1:,} more" if len(odd) > 1 else ""
        raise EvaluationError(
            f"{evaluation.source}: asked another prompt for example '{odd[0]}'{more} than eval "
            f"'{on.name}' does: say num_fewshot, fewshot_seed and override in the eval as they "
            "were in that run"
        )


def _prompts(instances: Sequence[Any], *, mutual: bool) -> list[Any]:
    """Return the prompts, without those of choices that are rated alone too."""
    asked = instances[: len(instances) // 2] if mutual else instances
    return [instance.args[0] for instance in asked]
