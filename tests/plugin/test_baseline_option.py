"""``--distill-baseline`` and ``baseline:``: what a run tells of the accepted one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.cli import main
from pytest_distill.comparison.baseline.file import BaselineFile, read_baseline, write_baseline

from .project import Project, Run, answers, gold, recorded, refuse_package_frames, write_gates

GIT = shutil.which("git") or "git"
JSON = ("--distill-report", "--distill-json", "out.json")
GATES = {
    "keeps": "assert_quality_retained(min=0.6)",
    "pays": "assert_beats_sft(confidence=None)",
}


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no CI job's commit be taken for the project's, and no repository around it."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)


def accept(project: Project, run: Run, **tests: str) -> None:
    """Keep a run of the project as it is."""
    write_gates(project, **(tests or GATES))
    assert run(*JSON).ret == 0
    assert main(["baseline", "save", "out.json"]) == 0


def right(project: Project, name: str, examples: Iterable[int]) -> None:
    """Let a model be right on these examples."""
    project.rows(f"{name}.jsonl", answers(examples))


def held(project: Project, run: Run, *args: str) -> dict[str, Any]:
    """Run the project against its baseline and return the report."""
    result = run(*JSON, "--distill-baseline", "baseline.json", *args)
    refuse_package_frames(result)
    return project.json()


def rewritten(project: Project, **changes: Any) -> None:
    """Change what the baseline holds, as another run would have written it."""
    path = project.path / "baseline.json"
    kept: BaselineFile = read_baseline(path).model_copy(update=changes)
    write_baseline(path, kept)


def test_an_unchanged_project_has_no_change(project: Project, run_both: Run) -> None:
    """All differences are 0, all examples common, no gate another; with two workers too."""
    accept(project, run_both)
    report = held(project, run_both)
    assert report["outcome"] == "SHIP"
    (baseline,) = report["baselines"]
    assert (baseline["path"], baseline["commit"]) == ("baseline.json", None)
    assert baseline["notes"] == ["less than a minute old, of no known commit"]
    assert {(c["model"], c["metric"]) for c in report["changes"]} == {
        (model, metric)
        for model in ("teacher", "student", "sft")
        for metric in ("accuracy", "macro_f1")
    }
    assert {c["difference"] for c in report["changes"]} == {0.0}
    assert {c["n"] for c in report["changes"]} == {20}
    assert report["gold_changes"] == [
        {
            "config": "distill.yaml",
            "eval": "reviews",
            "common": 20,
            "added": 0,
            "gone": 0,
            "relabelled": 0,
        }
    ]
    assert report["gate_changes"] == []


def test_the_change_is_that_of_pairs(project: Project, run_both: Run) -> None:
    """Wins, losses and the interval of the differences are of the same examples in both runs."""
    accept(project, run_both)
    right(project, "student", [*range(6, 20), 0])
    report = held(project, run_both)
    (change,) = [
        c for c in report["changes"] if (c["model"], c["metric"]) == ("student", "accuracy")
    ]
    assert (change["before"], change["now"]) == (0.85, 0.75)
    assert (change["wins"], change["losses"]) == (1, 3)
    assert change["difference"] == pytest.approx(-0.1)
    assert change["lower"] < -0.1 < change["upper"]
    assert change["same"] is None


def test_a_teacher_that_changed_is_told_apart(project: Project, run_both: Run) -> None:
    """It moves what the student retains, though the student is as it was."""
    accept(project, run_both)
    right(project, "teacher", range(17))
    report = held(project, run_both)
    notes = report["baselines"][0]["notes"]
    assert (
        "reviews: the teacher has changed: accuracy 0.9000 to 0.8500 on 20 examples of both, "
        "0 better and 1 worse"
    ) in notes
    assert (
        "reviews: student retained 0.9444 of the teacher then on these examples and retains "
        "1.0000 now: the teacher moved it, the student is as it was"
    ) in notes
    (student,) = [
        c for c in report["changes"] if (c["model"], c["metric"]) == ("student", "accuracy")
    ]
    assert student["difference"] == 0.0


def test_a_teacher_and_a_student_that_changed_have_a_part_each(project: Project, run: Run) -> None:
    """First the teacher's part by itself, then the student's."""
    accept(project, run)
    right(project, "teacher", range(17))
    right(project, "student", range(4, 20))
    notes = held(project, run)["baselines"][0]["notes"]
    assert (
        "reviews: student retained 0.9444 of the teacher then on these examples; the teacher "
        "alone moves that to 1.0000, the student then to 0.9411"
    ) in notes


def test_a_student_that_changed_is_no_drift(project: Project, run: Run) -> None:
    """Where the teacher is as it was, nothing is said of it."""
    accept(project, run)
    right(project, "student", range(4, 20))
    notes = held(project, run)["baselines"][0]["notes"]
    assert not any("teacher" in note for note in notes)


def test_gold_examples_added_gone_and_relabelled_are_counted(
    project: Project, run_both: Run
) -> None:
    """Each by what it asks, and the pairs are of the others alone."""
    accept(project, run_both)
    rows = gold()
    rows[19]["label"] = "pos"
    rows = [*rows[2:], {**rows[0], "id": "new", "text": "new"}]
    project.rows("gold.jsonl", rows)
    for name, those in (("teacher", range(18)), ("student", range(3, 20)), ("sft", range(5, 20))):
        made = [*answers(those)[2:], {"id": "new", "prediction": "pos"}]
        project.rows(f"{name}.jsonl", made)
    report = held(project, run_both)
    (change,) = report["gold_changes"]
    assert {key: change[key] for key in ("common", "added", "gone", "relabelled")} == {
        "common": 17,
        "added": 1,
        "gone": 2,
        "relabelled": 1,
    }
    assert {c["n"] for c in report["changes"]} == {17}
    assert (
        "another gold set of 'reviews': 17 of 19 examples are in the baseline "
        "(1 added, 2 gone, 1 relabelled)"
    ) in report["baselines"][0]["notes"]


def test_other_fields_of_the_gold_set_are_no_change_of_what_is_asked(
    project: Project, run: Run
) -> None:
    """A field to slice by may change: the examples are the same, and the digest is told."""
    accept(project, run)
    project.rows("gold.jsonl", [{**row, "lang": "xx"} for row in gold()])
    notes = held(project, run)["baselines"][0]["notes"]
    assert "another gold set of 'reviews': what is asked and the labels are the same" in notes


def test_another_prompt_has_nothing_in_common(project: Project, run: Run) -> None:
    """The note says that the settings are others, and no difference is told."""
    accept(project, run)
    project.evals["reviews"]["prompt"] = "Review: {{ text }}"
    project.save()
    report = held(project, run)
    assert report["changes"] == []
    assert any("other settings, such as the prompt" in n for n in report["baselines"][0]["notes"])


def changes_of(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return what changed of which test, before and now."""
    return [
        (row["nodeid"].rpartition("::test_")[2], row["change"], row["before"], row["now"])
        for row in report["gate_changes"]
    ]


