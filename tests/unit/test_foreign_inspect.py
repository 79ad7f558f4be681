"""The logs of inspect, which inspect itself wrote, are read as runs."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import inspect_ai
import pytest
from inspect_ai import Epochs, Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalSample,
    EvalSampleLimit,
    EvalSpec,
    ProvenanceData,
    invalidate_samples,
    read_eval_log,
    recompute_metrics,
    write_eval_log,
)
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelOutput,
    ModelUsage,
)
from inspect_ai.scorer import (
    Metric,
    SampleScore,
    Score,
    Scorer,
    Target,
    accuracy,
    bootstrap_stderr,
    includes,
    match,
    metric,
    scorer,
    stderr,
)
from inspect_ai.scorer import mean as mean_metric
from inspect_ai.solver import Generate, Solver, TaskState, solver, system_message

from pytest_distill.errors import ConfigError, EvaluationError
from pytest_distill.evaluation.sources.formats.format import ForeignMetric, ForeignRun
from pytest_distill.evaluation.sources.formats.inspect import InspectLogs

EXAMPLES = 12
EPOCHS = 3


def is_right(number: int, epoch: int) -> bool:
    """Return whether the scripted model answers this sample rightly."""
    return (number + 1) * epoch % 5 in {1, 2}


@solver  # type: ignore[untyped-decorator]
def scripted() -> Solver:
    """Answer without a model, some samples wrongly."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:  # noqa: ARG001
        number = int(str(state.sample_id).removeprefix("q"))
        text = "4" if is_right(number, state.epoch) else "a hundred"
        state.output = ModelOutput.from_content("scripted", text)
        state.output.usage = ModelUsage(input_tokens=5, output_tokens=2, total_tokens=7)
        state.messages.append(state.output.message)
        return state

    return solve


@metric  # type: ignore[untyped-decorator]
def of_mine() -> Metric:
    """Return a total that inspect does not know."""

    def total(scores: list[SampleScore]) -> float:
        return len(scores) / 1000

    return total


@scorer(metrics=[{"*": [mean_metric(), stderr()]}, of_mine(), bootstrap_stderr()])  # type: ignore[untyped-decorator]
def parts() -> Scorer:
    """Score a text's length and its first letter."""

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001
        text = state.output.completion
        return Score(value={"length": len(text), "digit": text[0].isdigit()})

    return score


@scorer(metrics=[accuracy()])  # type: ignore[untyped-decorator]
def worded() -> Scorer:
    """Say a word."""

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001
        return Score(value="fine")

    return score


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return logs of one inspect run, by task."""
    folder = tmp_path_factory.mktemp("inspect")
    samples = [
        Sample(
            id=f"q{i}",
            input=f"{i} + {4 - i} =",
            target="4",
            metadata={"lang": "de" if i % 2 else "en"},
        )
        for i in range(EXAMPLES)
    ]
    tasks = [
        Task(
            name="sums",
            dataset=MemoryDataset(samples),
            solver=scripted(),
            scorer=[match(), includes(), match()],
            epochs=Epochs(EPOCHS, ["mean", "mode", "pass_at_2", "at_least_2", "pass_k_2"]),
        ),
        Task(
            name="briefly",
            dataset=MemoryDataset(samples),
            solver=[system_message("Be brief."), scripted()],
            scorer=[parts(), worded()],
            epochs=Epochs(2, "pass_at_1"),
        ),
    ]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a run leaves streams open
        patch.setenv("XDG_DATA_HOME", str(folder / "data"))  # where inspect keeps traces
        found = inspect_ai.eval(tasks, model=None, display="none", log_dir=str(folder))
        gc.collect()
    return {log.eval.task: Path(log.location) for log in found}


def read(path: Path) -> ForeignRun:
    """Return the one run of a log."""
    (run,) = InspectLogs().read([path])
    return run


Edit = Callable[[EvalLog], None]


@pytest.fixture
def edited(logs: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a log again with something changed."""

    def write(change: Edit, task: str = "sums", kind: str = "json") -> Path:
        log = read_eval_log(str(logs[task]), exclude_fields={"events"})
        change(log)
        path = tmp_path / f"edited.{kind}"
        write_eval_log(log, str(path))
        return path

    return write


