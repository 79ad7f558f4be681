"""What a run would find amiss in the files of a first project, before any model runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_distill.cli.starting.first_model import FirstModel
from pytest_distill.config import load_config
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import DistillError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.recorded import RecordedModel
from pytest_distill.project.evals import read_eval


def amiss(config: Path, eval: str, models: Sequence[FirstModel]) -> Iterator[str]:
    """Yield what a run would say of the gold set and of each file of predictions.

    Parameters
    ----------
    config : Path
        The ``distill.yaml`` as it was written.
    eval : str
        Its eval, whose gold set is there.
    models : sequence of FirstModel
        Its models; of those that run nothing is known yet.
    """
    recorded = {model.role: model.path for model in models if model.recorded}
    try:
        on = read_eval(load_config(config.resolve()), eval)
        if isinstance(on, Eval):
            on.check()
    except DistillError as error:
        yield str(error)
        return
    for role, path in recorded.items():
        try:
            found = RecordedModel(ModelInfo(role, role), {eval: path}.__getitem__).evaluate(on)
            if isinstance(found, MeasuredEvaluation):
                found.exact_score(on.metrics[0])
        except DistillError as error:
            yield str(error)
