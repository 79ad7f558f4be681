"""What lm-evaluation-harness wrote, read in place: ids, answers, scores, and what is refused.

Every file is one that lm-evaluation-harness wrote here, or such a file with lines changed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.errors import EvaluationError
from pytest_distill.evaluation.sources.formats.format import ForeignRun, format_of
from pytest_distill.evaluation.sources.formats.lm_eval.samples import indented
from tests import lm_eval_runs

Line = dict[str, Any]


def read(path: Path) -> ForeignRun:
    """Return the one run in a file."""
    (run,) = format_of("lm-eval").read([path])
    return run


def lines_of(task: str) -> list[Line]:
    """Return what lm-evaluation-harness wrote of a task."""
    text = lm_eval_runs.samples(lm_eval_runs.made(), task).read_text()
    return [json.loads(line) for line in text.split("\n") if line]


def changed(
    folder: Path,
    task: str,
    change: Callable[[list[Line]], object] = lambda _: None,
    results: Callable[[Any], object] = lambda _: None,
) -> Path:
    """Return a copy of a file of samples, and of the results beside it, with changes."""
    original = lm_eval_runs.samples(lm_eval_runs.made(), task)
    lines = lines_of(task)
    kept = change(lines)
    path = folder / original.name
    chosen = kept if isinstance(kept, list) else lines
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in chosen))
    (beside,) = original.parent.glob("results_*.json")
    said = json.loads(beside.read_text())
    results(said)
    (folder / beside.name).write_text(json.dumps(said))
    return path


def refused(path: Path) -> str:
    """Return what is said of a file that is refused."""
    with pytest.raises(EvaluationError) as raised:
        read(path)
    return str(raised.value)


def digests(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the ids that documents have, by lm-evaluation-harness's own recipe."""
    texts = [json.dumps(row, indent=2, ensure_ascii=False) for row in rows]
    return [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]


def test_multiple_choice() -> None:
    """Each choice has its log-likelihood and whether it is greedy; means over documents are scores.

    What was asked once more without a prompt, for acc_mutual_info, is no choice.
    """
    run = read(lm_eval_runs.samples(lm_eval_runs.made(), "pets"))
    lines = lines_of("pets")
    assert (run.task, len(run.rows)) == ("pets", 13)
    assert [metric.name for metric in run.metrics] == ["acc", "acc_norm", "acc_mutual_info"]
    assert run.left_out == ("mcc",)
    for row, line in zip(run.rows, lines, strict=True):
        said = [resp for ((resp, _),) in line["resps"]]
        assert row.answer["loglikelihoods"] == [float(value) for value in said[:3]]
        assert row.answer["greedy"] == [False, False, False]
        assert row.scores == {m: line[m] for m in ("acc", "acc_norm", "acc_mutual_info")}
        assert row.prompt == line["prompt_hash"]


def test_a_document_that_stands_twice() -> None:
    """The id is the beginning of the document's digest; of the second occurrence with #2."""
    run = read(lm_eval_runs.samples(lm_eval_runs.made(), "pets"))
    ids = digests([*lm_eval_runs.PETS, lm_eval_runs.PETS[0]])
    ids[-1] += "#2"
    assert [row.id for row in run.rows] == ids


def test_filters_and_repeats() -> None:
    """Two lines of one document are one example with two scores; its answers are its repeats."""
    run = read(lm_eval_runs.samples(lm_eval_runs.made(), "sums"))
    assert [metric.name for metric in run.metrics] == ["exact_match,strict", "exact_match,vote"]
    assert [row.repeat for row in run.rows] == [0, 1] * 4
    texts = [text for line in lines_of("sums")[:4] for text in line["resps"][0]]
    assert [row.answer["text"] for row in run.rows] == texts
    assert [row.id for row in run.rows[::2]] == digests(lm_eval_runs.SUMS)


def test_one_continuation() -> None:
    """Its log-likelihood; perplexity is a number of all documents, so that there is no score."""
    run = read(lm_eval_runs.samples(lm_eval_runs.made(), "last"))
    for row, line in zip(run.rows, lines_of("last"), strict=True):
        assert row.answer == {"loglikelihoods": [line["perplexity"]], "greedy": [False]}
        assert row.scores == {"acc": line["acc"]}
    assert run.left_out == ("perplexity",)


def test_whole_texts() -> None:
    """The log-likelihood of the text; how many tokens that is nobody says."""
    run = read(lm_eval_runs.samples(lm_eval_runs.made(), "pages"))
    values = [line["word_perplexity"][0] for line in lines_of("pages")]
    assert [row.said for row in run.rows] == [({"loglikelihoods": [v]}, {}) for v in values]
    assert run.metrics == ()


