from __future__ import annotations

from typing import Any

import pytest

from .project import (
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    refuse_package_frames,
    review_eval,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
NAMES = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")

# transformers, examples/research_projects/distillation/README.md: the dev sets of GLUE.
BERT = (56.3, 84.7, 88.6, 91.8, 89.6, 69.3, 92.7, 89.0, 53.5)
DISTILBERT = (51.3, 82.1, 87.5, 89.2, 88.5, 59.9, 91.3, 86.9, 56.3)
# The same README's multitask table; the order of the columns is its own, WNLI last.
ROBERTA = (63.6, 87.6, 90.2, 92.8, 91.9, 78.7, 94.8, 91.2, 57.7)
DISTILROBERTA = (59.3, 84.0, 86.6, 90.8, 89.4, 67.9, 92.5, 88.3, 52.1)
# Jiao et al. (2020), TinyBERT, table 1; its columns stand in another order, CoLA sixth.
TINY_TEACHER = (83.9, 83.4, 71.1, 90.9, 93.4, 52.8, 85.2, 87.5, 67.0)
TINYBERT = (82.5, 81.8, 71.3, 87.7, 92.6, 44.1, 80.4, 86.4, 66.6)

HEAD = """
import pytest
from pytest_distill import assert_suite_retained

pytestmark = pytest.mark.distill
"""


def glue(project: Project, teacher: tuple[float, ...], student: tuple[float, ...]) -> None:
    """Write a published table as reported scores in per cent."""
    metric = {"name": "glue", "range": [0.0, 100.0]}
    project.config = {
        "models": {
            role: {
                "engine": "reported",
                "scores": {n: {"glue": v} for n, v in zip(NAMES, scores, strict=True)},
            }
            for role, scores in (("teacher", teacher), ("student", student))
        },
        "evals": {name: {"metrics": [dict(metric)]} for name in NAMES},
    }
    project.save()


def aggregates(project: Project, name: str) -> dict[str, float]:
    """Return the four aggregates of a gate from the JSON report."""
    found: dict[str, float] = gates_of(project)[name]["details"]["aggregates"]
    return found


@pytest.mark.parametrize(
    ("teacher", "student", "ratio_of_averages", "average_of_ratios"),
    [
        # By hand: 693.0 / 715.5 = 0.968553...; the mean of the nine ratios is 0.967285...
        (BERT, DISTILBERT, "0.9685", "0.9672"),
        (TINY_TEACHER, TINYBERT, "0.9695", "0.9648"),
    ],
    ids=["distilbert", "tinybert"],
)
def test_published_tables(
    project: Project,
    run: Run,
    teacher: tuple[float, ...],
    student: tuple[float, ...],
    ratio_of_averages: str,
    average_of_ratios: str,
) -> None:
    """Both aggregates come out as published (96.86/96.73 and 96.95/96.48 when rounded)."""
    glue(project, teacher, student)
    write_gates(
        project,
        head=HEAD,
        ratio="assert_suite_retained(0.99)",
        average="assert_suite_retained(0.99, aggregate='average_of_ratios')",
    )
    lines = failing_lines(run(*REPORTS))
    headlines = [line for line in lines if line.startswith("assert ")]
    assert headlines == [
        f"assert {ratio_of_averages} >= 0.99 retained over 9 evals (ratio_of_averages)",
        f"assert {average_of_ratios} >= 0.99 retained over 9 evals (average_of_ratios)",
    ]
    found = aggregates(project, "ratio")
    ratios = [s / t for t, s in zip(teacher, student, strict=True)]
    assert found["ratio_of_averages"] == pytest.approx(sum(student) / sum(teacher), abs=1e-12)
    assert found["average_of_ratios"] == pytest.approx(sum(ratios) / 9, abs=1e-12)
    assert found["minimum"] == pytest.approx(min(ratios), abs=1e-12)
    assert found["minimum"] < found["geometric"] < found["average_of_ratios"]


def test_distilbert_without_wnli(project: Project, run: Run) -> None:
    """Over eight tasks the published numbers are 96.18 and 95.66."""
    glue(project, BERT, DISTILBERT)
    write_gates(project, head=HEAD, it=f"assert_suite_retained(0.9, evals={list(NAMES[:-1])})")
    run(*REPORTS)
    found = aggregates(project, "it")
    assert round(found["ratio_of_averages"], 4) == 0.9618
    assert round(found["average_of_ratios"], 4) == 0.9566


def test_all_four_stand_in_message_and_report(project: Project, run_both: Run) -> None:
    """Passed or failed, whichever decides, ratio, average, geometric and minimum are shown."""
    glue(project, BERT, DISTILBERT)
    write_gates(
        project,
        head=HEAD,
        passes="assert_suite_retained(0.8, aggregate='minimum')",
        fails="assert_suite_retained(0.99, aggregate='geometric')",
    )
    result = run_both(*REPORTS)
    assert outcomes_of(project) == {"passes": "PASSED", "fails": "FAILED"}
    shown = blocks_of(result)
    for name in ("ratio_of_averages", "average_of_ratios", "geometric", "minimum"):
        assert any(f"{name} 0." in " ".join(line.split()) for line in shown), name
        assert any(f"{name} 0." in line for line in failing_lines(result))


def test_the_message_lists_the_evals_worst_first(project: Project, run: Run) -> None:
    """Both scores and the ratio of each: RTE 59.9 / 69.3 = 0.8643 leads."""
    glue(project, BERT, DISTILBERT)
    write_gates(project, head=HEAD, it="assert_suite_retained(0.99)")
    message = failing_lines(run())
    start = message.index("eval (teacher, student, retained):")
    listed = [line.split() for line in message[start + 1 : start + 10]]
    assert listed[0][0] == "rte"
    assert listed[0][-1] == "0.8643"
    assert [row[-1] for row in listed] == sorted(row[-1] for row in listed)


def test_distilroberta_hangs_on_wnli(project: Project, run: Run) -> None:
    """At 0.95 the verdict is another with WNLI in or out, and the gate says so."""
    glue(project, ROBERTA, DISTILROBERTA)
    write_gates(
        project,
        head=HEAD,
        whole="assert_suite_retained(0.95)",
        without=f"assert_suite_retained(0.95, evals={list(NAMES[:-1])})",
    )
    result = run(*REPORTS)
    # 710.9 / 748.5 = 0.94976; without WNLI 658.8 / 690.8 = 0.95367.
    assert outcomes_of(project) == {"whole": "FAILED", "without": "PASSED"}
    assert "wnli (without it 0.9536)" in " ".join(gates_of(project)["whole"]["notes"])
    assert "the verdict hinges on" in blocks_of(result)[0]
    assert "the verdict hinges on" in said(result)


def test_says_when_the_choice_of_aggregate_decides(project: Project, run: Run) -> None:
    """TinyBERT at 0.966 passes by the ratio of averages and fails by the average of ratios."""
    glue(project, TINY_TEACHER, TINYBERT)
    write_gates(project, head=HEAD, it="assert_suite_retained(0.966)")
    result = run(*REPORTS)
    note = next(n for n in gates_of(project)["it"]["notes"] if "depends on the aggregate" in n)
    assert "passes by ratio_of_averages" in note
    assert "average_of_ratios" in note.partition("fails by ")[2]
    assert "the verdict depends on the aggregate" in blocks_of(result)[0]


def test_takes_measured_evals(project: Project, run: Run) -> None:
    """Evals with gold sets count by their headline metric: (0.85 + 0.7) / (0.9 + 1.0)."""
    project.evals["german"] = review_eval(data="german.jsonl", metrics=["accuracy"])
    project.save()
    rows = (project.path / "gold.jsonl").read_text().splitlines()[:10]
    project.file("german.jsonl", "\n".join(rows) + "\n")
    for name, right in (("teacher", range(18)), ("student", range(3, 20)), ("sft", range(20))):
        project.rows(f"{name}-de.jsonl", answers(right, 10))
        files = {"reviews": f"{name}.jsonl", "german": f"{name}-de.jsonl"}
        project.models[name]["predictions"] = files
    project.save()
    write_gates(project, head=HEAD, it="assert_suite_retained(0.9)")
    run(*REPORTS)
    found = aggregates(project, "it")
    assert found["ratio_of_averages"] == pytest.approx(1.55 / 1.9, abs=1e-12)
    assert found["minimum"] == pytest.approx(0.7, abs=1e-12)


def test_different_directions_have_no_average(project: Project, run: Run) -> None:
    """A loss and an accuracy cannot be averaged; the mean of the ratios can be taken."""
    for name, loss in (("teacher", 0.2), ("student", 0.25)):
        project.models[name] = {
            "engine": "reported",
            "scores": {"reviews": {"accuracy": 0.9}, "speech": {"wer": loss}},
        }
    del project.models["sft"]
    wer = {"name": "wer", "higher_is_better": False, "range": [0.0, 10.0]}
    project.config["evals"] = {"reviews": None, "speech": {"metrics": [wer]}}
    project.save()
    write_gates(
        project,
        head=HEAD,
        average="assert_suite_retained(0.9)",
        ratios="assert_suite_retained(0.9, aggregate='average_of_ratios')",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {"average": "NOT RUN", "ratios": "PASSED"}
    assert "different directions or scales" in said(result)
    assert aggregates(project, "ratios")["average_of_ratios"] == pytest.approx(0.9, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("0.9, evals=[]", "name at least one eval"),
        ("0.9, evals=['rtee']", "did you mean 'rte'?"),
        ("0.9, evals='rte'", "evals"),
        ("0.9, evals=['rte', 'rte']", "rte"),
        ("0.9, aggregate='mean'", "aggregate='mean'"),
        ("0.9, aggregate=3", "aggregate=3"),
        ("float('nan')", "min=nan"),
        ("0", "min=0"),
    ],
)
def test_a_wrong_argument_is_an_error(
    project: Project, run: Run, arguments: str, message: str
) -> None:
    """No verdict, a name and a suggestion, no frame of the package."""
    glue(project, BERT, DISTILBERT)
    write_gates(project, head=HEAD, it=f"assert_suite_retained({arguments})")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    last = failing_lines(result)[-1]
    assert last.startswith("pytest_distill.ConfigError: ")
    assert message in last
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_a_marker_s_metric_is_not_meant_for_all(project: Project, run: Run) -> None:
    """Each eval keeps its headline metric, whatever the marker of the test says."""
    project.evals["second"] = review_eval(metrics=["macro_f1"])
    project.save()
    marker: Any = "@pytest.mark.distill(eval='reviews', metric='matthews')\n"
    write_gates(project, head=HEAD, it=f"{marker}assert_suite_retained(0.5)")
    run(*REPORTS).assert_outcomes(passed=1)
    assert aggregates(project, "it")["minimum"] == pytest.approx(0.94402, abs=1e-4)
