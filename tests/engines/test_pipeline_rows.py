"""What transformers' own pipelines give, recorded as it is and read as predictions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Classification, Generation, Task
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.recorded import RecordedModel

from .tiny import hf

NAMES = ("negative", "neutral", "positive")
TEXTS = {"a": "good", "b": "bad, bad", "c": "the early bird gets the worm"}

Rows = Sequence[dict[str, Any]]
Read = Callable[..., MeasuredEvaluation]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return what evaluates a recorded model on the three texts from the rows of a file."""

    def evaluate(
        rows: Rows, task: Task, kind: str = "jsonl", metric: str = "accuracy"
    ) -> MeasuredEvaluation:
        path = tmp_path / f"p.{kind}"
        if kind == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        elif kind == "json":
            path.write_text(json.dumps(rows, indent=1))
        elif kind == "csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, [*rows[0]])
                writer.writeheader()
                for row in rows:
                    listed = {k: json.dumps(v) for k, v in row.items() if isinstance(v, list)}
                    writer.writerow({**row, **listed})
        else:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows]), path)
        examples = tuple(
            Example(id, {"input": text, "target": name}, f"gold.jsonl:{i}")
            for i, ((id, text), name) in enumerate(zip(TEXTS.items(), NAMES, strict=True))
        )
        on = Eval("reviews", task, GoldSet("gold.jsonl", examples), (BUILT_IN[metric],))
        found = RecordedModel(ModelInfo("student", "student"), lambda _: path).evaluate(on)
        assert isinstance(found, MeasuredEvaluation)
        return found

    return evaluate


@pytest.fixture(scope="module")
def classify(classifier_folder: Path) -> Any:
    """Return a pipeline that classifies."""
    return hf.pipeline("text-classification", model=str(classifier_folder))


@pytest.fixture(scope="module")
def write(causal_folder: Path) -> Any:
    """Return a pipeline that writes a few tokens."""
    made = hf.pipeline("text-generation", model=str(causal_folder))
    return lambda asked, **keys: made(asked, max_new_tokens=5, **{"do_sample": False, **keys})


def distribution(prediction: Prediction) -> dict[str, float]:
    """Return label -> probability of a prediction that has them."""
    assert prediction.probabilities is not None
    assert prediction.labels is not None
    return dict(zip(prediction.labels, prediction.probabilities, strict=True))


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("field", ["output", "predictions", "scores", "prediction", "top_k"])
def test_scores_of_all_labels_are_probabilities(
    classify: Any, read: Read, field: str, kind: str
) -> None:
    """Under whatever field, in every kind of file; the text itself may stand beside them."""
    given = {id: classify(text, top_k=None) for id, text in TEXTS.items()}
    rows = [{"id": id, "text": TEXTS[id], field: scores} for id, scores in given.items()]
    found = read(rows, Classification(), kind)
    for prediction in found.predictions:
        scores = {each["label"]: each["score"] for each in given[prediction.id]}
        assert distribution(prediction) == pytest.approx(scores, abs=1e-12)
    likeliest = {id: scores[0]["label"] for id, scores in given.items()}
    assert [answer.predicted for answer in found.answers] == [*likeliest.values()]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize("how", ["own fields", "a list", "two of three"])
def test_a_part_of_the_scores_is_a_label_alone(
    classify: Any, read: Read, how: str, kind: str
) -> None:
    """The first score says nothing of the others: nobody may take it for a distribution."""
    given = {id: classify(text, top_k=2) for id, text in TEXTS.items()}
    rows: list[dict[str, Any]] = []
    for id, scores in given.items():
        part = {"own fields": scores[0], "a list": {"output": scores[:1]}}
        rows.append({"id": id, **part.get(how, {"output": scores})})
    found = read(rows, Classification(), kind)
    assert [p.prediction for p in found.predictions] == [s[0]["label"] for s in given.values()]
    assert [p.probabilities for p in found.predictions] == [None] * 3


