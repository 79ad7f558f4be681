"""``python -m pytest_distill baseline save`` and ``show``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.cli import main
from pytest_distill.comparison.baseline.file import read_baseline
from pytest_distill.report.formats import as_text
from pytest_distill.report.records.report import Report

from .project import SHIPS, Project, Run, answers, gold, write_gates

GIT = shutil.which("git") or "git"


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no CI job's commit be taken for the project's."""
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)


def shipped(project: Project, run: Run, *args: str) -> None:
    """Let a run say SHIP and write its report."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-report", "--distill-json", "out.json", *args)
    assert result.ret == 0
    assert project.json()["outcome"] == "SHIP"


def command(*args: str) -> int:
    """Run the command."""
    return main(["baseline", *args])


def test_a_run_that_ships_is_kept(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file holds models, gates and scores, and no text or id of the gold set."""
    shipped(project, run)
    assert command("save", "out.json") == 0
    said = capsys.readouterr().out
    assert "baseline.json: 3 models, 1 eval, 20 examples, 2 gates" in said
    kept = read_baseline(project.path / "baseline.json")
    assert [model.name for model in kept.models] == ["teacher", "student", "sft"]
    assert [(gate.gate, gate.relation, gate.required) for gate in kept.gates] == [
        ("quality_retained", ">=", 0.9),
        ("beats_sft", ">", 0.0),
    ]
    assert set(kept.evals["reviews"].metrics) == {"accuracy", "macro_f1"}
    text = (project.path / "baseline.json").read_text()
    for row in gold():
        assert row["text"] not in text
        assert f'"{row["id"]}"' not in text
    assert '"pos"' not in text


