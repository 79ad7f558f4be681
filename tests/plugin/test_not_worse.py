"""``assert_not_worse``: the student held against the one that was accepted last."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
import yaml
from sklearn.metrics import f1_score

from pytest_distill.cli import main
from pytest_distill.comparison.baseline.file import read_baseline, write_baseline

from .project import (
    Project,
    Run,
    answers,
    gates_of,
    gold,
    outcomes_of,
    recorded,
    refuse_package_frames,
    said,
    write_gates,
)

JSON = ("--distill-report", "--distill-json", "out.json")
KEEPS = {"keeps": "assert_quality_retained(min=0.5)"}


@pytest.fixture(autouse=True)
def _no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no CI job's commit be taken for the project's."""
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)


def accept(project: Project, run: Run, baseline: Any = "baseline.json", **tests: str) -> None:
    """Keep a run of the project as it is, and name the file in distill.yaml."""
    write_gates(project, **(tests or KEEPS))
    assert run(*JSON).ret == 0
    assert main(["baseline", "save", "out.json"]) == 0
    project.config["baseline"] = baseline
    project.save()


def student(project: Project, right: Iterable[int], n: int = 20) -> None:
    """Let the student be right on these examples."""
    project.rows("student.jsonl", answers(right, n))


def test_an_equal_student_is_not_worse(project: Project, run_both: Run) -> None:
    """By default the exact difference decides, and none is no drop; with two workers too."""
    accept(project, run_both)
    write_gates(project, not_worse="assert_not_worse()")
    assert run_both(*JSON).ret == 0
    row = gates_of(project)["not_worse"]
    assert (row["outcome"], row["observed"], row["required"]) == ("PASSED", 0.0, 0.0)
    assert row["relation"] == ">="
    assert row["n"] == 20
    assert "identical on every example" in row["facts"]


def test_one_example_less_is_worse(project: Project, run: Run) -> None:
    """The message has both scores on the common examples, and the file the lost ones."""
    accept(project, run)
    student(project, range(4, 20))
    write_gates(project, not_worse="assert_not_worse()")
    result = run(*JSON)
    assert result.ret == 1
    row = gates_of(project)["not_worse"]
    assert row["outcome"] == "FAILED"
    assert row["observed"] == pytest.approx(-0.05)
    assert row["details"]["before"] == 0.85
    assert row["details"]["now"] == 0.8
    result.stdout.fnmatch_lines(
        ["*assert -0.0500 >= 0 gained over the baseline (accuracy)", "*0 better, 1 worse"]
    )
    (lost,) = (project.path / ".distill" / "lost").glob("*not-worse*")
    (example,) = map(json.loads, lost.read_text().splitlines())
    assert example["id"] == "e3"
    assert example["student (baseline)"] == {"score": 1.0}
    assert example["student"] == {"score": 0.0}


def test_the_boundary_is_exact(project: Project, run: Run) -> None:
    """A drop of one in twenty is within 0.05, which floats would deny, and not within 0.0499."""
    accept(project, run)
    student(project, range(4, 20))
    write_gates(
        project,
        at="assert_not_worse(max_drop=0.05)",
        under="assert_not_worse(max_drop=0.0499)",
        positional="assert_not_worse('baseline', 0.05)",
    )
    run(*JSON)
    assert outcomes_of(project) == {"at": "PASSED", "under": "FAILED", "positional": "PASSED"}


