from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from .project import FAILS, SHIPS, Project, Run, said


def test_writes_the_documented_shape(project: Project, run_both: Run) -> None:
    """Schema 2: outcome, models, comparisons, evaluations and gates, numbers unrounded."""
    project.file("test_ship.py", SHIPS)
    assert run_both("--distill-json", "out.json").ret == pytest.ExitCode.OK
    report = project.json()
    assert report["schema"] == 2
    assert report["outcome"] == "SHIP"
    assert {(m["name"], m["role"], m["parameters"], m["bytes"]) for m in report["models"]} == {
        ("teacher", "teacher", 1000, None),
        ("student", "student", 100, None),
        ("sft", "sft", 100, None),
    }
    accuracy, macro_f1 = report["comparisons"]
    assert (accuracy["eval"], accuracy["metric"], accuracy["n"]) == ("reviews", "accuracy", 20)
    assert accuracy["scores"] == {"teacher": 0.9, "student": 0.85, "sft": 0.75}
    assert accuracy["retained"] == {
        "student": pytest.approx(17 / 18, abs=1e-15),
        "sft": pytest.approx(15 / 18, abs=1e-15),
    }
    assert macro_f1["metric"] == "macro_f1"
    assert sorted((e["model"], e["eval"], e["n"]) for e in report["evaluations"]) == [
        ("sft", "reviews", 20),
        ("student", "reviews", 20),
        ("teacher", "reviews", 20),
    ]
    about = ("reviews", "accuracy", "student")
    keys = ("nodeid", "gate", "eval", "metric", "model", "required", "outcome")
    assert [tuple(gate[key] for key in keys) for gate in report["gates"]] == [
        ("test_ship.py::test_keeps", "quality_retained", *about, 0.9, "PASSED"),
        ("test_ship.py::test_pays", "beats_sft", *about, 0.0, "PASSED"),
    ]
    observed = [gate["observed"] for gate in report["gates"]]
    assert observed == [pytest.approx(17 / 18, abs=1e-15), pytest.approx(0.1, abs=1e-15)]
    assert observed[0] <= 17 / 18


@pytest.mark.parametrize("student", [57, 58, 79, 29])
def test_a_gate_on_its_boundary_is_not_below_it(project: Project, run: Run, student: int) -> None:
    """A reader who compares the two numbers comes to the verdict that stands beside them."""
    project.sizes(100, student, 10, 100)
    project.file(
        "test_ship.py",
        f"""
        from pytest_distill import assert_quality_retained, assert_score

        def test_both(comparison):
            assert_quality_retained(min=0.{student})
            assert_score(min=0.{student})
        """,
    )
    assert run("--distill-json", "out.json").ret == pytest.ExitCode.OK
    for gate in project.json()["gates"]:
        assert gate["outcome"] == "PASSED"
        assert gate["observed"] >= gate["required"]


def test_tells_a_failed_gate_and_one_that_did_not_run(project: Project, run: Run) -> None:
    """The JSON has a row for a gate that never ran, and its numbers are null."""
    project.file("test_strict.py", FAILS + "\n    def test_odd():\n        pytest.skip('later')\n")
    assert run("--distill-json", "out.json").ret == pytest.ExitCode.TESTS_FAILED
    report = project.json()
    assert report["outcome"] == "DO NOT SHIP"
    failed, missing = report["gates"]
    assert (failed["outcome"], failed["required"]) == ("FAILED", 0.95)
    assert (missing["outcome"], missing["observed"]) == ("NOT RUN", None)
    assert missing["nodeid"] == "test_strict.py::test_odd"


def test_leaves_no_temporary_file(project: Project, run: Run) -> None:
    """The file is moved into place; its folder is made; nothing else stays there."""
    project.file("test_ship.py", SHIPS)
    run("--distill-json", "reports/new/out.json")
    assert os.listdir(project.path / "reports" / "new") == ["out.json"]  # noqa: PTH208
    assert project.json("reports/new/out.json")["outcome"] == "SHIP"


