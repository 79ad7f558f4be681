"""``python -m pytest_distill import``: what it writes, and that a run on it is one on the files.

The files are those that lm-evaluation-harness wrote of two tiny models.
"""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_distill.cli import importing, main
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.config import load_config
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError
from pytest_distill.evaluation.sources.formats.format import ForeignMetric, ForeignRow, ForeignRun
from pytest_distill.project.project import Project
from tests import lm_eval_runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the runs of both models, which is the current one."""
    shutil.copytree(lm_eval_runs.made(), tmp_path / "results")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def imported(*paths: str, format: str = "lm-eval") -> list[str]:
    """Return what the command prints."""
    return list(importing.run(Namespace(format=format, paths=paths, output=Path("predictions"))))


def both() -> list[str]:
    """Convert the runs of both models."""
    return imported("teacher=results/big", "student=results/small")


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return the rows of a file."""
    return [json.loads(line) for line in Path("predictions", name).read_text().splitlines()]


def project_of(said: Any) -> Project:
    """Return the project of a ``distill.yaml`` that says this."""
    Path("distill.yaml").write_text(said if isinstance(said, str) else yaml.safe_dump(said))
    return Project(load_config(Path("distill.yaml").resolve()))


def scores(project: Project) -> Iterator[tuple[str, str, str, list[float], Fraction]]:
    """Yield all numbers of all models on all evals that have one by each example."""
    for name in project.config.evals:
        comparison = project.comparison(name, kind=Comparison)
        for role in ("teacher", "student"):
            evaluation: Any = comparison.evaluation(role)
            for metric in evaluation.eval.metrics:
                values = evaluation.scores(metric).tolist()
                yield name, role, metric.name, values, evaluation.exact_score(metric)


def test_a_round_trip(folder: Path) -> None:
    """What it prints is a distill.yaml that comes to the same numbers as the files in place."""
    printed = "\n".join(both())
    said = yaml.safe_load(printed)
    assert set(said["evals"]) == set(lm_eval_runs.TASKS)
    converted = list(scores(project_of(printed)))
    for role, model in (("teacher", "big"), ("student", "small")):
        said["models"][role] = {
            "engine": "recorded",
            "format": "lm-eval",
            "predictions": f"results/{model}/**/samples_*.jsonl",
        }
    assert list(scores(project_of(said))) == converted
    assert {metric for _, _, metric, *_ in converted} >= {"acc", "word_perplexity"}
    assert folder == Path.cwd()


def test_numbers_of_whole_texts(folder: Path) -> None:
    """Word perplexity and bits per byte are those that lm-evaluation-harness printed."""
    project = project_of("\n".join(both()))
    (results,) = (folder / "results" / "big").rglob("results_*.json")
    printed = json.loads(results.read_text())["results"]["pages"]
    evaluation = project.comparison("pages", kind=Comparison).evaluation("teacher")
    for metric in ("word_perplexity", "bits_per_byte"):
        assert evaluation.score(metric) == pytest.approx(printed[f"{metric},none"], rel=1e-9)


def test_other_prompts_stay_so(folder: Path) -> None:
    """The digests of the prompts are in the rows, so that models asked otherwise are told apart."""
    both()
    path = folder / "predictions" / "last.student.jsonl"
    path.write_text(path.read_text().replace("lm-eval:7", "lm-eval:8", 1))
    printed = "\n".join(line for line in both_again() if not line.startswith("#"))
    with pytest.raises(ComparisonError, match="were asked other prompts for example"):
        project_of(printed).comparison("last", kind=Comparison).pair("teacher", "student")


def both_again() -> list[str]:
    """Return what is printed of files into another folder, with the first one's names."""
    given = ("teacher=results/big", "student=results/small")
    elsewhere = Namespace(format="lm-eval", paths=given, output=Path("elsewhere"))
    return [line.replace("elsewhere/", "predictions/") for line in importing.run(elsewhere)]


def test_names_and_roles(folder: Path) -> None:
    """Without a name a model is called as the tool calls it; the first is taken for the teacher."""
    (model,) = {path.name for path in (folder / "results").glob("*/*")}
    path = lm_eval_runs.samples(folder / "results", "pets")
    printed = imported(str(path))
    said = yaml.safe_load("\n".join(printed))
    assert said["models"] == {
        model: {
            "role": "teacher",
            "engine": "recorded",
            "predictions": {"pets": f"predictions/pets.{model}.jsonl"},
        }
    }
    assert said["evals"]["pets"]["metrics"] == [
        {"name": name} for name in ("acc", "acc_norm", "acc_mutual_info")
    ]
    assert any("no score of an example: mcc" in line for line in printed)


def test_a_gold_set_of_choices(folder: Path) -> None:
    """It is one that our engines can be asked: lm-evaluation-harness's prompt, choices, target."""
    assert folder == Path.cwd()
    both()
    for row, document in zip(rows_of("pets.gold.jsonl"), lm_eval_runs.PETS, strict=False):
        assert row["input"] == f"Q: {document['question']}\nA:"
        assert (row["choices"], row["target"]) == (document["choices"], document["answer"])
        assert row["question"] == document["question"]


def test_two_runs_of_one_model(folder: Path) -> None:
    """They would be one file: both are named, and how to tell them apart."""
    assert folder == Path.cwd()
    with pytest.raises(ConfigError, match=r"are both runs of task 'last' by model.*names of your"):
        imported("results")


