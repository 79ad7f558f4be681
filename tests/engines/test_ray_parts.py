"""The parts of the Ray engine that need no cluster."""

from __future__ import annotations

import asyncio
import http.server
import itertools
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_distill import EvaluationError, ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.ray import RayEngine, connection
from pytest_distill.engines.ray.answering import differing, moved
from pytest_distill.engines.ray.collector import MOST_WAITING, TRIES, Collector, Failure, Worker
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.engines.ray.room import Node, fitting, lacking
from pytest_distill.engines.ray.tally import Tally
from pytest_distill.evals.goldset import read_only
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.evaluation.described_model import identity_of

OF = {"engine": "tests.engines.ray_engines:Plain"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"address": "ray://10.0.0.1:10001"}, "Ray's client cannot be used"),
        ({"address": "10.0.0.1"}, "must be auto, local, or host:port"),
        ({"num_gpus": 1.5}, "must be a whole number where it is more than one"),
        ({"num_cpus": -1}, "greater than or equal to 0"),
        ({"actors": 0}, "greater than or equal to 1"),
        ({"actors": {"min": 3, "max": 2}}, "min: 3 is more than max: 2"),
        ({"of": {**OF, "device": "cuda"}}, "of.device: cuda needs num_gpus"),
        ({"actor": 2}, "Extra inputs"),
    ],
)
def test_keys_that_cannot_be_are_refused(keys: dict[str, Any], words: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValidationError, match=words):
        RayOptions(**{"of": OF, **keys})


def test_keys_of_the_cluster_change_no_answer() -> None:
    """They are left out of exports, so that an answer of one process stands for one of many."""
    many = {"actors": {"min": 1, "max": 4}, "num_cpus": 2, "batch_size": 3, "address": "h:1"}
    assert {*RayOptions(of=OF, **many).model_dump()} == {"of"}  # type: ignore[arg-type]


