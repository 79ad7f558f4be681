"""Answers to lm-evaluation-harness's tasks: what is expected, what is scored, and what is shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.comparison.chance import refuse_below_chance
from pytest_distill.config import load_config
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.lm_eval import requests
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evaluation.likeness import label_likeness
from pytest_distill.evaluation.measured import MeasuredEvaluation
from tests.lm_eval_scripted import Made

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore"),  # of lm-evaluation-harness and datasets, not ours
]

ARC = [
    {"question": "Who purrs?", "choices": {"label": ["A", "B"], "text": ["cat", "dog"]}, "right": r}
    for r in ("A", "B")
]
RIGHT = {"doc_to_target": "{{choices.label.index(right)}}"}


def _arc(*right: Any, **said: Any) -> Made:
    """Return questions whose targets are these, whatever they are."""
    rows = [{**ARC[0], "question": f"{n}?", "target": target} for n, target in enumerate(right)]
    return Made("arc_easy", rows=rows, said={"doc_to_target": "target", **said})


def _answers(found: MeasuredEvaluation, **given: Any) -> tuple[Answer[Any], ...]:
    """Return the answers where each prediction says otherwise what is given."""
    predictions = tuple(replace(prediction, **given) for prediction in found.predictions)
    return replace(found, predictions=predictions).answers


@pytest.mark.parametrize("target", [2, -1, "bird", "label"])
def test_a_target_that_is_no_choice_is_refused(target: Any) -> None:
    """Where lm-evaluation-harness counts every answer as wrong, with a warning at most."""
    with pytest.raises(GoldSetError) as refused:
        _arc(0 if isinstance(target, int) else "cat", target).here()
    told = str(refused.value)
    assert "document 1 (id '" in told
    assert f"the task's target is {target!r}, which is none of the 2 choices ('cat', 'dog')" in told
    assert "doc_to_target" in told
    assert "question" in told


def test_a_field_that_the_documents_lack_is_no_target() -> None:
    """As the data of boolq that call their labels `answer`: also where only some documents do."""
    rows: list[dict[str, Any]] = [{"passage": "A.", "question": "do cats purr", "answer": True}]
    with pytest.raises(GoldSetError, match=r"'label'.*doc_to_target.*answer, passage, question"):
        Made("boolq", rows=rows).here()
    rows.append({"passage": "A.", "question": "do dogs purr", "label": 0})
    with pytest.raises(GoldSetError, match=r"document 0 .*target is None, which is none of the 2"):
        Made("boolq", rows=rows).here()


@pytest.mark.parametrize("targets", [([0], [0, 2]), ([0], []), ([0], 1), (0, [0])])
def test_lists_of_right_choices_are_looked_at_too(targets: tuple[Any, Any]) -> None:
    """Each must be a choice, and all documents have lists or none has."""
    rows = [{**ARC[0], "question": f"{n}?", "given": {"x": t}} for n, t in enumerate(targets)]
    made = LmEvalGiven(rows)
    with pytest.raises(GoldSetError, match="document 1 "):
        made.here()


class LmEvalGiven(Made):
    """Questions with targets of unlike types, which a file of rows cannot hold as they are."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        told = [{**row, "given": repr(row["given"]["x"])} for row in rows]
        super().__init__("arc_easy", rows=told, said={"doc_to_target": "{{given}}"})


def test_a_target_that_is_nothing_is_refused() -> None:
    """The text None is no answer that anybody expects."""
    made = Made("gsm8k", split="test", num_fewshot=0, rows=[{"question": "1?", "answer": None}])
    with pytest.raises(GoldSetError, match="its target is"):
        replace(made, said={"doc_to_target": "answer"}).here()


def test_a_text_whose_likelihood_is_asked_for_is_not_empty() -> None:
    """An empty text has none."""
    with pytest.raises(GoldSetError, match=r"document 1 .* is asked for is empty"):
        Made("pile_10k", split="test", rows=[{"text": "A text."}, {"text": ""}]).here()