def refusal(path: Path) -> str:
    """Return why a log is not read."""
    with pytest.raises(EvaluationError) as refused:
        read(path)
    return str(refused.value)


def sample_of(log: EvalLog, id: str | int, epoch: int = 1) -> EvalSample:
    """Return a sample of a log."""
    assert log.samples is not None
    return next(s for s in log.samples if s.id == id and s.epoch == epoch)


def made(path: Path, samples: Sequence[EvalSample], **of: Any) -> Path:
    """Return a log that inspect wrote of these samples, which no run made."""
    ids = list(dict.fromkeys(sample.id for sample in samples))
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00",
        task="made",
        dataset=EvalDataset(sample_ids=ids),
        model=of.pop("model", "openai/a"),
        config=EvalConfig(epochs=max(sample.epoch for sample in samples)),
        model_generate_config=of.pop("config", GenerateConfig()),
    )
    write_eval_log(EvalLog(status="success", eval=spec, samples=list(samples), **of), str(path))
    return path


def sample(id: str | int = "a", text: str = "t", **fields: Any) -> EvalSample:
    """Return a sample whose answer is a text."""
    output = fields.pop("output", None) or ModelOutput.from_content("m", text)
    question = fields.pop("input", "Why?")
    return EvalSample(
        id=id, epoch=fields.pop("epoch", 1), input=question, target="t", output=output, **fields
    )


def scored(value: Any, id: str | int = "a", **fields: Any) -> EvalSample:
    """Return a sample that a scorer gave this value."""
    return sample(id, scores={"judge": Score(value=value)}, **fields)


def test_a_run_has_the_samples_in_the_order_of_the_data_set(logs: dict[str, Path]) -> None:
    """Inspect orders q10 before q2; ids, repeats, answers and scores are those of the run."""
    run = read(logs["sums"])
    assert (run.task, run.model, run.files) == ("sums", "none/none", (logs["sums"],))
    wanted = [(f"q{i}", repeat) for i in range(EXAMPLES) for repeat in range(EPOCHS)]
    assert [(row.id, row.repeat) for row in run.rows] == wanted
    for row in run.rows:
        right = is_right(int(row.id[1:]), row.repeat + 1)
        assert row.answer == {
            "text": "4" if right else "a hundred",
            "tokens": 2,
            "finish": "stop",
        }
        assert row.scores == {"match": right, "includes": right, "match1": right}
    assert run.metrics == tuple(ForeignMetric(name) for name in ("match", "includes", "match1"))
    assert run.rows[5].document == {"input": "1 + 3 =", "target": "4", "lang": "de"}
    assert "'q1', epoch 3" in run.rows[5].where
    assert run.notes == ()


def test_json_and_eval_files_are_alike(edited: Callable[..., Path], logs: dict[str, Path]) -> None:
    """A log has the same rows in both kinds of file."""

    def bare(run: ForeignRun) -> list[Any]:
        return [(row.id, row.document, row.said, row.repeat, row.prompt) for row in run.rows]

    assert bare(read(edited(lambda _: None))) == bare(read(logs["sums"]))


def reduced(reducer: str, rights: Sequence[int]) -> float:
    """Return what a reducer makes of the epochs of an example, by its definition."""
    n, right = len(rights), sum(rights)
    return {
        "mean": right / n,
        "mode": float(2 * right > n),
        "pass_at_2": 1 - math.comb(n - right, 2) / math.comb(n, 2),
        "at_least_2": float(right >= 2),
        "pass_k_2": math.comb(right, 2) / math.comb(n, 2),
    }[reducer]


@pytest.mark.parametrize("reducer", ["mean", "mode", "pass_at_2", "at_least_2", "pass_k_2"])
@pytest.mark.parametrize("total", ["accuracy", "stderr"])
def test_a_wrong_total_is_refused_with_both_numbers(
    edited: Callable[..., Path], reducer: str, total: str
) -> None:
    """Every total is counted again, whatever is made of the epochs before; by hand it is equal."""
    of_examples = [
        reduced(reducer, [is_right(i, epoch + 1) for epoch in range(EPOCHS)])
        for i in range(EXAMPLES)
    ]
    by_hand = mean(of_examples) if total == "accuracy" else stdev(of_examples) / math.sqrt(EXAMPLES)
    printed = []

    def divided_twice(log: EvalLog) -> None:
        assert log.results is not None
        score = next(s for s in log.results.scores if (s.name, s.reducer) == ("match", reducer))
        printed.append(score.metrics[total].value)
        score.metrics[total].value /= EPOCHS

    message = refusal(edited(divided_twice))
    assert printed == [pytest.approx(by_hand)]
    assert f"{by_hand / EPOCHS:.10g}" in message
    assert f"{by_hand:.10g}" in message
    assert f"match/{total} ({reducer} of the epochs)" in message


