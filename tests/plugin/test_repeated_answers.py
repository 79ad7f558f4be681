"""What becomes of several samples of each example: exports, baselines, lost rows and gates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pytest_distill.cli import main

from .project import Project, Run, command, gates_of, recorded, said, write_gates
from .test_repeats import N, asked, counts, use_samples

REPORTS = ("--distill-report", "--distill-json", "out.json")
GATES = "from pytest_distill import *\n"


def rows_of(texts: Sequence[str], **more: Any) -> list[dict[str, Any]]:
    """Return a row for every letter of each example's text."""
    return [
        {"id": f"q{i}", "repeat": k, "text": letter, **more}
        for i, text in enumerate(texts)
        for k, letter in enumerate(text)
    ]


def use_recorded(project: Project, teacher: Sequence[str], student: Sequence[str]) -> None:
    """Let two models have these samples, a letter each; `a` is right."""
    project.rows("gold.jsonl", [{"id": f"q{i}", "input": "?", "target": "a"} for i in range(N)])
    project.models.clear()
    for name, texts in (("teacher", teacher), ("student", student)):
        project.models[name] = recorded(name)
        project.rows(f"{name}.jsonl", rows_of(texts, loglikelihoods=-2.0, tokens=2))
    sampled = {"do_sample": True, "seed": 1, "repeats": len(teacher[0])}
    project.evals.clear()
    project.evals["sums"] = {"task": "generation", "data": "gold.jsonl", **sampled}
    project.save()


TEACHER = ["aaaa", "aaaa", "aaab", "aabb", "aaaa", "bcbb"]
STUDENT = ["aaaa", "aabb", "abaa", "abbb", "bbbb", "bbba"]


def store(*arguments: str) -> str:
    """Run a command of the store, and return what it prints."""
    done = command("store", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_export_has_every_sample(project: Project, run: Run) -> None:
    """It may be imported, or stand in for recorded predictions, and gives the same scores."""
    use_samples(project)
    run(*REPORTS).assert_outcomes(passed=1)
    (row,), made = project.json()["comparisons"], len(asked(project))
    printed = store("export", "exported")
    assert f"sums.student.jsonl: {8 * N} predictions" in printed
    lines = (project.path / "exported" / "sums.student.jsonl").read_text().splitlines()
    assert [(json.loads(line)["id"], json.loads(line)["repeat"]) for line in lines] == [
        (f"q{i}", k) for i in range(N) for k in range(8)
    ]
    assert "96 predictions" in store("list")
    store("import", "exported", "--cache", "other")
    run(*REPORTS, "--distill-cache", "other").assert_outcomes(passed=1)
    assert len(asked(project)) == made
    assert counts(project)["student"] == (0, 8 * N)
    for name in ("teacher", "student"):
        project.models[name] = recorded(f"exported/sums.{name}", role=name)
    project.save()
    run(*REPORTS).assert_outcomes(passed=1)
    (again,) = project.json()["comparisons"]
    assert again["scores"] == row["scores"]


def test_another_number_of_samples_is_exported_again(project: Project, run: Run) -> None:
    """Predictions for eight samples are none for four."""
    use_samples(project)
    for name in ("teacher", "student"):
        project.models[name]["path"] = f"models/{name}"
        project.file(f"models/{name}/weights", name)
    project.save()
    run().assert_outcomes(passed=1)
    store("export", "exported")
    (project.path / "models").rename(project.path / "moved")
    run("--distill-predictions", "exported").assert_outcomes(passed=1)
    project.evals["sums"]["repeats"] = 4
    project.save()
    assert "8 rows for example 'q0', and eval 'sums' asks for 4" in said(
        run("--distill-predictions", "exported")
    )


def test_a_lost_example_shows_how_many_samples_were_right(project: Project, run: Run) -> None:
    """The first answer stands for all of them; by pass@2 it is the samples that are counted."""
    use_recorded(project, TEACHER, STUDENT)
    project.evals["sums"]["metrics"] = ["exact_match", {"pass_at": 2, "of": "exact_match"}]
    project.save()
    write_gates(
        project,
        head=GATES,
        keeps="assert_quality_retained(min=0.99)",
        passes="assert_quality_retained(min=0.99, metric='pass@2')",
    )
    result = run(*REPORTS)
    result.assert_outcomes(failed=2)
    assert "eval sums, n = 6, 4 samples of each" in " ".join(said(result).split())
    files = [line.split()[-1] for line in result.outlines if "lost examples: " in line]
    for file in files[:2]:
        rows = [json.loads(r) for r in (project.path / file).read_text().splitlines()]
        (row,) = [row for row in rows if row["id"] == "q1"]
        assert (row["teacher"]["answer"], row["teacher"]["right"]) == ("a", 4)
        assert (row["student"]["right"], row["student"]["samples"]) == (2, 4)


def test_right_is_counted_exactly(project: Project, run: Run) -> None:
    """10 of 24 beside 17 of 24, and a floor of just that is met."""
    use_recorded(project, TEACHER, STUDENT)
    write_gates(
        project,
        head="from fractions import Fraction\n" + GATES,
        keeps="assert_quality_retained(min=Fraction(10, 17))",
        flips="assert_flips(max_lost=Fraction(3, 6))",
    )
    run(*REPORTS).assert_outcomes(passed=2)
    row = gates_of(project)["flips"]
    assert (row["lost"], row["won"], row["n"]) == (3, 1, N)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("assert_inherited_errors(max=0.5)", "eval 'sums' has repeats: which wrong answers"),
        ("assert_errors(max_ratio=2)", "an example of 4 samples has a share of 1 as its score"),
    ],
)
def test_gates_on_single_answers_say_so(
    project: Project, run: Run, gate: str, message: str
) -> None:
    """They have no number for a share of right samples."""
    use_recorded(project, TEACHER, STUDENT)
    write_gates(project, head=GATES, asks=gate)
    assert message in said(run())