def test_loosened_and_removed_gates_are_told_first(project: Project, run_both: Run) -> None:
    """A floor that fell, a confidence that is gone, a gate that nobody asks any more."""
    accept(
        project,
        run_both,
        floor="assert_quality_retained(min=0.9)",
        sure="assert_quality_retained(min=0.5, confidence=0.9)",
        gone="assert_beats_sft(confidence=None)",
        ceiling="assert_flips(0.2)",
        tighter="assert_score(min=0.5)",
        same="assert_score(min=0.6)",
    )
    write_gates(
        project,
        floor="assert_quality_retained(min=0.85)",
        sure="assert_quality_retained(min=0.6)",
        ceiling="assert_flips(0.3)",
        tighter="assert_score(min=0.7)",
        same="assert_score(min=0.6)",
        new="assert_smaller(max_ratio=0.5)",
    )
    assert changes_of(held(project, run_both)) == [
        ("gone", "removed", "> 0", ""),
        ("floor", "lowered", ">= 0.9", ">= 0.85"),
        ("sure", "lowered", ">= 0.5 at 90 % confidence", ">= 0.6"),
        ("ceiling", "lowered", "<= 0.2", "<= 0.3"),
        ("new", "added", "", "<= 0.5"),
        ("tighter", "raised", ">= 0.5", ">= 0.7"),
    ]


