"""Texts of a server: what is asked, what its answers are made into, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import count
from typing import Any

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.evals.requests import Prediction, ToolCall
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from tests.servers.served import Asked, Handle, Reply, chat_answer, completion, served

TOOLS = (
    {
        "type": "function",
        "function": {"name": "weather", "description": "of a city", "parameters": {}},
    },
)
QUESTION = ({"role": "user", "content": "Weather in Rome?"},)


class Scripted:
    """A server whose answers each test says, with ids of their own."""

    def __init__(self) -> None:
        self.handle: Handle = lambda _: Reply(b"")
        self._numbers = count()

    def __call__(self, asked: Asked) -> Reply:
        """Answer as the test says."""
        reply: Any = self.handle(asked)
        if reply.status == HTTPStatus.OK:
            reply.body["id"] = f"answer-{next(self._numbers)}"
        return reply  # type: ignore[no-any-return]


Ask = Callable[..., tuple[list[Prediction], OpenAIEngine, list[Asked]]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Return what gives the predictions of a model, its engine, and what its server was asked."""
    scripted = Scripted()
    with served(scripted) as server:

        def asked(
            handle: Handle, *requests: GenerationRequest, **options: Any
        ) -> tuple[list[Prediction], OpenAIEngine, list[Asked]]:
            scripted.handle = handle
            said = {"base_url": server.url, "model": "m", "max_concurrency": 1, **options}
            engine = OpenAIEngine(ModelSpec("teacher", "teacher", options=said))
            server.asked.clear()
            return list(engine.predict(requests)), engine, list(server.asked)

        yield asked


