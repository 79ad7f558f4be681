"""OpenAI's batch output, recorded as it was downloaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction, ToolCall
from pytest_distill.evals.tasks import Generation
from pytest_distill.evaluation.answered import mixed_notes
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.recorded import RecordedModel

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1}'}}


def line(body: Any, id: str = "q1", status: int = 200, error: Any = None) -> dict[str, Any]:
    """Return a line as the API writes it."""
    response = {"status_code": status, "request_id": "req_1", "body": body}
    return {"id": f"batch_req_{id}", "custom_id": id, "response": response, "error": error}


def chat(*messages: dict[str, Any], finish: str = "stop", usage: Any = None) -> dict[str, Any]:
    """Return the body of a chat completion with a choice for each message."""
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "refusal": None, **message},
            "logprobs": None,
            "finish_reason": finish,
        }
        for i, message in enumerate(messages)
    ]
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": choices, "usage": usage}


def response(*output: Any, **keys: Any) -> dict[str, Any]:
    """Return a body of /v1/responses."""
    usage = {"output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 4}}
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "output": list(output),
        "usage": usage,
        **keys,
    }


def said(text: str, kind: str = "output_text") -> dict[str, Any]:
    """Return an item of a response that is a message."""
    part = {"type": kind, ("text" if kind == "output_text" else "refusal"): text}
    return {"type": "message", "role": "assistant", "status": "completed", "content": [part]}


def evaluated(folder: Path, lines: Sequence[Any], repeats: int = 1) -> MeasuredEvaluation:
    """Return the evaluation of a recorded model on two questions."""
    path = folder / "batch_output.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    examples = tuple(
        Example(id, {"input": id, "target": "x"}, f"gold.jsonl:{i}")
        for i, id in enumerate(("q1", "q2"))
    )
    sampling: dict[str, Any] = {} if repeats == 1 else {"do_sample": True, "seed": 1}
    task = Generation(repeats=repeats, **sampling)
    on = Eval("sums", task, GoldSet("gold.jsonl", examples), (BUILT_IN["exact_match"],))
    found = RecordedModel(ModelInfo("student", "student"), lambda _: path).evaluate(on)
    assert isinstance(found, MeasuredEvaluation)
    return found


def first(folder: Path, body: Any) -> Prediction:
    """Return the prediction that a body is."""
    return evaluated(folder, [line(body), line(chat({"content": "x"}), "q2")]).predictions[0]


def test_lines_are_aligned_by_what_the_sender_called_them(tmp_path: Path) -> None:
    """In any order: `id` is the server's."""
    lines = [line(chat({"content": text}), id) for id, text in (("q2", "y"), ("q1", "x"))]
    assert [(p.id, p.text) for p in evaluated(tmp_path, lines).predictions] == [
        ("q1", "x"),
        ("q2", "y"),
    ]


def test_a_chat_completion(tmp_path: Path) -> None:
    """Its text, why it ended, and how many tokens it has."""
    usage = {"prompt_tokens": 50, "completion_tokens": 12, "total_tokens": 62}
    found = first(tmp_path, chat({"content": "It is 4."}, finish="length", usage=usage))
    assert (found.text, found.finish, found.tokens) == ("It is 4.", "length", 12)
    assert (found.thinking_tokens, found.tool_calls) == (None, None)
    details = {"completion_tokens_details": {"reasoning_tokens": 7}}
    assert first(tmp_path, chat({"content": "x"}, usage={**usage, **details})).thinking_tokens == 7
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "4."}]
    assert first(tmp_path, chat({"content": parts})).text == "It is 4."
    assert first(tmp_path, chat({"content": ""})).text == ""


def test_who_answered(tmp_path: Path) -> None:
    """What the server calls the state that it answered in; answers of several are told apart."""
    bodies = [chat({"content": "x"}) | {"system_fingerprint": f"fp_{n}"} for n in range(2)]
    found = evaluated(tmp_path, [line(bodies[0]), line(bodies[1], "q2")])
    assert [p.fingerprint for p in found.predictions] == ["fp_0", "fp_1"]
    (note,) = mixed_notes(found)
    assert "differ in their system_fingerprint, fp_0 (1), fp_1 (1)" in note


def test_calls_of_tools(tmp_path: Path) -> None:
    """Beside them the content is null."""
    found = first(tmp_path, chat({"content": None, "tool_calls": [CALL]}, finish="tool_calls"))
    assert found.tool_calls == (ToolCall("f", '{"n": 1}'),)
    assert (found.text, found.finish) == ("", "tool_call")


def test_a_refusal_is_what_the_model_said(tmp_path: Path) -> None:
    """It is an answer, and a wrong one."""
    assert first(tmp_path, chat({"content": None, "refusal": "I can't."})).text == "I can't."
    assert first(tmp_path, response(said("I can't.", "refusal"))).text == "I can't."