def test_a_waiver_is_less_than_was_asked(project: Project, run: Run) -> None:
    """A failure that somebody answers for now was a pass before."""
    accept(project, run, keeps="assert_quality_retained(min=0.9)")
    project.config["waivers"] = [
        {
            "gate": "quality_retained",
            "floor": 0.5,
            "owner": "me",
            "reason": "known",
            "expires": datetime.now(UTC).date() + timedelta(days=2),
        }
    ]
    project.save()
    right(project, "student", range(6, 20))
    assert changes_of(held(project, run)) == [("keeps", "lowered", ">= 0.9", ">= 0.9 waived")]


def test_a_run_of_some_tests_misses_no_others(project: Project, run: Run) -> None:
    """A gate that this run was not asked for is not told to be removed; one of its files is."""
    accept(project, run)
    write_gates(project, "test_more.py", more="assert_score(min=0.5)")
    assert run(*JSON).ret == 0
    assert main(["baseline", "save", "out.json"]) == 0
    assert changes_of(held(project, run, "test_more.py")) == []
    assert changes_of(held(project, run, "test_ship.py::test_keeps")) == []
    assert changes_of(held(project, run, "-k", "keeps")) == []
    write_gates(project, keeps=GATES["keeps"])
    assert changes_of(held(project, run, "test_ship.py")) == [("pays", "removed", "> 0", "")]
    assert changes_of(held(project, run, ".")) == [("pays", "removed", "> 0", "")]


def test_a_gate_that_broke_is_not_removed(project: Project, run: Run) -> None:
    """It did not run, which the report says already."""
    accept(project, run)
    write_gates(project, keeps=GATES["keeps"], pays="assert_beats_sft(nope=1)")
    assert changes_of(held(project, run)) == []


def test_a_student_of_another_name_is_told(project: Project, run: Run) -> None:
    """The only student of both is compared by its role; of several another name is another."""
    accept(project, run)
    project.models["distilled"] = {**project.models.pop("student"), "role": "student"}
    project.save()
    report = held(project, run)
    assert (
        "another name: its student is called 'student', not 'distilled'"
        in report["baselines"][0]["notes"]
    )
    assert "distilled" in {change["model"] for change in report["changes"]}
    project.models["tiny"] = recorded("student", role="student")
    project.save()
    write_gates(project, keeps="assert_quality_retained(min=0.6, student='distilled')")
    report = held(project, run)
    assert (
        "another model: student 'distilled' is not in it; it has student"
        in report["baselines"][0]["notes"]
    )


def test_another_teacher_is_told_by_its_digest(project: Project, run: Run) -> None:
    """A checkpoint of other bytes under the same name is another teacher."""
    engine = """
    from pytest_distill import ModelInfo, Prediction
    from pathlib import Path
    import json

    class Own:
        def __init__(self, spec):
            self.spec = spec

        @property
        def identity(self):
            return {"model": self.info.digest}

        @property
        def info(self):
            digest = self.spec.options["digest"]
            return ModelInfo(self.spec.name, self.spec.role, parameters=9, digest=digest)

        def predict(self, requests):
            right = self.spec.options["right"]
            for request in requests:
                i = int(request.id[1:])
                yield Prediction(request.id, prediction=("pos", "neg")[(i + (i >= right)) % 2])

        def close(self):
            pass
    """
    project.file("own.py", engine)
    for name, count in (("teacher", 18), ("student", 16), ("sft", 12)):
        digest = hashlib.sha256(name.encode()).hexdigest()
        project.models[name] = {"engine": "own:Own", "right": count, "digest": digest}
    project.save()
    write_gates(project, **GATES)
    assert run(*JSON).ret == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project.path))
        assert main(["baseline", "save", "out.json"]) == 0
    report = held(project, run)
    assert {c["same"] for c in report["changes"]} == {True}
    project.models["teacher"]["digest"] = "x" * 40
    project.save()
    report = held(project, run)
    assert {c["model"]: c["same"] for c in report["changes"]} == {
        "teacher": False,
        "student": True,
        "sft": True,
    }
    notes = report["baselines"][0]["notes"]
    was, now = hashlib.sha256(b"teacher").hexdigest()[:12], "x" * 12
    assert f"another teacher: 'teacher' has digest {now}, and had {was}" in notes
    assert any(note.startswith("reviews: the teacher has changed") for note in notes)