def test_a_metric_that_is_no_mean_is_compared_by_its_statistics(project: Project, run: Run) -> None:
    """Macro-F1 of both runs on the common examples, also where labels come and go."""
    project.evals["reviews"]["labels"] = ["pos", "neg", "a", "other"]
    project.save()
    before, now = answers(range(3, 20)), answers(range(4, 20))
    before[1]["prediction"] = "a"  # each student gives a label that the other never gives
    now[0]["prediction"] = "other"
    project.rows("student.jsonl", before)
    accept(project, run)
    project.rows("student.jsonl", now)
    labels = [row["label"] for row in gold()]
    then, score = (
        f1_score(labels, [row["prediction"] for row in rows], average="macro")
        for rows in (before, now)
    )
    write_gates(
        project,
        at=f"assert_not_worse(metric='macro_f1', max_drop={then - score + 1e-9})",
        under=f"assert_not_worse(metric='macro_f1', max_drop={then - score - 1e-9})",
        sure="assert_not_worse(metric='macro_f1', max_drop=0.6, confidence=0.9)",
    )
    run(*JSON)
    assert outcomes_of(project) == {"at": "PASSED", "under": "FAILED", "sure": "PASSED"}
    told = gates_of(project)["at"]["details"]
    assert told["before"] == pytest.approx(then)
    assert told["now"] == pytest.approx(score)


def test_a_slice_is_compared_alone(project: Project, run: Run) -> None:
    """Only the common examples of the slice count."""
    accept(project, run)
    student(project, range(4, 20))
    write_gates(
        project,
        de="assert_not_worse(slice='lang=de')",
        en="assert_not_worse(slice='lang=en')",
    )
    run(*JSON)
    rows = gates_of(project)
    assert (rows["de"]["outcome"], rows["en"]["outcome"]) == ("FAILED", "PASSED")
    assert rows["de"]["observed"] == pytest.approx(-0.1)
    assert rows["de"]["n"] == rows["en"]["n"] == 10


def test_a_sliver_of_a_slice_is_a_doubt(project: Project, run: Run) -> None:
    """What is counted is the slice, and not the gold set, most of which may be as it was."""
    project.sizes(teacher=90, student=80, sft=70, n=100)
    accept(project, run)
    german = [row for row in gold(100) if row["lang"] == "de"]
    reworded = {row["id"] for row in german[3:]}
    project.rows(
        "gold.jsonl",
        [{**r, "text": f"so {r['text']}"} if r["id"] in reworded else r for r in gold(100)],
    )
    write_gates(project, de="assert_not_worse(slice='lang=de')", all="assert_not_worse()")
    run(*JSON)
    rows = gates_of(project)
    told = f"3 of {len(german)} examples of the slice are in the baseline, and are alone compared"
    (doubt,) = rows["de"]["doubts"]
    assert doubt.startswith(told)
    assert (rows["de"]["n"], rows["de"]["details"]["common"]) == (3, 3)
    assert rows["de"]["firm"] is False
    assert rows["all"]["doubts"] == []


def test_relabelled_examples_are_left_out_and_counted(project: Project, run_both: Run) -> None:
    """Scores by the old and the new label are not of the same question."""
    accept(project, run_both)
    changed = gold()
    changed[19]["label"] = "pos"  # the student is wrong on it now, by no fault of its own
    del changed[0:2]
    changed.append({**changed[0], "id": "new", "text": "new"})
    project.rows("gold.jsonl", changed)
    for name, right in (("teacher", range(18)), ("student", range(3, 20)), ("sft", range(5, 20))):
        rows = [*answers(right)[2:], {"id": "new", "prediction": "neg"}]
        project.rows(f"{name}.jsonl", rows)
    write_gates(project, not_worse="assert_not_worse()")
    assert run_both(*JSON).ret == 0
    row = gates_of(project)["not_worse"]
    assert row["n"] == 17
    counted = {key: row["details"][key] for key in ("common", "added", "gone", "relabelled")}
    assert counted == {"common": 17, "added": 1, "gone": 2, "relabelled": 1}
    assert any(
        note.startswith("17 of 19 examples are in the baseline (1 added, 2 gone, 1 relabelled)")
        for note in row["notes"]
    )


def test_renamed_and_moved_examples_are_found_again(project: Project, run: Run) -> None:
    """Examples are the same by what they ask, whatever their ids and their order."""
    accept(project, run)
    renamed = [{**row, "id": f"other-{row['id']}"} for row in reversed(gold())]
    project.rows("gold.jsonl", renamed)
    for name, right in (("teacher", range(18)), ("student", range(3, 20)), ("sft", range(5, 20))):
        project.rows(
            f"{name}.jsonl", [{**row, "id": f"other-{row['id']}"} for row in answers(right)]
        )
    write_gates(project, not_worse="assert_not_worse()")
    assert run(*JSON).ret == 0
    assert gates_of(project)["not_worse"]["details"]["common"] == 20


