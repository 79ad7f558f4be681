from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .project import (
    SHIPS,
    Project,
    Run,
    answers,
    decision_of,
    gold,
    recorded,
    refuse_package_frames,
    review_eval,
    said,
)

Break = Callable[[Project], object]


def _set(*path: str, to: Any) -> Break:
    """Return what sets a key of distill.yaml."""

    def change(project: Project) -> None:
        entry: dict[str, Any] = project.config
        for key in path[:-1]:
            entry = entry[key]
        entry[path[-1]] = to
        project.save()

    return change


def _drop(*path: str) -> Break:
    """Return what takes a key out of distill.yaml."""

    def change(project: Project) -> None:
        entry: dict[str, Any] = project.config
        for key in path[:-1]:
            entry = entry[key]
        del entry[path[-1]]
        project.save()

    return change


def _text(name: str, text: str) -> Break:
    """Return what writes a file."""
    return lambda project: project.file(name, text)


def _gold(change: Callable[[list[dict[str, Any]]], object]) -> Break:
    """Return what changes the rows of the gold set."""

    def broken(project: Project) -> None:
        rows = gold()
        change(rows)
        project.rows("gold.jsonl", rows)

    return broken


def _labels(project: Project) -> None:
    project.evals["reviews"] = review_eval(labels={"pos": 0, "neg": 1})
    project.save()


def _label_outside(project: Project) -> None:
    _labels(project)
    rows = gold()
    rows[4]["label"] = "poss"
    project.rows("gold.jsonl", rows)


def _prediction_outside(project: Project) -> None:
    _labels(project)
    rows = answers(range(20))
    rows[4]["prediction"] = "poss"
    project.rows("teacher.jsonl", rows)


def _unknown_field_in_a_template(project: Project) -> None:
    project.evals["reviews"]["prompt"] = "{{ txt }}"
    project.use_own_engine()


def _nothing_right(project: Project) -> None:
    project.rows("teacher.jsonl", answers([]))


def _lone_surrogate(project: Project) -> None:
    line = '{"id": "e0", "text": "\\\\ud800", "label": "pos", "lang": "de"}\n'
    (project.path / "gold.jsonl").write_text(line.replace("\\\\", "\\"), encoding="utf-8")


