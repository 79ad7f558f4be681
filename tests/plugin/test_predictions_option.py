"""``--distill-predictions`` and ``python -m pytest_distill store``: a GPU job exports, CI gates."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.engines import file_digest
from pytest_distill.evaluation.sources.manifest import read_manifest

from .project import SHIPS, Project, Run, command, decision_of, refuse_package_frames, said

STORED = '''
import hashlib
from pathlib import Path

import own

class Stored(own.Counting):
    """The counting engine, for a model that is one file; its predictions may be stored."""

    def __init__(self, spec):
        if not Path(spec.path).is_dir():
            raise own.ModelError(f"no folder {spec.path}")
        super().__init__(spec)

    @property
    def identity(self):
        weights = (Path(self.spec.path) / "weights").read_bytes()
        return {"model": hashlib.sha256(weights).hexdigest(), "engine": "stored"}
'''


@pytest.fixture
def stored(project: Project) -> Project:
    """Return a project whose three models lie in folders and are stored."""
    project.use_own_engine()
    project.file("own.py", (project.path / "own.py").read_text().replace(
        "from pytest_distill import", "from pytest_distill import ModelError,"
    ))  # fmt: skip
    project.file("stored.py", STORED)
    for name, entry in project.models.items():
        entry["engine"] = "stored:Stored"
        entry["path"] = f"models/{name}"
        project.file(f"models/{name}/weights", name)
    project.save()
    project.file("test_ship.py", SHIPS)
    return project


def export(project: Project, run: Run) -> Path:
    """Evaluate everything and export it."""
    assert run().ret == 0
    done = command("store", "export", "exported")
    assert done.returncode == 0, done.stderr
    return project.path / "exported"


def test_exported_predictions_stand_in_for_absent_weights(stored: Project, run: Run) -> None:
    """Without teacher, student and SFT student, the same gates give the same verdicts."""
    export(stored, run)
    shutil.rmtree(stored.path / "models")
    shutil.rmtree(stored.path / ".distill")
    (stored.path / "calls.jsonl").unlink()
    result = run("--distill-report", "--distill-json=out.json", "--distill-predictions=exported")
    assert decision_of(result)[0] == "SHIP"
    assert stored.calls("predict") == []
    digests = [model["digest"] for model in stored.json()["models"]]
    assert len(digests) == 3


def test_a_model_that_is_here_is_run(stored: Project, run: Run) -> None:
    """Exported predictions of a checkpoint that lies on this machine are not believed."""
    export(stored, run)
    shutil.rmtree(stored.path / ".distill")
    (stored.path / "calls.jsonl").unlink()
    run("--distill-predictions=exported")
    assert len(stored.calls("predict")) == 3


def test_predictions_of_another_question_are_refused(stored: Project, run: Run) -> None:
    """The gold set changed since the export: the error names file, line and example."""
    folder = export(stored, run)
    shutil.rmtree(stored.path / "models")
    rows = [json.loads(line) for line in (stored.path / "gold.jsonl").read_text().splitlines()]
    rows[3]["text"] = "another text"
    stored.rows("gold.jsonl", rows)
    result = run("--distill-predictions", str(folder))
    assert result.ret == 1
    assert "reviews.student.jsonl:4 (id 'e3'): the model was asked something else" in said(result)


def test_latency_and_cost_are_what_the_file_says_here(stored: Project, run: Run) -> None:
    """The model is run or known by its export alone: what is declared of it holds all the same."""
    stored.models["student"]["latency_ms"] = 5
    stored.save()
    body = "assert (student.info.latency_ms, student.info.cost_per_1k) == ({}, {})"
    head = "import pytest\n\ndef test_it(student):\n    "
    stored.file("test_info.py", head + body.format(5, None))
    run("test_info.py").assert_outcomes(passed=1)
    export(stored, run)
    shutil.rmtree(stored.path / "models")
    stored.models["student"] |= {"latency_ms": 6, "cost_per_1k": 0.5}
    stored.save()
    stored.file("test_info.py", head + body.format(6, 0.5))
    run("test_info.py", "--distill-predictions=exported").assert_outcomes(passed=1)


def test_a_folder_without_exports_is_an_error(stored: Project, run: Run) -> None:
    """The error names the file that is missing."""
    shutil.rmtree(stored.path / "models")
    result = run("--distill-predictions=nowhere")
    assert result.ret != 0
    assert "models.json: no exported predictions" in said(result)


def test_an_import_fills_the_store(stored: Project, run: Run) -> None:
    """What was imported is not evaluated again where the weights are the same."""
    export(stored, run)
    shutil.rmtree(stored.path / ".distill")
    (stored.path / "calls.jsonl").unlink()
    done = command("store", "import", "exported")
    assert done.stdout.splitlines()[0] == "teacher on reviews: 20 predictions"
    run("--distill-json=out.json")
    assert [e["from_store"] for e in stored.json()["evaluations"]] == [20, 20, 20]


@pytest.mark.usefixtures("stored")
def test_the_list_names_every_model(run: Run) -> None:
    """Name, number of predictions, then the gold sets that were looked at, and the sum."""
    run()
    lines = command("store", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines[:-2]] == ["student", "teacher", "sft"]
    assert lines[-2].startswith("reviews  gold set ")
    assert lines[-1].startswith("3 models, 60 predictions, ")


def test_prune_drops_what_no_model_has(stored: Project, run: Run) -> None:
    """A checkpoint that was overwritten in place leaves its old predictions behind, until then."""
    run()
    stored.file("models/student/weights", "trained on")
    run()
    assert command("store", "prune").stdout == "1 models and 20 predictions dropped\n"
    assert command("store", "prune").stdout == "0 models and 0 predictions dropped\n"


def test_a_checkpoint_overwritten_in_place_is_evaluated_again(stored: Project, run: Run) -> None:
    """Its bytes are its identity; a folder that is moved keeps it."""
    run()
    stored.file("models/student/weights", "trained on")
    (stored.path / "models" / "sft").rename(stored.path / "models" / "moved")
    stored.models["sft"]["path"] = "models/moved"
    stored.save()
    run("--distill-json=out.json")
    made = {e["model"]: e["evaluated"] for e in stored.json()["evaluations"]}
    assert made == {"teacher": 0, "student": 20, "sft": 0}


def test_an_export_of_nothing_is_an_error(stored: Project) -> None:
    """Nothing was evaluated yet: exit status 1, and no folder that looks like an export."""
    done = command("store", "export", "exported")
    assert done.returncode == 1
    assert "no predictions are stored there" in done.stderr
    assert not (stored.path / "exported" / "models.json").exists()


def absent(project: Project, run: Run) -> Path:
    """Export everything, and take the weights and the store away."""
    folder = export(project, run)
    (project.path / "models").rename(project.path / "elsewhere")
    shutil.rmtree(project.path / ".distill")
    return folder


def refused(run: Run, *words: str) -> None:
    """Check that a run with the exported predictions ends as INCOMPLETE, and says these words."""
    result = run("--distill-report", "--distill-predictions=exported")
    assert result.ret != 0
    assert decision_of(result)[0] == "INCOMPLETE"
    for word in words:
        assert word in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("path", "models/new", ["path: exported was 'models/student'", "says 'models/new'"]),
        ("right", [1, 2], ["right: exported was [3, 4", "says [1, 2]"]),
        ("size", 5, ["size: exported was nothing", "says 5"]),
        ("engine", "own:Counting", ["engine: exported was 'stored:Stored'", "says 'own:Counting'"]),
    ],
)
def test_an_export_is_of_the_model_that_the_file_names(
    stored: Project, run: Run, key: str, value: Any, words: list[str]
) -> None:
    """Another path, engine or option is an error: models.json, the key and both values."""
    absent(stored, run)
    stored.models["student"][key] = value
    stored.save()
    refused(run, f"models.json: student: {key}: ", *words, "export again")


def test_what_changes_no_answer_may_differ(stored: Project, run: Run) -> None:
    """The device, what is declared and what the model was trained on are this machine's to say."""
    absent(stored, run)
    stored.models["student"] |= {"device": "cuda", "latency_ms": 3.0, "trained": {"steps": 5}}
    stored.save()
    assert run("--distill-predictions=exported").ret == 0