def test_few_common_examples_are_a_doubt(project: Project, run: Run) -> None:
    """Where most of the gold set is another, no verdict is firm."""
    project.sizes(teacher=90, student=80, sft=70, n=100)
    accept(project, run)
    shrunk = gold(100)[:40]
    project.rows("gold.jsonl", shrunk)
    for name, right in (("teacher", 36), ("student", 36), ("sft", 30)):
        project.rows(f"{name}.jsonl", answers(range(right), 40))
    write_gates(project, not_worse="assert_not_worse(max_drop=0.2)")
    assert run(*JSON).ret == 0
    row = gates_of(project)["not_worse"]
    assert (row["outcome"], row["firm"]) == ("PASSED", False)
    assert any("40 of 40 examples are in the baseline (60 gone)" in d for d in row["doubts"])


def test_no_common_example_blocks(project: Project, run: Run) -> None:
    """Another gold set is no pass, also where no baseline would be required."""
    accept(project, run, {"path": "baseline.json", "required": False})
    project.rows("gold.jsonl", [{**row, "text": f"other {row['text']}"} for row in gold()])
    write_gates(project, not_worse="assert_not_worse(max_drop=0.9)")
    result = run(*JSON)
    assert result.ret == 1
    row = gates_of(project)["not_worse"]
    assert row["outcome"] == "NOT RUN"
    assert "no example of 'reviews' in common" in row["notes"][0]
    assert "(20 added, 20 gone)" in row["notes"][0]
    assert project.json()["outcome"] != "SHIP"


def test_another_prompt_has_no_common_example(project: Project, run: Run) -> None:
    """What is asked is the prompt too, and the error says that it has changed."""
    accept(project, run)
    project.evals["reviews"].update(prompt="Review: {{ text }}")
    project.save()
    write_gates(project, not_worse="assert_not_worse()")
    run(*JSON)
    assert "what is asked has changed" in gates_of(project)["not_worse"]["notes"][0]


@pytest.mark.parametrize(
    ("baseline", "message"),
    [
        (None, "no baseline: save one"),
        ("none.json", "none.json: no baseline yet: save one"),
        ({"path": "none.json", "required": True}, "none.json: no baseline yet: save one"),
    ],
)
def test_without_a_baseline_it_does_not_run(
    project: Project, run: Run, baseline: Any, message: str
) -> None:
    """The gate is NOT RUN, which blocks, and names the command that saves one."""
    if baseline is not None:
        project.config["baseline"] = baseline
        project.save()
    write_gates(project, **KEEPS, not_worse="assert_not_worse()")
    result = run(*JSON)
    assert result.ret == 1
    refuse_package_frames(result)
    row = gates_of(project)["not_worse"]
    assert row["outcome"] == "NOT RUN"
    assert message in row["notes"][0]
    assert "python -m pytest_distill baseline save REPORT.json" in row["notes"][0]
    assert project.json()["outcome"] == "INCOMPLETE"


def test_the_first_merge_needs_none(project: Project, run_both: Run) -> None:
    """With ``required: false`` it is NOT RUN, is counted apart, and doesn't block."""
    project.config["baseline"] = {"path": "kept.json", "required": False}
    project.save()
    write_gates(project, **KEEPS, not_worse="assert_not_worse()")
    result = run_both(*JSON)
    assert result.ret == 0
    report = project.json()
    assert report["outcome"] == "SHIP"
    assert "1 NOT RUN: no baseline yet" in report["reason"]
    row = gates_of(project)["not_worse"]
    assert (row["outcome"], row["observed"], row["excused"]) == (
        "NOT RUN",
        None,
        "no baseline yet",
    )
    assert "xfailed" in said(result)
    assert main(["baseline", "save", "out.json"]) == 0
    assert run_both(*JSON).ret == 0
    assert outcomes_of(project) == {"keeps": "PASSED", "not_worse": "PASSED"}
    assert project.json()["gate_changes"] == []
    write_gates(project, **KEEPS)
    run_both(*JSON)
    assert [row["change"] for row in project.json()["gate_changes"]] == ["removed"]