def chat(message: Mapping[str, Any], finish: str = "stop", **more: Any) -> Handle:
    """Return what always answers with one message; `more` goes beside it."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return lambda _: Reply(chat_answer("") | {"choices": [choice | more.pop("choice", {})], **more})


def question(id: str = "e1", **given: Any) -> GenerationRequest:
    """Return a chat about the weather."""
    asked = Conversation(given.pop("messages", QUESTION), **given.pop("asked", {}))
    return GenerationRequest(id, "", decoding=Decoding(8), conversation=asked, **given)


def test_a_conversation_is_sent_as_the_api_takes_it(ask: Ask) -> None:
    """Calls have ids and arguments as text, results name their call, templates are told more."""
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rom"}}}
    messages = (
        {"role": "system", "content": "Be brief."},
        *QUESTION,
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "sunny"},
        {"role": "tool", "content": "mild"},
    )
    told: dict[str, Any] = {"tools": TOOLS, "arguments": {"enable_thinking": False}}
    asked = GenerationRequest("e", "", conversation=Conversation(messages, **told))

    def handle(asked: Asked) -> Reply:
        usage = {"prompt_tokens": len(str(asked.body)), "completion_tokens": 1}
        return Reply(chat_answer("fine", usage=usage))

    *_, sent = ask(handle, asked)[2]
    first, second = sent.body["messages"][2]["tool_calls"]
    assert (first["id"], second["id"]) == ("call_1", "call_2")
    assert first["function"] == {"name": "weather", "arguments": '{"city": "Rom"}'}
    assert [m.get("tool_call_id") for m in sent.body["messages"]][3:] == ["call_1", "call_2"]
    assert sent.body["messages"][:2] == [*messages[:2]]
    assert sent.body["tools"] == [*TOOLS]
    assert sent.body["chat_template_kwargs"] == {"enable_thinking": False}


def test_sampling_is_sent_with_its_seed(ask: Ask) -> None:
    """And what `extra_body` takes out is not sent."""
    drawn = Decoding(8, do_sample=True, temperature=0.5, top_p=0.9, seed=7)
    request = GenerationRequest("e", "p", True, drawn)
    body = {"logprobs": None, "top_k": 5}
    _, engine, (sent,) = ask(chat({"content": "a"}), request, extra_body=body)
    assert not any("logprobs" in note for note in engine.notes)
    assert sent.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "p"}],
        "max_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "top_k": 5,
    }


def test_a_call_of_a_tool_is_kept_as_the_server_gives_it(ask: Ask) -> None:
    """Its arguments are not read, so that broken ones stay what they are."""
    broken = {"id": "x", "function": {"name": "weather", "arguments": '{"city": "Ro'}}
    read = {"id": "y", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    handle = chat({"content": None, "tool_calls": [broken, read]}, "tool_calls")
    ((found,), *_) = ask(handle, question(asked={"tools": TOOLS}))
    assert found.tool_calls == (
        ToolCall("weather", '{"city": "Ro'),
        ToolCall("weather", '{"city": "Rome"}'),
    )
    assert (found.text, found.finish) == ("", "tool_call")


THINKS = ("<think>", "</think>")


@pytest.mark.parametrize(
    ("message", "finish", "text"),
    [
        ({"content": "4", "reasoning_content": "2+2"}, "stop", "<think>2+2</think>4"),
        ({"content": "4", "reasoning": "2+2"}, "stop", "<think>2+2</think>4"),
        ({"content": None, "reasoning": "2+2"}, "length", "<think>2+2"),
        ({"content": "2+2</think>4"}, "stop", "<think>2+2</think>4"),
        ({"content": "<think>2+2</think>4"}, "stop", "<think>2+2</think>4"),
        ({"content": "<think>2+2</think>4", "reasoning": "2+2"}, "stop", "<think>2+2</think>4"),
        ({"content": "4"}, "stop", "4"),
    ],
)
def test_thinking_stands_between_its_markers(
    ask: Ask, message: Mapping[str, Any], finish: str, text: str
) -> None:
    """Also where the server tells it apart, or where the template wrote the first of them."""
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": 7,
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    ((found,), *_) = ask(chat(message, finish, usage=usage), question(thinking=THINKS))
    assert (found.text, found.thinking_tokens, found.tokens) == (text, 5, 7)


def test_what_is_thought_is_no_part_of_an_answer_that_is_not_asked_about_it(ask: Ask) -> None:
    """Where the server tells it apart and the eval says no markers."""
    ((found,), *_) = ask(chat({"content": "4", "reasoning_content": "2+2"}), question())
    assert (found.text, found.thinking_tokens) == ("4", None)


@pytest.mark.parametrize("raw", ["Rome", "Rome\n", "Rome\n\nQ"])
def test_a_stop_string_is_no_part_of_the_text(ask: Ask, raw: str) -> None:
    """Whether a server leaves it out, leaves it in, or goes on to the end of its token."""
    request = GenerationRequest("e", "p", False, Decoding(8, ("\n",)))
    ((found,), *_) = ask(lambda _: Reply(completion(raw)), request)
    assert (found.text, found.finish) == ("Rome", "end" if raw == "Rome" else "stop")


def likely(values: Sequence[Any], *, chats: bool) -> dict[str, Any]:
    """Return a choice's log-probabilities in the form of each of the two ways to ask."""
    if not chats:
        return {"logprobs": {"token_logprobs": values}}
    return {"logprobs": {"content": [{"token": "t", "logprob": value} for value in values]}}


@pytest.mark.parametrize("chats", [True, False])
@pytest.mark.parametrize(
    ("values", "tokens", "found"),
    [
        ([-0.5, -1.25, -2.0], 3, (-3.75, 3)),
        ([-0.5, -1.25], 3, (-1.75, 3)),  # without its end token
        ([-0.5], 9, (None, 9)),  # without what was thought
        ([], 3, (None, 3)),
    ],
)
def test_the_log_likelihood_is_that_of_the_whole_text(
    ask: Ask, values: list[float], tokens: int, found: tuple[float | None, int], *, chats: bool
) -> None:
    """The sum over its tokens; it is not known, with a note, where some are lacking."""
    usage = {"prompt_tokens": 3, "completion_tokens": tokens}
    choice = likely(values, chats=chats)

    def handle(_: Asked) -> Reply:
        answer = (chat_answer if chats else completion)("abc", usage=usage)
        answer["choices"][0] |= choice
        return Reply(answer)

    ((one,), engine, _) = ask(handle, GenerationRequest("e", "p", chats, Decoding(20)))
    known = one.loglikelihoods and math.isclose(one.loglikelihoods[0], found[0] or 0)
    assert (known, one.tokens) == (None if found[0] is None else True, found[1])
    assert any("is not known" in note for note in engine.notes) == (found[0] is None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (chat({"content": "a"}, "content_filter"), "content filter"),
        (chat({"content": "a"}, "SAFETY"), "content filter"),
        (chat({"content": None}), "neither content nor tool_calls"),
        (chat({}), "neither content nor tool_calls"),
        (chat({"content": 5}), "neither content nor tool_calls"),
        (chat({"content": "a"}, choice={"message": None}), "neither a message nor a text"),
        (chat({"content": "a", "tool_calls": [{"function": {}}]}), "has no name"),
        (chat({"content": "a"}, choice=likely([0.5], chats=True)), "0.5 for its log-probability"),
        (chat({"content": "a"}, choice=likely([-(10**400)], chats=True)), "which is none"),
        (lambda _: Reply(chat_answer("a", choices=[{}, {}])), "asked was for one answer, and 2"),
    ],
)
def test_what_is_no_answer_is_an_error_with_the_example(
    ask: Ask, answer: Handle, said: str
) -> None:
    """In one line, with the model and the id."""
    with pytest.raises(ModelError, match=rf"'teacher', example 'e1'.*{said}"):
        ask(answer, question())


