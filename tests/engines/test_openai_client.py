"""The client of `engine: openai`: what is tried again, what is refused, and what is never sent."""

from __future__ import annotations

import asyncio
import socket
import time
from itertools import count
from typing import Any

import pytest

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from tests.servers.faults import FAULTS, bytes_of, faulty, raw
from tests.servers.served import Asked, Reply, completion, served


def requests(number: int) -> list[GenerationRequest]:
    """Return requests whose prompts are all different."""
    return [GenerationRequest(f"e{n}", f"p{n}", False, Decoding(4)) for n in range(number)]


def engine(url: str, **options: object) -> OpenAIEngine:
    """Return an engine for the model ``m`` of a server."""
    said = {"base_url": url, "model": "m", **options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=said))


def texts(asked: OpenAIEngine, number: int) -> dict[str, str | None]:
    """Return what is answered to so many requests."""
    return {answer.id: answer.text for answer in asked.predict(requests(number))}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again without a pause."""
    for of in ("REQUEST", "SERVER"):
        monkeypatch.setattr(f"pytest_distill.engines.openai.server._{of}_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "fault",
    [
        Reply({"error": {"message": "slow down"}}, 429, {"retry-after": "0"}),
        Reply({"error": {"message": "slow down"}}, 429),
        Reply(b"", 408),
        Reply(b"", 409),
        Reply(b"", 425),
        Reply(b"oh", 500),
        Reply(b"<html>Bad gateway</html>", 502),
        Reply(b"", 503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Reply(b"", 429, {"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}),
        Reply(b"", 504),
        Reply(b"", 529),
        Reply(b'{"id": "x", "choi'),
        Reply(b"[" * 100_000),
        Reply(b"\xff\xfe\xfa"),
        Reply([]),
        Reply({"id": "x", "choices": []}),
        Reply({"id": "x", "choices": None}),
        Reply({"error": {"message": "upstream"}}),
        Reply(completion("a part", error={"message": "upstream"})),
        Reply(completion("a part", choices=[{"text": "a part", "finish_reason": "error"}])),
        Reply(b"", 204),
        Reply(b"x", 200, {"content-encoding": "br"}),
        Reply(b"x", 200, {"content-encoding": "gzip"}),
    ],
    ids=lambda reply: f"{reply.status} {reply.raw[:20]!r}",
)
def test_what_may_pass_is_asked_again(fault: Reply) -> None:
    """A fault that comes once is outlived, and the answer is the right one."""
    left = iter([fault])

    def answer(asked: Any) -> list[bytes | float]:
        reply = next(left, None) or Reply(completion(asked["prompt"]))
        return [bytes_of(reply.raw, reply.status, **reply.headers)]

    with raw(answer) as server:
        assert texts(engine(server.url), 1) == {"e0": "p0"}
    assert len(server.asked) == 2


@pytest.mark.usefixtures("at_once")
def test_where_nobody_ever_takes_a_connection_the_address_is_doubted() -> None:
    """It is not waited for until the deadline: nothing tells that a server will be there."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ModelError, match=r"'e\d' could not be sent: .*is base_url right\?$"):
        texts(engine(f"http://127.0.0.1:{port}/v1"), 3)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_what_will_not_pass_is_told_at_once(status: int) -> None:
    """With the example's id and the server's own words."""
    fault = bytes_of({"error": {"message": "no such thing", "code": "odd"}}, status)
    with raw(lambda _: [fault]) as server:
        with pytest.raises(ModelError) as caught:
            texts(engine(server.url, max_concurrency=1), 9)
        said = str(caught.value)
    assert len(server.asked) == 1
    assert f"example 'e0' was answered {status}: no such thing (odd)" in said
    assert ("base_url" in said) == (status == 404)
    assert ("api_key_env" in said) == (status in (401, 403))


@pytest.mark.usefixtures("at_once")
def test_a_bad_answer_to_one_request_ends_well_before_the_deadline() -> None:
    """Though the server answers all others."""
    numbers = count()

    def handle(asked: Asked) -> Reply:
        bad = asked.body["prompt"] == "p3"
        return Reply(b"<html>") if bad else Reply(completion(asked.body["prompt"], next(numbers)))

    got: list[str] = []
    with served(handle) as server:
        asked = engine(server.url, max_concurrency=4)
        with pytest.raises(ModelError, match="example 'e3' was answered with what is not JSON"):
            got.extend(answer.id for answer in asked.predict(requests(8)))
    assert sum(asked.body["prompt"] == "p3" for asked in server.asked) == 10
    assert got


def test_every_answer_comes_once_and_right_whatever_the_server_does() -> None:
    """Of 10,000 requests, of which every fifth meets a fault."""
    number = 10_000
    with faulty(0.2) as server:
        asked = engine(server.url, max_concurrency=64)
        got = [(answer.id, answer.text) for answer in asked.predict(requests(number))]
        met = server.met
    assert len(got) == number
    assert dict(got) == {f"e{n}": f"p{n}" for n in range(number)}
    assert min(met[fault] for fault in FAULTS) > 100
    assert met[""] + met["slow"] == number + 2  # trials of what the server honours


@pytest.mark.usefixtures("at_once")
def test_who_waits_for_a_server_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts, and in a note where it lasted."""
    monkeypatch.setattr("pytest_distill.engines.openai.running._WAITING_SECONDS", 0.05)
    monkeypatch.setattr("pytest_distill.engines.openai.pacing._WORTH_TELLING", 0.5)
    began, told = time.monotonic(), list[str]()

    def answer(asked: Any) -> list[bytes | float]:
        if time.monotonic() < began + 1.5:
            return [bytes_of({"error": "too busy"}, 503)]
        return [bytes_of(completion(asked["prompt"]))]

    with raw(answer) as server:
        asked = engine(server.url)
        asked.while_waiting = lambda: told.append(asked.status)
        assert texts(asked, 1) == {"e0": "p0"}
    waiting = "waiting for the server for 1 s: was answered 503: too busy"
    assert any(said.endswith(waiting) for said in told)
    assert "waited for up to" in asked.notes[-1]


def test_no_more_is_sent_at_once_than_a_server_can_take() -> None:
    """Which shows in how few of the requests it must refuse."""
    number, room, going, refused = 300, 4, 0, 0

    async def handle(asked: Asked) -> Reply:
        nonlocal going, refused
        if going >= room:
            refused += 1
            return Reply(b"", 429, {"retry-after": "0"})
        going += 1
        await asyncio.sleep(0.01)
        going -= 1
        return Reply(completion(asked.body["prompt"], len(server.asked)))

    with served(handle) as server:
        got = texts(engine(server.url, max_concurrency=32), number)
    assert got == {f"e{n}": f"p{n}" for n in range(number)}
    assert 0 < refused < number / 2
