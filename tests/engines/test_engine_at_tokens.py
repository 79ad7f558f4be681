"""Budgets of an eval with a real model: each is what an eval with that limit gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks import Generation
from pytest_distill.evaluation.evaluation import Evaluation
from pytest_distill.evaluation.lengths import known_lengths
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.run_model import RunModel

from .tiny import TEXTS, Make

BUDGETS = (1, 5, 9, 24)
SAMPLING = {"do_sample": True, "seed": 3, "repeats": 2}


@pytest.mark.parametrize("keys", [{}, {"stop": (" the",)}, SAMPLING], ids=["greedy", "stop", "two"])
def test_a_budget_is_what_a_run_with_that_limit_gives(
    engine: Make, causal_folder: Path, keys: dict[str, object]
) -> None:
    """Texts, endings, lengths and scores, of one evaluation that asks for all of them at once."""
    gold = GoldSet(
        "gold.jsonl",
        tuple(Example(f"e{i}", {"input": t, "target": "x"}, "") for i, t in enumerate(TEXTS[:4])),
    )

    def evaluated(most: int, *budgets: int) -> MeasuredEvaluation:
        task = Generation(max_new_tokens=most, at_tokens=budgets, **keys)  # type: ignore[arg-type]
        on = Eval("texts", task, gold, (BUILT_IN["chrf"], BUILT_IN["finished"]))
        model = RunModel("student", "student", lambda: engine(causal_folder))
        found = model.evaluate(on)
        assert isinstance(found, MeasuredEvaluation)
        return found

    together = evaluated(24, *BUDGETS)
    budgets = {tokens: together.at(tokens) for tokens in (1, 24, *BUDGETS)}
    for tokens in BUDGETS:
        within, alone = budgets[tokens], evaluated(tokens)
        assert [_told(within)] == [_told(alone)]
        assert isinstance(within, MeasuredEvaluation)
        assert known_lengths(within) == known_lengths(alone)
        for metric in alone.eval.metrics:
            assert within.exact_score(metric) == alone.exact_score(metric)
    assert _told(together) == _told(budgets[24])
    assert _told(budgets[1]) != _told(budgets[24])


def _told(evaluation: Evaluation) -> list[list[object]]:
    assert isinstance(evaluation, MeasuredEvaluation)
    return [
        [(text.id, text.text, text.tokens, text.finish) for text in samples]
        for samples in evaluation.by_example
    ]