def test_a_choice_is_shown_with_all_that_gates_read() -> None:
    """The text of the likeliest, whether it is right, the choices, and what a guess gets."""
    found = _arc(0, 1).here()
    first = _answers(found, loglikelihoods=(-1.0, -2.0))
    assert [answer.predicted for answer in first] == ["cat", "cat"]
    assert [answer.correct for answer in first] == [True, False]
    assert [answer.target_index for answer in first] == [0, 1]
    assert [answer.targets for answer in first] == [("cat",), ("dog",)]
    assert first[0].choices == ("cat", "dog")
    assert [a.tied for a in _answers(found, loglikelihoods=(-1.0, -1.0))] == [True, True]
    task, example = found.eval.task, found.eval.gold.examples[0]
    assert task.chance(example) == Fraction(1, 2)
    assert (task.guess, task.confidence) == ("choice", "max_probability")
    said = task.distribution(example, Prediction("x", loglikelihoods=(-1.0, -1.0)))
    assert said == {"0": 0.5, "1": 0.5}


def test_where_choices_are_rated_alone_too_the_first_half_answers() -> None:
    """Mutual information: what stands after the choices in their context is no answer."""
    found = _arc(0, 1, metric_list=[{"metric": "acc_mutual_info"}]).here()
    answers = _answers(found, loglikelihoods=(-2.0, -3.0, -0.5, -0.1), greedy=None)
    assert [answer.predicted for answer in answers] == ["cat", "cat"]
    assert found.eval.task.confidence is None


def test_predictions_that_do_not_say_greedy_are_scored_where_nothing_hangs_on_it() -> None:
    """Accuracy does not, nor what a task's own code never looks at; exact match does."""
    found = _arc(0, 1).here()
    assert _answers(found, greedy=None)[0].values == found.answers[0].values
    truth = {"choices": ["a", "b"], "labels": [1, 0]}
    rows = [{"question": "1?", "mc1_targets": truth, "mc2_targets": truth}]
    own = Made("truthfulqa_mc2", rows=rows).here()
    assert _answers(own, greedy=None)[0].values == own.answers[0].values
    looked_at = _arc(0, metric_list=[{"metric": "exact_match"}]).here()
    lambada = Made("lambada_openai", split="test", rows=[{"text": "A cat purrs"}]).here()
    for one in (looked_at, lambada):
        with pytest.raises(EvaluationError, match="'greedy'"):
            _answers(one, greedy=None)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"loglikelihoods": None}, "needs 'loglikelihoods'"),
        ({"loglikelihoods": (-1.0,)}, "1 log-likelihoods, and 2 are asked for"),
        ({"greedy": (True,)}, "1 'greedy' for 2 log-likelihoods"),
        ({"loglikelihoods": (float("nan"), -1.0)}, "nan is not a finite number"),
        ({"loglikelihoods": (float("-inf"), -1.0)}, "-inf is not a finite number"),
        ({"loglikelihoods": (0.5, -1.0)}, "0.5 is not a finite number up to 0"),
    ],
)
def test_what_is_no_likelihood_of_each_choice_names_the_document(
    given: dict[str, Any], problem: str
) -> None:
    """Too few, not finite, or none."""
    with pytest.raises(EvaluationError, match=rf"document 0 \(id '\w{{16}}'\): .*{problem}"):
        _answers(_arc(0, 1).here(), **given)


def test_an_error_in_the_tasks_own_code_names_the_document() -> None:
    """With what was raised, in one line."""
    rows = [{"question": "1?", "mc1_targets": {}, "mc2_targets": {"choices": ["a"], "x": [1]}}]
    made = Made("truthfulqa_mc2", rows=rows)
    with pytest.raises(EvaluationError, match=r"document 0 .*process_results .*raised KeyError"):
        _ = made.here().answers


