"""How often a gold set was looked at: `looks` in the report, over runs, workers and students."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_distill.cli import main
from pytest_distill.comparison.baseline.file import read_baseline
from pytest_distill.evals.request_keys import unordered_sha256

from .project import (
    STUDENT,
    TEACHER,
    Project,
    Run,
    answers,
    command,
    gold,
    recorded,
    review_eval,
    said,
    write_gates,
)
from .test_cache_option import use_stored_engine

JSON = ("--distill-json", "out.json")
KEEPS = "assert_quality_retained(0.5)"


def looks(project: Project) -> list[tuple[str, int, float]]:
    """Return eval, number of students and level of each row of the JSON report."""
    rows = project.json()["looks"]
    assert {row["config"] for row in rows} <= {"distill.yaml"}
    return [(row["eval"], row["students"], row["confidence"]) for row in rows]


def another_student(project: Project, first: int) -> None:
    """Let the student be another one, which is right from this example on."""
    project.rows("student.jsonl", answers(range(first, 20)))


ONE, TWO, THREE = (("reviews", k, 1 - 0.05 / k) for k in (1, 2, 3))


@pytest.fixture
def judged(project: Project) -> Project:
    """Return a project with a gate on the student's answers."""
    write_gates(project, it=KEEPS)
    return project


def test_each_student_counts_once(judged: Project, run_both: Run) -> None:
    """The same student in a second run is no second look; another one is."""
    for first, told in ((3, ONE), (3, ONE), (4, TWO), (3, TWO), (5, THREE)):
        another_student(judged, first)
        run_both(*JSON).assert_outcomes(passed=1)
        assert looks(judged) == [told]


def test_students_of_two_workers_are_counted_together(project: Project, run: Run) -> None:
    """Each worker judges another student; the report has both, with a store and without one."""
    project.models["small"] = recorded("small", role="student", parameters=10)
    project.rows("small.jsonl", answers(range(4, 20)))
    project.save()
    for name in ("student", "small"):
        write_gates(
            project, f"test_{name}.py", it=f"assert_quality_retained(0.5, student='{name}')"
        )
    for folder, warnings in (("store", 0), ("store", 0), ("distill.yaml", 2)):
        more = ("-n", "2", "--dist", "loadfile", "--distill-cache", folder)
        result = run("-W", "default", *more, *JSON)
        result.assert_outcomes(passed=2, warnings=warnings)
        assert looks(project) == [TWO]


def test_a_relabelled_gold_set_is_another(judged: Project, run: Run) -> None:
    """Two students on the old labels say nothing about the new ones."""
    run(*JSON)
    another_student(judged, 4)
    run(*JSON)
    assert looks(judged) == [TWO]
    rows = gold()
    rows[7]["label"] = "pos"
    judged.rows("gold.jsonl", rows)
    run(*JSON)
    assert looks(judged) == [ONE]


def test_what_is_no_other_gold_set(judged: Project, run: Run) -> None:
    """Another order, a further field and another name of the eval leave the count as it is."""
    run(*JSON)
    another_student(judged, 4)
    judged.rows("gold.jsonl", [{**row, "source": "shop"} for row in reversed(gold())])
    del judged.evals["reviews"]
    judged.evals["renamed"] = review_eval()
    judged.save()
    write_gates(judged, it=f"@pytest.mark.distill(eval='renamed')\n{KEEPS}")
    run(*JSON).assert_outcomes(passed=1)
    assert looks(judged) == [("renamed", *TWO[1:])]


def test_a_part_of_the_gold_set_is_not_looked_at(judged: Project, run_both: Run) -> None:
    """``--distill-limit`` tells nothing, and is not remembered."""
    run_both("--distill-limit", "10", *JSON).assert_outcomes(passed=1)
    assert looks(judged) == []
    another_student(judged, 4)
    run_both(*JSON)
    assert looks(judged) == [ONE]


@pytest.mark.parametrize(
    ("gate", "counts"),
    [
        (KEEPS, True),
        ("assert_quality_retained(0.99)", True),
        ("assert_beats_sft(confidence=0.999)", True),
        ("assert_flips(0.5)", True),
        ("assert_score(0.5)", True),
        ("assert_score(0.5, model='teacher')", False),
        ("assert_score(0.5, model='sft')", False),
        ("assert_smaller(2)", False),
        ("assert_quality_retained(0.5, metric='typo')", False),
    ],
)
def test_a_verdict_on_a_students_answers_is_a_look(
    project: Project, run: Run, gate: str, counts: bool
) -> None:
    """Whatever it is; no verdict, other models, and what looks at no answer are none."""
    write_gates(project, it=gate)
    run(*JSON)
    assert looks(project) == ([ONE] if counts else [])


def test_a_recommendation_looks_at_every_student_it_tries(project: Project, run: Run) -> None:
    """It chooses by their answers, also where it records no verdict."""
    for number, name in enumerate(("b", "c")):
        project.models[name] = recorded(name, role="student", parameters=90 - number)
        project.rows(f"{name}.jsonl", answers(range(4 + number, 20)))
    project.config["criteria"] = {"good": {"quality_retained": {"min": 0.5}}}
    project.save()
    write_gates(project, it="assert recommend('good') == 'c'")
    run(*JSON).assert_outcomes(passed=1)
    assert looks(project) == [THREE]