CONFIG: dict[str, tuple[Break, list[str]]] = {
    "unknown key": (
        _set("model", to={}),
        ["distill.yaml:", "model: unknown key", "did you mean 'models'?"],
    ),
    "unknown model key": (
        _set("models", "student", "predictons", to="x"),
        ["distill.yaml:", "models.student.predictons: unknown key", "did you mean 'predictions'?"],
    ),
    "unknown eval key": (
        _set("evals", "reviews", "metric", to="accuracy"),
        ["distill.yaml:", "evals.reviews.metric: unknown key", "did you mean 'metrics'?"],
    ),
    "key of another task": (
        _set("evals", "reviews", "max_new_tokens", to=3),
        ["distill.yaml:", "evals.reviews.max_new_tokens: unknown key"],
    ),
    "unknown metric": (
        _set("evals", "reviews", "metrics", to=["acuracy"]),
        ["distill.yaml:", "evals.reviews.metrics", "'acuracy'", "did you mean 'accuracy'?"],
    ),
    "metric of another task": (
        _set("evals", "reviews", "metrics", to=["bleu"]),
        ["distill.yaml:", "'bleu' does not suit task classification"],
    ),
    "metric twice": (
        _set("evals", "reviews", "metrics", to=["accuracy", "accuracy"]),
        ["distill.yaml:", "evals.reviews.metrics", "'accuracy' is given twice"],
    ),
    "unknown task": (
        _set("evals", "reviews", "task", to="clasification"),
        ["distill.yaml:", "evals.reviews.task", "did you mean 'classification'?"],
    ),
    "no task": (
        _drop("evals", "reviews", "task"),
        ["distill.yaml:", "evals.reviews", "needs a task (classification, "],
    ),
    "no data": (
        _drop("evals", "reviews", "data"),
        ["distill.yaml:", "evals.reviews.data: is missing"],
    ),
    "unknown engine": (
        _set("models", "student", "engine", to="recorder"),
        ["distill.yaml:", "models.student.engine", "did you mean 'recorded'?"],
    ),
    "no role": (
        _set("models", "tiny", to=recorded("student")),
        ["distill.yaml:", "models.tiny", "needs a role: teacher, student or sft"],
    ),
    "wrong role": (
        _set("models", "tiny", to=recorded("student", role="pupil")),
        ["distill.yaml:", "models.tiny.role", "'pupil'"],
    ),
    "two teachers": (
        _set("models", "big", to=recorded("teacher", role="teacher")),
        ["distill.yaml:", "models.big: a second teacher; the first is 'teacher'"],
    ),
    "wrong type": (
        _set("models", "student", "parameters", to="66M"),
        ["distill.yaml:", "models.student.parameters", "'66M'"],
    ),
    "no models": (_set("models", to={}), ["distill.yaml:", "models: must have at least one entry"]),
    "no evals": (_drop("evals"), ["distill.yaml", "evals: is missing"]),
    "models as a list": (_set("models", to=["teacher"]), ["distill.yaml:", "models"]),
    "empty file": (_text("distill.yaml", ""), ["distill.yaml: must be a mapping"]),
    "not yaml": (_text("distill.yaml", "models: [\n"), ["distill.yaml:2: is not valid YAML"]),
    "a tab": (
        _text("distill.yaml", "models:\n\tteacher: 3\n"),
        ["distill.yaml:2: is not valid YAML"],
    ),
    "key twice": (
        _text("distill.yaml", "models: {}\nevals: {}\nmodels: {}\n"),
        ["distill.yaml:3: models: is given twice, first in line 1"],
    ),
    "an object": (
        _text("distill.yaml", "models: !!python/object:os.system x\n"),
        ["distill.yaml:1: is not valid YAML"],
    ),
    "not utf-8": (
        lambda project: (project.path / "distill.yaml").write_bytes(b"models: \xff\xfe\n"),
        ["distill.yaml: is not UTF-8 text"],
    ),
    "control characters": (
        lambda project: (project.path / "distill.yaml").write_bytes(b"models: \x00\n"),
        ["distill.yaml", "is not valid YAML"],
    ),
    "unhashable key": (_text("distill.yaml", "models:\n  ? [a, b]\n  : 3\n"), ["distill.yaml"]),
    "recursive": (
        _text("distill.yaml", "models: &a\n  teacher: *a\nevals: {}\n"),
        ["distill.yaml"],
    ),
    "negative tolerance": (
        _set("sft_size_tolerance", to=-0.1),
        ["distill.yaml:", "sft_size_tolerance"],
    ),
    "unknown eval in predictions": (
        _set("models", "student", "predictions", to={"review": "student.jsonl"}),
        ["distill.yaml:", "models.student.predictions.review", "did you mean 'reviews'?"],
    ),
    "number as a name": (_set("models", "student", "role", to=3), ["models.student.role", "3"]),
    "labels with a gap": (
        _set("evals", "reviews", "labels", to={"pos": 0, "neg": 2}),
        ["distill.yaml:", "evals.reviews.labels: must give each output of the model one label"],
    ),
    "broken template": (
        _set("evals", "reviews", "prompt", to="{{ text"),
        ["distill.yaml:", "evals.reviews.prompt: unexpected end of template"],
    ),
    "eval is a text": (
        _set("evals", "reviews", to="gold.jsonl"),
        ["distill.yaml:", "evals.reviews"],
    ),
}