def test_outputs_that_the_eval_numbers_are_met_by_name_and_by_number(
    classify: Any, read: Read
) -> None:
    """A pipeline lists the greatest first: in the order of the list they would be exchanged."""
    given = {id: classify(text, top_k=None) for id, text in TEXTS.items()}
    task = Classification(labels={name: i for i, name in enumerate(NAMES)})
    for names in (NAMES, ("LABEL_0", "LABEL_1", "LABEL_2")):
        renamed = dict(zip(NAMES, names, strict=True))
        rows = [
            {"id": id, "output": [{**each, "label": renamed[each["label"]]} for each in scores]}
            for id, scores in given.items()
        ]
        for prediction in read(rows, task).predictions:
            scores = {each["label"]: each["score"] for each in given[prediction.id]}
            assert distribution(prediction) == scores
            assert prediction.labels == NAMES


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("under", [None, "output"])
def test_a_zero_shot_pipeline(
    classifier_folder: Path, read: Read, multi: bool, under: str | None
) -> None:
    """Its scores are probabilities unless each label was scored alone."""
    pipeline = hf.pipeline("zero-shot-classification", model=str(classifier_folder))
    given = {
        id: pipeline(text, candidate_labels=[*NAMES], multi_label=multi)
        for id, text in TEXTS.items()
    }
    rows = [{"id": id, **({under: said} if under else said)} for id, said in given.items()]
    for prediction in read(rows, Classification()).predictions:
        said = given[prediction.id]
        if multi:
            assert (prediction.prediction, prediction.probabilities) == (said["labels"][0], None)
        else:
            assert distribution(prediction) == dict(
                zip(said["labels"], said["scores"], strict=True)
            )


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("how", ["own field", "a list", "a list of lists"])
def test_generated_texts_lose_the_prompt_and_nothing_else(
    write: Any, read: Read, full: bool, how: str
) -> None:
    """With `return_full_text` the prompt stands in front, exactly as it was asked."""
    alone = {id: write(text, return_full_text=False)[0] for id, text in TEXTS.items()}
    given = {id: write(text, return_full_text=full) for id, text in TEXTS.items()}
    shaped = {
        "own field": {id: said[0] for id, said in given.items()},
        "a list": {id: {"output": said} for id, said in given.items()},
        "a list of lists": {id: {"output": [said]} for id, said in given.items()},
    }
    rows = [{"id": id, **said} for id, said in shaped[how].items()]
    found = read(rows, Generation(), metric="exact_match")
    assert [p.text for p in found.predictions] == [a["generated_text"] for a in alone.values()]


def test_a_chat_is_its_last_message(write: Any, read: Read) -> None:
    """A pipeline gives all messages back; what the user said is none of the model's."""
    rows = [
        {"id": id, "output": write([{"role": "user", "content": text}])}
        for id, text in TEXTS.items()
    ]
    found = read(rows, Generation(chat=True), metric="exact_match")
    said = [row["output"][0]["generated_text"][-1]["content"] for row in rows]
    assert [p.text for p in found.predictions] == said
    cut = [
        {"id": row["id"], "generated_text": row["output"][0]["generated_text"][:1]} for row in rows
    ]
    with pytest.raises(EvaluationError, match="has the role 'user', not 'assistant'"):
        read(cut, Generation(chat=True), metric="exact_match")


def test_several_sequences_are_repeats(write: Any, read: Read) -> None:
    """`num_return_sequences` gives a sample each."""
    rows = [
        {"id": id, "output": write(text, do_sample=True, num_return_sequences=2)}
        for id, text in TEXTS.items()
    ]
    task = Generation(do_sample=True, seed=1, repeats=2)
    found = read(rows, task, metric="exact_match")
    texts = [
        [each["generated_text"].removeprefix(TEXTS[row["id"]]) for each in row["output"]]
        for row in rows
    ]
    assert [[s.text for s in samples] for samples in found.samples] == texts


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ("good, and more", "nothing of the kind", "the early bird gets the worm. Yes"),
            r"p.jsonl:2 \(id 'b'\): its generated_text does not begin with its prompt, and that of "
            r".*p.jsonl:1 \(id 'a'\) does",
        ),
        (
            ("Q: good A: x", "Q: bad, bad A: x", "Q: the early bird gets the worm A: x"),
            r"p.jsonl:1 \(id 'a'\): its generated_text holds its prompt, and does not begin with",
        ),
    ],
)
def test_a_prompt_that_may_be_there_is_refused(
    read: Read, texts: tuple[str, ...], message: str
) -> None:
    """What the model wrote must be certain."""
    rows = [{"id": id, "generated_text": text} for id, text in zip(TEXTS, texts, strict=True)]
    with pytest.raises(EvaluationError, match=message + ".*return_full_text=False"):
        read(rows, Generation(), metric="exact_match")