def test_alone_it_ships_nothing(project: Project, run: Run) -> None:
    """A run whose only gate did not run has no verdict, and is no SHIP."""
    project.config["baseline"] = {"required": False}
    project.save()
    write_gates(project, not_worse="assert_not_worse()")
    assert run(*JSON).ret == 1
    report = project.json()
    assert (report["outcome"], report["reason"]) == ("INCOMPLETE", "no gate gave a verdict")


def test_a_required_gate_must_have_passed_all_the_same(project: Project, run: Run) -> None:
    """``required_gates:`` asks for a pass, which a gate that did not run has not."""
    project.config["baseline"] = {"required": False}
    project.config["required_gates"] = ["not_worse"]
    project.save()
    write_gates(project, **KEEPS, not_worse="assert_not_worse()")
    assert run(*JSON).ret == 1
    assert project.json()["outcome"] == "INCOMPLETE"


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1}', "[]"])
def test_a_broken_file_blocks(project: Project, run: Run, text: str) -> None:
    """A file that is there and no baseline is never passed over, required or not."""
    project.config["baseline"] = {"path": "kept.json", "required": False}
    project.save()
    project.file("kept.json", text)
    write_gates(project, **KEEPS, not_worse="assert_not_worse()")
    result = run(*JSON)
    assert result.ret == 1
    refuse_package_frames(result)
    row = gates_of(project)["not_worse"]
    assert (row["outcome"], row["excused"]) == ("NOT RUN", None)
    assert "kept.json" in row["notes"][0]
    assert project.json()["outcome"] == "INCOMPLETE"


def test_an_edited_file_blocks(project: Project, run: Run) -> None:
    """A number that was changed by hand is found by the checksum."""
    accept(project, run)
    path = project.path / "baseline.json"
    path.write_text(path.read_text().replace('"SHIP"', '"SHIP" '))
    write_gates(project, not_worse="assert_not_worse()")
    assert run(*JSON).ret == 0  # a space changes nothing that is said
    content = json.loads(path.read_text())
    rows = content["evals"]["reviews"]["metrics"]["accuracy"]["rows"]
    rows["student"] = rows["teacher"]
    path.write_text(json.dumps(content))
    assert run(*JSON).ret == 1
    assert "changed by hand" in gates_of(project)["not_worse"]["notes"][0]


def test_a_confidence_needs_a_margin(project: Project, run: Run) -> None:
    """No sample shows that a student is no worse at all, and the error says why."""
    accept(project, run)
    write_gates(project, not_worse="assert_not_worse(confidence=0.95)")
    run(*JSON)
    row = gates_of(project)["not_worse"]
    assert row["outcome"] == "NOT RUN"
    assert "needs max_drop above 0" in row["notes"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("max_drop=-0.1", "must be a drop in accuracy, at least 0"),
        ("max_drop=1", "below 1"),
        ("max_drop=5", "did you mean 0.05?"),
        ("max_drop='a'", "must be a finite number"),
        ("max_drop=float('nan')", "must be a finite number"),
        ("than='teacher'", "than='teacher'"),
        ("metric='nope'", "no metric 'nope'"),
        ("slice='lang=fr'", "no example has lang=fr"),
    ],
)
def test_wrong_arguments_are_refused(
    project: Project, run: Run, arguments: str, message: str
) -> None:
    """An argument that would always pass, or never, is an error."""
    accept(project, run)
    write_gates(project, not_worse=f"assert_not_worse({arguments})")
    result = run(*JSON)
    refuse_package_frames(result)
    row = gates_of(project)["not_worse"]
    assert row["outcome"] == "NOT RUN"
    assert message in row["notes"][0]