def test_greedy_answers_that_are_repeated_are_asked_for_once() -> None:
    """All would be the same; sampled ones are asked for as often as the task says."""
    rows = [{"question": "1?", "answer": "x #### 1"}]
    made = Made(
        "gsm8k_cot_self_consistency",
        split="test",
        num_fewshot=0,
        rows=rows,
        texts=("The answer is 1.",),
    )
    assert made.here().eval.task.repeats == 64
    greedy = replace(made, said={"generation_kwargs": {"do_sample": False, "until": ["Q:"]}}).here()
    assert greedy.eval.task.repeats == 1
    assert greedy.score("exact_match,maj@64") == 1.0


def test_a_text_is_read_as_it_was_written() -> None:
    """Whether it ended by itself is a metric of every task with texts."""
    rows = [{"question": "1?", "answer": "x #### 1"}]
    found = Made("gsm8k", split="test", num_fewshot=0, rows=rows, texts=("so #### 1",)).here()
    answer = found.answers[0]
    assert (answer.predicted, answer.targets) == ("so #### 1", ("x #### 1",))
    assert found.eval.task.longest == 256
    assert {metric.name for metric in found.eval.task.suited} >= {"finished"}
    assert "finished" not in {metric.name for metric in found.eval.task.usual}


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        (None, (256, (), False)),
        ({"until": "\n", "max_gen_toks": 8}, (8, ("\n",), False)),
        ({"until": ["Q:", "Q:"], "max_new_tokens": 9}, (9, ("Q:",), False)),
        ({"max_tokens": 3, "max_gen_toks": 5}, (5, (), False)),
        ({"do_sample": False, "temperature": 0.7, "top_k": 50, "top_p": 0.9}, (256, (), False)),
        ({"num_beams": 1, "repetition_penalty": 1.0, "temperature": 0}, (256, (), False)),
        ({"temperature": 0.5, "top_p": 0.9, "top_k": 0, "min_p": 0.0}, (256, (), True)),
        ({"do_sample": True, "temperature": 0.5}, (256, (), True)),
        ({"do_sample": None, "until": None}, (256, (), False)),
    ],
)
def test_generation_settings_are_read_as_its_model_reads_them(
    kwargs: dict[str, Any] | None, said: tuple[int, tuple[str, ...], bool]
) -> None:
    """Several names of the greatest length, and values that change nothing."""
    found = requests.decoding_of(kwargs)
    assert (found.max_new_tokens, found.stop, found.do_sample) == said


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        ({"num_beams": 10}, "num_beams: 10 is not done here"),
        ({"do_sample": True, "temperature": 1.0, "top_k": 50}, "top_k: 50 is not done here"),
        ({"repetition_penalty": 1.2}, "repetition_penalty: 1.2 is not done here"),
        ({"do_sample": True}, "do_sample is true and temperature 0"),
        ({"max_length": 100}, "max_length: 100 .* say max_gen_toks"),
        ({"max_gen_toks": 0}, "max_new_tokens: must be at least 1"),
        ({"max_gen_toks": "many"}, "'many' is no number of tokens"),
        ({"temperature": "warm"}, "temperature is 'warm', not a number"),
        ({"until": ["Q:", ""]}, "until has an empty text"),
        ({"until": 3}, "until is 3, not a list of texts"),
        ({"do_sample": "no"}, "do_sample is 'no', not true or false"),
    ],
)
def test_a_generation_setting_that_is_not_done_here_is_refused_by_name(
    kwargs: dict[str, Any], problem: str
) -> None:
    """When distill.yaml is read: before a document is."""
    with pytest.raises(ConfigError, match=f"generation_kwargs: .*{problem}"):
        _ = LmEval(of="gsm8k", override={"generation_kwargs": kwargs}).suited


