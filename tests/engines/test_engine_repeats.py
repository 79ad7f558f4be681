"""Several samples of each example from a real model: a request each, in whatever batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks import Generation
from pytest_distill.evals.tasks.repeats import seed_of
from pytest_distill.evaluation.measured import MeasuredEvaluation

from .tiny import TEXTS, Make, predicted

EXAMPLES = tuple(
    Example(f"e{i}", {"input": text, "target": "worm"}, f"gold.jsonl:{i + 1}")
    for i, text in enumerate(TEXTS[:3])
)


def eval_of(repeats: int, seed: int = 5) -> Eval:
    """Return an eval that samples so many texts of three prompts."""
    task = Generation(max_new_tokens=8, do_sample=True, temperature=2.0, seed=seed, repeats=repeats)
    return Eval("e", task, GoldSet("gold.jsonl", EXAMPLES), (BUILT_IN["exact_match"],))


def test_a_sample_is_what_a_run_with_its_seed_gives(engine: Make, causal_folder: Path) -> None:
    """Text, log-likelihood and all; and the samples of an example differ."""
    made = engine(causal_folder)
    on = eval_of(4)
    answers = predicted(made, on.all_requests())
    found = MeasuredEvaluation.of(made.info, on, answers)
    for number in range(4):
        alone = predicted(made, eval_of(1, seed_of(5, number)).requests())
        samples = [samples[number] for samples in found.samples]
        assert [s.text for s in samples] == [a.text for a in alone]
        for sample, other in zip(samples, alone, strict=True):
            assert replace(sample, loglikelihoods=None) == replace(other, loglikelihoods=None)
    assert all(len({sample.text for sample in samples}) > 1 for samples in found.samples)


def test_more_samples_leave_the_first_ones_as_they_were(engine: Make, causal_folder: Path) -> None:
    """What was stored for two is what eight begin with."""
    made = engine(causal_folder)
    few, many = (predicted(made, eval_of(n).all_requests()) for n in (2, 8))
    by_id = {answer.id: answer.text for answer in many}
    assert [by_id[answer.id] for answer in few] == [answer.text for answer in few]
