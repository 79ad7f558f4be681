"""Predicted labels: that they are classes, agree with their probabilities, and how ties go."""

from __future__ import annotations

from typing import Any

import pytest

from .project import (
    LABELS,
    Project,
    Run,
    answers,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEEPS = "assert_quality_retained(0.9)"


@pytest.mark.parametrize("wrong", ["Pos", " pos", "LABEL_0", "positive"])
@pytest.mark.parametrize("limit", [(), ("--distill-limit", "6")])
def test_a_predicted_label_that_is_no_class_is_an_error(
    project: Project, run: Run, wrong: str, limit: tuple[str, ...]
) -> None:
    """Recorded under another name it would only count as wrong, and the student look the better."""
    rows = answers(range(18))
    named = [{**row, "prediction": wrong} if row["prediction"] == "pos" else row for row in rows]
    project.rows("teacher.jsonl", named)
    write_gates(project, it=KEEPS)
    result = run(*REPORTS, *limit)
    (line,) = [x for x in failing_lines(result) if "predicted labels that no gold" in x]
    assert "teacher.jsonl: gold.jsonl:" in line
    assert f"{wrong!r} (" in line
    meant = "'pos'" if wrong.strip().lower() == "pos" else "THE GOLD LABEL"
    assert f"'labels: {{{wrong!r}: {meant}}}'" in line
    assert decision_of(result)[0] == "INCOMPLETE"


def test_engines_are_held_to_the_classes_too(project: Project, run: Run) -> None:
    """Whatever the predictions come from."""
    project.use_own_engine()
    engine = (project.path / "own.py").read_text().replace('("pos", "neg")', '("Pos", "neg")')
    project.file("own.py", engine)
    write_gates(project, it=KEEPS)
    assert any("'Pos' (" in line for line in failing_lines(run(*REPORTS)))


@pytest.mark.parametrize(
    "labels",
    [{"Pos": "pos"}, ["neg", "pos", "Pos"]],
    ids=["mapped", "listed"],
)
def test_labels_says_that_it_is_a_class(project: Project, run: Run, labels: Any) -> None:
    """The line that the error prints is enough: mapped it counts, listed it is wrong."""
    named = [
        {**row, "prediction": row["prediction"].replace("pos", "Pos")} for row in answers(range(18))
    ]
    project.rows("teacher.jsonl", named)
    project.evals["reviews"]["labels"] = labels
    project.save()
    score = 0.9 if isinstance(labels, dict) else 0.45
    write_gates(project, it=f"assert_score({score}, model='teacher')")
    run(*REPORTS)
    assert gates_of(project)["it"]["observed"] == score
    assert outcomes_of(project) == {"it": "PASSED"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"a": 0, "b": "pos"}, "evals.reviews.labels: maps names to output numbers, or names to"),
        ("pos", "evals.reviews.labels: must be a mapping or a list of names, not 'pos'"),
        (["pos", "pos"], "evals.reviews.labels: 'pos' is given twice"),
    ],
)
def test_a_form_of_labels_that_is_none_is_told_with_its_line(
    project: Project, run: Run, labels: Any, message: str
) -> None:
    """Before any file is read."""
    project.evals["reviews"]["labels"] = labels
    project.save()
    write_gates(project, it=KEEPS)
    printed = said(run())
    assert "distill.yaml:" in printed
    assert message in printed


@pytest.mark.parametrize(
    ("written", "where", "word", "value"),
    [
        ("[yes, no]", "labels[0]", "yes", "true"),
        ("[a, Off]", "labels[1]", "Off", "false"),
        ("{yes: 0, a: 1}", "labels.yes", "yes", "true"),
        ("{LABEL_0: no, LABEL_1: pos}", "labels.LABEL_0", "no", "false"),
        ("NO", "labels", "NO", "false"),
    ],
)
def test_a_yes_or_no_without_quotes_is_an_error(
    project: Project, run: Run, written: str, where: str, word: str, value: str
) -> None:
    """YAML reads another thing than was written, and the class would be 'True'."""
    project.evals["reviews"]["labels"] = "HERE"
    project.save()
    config = project.path / "distill.yaml"
    config.write_text(config.read_text().replace("HERE", written))
    write_gates(project, it=KEEPS)
    printed = said(run())
    assert f"evals.reviews.{where}: write '{word}' in quotes: YAML reads it as {value}" in (
        " ".join(printed.split())
    )


def test_a_yes_that_is_merged_in_is_found_too(project: Project, run: Run) -> None:
    """An eval may take its labels from an anchor."""
    project.evals["reviews"]["labels"] = "HERE"
    project.save()
    config = project.path / "distill.yaml"
    text = config.read_text().replace("labels: HERE", "<<: {labels: [yes, no]}")
    assert "<<: {" in text
    config.write_text(text)
    write_gates(project, it=KEEPS)
    assert "labels[0]: write 'yes' in quotes" in " ".join(said(run()).split())