def test_all_evals_of_a_suite_are_looked_at(project: Project, run: Run) -> None:
    """Each gold set has a count of its own."""
    project.rows("more.jsonl", gold(10))
    project.evals["more"] = review_eval(data="more.jsonl")
    for name, right in (("teacher", TEACHER), ("student", STUDENT)):
        project.rows(f"{name}-more.jsonl", answers((n for n in right if n < 10), 10))
        files = {"reviews": f"{name}.jsonl", "more": f"{name}-more.jsonl"}
        project.models[name]["predictions"] = files
    project.save()
    write_gates(project, it="assert_suite_retained(0.5)")
    run(*JSON).assert_outcomes(passed=1)
    assert looks(project) == [ONE, ("more", *ONE[1:])]


def test_a_folder_in_the_way_is_a_warning(judged: Project, run: Run) -> None:
    """Without a store this run's student is known, and the gate stands."""
    result = run("-W", "default", "--distill-cache", "distill.yaml", *JSON)
    result.assert_outcomes(passed=1, warnings=1)
    assert "the run goes on without it" in said(result)
    assert looks(judged) == [ONE]
    run("-W", "error", "--distill-cache", "distill.yaml", *JSON).assert_outcomes(passed=1)
    assert looks(judged) == [ONE]


def test_a_student_that_nobody_can_name_is_one(project: Project, run: Run) -> None:
    """An engine without a digest: at least this one, and never more for it."""
    project.use_own_engine()
    write_gates(project, it=KEEPS)
    for _ in range(2):
        run(*JSON).assert_outcomes(passed=1)
        assert looks(project) == [ONE]


def test_a_checkpoint_is_known_by_its_identity(project: Project, run: Run) -> None:
    """As the store knows it: a student that is trained anew is a second one, stored or not."""
    use_stored_engine(project)
    for digest, told in (("one", ONE), ("one", ONE), ("two", TWO), ("one", TWO)):
        project.models["student"]["digest"] = digest
        project.save()
        run(*JSON)
        assert looks(project) == [told]


def test_reported_scores_have_no_gold_set(project: Project, run: Run) -> None:
    """Nobody can look at what is not there."""
    scores: dict[str, Any] = {"teacher": 0.9, "student": 0.85}
    for name, score in scores.items():
        of = {"reviews": {"accuracy": score}}
        project.models[name] = {"engine": "reported", "scores": of}
    del project.models["sft"]
    project.config["evals"] = {"reviews": {"metrics": ["accuracy"]}}
    project.save()
    write_gates(project, it=KEEPS)
    run(*JSON).assert_outcomes(passed=1)
    assert looks(project) == []


def test_the_store_lists_and_keeps_looks(judged: Project, run: Run) -> None:
    """`list` tells them in a line; `prune` does not forget them."""
    run(*JSON)
    another_student(judged, 4)
    run(*JSON)
    digest = unordered_sha256([row["text"], row["label"]] for row in gold()).hexdigest()
    for asked in ("list", "prune", "list"):
        done = command("store", asked)
        assert (done.returncode, done.stderr) == (0, "")
        if asked == "list":
            line = done.stdout.splitlines()[0]
            assert line.startswith(f"reviews  gold set {digest[:12]}  2 students judged  20")
    another_student(judged, 5)
    run(*JSON)
    assert looks(judged) == [THREE]


def test_an_accepted_run_carries_looks(judged: Project, run_both: Run) -> None:
    """Where the store is a new one, as on another machine, and from then on in that store."""
    run_both("--distill-report", *JSON)
    another_student(judged, 4)
    run_both("--distill-report", *JSON)
    assert main(["baseline", "save", "out.json"]) == 0
    assert list(map(len, read_baseline(judged.path / "baseline.json").looks.values())) == [2]
    another_student(judged, 5)
    for more in (["--distill-baseline", "baseline.json"], []):
        run_both(*more, "--distill-cache", "elsewhere", *JSON)
        assert looks(judged) == [THREE]


def test_a_broken_baseline_carries_none(judged: Project, run: Run) -> None:
    """That it is broken is told where it is asked for; this run's student counts."""
    judged.file("baseline.json", "{")
    run("--distill-baseline", "baseline.json", *JSON)
    assert looks(judged) == [ONE]


@pytest.mark.parametrize("digest", ["v1", "\\ud800 <script>", "0123456789abcdef"])
def test_what_an_engine_calls_its_digest(project: Project, run: Run, digest: str) -> None:
    """Any text tells two students apart, and none breaks the store."""
    use_stored_engine(project)
    own = (project.path / "own.py").read_text()
    for number, told in (("", ONE), ("2", TWO)):
        model = f'{{"student": "{digest}{number}"}}.get(self.spec.name, self.spec.name)'
        project.file("own.py", own.replace('"digest":', f'"model": {model}, "digest":'))
        run(*JSON)
        assert looks(project) == [told]