def test_a_changed_score_is_refused(edited: Callable[..., Path]) -> None:
    """A sample that was scored again without the totals, or edited by hand, does not fit them."""

    def change(log: EvalLog) -> None:
        scores = sample_of(log, "q1", 2).scores
        assert scores is not None
        scores["match"].value = "C" if not is_right(1, 2) else "I"

    assert "by its samples" in refusal(edited(change))


@pytest.mark.parametrize("task", ["sums", "briefly"])
def test_totals_of_a_log_that_lists_no_scorers(edited: Callable[..., Path], task: str) -> None:
    """As older logs do: what the totals are called says how they are counted."""
    name, total = ("match", "accuracy") if task == "sums" else ("length", "mean")

    def change(log: EvalLog, by: float = 0) -> None:
        assert log.results is not None
        log.eval.scorers = None
        next(s for s in log.results.scores if s.name == name).metrics[total].value += by

    notes = " ".join(read(edited(change, task)).notes)
    assert f"{name}/{total}" not in notes
    assert f"{name}/{total}" in refusal(edited(lambda log: change(log, 0.125), task))


def test_a_total_of_the_mean_need_not_say_so(edited: Callable[..., Path]) -> None:
    """Inspect leaves the reducer out where nobody chose one."""

    def change(log: EvalLog) -> None:
        assert log.results is not None
        log.eval.config.epochs_reducer = None
        log.results.scores = [s for s in log.results.scores if s.reducer == "mean"]
        log.results.scores[0].metrics["accuracy"].value /= 2

    assert "match/accuracy (mean of the epochs) is" in refusal(edited(change))


def test_totals_that_are_not_counted_again_are_told(logs: dict[str, Path]) -> None:
    """Metrics of a user's code, drawn ones and values that are words: a note names them."""
    run = read(logs["briefly"])
    words, totals, reducer = run.notes
    assert "'worded'" in words
    assert "'fine'" in words
    for name in ("parts/of_mine", "parts/bootstrap_stderr", "worded/accuracy"):
        assert name in totals
    assert "pass_at_1" in reducer
    assert set(run.rows[0].scores) == {"parts/length", "parts/digit"}
    assert run.rows[0].scores == {"parts/length": 1.0, "parts/digit": 1.0}
    lengths, digits = run.metrics
    assert lengths == ForeignMetric("parts/length", range=(0, math.inf))
    assert digits == ForeignMetric("parts/digit")


def test_a_part_of_a_score_has_its_total_counted_again(edited: Callable[..., Path]) -> None:
    """A scorer that gives several values has totals for each."""

    def change(log: EvalLog) -> None:
        assert log.results is not None
        score = next(s for s in log.results.scores if s.name == "length")
        score.metrics["mean"].value += 0.5

    assert "parts/length/mean (pass_at_1 of the epochs)" in refusal(edited(change, "briefly"))


def test_reading_runs_no_code_that_a_log_names(edited: Callable[..., Path], tmp_path: Path) -> None:
    """Inspect would load the task's file for a metric that it does not know."""
    ran = tmp_path / "ran"
    code = tmp_path / "task.py"
    code.write_text(
        f"from inspect_ai import task\n@task\ndef t(): ...\nopen({str(ran)!r}, 'w').close()\n"
    )

    def change(log: EvalLog) -> None:
        assert log.eval.scorers is not None
        assert log.samples is not None
        log.eval.task_file = str(code)
        log.eval.scorers[0].metrics[0].name = "elsewhere"
        for of in log.samples:
            of.scores[f"{code}@judge"] = Score(value=1)

    path = edited(change)
    assert "match/accuracy" in read(path).notes[0]
    assert not ran.exists()
    with pytest.raises(LookupError, match="elsewhere"):
        recompute_metrics(read_eval_log(str(path)))
    assert ran.exists()