@pytest.mark.parametrize(
    ("right", "drop", "outcome"),
    [
        (range(60, 400), 0.01, "PASSED"),
        (range(62, 400), 0.01, "INCONCLUSIVE"),
        (range(100, 400), 0.05, "FAILED"),
    ],
)
def test_with_a_confidence_the_bound_decides(
    project: Project, run: Run, right: range, drop: float, outcome: str
) -> None:
    """PASSED, INCONCLUSIVE and FAILED by the exact test of the paired difference."""
    project.rows("gold.jsonl", gold(400))
    for name in ("teacher", "student", "sft"):
        first = {"teacher": 40, "student": 60, "sft": 90}[name]
        project.rows(f"{name}.jsonl", answers(range(first, 400), 400))
    accept(project, run)
    student(project, right, 400)
    write_gates(project, not_worse=f"assert_not_worse(max_drop={drop}, confidence=0.95)")
    run(*JSON)
    row = gates_of(project)["not_worse"]
    assert row["outcome"] == outcome
    bound = row["interval"]["one_sided_lower"]
    if outcome == "PASSED":
        assert bound >= -drop
        assert row["firm"] is True
    elif outcome == "INCONCLUSIVE":
        assert bound < -drop
        assert row["needed"] > 400
    else:
        assert row["interval"]["one_sided_upper"] < -drop


def test_lower_is_better(project: Project, run: Run) -> None:
    """Of an error rate a greater one is worse."""
    metric = {"name": "errors", "higher_is_better": False, "range": [0, 1]}
    project.evals["reviews"]["metrics"] = [metric]

    def score(name: str, wrong: int) -> None:
        rows = [{"id": f"e{i}", "scores": {"errors": float(i < wrong)}} for i in range(20)]
        project.rows(f"{name}.jsonl", rows)

    for name in project.models:
        score(name, {"teacher": 4, "student": 5, "sft": 8}[name])
    project.save()
    accept(project, run)
    score("student", 6)
    write_gates(
        project,
        exact="assert_not_worse()",
        near="assert_not_worse(max_drop=0.05)",
    )
    run(*JSON)
    rows = gates_of(project)
    assert (rows["exact"]["outcome"], rows["near"]["outcome"]) == ("FAILED", "PASSED")
    assert rows["exact"]["observed"] == pytest.approx(-0.05)
    (change,) = [c for c in project.json()["changes"] if c["role"] == "student"]
    assert change["difference"] == pytest.approx(0.05)
    assert (change["wins"], change["losses"]) == (0, 1)
    assert change["lower"] < 0.05 < change["upper"]


def two_students(project: Project) -> None:
    """Add a second student, right on other examples."""
    project.models["tiny"] = recorded("tiny", role="student", parameters=10)
    project.rows("tiny.jsonl", answers(range(8, 20)))
    project.save()


def test_each_of_several_students_is_held_against_its_own(project: Project, run: Run) -> None:
    """By name: a student that is not in the baseline has nothing to be held against."""
    two_students(project)
    keeps = "assert_quality_retained(min=0.5, student='{}')"
    accept(project, run, big=keeps.format("student"), small=keeps.format("tiny"))
    project.rows("tiny.jsonl", answers(range(9, 20)))
    write_gates(
        project,
        big="assert_not_worse(student='student')",
        small="assert_not_worse(student='tiny')",
    )
    run(*JSON)
    assert outcomes_of(project) == {"big": "PASSED", "small": "FAILED"}
    project.models["new"] = project.models.pop("tiny")
    project.save()
    write_gates(project, new="assert_not_worse(student='new')")
    run(*JSON)
    note = gates_of(project)["new"]["notes"][0]
    assert "no student 'new', but student, tiny" in note


def test_the_only_student_may_be_called_otherwise(project: Project, run: Run) -> None:
    """One in the baseline and one now are held against each other, and the row says so."""
    accept(project, run)
    project.models["distilled"] = {**project.models.pop("student"), "role": "student"}
    project.save()
    write_gates(project, not_worse="assert_not_worse()")
    assert run(*JSON).ret == 0
    row = gates_of(project)["not_worse"]
    assert row["model"] == "distilled"
    assert "the baseline's student is called 'student'" in row["notes"]