def git(folder: Path, *args: str) -> str:
    """Run git in a folder, whatever its owner's settings."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=x", "-c", "user.email=x"]
    done = subprocess.run(
        [GIT, *who, *args], cwd=folder, env={**os.environ, **own}, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def test_age_and_commit_are_told(project: Project, run: Run) -> None:
    """And whether the commit is one that HEAD comes from, where git can tell."""
    git(project.path, "init", "-q")
    git(project.path, "commit", "-q", "--allow-empty", "-m", "first")
    first = git(project.path, "rev-parse", "HEAD")
    accept(project, run)
    rewritten(project, made=datetime.now(UTC) - timedelta(days=3, hours=1))
    (row,) = held(project, run)["baselines"]
    assert (row["commit"], row["ancestor"]) == (first, True)
    assert row["notes"] == [f"3 days old, of commit {first[:12]}, which HEAD comes from"]
    git(project.path, "checkout", "-q", "--orphan", "other")
    git(project.path, "commit", "-q", "--allow-empty", "-m", "other")
    (row,) = held(project, run)["baselines"]
    assert row["ancestor"] is False
    assert "which HEAD does not come from" in row["notes"][0]
    rewritten(project, commit="f" * 40)
    (row,) = held(project, run)["baselines"]
    assert row["ancestor"] is None


def test_without_git_nothing_is_said_of_ancestors(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without git tells the commit alone."""
    monkeypatch.setenv("GITHUB_SHA", "a" * 40)
    accept(project, run)
    monkeypatch.setenv("PATH", "/nowhere")
    (row,) = held(project, run)["baselines"]
    assert (row["commit"], row["ancestor"]) == ("a" * 40, None)
    assert row["notes"] == [f"less than a minute old, of commit {'a' * 12}"]