DATA: dict[str, tuple[Break, list[str]]] = {
    "missing file": (
        lambda project: (project.path / "gold.jsonl").unlink(),
        ["gold.jsonl: no such file"],
    ),
    "misspelt file": (
        _set("evals", "reviews", "data", to="gould.jsonl"),
        ["gould.jsonl: no such file; did you mean 'gold.jsonl'?"],
    ),
    "unknown kind of file": (
        lambda project: (
            _set("evals", "reviews", "data", to="gold.txt")(project),
            project.file("gold.txt", "x\n"),
        ),
        ["gold.txt: unknown kind of file '.txt'; use .jsonl, .ndjson, .json, .csv, .parquet"],
    ),
    "missing predictions": (
        lambda project: (project.path / "student.jsonl").unlink(),
        ["student.jsonl: no such file"],
    ),
    "malformed line": (
        _text("gold.jsonl", '{"id": "e0", "text": "t", "label": "pos"}\n{"id": "e1",\n'),
        ["gold.jsonl:2: not valid JSON"],
    ),
    "line that is no object": (
        _text("gold.jsonl", "[1, 2]\n"),
        ["gold.jsonl:1: expected one JSON object"],
    ),
    "key twice in a line": (
        _text("gold.jsonl", '{"id": "a", "id": "b"}\n'),
        ["gold.jsonl:1", "'id' is given twice"],
    ),
    "half a character": (_lone_surrogate, ["gold.jsonl:1", "surrogate"]),
    "not utf-8": (
        lambda project: (project.path / "gold.jsonl").write_bytes(b'{"id": "\xff"}\n'),
        ["gold.jsonl:1: not UTF-8"],
    ),
    "duplicate ids": (
        _gold(lambda rows: rows[7].update(id="e3")),
        ["gold.jsonl:8", "the id 'e3' is already used at gold.jsonl:4"],
    ),
    "missing id": (_gold(lambda rows: rows[7].pop("id")), ["gold.jsonl:8: no 'id'"]),
    "missing field": (
        _gold(lambda rows: rows[7].pop("label")),
        ["gold.jsonl:8 (id 'e7'): no field 'label'"],
    ),
    "misspelt field": (
        _set("evals", "reviews", "target", to="labl"),
        ["gold.jsonl:1 (id 'e0'): no field 'labl'; did you mean 'label'?"],
    ),
    "missing slice field": (
        _set("evals", "reviews", "slices", to=["langg"]),
        ["gold.jsonl:1 (id 'e0'): no field 'langg'; did you mean 'lang'?"],
    ),
    "label outside labels": (
        _label_outside,
        ["gold.jsonl:5 (id 'e4'): the label 'poss' is not in labels; did you mean 'pos'?"],
    ),
    "predicted label outside labels": (
        _prediction_outside,
        ["teacher.jsonl", "(id 'e4')", "'poss' is not in labels; did you mean 'pos'?"],
    ),
    "empty gold set": (_text("gold.jsonl", ""), ["gold.jsonl: it is empty"]),
    "blank gold set": (_text("gold.jsonl", "\n\n"), ["gold.jsonl: it is empty"]),
    "empty predictions": (_text("teacher.jsonl", ""), ["teacher.jsonl: it is empty"]),
    "teacher score 0": (
        _nothing_right,
        ["teacher 'teacher' on 'reviews': worse than chance: are the labels inverted?"],
    ),
    "no student": (_drop("models", "student"), ["role 'student' is needed", "distill.yaml"]),
    "no teacher": (_drop("models", "teacher"), ["role 'teacher' is needed", "distill.yaml"]),
    "unknown field in a template": (
        _unknown_field_in_a_template,
        ["gold.jsonl:1 (id 'e0')", "txt"],
    ),
}


