"""``format:`` of a recorded model: which files are read, and what an eval makes of them.

The files are those that lm-evaluation-harness wrote of two tiny models.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.sameness import asked_otherwise
from pytest_distill.config import load_config
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.foreign import with_ids_of
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, format_of
from pytest_distill.project.project import Project
from tests import lm_eval_runs

PETS = {
    "task": "multiple_choice",
    "data": "pets.jsonl",
    "metrics": [{"name": "acc"}, {"name": "acc_norm"}],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the runs of both models, and the gold sets that they are of."""
    shutil.copytree(lm_eval_runs.made(), tmp_path / "results")
    for task in lm_eval_runs.TASKS:
        (run,) = format_of("lm-eval").read([lm_eval_runs.samples(tmp_path / "results", task)])
        rows = {row.id: {**row.document, "id": row.id} for row in run.rows}
        text = "".join(json.dumps(row) + "\n" for row in rows.values())
        (tmp_path / f"{task}.jsonl").write_text(text)
    return tmp_path


def recorded(model: str, predictions: Any = None) -> dict[str, Any]:
    """Return the entry of a model, whose files are by default all that it has."""
    found = f"results/{model}/**/*.jsonl" if predictions is None else predictions
    return {"engine": "recorded", "format": "lm-eval", "predictions": found}


def project_of(folder: Path, evals: Mapping[str, Any], **models: Any) -> Project:
    """Return a project with these evals."""
    said = {
        "models": {"teacher": recorded("big"), "student": recorded("small"), **models},
        "evals": dict(evals),
    }
    path = folder / "distill.yaml"
    path.write_text(yaml.safe_dump(said))
    return Project(load_config(path))


def comparison_of(folder: Path, evals: Mapping[str, Any], **models: Any) -> Comparison:
    """Return the comparison of the first of these evals."""
    return project_of(folder, evals, **models).comparison(next(iter(evals)), kind=Comparison)


def lines_of(folder: Path, task: str, model: str) -> list[dict[str, Any]]:
    """Return what lm-evaluation-harness wrote."""
    text = lm_eval_runs.samples(folder / "results", task, model).read_text()
    return [json.loads(line) for line in text.split("\n") if line]


def change(folder: Path, task: str, model: str, **fields: Any) -> None:
    """Change fields of the first line of a file."""
    path = lm_eval_runs.samples(folder / "results", task, model)
    lines = lines_of(folder, task, model)
    lines[0].update(fields)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def test_scores_that_are_declared(folder: Path) -> None:
    """They are lm-evaluation-harness's own, document by document; other scores are no error."""
    comparison = comparison_of(folder, {"pets": PETS})
    for role, model in (("teacher", "big"), ("student", "small")):
        lines = lines_of(folder, "pets", model)
        evaluation = comparison.evaluation(role)
        assert isinstance(evaluation, MeasuredEvaluation)
        for metric in evaluation.metrics:
            said = [line[metric.name] for line in lines]
            assert evaluation.scores(metric).tolist() == said
            assert float(evaluation.exact_score(metric)) == pytest.approx(sum(said) / len(said))


def test_answers_for_a_task_of_ours(folder: Path) -> None:
    """From log-likelihoods a built-in metric comes to what lm-evaluation-harness comes to."""
    comparison = comparison_of(folder, {"pets": {**PETS, "metrics": ["accuracy", "accuracy_norm"]}})
    evaluation = comparison.evaluation("teacher")
    assert isinstance(evaluation, MeasuredEvaluation)
    lines = lines_of(folder, "pets", "big")
    for metric, theirs in zip(evaluation.metrics, ("acc", "acc_norm"), strict=True):
        assert evaluation.scores(metric).tolist() == [line[theirs] for line in lines]


def test_the_run_of_an_eval(folder: Path) -> None:
    """Of a task that is called as the eval; by a mapping of any name; else of the only task."""
    only = "results/{}/**/samples_pets_*.jsonl"
    for predictions in (None, only, {"animals": only, "pets": only}):
        models = {
            role: recorded(name, _with(predictions, name))
            for role, name in (("teacher", "big"), ("student", "small"))
        }
        evals = {"pets": PETS} if predictions is None else {"animals": PETS, "pets": PETS}
        comparison = comparison_of(folder, evals, **models)
        assert comparison.exact_score("teacher", "acc") > 0


