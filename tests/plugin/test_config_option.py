from __future__ import annotations

from pathlib import Path

import pytest

from .project import SHIPS, Project, Run, failing_lines, said


def gated_by(project: Project, name: str, right: int, where: str) -> None:
    """Write a distill.yaml whose student is right on the first `right` examples."""
    labels = ("pos", "neg")
    project.rows(
        f"{where}/student-{name}.jsonl".removeprefix("./"),
        ({"id": f"e{i}", "prediction": labels[(i + (i >= right)) % 2]} for i in range(20)),
    )
    up = "../" * len(Path(where).parts)
    student, sft = project.models["student"], project.models["sft"]
    teacher, reviews = project.models["teacher"], project.evals["reviews"]
    project.config = {
        "models": {
            "teacher": {**teacher, "predictions": f"{up}teacher.jsonl"},
            "student": {**student, "predictions": f"student-{name}.jsonl"},
            "sft": {**sft, "predictions": f"{up}sft.jsonl"},
        },
        "evals": {"reviews": {**reviews, "data": f"{up}gold.jsonl"}},
    }
    project.save(f"{where}/distill.yaml")


SCORE = """
    def test_score(comparison):
        assert comparison.score() == {score}
"""


def test_the_option_names_the_file(project: Project, run_both: Run) -> None:
    """`--distill-config` wins over the nearest file; its paths start from its own folder."""
    gated_by(project, "other", 12, "elsewhere")
    project.file("test_ship.py", SCORE.format(score=0.6))
    assert run_both().ret == pytest.ExitCode.TESTS_FAILED
    result = run_both("--distill-config", "elsewhere/distill.yaml")
    result.assert_outcomes(passed=1)


def test_the_option_is_relative_to_the_current_folder(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As paths on a command line are."""
    gated_by(project, "other", 12, "elsewhere")
    project.file("test_ship.py", SCORE.format(score=0.6))
    monkeypatch.chdir(project.path / "elsewhere")
    run("--rootdir", "..", "--distill-config", "distill.yaml", "..").assert_outcomes(passed=1)


def test_the_ini_is_relative_to_rootdir(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`distill_config` in the ini file means the same file from wherever pytest is started."""
    gated_by(project, "other", 12, "elsewhere")
    project.file("pytest.ini", "[pytest]\ndistill_config = elsewhere/distill.yaml\n")
    project.file("gates/test_ship.py", SCORE.format(score=0.6))
    run().assert_outcomes(passed=1)
    monkeypatch.chdir(project.path / "gates")
    run().assert_outcomes(passed=1)


def test_the_option_wins_over_the_ini(project: Project, run: Run) -> None:
    """The command line speaks last."""
    gated_by(project, "other", 12, "elsewhere")
    project.file("pytest.ini", "[pytest]\ndistill_config = elsewhere/distill.yaml\n")
    project.file("test_ship.py", SCORE.format(score=0.85))
    run("--distill-config", "distill.yaml").assert_outcomes(passed=1)


def test_the_nearest_file_at_or_above_the_test_holds(project: Project, run: Run) -> None:
    """Each test file gets its own project's models, however deep it lies."""
    project.file("test_top.py", SCORE.format(score=0.85))
    project.file("plain/deep/test_plain.py", SCORE.format(score=0.85))
    gated_by(project, "near", 12, "near")
    project.file("near/test_near.py", SCORE.format(score=0.6))
    project.file("near/deep/deeper/test_deep.py", SCORE.format(score=0.6))
    run().assert_outcomes(passed=4)


def test_no_file_above_rootdir_is_taken(project: Project, run: Run) -> None:
    """The search ends at rootdir, and the error says where it looked."""
    project.file("inner/pytest.ini", "[pytest]\n")
    project.file("inner/gates/test_ship.py", SHIPS)
    inner = project.path / "inner"
    result = run("--rootdir", str(inner), "-c", str(inner / "pytest.ini"), str(inner))
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (message,) = failing_lines(result) or [
        line for line in result.outlines if line.startswith("no distill.yaml")
    ]
    assert message.startswith(f"no distill.yaml at or above {inner / 'gates'}, up to {inner}:")
    assert "--distill-config" in message


def test_a_file_with_the_other_ending_is_told(project: Project, run: Run) -> None:
    """Whoever wrote it thinks that it is read, also where another one lies further up."""
    project.file("near/test_ship.py", SHIPS)
    there = project.path / "near" / "distill.yml"
    there.write_bytes((project.path / "distill.yaml").read_bytes())
    assert f"{there}: is not read; call it distill.yaml" in said(run())
    there.rename(there.with_name("distill.yaml"))
    project.file("near/distill.yml", "models: {}")  # the one beside it is read
    for name in ("gold", "teacher", "student", "sft"):
        rows = (project.path / f"{name}.jsonl").read_text()
        project.file(f"near/{name}.jsonl", rows)
    run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("args", "ini"),
    [(("--distill-config", "none.yaml"), ""), ((), "distill_config = none.yaml")],
    ids=["option", "ini"],
)
def test_a_file_that_is_not_there_is_named(
    project: Project, run: Run, args: tuple[str, ...], ini: str
) -> None:
    """Whichever way it was named, the error tells its path."""
    project.file("pytest.ini", f"[pytest]\n{ini}\n")
    project.file("test_ship.py", SHIPS)
    result = run(*args)
    assert result.ret != pytest.ExitCode.OK
    assert "none.yaml: No such file or directory" in said(result)
    assert "pytest_distill/" not in said(result)


def test_a_project_without_gates_needs_no_file(project: Project, run: Run) -> None:
    """Tests that ask no gate run without a distill.yaml, and with a broken one."""
    project.file("distill.yaml", "models: [")
    project.file("test_plain.py", "def test_plain():\n    pass\n")
    run().assert_outcomes(passed=1)
    (project.path / "distill.yaml").unlink()
    run().assert_outcomes(passed=1)
