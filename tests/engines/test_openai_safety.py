"""What `engine: openai` never does: show its key, ask another server, hand out a wrong answer."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import socket
import threading
import time
import traceback
import zlib
from collections.abc import Iterator
from email.utils import formatdate
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from pytest_distill.engines.openai.answered import Seen
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.engines.openai.replies import seconds_of
from pytest_distill.engines.openai.safety import SHOWN, Key
from pytest_distill.errors import ModelError
from tests.engines.test_openai_client import engine, requests, texts
from tests.servers.faults import RESET, bytes_of, raw
from tests.servers.served import Asked, Reply, completion, served

SECRET = "sk-proj-A1b2C3d4E5f6G7h8J9k0LmNoPqRsTuVw"  # noqa: S105 (opens nothing)


CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIURogbZxHVhNThzU7X5gVv2EWc3EYwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzIzMjkwNFoYDzIxMjYxMTAz
MjMyOTA0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ008X8ywENTVVfQpe9e1iKseP5WknbfND6SKQZ+E6M6xkLwx2TN6jh
mNuvcpuHOeEqG60TnSVJx8Gdb4Rssq7uo28wbTAdBgNVHQ4EFgQUThSJCMGnKjFd
BA4h/KAyCz9OkYEwHwYDVR0jBBgwFoAUThSJCMGnKjFdBA4h/KAyCz9OkYEwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgRrdSbWwqV69eADSnW41OzecwnMgXyuAS+Nd6VPiQiBcCIAg5
pdX3w3zgJ1Zaf6tJOHEbQtEAkMEwJ1/h1XX9Kxa4
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCI3XxD5yp2Fa0TS8
pdKUSzMUck8PhAxS4dxUHQ4TbAShRANCAAQ008X8ywENTVVfQpe9e1iKseP5Wknb
fND6SKQZ+E6M6xkLwx2TN6jhmNuvcpuHOeEqG60TnSVJx8Gdb4Rssq7u
-----END PRIVATE KEY-----
"""
"""Of localhost, with its key: signed by itself, it opens nothing."""


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """Hold a key in the environment."""
    monkeypatch.setenv("TEST_KEY", SECRET)
    return SECRET


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8000/v1", "HTTP://127.0.0.2/v1", "http://[::1]:80/v1", "https://a.example"],
)
def test_a_safe_address_is_taken(url: str) -> None:
    """TLS anywhere, plain http on this machine."""
    assert OpenAIOptions(base_url=url, model="m").base_url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://a.example/v1", "plain http"),
        ("http://127.0.0.1.a.example/v1", "plain http"),
        ("http://localhost.a.example/v1", "plain http"),
        ("http://a.localhost/v1", "plain http"),
        ("http://0.0.0.0/v1", "plain http"),
        ("http://2130706433/v1", "plain http"),
        ("http://[::ffff:1.2.3.4]/v1", "plain http"),
        ("http://localhost@a.example/v1", "name or a password"),
        ("https://user:pass@a.example/v1", "name or a password"),
        ("http://127.0.0.1\\@a.example/v1", "ASCII"),
        ("https://a.example/v1 ", "ASCII"),
        ("https://a.example/\nv1", "ASCII"),
        ("https://ä.example/v1", "ASCII"),
        ("https://a.example/v1?key=1", "its path"),
        ("https://a.example/v1#x", "its path"),
        ("a.example/v1", "must begin with https://"),
        ("ftp://a.example/v1", "must begin with https://"),
        ("https:a.example", "must begin with https://"),
        ("https://a.example/v1/chat/completions", "end before /chat/completions"),
        ("https://a.example/v1/completions/", "end before /completions/"),
        ("https://", "no host"),
        ("https:///v1", "no host"),
        ("https://a_%41.example", "no host"),
        ("https://a.example:99999", "no URL"),
        ("https://[::1", "no URL"),
    ],
)
def test_an_unsafe_address_is_refused(url: str, said: str) -> None:
    """Where the key could be read, or sent to another than the one that seems to be named."""
    with pytest.raises(ValueError, match=said):
        OpenAIOptions(base_url=url, model="m")


def test_plain_http_to_another_machine_can_be_allowed() -> None:
    """By `insecure: true`, which allows nothing else."""
    OpenAIOptions(base_url="http://a.example/v1", model="m", insecure=True)
    with pytest.raises(ValueError, match="password"):
        OpenAIOptions(base_url="http://u:p@a.example/v1", model="m", insecure=True)