@pytest.mark.parametrize("status", ["started", "cancelled", "error"])
def test_a_run_that_did_not_end_is_refused(edited: Callable[..., Path], status: Any) -> None:
    """What is missing of it may be the harder part."""

    def change(log: EvalLog) -> None:
        log.status = status

    message = refusal(edited(change))
    assert f"status is '{status}'" in message
    assert "eval-retry" in message


def test_an_invalidated_run_is_refused(edited: Callable[..., Path]) -> None:
    """Its status is still 'success'."""

    def change(log: EvalLog) -> None:
        uuid = sample_of(log, "q3").uuid
        assert uuid is not None
        done = invalidate_samples(log, [uuid], ProvenanceData(author="me", reason="leaked"))
        log.invalidated, log.samples = done.invalidated, done.samples

    assert "marked as invalid" in refusal(edited(change))


def test_a_missing_sample_is_named(edited: Callable[..., Path]) -> None:
    """All examples of the data set must be there, each as often as it was asked."""

    def change(log: EvalLog) -> None:
        assert log.samples is not None
        log.samples.remove(sample_of(log, "q10", 2))

    for kind in ("eval", "json"):
        message = refusal(edited(change, kind=kind))
        assert "no sample of 'q10' (epoch 2), of the 36" in message


@pytest.mark.parametrize("twice", [True, False])
def test_a_surplus_sample_is_refused(edited: Callable[..., Path], twice: bool) -> None:
    """A sample that is there twice, and one that no example of the data set has."""

    def change(log: EvalLog) -> None:
        assert log.samples is not None
        more = sample_of(log, "q4").model_copy(update={} if twice else {"id": "another"})
        log.samples.append(more)

    message = refusal(edited(change))
    assert ("'q4', epoch 1: this sample is there twice" if twice else "'another'") in message


def test_a_log_without_samples_is_refused(edited: Callable[..., Path]) -> None:
    """A run with --no-log-samples has totals alone."""

    def change(log: EvalLog) -> None:
        log.samples = []

    assert "--no-log-samples" in refusal(edited(change))


@pytest.mark.parametrize("kind", ["eval", "json"])
@pytest.mark.parametrize(
    "value",
    [math.nan, {"a": math.nan, "b": 1}, {"a": None, "b": 1}, {"b": 1}, [math.nan], None],
    ids=["nan", "part", "none", "absent", "list", "unscored"],
)
def test_an_unscored_sample_is_refused(tmp_path: Path, value: Any, kind: str) -> None:
    """Inspect leaves such samples out of its totals: sample and scorer are named."""
    good = {"a": 1, "b": 1} if isinstance(value, dict) else [1.0] if isinstance(value, list) else 1
    bad = sample("late") if value is None else scored(value, "late")
    message = refusal(made(tmp_path / f"log.{kind}", [scored(good), bad]))
    assert "sample 'late', epoch 1" in message
    assert "scorer 'judge" in message


def test_an_errored_sample_is_refused(tmp_path: Path) -> None:
    """With --fail-on-error=0.1 a run has status 'success', and samples without an answer."""
    error = {"message": "no\nnetwork", "traceback": "", "traceback_ansi": ""}
    message = refusal(made(tmp_path / "log.eval", [sample(), sample("b", error=error)]))
    assert "sample 'b', epoch 1: it ended in an error (no\\nnetwork)" in message


@pytest.mark.parametrize(
    ("kind", "ending"), [("token", "length"), ("context", "length"), ("time", None)]
)
def test_a_limit_is_an_ending_or_told(tmp_path: Path, kind: Any, ending: str | None) -> None:
    """A limit of tokens ends a text; samples that another halted are told of."""
    halted = sample("b", limit=EvalSampleLimit(type=kind, limit=9))
    run = read(made(tmp_path / "log.eval", [sample(), halted]))
    assert run.rows[1].answer.get("finish") == ending
    assert run.rows[0].answer["finish"] == "stop"
    assert len(run.notes) == (0 if ending else 1)
    assert ending or "1 of 2 samples were halted by the limit 'time' (b)" in run.notes[0]