def test_is_relative_to_the_folder_where_pytest_was_started(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `--junitxml`, a relative path starts from the current folder, not from rootdir."""
    project.file("gates/test_ship.py", SHIPS)
    monkeypatch.chdir(project.path / "gates")
    run("--rootdir", str(project.path), "--distill-json", "out.json")
    assert project.json("gates/out.json")["outcome"] == "SHIP"


def test_a_run_that_dies_leaves_incomplete_behind(project: Project, run_forked: Run) -> None:
    """An older SHIP does not survive a run that was killed."""
    project.file("test_ship.py", SHIPS)
    assert run_forked("--distill-json", "out.json").ret == pytest.ExitCode.OK
    assert project.json()["outcome"] == "SHIP"
    dies = "\n    def test_zz_dies():\n        import os\n        os._exit(0)\n"
    project.file("test_ship.py", SHIPS + dies)
    run_forked("--distill-json", "out.json")
    assert project.json()["outcome"] == "INCOMPLETE"


def test_a_usage_error_elsewhere_leaves_no_older_verdict(project: Project, run: Run) -> None:
    """When pytest cannot even start its tests, the file does not show the last run's SHIP."""
    project.file("test_ship.py", SHIPS)
    run("--distill-json", "out.json")
    assert project.json()["outcome"] == "SHIP"
    result = run("--distill-json", "out.json", "no_such_file.py")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.json()["outcome"] == "INCOMPLETE"


@pytest.mark.parametrize("path", ["gold.jsonl/out.json", "."])
def test_an_unwritable_path_is_a_usage_error(project: Project, run: Run, path: str) -> None:
    """It is found before any gate runs, and said in one line that names the option."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-json", path)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--distill-json {path}:" in said(result)
    assert "Traceback" not in said(result)
    assert "INTERNALERROR" not in said(result)


@pytest.mark.parametrize("more", [(), ("--distill-report",)], ids=["alone", "report"])
def test_a_path_that_becomes_unwritable_fails_the_run(
    project: Project, run: Run, more: tuple[str, ...]
) -> None:
    """A run that could not write its report does not exit with 0, and says why."""
    project.file("test_ship.py", SHIPS)
    break_it = """
    def test_zz_breaks():
        import pathlib
        path = pathlib.Path("reports/out.json")
        path.unlink()
        path.mkdir()
    """
    project.file("test_zz.py", break_it)
    result = run("--distill-json", "reports/out.json", *more)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "out.json: cannot be written" in " ".join(said(result).split())
    assert "INTERNALERROR" not in said(result)


def test_tells_and_does_not_decide(project: Project, run: Run) -> None:
    """With `--distill-json` alone the exit status is pytest's own, whatever the file says."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-json", "out.json", "-k", "keeps")
    assert project.json()["outcome"] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.OK


def test_collecting_alone_is_no_ship(project: Project, run: Run) -> None:
    """`--collect-only` runs no gate: the report says so, and the last run's SHIP is gone."""
    project.file("test_ship.py", SHIPS)
    run("--distill-json", "out.json")
    assert run("--distill-json", "out.json", "--collect-only").ret == pytest.ExitCode.OK
    report = project.json()
    assert report["outcome"] == "INCOMPLETE"
    assert report["reason"] == "tests were collected and not run"


def test_is_strict_json_in_utf8(project: Project, run: Run) -> None:
    """No NaN or Infinity, and names as they are written."""
    project.evals["größe"] = project.evals.pop("reviews")
    project.save()
    project.file("test_ship.py", SHIPS.replace('(eval="reviews")', ""))
    run("--distill-json", "out.json")
    text = Path(project.path / "out.json").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(text, parse_constant=refuse)
    assert '"größe"' in text


def test_a_gate_is_found_where_it_was_asked(project: Project, run_both: Run) -> None:
    """File and line are those of the assertion in the test's file, else those of the test."""
    project.file(".git/HEAD", "ref: refs/heads/main")
    project.file(
        "sub/test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained, assert_smaller

        def keeps():
            assert_quality_retained(
                min=0.9)

        @pytest.mark.distill
        def test_both():
            keeps()
            assert_smaller(max_ratio="much")

        @pytest.mark.distill
        def test_looks(student):
            assert student.info.parameters < 0

        @pytest.mark.skip
        @pytest.mark.distill
        def test_later():
            ...
        """,
    )
    run_both("--distill-json", "out.json")
    gates = project.json()["gates"]
    text = (project.path / "sub/test_ship.py").read_text().splitlines()
    assert {gate["file"] for gate in gates} == {"sub/test_ship.py"}
    said = {gate["gate"] or "none": text[gate["line"] - 1].strip() for gate in gates}
    assert said["quality_retained"] == "assert_quality_retained("
    assert said["smaller"] == 'assert_smaller(max_ratio="much")'
    assert said["own_assertion"] == "@pytest.mark.distill"
    assert said["none"] == "@pytest.mark.skip"