def test_show_tells_what_is_kept(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Models, evals, scores, gates, age and commit, of the file that distill.yaml names."""
    project.config["baseline"] = "kept/accepted.json"
    project.save()
    shipped(project, run)
    assert command("save", "out.json") == 0
    capsys.readouterr()
    assert command("show") == 0
    said = capsys.readouterr().out
    assert "kept/accepted.json: SHIP, less than a minute old" in said
    assert "of no known commit" in said
    assert "reviews, 20 examples" in said
    assert "accuracy: teacher 0.9000, student 0.8500, sft 0.7500" in said
    assert "macro_f1: teacher 0.9000, student 0.8496, sft 0.7493" in said
    assert "test_ship.py::test_keeps: quality_retained >= 0.9" in said


@pytest.mark.parametrize(
    ("gates", "outcome"),
    [
        ({"keeps": "assert_quality_retained(min=0.99)"}, "DO NOT SHIP"),
        ({"keeps": "assert_quality_retained(min=0.9)", "odd": "assert_score(nope=1)"}, ""),
    ],
)
def test_a_run_that_does_not_ship_is_not_kept(
    project: Project,
    run: Run,
    capsys: pytest.CaptureFixture[str],
    gates: dict[str, str],
    outcome: str,
) -> None:
    """The refusal says what the report said, and an older file stays as it is."""
    write_gates(project, **gates)
    run("--distill-json", "out.json")
    project.file("baseline.json", "older")
    assert command("save", "out.json") == 1
    said = capsys.readouterr().err
    assert f"the report says {outcome}" in said
    assert "only a run that says SHIP" in said
    assert (project.path / "baseline.json").read_text() == "older"


def test_a_sample_is_not_kept(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run of some examples alone is INCOMPLETE, and no baseline."""
    project.file("test_ship.py", SHIPS)
    run("--distill-limit", "10", "--distill-json", "out.json")
    assert command("save", "out.json") == 1
    assert "PARTIAL: 10 of 20" in capsys.readouterr().err


def test_a_run_that_did_not_end_is_not_kept(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """What stands in the report from the start of a run is no verdict."""
    project.file("out.json", as_text("json", Report()))
    assert command("save", "out.json") == 1
    assert "INCOMPLETE (the run did not end)" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 1}', "[1", "null"])
def test_what_is_no_report_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """A file that is no whole report of this version is named in one line."""
    project.file("out.json", text)
    assert command("save", "out.json") == 1
    said = capsys.readouterr().err
    assert "out.json" in said
    assert len(said.splitlines()) == 1
    assert not (project.path / "baseline.json").exists()


def test_a_run_of_a_part_is_told_as_one(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a SHIP was of is said when it is kept, when it is shown and when a run is held to it."""
    shipped(project, run, "test_ship.py")
    told = "it is of a run that said SHIP (test_ship.py)"
    capsys.readouterr()
    assert command("save", "out.json") == 0
    assert told in capsys.readouterr().out
    assert command("show") == 0
    assert told in capsys.readouterr().out
    run("--distill-json", "out.json", "--distill-baseline", "baseline.json")
    (baseline,) = project.json()["baselines"]
    assert told in baseline["notes"]


def test_nothing_is_evaluated_anew(
    project: Project,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Predictions that are not stored are an error that says what to run; no model is asked."""
    project.use_own_engine()
    monkeypatch.syspath_prepend(str(project.path))
    shipped(project, run)
    before = len(project.calls("predict"))
    assert command("save", "out.json") == 1
    said = capsys.readouterr().err
    assert "'teacher' on 'reviews' are kept nowhere" in said
    assert len(project.calls("predict")) == before


IDENTIFIED = """
from own import Counting

class Kept(Counting):
    @property
    def identity(self):
        said = {"model": self.spec.name, "right": list(self.spec.options["right"])}
        return {**said, "path": self.spec.path}
"""


def identified(project: Project) -> None:
    """Let the models run on an engine whose answers are stored."""
    project.use_own_engine()
    project.file("kept.py", IDENTIFIED)
    for entry in project.models.values():
        entry["engine"] = "kept:Kept"
    project.save()


def test_stored_predictions_are_read(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run stored is kept without a model being asked, wherever the store lies."""
    identified(project)
    monkeypatch.syspath_prepend(str(project.path))
    shipped(project, run, "--distill-cache", "elsewhere")
    before = len(project.calls("predict"))
    assert command("save", "out.json", "--cache", "elsewhere") == 0
    assert len(project.calls("predict")) == before
    kept = read_baseline(project.path / "baseline.json")
    assert set(kept.evals["reviews"].metrics["accuracy"].rows) == {"teacher", "student", "sft"}


def test_a_checkpoint_of_this_run_alone_is_found(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with ``--distill-model`` is kept as it was: the report says where the model lay."""
    identified(project)
    monkeypatch.syspath_prepend(str(project.path))
    for name in ("old", "new"):
        (project.path / name).mkdir()
    project.models["student"]["path"] = "old"
    project.save()
    shipped(project, run, "--distill-model", "student=new")
    assert command("save", "out.json") == 0
    kept = read_baseline(project.path / "baseline.json")
    assert "student" in kept.evals["reviews"].metrics["accuracy"].rows


def test_the_config_is_found_in_the_report(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a distill.yaml in this folder the only one that the report is of is meant."""
    folder = project.path / "gates"
    folder.mkdir()
    project.file("test_ship.py", SHIPS)
    for path in list(project.path.iterdir()):
        if path.suffix in (".yaml", ".jsonl", ".py"):
            path.rename(folder / path.name)
    assert run("--distill-report", "--distill-json", "out.json").ret == 0
    assert command("save", "out.json") == 0
    assert (folder / "baseline.json").is_file()
    other = project.path / "other"
    shutil.copytree(folder, other)
    (other / "test_ship.py").rename(other / "test_other.py")
    assert run("--distill-report", "--distill-json", "out.json").ret == 0
    capsys.readouterr()
    assert command("save", "out.json") == 1
    assert "is of gates/distill.yaml, other/distill.yaml" in capsys.readouterr().err


def test_missing_predictions_are_an_error(
    project: Project,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A store that lacks what the report judged is named, with what to do."""
    identified(project)
    monkeypatch.syspath_prepend(str(project.path))
    shipped(project, run)
    assert command("save", "out.json", "--cache", "nowhere") == 1
    assert "run the gates again" in capsys.readouterr().err
    project.models["student"]["right"] = list(range(4, 20))
    project.save()
    assert command("save", "out.json") == 1
    assert "20 of 20 predictions of 'student' on 'reviews'" in capsys.readouterr().err


def test_what_changed_since_the_run_is_refused(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Scores that are others than the report's are not kept under its verdict."""
    shipped(project, run)
    project.rows("student.jsonl", answers(range(2, 20)))
    assert command("save", "out.json") == 1
    assert "have changed since" in capsys.readouterr().err


def test_a_report_of_another_project_is_refused(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report must be of the distill.yaml that is named."""
    shipped(project, run)
    other = project.path / "other" / "cfg.yaml"
    other.parent.mkdir()
    other.write_text((project.path / "distill.yaml").read_text())
    assert command("save", "out.json", "--config", str(other)) == 1
    assert "but of distill.yaml" in capsys.readouterr().err


def git(folder: Path, *args: str) -> str:
    """Run git in a folder, whatever its owner's settings."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=x", "-c", "user.email=x"]
    done = subprocess.run(
        [GIT, *who, *args], cwd=folder, env={**os.environ, **own}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_the_commit_is_that_of_the_job_or_of_git(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CI job's commit counts, else the one that is checked out, else none is known."""
    shipped(project, run)

    def commit() -> Any:
        assert command("save", "out.json") == 0
        return json.loads((project.path / "baseline.json").read_text())["commit"]

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.path.parent))
    assert commit() is None
    git(project.path, "init", "-q")
    assert commit() is None
    git(project.path, "commit", "-q", "--allow-empty", "-m", "first")
    assert commit() == git(project.path, "rev-parse", "HEAD")
    monkeypatch.setenv("CI_COMMIT_SHA", "c" * 40)
    assert commit() == "c" * 40
    monkeypatch.setenv("GITHUB_SHA", "a" * 40)
    assert commit() == "a" * 40
    monkeypatch.setenv("GITHUB_SHA", "$(rm -rf /)")
    assert commit() == "c" * 40
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CI_COMMIT_SHA")
    assert commit() is None


def test_a_file_that_cannot_be_written_is_one_line(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback, and nothing half-written is left."""
    shipped(project, run)
    (project.path / "blocked").write_text("a file")
    assert command("save", "out.json", "--output", "blocked/b.json") == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_show_of_no_file_says_what_to_do(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that saves one is named."""
    assert command("show", "none.json") == 1
    assert "baseline save REPORT.json --output none.json" in capsys.readouterr().err
    assert project.path.exists()


def test_the_command_runs_as_a_module(project: Project, run: Run) -> None:
    """As users call it, in a process of its own."""
    shipped(project, run)
    done = subprocess.run(
        [sys.executable, "-m", "pytest_distill", "baseline", "save", "out.json"],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "baseline.json: 3 models" in done.stdout
