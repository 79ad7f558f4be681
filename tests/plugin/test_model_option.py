from __future__ import annotations

import pytest

from .project import SHIPS, Project, Run, own_engine, said


def paths(project: Project) -> dict[str, str]:
    """Return the path that each model's engine was given."""
    return {call["model"]: call["path"] for call in project.calls("load")}


def test_points_a_model_at_another_checkpoint(project: Project, run: Run) -> None:
    """`--distill-model NAME=PATH` changes that model's path and no other's."""
    project.use_own_engine(path="./old")
    (project.path / "new").mkdir()
    project.file("test_ship.py", SHIPS)
    run("--distill-model", "student=new").assert_outcomes(passed=2)
    old = str(project.path / "old")
    assert paths(project) == {
        "teacher": old,
        "student": str(project.path / "new"),
        "sft": old,
    }


def test_may_be_given_several_times(project: Project, run: Run) -> None:
    """Each model takes its own; of two for the same model the last holds."""
    project.use_own_engine()
    for name in ("a", "b", "c"):
        (project.path / name).mkdir()
    project.file("test_ship.py", SHIPS)
    given = [f"--distill-model={model}" for model in ("student=a", "sft=b", "student=c")]
    run(*given).assert_outcomes(passed=2)
    assert paths(project)["student"] == str(project.path / "c")
    assert paths(project)["sft"] == str(project.path / "b")


def test_reaches_the_workers(project: Project, run: Run) -> None:
    """Under xdist every worker takes the same path."""
    project.use_own_engine()
    (project.path / "new").mkdir()
    project.file("test_ship.py", SHIPS)
    run("-n", "2", "--distill-model", "student=new").assert_outcomes(passed=2)
    found = {c["path"] for c in project.calls("load") if c["model"] == "student"}
    assert found == {str(project.path / "new")}


def test_a_hub_id_stays_one(project: Project, run: Run) -> None:
    """A path that is no folder here is handed on as it is."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    run("--distill-model", "student=org/student").assert_outcomes(passed=2)
    assert paths(project)["student"] == "org/student"


def test_a_path_may_hold_an_equals_sign(project: Project, run: Run) -> None:
    """Only the first `=` parts name and path."""
    project.use_own_engine()
    (project.path / "lr=1e-4").mkdir()
    project.file("test_ship.py", SHIPS)
    run("--distill-model", "student=lr=1e-4").assert_outcomes(passed=2)
    assert paths(project)["student"] == str(project.path / "lr=1e-4")


def test_a_local_path_that_is_missing_is_absolute(project: Project, run: Run) -> None:
    """A path that looks like a folder starts from the current folder, not from distill.yaml's."""
    project.use_own_engine()
    project.save("sub/distill.yaml")
    project.file("sub/gold.jsonl", (project.path / "gold.jsonl").read_text())
    project.file("sub/test_ship.py", SHIPS)
    (project.path / "distill.yaml").unlink()
    result = run("--distill-model", "student=./no/such/folder")
    result.assert_outcomes(passed=2)
    assert paths(project)["student"] == str(project.path / "no" / "such" / "folder")


def test_another_student_may_be_pointed_at(project: Project, run: Run) -> None:
    """NAME is the entry's name, not its role."""
    project.use_own_engine()
    project.models["tiny"] = own_engine("tiny", range(20))
    project.save()
    (project.path / "new").mkdir()
    project.file("test_ship.py", SHIPS.replace("(eval=", "(student='tiny', eval="))
    run("--distill-model", "tiny=new").assert_outcomes(passed=2)
    assert paths(project)["tiny"] == str(project.path / "new")


@pytest.mark.parametrize("given", ["studnet=new", "=new", "student=", "student"])
def test_a_wrong_one_is_an_error(project: Project, run: Run, given: str) -> None:
    """An unknown name gets a suggestion, a malformed one the form; neither runs a gate."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    result = run("--distill-model", given)
    wanted = "did you mean 'student'?" if given == "studnet=new" else "write NAME=PATH"
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert f"--distill-model {given}: {wanted}" in said(result)
    assert "pytest_distill/" not in said(result)
    assert project.loaded() == []


def test_a_recorded_model_has_no_checkpoint(project: Project, run: Run) -> None:
    """Pointing a recorded model somewhere would silently do nothing: it is refused."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-model", "student=new")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "--distill-model student=new: 'student' is recorded" in said(result)