@pytest.mark.parametrize("name", CONFIG)
def test_a_mistake_in_the_config_is_a_collection_error(
    project: Project, run: Run, name: str
) -> None:
    """File, line, key and suggestion, raised when the gate's file is collected."""
    broken, words = CONFIG[name]
    broken(project)
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run("--distill-report", "--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.mark.parametrize("name", DATA)
def test_a_mistake_in_the_data_fails_the_gate(project: Project, run: Run, name: str) -> None:
    """File, line or example id and suggestion; no verdict, no frame of the package."""
    broken, words = DATA[name]
    broken(project)
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run("--distill-report", "-k", "keeps or other")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.mark.parametrize("name", ["unknown key", "not yaml"])
def test_a_mistake_in_the_config_is_one_error_with_workers(
    project: Project, run: Run, name: str
) -> None:
    """Under xdist it is the same single error, and the other files run."""
    broken, words = CONFIG[name]
    broken(project)
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run("-n", "2", "--distill-report", "--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1)
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.mark.parametrize("name", ["duplicate ids", "teacher score 0"])
def test_a_mistake_in_the_data_reads_the_same_with_workers(
    project: Project, run: Run, name: str
) -> None:
    """The error crosses from the worker with the same words and no frames."""
    broken, words = DATA[name]
    broken(project)
    project.file("test_ship.py", SHIPS)
    result = run("-n", "2", "--distill-report")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    flat = " ".join(said(result).split())
    assert [word for word in words if word not in flat] == []
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_several_mistakes_in_an_entry_are_told_at_once(project: Project, run: Run) -> None:
    """A line for each, so that a file is mended in one go."""
    project.evals["reviews"].update(taget="x", inputt="y")
    project.save()
    project.file("test_ship.py", SHIPS)
    result = run()
    assert "evals.reviews.taget: unknown key; did you mean 'target'?" in said(result)
    assert "evals.reviews.inputt: unknown key; did you mean 'input'?" in said(result)


def test_a_missing_sft_student_only_matters_to_its_gate(project: Project, run: Run) -> None:
    """`assert_beats_sft` says what is lacking; `assert_quality_retained` does not need it."""
    del project.models["sft"]
    project.save()
    project.file("test_ship.py", SHIPS)
    result = run()
    result.assert_outcomes(passed=1, failed=1)
    assert "role 'sft' is needed" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("text", ["models: [", "", "models: {teacher: {engine: nonsense}}"])
@pytest.mark.parametrize("option", ["--help", "--version", "--fixtures", "--markers"])
def test_asking_pytest_for_help_does_not_read_the_config(
    project: Project, run: Run, text: str, option: str
) -> None:
    """A broken distill.yaml is no reason not to answer."""
    project.file("distill.yaml", text)
    assert run(option).ret == pytest.ExitCode.OK


def test_the_options_are_in_the_help(project: Project, run: Run) -> None:
    """All in one group, each with a text."""
    assert project.path.is_dir()
    lines = run("--help").outlines
    start = next(i for i, line in enumerate(lines) if "(pytest-distill)" in line)
    group = lines[start : start + 30]
    for option in ("report", "json=PATH", "config=PATH", "device=DEVICE", "model=NAME=PATH"):
        assert any(f"--distill-{option}" in line for line in group), option


SLEEPS = '''
import time
from pathlib import Path
from pytest_distill import ModelInfo, Prediction

class Slow:
    """Answers two examples and then sleeps."""

    info = ModelInfo(name="slow", role="student")

    def __init__(self, spec):
        pass

    def predict(self, requests):
        for number, request in enumerate(requests):
            if number == 2:
                Path("sleeps").touch()
                time.sleep(60)
            yield Prediction(id=request.id, prediction="pos")

    def close(self):
        pass
'''


def _interrupted(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Return the end of a pytest run that got Ctrl-C while its engine slept."""
    command = [sys.executable, "-m", "pytest", "-W", "error", *args]
    # A background job of a shell ignores SIGINT, and hands that on to what it starts.
    with subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as running:
        deadline = time.monotonic() + 60
        while not (folder / "sleeps").exists():
            assert running.poll() is None, running.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=60)
    return subprocess.CompletedProcess(command, running.returncode, output)


def test_ctrl_c_in_the_middle(project: Project) -> None:
    """It exits with 2, keeps what was found out, shows no frame, and ships nothing."""
    project.file("slow.py", SLEEPS)
    project.models["slow"] = {"engine": "slow:Slow", "role": "student"}
    project.save()
    gates = SHIPS.replace("(eval=", "(student='student', eval=")
    last = "    @pytest.mark.distill(student='slow')\n    def test_slow():\n"
    project.file("test_ship.py", f"{gates}\n{last}        assert_quality_retained(min=0.1)\n")
    ended = _interrupted(project.path, "--distill-report", "--distill-json", "out.json")
    assert ended.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in ended.stdout
    for word in ("Traceback", "pytest_distill/", "INTERNALERROR"):
        shown = [line for line in ended.stdout.splitlines() if word in line]
        assert shown == []
    report = json.loads((project.path / "out.json").read_text())
    assert report["outcome"] == "INCOMPLETE"
    assert [gate["outcome"] for gate in report["gates"]] == ["PASSED", "PASSED", "NOT RUN"]
    assert "INCOMPLETE" in ended.stdout