def _with(predictions: Any, name: str) -> Any:
    if isinstance(predictions, dict):
        return {key: value.format(name) for key, value in predictions.items()}
    return predictions and predictions.format(name)


def test_no_run_of_the_task(folder: Path) -> None:
    """The message says which tasks there are, and how to name another."""
    with pytest.raises(ConfigError) as raised:
        comparison_of(folder, {"pet": PETS}).evaluation("teacher")
    said = str(raised.value)
    assert "distill.yaml: models.teacher.predictions: no run of task 'pet'" in said
    assert "did you mean 'pets'?" in said
    assert "predictions: {pet: ...}" in said


def test_several_runs_of_a_task(folder: Path) -> None:
    """They are refused by their files, of which one is to be named."""
    with pytest.raises(ConfigError) as raised:
        comparison_of(folder, {"pets": PETS}, teacher=recorded("*")).evaluation("teacher")
    said = str(raised.value)
    assert "2 runs of task 'pets' match results/*/**/*.jsonl" in said
    for model in ("big", "small"):
        assert lm_eval_runs.samples(folder / "results", "pets", model).name in said


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        ("results/bug/**/*.jsonl", "there is no folder 'bug'; did you mean 'big'?"),
        ("results/**/samples_pet_*.jsonl", "no file matches results/**/samples_pet_*.jsonl in"),
        ("results/**/samples_pet_*.jsonl", "did you mean 'samples_pets_*.jsonl'?"),
        (r"results\big\*.jsonl", "write '/' between folders"),
        ("results[1]/*.jsonl", "write '[[]' for the bracket itself"),
        ("results/big", "is a folder: name the files in it, e.g. 'results/big/**/samples_*.jsonl'"),
        ("results/pets.jsonl", "no such file: results/pets.jsonl"),
    ],
)
def test_nothing_matches(folder: Path, predictions: str, words: str) -> None:
    """The message says what was searched, and what is near."""
    models = {"teacher": recorded("big", predictions)}
    with pytest.raises(ConfigError) as raised:
        comparison_of(folder, {"pets": PETS}, **models).evaluation("teacher")
    assert words in str(raised.value)


def test_an_unknown_format(folder: Path) -> None:
    """The nearest one is named, with the line."""
    with pytest.raises(ConfigError, match=r"distill\.yaml:\d+.*did you mean 'lm-eval'"):
        project_of(folder, {"pets": PETS}, teacher={**recorded("big"), "format": "lm_eval"})


def test_a_glob_without_a_format(folder: Path) -> None:
    """Only files of other tools are found by one, and the message says so."""
    teacher = {"engine": "recorded", "predictions": "results/**/*.jsonl"}
    with pytest.raises(ConfigError, match=r"is a glob, .*: say 'format:' too \(lm-eval, "):
        comparison_of(folder, {"pets": PETS}, teacher=teacher).evaluation("teacher")


def test_files_of_a_tool_that_is_not_named(folder: Path) -> None:
    """The message says which format the name of the file is of; no file of ours is called so."""
    path = lm_eval_runs.samples(folder / "results", "pets")
    teacher = {"engine": "recorded", "predictions": str(path)}
    with pytest.raises(EvaluationError, match="as another tool's files are: say 'format: lm-eval'"):
        comparison_of(folder, {"pets": PETS}, teacher=teacher).evaluation("teacher")
    written(folder, "own.jsonl", [{"id": "a"}])
    teacher = {"engine": "recorded", "predictions": "own.jsonl"}
    with pytest.raises(EvaluationError) as raised:
        comparison_of(folder, {"pets": PETS}, teacher=teacher).evaluation("teacher")
    assert "format" not in str(raised.value)


def test_tokens_of_a_recorded_teacher(folder: Path) -> None:
    """Other tools' files hold none to compare a student with, and the message says so."""
    teacher: Any = project_of(folder, {"pets": PETS}).models["teacher"]
    with pytest.raises(ConfigError, match="files of lm-eval have no log-probabilities of tokens"):
        teacher.file("pets")


def test_answers_that_were_changed(folder: Path) -> None:
    """What our metric makes of them is held against the file's, whatever that is called there."""
    (line, *_) = lines_of(folder, "pets", "big")
    right = line["doc"]["answer"]
    wrong = [[["-1.0" if (n == right) != line["acc"] else "-9.0", "False"]] for n in range(3)]
    change(folder, "pets", "big", resps=[*wrong, *line["resps"][3:]])
    project = project_of(folder, {"pets": {**PETS, "metrics": ["accuracy"]}})
    project.comparison("pets", kind=Comparison).evaluation("teacher")
    (note,) = project.models["teacher"].notes
    assert "accuracy is computed here from the answers" in note
    assert "than the file's acc for 1 of 13 examples" in note


