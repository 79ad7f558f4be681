from __future__ import annotations

from typing import Any

import pytest

from .project import (
    STUDENT,
    TEACHER,
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    own_engine,
    refuse_package_frames,
    report_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")

WITH_DIGEST = '''
from pytest_distill import ModelInfo, Prediction

class Digested:
    """Right on all; says of itself what the options say."""

    def __init__(self, spec):
        self.spec = spec

    @property
    def info(self):
        own = ("wrong", "batch_tokens")
        options = {k: v for k, v in self.spec.options.items() if k not in own}
        if self.spec.device != "auto":
            options["device"] = self.spec.device
        return ModelInfo(name=self.spec.name, role=self.spec.role, **options)

    def predict(self, requests):
        wrong = self.spec.options.get("wrong", 0)
        for i, request in enumerate(requests):
            yield Prediction(id=request.id, prediction=("pos", "neg")[(i + (i < wrong)) % 2])

    def close(self):
        pass
'''


def digested(project: Project, **models: dict[str, Any]) -> None:
    """Let the models say these things of themselves."""
    project.file("own.py", WITH_DIGEST)
    project.models.clear()
    for name, options in models.items():
        project.models[name] = {"engine": "own:Digested", **options}
    project.save()


def test_one_predictions_file_for_two_roles_is_refused(project: Project, run_both: Run) -> None:
    """A student that *is* the teacher keeps 1.000 of it, and says nothing."""
    project.models["student"]["predictions"] = "./teacher.jsonl"
    project.save()
    write_gates(project, it="assert_quality_retained(0.9)")
    result = run_both("--distill-report")
    result.assert_outcomes(failed=1)
    assert "'teacher'" in said(result)
    assert "'student'" in said(result)
    assert "have the same predictions" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.mark.parametrize(
    "statement",
    [
        "assert_beats_sft(confidence=None)",
        "assert_beats_sft(min_gain=0.01, confidence=None)",
        "assert_slices_retained(0.1, by='lang')",
        "assert_flips(0.99)",
        "assert_suite_retained(0.5)",
    ],
)
def test_every_gate_refuses_it(project: Project, run: Run, statement: str) -> None:
    """Student, SFT student and teacher on one file: no gate passes on that."""
    for name in ("student", "sft"):
        project.models[name]["predictions"] = "teacher.jsonl"
    project.save()
    write_gates(project, it=statement)
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert "have the same predictions" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"


def test_a_link_to_the_same_file_is_the_same_file(project: Project, run: Run) -> None:
    """What counts is the file, not how its path is written."""
    (project.path / "student.jsonl").unlink()
    (project.path / "student.jsonl").symlink_to("teacher.jsonl")
    write_gates(project, it="assert_quality_retained(0.9)")
    assert "have the same predictions" in said(run())


def test_identical_answers_are_judged_and_suspicious(project: Project, run: Run) -> None:
    """Another file with the same answers is judged, since flawless students exist, and noted."""
    project.rows("student.jsonl", answers(TEACHER))
    write_gates(project, it="assert_quality_retained(0.9)")
    result = run(*REPORTS)
    row = gates_of(project)["it"]
    assert (row["outcome"], row["observed"]) == ("PASSED", 1.0)
    note = "suspicious: teacher and student gave identical answers to every example"
    assert note in row["notes"]
    assert note in blocks_of(result)[0]
    assert decision_of(result) == ("SHIP", "")


def test_the_same_score_by_other_answers_is_not_suspicious(project: Project, run: Run) -> None:
    """18 right answers are not the same 18 right answers."""
    project.rows("student.jsonl", answers(range(2, 20)))
    write_gates(project, it="assert_quality_retained(0.9)")
    run(*REPORTS)
    assert gates_of(project)["it"]["notes"] == []


def test_the_same_weights_are_refused(project: Project, run: Run) -> None:
    """Two roles whose engines give one digest are one model, whatever their paths are."""
    same = "ab" * 32
    digested(project, teacher={"digest": same}, student={"digest": same, "wrong": 1})
    write_gates(project, it="assert_quality_retained(0.5)")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert "have the same weights (digest abababababab)" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_the_json_has_the_digests(project: Project, run: Run) -> None:
    """Of every model whose engine knows it; None for recorded ones."""
    digested(project, teacher={"digest": "aa" * 32}, student={"wrong": 1})
    write_gates(project, it="assert_quality_retained(0.5)")
    run(*REPORTS)
    found = {model["name"]: model["digest"] for model in project.json()["models"]}
    assert found == {"teacher": "aa" * 32, "student": None}


@pytest.mark.parametrize(
    ("student", "sft", "noted"),
    [
        ({"steps": 400}, {"steps": 300}, "300 optimiser steps, not 400"),
        ({"labels": 3000}, {"labels": 2000}, "2,000 labels, not 3,000"),
        ({"steps": 400}, {"steps": 400}, None),
        ({"steps": 400}, {"steps": 500}, None),
        ({"steps": 400}, {}, None),
    ],
)
def test_an_undertrained_sft_student_is_noted(
    project: Project, run: Run, student: dict[str, int], sft: dict[str, int], noted: str | None
) -> None:
    """Fewer optimiser steps or labels than the distilled student: the usual way to fool oneself."""
    project.models["student"]["trained"] = student
    project.models["sft"]["trained"] = sft
    project.save()
    write_gates(project, it="assert_beats_sft(confidence=None)")
    result = run(*REPORTS)
    result.assert_outcomes(passed=1)
    notes = gates_of(project)["it"]["notes"]
    found = [note for note in notes if note.startswith("undertrained baseline: sft had ")]
    assert bool(found) == (noted is not None)
    if noted is not None:
        assert noted in found[0]
        assert "undertrained baseline" in " ".join(blocks_of(result))


def test_an_undertrained_sft_student_is_noted_where_the_gate_fails(
    project: Project, run: Run
) -> None:
    """The message has it as well."""
    project.models["student"]["trained"] = {"steps": 400}
    project.models["sft"]["trained"] = {"steps": 4}
    project.save()
    write_gates(project, it="assert_beats_sft(min_gain=0.5)")
    assert any("undertrained baseline" in line for line in failing_lines(run()))


@pytest.mark.parametrize(
    ("setting", "teacher", "student"),
    [("dtype", "float32", "bfloat16"), ("device", "cuda", "cpu"), ("batch_tokens", 64, 512)],
)
def test_another_setting_is_marked(
    project: Project, run: Run, setting: str, teacher: Any, student: Any
) -> None:
    """Models that ran in another way: a footnote names both."""
    digested(project, teacher={setting: teacher}, student={setting: student, "wrong": 1})
    write_gates(project, it="assert_quality_retained(0.5)")
    lines = report_of(run("--distill-report"))
    assert f"run under another {setting}: teacher {teacher}, student {student}" in lines


def test_the_same_setting_is_not(project: Project, run: Run) -> None:
    """Where all ran alike there is nothing to say."""
    digested(project, teacher={"dtype": "float32"}, student={"dtype": "float32", "wrong": 1})
    write_gates(project, it="assert_quality_retained(0.5)")
    assert "run under another" not in said(run("--distill-report"))


def test_another_engine_is_marked(project: Project, run: Run) -> None:
    """A recorded teacher beside a student that runs here."""
    project.use_own_engine()
    project.models["teacher"] = {"engine": "recorded", "predictions": "teacher.jsonl"}
    project.models["student"] = own_engine("student", STUDENT)
    project.save()
    write_gates(project, it="assert_quality_retained(0.9)")
    lines = " ".join(report_of(run("--distill-report")))
    assert "run under another engine: teacher recorded, student own:Counting" in lines


OUTER = '''
from pydantic import BaseModel

from pytest_distill.engines.inner import Inner

class Outer:
    """Has another engine answer."""

    asked_at = "a cluster"

    class Options(BaseModel):
        of: Inner

    def __new__(cls, spec):
        inner = spec.options.of
        return inner.kind(inner.spec(spec))
'''


def test_the_engine_that_answers_is_the_one_that_counts(project: Project, run: Run) -> None:
    """A teacher that another engine has run, and a student that the same one answers for."""
    digested(project, student={"wrong": 1, "batch_tokens": 8})
    project.file("outer.py", OUTER)
    of = {"engine": "own:Digested", "batch_tokens": 4}
    project.models["teacher"] = {"engine": "outer:Outer", "of": of}
    project.save()
    write_gates(project, it="assert_quality_retained(0.5)")
    lines = report_of(run("--distill-report", "--distill-json", "out.json"))
    assert "run under another batch_tokens: student 8, teacher 4" in lines
    assert not any("another engine" in line for line in lines)
    rows = {row["name"]: row for row in project.json()["models"]}
    assert (rows["teacher"]["engine"], rows["teacher"]["answering"]) == (
        "outer:Outer",
        "own:Digested",
    )
    assert rows["student"]["answering"] is None


@pytest.mark.parametrize(
    ("one", "other"), [("teacher", "student"), ("sft", "student"), ("sft", "teacher")]
)
def test_one_checkpoint_for_two_roles_is_refused(
    project: Project, run: Run, one: str, other: str
) -> None:
    """Also by a gate that looks at neither beside the other: no model is loaded for it."""
    for name in ("teacher", "student", "sft"):
        project.models[name] = {"path": f"models/{name}"}
    project.models[one]["path"] = project.models[other]["path"]
    project.save()
    write_gates(project, it="assert_score(0.5)")
    result = run("--distill-report")
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "have the same weights (both are models/" in failing_lines(result)[-1]