def test_names_that_would_be_one_file(folder: Path) -> None:
    """Tasks whose names differ in what no file name has, and a model called as the gold set is."""
    assert folder == Path.cwd()
    rows = [ForeignRow("f:1", "a", {"input": "?", "target": "x"}, {"text": "x"})]
    runs = [ForeignRun("f", (Path("f"),), None, task, rows) for task in ("a|b", "a_b")]
    two = [importing.Named(f"m{number}", run) for number, run in enumerate(runs)]
    gold = [importing.Named("Gold", runs[0])]
    for named, words in ((two, "would both be written into a_b.gold"), (gold, "call it otherwise")):
        with pytest.raises(ConfigError, match=words):
            list(importing.converted_lines(named, "any", Path("p")))
    assert not Path("p").exists()


def test_one_run_is_one_model(folder: Path) -> None:
    """A run that is given under two names would be as good as itself."""
    with pytest.raises(ConfigError, match="is given for two models, 'a' and 'b'"):
        imported("a=results/big", "b=results/big")
    assert not (folder / "predictions").exists()


def test_a_file_in_the_place_of_the_folder(folder: Path) -> None:
    """The message names it."""
    (folder / "predictions").write_text("")
    with pytest.raises(ConfigError, match="predictions: is a file; name a folder to write to"):
        imported("results/big/")


def test_models_that_were_asked_with_other_settings(folder: Path) -> None:
    """Documents and prompts may be the same: how a text is generated counts too."""
    shutil.rmtree(folder / "results" / "small")
    otherwise = {"generation_kwargs": {"until": ["\n"], "max_gen_toks": 4}}
    lm_eval_runs.write(folder / "results" / "small", ["sums"], seed=1, said=otherwise)
    sums = lm_eval_runs.samples(folder / "results", "sums")
    with pytest.raises(EvaluationError, match=r"of example '.*' other things were asked"):
        imported(f"teacher={sums}", "student=results/small")


def test_nothing_is_overwritten(folder: Path) -> None:
    """The same contents may be there; with others nothing at all is written."""
    both()
    assert all("(there already)" in line for line in both() if "rows" in line)
    changed = folder / "predictions" / "pets.student.jsonl"
    changed.write_text("mine\n")
    (folder / "predictions" / "sums.gold.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"pets\.student\.jsonl: is there already"):
        both()
    assert changed.read_text() == "mine\n"
    assert not (folder / "predictions" / "sums.gold.jsonl").exists()


def test_models_that_were_asked_about_other_documents(folder: Path) -> None:
    """The gold set of both is one: the message names the id, the field and the files."""
    shutil.rmtree(folder / "results" / "small")
    lm_eval_runs.write(folder / "results" / "small", ["pets"], seed=1, limit=4)
    with pytest.raises(EvaluationError, match=r"task pets: example '\w+(#2)?' of .* is not in"):
        both()


def test_what_is_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown format, a folder without such files and a slip in a path are one line each."""
    (folder / "empty").mkdir()
    for arguments, words in (
        (("lm-evl", "results"), "unknown format 'lm-evl'; did you mean 'lm-eval'?"),
        (("lm-eval", "empty"), "empty: none of lm-evaluation-harness's samples"),
        (("lm-eval", "result"), "did you mean 'results'?"),
    ):
        assert main(["import", *arguments]) == 1
        error = capsys.readouterr().err
        assert words in error
        assert len(error.splitlines()) == 1


def test_runs_of_any_format(folder: Path) -> None:
    """Fields that are no JSON, targets that are no text and samples of each example are written."""
    assert folder == Path.cwd()
    rows = [
        ForeignRow(
            f"f:{id}",
            str(id),
            {"input": [{"role": "user"}], "target": ["a", ""], "id": "x", "n": float("nan")},
            {"text": f"{id}{repeat}"},
            repeat,
            scores={"mine": repeat * 2.5},
        )
        for id in range(2)
        for repeat in range(2)
    ]
    metric = ForeignMetric("mine", higher_is_better=False, range=(0.0, float("inf")))
    run = ForeignRun("f", (Path("f"),), "org/model", "a|b", rows, (metric,))
    printed = list(importing.converted_lines([importing.Named("org_model", run)], "any", Path("p")))
    said = yaml.safe_load("\n".join(printed))
    assert said["evals"] == {
        "a_b": {
            "task": "generation",
            "data": "p/a_b.gold.jsonl",
            "metrics": [{"name": "mine", "higher_is_better": False, "range": [0.0, float("inf")]}],
            "repeats": 2,
            "do_sample": True,
            "seed": 0,
        }
    }
    (row, _) = [json.loads(line) for line in Path("p/a_b.gold.jsonl").read_text().splitlines()]
    assert row == {
        "id": "0",
        "input": '[{"role": "user"}]',
        "target": '["a", ""]',
        "n": None,
        "document_id": "x",
    }
    student = {"role": "student", "engine": "recorded", "predictions": "p/a_b.org_model.jsonl"}
    project = project_of({**said, "models": {**said["models"], "small": student}})
    evaluation: Any = project.comparison("a_b", kind=Comparison).evaluation("teacher")
    assert evaluation.scores(evaluation.metrics[0]).tolist() == [1.25, 1.25]
