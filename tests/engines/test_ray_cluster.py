"""The Ray engine on real clusters: two nodes on this machine, of which some are lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import EvaluationError, ModelError
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.config.reading import load_config
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.ray import RayEngine, running
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import Conversation, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.project.project import Project
from pytest_distill.testing import engine_contract

from .tiny import TEXTS, one_each, predicted, spec_of

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when Ray is imported
pytest.importorskip("ray", reason="the extra 'ray' is not installed")

SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_failure_threshold": 3,
}
"""How soon a cluster notices that a node is gone."""
OWN = "tests.engines.ray_engines"
"""Where the engines are that misbehave."""

Ask = Callable[..., RayEngine]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Run two nodes of two CPUs each."""
    kind: Any = import_module("ray.cluster_utils").Cluster
    small = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
    made = kind(
        initialize_head=True,
        head_node_args={**small, "include_dashboard": False, "_system_config": SOON},
    )
    made.add_node(**small)
    try:
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def engine(cluster: Any) -> Iterator[Ask]:
    """Return what makes an engine whose actors are in the cluster, with the keys of its entry."""
    made: list[RayEngine] = []

    def make(of: dict[str, Any], **keys: Any) -> RayEngine:
        options = {"of": of, "address": cluster.address, **keys}
        made.append(RayEngine(ModelSpec("m", "teacher", options=options)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def own(kind: str, **said: Any) -> dict[str, Any]:
    """Return the entry of an engine that misbehaves."""
    return {"engine": f"{OWN}:{kind}", **said}


def refused(engine: RayEngine, count: int = 12) -> tuple[str, set[str]]:
    """Return what an engine says that cannot answer all, and what it answered before."""
    came: set[str] = set()
    with pytest.raises(ModelError) as error:
        came.update(each.id for each in engine.predict(choices(count)))
    return str(error.value), came


def choices(count: int) -> list[ChoiceRequest]:
    """Return so many questions with choices of several lengths."""
    return [
        ChoiceRequest(
            f"e{i}", TEXTS[i % len(TEXTS)][: 20 + i % 13], (" good", " bad, bad", " a fox")
        )
        for i in range(count)
    ]


def values(predictions: list[Prediction]) -> list[float]:
    """Return all log-likelihoods."""
    return [value for each in predictions for value in each.loglikelihoods or ()]


def test_predictions_do_not_wait_for_the_end_of_their_block(engine: Ask) -> None:
    """One that is made is here, while its block and all others go on."""
    slow = engine(own("Plain", sleep=0.25), batch_size=8)
    answers = slow.predict(choices(8))
    next(answers)
    began = time.monotonic()
    next(answers)
    assert time.monotonic() - began < 1.5  # the block takes 2 s
    assert "1 of 1 actor" in slow.status
    answers.close()  # type: ignore[attr-defined]  # it is a generator


def test_an_example_that_ends_its_actor_once_is_answered(engine: Ask, tmp_path: Path) -> None:
    """Ray starts the actor anew, and each example counts once, those before it too."""
    deadly = engine(own("Deadly", at="e5", marks=str(tmp_path), times=1), batch_size=6)
    predicted(deadly, choices(12))
    assert "1 actor was started anew" in deadly.spent
    assert "asked again, each is counted once" in deadly.spent


def test_an_example_that_always_ends_its_actor_is_given_up_by_its_id(
    engine: Ask, tmp_path: Path
) -> None:
    """After three tries; what was answered before is not lost."""
    said, came = refused(engine(own("Deadly", at="e5", marks=str(tmp_path)), batch_size=6))
    assert "its actor ended 3 times while it answered example 'e5'" in said
    assert "is given up" in said
    assert {f"e{i}" for i in range(5)} <= came
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("ends", [False, True])
def test_a_model_that_cannot_be_made_says_so(engine: Ask, *, ends: bool) -> None:
    """Whether it raises, or its process ends without a word."""
    said, came = refused(engine(own("Unloadable", run=os.getpid(), ends=ends)))
    assert ("ended 3 times while it was made" if ends else "its file is broken") in said
    assert not came


@pytest.mark.parametrize(
    ("raises", "kind", "words"),
    [
        ("evaluation", EvaluationError, "it went wrong"),
        ("other", ModelError, "raised ZeroDivisionError: it went wrong badly"),
        ("exit", ModelError, "raised SystemExit"),
    ],
)
def test_an_error_in_an_actor_is_raised_here(
    engine: Ask, raises: str, kind: type[Exception], words: str
) -> None:
    """As what it is; one of none of ours says where it came from."""
    with pytest.raises(kind, match=words) as error:
        list(engine(own("Raising", at="e1", raises=raises)).predict(choices(4)))
    assert error.type is kind
    if raises == "other":
        assert "on node " in str(error.value)
        assert "ray_engines.py" in str(error.value)


def test_another_model_on_a_node_is_refused(engine: Ask) -> None:
    """Its identity is told with the key and both values."""
    said, came = refused(engine(own("Named", differs=True)))
    assert "versions.process is" in said
    assert str(os.getpid()) in said
    assert not came


def test_an_engine_is_heard_and_asked_several_times(engine: Ask) -> None:
    """What its actors note and hold is that of the engine; nothing asked is nothing started."""
    made = engine(own("Plain"))
    assert list(made.predict([])) == []
    assert made.spent == ""
    for count in (3, 5):
        predicted(made, choices(count))
    assert made.notes == ["answered by lengths"]
    assert made.spent == "m: 8 answers came from 1 actor on 1 node of a Ray cluster"
    assert made.identity is None


def test_the_contract_of_an_engine_is_kept(cluster: Any) -> None:
    """On a connection that is there already: Ray keeps a log and sockets open when one ends."""
    ray: Any = import_module("ray")
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        report = engine_contract("ray", {"of": own("Named")}, requests=choices(2), elsewhere=False)
        assert ray.is_initialized()
    finally:
        ray.shutdown()
    found = {each.point for each in report.kept}
    assert {"alike", "batches", "cancel", "close", "resume"} <= found, found


def test_what_an_engine_leaves_out_or_answers_twice_is_seen(engine: Ask) -> None:
    """Neither hangs, nor is it asked for again."""
    without = engine(own("Omitting", without="e1"))
    assert {each.id for each in without.predict(choices(3))} == {"e0", "e2"}
    with pytest.raises(EvaluationError, match="two predictions for example 'e1'"):
        list(engine(own("Omitting", twice="e1")).predict(choices(3)))


def test_a_lost_node_loses_no_prediction(cluster: Any, engine: Ask, causal_folder: Path) -> None:
    """What a model answers in a cluster is what it answers here, under the same identity.

    Every example is answered once, and the report tells of the node.
    """
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    here = TransformersEngine(spec_of(causal_folder, name="m", role="teacher"))
    there = engine({"path": str(causal_folder)}, actors=3, batch_size=4)
    assert there.identity == here.identity
    asked = choices(60)
    came: list[Prediction] = []
    for prediction in there.predict(asked):
        came.append(prediction)
        if len(came) == 20:
            cluster.remove_node(node, allow_graceful=False)
            _seen_dead(node)  # or all may be answered before the cluster knows of it
    came = one_each(asked, came)
    assert values(came) == pytest.approx(values(predicted(here, asked)), abs=1e-5)
    assert "1 node was lost" in there.spent
    assert there.info.digest == here.info.digest
    assert there.placement == {"device": "cpu"}


def _seen_dead(node: Any) -> None:
    """Return when the cluster knows that a node is gone."""
    ray: Any = import_module("ray")
    until = time.monotonic() + 60
    while any(one["Alive"] and one["NodeID"] == node.node_id for one in ray.nodes()):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_actors_for_which_no_room_is_left_are_not_waited_for(
    cluster: Any, engine: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a node is lost and not replaced, those that fit answer what is left."""
    monkeypatch.setattr(running, "_IDLE_SECONDS", 2.0)
    node = cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    slow = engine(own("Plain", sleep=0.1), actors=4, num_cpus=1, batch_size=5)
    asked, came = choices(80), []
    for prediction in slow.predict(asked):
        came.append(prediction)
        if len(came) == 25:
            cluster.remove_node(node, allow_graceful=False)
            blocker = _holding_a_cpu()
    one_each(asked, came)
    assert "1 node was lost" in slow.spent
    assert blocker is not None


def _holding_a_cpu() -> Any:
    """Return an actor that takes a CPU of the cluster for itself."""
    ray: Any = import_module("ray")
    return ray.remote(num_cpus=1)(type("Holding", (), {})).remote()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"actors": 4}, "4 actors of 1 CPU each and one whole CPU for reading: 3 would fit"),
        ({"num_gpus": 1}, "1 actor of 1 CPU and 1 GPU each .* not even one fits"),
        ({"actors": {"min": 5, "max": 9}, "wait": 0.1}, r"5 actors .* \(after 0.1 s\)"),
    ],
)
def test_actors_that_do_not_fit_are_refused(engine: Ask, keys: dict[str, Any], words: str) -> None:
    """Ray would wait for ever; it is said what there is, what is needed and what to do."""
    said, _ = refused(engine(own("Plain"), **keys))
    assert re.search(words, said)
    assert said.count("has 2 CPUs") == 2
    assert "lower actors" in said


def test_a_connection_of_somebody_else_stays_as_it_is(cluster: Any, engine: Ask) -> None:
    """It is used, also by address: auto, and not for a cluster at another address."""
    ray: Any = import_module("ray")
    ray.init(address=cluster.address, log_to_driver=False, logging_level="CRITICAL")
    try:
        mine = engine(own("Plain"), address="auto")
        predicted(mine, choices(2))
        said, _ = refused(engine(own("Plain"), address="127.0.0.1:9"))
        assert "Ray is connected to" in said
        mine.close()
        assert ray.is_initialized()
    finally:
        ray.shutdown()


def test_two_models_share_a_connection(
    cluster: Any, engine: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one that is closed ends it; auto is where RAY_ADDRESS says."""
    ray: Any = import_module("ray")
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    handler = signal.getsignal(signal.SIGTERM)
    one, other = engine(own("Plain")), engine(own("Plain"), address="auto")
    for each in (one, other):
        predicted(each, choices(2))
    one.close()
    assert ray.is_initialized()
    other.close()
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_answers_that_nobody_takes_end_the_actors(engine: Ask, tmp_path: Path) -> None:
    """An iterator that is left leaves no process behind."""
    slow = engine(own("Plain", sleep=5, pids=str(tmp_path)), actors=2, batch_size=1)
    answers = slow.predict(choices(30))
    next(answers)
    answers.close()  # type: ignore[attr-defined]  # it is a generator
    pids = [int(each.name) for each in tmp_path.iterdir()]
    assert pids
    _gone(pids)


def _gone(pids: list[int], seconds: float = 20) -> None:
    """Wait until no process has one of these ids."""
    until = time.monotonic() + seconds
    while (left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]) and (
        time.monotonic() < until
    ):
        time.sleep(0.1)
    assert left == []


def test_a_model_may_come_with_the_runtime_environment(engine: Ask, tmp_path: Path) -> None:
    """What lies in its working directory is read from there on every node."""
    (tmp_path / "weights.txt").write_text("7")
    shipped = {"working_dir": str(tmp_path), "env_vars": {"DISTILL_TOLD": "8"}}
    of = own("Shipped", path=str(tmp_path / "weights.txt"))
    (answer,) = engine(of, runtime_env=shipped).predict(choices(1))
    assert answer.loglikelihoods == (-7.0, -8.0)


@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_keeps_what_was_answered(
    cluster: Any, tmp_path: Path, ends: signal.Signals
) -> None:
    """Its actors are gone, and the next run asks for the rest: in one process too."""
    (tmp_path / "pids").mkdir()
    entry = {"engine": f"{OWN}:Named", "sleep": 0.2, "pids": str(tmp_path / "pids")}
    _project(tmp_path, {"engine": "ray", "of": entry, "address": cluster.address, "actors": 2})
    run = subprocess.Popen(PYTEST, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    pids = _at_work(tmp_path / "pids")
    time.sleep(1.5)
    run.send_signal(ends)
    run.wait(60)
    _gone(pids)
    _project(tmp_path, {**entry, "sleep": 0})
    keeper = Keeper(tmp_path / ".distill", warn=print, tell=print)
    project = Project(load_config(tmp_path / "distill.yaml"), keeper=keeper)
    try:
        made = project.comparison("toy", kind=Comparison).evaluation("teacher")
    finally:
        project.close()
    assert isinstance(made, MeasuredEvaluation)
    assert 2 <= made.from_store < made.asked == 200


PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_gate.py")
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(__file__).parents[2]),
    "RAY_USAGE_STATS_ENABLED": "0",
}


def _at_work(folder: Path) -> list[int]:
    """Return the processes of both actors, once they answer."""
    until = time.monotonic() + 90
    while len(found := [*folder.iterdir()]) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    return [int(each.name) for each in found]


def _project(folder: Path, teacher: dict[str, Any]) -> None:
    """Write a project with one gate; its teacher has this entry."""
    rows = [{"id": f"e{i}", "input": f"text {i}", "target": "a"} for i in range(200)]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {
        "models": {"teacher": {"role": "teacher", **teacher}},
        "evals": {"toy": {"data": "gold.jsonl", "task": "classification", "labels": ["a", "b"]}},
    }
    (folder / "distill.yaml").write_text(json.dumps(told))
    (folder / "test_gate.py").write_text("def test_it(teacher):\n    teacher.evaluate('toy')\n")


def test_an_engine_that_looks_into_no_conversation_is_refused(engine: Ask) -> None:
    """In an actor as in one process: it would answer an empty prompt."""
    talk = Conversation([{"role": "user", "content": "hi"}])
    asked = [GenerationRequest("e1", "", conversation=talk)]
    with pytest.raises(ModelError, match=r"answered example 'e1' without a look at"):
        list(engine(own("Plain")).predict(asked))
