"""A floor that is met exactly is met, by every gate; what is a last digit below it is not."""

from __future__ import annotations

from typing import Any

import pytest

from .project import Project, Run, gates_of, outcomes_of, review_eval, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")

# Sums of twelve: 8.04 of the teacher, 7.638 = .95 * 8.04 of the student, 7.518 of the SFT student;
# of every second one in the same ratio. A correctly rounded sum of the student's floats is below
# .95 of the teacher's, and its gain over SFT above .01.
TEACHER = (0.765, 0.725, 0.635, 0.765, 0.56, 0.675, 0.525, 0.745, 0.655, 0.63, 0.6, 0.76)
STUDENT = (0.61, 0.87, 0.905, 0.855, 0.5, 0.61, 0.455, 0.6, 0.48, 0.665, 0.603, 0.485)
SFT = (0.6, 0.86, 0.895, 0.845, 0.49, 0.6, 0.445, 0.59, 0.47, 0.655, 0.593, 0.475)
FIELDS = ("de", "en") * 6


def judged(project: Project, scale: float = 1, **changed: tuple[float, ...]) -> None:
    """Write two evals with a judge's ready scores of all three models, the same on both."""
    rows = [
        {"id": f"e{i}", "text": f"text {i}", "label": "pos", "lang": lang}
        for i, lang in enumerate(FIELDS)
    ]
    project.rows("gold.jsonl", rows)
    known = {"teacher": TEACHER, "student": STUDENT, "sft": SFT} | changed
    for name, scores in known.items():
        project.rows(
            f"{name}.jsonl",
            (
                {
                    "id": f"e{i}",
                    "scores": {"judge": round(score * scale, 4)},
                    "probabilities": {"pos": 0.6 + i / 100, "neg": 0.4 - i / 100},
                }
                for i, score in enumerate(scores)
            ),
        )
    metric: dict[str, Any] = {"name": "judge", "range": [0, scale]}
    project.config["evals"] = {
        name: review_eval(metrics=[dict(metric)]) for name in ("reviews", "others")
    }
    project.save()


GATES = {
    "kept": "assert_quality_retained(0.95, confidence=None)",
    "score": "assert_score(min={score})",
    "pays": "assert_beats_sft(min_gain={gain}, confidence=None)",
    "ratio": "assert_suite_retained(0.95)",
    "average": "assert_suite_retained(0.95, aggregate='average_of_ratios')",
    "geometric": "assert_suite_retained(0.95, aggregate='geometric')",
    "minimum": "assert_suite_retained(0.95, aggregate='minimum')",
}


@pytest.mark.parametrize(("scale", "score", "gain"), [(1, 0.6365, 0.01), (100, 63.65, 1.0)])
def test_a_judge_s_grades_meet_the_floor_exactly(
    project: Project, run: Run, scale: int, score: float, gain: float
) -> None:
    """As fractions of one or in per cent; a gain that equals `min_gain` does not beat it."""
    judged(project, scale)
    gates = {k: v.format(score=score, gain=gain) for k, v in GATES.items()}
    write_gates(project, **gates)
    run(*REPORTS)
    rows = gates_of(project)
    assert {name: row["outcome"] for name, row in rows.items()} == {
        **dict.fromkeys(GATES, "PASSED"),
        "pays": "FAILED",
    }
    assert rows["kept"]["observed"] == rows["geometric"]["observed"] == 0.95
    assert rows["pays"]["observed"] == gain


def test_a_hundredth_less_is_below_the_floor(project: Project, run: Run) -> None:
    """The same gates fail, and a gain of a hundredth less than the SFT student lost beats it."""
    judged(project, student=(0.6, *STUDENT[1:]), sft=(0.58, *SFT[1:]))
    gates = {k: v.format(score=0.6365, gain=0.01) for k, v in GATES.items()}
    write_gates(project, **gates)
    run(*REPORTS)
    assert outcomes_of(project) == {**dict.fromkeys(GATES, "FAILED"), "pays": "PASSED"}