@pytest.mark.parametrize("same", [True, False])
def test_prompts_in_chat_templates(folder: Path, same: bool) -> None:
    """In one template they are compared; beside a model asked without one they are others."""
    for seed, name in enumerate(("big", "small")):
        shutil.rmtree(folder / "results" / name)
        asked: dict[str, Any] = {"apply_chat_template": True} if same or seed else {}
        lm_eval_runs.write(folder / "results" / name, ["last"], seed=seed, **asked)
    said = {"task": "generation", "data": "last.jsonl", "metrics": [{"name": "acc"}]}
    comparison = comparison_of(folder, {"last": said})
    if same:
        comparison.pair("teacher", "student")
        evaluation = comparison.evaluation("teacher")
        assert isinstance(evaluation, MeasuredEvaluation)
        assert all(text.startswith("lm-eval+") for text in evaluation.prompts.values())
    else:
        with pytest.raises(ComparisonError, match="were asked other prompts for example"):
            comparison.pair("teacher", "student")


@pytest.mark.parametrize(
    ("one", "other", "otherwise"),
    [
        ("lm-eval:a", "lm-eval:b", True),
        ("lm-eval:a", "lm-eval:a", False),
        ("lm-eval:a", "inspect:b", False),
        ("lm-eval+s:a", "lm-eval+s:b", True),
        ("lm-eval+s:a", "lm-eval+t:b", False),
        ("lm-eval:a", "lm-eval+t:b", True),
        ("lm-eval:a:x", "lm-eval:a:x", False),
        ("lm-eval:a:x", "lm-eval:a:y", True),
        ("lm-eval+s:a:x", "lm-eval+t:b:x", False),
        ("lm-eval+s:a:x", "lm-eval+t:b:y", True),
        ("of mine", "of mine", False),
    ],
)
def test_which_digests_are_compared(one: str, other: str, otherwise: bool) -> None:
    """Those of one tool; between chat templates those of what stands in none."""
    assert asked_otherwise(one, other) is otherwise


def test_a_score_that_is_not_there(folder: Path) -> None:
    """One that is no mean over documents is told apart from a slip."""
    for name, words in (
        ("acc_nrm", "did you mean 'acc_norm'"),
        ("mcc", "is no mean over examples"),
    ):
        with pytest.raises(EvaluationError, match=words):
            comparison_of(folder, {"pets": {**PETS, "metrics": [{"name": name}]}}).evaluation(
                "teacher"
            )


def test_other_prompts(folder: Path) -> None:
    """Two models that were asked otherwise are not compared; the message names id and files."""
    shutil.rmtree(folder / "results" / "small")
    said = dict(lm_eval_runs.TASKS["pets"][1], doc_to_text="{{question}}")
    lm_eval_runs.write(folder / "results" / "small", ["pets"], seed=1, said=said)
    comparison = comparison_of(folder, {"pets": PETS})
    comparison.evaluation("student")
    with pytest.raises(ComparisonError) as raised:
        comparison.pair("teacher", "student")
    (first, *_) = (folder / "pets.jsonl").read_text().splitlines()
    words = str(raised.value)
    assert f"asked other prompts for example '{json.loads(first)['id']}' and 12 more" in words
    for model in ("big", "small"):
        assert lm_eval_runs.samples(folder / "results", "pets", model).name in words


@pytest.mark.parametrize(
    ("task", "otherwise"),
    [
        ("pets", {"doc_to_choice": "{{['A', 'B', 'C']}}"}),
        ("pets", {"target_delimiter": ""}),
        ("sums", {"generation_kwargs": {"until": ["\n"], "max_gen_toks": 4}}),
    ],
)
def test_other_choices_and_settings(folder: Path, task: str, otherwise: Mapping[str, Any]) -> None:
    """They are asked for beside the same prompts, and are told apart in the same way."""
    shutil.rmtree(folder / "results" / "small")
    lm_eval_runs.write(folder / "results" / "small", [task], seed=1, said=otherwise)
    sums = {"task": "generation", "data": "sums.jsonl", "metrics": [{"name": "exact_match,vote"}]}
    comparison = comparison_of(folder, {"pets": PETS} if task == "pets" else {"sums": sums})
    with pytest.raises(ComparisonError, match=r"asked other prompts.*choices and settings"):
        comparison.pair("teacher", "student")