def test_it_is_a_method_and_a_part_of_a_criterion(project: Project, run: Run) -> None:
    """As every gate: of the fixture `comparison`, and under ``criteria:``."""
    accept(project, run)
    project.config["criteria"] = {"edge": {"not_worse": {"max_drop": 0.05}}}
    project.save()
    student(project, range(4, 20))
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_meets

        pytestmark = pytest.mark.distill(eval="reviews")

        def test_method(comparison):
            comparison.assert_not_worse(max_drop=0.05)

        def test_criterion():
            assert_meets("edge")
        """,
    )
    assert run(*JSON).ret == 0
    rows = gates_of(project)
    assert rows["method"]["gate"] == rows["criterion"]["gate"] == "not_worse"
    assert rows["criterion"]["criterion"] == "edge"


def test_a_criterion_without_a_baseline_goes_on(project: Project, run: Run) -> None:
    """Its other parts are judged, and the one that did not run is told apart."""
    project.config["baseline"] = {"required": False}
    project.config["criteria"] = {
        "edge": {"not_worse": {}, "quality_retained": {"min": 0.5}},
    }
    project.save()
    write_gates(project, edge="assert_meets('edge')")
    assert run(*JSON).ret == 0
    assert [row["outcome"] for row in project.json()["gates"]] == ["NOT RUN", "PASSED"]


def test_an_eval_that_is_not_in_the_baseline_blocks(project: Project, run: Run) -> None:
    """What was never accepted is no pass, and the error names what there is."""
    accept(project, run)
    project.evals["other"] = dict(project.evals["reviews"])
    for name, model in project.models.items():
        model["predictions"] = f"{name}.jsonl"
    project.save()
    write_gates(project, not_worse="assert_not_worse(eval='other')")
    run(*JSON)
    assert "no eval 'other', but reviews" in gates_of(project)["not_worse"]["notes"][0]


def test_clusters_are_counted(project: Project, run: Run) -> None:
    """Examples that come in clusters are judged by clusters, whose number the row has."""
    project.rows("gold.jsonl", [{**row, "doc": i // 2} for i, row in enumerate(gold())])
    project.evals["reviews"]["cluster"] = "doc"
    project.save()
    accept(project, run)
    student(project, range(4, 20))
    write_gates(project, not_worse="assert_not_worse(max_drop=0.5, confidence=0.9)")
    run(*JSON)
    row = gates_of(project)["not_worse"]
    assert row["clusters"] == 10
    assert "cluster jackknife" in row["interval"]["method"]


def test_hostile_names_stay_in_their_line(project: Project, run: Run) -> None:
    """A baseline's names are data: none of them makes a line of a message."""
    accept(project, run)
    path = project.path / "baseline.json"
    kept = read_baseline(path)
    models = [m.model_copy(update={"name": f"{m.name}\n::error::x\x1b[31m"}) for m in kept.models]
    write_baseline(path, kept.model_copy(update={"models": models}))
    two_students(project)
    write_gates(project, not_worse="assert_not_worse(student='tiny')")
    result = run(*JSON)
    assert "\n::error::" not in said(result)
    assert "\x1b[31m" not in said(result)
    assert gates_of(project)["not_worse"]["outcome"] == "NOT RUN"


def test_the_yaml_says_what_a_baseline_may_be(project: Project, run: Run) -> None:
    """A wrong key, an empty path or another kind is named with its line."""
    write_gates(project, **KEEPS)
    text = (project.path / "distill.yaml").read_text()
    for written, message in (
        ({"pathh": "x"}, "did you mean 'path'?"),
        ({"path": ""}, "baseline.path"),
        ("", "baseline: must not be empty"),
        (3, "baseline"),
        ({"path": "x", "required": "no"}, "baseline.required"),
    ):
        project.file("distill.yaml", text + yaml.safe_dump({"baseline": written}))
        result = run("--distill-report")
        assert result.ret != 0
        assert message in said(result)
        refuse_package_frames(result)
