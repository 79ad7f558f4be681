"""A model that a Ray cluster runs, in whole runs that need no cluster: all answers are there."""

from __future__ import annotations

import shutil

from .project import Project, Run, command, decision_of, report_of, said
from .test_predictions_option import STORED

GATES = """
    import pytest
    from pytest_distill import assert_faster, assert_quality_retained

    pytestmark = pytest.mark.distill(eval="reviews")

    def test_keeps():
        assert_quality_retained(min=0.9)
"""
MORE = """
    def test_faster():
        assert_faster(min_speedup=1)

    def test_parts(teacher):
        teacher.model
"""


def test_one_process_and_a_cluster_answer_for_each_other(project: Project, run: Run) -> None:
    """From the store and from an export; the report tells what the model is and where it ran."""
    project.use_own_engine()
    own = (project.path / "own.py").read_text()
    project.file("own.py", own.replace("distill import", "distill import ModelError,"))
    project.file("stored.py", STORED)
    for name, entry in project.models.items():
        entry.update(engine="stored:Stored", path=f"models/{name}")
        project.file(f"models/{name}/weights", name)
    project.save()
    project.file("test_ship.py", GATES)
    assert run().ret == 0
    assert command("store", "export", "exported").returncode == 0
    asked = project.calls("predict")

    teacher = project.models["teacher"]
    keys = {key: teacher.pop(key) for key in [*teacher] if key not in ("engine", "role")}
    keys["engine"] = "stored:Stored"
    teacher.update(engine="ray", of=keys, actors=2)
    project.save()
    project.file("test_ship.py", GATES + MORE)
    result = run("--distill-report", "--distill-json=report.json")
    result.assert_outcomes(passed=1, failed=2)
    at = "models/teacher in the Ray cluster auto"
    told = " ".join(said(result).split())
    assert f"model 'teacher' is asked elsewhere, as {at}: how fast it answers is" in told
    assert f"model 'teacher' runs elsewhere and is asked as {at}: there is no .model here" in told
    (row,) = (row for row in project.json("report.json")["models"] if row["name"] == "teacher")
    assert (row["path"], row["asked_at"]) == (str(project.path / "models" / "teacher"), at)
    assert "system_fingerprint" not in report_of(result)

    shutil.rmtree(project.path / "models")
    shutil.rmtree(project.path / ".distill")
    project.file("test_ship.py", GATES)
    result = run("--distill-report", "--distill-predictions=exported")
    assert decision_of(result)[0] == "SHIP"
    assert project.calls("predict") == asked