def test_errors_may_be_counted_by_a_vote(project: Project, run: Run) -> None:
    """Its scores are 0 or 1 where no vote is tied."""
    use_recorded(project, TEACHER, ["aaaa", "abba", "bbaa", "bbbb", "bbbb", "bbba"])
    project.evals["sums"]["metrics"] = [{"majority": 3, "of": "exact_match"}]
    project.save()
    write_gates(project, head=GATES, asks="assert_errors(max_ratio=3)")
    run(*REPORTS)
    row = gates_of(project)["asks"]
    assert (row["observed"], row["outcome"]) == (5.0, "FAILED")


def test_confidences_are_means_over_the_samples(project: Project, run: Run) -> None:
    """Of each sample's own log-likelihood a token."""
    use_recorded(project, TEACHER, STUDENT)
    rows = rows_of(STUDENT)
    for row in rows:
        row |= {"loglikelihoods": -float(row["repeat"]), "tokens": 2}
    project.rows("student.jsonl", rows)
    project.file(
        "test_ship.py",
        """
        from pytest_distill.comparison.confidences import confidences

        def test_it(comparison):
            found = confidences(comparison.evaluation("student"), "mean_log_probability")
            assert found.tolist() == [-(0 + 1 + 2 + 3) / 2 / 4] * 6
        """,
    )
    run().assert_outcomes(passed=1)


def test_models_are_identical_where_all_samples_are(project: Project, run: Run) -> None:
    """The same first sample is no doubt; the same of all of them is."""
    use_recorded(project, TEACHER, TEACHER)
    write_gates(project, head=GATES, keeps="assert_quality_retained(min=0.1)")
    assert "gave identical answers to every example" in " ".join(said(run(*REPORTS)).split())
    use_recorded(project, TEACHER, [text[:3] + "d" for text in TEACHER])
    assert "identical answers" not in " ".join(said(run(*REPORTS)).split())


def test_a_baseline_keeps_means_and_sums(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run with repeats is held against an accepted one, by a mean and by a corpus metric."""
    use_recorded(project, TEACHER, STUDENT)
    project.evals["sums"]["metrics"] = ["exact_match", "chrf"]
    project.save()
    write_gates(project, head=GATES, keeps="assert_quality_retained(min=0.1)")
    assert run(*REPORTS).ret == 0
    assert main(["baseline", "save", "out.json"]) == 0
    capsys.readouterr()
    project.config["baseline"] = "baseline.json"
    project.save()
    write_gates(
        project,
        head=GATES,
        mean="assert_not_worse(max_drop=0)",
        corpus="assert_not_worse(max_drop=0, metric='chrf')",
    )
    run(*REPORTS).assert_outcomes(passed=2)
    project.rows("student.jsonl", rows_of(["bbbb", *STUDENT[1:]], loglikelihoods=-2.0, tokens=2))
    run(*REPORTS).assert_outcomes(failed=2)


def test_metrics_of_a_users_work_as_they_are(project: Project, run: Run) -> None:
    """A function sees one answer at a time, and its mean over the samples is the score."""
    own = """
    from pytest_distill import MeanMetric

    def starts(answer):
        assert answer.samples == ()
        return 1.0 if answer.predicted in "ab" else 0.0

    OWN = MeanMetric("own", starts)
    """
    project.file("mine.py", own)
    project.file("pytest.ini", "[pytest]\npythonpath = .\n")
    use_recorded(project, TEACHER, STUDENT)
    metrics = ["mine.OWN", {"majority": 4, "of": "mine.OWN"}, {"pass_at": 4, "of": "mine.OWN"}]
    project.evals["sums"]["metrics"] = metrics
    project.save()
    write_gates(project, head=GATES, keeps="assert_quality_retained(min=0.1)")
    run(*REPORTS).assert_outcomes(passed=1)
    scores = {row["metric"]: row["scores"] for row in project.json()["comparisons"]}
    assert scores["own"] == {"teacher": 23 / 24, "student": 1.0}
    assert scores["pass@4"] == {"teacher": 1.0, "student": 1.0}