def test_a_checkpoint_that_is_not_here_is_never_the_exported_one(stored: Project, run: Run) -> None:
    """`--distill-model` with a path that does not exist is an error, whatever was exported."""
    absent(stored, run)
    result = run(
        *("--distill-report", "--distill-predictions=exported"),
        *("--distill-model", "student=models/new"),
    )
    assert result.ret != 0
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "--distill-model student=models/new: nothing is there" in said(result)


def test_a_checkpoint_that_is_here_is_run(stored: Project, run: Run) -> None:
    """`--distill-model` names another folder: that one is evaluated, the others are not."""
    absent(stored, run)
    (stored.path / "calls.jsonl").unlink()
    run("--distill-predictions=exported", "--distill-model", "student=elsewhere/student")
    assert [call["model"] for call in stored.calls("predict")] == ["student"]


def test_rows_that_were_not_exported_are_refused(stored: Project, run: Run) -> None:
    """A changed or exchanged file is an error that names it: its digest is in models.json."""
    folder = absent(stored, run)
    shutil.copy(folder / "reviews.teacher.jsonl", folder / "reviews.student.jsonl")
    refused(run, "reviews.student.jsonl: is not what was exported", "models.json says")
    done = command("store", "import", "exported")
    assert done.returncode == 1
    assert "reviews.student.jsonl: is not what was exported" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"info": {', '"infos": {', ["student: no key 'infos'; did you mean 'info'?"]),
        ('"parameters": 7', '"params": 7', ["student: info: ", "no field 'params'"]),
        ('"parameters": 7', '"parameters": "7"', ["student: info: ", "parameters: must be a numb"]),
        ('"parameters": 7', '"parameters": 0', ["student: info: ", "parameters: must be above"]),
        ('"parameters": 7', '"parameters": 8', ["student: checksum: is not that of what was"]),
        ('"role": "student",', "", ["student: info: ", "'role' is missing"]),
        ('"checksum": "', '"checksum": 3, "x": "', ["student: no key 'x'"]),
        ("{", "", ["no exported predictions"]),
    ],
)
def test_a_manifest_that_is_not_sound_is_an_error(
    stored: Project, run: Run, old: str, new: str, words: list[str]
) -> None:
    """It names models.json and the key, and shows no frame of the package."""
    stored.models["student"]["size"] = 7
    stored.save()
    folder = absent(stored, run)
    manifest = json.loads((folder / "models.json").read_text())
    text = json.dumps({"student": manifest["student"]}, indent=2)
    assert old in text
    (folder / "models.json").write_text(text.replace(old, new, 1))
    refused(run, "models.json: ", *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "models.json: is no mapping of models"),
        ({"student": []}, "models.json: student: must be a mapping, not []"),
        ({"student": {"info": {}, "identity": {}}}, "was exported by an earlier version: export"),
        ({"student": {"info": {}}}, "models.json: student: 'model' is missing"),
    ],
)
def test_a_manifest_of_another_kind_is_an_error(
    stored: Project, run: Run, content: Any, words: str
) -> None:
    """Also one of an earlier version, which said too little of what it holds."""
    folder = absent(stored, run)
    (folder / "models.json").write_text(json.dumps(content))
    refused(run, words)