def test_a_refusal_is_an_answer(ask: Ask) -> None:
    """Its text is what a user would read."""
    ((found,), *_) = ask(chat({"content": None, "refusal": "I cannot say."}), question())
    assert found.text == "I cannot say."


def test_a_template_cannot_be_chosen_on_a_server(ask: Ask) -> None:
    """The error says so, and what to do."""
    with pytest.raises(ModelError, match=r"example 'e1'.*none can be chosen by name \('short'\)"):
        ask(chat({"content": "a"}), question(asked={"template": "short"}))


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_is_asked_in_the_words_that_it_takes(ask: Ask, status: int) -> None:
    """One that wants `max_completion_tokens`, and one without log-probabilities, are found out."""

    def handle(asked: Asked) -> Reply:
        if "max_tokens" in asked.body:
            said = "Unsupported parameter: use 'max_completion_tokens' instead."
            return Reply({"error": {"message": said}}, status)
        if "logprobs" in asked.body:
            return Reply({"error": {"message": "logprobs is not supported"}}, status)
        return Reply(chat_answer("a"))

    found, engine, sent = ask(handle, question("e1"), question("e2"))
    assert [p.text for p in found] == ["a", "a"]
    assert [sorted({"max_tokens", "logprobs"} & {*asked.body}) for asked in sent] == [
        ["logprobs", "max_tokens"],
        ["logprobs"],
        [],
        [],  # what was found out is kept
    ]
    assert sent[-1].body["max_completion_tokens"] == 8
    assert any("refuses logprobs" in note for note in engine.notes)


@pytest.mark.parametrize(
    ("request_", "reply", "said"),
    [
        (GenerationRequest("e1", "p"), Reply(b"Not found", 404), "chat: true"),
        (
            GenerationRequest("e1", "p", True, truncate="left"),
            Reply({"error": {"message": "maximum context length is 9 tokens"}}, 400),
            "a server cuts no prompt, also with 'truncate: left'.*shorten it",
        ),
    ],
)
def test_what_a_server_refuses_is_told_with_what_to_do(
    ask: Ask, request_: GenerationRequest, reply: Reply, said: str
) -> None:
    """With the example and what the server said."""
    with pytest.raises(ModelError, match=rf"'e1'.*{said}"):
        ask(lambda _: reply, request_)


def test_a_server_that_does_not_stop_is_refused(ask: Ask) -> None:
    """Each by its name, which makes it a note where it is accepted."""
    long = {"prompt_tokens": 1, "completion_tokens": 900}
    on = Reply(completion("Rome\nQ: and what is the capital of Italy?\nA: Rome"))
    stopping = GenerationRequest("e1", "p", False, Decoding(8, ("\n",)))
    for name, reply in (("max_tokens", Reply(completion("a", usage=long))), ("stop", on)):
        with pytest.raises(ModelError, match=rf"does not honour {name}.*'e1'.*accept: \[{name}\]"):
            ask(lambda _, reply=reply: reply, stopping)
        ((found,), engine, _) = ask(lambda _, reply=reply: reply, stopping, accept=[name])
        assert found.text in ("a", "Rome")
        assert f"teacher: its server does not honour {name} (accept: [{name}])" in engine.notes