@pytest.mark.parametrize("task", lm_eval_runs.TASKS)
def test_the_document_is_there(task: str) -> None:
    """Every field of a document that no field of a task of ours takes the place of is kept."""
    run = read(lm_eval_runs.samples(lm_eval_runs.made(), task))
    rows, _ = lm_eval_runs.TASKS[task]
    for row, document in zip({r.id: r for r in run.rows}.values(), rows, strict=True):
        assert document.items() <= row.document.items()


@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2.5, [], {}, None, True, {"b": ["é\n", '"', "\u2028", "\x00"]}], "": -1e300},
        {"a": math.nan, "b": [[[]]], "c": "", "d": {"e": {}}},
        {},
    ],
)
def test_the_text_that_a_digest_is_of(value: Any) -> None:
    """It is what json.dumps writes with an indent of 2, to the letter."""
    assert indented(value) == json.dumps(value, indent=2, ensure_ascii=False)


def test_a_file_that_a_second_run_was_appended_to(tmp_path: Path) -> None:
    """A document may stand there once a filter; the message says where it stands first."""
    said = refused(changed(tmp_path, "pets", lambda lines: lines + lines))
    assert ":14 (doc_id 0): filter 'none' of this document stands at" in said
    assert ":1 already" in said
    assert "appends" in said


def test_a_second_run_of_other_filters(tmp_path: Path) -> None:
    """Lines of one document that were asked otherwise are of two runs."""

    def another(lines: list[Line]) -> None:
        line = lines[4]
        line["arguments"]["gen_args_0"]["arg_0"] += "!"
        text = line["arguments"]["gen_args_0"]["arg_0"]
        line["prompt_hash"] = hashlib.sha256(text.encode()).hexdigest()

    said = refused(changed(tmp_path, "sums", another))
    assert ":5 (doc_id 0): another prompt than at" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line["doc"].update(answer=2), "doc_hash is"),
        (lambda line: line["arguments"]["gen_args_0"].update(arg_0="?"), "prompt_hash is"),
        (lambda line: line.update(acc=math.nan), "acc is NaN: the document was not scored"),
        (lambda line: line.update(acc=None), "acc is null: the document was not scored"),
        (lambda line: line.update(acc=1 - line["acc"]), "acc of pets (mean) is "),
        (lambda line: line.pop("acc"), "no value of 'acc'"),
        (lambda line: line.update(acc="1"), "acc is '1', and a number for other documents"),
        (lambda line: line.pop("doc_hash"), "no 'doc_hash': not one of the samples"),
        (lambda line: line["resps"].pop(), "resps has not one list of answers"),
        (lambda line: line["resps"][0].append(["-1", "True"]), "resps has not one list"),
        (lambda line: line["resps"][0].__setitem__(0, ["x", "True"]), "not a log-likelihood"),
        (lambda line: line["resps"][0].__setitem__(0, "-1"), "not a log-likelihood and True or"),
        (lambda line: line.update(arguments={}), "arguments is {}"),
        (lambda line: line.update(doc_id="3"), "doc_id is '3', not a whole number"),
    ],
)
def test_a_line_that_was_changed(
    tmp_path: Path, change: Callable[[Line], object], words: str
) -> None:
    """What lm-evaluation-harness did not write is refused, by line and document."""
    said = refused(changed(tmp_path, "pets", lambda lines: change(lines[3]) and None))
    assert words in said
    assert ":4" in said or "acc of pets" in said


def test_a_file_that_lacks_lines(tmp_path: Path) -> None:
    """Fewer documents than were evaluated, or a document without one of the filters."""
    said = refused(changed(tmp_path, "pets", lambda lines: lines[:-1]))
    assert "samples of 12 documents, and" in said
    assert "says that 13 were evaluated" in said
    said = refused(changed(tmp_path, "sums", lambda lines: lines[:-1]))
    assert "no line of filter 'vote' for this document, though there is one for doc_id 0" in said


def test_a_file_that_was_cut_off(tmp_path: Path) -> None:
    """The last line is no JSON, and the message says why."""
    path = changed(tmp_path, "pets")
    path.write_bytes(path.read_bytes()[:-30])
    said = refused(path)
    assert ":13: not valid JSON" in said
    assert "it was cut off" in said


def test_lines_of_another_run(tmp_path: Path) -> None:
    """The results have a digest of all documents and prompts, in whatever order the lines stand."""
    read(changed(tmp_path, "sums", lambda lines: [*lines[:4][::-1], *lines[4:]]))

    def another(lines: list[Line]) -> None:
        for line in lines[2:3]:
            line["arguments"]["gen_args_0"]["arg_0"] += "!"
            text = line["arguments"]["gen_args_0"]["arg_0"]
            line["prompt_hash"] = hashlib.sha256(text.encode()).hexdigest()

    said = refused(changed(tmp_path, "last", another))
    assert "was printed of other documents, prompts or targets" in said


