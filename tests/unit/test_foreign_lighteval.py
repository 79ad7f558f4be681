"""The details of lighteval, which its own pipeline wrote, are read as runs."""

from __future__ import annotations

import json
import math
import re
import shutil
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from pytest_distill.errors import EvaluationError
from pytest_distill.evaluation.sources.formats.format import ForeignMetric, ForeignRun
from pytest_distill.evaluation.sources.formats.lighteval import LightevalDetails

ARCHIVE = Path(__file__).parents[1] / "lighteval_runs" / "runs.zip"
"""What lighteval 0.13.0 wrote; ``make.py`` beside it says how."""

Row = dict[str, Any]
Edit = Callable[[list[Row]], object]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that lighteval wrote into."""
    folder = tmp_path_factory.mktemp("lighteval")
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def out(unpacked: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, to change."""
    return Path(shutil.copytree(unpacked, tmp_path / "out"))


def details(out: Path, task: str, model: str = "teacher") -> Path:
    """Return the details of a task."""
    (path,) = out.glob(f"details/org/{model}/*/details_{task}|*.parquet")
    return path


def results(out: Path, model: str = "teacher") -> Path:
    """Return the results of a model."""
    (path,) = out.glob(f"results/org/{model}/results_*.json")
    return path


def read(path: Path) -> ForeignRun:
    """Return the one run of a file."""
    (run,) = LightevalDetails().read([path])
    return run


def rows_of(path: Path) -> list[Row]:
    """Return the rows of a file, as pyarrow reads them."""
    rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def edit(path: Path, change: Edit) -> Path:
    """Write a file of details again with something changed, in the form that it had."""
    table = pyarrow.parquet.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), path)
    return path


def refusal(path: Path) -> str:
    """Return why a file is not read."""
    with pytest.raises(EvaluationError) as refused:
        read(path)
    return str(refused.value)


def test_choices_are_read(unpacked: Path) -> None:
    """Log-likelihoods and scores are those of each row, and its document is one of a gold set."""
    path = details(unpacked, "sums")
    run = read(path)
    assert (run.model, run.task, run.files) == ("org/teacher", "sums|0", (path,))
    for row, raw in zip(run.rows, rows_of(path), strict=True):
        assert row.answer == {
            "loglikelihoods": raw["model_response"]["logprobs"],
            "greedy": raw["model_response"]["argmax_logits_eq_gold"],
        }
        assert row.scores == {"acc": raw["metric"]["acc"]}
    first = run.rows[0]
    assert first.document == {
        "input": "What is 0 + 1?",
        "choices": ["1", "2", "none"],
        "target": 0,
        "lang": "en",
    }
    assert run.metrics == (ForeignMetric("acc"),)
    assert run.asks == {"task": "multiple_choice"}
    assert (run.notes, run.left_out) == ((), ())
    assert first.where.endswith(": row 1")


def test_ids_are_of_the_query(unpacked: Path) -> None:
    """A document has the same id in every run and task; one that stands twice is told apart."""
    run = read(details(unpacked, "sums"))
    queries = [raw["doc"]["query"] for raw in rows_of(details(unpacked, "sums"))]
    assert run.rows[0].id == sha256(queries[0].encode()).hexdigest()[:16]
    twice = next(query for query in queries if queries.count(query) == 2)
    id = sha256(twice.encode()).hexdigest()[:16]
    assert [row.id for row in run.rows if row.id.startswith(id)] == [id, f"{id}#2"]
    assert LightevalDetails().id_of({"input": queries[0]}) == run.rows[0].id
    for task in ("both", "sampled", "best"):
        other = read(details(unpacked, task))
        assert {row.id for row in other.rows} == {row.id for row in run.rows}


def test_samples_are_repeats(unpacked: Path) -> None:
    """Each text is a sample; what lighteval scored is the text without its thinking."""
    path = details(unpacked, "sampled", "student")
    run = read(path)
    raw = rows_of(path)
    assert [row.repeat for row in run.rows] == [0, 1, 2, 3] * len(raw)
    assert [row.answer["text"] for row in run.rows] == [
        text for each in raw for text in each["model_response"]["text_post_processed"]
    ]
    assert not any("<think>" in row.answer["text"] for row in run.rows)
    assert [row.answer["tokens"] for row in run.rows] == [
        len(tokens) for each in raw for tokens in each["model_response"]["output_tokens"]
    ]
    assert run.asks == {"task": "generation", "max_new_tokens": 8, "stop": ["\n"]}