def test_a_plain_completion(tmp_path: Path) -> None:
    """The body of /v1/completions has its text in the choice."""
    choice = {"index": 0, "text": " 4.", "logprobs": None, "finish_reason": "stop"}
    found = first(tmp_path, {"choices": [choice], "usage": {"completion_tokens": 3}})
    assert (found.text, found.finish, found.tokens) == (" 4.", "stop", 3)


def test_a_response(tmp_path: Path) -> None:
    """The body of /v1/responses has items, of which messages and calls are answers."""
    reasoning = {"type": "reasoning", "summary": []}
    found = first(tmp_path, response(reasoning, said("It is "), said("4.")))
    assert (found.text, found.finish, found.tokens, found.thinking_tokens) == (
        *("It is 4.", "end"),
        *(9, 4),
    )
    call = {"type": "function_call", "name": "f", "arguments": '{"n": 1}', "call_id": "call_1"}
    found = first(tmp_path, response(call))
    assert (found.tool_calls, found.finish) == ((ToolCall("f", '{"n": 1}'),), "tool_call")
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    found = first(tmp_path, response(reasoning, **cut))
    assert (found.text, found.finish) == ("", "length")


def test_several_choices_are_repeats(tmp_path: Path) -> None:
    """In the order of their indices; how many tokens each has nobody says."""
    bodies = [
        chat({"content": "x"}, {"content": "y"}, usage={"completion_tokens": 9}) for _ in range(2)
    ]
    bodies[0]["choices"].reverse()
    found = evaluated(tmp_path, [line(bodies[0]), line(bodies[1], "q2")], repeats=2)
    assert [[s.text for s in samples] for samples in found.samples] == [["x", "y"]] * 2
    assert {s.tokens for samples in found.samples for s in samples} == {None}


ERROR = {"error": {"code": "context_length_exceeded", "message": "too long", "type": "x"}}


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (
            line(ERROR, status=400),
            "the server answered with status 400: context_length_exceeded: too long; ask again",
        ),
        (line(None, status=500), "the server answered with status 500; ask again"),
        (
            {
                "id": "b",
                "custom_id": "q1",
                "response": None,
                "error": {"code": "batch_expired", "message": "not in time"},
            },
            "the request failed: batch_expired: not in time; ask again, or leave it out of both",
        ),
        ({"custom_id": "q1", "response": None, "error": None}, "no response; ask again"),
        (line("oops"), "its body is 'oops', not an object"),
        (
            line({"object": "list", "data": [], "usage": {}}),
            "its body has no 'choices' and no 'output', but object, data, usage: no text was",
        ),
        (line(chat()), "its body has no 'choices'"),
        (line(chat({"content": None})), "a choice has neither a text nor calls of tools"),
        (line(chat({"content": 5})), "its content is 5, not text"),
        (line(chat({"content": [{"type": "image"}]})), "its content is [{'type': 'image'}], not"),
        (line(response(status="failed", error={"message": "no"})), "the response is 'failed' (no)"),
        (
            line(response(status="incomplete", incomplete_details={"reason": "content_filter"})),
            "the response is 'incomplete' (content_filter); ask again",
        ),
        (line(response()), "the response has neither a text nor calls of tools"),
    ],
)
def test_a_request_without_an_answer_is_an_error(tmp_path: Path, bad: Any, problem: str) -> None:
    """It names the request as its sender did, and says why."""
    with pytest.raises(EvaluationError) as raised:
        evaluated(tmp_path, [line(chat({"content": "x"}), "q2"), bad])
    place = f"{tmp_path / 'batch_output.jsonl'}:2 (custom_id 'q1'): "
    assert str(raised.value).startswith(place + problem)


def test_lines_of_two_models(tmp_path: Path) -> None:
    """Two outputs in one file are refused: a batch is of one model."""
    lines = [
        line({**chat({"content": "a"}), "model": model}, id)
        for id, model in (("q1", "big"), ("q2", "small"))
    ]
    with pytest.raises(EvaluationError, match=r"of the model 'small', and .*:1 is of 'big'"):
        evaluated(tmp_path, lines)


def test_what_was_filtered_is_no_answer(tmp_path: Path) -> None:
    """The server took the text away; the error is that of any row."""
    with pytest.raises(EvaluationError, match="finish_reason is 'content_filter'; known:"):
        first(tmp_path, chat({"content": "so"}, finish="content_filter"))


def test_a_request_that_is_there_twice(tmp_path: Path) -> None:
    """Two downloads in one file are no repeats."""
    lines = [line(chat({"content": "x"}), id) for id in ("q1", "q2", "q1")]
    with pytest.raises(EvaluationError, match=r":3: the id 'q1' is already used at .*:1;"):
        evaluated(tmp_path, lines)