def test_totals_that_were_computed_wrongly(tmp_path: Path) -> None:
    """A printed number that the samples do not come to is refused, with both numbers.

    So is one that is no mean, where it can be computed of the samples.
    """

    def divided_twice(said: Any) -> None:
        said["results"]["pets"]["acc,none"] /= 13

    mean = sum(line["acc"] for line in lines_of("pets")) / 13
    said = refused(changed(tmp_path, "pets", results=divided_twice))
    assert f"acc of pets (mean) is {mean / 13:.10g}, and {mean:.10g} by its samples" in said

    def other(said: Any) -> None:
        said["results"]["last"]["perplexity,none"] *= 1.001

    assert "(perplexity)" in refused(changed(tmp_path, "last", results=other))


def test_an_aggregation_of_which_nothing_is_said(tmp_path: Path) -> None:
    """A number that is not the mean is then no score; one that is may be one."""

    def unsaid(said: Any) -> None:
        del said["configs"]["pets"]["metric_list"]
        said["results"]["pets"]["mine,none"] = 0.5
        said["results"]["pets"]["yours,none"] = 0.25

    def scored(lines: list[Line]) -> None:
        for line in lines:
            line["metrics"] += ["mine", "yours"]
            line.update(mine=0.25, yours=0.25)

    run = read(changed(tmp_path, "pets", scored, unsaid))
    assert [m.name for m in run.metrics] == ["acc", "acc_norm", "acc_mutual_info", "yours"]
    assert run.left_out == ("mcc", "mine")


def test_without_a_file_of_results(tmp_path: Path) -> None:
    """The totals can't be checked, and a note says so."""
    path = shutil.copy(lm_eval_runs.samples(lm_eval_runs.made(), "pets"), tmp_path / "mine.jsonl")
    run = read(Path(path))
    assert run.task == "mine"
    (note,) = run.notes
    assert "no file of results beside it" in note


@pytest.mark.parametrize(
    ("change", "unchecked"),
    [
        (lambda said: said.pop("results"), "acc, acc_norm, acc_mutual_info"),
        (lambda said: said["results"].pop("pets"), "acc, acc_norm, acc_mutual_info"),
        (lambda said: said["results"]["pets"].pop("acc,none"), "acc"),
        (lambda said: said["results"]["pets"].update({"acc_norm,none": "0.5"}), "acc_norm"),
    ],
)
def test_totals_that_are_not_printed(
    tmp_path: Path, change: Callable[[Any], Any], unchecked: str
) -> None:
    """A note says of which metrics nothing was compared."""
    (note,) = read(changed(tmp_path, "pets", results=change)).notes
    assert f"has no number of {unchecked} for pets, so that its totals could not be" in note


def test_files_that_are_no_samples(tmp_path: Path) -> None:
    """What to do is said of the results beside samples, and of what is packed."""
    (results,) = lm_eval_runs.samples(lm_eval_runs.made(), "pets").parent.glob("results_*.json")
    assert "has the totals of a run; name its samples, which lie beside it" in refused(results)
    path = tmp_path / "samples_pets.jsonl"
    path.write_bytes(gzip.compress(lm_eval_runs.samples(lm_eval_runs.made(), "pets").read_bytes()))
    assert "samples_pets.jsonl:1: the file is packed: unpack it first" in refused(path)


def test_results_of_another_form(tmp_path: Path) -> None:
    """A section that is none is nothing said."""

    def odd(said: Any) -> None:
        said["configs"]["pets"]["metric_list"] = 5

    assert read(changed(tmp_path, "pets", results=odd)).metrics


def test_a_run_with_a_limit(tmp_path: Path) -> None:
    """That not all documents were evaluated is said."""
    folder = lm_eval_runs.write(tmp_path, ["pets"], limit=3)
    run = read(lm_eval_runs.samples(folder.parent, "pets", folder.name))
    assert [row.id for row in run.rows] == digests(lm_eval_runs.PETS[:3])
    (note,) = run.notes
    assert "of 13 documents of pets 3 were evaluated" in note


def test_directions_and_ranges(tmp_path: Path) -> None:
    """They are what the results and the values say."""

    def lower(said: Any) -> None:
        said["higher_is_better"]["pets"]["acc"] = False
        del said["results"]["pets"]["acc_norm,none"]

    def shifted(lines: list[Line]) -> None:
        for line in lines:
            line["acc_norm"] -= 0.5

    run = read(changed(tmp_path, "pets", shifted, lower))
    by_name = {metric.name: metric for metric in run.metrics}
    assert (by_name["acc"].higher_is_better, by_name["acc"].range) == (False, (0.0, 1.0))
    assert by_name["acc_norm"].range == (-math.inf, 1.0)
