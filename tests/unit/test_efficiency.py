"""How speed and memory are measured, and when a stored figure serves again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_distill.engines import Memory, ModelInfo, Timing
from pytest_distill.errors import ComparisonError, ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evaluation import efficiency, figures
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.sources.recorded import RecordedModel
from pytest_distill.evaluation.store.keeping import Keeper
from tests.unit.conftest import classification, gold_set, scripted


class Clock:
    """A machine whose speed drifts: everything takes longer, the later it is."""

    def __init__(self) -> None:
        self.now = 0.0

    def spend(self, seconds: float) -> Timing:
        """Let time pass, and return how much did."""
        spent = seconds * (1 + self.now / 10)
        self.now += spent
        return Timing(spent)


class Timed:
    """An engine that can be measured; it counts what is asked of it."""

    def __init__(self, name: str, *, device: str = "cpu", digest: str = "d", best: int = 1024):
        self.info = ModelInfo(name, "student", device=device, dtype="float32")
        self.setting = {"device": device, "device_name": "a chip", "dtype": "float32"}
        self.identity: Mapping[str, Any] = {"model": digest, "versions": {"torch": "2"}}
        self.asked: list[Any] = []
        self.best = best

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer nothing in particular."""
        yield from (Prediction(request.id, prediction="a") for request in requests)

    def close(self) -> None:
        """Hold nothing."""

    def time_one(self, request: Request) -> Timing:
        """Return a time that tells the request."""
        self.asked.append(request.id)
        return Timing(1.0 + int(request.id[1:]), first_token=0.5, tokens=3)

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Be fastest at one batch size."""
        self.asked.append(batch_tokens)
        return len(requests) * (1 + abs(batch_tokens - self.best) / self.best)

    def memory(self, requests: Sequence[Request]) -> Memory:
        """Hold as many bytes as the requests have letters."""
        letters = sum(len(r.text) for r in requests if isinstance(r, ClassificationRequest))
        return Memory(10, letters, "process")


def model(engine: Timed, keeper: Keeper | None = None) -> RunModel:
    """Return a model that the engine runs."""
    return RunModel(engine.info.name, "student", lambda: engine, keeper=keeper)


def keeper(folder: Path, session: int = 0) -> Keeper:
    """Return a keeper that must not complain."""
    return Keeper(folder, session=session, warn=pytest.fail, tell=pytest.fail)


ON = classification(gold_set("abcdefgh"))


def test_interleaving_takes_a_drift_out_of_the_ratio() -> None:
    """On a machine that slows down all the time a twofold speedup is measured as one."""
    requests: list[Request] = [ClassificationRequest(f"e{i}", "x") for i in range(200)]
    clock = Clock()
    slow, fast = efficiency.interleaved(
        [lambda _: clock.spend(0.2), lambda _: clock.spend(0.1)], requests
    )
    ratios = [a.seconds / b.seconds for a, b in zip(slow, fast, strict=True)]
    assert np.median(ratios) == pytest.approx(2, rel=0.03)
    clock = Clock()
    first, then = ([clock.spend(s).seconds for _ in requests] for s in (0.2, 0.1))
    assert np.median(np.divide(first, then)) < 0.2


def test_the_order_within_pairs_is_random_and_repeatable() -> None:
    """Each model is first about half of the time; the same seed gives the same order."""
    requests: list[Request] = [ClassificationRequest(f"e{i}", "x") for i in range(400)]

    def order(seed: int) -> list[str]:
        asked: list[str] = []

        def ask(name: str, _request: Request) -> Timing:
            asked.append(name)
            return Timing(1.0)

        efficiency.interleaved([partial(ask, "a"), partial(ask, "b")], requests, seed)
        return asked

    first = order(0)[::2]
    assert 160 < first.count("a") < 240
    assert order(0) == order(0) != order(1)


def test_every_model_answers_the_same_examples_warmed_up() -> None:
    """The values of two models stand in the order of the same requests."""
    engines = Timed("one"), Timed("other")
    one, other = efficiency.latencies([model(e) for e in engines], ON, 8)
    assert one.example.tolist() == other.example.tolist()
    assert sorted(one.example) == [float(i) for i in range(1, 9)]
    for engine in engines:
        assert engine.asked[: efficiency.WARM_UP] == engine.asked[3:6]
        assert len(engine.asked) == efficiency.WARM_UP + 8
    assert one.first_token is not None
    assert one.token is not None
    assert (one.first_token == 0.5).all()
    assert one.token.tolist() == [(t - 0.5) / 2 for t in one.example]


def test_examples_come_round_again_where_there_are_too_few() -> None:
    """Of eight examples twenty are timed: each at least twice."""
    (found,) = efficiency.latencies([model(Timed("one"))], ON, 20)
    counts = np.unique(found.example, return_counts=True)[1]
    assert len(found.example) == 20
    assert sorted(counts) == [2] * 4 + [3] * 4
    assert found.unit is not None
    assert found.independent == 8
    for times in (found.times("example"), found.times("first_token"), found.times("token")):
        assert times is not None
        assert (times[1] == found.unit).all()
    assert len(np.unique(np.c_[found.unit, found.example], axis=0)) == 8  # one example a unit


def test_every_cluster_has_its_turn_before_any_comes_again() -> None:
    """Of two clusters of four, each second time is of the other, with an example not yet timed."""
    on = replace(ON, gold=gold_set("abcdefgh", langs="xxxxyyyy"), cluster="lang")
    (found,) = efficiency.latencies([model(Timed("one"))], on, 8)
    assert found.unit is not None
    assert [sorted(found.unit[i : i + 2]) for i in range(0, 8, 2)] == [[0, 1]] * 4
    assert sorted(found.example) == [float(i) for i in range(1, 9)]
    assert ((found.example > 4.5) == (found.unit == 1)).all()
    assert found.independent == 2


def test_a_text_of_one_token_has_no_time_a_token() -> None:
    """The times of the other texts keep their examples."""
    engine = Timed("one")
    plain = engine.time_one

    def some(request: Request) -> Timing:
        return replace(plain(request), tokens=1 if request.id in {"e0", "e3"} else 3)

    engine.time_one = some  # type: ignore[method-assign]
    (found,) = efficiency.latencies([model(engine)], ON, 8)
    times = found.times("token")
    assert times is not None
    assert found.unit is not None
    values, units = times
    assert len(values) == 6
    by_unit = dict(zip(found.unit.tolist(), found.example.tolist(), strict=True))
    assert [(by_unit[unit] - 0.5) / 2 for unit in units.tolist()] == values.tolist()


def test_throughput_is_taken_at_the_best_batch_size() -> None:
    """Sizes are doubled until two in a row are no better; the best one is repeated."""
    engine = Timed("one", best=1024)
    found = efficiency.throughput(model(engine), ON, 8)
    assert found.batch_tokens == 1024
    assert (found.lowest, found.per_second, found.highest) == (1, 1, 1)
    assert engine.asked == [256, 256, 512, 1024, 2048, 4096, *[1024] * efficiency.REPEATS]


def test_memory_is_taken_over_the_longest_examples() -> None:
    """The peak hangs on the longest texts, so they are the ones that run."""
    gold = gold_set("abc")
    gold.examples[1].fields["input"] = "a much longer text"  # type: ignore[index]
    found = efficiency.memory(model(Timed("one")), classification(gold), 1)
    assert found.memory == Memory(10, len("a much longer text"), "process")


@pytest.mark.parametrize(
    ("change", "again"),
    [({}, False), ({"device": "cuda"}, True), ({"digest": "other"}, True)],
    ids=["the same", "another device", "another model"],
)
def test_a_stored_figure_serves_only_where_nothing_changed(
    tmp_path: Path, change: dict[str, str], again: bool
) -> None:
    """On another device, or for other weights, it is measured anew; the time tells which it is."""
    before = efficiency.latencies([model(Timed("one"), keeper(tmp_path))], ON, 8)[0]
    engine = Timed("renamed", **change)  # type: ignore[arg-type]
    after = efficiency.latencies([model(engine, keeper(tmp_path, session=1))], ON, 8)[0]
    assert bool(engine.asked) is again
    assert (after.provenance.made == before.provenance.made) is not again
    assert after.provenance.earlier is not again
    assert after.example.tolist() == before.example.tolist()
    assert after.unit is not None
    assert before.unit is not None
    assert after.unit.tolist() == before.unit.tolist()


def test_a_stored_figure_tells_of_which_example_each_time_is(tmp_path: Path) -> None:
    """What it is found by lists what was asked, in order: for a changed text all is timed anew."""
    efficiency.latencies([model(Timed("one"), keeper(tmp_path))], ON, 20)
    gold = gold_set("abcdefgh")
    gold.examples[5].fields["input"] = "another text"  # type: ignore[index]
    engine = Timed("one")
    again = [model(engine, keeper(tmp_path, session=1))]
    (found,) = efficiency.latencies(again, classification(gold), 20)
    assert len(engine.asked) == efficiency.WARM_UP + 20
    assert not found.provenance.earlier


def test_a_figure_tells_where_the_loaded_model_lay(tmp_path: Path) -> None:
    """What a setting cannot know before is found when it is measured, and stored beside it."""
    engine = Timed("one", device="auto")
    engine.placement = {"device": "cuda:0"}  # type: ignore[attr-defined]
    (found,) = efficiency.latencies([model(engine, keeper(tmp_path))], ON, 8)
    assert found.provenance.setting["device"] == "cuda:0"
    assert model(engine).evaluate(ON).info.device == "cuda:0"
    later = Timed("one", device="auto")
    (stored,) = efficiency.latencies([model(later, keeper(tmp_path, session=1))], ON, 8)
    assert later.asked == []
    assert stored.provenance.setting == found.provenance.setting


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("cuda:0", "cuda:3", True),
        ("cuda", "cuda:0", True),
        ("cuda:0 + cuda:1", "cuda:2 + cuda:3", True),
        ("cuda:0", "cuda:0 + cuda:1", False),
        ("cuda:0", "cuda:0 + cpu", False),
        ("cuda:0", "cuda:0 + disk", False),
        ("cuda:0", "cpu", False),
    ],
)
def test_figures_are_compared_where_they_were_taken_on_as_many_devices(
    one: str, other: str, same: bool
) -> None:
    """One GPU is like another of its name; two, or one and the CPU, are something else."""
    settings = ({"device": device, "device_name": "a chip"} for device in (one, other))
    assert figures.same_device(*settings) is same


def test_an_engine_without_measuring_is_timed_from_outside() -> None:
    """Whatever predicts can be timed, in whole answers; its memory is not known."""
    plain = scripted("plain", "student", ON.gold, "abcdefgh")
    (found,) = efficiency.latencies([plain], ON, 4)
    assert (found.example > 0).all()
    assert found.first_token is None
    assert efficiency.throughput(plain, ON, 8).batch_tokens is None
    with pytest.raises(ModelError, match="engine of model 'plain' cannot tell what it holds"):
        efficiency.memory(plain, ON, 4)


def test_a_model_that_does_not_run_here_is_refused(tmp_path: Path) -> None:
    """The error says what can be declared instead."""
    recorded = RecordedModel(ModelInfo("api", "teacher"), lambda _: tmp_path)
    with pytest.raises(ComparisonError, match=r"'api' does not run here.*declare 'latency_ms'"):
        efficiency.latencies([recorded], ON, 4)


def test_both_models_stay_in_memory_while_they_take_turns() -> None:
    """Making room for one does not free the other, and afterwards neither is held."""
    freed: list[str] = []
    models: list[RunModel] = []

    def make_room(wanted: RunModel) -> None:
        freed.extend(m.name for m in models if m is not wanted and not m.pinned)

    for name in ("one", "other"):
        engine = Timed(name)
        models.append(
            RunModel(name, "student", partial(lambda e: e, engine), before_load=make_room)
        )
    efficiency.latencies(models, ON, 4)
    assert freed == []
    assert not any(m.pinned for m in models)


def test_draws_are_the_same_in_every_run() -> None:
    """The examples that are timed do not hang on Python's own random state."""
    random.seed(1)
    (first,) = efficiency.latencies([model(Timed("one"))], ON, 5)
    random.seed(2)
    (second,) = efficiency.latencies([model(Timed("one"))], ON, 5)
    assert first.example.tolist() == second.example.tolist()