def test_slices_are_as_exact(project: Project, run: Run) -> None:
    """Each slice meets the floor exactly."""
    judged(project)
    write_gates(
        project,
        it="assert_slices_retained(0.95, by='lang', min_examples=1, confidence=None)",
        less="assert_slices_retained(0.9501, by='lang', min_examples=1, confidence=None)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED", "less": "FAILED"}


def test_the_deferral_curve_is_as_exact(project: Project, run: Run) -> None:
    """The pair that sends everything to the student has its score and its ratio, to the digit."""
    judged(project)
    write_gates(project, it="assert_routable(min_handled=0.5, retained=0.95)")
    run(*REPORTS)
    last = max(gates_of(project)["it"]["details"]["curve"], key=lambda point: point["handled"])
    assert (last["handled"], last["score"], last["retained"]) == (1.0, 0.6365, 0.95)


def test_a_geometric_mean_may_meet_the_floor_exactly(project: Project, run: Run) -> None:
    """0.9 and 1.0027777... have it at 0.95: what is compared is their product with its square."""
    project.config = {
        "models": {
            role: {
                "engine": "reported",
                "scores": {"one": {"judge": one}, "two": {"judge": two}},
            }
            # 0.9 * (0.9025 / 0.9) = 0.95 ** 2
            for role, one, two in (("teacher", 0.8, 0.9), ("student", 0.72, 0.9025))
        },
        "evals": {name: {"metrics": [{"name": "judge"}]} for name in ("one", "two")},
    }
    project.save()
    head = "from pytest_distill import *\nimport pytest\npytestmark = pytest.mark.distill\n"
    gate = "assert_suite_retained({}, aggregate='geometric')"
    write_gates(project, head=head, it=gate.format(0.95), more=gate.format(0.9500000000000001))
    run(*REPORTS)
    rows = gates_of(project)
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "it": "PASSED",
        "more": "FAILED",
    }
    assert rows["it"]["observed"] == 0.95


@pytest.mark.parametrize(("name", "passes"), [("0.95", True), ("0.9499999999999999", False)])
def test_a_corpus_metric_of_one_s_own_means_what_it_prints_as(
    project: Project, run: Run, name: str, passes: bool
) -> None:
    """Its 0.95 meets a floor of 0.95, though the float is a little less than that."""
    project.file(
        "mine.py",
        f"""
        import numpy as np

        class Mine:
            name, higher_is_better, range = "mine", True, (0.0, 1.0)

            def scores(self, answers): return np.array([float(a.correct) for a in answers])

            def statistics(self, answers):
                scores = self.scores(answers)
                return np.column_stack([scores, np.ones_like(scores)])

            def aggregate(self, totals):
                share = totals[..., 0] / totals[..., 1]
                return np.where(share == 1, 1.0, {name})

        MINE = Mine()
        """,
    )
    project.evals["reviews"] = review_eval(metrics=["mine:MINE"])
    project.rows(
        "teacher.jsonl", [{"id": f"e{i}", "prediction": ("pos", "neg")[i % 2]} for i in range(20)]
    )
    project.save()
    write_gates(project, it="assert_score(min=0.95)", kept="assert_quality_retained(0.95)")
    run(*REPORTS)
    outcome = "PASSED" if passes else "FAILED"
    assert outcomes_of(project) == {"it": outcome, "kept": outcome}


def test_macro_f1_meets_a_floor_exactly(project: Project, run: Run) -> None:
    """It is a fraction of counts: of these it is 3/5, of which the float is a little less."""
    gold, said = "abcabcabcabcabc", "cbccacabbaababc"
    project.rows(
        "gold.jsonl", [{"id": f"e{i}", "text": f"t{i}", "label": g} for i, g in enumerate(gold)]
    )
    for name, words in (("teacher", gold), ("student", said)):
        project.rows(
            f"{name}.jsonl", [{"id": f"e{i}", "prediction": w} for i, w in enumerate(words)]
        )
    del project.models["sft"]
    project.evals["reviews"] = review_eval(metrics=["macro_f1"], slices=None)
    project.save()
    write_gates(
        project,
        it="assert_quality_retained(0.6)",
        more="assert_quality_retained(0.6001)",
        score="assert_score(min=0.6)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED", "more": "FAILED", "score": "PASSED"}