def test_a_sample_that_a_person_stopped_is_refused(tmp_path: Path) -> None:
    """What the model would have said is not known."""
    halted = sample(limit=EvalSampleLimit(type="operator", limit=0))
    assert "a person stopped it" in refusal(made(tmp_path / "log.eval", [halted]))


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        *[("stop", "stop"), ("max_tokens", "length"), ("model_length", "length")],
        *[("tool_calls", "tool_call"), ("unknown", None)],
    ],
)
def test_stop_reasons_are_endings(tmp_path: Path, reason: Any, ending: str | None) -> None:
    """Inspect's words for why a text ended become ours."""
    output = ModelOutput.from_content("m", "t", stop_reason=reason)
    run = read(made(tmp_path / "log.eval", [sample(output=output)]))
    assert run.rows[0].answer.get("finish") == ending


def test_an_answer_that_a_filter_cut_is_refused(tmp_path: Path) -> None:
    """It is none of the model's, as in a file of predictions."""
    output = ModelOutput.from_content("m", "t", stop_reason="content_filter")
    path = made(tmp_path / "log.eval", [sample(), sample("b", output=output)])
    assert "sample 'b', epoch 1: a filter of the service cut its answer" in refusal(path)


@pytest.mark.parametrize(
    ("value", "score"),
    [
        *[("C", 1), ("I", 0), ("P", 0.5), ("N", 0), (True, 1), (False, 0), (3, 3), (0.25, 0.25)],
        *[("yes", 1), ("False", 0), ("0.75", 0.75), ("-2", -2)],
    ],
)
def test_values_are_numbers_as_inspect_makes_them(tmp_path: Path, value: Any, score: float) -> None:
    """Its letters, booleans, numbers, and texts of these."""
    run = read(made(tmp_path / "log.eval", [scored(value)]))
    assert run.rows[0].scores == {"judge": score}
    low, high = run.metrics[0].range
    assert (low, high) == (0 if score >= 0 else -math.inf, 1 if score <= 1 else math.inf)


def test_several_values_of_a_scorer_are_several_metrics(tmp_path: Path) -> None:
    """A mapping's by its keys, a list's by their places."""
    run = read(made(tmp_path / "log.eval", [scored({"fit": "C", "len": 2})]))
    assert run.rows[0].scores == {"judge/fit": 1, "judge/len": 2}
    run = read(made(tmp_path / "list.eval", [scored(["P", 1])]))
    assert run.rows[0].scores == {"judge/0": 0.5, "judge/1": 1}


def test_a_word_among_numbers_is_refused(tmp_path: Path) -> None:
    """Inspect counts it as 0, with a warning in its log."""
    path = made(tmp_path / "log.eval", [scored("C"), scored("maybe", "b")])
    message = refusal(path)
    assert "sample 'b', epoch 1: the scorer 'judge' gave 'maybe'" in message


def test_ids_that_are_numbers(tmp_path: Path) -> None:
    """An id may be a number; in the data set's order 2 stands before 10."""
    run = read(made(tmp_path / "log.eval", [sample(2), sample(10), sample("07")]))
    assert [row.id for row in run.rows] == ["2", "10", "07"]


def test_ids_that_would_meet_are_refused(tmp_path: Path) -> None:
    """The number 7 and the text "7" are one id here, and two in inspect."""
    path = made(tmp_path / "log.json", [sample(7), sample("7")])
    assert "two examples have the id '7'" in refusal(path)


def test_calls_of_tools(tmp_path: Path) -> None:
    """A call is its function and arguments; the log-probabilities of a text are left."""
    output = ModelOutput.for_tool_call("m", "look", {"where": "here"})
    run = read(made(tmp_path / "log.eval", [sample(output=output)]))
    assert run.rows[0].answer["tool_calls"] == [{"name": "look", "arguments": {"where": "here"}}]
    assert run.rows[0].answer["finish"] == "tool_call"
    assert "loglikelihoods" not in run.rows[0].answer


def test_thinking_tokens(tmp_path: Path) -> None:
    """Of the tokens of an answer those that the model thought."""
    output = ModelOutput.from_content("m", "t")
    output.usage = ModelUsage(output_tokens=9, reasoning_tokens=4)
    run = read(made(tmp_path / "log.eval", [sample(output=output)]))
    assert (run.rows[0].answer["tokens"], run.rows[0].answer["thinking_tokens"]) == (9, 4)