@pytest.mark.parametrize("k", [1, 2])
def test_pass_at_k_is_a_score_of_an_example(unpacked: Path, k: int) -> None:
    """It is one number of all samples, which every one of them has: their mean is it again."""
    run = read(details(unpacked, "sampled", "student"))
    by_id: dict[str, list[Any]] = {}
    for row in run.rows:
        by_id.setdefault(row.id, []).append(row)
    for rows in by_id.values():
        right = sum(row.answer["text"] == row.document["target"] for row in rows)
        by_hand = 1 - math.comb(4 - right, k) / math.comb(4, k)
        scores = [row.scores[f"pass@k:k={k}&n=4"] for row in rows]
        assert scores == [pytest.approx(by_hand)] * 4


@pytest.mark.parametrize("metric", ["pass@k:k=1&n=4", "pass@k:k=2&n=4"])
def test_a_total_that_was_divided_twice_is_refused(out: Path, metric: str) -> None:
    """Seen in the wild: pass@1 of several samples, divided by their number once more."""
    file = results(out)
    said = json.loads(file.read_text())
    right = said["results"]["sampled|0"][metric]
    said["results"]["sampled|0"][metric] = right / 4
    file.write_text(json.dumps(said))
    message = refusal(details(out, "sampled"))
    by_hand = mean(row["metric"][metric] for row in rows_of(details(out, "sampled")))
    assert right == pytest.approx(by_hand)
    assert f"{right / 4:.10g}" in message
    assert f"{right:.10g}" in message
    assert metric in message
    assert "results_" in message


def test_a_changed_score_is_refused(out: Path) -> None:
    """A row whose score was edited does not make the total."""

    def change(rows: list[Row]) -> None:
        rows[2]["metric"]["acc"] = 1 - rows[2]["metric"]["acc"]

    assert "acc of sums|0" in refusal(edit(details(out, "sums"), change))


def test_a_document_that_was_asked_in_two_ways_is_one(unpacked: Path) -> None:
    """It writes a row for the text and one for the likelihoods, each with its metrics."""
    path = details(unpacked, "both")
    raw = rows_of(path)
    run = read(path)
    assert len(raw) == 14
    assert len(run.rows) == 7
    for row in run.rows:
        assert row.answer.keys() == {"text", "tokens", "loglikelihoods", "greedy"}
        assert row.scores.keys() == {"em", "acc"}
        assert row.scores["em"] == (row.answer["text"] == row.document["choices"][0])
    for name in ("em", "acc"):
        there = [each["metric"][name] for each in raw if each["metric"][name] is not None]
        assert [row.scores[name] for row in run.rows] == there


def test_totals_of_the_whole_task_are_left_out(unpacked: Path) -> None:
    """BLEU has texts for a document, and no number; the note says that it was not checked."""
    run = read(details(unpacked, "both"))
    assert run.left_out == ("bleu",)
    assert "bleu" in run.notes[0]
    assert "not checked" in run.notes[0]


def test_a_total_that_is_no_mean_is_told_and_checked(out: Path) -> None:
    """Some totals of lighteval are the best document's: its scores are averaged here."""
    run = read(details(out, "best"))
    assert "edit_distance (min)" in run.notes[0]
    assert {m.name: m.higher_is_better for m in run.metrics} == {
        "longest_common_prefix_length": True,
        "edit_distance": False,
        "edit_similarity": True,
    }
    file = results(out)
    said = json.loads(file.read_text())
    said["results"]["best|0"]["edit_similarity"] = 0.5
    file.write_text(json.dumps(said))
    assert "(max of 7 documents) is 0.5, and 1 by its samples" in refusal(details(out, "best"))


def test_cut_prompts_are_told(unpacked: Path) -> None:
    """What a model did not see whole it can't answer."""
    assert "1 of 7 rows were too long for the model, and were cut (row 2)" in " ".join(
        read(details(unpacked, "best")).notes
    )


def test_models_that_were_asked_the_same_have_one_digest(unpacked: Path) -> None:
    """A system prompt is no part of a document, and was asked all the same."""
    runs = [read(details(unpacked, "sums", model)) for model in ("teacher", "student", "hinted")]
    teacher, student, hinted = ([row.prompt for row in run.rows] for run in runs)
    assert teacher == student
    assert set(teacher).isdisjoint(hinted)
    assert read(details(unpacked, "both")).rows[0].prompt != teacher[0]


@pytest.mark.parametrize("what", ["query", "choices", "generation_size", "fewshot_samples"])
def test_other_questions_have_other_digests(out: Path, what: str) -> None:
    """The question, its choices, the longest answer and the solved examples decide."""
    path = details(out, "both")
    before = read(path).rows[0].prompt

    def change(rows: list[Row]) -> None:
        for row in rows:
            doc = row["doc"]
            odd = {"query": "How?", "choices": [" a", " b", " c"], "generation_size": 9}
            if what == "fewshot_samples":
                doc[what] = doc[what][:1]
            elif row["doc"]["id"] == rows[0]["doc"]["id"]:
                doc[what] = odd[what]

    assert read(edit(path, change)).rows[0].prompt != before