def _placed(nodes: list[tuple[int, int]], cpus: int, gpus: int) -> int:
    """Return how many actors fit beside one CPU, by trying every way to place them."""
    ways = [range(cpu // cpus + 1) for cpu, _ in nodes]
    return max(
        (
            sum(way)
            for way in itertools.product(*ways)
            if all(n * gpus <= gpu for n, (_, gpu) in zip(way, nodes, strict=True))
            and any(cpu - n * cpus >= 1 for n, (cpu, _) in zip(way, nodes, strict=True))
        ),
        default=0,
    )


@pytest.mark.parametrize("cpus", [1, 2, 3])
@pytest.mark.parametrize("gpus", [0, 1, 2])
def test_as_many_actors_fit_as_can_be_placed(cpus: int, gpus: int) -> None:
    """Node by node, with one whole CPU left on one of them."""
    sizes = [(1, 0), (2, 1), (4, 4), (5, 2)]
    for nodes in itertools.combinations_with_replacement(sizes, 3):
        made = [Node(str(i), "n", cpu, gpu) for i, (cpu, gpu) in enumerate(nodes)]
        assert fitting(made, cpus, gpus) == _placed([*nodes], cpus, gpus)


def test_parts_of_a_gpu_are_counted_as_ray_does() -> None:
    """Ten tenths are one; actors that need nothing fit in any number."""
    node = Node("a", "10.0.0.1", 2, 1)
    assert fitting([node], 0.1, 0.1) == 10
    assert lacking([node], 1_000, 0, 0, waited=False) is None
    assert fitting([Node("a", "n", 0.5, 0)], 0.1, 0) == 0  # no whole CPU is left
    assert "10.0.0.1 has 2 CPUs and 1 GPU" in (lacking([node], 2, 1, 0, waited=False) or "")


@pytest.fixture
def web() -> Iterator[str]:
    """Run a web server; return its address."""

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_what_is_no_cluster_is_not_waited_for(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would try for minutes, without a word."""
    monkeypatch.setattr(connection, "SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for at, words in (
            (web, "what answers there is no cluster"),
            (f"127.0.0.1:{mute.getsockname()[1]}", "timed out"),
            (f"127.0.0.1:{closed.getsockname()[1]}", "Connection refused"),
            ("nowhere.invalid:6379", "no Ray cluster listens at nowhere.invalid:6379"),
        ):
            with pytest.raises(ModelError, match=words) as error:
                connection.found(at, "model 'm'")
            assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("ray://10.0.0.1:10001", "RAY_ADDRESS is ray://10.0.0.1:10001, and Ray's client"),
        ("127.0.0.1:1", r"no Ray cluster listens at 127.0.0.1:1 \(RAY_ADDRESS"),
        ("somewhere", "it is no host:port"),
        ("local", "RAY_ADDRESS is 'local': write host:port"),
    ],
)
def test_what_the_environment_says_is_tried_too(
    told: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that was left from a cluster that is gone is named with where it stands."""
    monkeypatch.setenv("RAY_ADDRESS", told)
    with pytest.raises(ModelError, match=words):
        connection.found("auto", "model 'm'")


def _asked(steps: Any) -> Any:
    return asyncio.run(steps)


FIRST, SECOND = Worker("a", "n1", "10.0.0.1"), Worker("b", "n2", "10.0.0.2")


def test_a_block_whose_actor_ended_is_asked_one_by_one() -> None:
    """What was given is not asked again; what ends its actor three times is told by its id."""

    async def steps() -> None:
        taken = Collector("model 'm'")
        ids = ["x", "y", "z"]
        assert await taken.arrive(FIRST)
        order = await taken.begin(FIRST, ids)
        assert not order.alone
        await taken.give(FIRST, [("x", b"1")], ["slow"], "cuda:0")
        await taken.arrive(SECOND)
        order = await taken.begin(SECOND, ids)
        assert order.alone
        assert order.done == {"x"}
        for _ in range(TRIES - 1):
            assert not (await taken.begin(SECOND, ["y"])).stop
        assert (await taken.begin(SECOND, ["y"])).stop
        news = await taken.news(0)
        assert news.answers == [b"1"]
        assert news.failure is not None
        assert "'y' is given up" not in news.failure.text
        assert "3 times while it answered example 'y'" in news.failure.text
        assert (news.notes, news.devices, news.asked_again) == (("slow",), ("cuda:0",), 1)
        assert (news.ready, news.answering) == (1, 1)
        assert news.homes == {"n1", "n2"}

    _asked(steps())


def test_each_id_is_taken_once_and_a_full_queue_makes_actors_wait() -> None:
    """What nobody takes does not pile up; an actor may stop where nothing more is needed."""

    async def steps() -> None:
        taken = Collector("model 'm'")
        await taken.arrive(FIRST)
        many = [(str(i), b"") for i in range(MOST_WAITING)]
        waits = asyncio.create_task(taken.give(FIRST, [*many, many[0]], [], ""))
        await asyncio.sleep(0.01)
        assert not waits.done()
        came = (await taken.news(0)).answers
        assert await waits
        while more := (await taken.news(0)).answers:
            came += more
        assert len(came) == MOST_WAITING
        await taken.stop()
        assert not await taken.give(FIRST, [("late", b"")], [], "")
        assert not await taken.arrive(SECOND)

    _asked(steps())


@pytest.mark.parametrize("error", [ModelError("m\nn"), EvaluationError("e"), ValueError("v\nw")])
def test_an_error_travels_as_what_it_is(error: Exception) -> None:
    """One that is none of ours is one of the model's, in one line."""
    packed = pickle.dumps(Failure.of(error, "the engine"))
    told = pickle.loads(packed).error()  # noqa: S301
    if isinstance(error, ValueError):
        assert (type(told), str(told)) == (ModelError, "the engine raised ValueError: v w")
    else:
        assert (type(told), str(told)) == (type(error), str(error))


def test_a_difference_is_told_by_its_key() -> None:
    """As deep as it lies, also where one side has no such key."""
    here = {"model": "a", "versions": {"torch": "2", "gguf": "1"}}
    there = {"model": "a", "versions": {"torch": "3"}}
    assert [*differing(here, there)] == [
        ("versions.torch", "2", "3"),
        ("versions.gguf", "1", None),
    ]


def test_what_was_shipped_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other path is the same on every node."""
    monkeypatch.chdir(tmp_path)
    assert moved("/project/models/a", Path("/project")) == str(tmp_path / "models" / "a")
    assert moved("/shared/models/a", Path("/project")) == "/shared/models/a"
    assert moved("org/name", None) == "org/name"


def test_the_report_tells_what_was_lost() -> None:
    """In a sentence, with the numbers as words need them."""
    told = Tally("big", actors=2, nodes=2, answered=1_200, nodes_lost=1, asked_again=17)
    assert told.told == (
        "big: 1,200 answers came from 2 actors on 2 nodes of a Ray cluster; 1 node was lost, "
        "17 examples were asked again, each is counted once"
    )


def test_requests_of_every_kind_travel_whole() -> None:
    """With conversations as a gold set has them, which nobody may change."""
    said = read_only([{"role": "user", "content": "hi", "parts": [1, {"a": None}]}])
    tools = read_only([{"type": "function", "function": {"name": "f"}}])
    talk = Conversation(said, tools, "tool_use", {"enable_thinking": False})
    decoding = Decoding(max_new_tokens=5, stop=("x",), do_sample=True, seed=3, temperature=0.5)
    for request in (
        GenerationRequest("a#1", "", decoding=decoding, conversation=talk, thinking=("<", ">")),
        ChoiceRequest("b", "q", (" x", " y"), "left", ("q1", "q2")),
        PerplexityRequest("c", "text \ud800", 8, 4),
        ClassificationRequest("d", "text", labels=("a", "b")),
    ):
        came = pickle.loads(pickle.dumps(request))  # noqa: S301
        assert came == request
        assert request_key(came) == request_key(request)


def test_what_the_inner_engine_raises_here_is_an_error_of_the_model() -> None:
    """It is built in the run too, to tell what the model is."""
    own = {"engine": "tests.engines.ray_engines:Unloadable"}  # it misses a key
    engine = RayEngine(ModelSpec("m", "teacher", options={"of": own}))
    with pytest.raises(ModelError, match=r"the engine of model 'm' raised KeyError: 'run'"):
        _ = engine.info
    engine.close()
    plain = RayEngine(ModelSpec("m", "teacher", options={"of": OF}))
    assert identity_of("m", plain) is None