def test_a_long_text_is_whole(tmp_path: Path) -> None:
    """Inspect may store long texts beside a sample."""
    text = "word " * 2_000
    run = read(made(tmp_path / "log.eval", [sample(text=text, input=text)]))
    assert run.rows[0].answer["text"] == text
    assert run.rows[0].document["input"] == text


def asked(path: Path, *messages: Any, **of: Any) -> str | None:
    """Return the digest of what was asked, of a log with these messages."""
    run = read(made(path, [sample(messages=list(messages))], **of))
    return run.rows[0].prompt


def test_what_was_asked_is_told_apart(tmp_path: Path) -> None:
    """A model's name, connections and its answer don't count; messages and decoding do."""
    path = tmp_path / "log.eval"
    user = ChatMessageUser(content="Why?")
    same = asked(path, user)
    answer = ChatMessageAssistant(content="So.", source="generate")
    example = ChatMessageAssistant(content="So.", source="input")
    assert asked(path, ChatMessageUser(content="Why?", source="input")) == same
    assert asked(path, user, answer, model="another") == same
    assert asked(path, user, config=GenerateConfig(max_connections=4, timeout=9, seed=1)) == same
    others = {
        asked(path, ChatMessageUser(content="How?")),
        asked(path, ChatMessageSystem(content="Be brief."), user),
        asked(path, user, example, user),
        asked(path, user, config=GenerateConfig(temperature=0.5)),
        asked(path, user, config=GenerateConfig(system_message="Be brief.")),
        asked(path, user, config=GenerateConfig(max_tokens=9)),
    }
    assert len(others | {same}) == 7


def test_solvers_that_write_other_prompts_are_told_apart(logs: dict[str, Path]) -> None:
    """A system message of the solver is no part of a sample's input, and was asked all the same."""
    sums, briefly = read(logs["sums"]), read(logs["briefly"])
    assert sums.rows[0].document == briefly.rows[0].document
    assert sums.rows[0].prompt != briefly.rows[0].prompt
    assert sums.rows[0].prompt == sums.rows[1].prompt


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *[("a.json", b"{"), ("a.json", b'{"results": {}}'), ("a.json", b"[1]")],
        *[("a.eval", b"PK"), ("a.eval", b""), ("a.json", b"\xff\xfe")],
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """Files that other tools wrote, broken ones and empty ones."""
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(path)
    assert "inspect cannot read this as one of its logs" in message
    assert len(message) < 700


def test_a_broken_log_is_refused(logs: dict[str, Path], tmp_path: Path) -> None:
    """A log whose end is missing, as of a copy that broke off."""
    path = tmp_path / "half.eval"
    content = logs["sums"].read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert "inspect cannot read this" in refusal(path)


def test_without_inspect_the_error_says_what_to_install(
    logs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    with pytest.raises(ConfigError, match=r"pip install 'pytest-distill\[inspect\]'"):
        InspectLogs().read([logs["sums"]])


def test_inspect_is_imported_when_a_log_is_read() -> None:
    """And not before: it takes a second."""
    code = (
        "import sys, pytest_distill.evaluation.sources.formats.inspect as ours\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] == 'inspect_ai'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_reading_leaves_nothing_behind(logs: dict[str, Path]) -> None:
    """No handler of logging, no thread, no loop; and it may be called while a loop runs."""

    def state() -> tuple[Any, ...]:
        root = logging.getLogger()
        return list(root.handlers), root.level, asyncio.run, asyncio.get_event_loop_policy()

    before, threads = state(), set(threading.enumerate())
    rows = read(logs["sums"]).rows

    async def within() -> ForeignRun:
        return read(logs["sums"])

    assert len(asyncio.run(within()).rows) == len(rows)
    assert state() == before
    assert not [t for t in set(threading.enumerate()) - threads if not t.daemon]


def test_a_log_without_totals(edited: Callable[..., Path]) -> None:
    """That none was checked is told."""

    def without(log: EvalLog) -> None:
        log.results = None

    (note,) = read(edited(without)).notes
    assert note.endswith("it has no totals, so that none was checked")


def test_lists_of_logs_are_none() -> None:
    """What inspect writes beside the logs of a folder is not read as one."""
    names = ("a.eval", "a.json", "logs.json", "eval-set.json")
    assert [InspectLogs().is_named(Path(name)) for name in names] == [True, True, False, False]