def test_a_key_in_place_of_the_name_of_its_variable_is_not_repeated() -> None:
    """Neither where it cannot be a name, nor where it could."""
    with pytest.raises(ValueError, match="never a key") as caught:
        OpenAIOptions(base_url="https://a.example", model="m", api_key_env=SECRET)
    assert SECRET not in str(caught.value)
    with pytest.raises(ModelError, match="that 'api_key_env' names is not set") as missing:
        texts(engine("http://127.0.0.1:9/v1", api_key_env="A1b2C3d4E5f6"), 1)
    assert "A1b2C3d4E5f6" not in str(missing.value)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "TEST_KEY is not set"),
        ("", "is empty"),
        (" \n", "is empty"),
        ("sk-1234 ", "a blank"),
        ("sk-1234\n", "a blank"),
        ("sk-ä", "no key has"),
        ("sk-\x07", "no key has"),
    ],
)
def test_a_key_that_is_none_is_told_before_anything_is_sent(
    value: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the variable's name, and never its value."""
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(ModelError, match=said) as caught:
        texts(engine("http://127.0.0.1:9/v1", api_key_env="TEST_KEY"), 1)
    assert "1234" not in str(caught.value)


def test_the_key_is_sent_and_shown_nowhere(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in errors with all local variables, not in logs, not in what is stored."""
    caplog.set_level(logging.DEBUG)
    repeated = [
        secret,
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
        base64.b64encode(f"Bearer {secret}".encode()).decode(),
        secret.encode().hex(),
        secret[:14],
        secret.upper(),
        f"{secret[:4]}****{secret[-4:]}",
    ]
    words = " | ".join(repeated)
    numbers = count()

    def handle(asked: Asked) -> Reply:
        if asked.body["prompt"] == "p0":
            return Reply(completion(f"so: {secret}", next(numbers)))
        return Reply({"error": {"message": words}}, 400, {"x-key": secret})

    with served(handle) as server:
        asked = engine(server.url, api_key_env="TEST_KEY", max_concurrency=1)
        got = asked.predict(requests(2))
        stored = next(got)
        with pytest.raises(ModelError) as caught:
            next(got)
    assert server.asked[0].headers["authorization"] == f"Bearer {secret}"
    told = traceback.TracebackException(
        ModelError, caught.value, caught.tb.tb_next, capture_locals=True, compact=False
    )
    assert len(told.stack) > 5
    assert stored.text == "so: [key]"
    shown = [
        str(caught.value),
        "".join(told.format()),
        caplog.text,
        repr(asked.identity) + repr(asked.notes) + repr(vars(asked)),
    ]
    for text in shown:
        for form in repeated:
            assert form not in text
    assert "[key]" in shown[0]


@pytest.mark.parametrize("shape", ["escaped", "slashed", "other bytes", "in a URL"])
def test_a_key_is_no_part_of_an_answer_however_it_is_written(shape: str) -> None:
    """Of what goes into the store, as of what is told of a bad one."""
    secret = "sk-Proj/abc+DEF_98765432-zyxWVU"  # noqa: S105 (nobody's)
    key = Key(secret)
    escaped = "".join(f"\\u{ord(char):04x}" for char in secret)
    found = {
        "choices": [{"text": f"so: {secret}"}],
        "model": secret,
        secret: 1,
        "odd": float("inf"),
    }
    body = json.dumps(found).encode()
    body = {
        "escaped": body.replace(secret.encode(), escaped.encode()),
        "slashed": body.replace(b"/", b"\\/"),
        "other bytes": json.dumps(found).encode("utf-16"),
        "in a URL": body.replace(secret.encode(), quote(secret, safe="").encode()),
    }[shape]
    assert secret not in str(key.taken_from(json.loads(body)))
    said = {"escaped": escaped, "slashed": secret.replace("/", "\\/")}.get(shape, secret)
    for wrapped in (said, quote(quote(said)), "".join(f"&#{ord(char)};" for char in said)):
        assert key.hidden_in(f"bad: {wrapped} of you").split() == ["bad:", SHOWN, "of", "you"]


def test_a_short_key_is_hidden_as_a_word_alone() -> None:
    """``EMPTY`` stands in answers too, and is no secret there."""
    key = Key("EMPTY")
    assert key.hidden_in("no key EMPTY, but EMPTYING it") == "no key [key], but EMPTYING it"
    assert key.taken_from({"text": "EMPTY"}) == {"text": "EMPTY"}
    assert "EMPTY" not in repr(key)
    assert Key("").hidden_in("as it is") == "as it is"


def test_a_response_that_is_sent_twice_is_not_the_answer_to_the_next_request() -> None:
    """Nor is an error that is sent twice, and whatever its id says."""
    numbers = count()

    def answer(asked: Any) -> list[bytes | float]:
        number = next(numbers)
        if number % 3 == 1:
            return [bytes_of({}, 500) * 2]
        fresh = [bytes_of(completion(asked["prompt"], 2 * number + n)) for n in range(2)]
        return [fresh[0] * 2] if number % 3 else [fresh[0], 0.001, fresh[1]]

    with raw(answer) as server:
        got = texts(engine(server.url, max_concurrency=4), 60)
    assert got == {f"e{n}": f"p{n}" for n in range(60)}


def test_the_answer_to_another_request_is_refused() -> None:
    """Whoever sends it again, over whichever connection."""
    answers: list[dict[str, Any]] = []
    numbers = count()

    def handle(asked: Asked) -> Reply:
        number = next(numbers)
        if number % 5 == 4:
            return Reply(answers[number // 2])
        answers.append(completion(asked.body["prompt"], number))
        return Reply(answers[-1])

    with served(handle) as server:
        assert texts(engine(server.url), 80) == {f"e{n}": f"p{n}" for n in range(80)}
        assert len(server.asked) > 80


@pytest.mark.parametrize("id", ["same", None, 7])
def test_ids_that_say_nothing_are_no_reason_to_refuse(id: object) -> None:
    """As of servers that give every answer the same, or none."""
    with served(lambda asked: Reply(completion(asked.body["prompt"]) | {"id": id})) as server:
        assert texts(engine(server.url), 40) == {f"e{n}": f"p{n}" for n in range(40)}
    assert len(server.asked) == 40


def test_equal_answers_of_one_id_are_taken_after_a_few() -> None:
    """A classifier that says `yes` to all, on a server that numbers nothing."""
    with served(lambda _: Reply(completion("yes"))) as server:
        assert set(texts(engine(server.url), 40).values()) == {"yes"}
    assert len(server.asked) < 50


def test_an_equal_question_may_have_an_equal_answer() -> None:
    """As a cache before a server gives it."""
    seen = Seen()
    answer = completion("a", 1)
    assert not seen.is_of_another(answer, b"q")
    assert not seen.is_of_another(answer, b"q")
    assert seen.is_of_another(answer, b"r")


def test_a_redirect_to_another_server_is_refused(secret: str) -> None:
    """And it never sees the key; a redirect within a server is followed."""

    def handle(asked: Asked) -> Reply:
        if asked.path.startswith("/there"):
            return Reply(completion(asked.body["prompt"]))
        to = {"p0": "/there/completions", "p1": f"{other.url}/completions?{secret}"}
        return Reply(b"", 307, {"location": to[asked.body["prompt"]]})

    with served(lambda _: Reply(completion("stolen"))) as other, served(handle) as server:
        asked = engine(server.url, api_key_env="TEST_KEY", max_concurrency=1)
        got = asked.predict(requests(2))
        assert next(got).text == "p0"
        with pytest.raises(ModelError, match="'e1' was redirected to http:") as caught:
            next(got)
    assert not other.asked
    assert secret not in str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return where the certificate of a server is."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_text(CERTIFICATE)
    return str(path)


def test_a_certificate_that_nobody_vouches_for_is_refused(
    certificate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, and with what to do where it's one's own."""

    def handle(asked: Asked) -> Reply:
        if asked.body["prompt"] == "p1":
            return Reply(b"", 307, {"location": server.url.replace("https", "http")})
        return Reply(completion(asked.body["prompt"]))

    with served(handle, certificate=certificate) as server:
        with pytest.raises(ModelError, match=r"'e0' could not be sent.*SSL_CERT_FILE"):
            texts(engine(server.url), 1)
        assert not server.asked
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        got = engine(server.url, max_concurrency=1).predict(requests(2))
        assert next(got).text == "p0"
        with pytest.raises(ModelError, match="'e1' was redirected to http:"):
            next(got)
    with served(handle) as plain, pytest.raises(ModelError, match="does not speak https there"):
        texts(engine(plain.url.replace("http", "https")), 1)


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says; what cannot be one is told."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://user:password@127.0.0.1:9")
    with served(lambda asked: Reply(completion(asked.body["prompt"]))) as server:
        assert texts(engine(server.url), 1) == {"e0": "p0"}
    monkeypatch.setenv("ALL_PROXY", "odd://user:password@127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be used: look at HTTPS_PROXY") as caught:
        texts(engine("https://a.invalid"), 1)
    assert "password" not in str(caught.value)


def test_redirects_without_end_are_left() -> None:
    """After a few."""
    with (
        served(lambda asked: Reply(b"", 308, {"location": asked.path})) as server,
        pytest.raises(ModelError, match="'e0' was redirected without end"),
    ):
        texts(engine(server.url), 1)
    assert len(server.asked) < 10


def test_a_body_has_a_greatest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is packed, and of an error too; what is more is not read."""
    monkeypatch.setattr("pytest_distill.engines.openai.replies.MOST_BYTES", 2**20)
    monkeypatch.setattr("pytest_distill.engines.openai.server._REQUEST_SECONDS", 0.0)
    pack = zlib.compressobj(wbits=31)
    packed = pack.compress(b"{" * 2**22) + pack.flush()
    kinds = {
        "p0": Reply(b'{"id": "' + b"x" * 2**22),
        "p1": Reply(packed, 200, {"content-encoding": "gzip"}),
        "p2": Reply(b"x" * 2**22, 400),
    }
    said = ["more than 1 MiB", "more than 1 MiB", r"answered 400: x+ \[...\]$"]
    with served(lambda asked: kinds[asked.body["prompt"]]) as server:
        for request, words in zip(requests(3), said, strict=True):
            with pytest.raises(ModelError, match=f"'{request.id}' was .*{words}"):
                list(engine(server.url).predict([request]))


@pytest.mark.parametrize(
    "parts",
    [
        [RESET],
        [b""],
        [b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{", RESET],
        [b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{", b""],
        [b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{", b""],
        [b"not http at all\r\n\r\n", b""],
        [b"HTTP/1.1 200 X\r\nx: " + b"y" * 200_000, b""],
    ],
    ids=range(7),
)
def test_a_connection_that_fails_is_outlived(parts: list[bytes | float]) -> None:
    """Reset or closed, before or amid an answer, or with what is none."""
    first = iter([parts])

    def answer(asked: Any) -> list[bytes | float]:
        return next(first, None) or [bytes_of(completion(asked["prompt"]))]

    with raw(answer) as server:
        assert texts(engine(server.url), 1) == {"e0": "p0"}
    assert len(server.asked) == 2


HALF = b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{"


@pytest.mark.parametrize(
    ("parts", "times", "said"),
    [
        ([30.0], {"first_byte": 0.1}, "timeouts.first_byte"),
        (
            [b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{", 30.0],
            {"first_byte": 0.1},
            "first_byte",
        ),
        ([b"H", 0.05] * 100, {"total": 0.2}, "timeouts.total"),
        ([30.0], {}, "no answer within timeouts.deadline, 0.6 s"),
    ],
)
def test_each_timeout_ends_what_it_is_for(
    parts: list[bytes | float], times: dict[str, float], said: str
) -> None:
    """The first byte, a try, and a request with all its tries."""
    began = time.monotonic()
    with raw(lambda _: parts) as server, pytest.raises(ModelError, match=said):
        texts(engine(server.url, timeouts={"deadline": 0.6, **times}), 1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("1e999", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00", 0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(said: str | None, seconds: float | None) -> None:
    """In seconds or as a date; anything else says nothing."""
    assert seconds_of(said) == seconds


def test_a_date_to_come_is_waited_for() -> None:
    """To within the second that it is written in."""
    found = seconds_of(formatdate(time.time() + 60, usegmt=True))
    assert found is not None
    assert 58 < found <= 60


def test_a_storm_is_outlived_by_waiting_as_long_as_the_server_says() -> None:
    """All requests wait, and far fewer than all at once are sent meanwhile."""
    began = time.monotonic()
    at: list[float] = []

    def handle(asked: Asked) -> Reply:
        at.append(time.monotonic() - began)
        if at[-1] < 1.5:
            return Reply(b"", 429, {"retry-after": "1"})
        return Reply(completion(asked.body["prompt"], len(at)))

    with served(handle) as server:
        assert texts(engine(server.url), 32) == {f"e{n}": f"p{n}" for n in range(32)}
    assert len([when for when in at if when < 0.9]) <= 16
    assert len([when for when in at if when < 1.5]) <= 32


def test_a_storm_without_end_is_told_at_the_deadline() -> None:
    """At once where the server asks to wait for longer."""
    reply, said = Reply({"error": "too many"}, 429), r"'e0' has no answer .*answered 429: too many"
    with served(lambda _: reply) as server, pytest.raises(ModelError, match=said):
        texts(engine(server.url, timeouts={"deadline": 0.5}), 1)
    began = time.monotonic()
    later, said = Reply(b"", 503, {"retry-after": "7200"}), "asks to wait for 7,200 s"
    with served(lambda _: later) as server, pytest.raises(ModelError, match=said):
        texts(engine(server.url), 1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"code": "insufficient_quota"}, r"no credit \(insufficient_quota\)"),
        ({"type": "insufficient_quota", "code": None}, "no credit"),
        ({"message": "Insufficient balance. " * 40}, "Insufficient balance"),
    ],
)
def test_an_empty_account_is_not_waited_for(error: dict[str, Any], said: str) -> None:
    """Some servers say so by 429, each where it likes."""
    broke = Reply({"error": {"message": "no credit", **error}}, 429)
    said = f"answered 429: {said}"
    with served(lambda _: broke) as server, pytest.raises(ModelError, match=said):
        texts(engine(server.url, max_concurrency=1), 3)
    assert len(server.asked) == 1


def test_a_server_that_is_not_there_yet_is_waited_for() -> None:
    """As one that is being started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    got: dict[str, str | None] = {}
    asked = engine(f"http://127.0.0.1:{port}/v1", timeouts={"deadline": 20})
    thread = threading.Thread(target=lambda: got.update(texts(asked, 4)))
    thread.start()
    time.sleep(0.3)
    with served(lambda a: Reply(completion(a.body["prompt"])), port=port):
        thread.join()
    assert got == {f"e{n}": f"p{n}" for n in range(4)}


def test_after_an_error_nothing_is_sent_and_what_is_on_its_way_is_kept() -> None:
    """Also of requests that are to be tried again, which could go on for an hour."""
    sent = []

    def answer(asked: Any) -> list[bytes | float]:
        sent.append(asked["prompt"])
        if asked["prompt"] == "p0":
            return [0.2, bytes_of({"error": {"message": "no"}}, 400)]
        if asked["prompt"] == "p1":
            return [0.4, bytes_of(completion("p1"))]
        return [bytes_of({}, 429)]

    got: list[str | None] = []
    with raw(answer) as server:
        asked = engine(server.url, max_concurrency=4)
        with pytest.raises(ModelError, match="'e0' was answered 400: no"):
            got.extend(answer.text for answer in asked.predict(requests(9)))
    assert got == ["p1"]
    assert not {"p4", "p5", "p6", "p7", "p8"} & set(sent)


def test_closing_early_leaves_nothing_behind() -> None:
    """No thread, and no connection: a warning of one would fail this test."""
    before = threading.active_count()

    def answer(asked: Any) -> list[bytes | float]:
        slow = [] if asked["prompt"] == "p0" else [30.0]
        return [*slow, bytes_of(completion(asked["prompt"]))]

    with raw(answer) as server:
        got = engine(server.url).predict(requests(20))
        assert next(got).text == "p0"
        got.close()  # type: ignore[attr-defined]  # a generator
        assert threading.active_count() == before + 1


@pytest.fixture
def heeded() -> Iterator[None]:
    """Let Ctrl-C be heeded, which a process in the background may have been told to ignore."""
    was = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, was)


@pytest.mark.usefixtures("heeded")
def test_ctrl_c_ends_a_run_at_once() -> None:
    """Though every answer is waited for; it leaves nothing behind either."""
    before, began = threading.active_count(), time.monotonic()
    with raw(lambda _: [30.0]) as server:
        pressed = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        pressed.start()
        with pytest.raises(KeyboardInterrupt):
            list(engine(server.url).predict(requests(4)))
        pressed.join()
        assert threading.active_count() == before + 1
    assert time.monotonic() - began < 10