def test_a_shallow_clone_does_not_know_ancestors(
    project: Project, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a clone of depth 1 lacks is not taken for a commit of elsewhere."""
    origin = tmp_path_factory.mktemp("origin")
    git(origin, "init", "-q")
    for message in ("first", "second"):
        git(origin, "commit", "-q", "--allow-empty", "-m", message)
    first = git(origin, "rev-parse", "HEAD~1")
    accept(project, run)
    rewritten(project, commit=first)
    git(project.path, "clone", "-q", "--depth", "1", f"file://{origin}", "clone")
    shutil.move(str(project.path / "clone" / ".git"), project.path / ".git")
    (row,) = held(project, run)["baselines"]
    assert row["ancestor"] is None


@pytest.mark.parametrize("required", [True, False])
def test_a_broken_file_is_no_ship(project: Project, run_both: Run, required: bool) -> None:
    """Where no gate asks it either: what was to be compared cannot be, and the run says so."""
    project.config["baseline"] = {"path": "baseline.json", "required": required}
    project.save()
    project.file("baseline.json", '{"schema": 1, "outcome": "SHIP"}')
    write_gates(project, **GATES)
    result = run_both(*JSON)
    assert result.ret == 1
    refuse_package_frames(result)
    report = project.json()
    assert report["outcome"] == "INCOMPLETE"
    assert "baseline.json" in report["reason"]
    assert "changed by hand" in report["reason"]
    assert report["baselines"] == []


def test_a_missing_file_is_a_remark(project: Project, run_both: Run) -> None:
    """Where no gate asks for it the run ships, and says how to save one."""
    write_gates(project, **GATES)
    result = run_both(*JSON, "--distill-baseline", "none.json")
    assert result.ret == 0
    report = project.json()
    assert report["outcome"] == "SHIP"
    assert any("none.json: no baseline yet" in remark for remark in report["remarks"])


def test_the_option_takes_the_place_of_the_key(project: Project, run: Run) -> None:
    """From the current folder; the key's path starts beside distill.yaml."""
    accept(project, run)
    shutil.move(project.path / "baseline.json", project.path / "other.json")
    project.config["baseline"] = "none.json"
    project.save()
    run(*JSON)
    assert project.json()["baselines"] == []
    run(*JSON, "--distill-baseline", "other.json")
    (row,) = project.json()["baselines"]
    assert row["path"] == "other.json"


def test_a_read_only_folder_is_no_obstacle(project: Project, run: Run) -> None:
    """A baseline is only read: nothing is written beside it."""
    accept(project, run)
    folder = project.path / "kept"
    folder.mkdir()
    shutil.move(project.path / "baseline.json", folder / "baseline.json")
    folder.chmod(0o555)
    before = sorted(path.name for path in folder.iterdir())
    try:
        result = run(*JSON, "--distill-baseline", "kept/baseline.json")
    finally:
        folder.chmod(0o755)
    assert result.ret == 0
    assert sorted(path.name for path in folder.iterdir()) == before
    assert len(project.json()["baselines"]) == 1


def test_a_metric_of_the_users_runs_no_code_for_the_report(project: Project, run: Run) -> None:
    """What is no mean of scores is compared where a gate asks, and not when the report is made."""
    project.file(
        "own_metric.py",
        """
        import numpy as np

        class Odd:
            name, higher_is_better, range = "odd", True, (0.0, 1.0)

            def scores(self, answers):
                return np.array([float(a.correct) for a in answers])

            def statistics(self, answers):
                return np.array([[float(a.correct), 1.0] for a in answers])

            def aggregate(self, totals):
                with open("asked.txt", "a") as file:
                    file.write("x")
                return totals[..., 0] / totals[..., 1]

        ODD = Odd()
        """,
    )
    project.evals["reviews"]["metrics"] = ["accuracy", "own_metric.ODD"]
    project.save()
    write_gates(project, **GATES)
    assert run(*JSON).ret == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(project.path))
        assert main(["baseline", "save", "out.json"]) == 0
    (project.path / "asked.txt").unlink()
    assert run(*JSON).ret == 0
    without = (project.path / "asked.txt").read_text()
    (project.path / "asked.txt").unlink()
    report = held(project, run)
    assert {c["metric"] for c in report["changes"]} == {"accuracy"}
    assert (project.path / "asked.txt").read_text() == without
    write_gates(project, odd="assert_not_worse(metric='odd')")
    report = held(project, run)
    assert [gate["outcome"] for gate in report["gates"]] == ["PASSED"]