def test_texts_within_a_budget_are_asked_for_too() -> None:
    """The same prompts and stop strings, with another limit; the documents are read once."""
    rows = [{"question": "1?", "answer": "x #### 1"}]
    made = Made("gsm8k", split="test", num_fewshot=0, rows=rows, texts=("so #### 1",))
    found = made.here(at_tokens=(4,))
    first, within = found.eval.all_requests()
    assert isinstance(first, GenerationRequest)
    assert isinstance(within, GenerationRequest)
    assert first.decoding.max_new_tokens == 256
    assert within == replace(
        first, id=within.id, decoding=replace(first.decoding, max_new_tokens=4)
    )
    task, short = found.eval.task, found.eval.budgets[4].task
    assert isinstance(task, LmEval)
    assert isinstance(short, LmEval)
    assert short.documents is task.documents
    assert short.settings() != task.settings()
    assert found.at(4).score() == 1.0


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "{task: 'lm_eval:gsm8k', at_tokens: [300]}",
            "at_tokens: 300 is above max_new_tokens, 256",
        ),
        (
            "{task: 'lm_eval:arc_easy', at_tokens: [3]}",
            "at_tokens: .*'arc_easy' has no model write",
        ),
        ("{task: 'lm_eval:gsm8k', chance: uniform}", "chance: 'uniform' is for multiple_choice"),
        ("{task: 'lm_eval:truthfulqa_mc2', chance: uniform}", "chance: 'uniform' is for"),
        ("{task: 'lm_eval:arc_easy', metrics: [mc]}", "unknown metric 'mc'.*acc"),
        ("{task: 'lm_eval:humaneval_instruct_no'}", "no task or group 'humaneval_instruct_no'"),
    ],
)
def test_what_an_entry_cannot_say_is_refused_with_its_line(
    tmp_path: Path, entry: str, problem: str
) -> None:
    """Before a document is read."""
    (tmp_path / "distill.yaml").write_text(
        f"models: {{teacher: {{path: a}}, student: {{path: b}}}}\nevals:\n  it: {entry}\n"
    )
    with pytest.raises(ConfigError, match=rf"distill.yaml:\d: evals.it.*{problem}"):
        load_config(tmp_path / "distill.yaml")


def test_the_chance_of_choices_is_known(tmp_path: Path) -> None:
    """Of every task that goes by which choice is the likeliest."""
    (tmp_path / "distill.yaml").write_text(
        "models: {teacher: {path: a}, student: {path: b}}\n"
        "evals:\n  it: {task: 'lm_eval:arc_easy', chance: uniform}\n"
    )
    assert load_config(tmp_path / "distill.yaml").evals["it"].task == "lm_eval:arc_easy"


def test_answers_of_which_only_the_score_is_known_are_not_compared() -> None:
    """Two models that would both not write a text need not say the same: no agreement of 1.0."""
    found = Made("lambada_openai", split="test", rows=[{"text": "a b c"}, {"text": "d e"}]).here()
    with pytest.raises(ComparisonError, match="lambada_openai, which scores a text that is rated"):
        label_likeness(found, found)


@pytest.mark.parametrize(
    ("task", "said", "told"),
    [
        ("arc_easy", {}, True),
        ("gsm8k", {}, False),
        ("gsm8k", {"filter_list": None}, True),
        ("drop", {}, False),
        ("lambada_openai", {}, False),
    ],
)
def test_what_filters_take_out_of_a_text_is_no_answer_that_is_shown(
    task: str, said: dict[str, Any], told: bool
) -> None:
    """The same wrong number within other words would not be seen as an error that is inherited."""
    assert LmEval(of=task, override=said).tells_answers is told


def test_answers_that_go_against_the_targets_are_told_without_a_key_that_the_eval_lacks() -> None:
    """There is no `labels:` in the entry of a task of lm-evaluation-harness."""
    found = _arc(*[0] * 30).here()
    wrong = tuple(replace(p, loglikelihoods=(-2.0, -1.0)) for p in found.predictions)
    with pytest.raises(ComparisonError, match="correct the gold labels or the teacher"):
        refuse_below_chance(replace(found, predictions=wrong))