@pytest.mark.parametrize("renamed", [False, True])
@pytest.mark.parametrize("task", ["pets", "sums"])
def test_a_copy_of_a_run_is_no_other_model(folder: Path, task: str, renamed: bool) -> None:
    """One run under two names is refused: its student would be as good as its teacher.

    Texts alone two models may share, where their tool calls them otherwise.
    """
    shutil.rmtree(folder / "results" / "small")
    shutil.copytree(folder / "results" / "big", folder / "results" / "small")
    if renamed:
        (path,) = (folder / "results" / "small").rglob("results_*.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model_name": "other"}))
        samples = lm_eval_runs.samples(folder / "results", task, "small")
        samples.write_text("".join(reversed(samples.read_text().splitlines(keepends=True))))
    sums = {"task": "generation", "data": "sums.jsonl", "metrics": ["exact_match"]}
    sampled = {"repeats": 2, "do_sample": True, "seed": 1}
    evals = {"pets": PETS} if task == "pets" else {"sums": {**sums, **sampled}}
    comparison = comparison_of(folder, evals)
    if renamed and task == "sums":
        comparison.pair("teacher", "student")
        return
    with pytest.raises(ComparisonError, match="the same answers to the last digit"):
        comparison.pair("teacher", "student")


def numbered_run(order: Sequence[int], asks: str = "where is {}?") -> ForeignRun:
    """Return a run of four documents that have numbers from 1."""
    rows = [
        ForeignRow("log", str(n + 1), {"input": asks.format(at), "target": "A"}, {"text": "A"})
        for n, at in enumerate(order)
    ]
    return ForeignRun("log", (Path("log"),), "m", "t", rows)


def test_numbers_that_meet_by_chance(tmp_path: Path) -> None:
    """The documents of a tool that numbers its samples are those of the examples, or refused."""
    rows = [{"id": n + 1, "input": f"where is {n}?", "target": "A"} for n in range(4)]
    data = written(tmp_path, "gold.jsonl", rows)
    said = {"e": {"task": "generation", "data": data, "metrics": [{"name": "m"}]}}
    on = project_of(tmp_path, said).eval("e")
    assert isinstance(on, Eval)
    inspect = format_of("inspect")
    assert with_ids_of(on, numbered_run(range(4)), inspect).notes == ()
    words = "'where is 1.'.*, and in example '2' of .*: the ids here and there are of other"
    with pytest.raises(EvaluationError, match=words):
        with_ids_of(on, numbered_run([1, 0, 2, 3]), inspect)
    (note,) = with_ids_of(on, numbered_run(range(4), "say {}"), inspect).notes
    assert "by their ids alone: no text of their documents stands there" in note


def test_a_score_that_is_declared_the_other_way_round(folder: Path) -> None:
    """Where the tool says that less is better, a score of which more is better is refused."""
    for model in ("big", "small"):
        (path,) = (folder / "results" / model).rglob("results_*.json")
        said = json.loads(path.read_text())
        said["higher_is_better"]["pets"]["acc"] = False
        path.write_text(json.dumps(said))
    with pytest.raises(EvaluationError, match=r"less is better there.*higher_is_better: false"):
        comparison_of(folder, {"pets": PETS}).evaluation("teacher")
    metrics = [{"name": "acc", "higher_is_better": False}]
    comparison_of(folder, {"pets": {**PETS, "metrics": metrics}}).evaluation("teacher")


def test_prompts_that_one_side_alone_knows(folder: Path) -> None:
    """A model whose prompts nobody took a digest of is compared as ever."""
    rows = [json.loads(line) for line in (folder / "pets.jsonl").read_text().splitlines()]
    own = [{"id": row["id"], "loglikelihoods": [-1, -2, -3]} for row in rows]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    student = {"engine": "recorded", "predictions": "own.jsonl"}
    evals = {"pets": {**PETS, "metrics": ["accuracy"]}}
    comparison_of(folder, evals, student=student).pair("teacher", "student")