def test_two_files_are_compared(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """``baseline compare`` tells the same of two accepted runs."""
    accept(project, run)
    shutil.move(project.path / "baseline.json", project.path / "before.json")
    right(project, "student", range(4, 20))
    right(project, "teacher", range(17))
    accept(project, run, keeps="assert_quality_retained(min=0.5)", pays=GATES["pays"])
    report = run(*JSON, "--distill-baseline", "before.json") and project.json()
    capsys.readouterr()
    assert main(["baseline", "compare", "before.json", "baseline.json"]) == 0
    said = capsys.readouterr().out
    assert "reviews: 20 examples of both" in said
    assert "student: accuracy 0.8500 -> 0.8000 (-0.0500, 95 % interval" in said
    assert "0 better and 1 worse" in said
    for note in report["baselines"][0]["notes"][1:]:
        assert note in said
    assert "lowered: test_ship.py::test_keeps: quality_retained" in said
    assert ">= 0.6 -> >= 0.5" in said
    capsys.readouterr()
    assert main(["baseline", "compare", "before.json", "none.json"]) == 1
    assert "none.json" in capsys.readouterr().err


def test_the_report_is_json_with_infinite_bounds(project: Project, run: Run) -> None:
    """A metric without bounds is compared, and a bound that does not exist is null."""
    metric = {"name": "loss", "higher_is_better": False, "range": [0, float("inf")]}
    project.evals["reviews"]["metrics"] = [metric]
    for name in project.models:
        rows = [{"id": f"e{i}", "scores": {"loss": 1.0 + (i % 3)}} for i in range(20)]
        if name == "student":
            rows[0]["scores"] = {"loss": 1.25}
        project.rows(f"{name}.jsonl", rows)
    project.save()
    accept(project, run, keeps="assert_quality_retained(min=0.5)")
    report = held(project, run)
    assert {c["metric"] for c in report["changes"]} == {"loss"}
    json.dumps(report, allow_nan=False)


def test_looks_of_earlier_runs_are_kept_and_counted(project: Project, run: Run) -> None:
    """A store that was lost forgets students that were judged; the baseline doesn't."""
    accept(project, run)
    right(project, "student", range(4, 20))
    assert run(*JSON).ret == 0
    assert main(["baseline", "save", "out.json"]) == 0
    (students,) = read_baseline(project.path / "baseline.json").looks.values()
    assert len(students) == 2
    shutil.rmtree(project.path / ".distill")
    right(project, "student", range(2, 20))
    (looks,) = held(project, run)["looks"]
    assert looks["students"] == 3
    run(*JSON, "--distill-cache", "new")
    (looks,) = project.json()["looks"]
    assert looks["students"] == 1


def test_what_a_sample_leaves_out_is_not_gone(project: Project, run: Run) -> None:
    """A run of ten examples has these in common, and nothing of the others is told."""
    accept(project, run)
    run(*JSON, "--distill-baseline", "baseline.json", "--distill-limit", "10")
    report = project.json()
    (gold_change,) = report["gold_changes"]
    assert (gold_change["common"], gold_change["gone"]) == (10, 0)
    assert {c["n"] for c in report["changes"]} == {10}


def test_a_text_that_stands_twice_is_found_in_a_sample(project: Project, run: Run) -> None:
    """What a sample asks is not new, though it leaves out another example that asks the same."""
    project.rows("gold.jsonl", [{**row, "text": f"t{i // 2}"} for i, row in enumerate(gold())])
    accept(project, run)
    run(*JSON, "--distill-baseline", "baseline.json", "--distill-limit", "11")
    (found,) = project.json()["gold_changes"]
    assert (found["common"], found["added"], found["relabelled"]) == (11, 0, 0)


def test_a_metric_that_turned_round_is_refused(project: Project, run: Run) -> None:
    """What was better where it is higher can't be compared with what is better where lower."""
    metric: dict[str, Any] = {"name": "own", "range": [0, 1]}
    project.evals["reviews"]["metrics"] = [metric]
    for name in project.models:
        rows = [{"id": f"e{i}", "scores": {"own": i / 20}} for i in range(20)]
        rows[0]["scores"] = {"own": {"teacher": 0.5, "student": 0.25, "sft": 0.125}[name]}
        project.rows(f"{name}.jsonl", rows)
    project.save()
    accept(project, run, keeps="assert_quality_retained(min=0.5)")
    metric["higher_is_better"] = False
    project.save()
    write_gates(project, not_worse="assert_not_worse()")
    report = held(project, run)
    assert "the other way round" in report["gates"][0]["notes"][0]
    assert report["changes"] == []


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("own_rootdir", [False, True])
def test_gates_of_a_folder_that_is_named_are_compared(
    project: Project, run: Run, own_rootdir: bool, absolute: bool
) -> None:
    """Wherever rootdir is, and however the folder is named, lowered and removed are told."""
    if own_rootdir:
        (project.path / "pytest.ini").unlink(missing_ok=True)
        project.file("gates/pytest.ini", "[pytest]\n")
    config = ("--distill-config", str(project.path / "distill.yaml"))
    folder = str(project.path / "gates") if absolute else "gates"
    gates = {
        "keeps": "assert_quality_retained(min=0.9)",
        "pays": "assert_beats_sft(confidence=None)",
    }
    write_gates(project, file="gates/test_ship.py", **gates)
    assert run(*JSON, *config, folder).ret == 0
    assert main(["baseline", "save", "out.json", "--config", "distill.yaml"]) == 0
    write_gates(project, file="gates/test_ship.py", keeps="assert_quality_retained(min=0.1)")
    found = changes_of(held(project, run, *config, folder))
    assert found == [("pays", "removed", "> 0", ""), ("keeps", "lowered", ">= 0.9", ">= 0.1")]