def test_a_yes_in_quotes_and_a_true_are_labels(project: Project, run: Run) -> None:
    """Quoted names are text, and true is what JSON has too."""
    words = {"pos": True, "neg": "no"}
    for file in ("gold.jsonl", "teacher.jsonl", "student.jsonl"):
        rows = gold() if file == "gold.jsonl" else answers(range(18))
        key = "label" if file == "gold.jsonl" else "prediction"
        project.rows(file, [{**row, key: words[row[key]]} for row in rows])
    project.evals["reviews"]["labels"] = "HERE"
    project.save()
    config = project.path / "distill.yaml"
    config.write_text(config.read_text().replace("HERE", "[true, 'no']"))
    write_gates(project, it="assert_score(0.9)")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}


def test_a_name_that_is_mapped_to_no_gold_label_is_an_error(project: Project, run: Run) -> None:
    """A slip in the eval's labels would make the teacher look the worse."""
    names = {"neg": "LABEL_0", "pos": "LABEL_1"}
    named = [{**row, "prediction": names[row["prediction"]]} for row in answers(range(18))]
    project.rows("teacher.jsonl", named)
    project.evals["reviews"]["labels"] = {"LABEL_0": "Neg", "LABEL_1": "pos"}
    project.save()
    write_gates(project, it=KEEPS)
    result = run(*REPORTS)
    told = "labels: maps 'LABEL_0' to 'Neg', which no gold example has; did you mean 'neg'?"
    assert any(told in line for line in failing_lines(result))
    assert decision_of(result)[0] == "INCOMPLETE"


def test_a_label_that_contradicts_its_probabilities_is_an_error(project: Project, run: Run) -> None:
    """One of the two is wrong, and nobody can tell which; the row is named."""
    rows = [
        {
            **row,
            "probabilities": {
                label: 0.9 if label == row["prediction"] else 0.1 for label in LABELS
            },
        }
        for row in answers(range(18))
    ]
    rows[4]["prediction"] = "neg"
    project.rows("teacher.jsonl", rows)
    write_gates(project, it=KEEPS)
    (line,) = [x for x in failing_lines(run(*REPORTS)) if "'prediction' is" in x]
    assert (
        "(id 'e4'): 'prediction' is 'neg', but 'probabilities' are greatest for 'pos' (0.9)" in line
    )


def test_equal_probabilities_do_not_go_to_whichever_comes_first(project: Project, run: Run) -> None:
    """A student that knows nothing named the gold label first in each row, and was always right."""
    rows = []
    for row in gold():
        names = [row["label"], *(label for label in LABELS if label != row["label"])]
        rows.append({"id": row["id"], "probabilities": dict.fromkeys(names, 0.5)})
    project.rows("student.jsonl", rows)
    write_gates(project, it="assert_score(0.9)")
    run(*REPORTS)
    row = gates_of(project)["it"]
    assert (row["outcome"], row["observed"]) == ("FAILED", 0.5)
    assert (
        "student: 20 of 20 answers are ties, which go to the first label in sorted order"
        in (row["notes"])
    )


@pytest.mark.parametrize(
    ("stated", "where"),
    [
        (20, "the 'prediction' beside them"),
        (5, "the 'prediction' beside them, else to the first label in sorted order"),
    ],
)
def test_ties_beside_a_prediction_are_counted_too(
    project: Project, run: Run, stated: int, where: str
) -> None:
    """A student that is sure of nothing is told, also where it names one of the equal labels."""
    rows = [
        {"id": row["id"], "probabilities": dict.fromkeys(LABELS, 0.5)}
        | ({"prediction": row["label"]} if i < stated else {})
        for i, row in enumerate(gold())
    ]
    project.rows("student.jsonl", rows)
    write_gates(project, it="assert_score(0.5)")
    run(*REPORTS)
    row = gates_of(project)["it"]
    assert f"student: 20 of 20 answers are ties, which go to {where}" in row["notes"]


def test_a_class_without_a_gold_example_is_told(project: Project, run: Run) -> None:
    """Macro-F1 is about the classes that occur: a declared one that does not is named."""
    project.evals["reviews"] |= {"labels": ["pos", "neg", "odd"], "metrics": ["macro_f1"]}
    project.save()
    write_gates(project, it="assert_quality_retained(0.5)")
    run(*REPORTS)
    (note,) = [n for n in gates_of(project)["it"]["notes"] if "rough" in n]
    assert "odd (0)" in note