def test_samples_of_one_score(folder: Path) -> None:
    """Where several answers made one score it is the example's; the answers need their repeats."""
    metrics = [{"name": "exact_match,vote"}]
    sums: dict[str, Any] = {"task": "generation", "data": "sums.jsonl", "metrics": metrics}
    evals = {"sums": sums}
    evaluation = comparison_of(folder, evals).evaluation("teacher")
    assert isinstance(evaluation, MeasuredEvaluation)
    assert evaluation.scores(evaluation.metrics[0]).shape == (4,)
    sums["metrics"] = ["exact_match"]
    with pytest.raises(EvaluationError, match="say 'repeats: 2' there"):
        comparison_of(folder, evals).evaluation("teacher")
    sums |= {"repeats": 2, "do_sample": True, "seed": 1}
    evaluation = comparison_of(folder, evals).evaluation("teacher")
    assert isinstance(evaluation, MeasuredEvaluation)
    texts = [line["resps"][0] for line in lines_of(folder, "sums", "big")[:4]]
    assert [[sample.text for sample in each] for each in evaluation.samples] == texts


def test_a_metric_of_the_same_name(folder: Path) -> None:
    """It is computed here; where the file's own is another number, a note says for how many."""
    for model in ("big", "small"):
        path = lm_eval_runs.samples(folder / "results", "sums", model)
        lines = [line for line in lines_of(folder, "sums", model) if line["filter"] == "vote"]
        for number, line in enumerate(lines):
            line.update(filter="none", exact_match=float(number == 2))
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        (results,) = path.parent.glob("results_*.json")
        said = json.loads(results.read_text())
        said["results"]["sums"] = {"exact_match,none": 0.25}
        del said["task_hashes"]
        results.write_text(json.dumps(said))
    evals = {
        "sums": {
            "task": "generation",
            "data": "sums.jsonl",
            "metrics": ["exact_match"],
            "repeats": 2,
            "do_sample": True,
            "seed": 1,
        }
    }
    project = project_of(folder, evals)
    project.comparison("sums", kind=Comparison).evaluation("teacher")
    (note,) = project.models["teacher"].notes
    assert "exact_match is computed here from the answers" in note
    assert "for 1 of 4 examples" in note


def written(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Write a gold set; return the name of its file."""
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def test_a_gold_set_of_the_documents_themselves(folder: Path) -> None:
    """Rows without ids are found by what stands in them, as lm-evaluation-harness does it."""
    data = written(folder, "own.jsonl", list(reversed(lm_eval_runs.SUMS)))
    metrics = [{"name": "acc"}]
    said = {"task": "generation", "input": "question", "target": "answer", "metrics": metrics}
    evaluation = comparison_of(folder, {"last": {**said, "data": data}}).evaluation("teacher")
    assert isinstance(evaluation, MeasuredEvaluation)
    assert evaluation.prompts.keys() == {example.id for example in evaluation.eval.gold}


def test_a_gold_set_with_ids_of_the_documents(folder: Path) -> None:
    """What a document says in the field that the gold set has its ids in is its id."""
    rows = [{**row, "lang": "en"} for row in reversed(lm_eval_runs.SUMS)]
    data = written(folder, "own.jsonl", rows)
    metrics = [{"name": "acc"}]
    said = {"task": "generation", "input": "question", "target": "answer", "metrics": metrics}
    evals = {"last": {**said, "data": data, "id": "question"}}
    evaluation = comparison_of(folder, evals).evaluation("teacher")
    assert isinstance(evaluation, MeasuredEvaluation)
    by_question = {line["doc"]["question"]: line for line in lines_of(folder, "last", "big")}
    assert evaluation.prompts.keys() == by_question.keys()
    for id, digest in evaluation.prompts.items():
        assert digest.startswith(f"lm-eval:{by_question[id]['prompt_hash']}:")


def test_a_gold_set_of_other_documents(folder: Path) -> None:
    """The message shows ids of both sides, and which command writes a gold set that fits."""
    data = written(folder, "own.jsonl", [{"id": "e0", "input": "x", "target": "y"}])
    evals = {"last": {"task": "generation", "data": data, "metrics": [{"name": "acc"}]}}
    with pytest.raises(EvaluationError) as raised:
        comparison_of(folder, evals).evaluation("teacher")
    (run,) = format_of("lm-eval").read([lm_eval_runs.samples(folder / "results", "last")])
    words = str(raised.value)
    assert f"the ids here are {run.rows[0].id}, " in words
    assert "and there e0; nor has a document" in words
    assert "pytest_distill import lm-eval" in words
