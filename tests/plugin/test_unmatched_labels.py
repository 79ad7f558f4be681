"""Labels that can never match: an error with those of both sides, and how to map them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

# pytester drops the modules that are first imported in a test.
import datasets
import pytest
import torch
import torch._dynamo  # comes by itself when a first model is made
import transformers

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
    refuse_package_frames,
    review_eval,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEEPS = "assert_quality_retained(0.5)"
HF: Any = transformers  # published with types that mypy strict does not pass
MODEL = HF.BertForSequenceClassification, HF.BertConfig  # imported here, for the same reason


def _write(project: Project, of_gold: Any, of_models: Any) -> None:
    """Write gold set and predictions with other labels: each a pair for (pos, neg)."""
    named = dict(zip(LABELS, of_gold, strict=True))
    project.rows("gold.jsonl", [{**row, "label": named[row["label"]]} for row in gold()])
    said = dict(zip(LABELS, of_models, strict=True))
    for name, right in (("teacher", range(18)), ("student", range(3, 20))):
        rows = [{**row, "prediction": said[row["prediction"]]} for row in answers(right)]
        project.rows(f"{name}.jsonl", rows)


def _told(project: Project, run: Run) -> str:
    """Return what the gate is told; the report stands, and is no SHIP."""
    write_gates(project, it=KEEPS)
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "the report could not be made" not in said(result)
    assert outcomes_of(project) == {"it": "NOT RUN"}
    refuse_package_frames(result)
    return next(line for line in failing_lines(result) if "labels" in line)


@pytest.mark.parametrize(
    ("of_gold", "of_models", "mapping"),
    [
        ((True, False), ("true", "false"), "{'false': 'False', 'true': 'True'}"),
        (("true", "false"), (True, False), "{'False': 'false', 'True': 'true'}"),
        ((1, 0), ("pos", "neg"), "{'neg': THE GOLD LABEL, 'pos': THE GOLD LABEL}"),
        (("pos", "neg"), (1, 0), "{'0': THE GOLD LABEL, '1': THE GOLD LABEL}"),
        ((1, 0), ("1.0", "0.0"), "{'0.0': '0', '1.0': '1'}"),
        (("pos", "neg"), (" pos", " neg"), "{' neg': 'neg', ' pos': 'pos'}"),
        (("pos", "neg"), ("POS", "NEG"), "{'NEG': 'neg', 'POS': 'pos'}"),
        ((1, 0), ("LABEL_1", "LABEL_0"), "{'LABEL_0': THE GOLD LABEL, 'LABEL_1': THE GOLD LABEL}"),
        ((1, 0), (True, False), "{'False': THE GOLD LABEL, 'True': THE GOLD LABEL}"),
        (("pos", "neg"), ("pos\u200b", "neg\u200b"), "{'neg\\u200b': THE GOLD LABEL, "),
    ],
)
def test_labels_of_another_kind_are_told_with_those_of_the_gold_set(
    project: Project, run: Run, of_gold: Any, of_models: Any, mapping: str
) -> None:
    """Booleans, numbers, blanks, case: none of them is a score of 0."""
    _write(project, of_gold, of_models)
    told = _told(project, run)
    assert "teacher.jsonl: gold.jsonl:" in told
    for label in map(str, of_gold):
        assert f"{label!r} (10)" in told
    assert f"map them in the eval: 'labels: {mapping}" in told


def test_the_mapping_that_is_told_is_enough(project: Project, run: Run) -> None:
    """Written into the eval, the labels match."""
    _write(project, (True, False), ("true", "false"))
    project.evals["reviews"]["labels"] = {"false": "False", "true": "True"}
    project.save()
    write_gates(project, it="assert_score(0.9, model='teacher')")
    run(*REPORTS)
    assert gates_of(project)["it"]["observed"] == 0.9


@pytest.mark.parametrize("prediction", [None, 1.0])
def test_a_label_that_is_none_is_an_error(project: Project, run: Run, prediction: Any) -> None:
    """A missing label and a number that is not whole are not compared at all."""
    _write(project, (1, 0), (prediction, 0))
    write_gates(project, it=KEEPS)
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    where = re.compile(r"EvaluationError: (teacher|student)\.jsonl")  # both have them
    assert any(where.search(line) for line in failing_lines(result))


@pytest.mark.parametrize(("of_gold", "of_models"), [((1, 0), ("1", "0")), (("é", "e"),) * 2])
def test_labels_that_are_written_alike_match(
    project: Project, run: Run, of_gold: Any, of_models: Any
) -> None:
    """A number and its digits, and an accent however it is encoded."""
    told = [label.replace("é", "e\u0301") for label in of_models]
    _write(project, of_gold, told)
    write_gates(project, it="assert_score(0.9, model='teacher')")
    run(*REPORTS)
    assert gates_of(project)["it"]["observed"] == 0.9


def _folder(path: Path, rows: datasets.Dataset) -> str:
    rows.save_to_disk(path / "gold")
    return "gold"


def _parquet(path: Path, rows: datasets.Dataset) -> str:
    rows.to_parquet(path / "gold.parquet")
    return "gold.parquet"


@pytest.mark.parametrize("write", [_folder, _parquet])
def test_the_names_of_a_class_label_are_told(
    project: Project, run: Run, write: Callable[[Path, datasets.Dataset], str]
) -> None:
    """A data set keeps numbers in its rows and says what they are called: that is the mapping."""
    names = ["neg", "pos"]
    rows = [{**row, "label": names.index(row["label"])} for row in gold()]
    features = datasets.Features(
        dict.fromkeys(("id", "text", "lang"), datasets.Value("string"))
        | {"label": datasets.ClassLabel(names=names)}
    )
    made = datasets.Dataset.from_list(rows, features=features)
    project.evals["reviews"] = review_eval(data=write(project.path, made))
    project.save()
    told = _told(project, run)
    assert "the gold labels: '0' (10, named 'neg'), '1' (10, named 'pos')" in told
    assert "'labels: {'neg': '0', 'pos': '1'}'" in told
    project.evals["reviews"]["labels"] = {"neg": "0", "pos": "1"}
    project.save()
    write_gates(project, it="assert_score(0.9, model='teacher')")
    run(*REPORTS)
    assert gates_of(project)["it"]["observed"] == 0.9


def test_a_classifier_whose_outputs_are_other_labels_is_told_all_of_both(
    project: Project, run: Run
) -> None:
    """Its ``id2label`` and the gold labels."""
    config = HF.BertConfig(
        vocab_size=32,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    torch.manual_seed(0)
    HF.BertForSequenceClassification(config).save_pretrained(project.path / "tiny")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "text"]
    project.file("tiny/vocab.txt", "\n".join(words))
    project.models["teacher"] = {"role": "teacher", "path": "tiny", "device": "cpu"}
    project.save()
    told = _told(project, run)
    assert "none of the model's labels (LABEL_0, LABEL_1); set labels: in the eval" in told
    assert told.endswith("; the gold labels: 'neg' (10), 'pos' (10)")


def test_probabilities_of_other_labels_are_told_with_all_gold_labels(
    project: Project, run: Run
) -> None:
    """Recorded ones too."""
    _write(project, (1, 0), (1, 0))
    rows = [{"id": row["id"], "probabilities": {"neg": 0.4, "pos": 0.6}} for row in gold()]
    project.rows("teacher.jsonl", rows)
    told = _told(project, run)
    assert "none of the model's labels (neg, pos)" in told
    assert told.endswith("; the gold labels: '0' (10), '1' (10)")