def test_an_import_of_rows_without_a_request_is_an_error(stored: Project, run: Run) -> None:
    """Nobody knows what such a row answers."""
    folder = absent(stored, run)
    path = folder / "reviews.teacher.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    del rows[2]["request"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    manifest = json.loads((folder / "models.json").read_text())
    entry = read_manifest(folder)["teacher"]
    again = replace(entry, files={path.name: file_digest(path)})
    (folder / "models.json").write_text(json.dumps(manifest | {"teacher": again.to_json()}))
    done = command("store", "import", "exported")
    assert done.returncode == 1
    assert "reviews.teacher.jsonl:3 (id 'e2'): no digest of what was asked" in done.stderr


def test_a_model_of_one_file_that_is_here_is_run(stored: Project, run: Run) -> None:
    """What an engine's `path:` names need not be a folder to lie here."""
    text = (stored.path / "stored.py").read_text().replace(".is_dir()", ".exists()")
    stored.file(
        "stored.py", text.replace('Path(self.spec.path) / "weights"', "Path(self.spec.path)")
    )
    for name, entry in stored.models.items():
        entry["path"] = f"models/{name}/weights"
    stored.save()
    export(stored, run)
    stored.file("models/student/weights", "another")
    shutil.rmtree(stored.path / ".distill")
    (stored.path / "calls.jsonl").unlink()
    run("--distill-predictions=exported").assert_outcomes(passed=2)
    assert {call["model"] for call in stored.calls("predict")} == {"teacher", "student", "sft"}


def test_the_report_says_that_answers_were_exported(stored: Project, run: Run) -> None:
    """A reader of the report knows that the model did not run here."""
    export(stored, run)
    shutil.rmtree(stored.path / "models" / "student")
    result = run("--distill-report", "--distill-predictions=exported")
    result.stdout.fnmatch_lines(["student: its answers are those of the export in exported"])