def test_an_unscored_document_is_refused(out: Path) -> None:
    """NaN makes a total that is none."""

    def change(rows: list[Row]) -> None:
        rows[3]["metric"]["pass@k:k=2&n=4"] = math.nan

    message = refusal(edit(details(out, "sampled"), change))
    assert "row 4: pass@k:k=2&n=4 is NaN" in message


def test_a_value_that_is_missing_is_refused(out: Path) -> None:
    """A document without a metric that others have was not scored by it."""

    def change(rows: list[Row]) -> None:
        rows[3]["metric"]["pass@k:k=2&n=4"] = None

    message = refusal(edit(details(out, "sampled"), change))
    assert "row 4: no value of pass@k:k=2&n=4" in message


def test_a_missing_sample_is_refused(out: Path) -> None:
    """A metric of samples counts as if all were there."""

    def change(rows: list[Row]) -> None:
        for name in ("text", "text_post_processed", "output_tokens"):
            rows[1]["model_response"][name].pop()

    assert "row 2: 3 of 4 samples are there" in refusal(edit(details(out, "sampled"), change))


def test_rows_of_two_runs_are_refused(out: Path) -> None:
    """Two files that were put together hold every document of the data set twice."""
    message = refusal(edit(details(out, "sums"), lambda rows: rows.extend(list(rows))))
    assert re.search(r"row 8: this document of the data set stands at .*: row 1 already", message)


def test_documents_without_a_place_in_the_data_set(out: Path) -> None:
    """A query that stands there twice is two documents, each with all that was asked of it."""
    path = details(out, "both")
    before = [(row.id, row.scores) for row in read(path).rows]

    def change(rows: list[Row]) -> None:
        for row in rows:
            row["doc"]["id"] = ""

    assert [(row.id, row.scores) for row in read(edit(path, change)).rows] == before


def test_rows_of_two_tasks_are_refused(out: Path) -> None:
    """A file is of one task."""

    def change(rows: list[Row]) -> None:
        rows[5]["doc"]["task_name"] = "other|0"

    assert "row 6: of task 'other|0'" in refusal(edit(details(out, "sums"), change))


def test_runs_without_results_are_told(out: Path) -> None:
    """Details alone are read: no total was checked, which a note says."""
    results(out).unlink()
    run = read(details(out, "sums"))
    (note,) = run.notes
    assert "no file of results of the same date, so that totals were not checked" in note
    assert run.model == "org/teacher"


def test_results_that_lack_a_total_are_told(out: Path) -> None:
    """A note names what was not checked."""
    file = results(out)
    said = json.loads(file.read_text())
    del said["results"]["sums|0"]["acc"]
    file.write_text(json.dumps(said))
    (note,) = read(details(out, "sums")).notes
    assert "has no total of acc" in note


def test_results_of_another_form_say_nothing(out: Path) -> None:
    """What is no list of metrics tells nothing of them."""
    file = results(out)
    said = json.loads(file.read_text())
    said["config_tasks"]["sums|0"]["metrics"] = 5
    file.write_text(json.dumps(said))
    assert [metric.name for metric in read(details(out, "sums")).metrics] == ["acc"]


def test_results_that_are_broken_are_refused(out: Path) -> None:
    """The file of results is named."""
    file = results(out)
    file.write_text("{")
    assert f"{file}: not valid JSON" in refusal(details(out, "sums"))


def test_files_of_the_hub_lie_in_one_folder(out: Path, tmp_path: Path) -> None:
    """There the results lie above the details, and the model is named by them."""
    path = details(out, "sums")
    there = tmp_path / "hub" / path.parent.name / path.name
    there.parent.mkdir(parents=True)
    shutil.copy(path, there)
    shutil.copy(results(out), tmp_path / "hub")
    run = read(there)
    assert (run.model, run.notes) == ("org/teacher", ())


def test_a_run_a_file(unpacked: Path) -> None:
    """Two models' files of one task, and two tasks', are as many runs."""
    paths = sorted(unpacked.glob("details/**/*.parquet"))
    form = LightevalDetails()
    runs = form.read(paths)
    assert [(run.files[0], run.task) for run in runs] == [(p, form.task_of(p)) for p in paths]
    assert len(runs) == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as parquet"),
        (b"PAR1 and so on", "cannot be read as parquet"),
        ({"example": "x", "metrics": {"acc": 1}}, "a release before 0.11"),
        ([], "it is empty"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, content: Any, said: str) -> None:
    """Broken files, those of other tools and of old releases, and empty ones."""
    path = tmp_path / "details_x|0_2026-01-01T00-00-00.1.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([content]), path)
    else:
        names = ("doc", "metric", "model_response")
        empty = pyarrow.Table.from_pylist([{n: {"query": "x"} for n in names}])[:0]
        pyarrow.parquet.write_table(empty, path)
    assert said in refusal(path)
