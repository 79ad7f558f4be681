"""What is tried of a server before it is believed, and that noise is no reason to refuse one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from tests.servers.served import Asked, Reply, chat_answer, served

WORDS = ("ship", "dog", "seven", "harbour", "sea", "old", "grey", "bark", "sails", "north", "storm")
Body = Mapping[str, Any]
Ask = Callable[..., OpenAIEngine]


def story(seed: object, words: int = 16) -> str:
    """Return one text a seed."""
    return " ".join(random.Random(str(seed)).choices(WORDS, k=words))  # noqa: S311


def late(text: str, other: str) -> str:
    """Return a text whose last word is another."""
    return f"{text.rpartition(' ')[0]} {other}"


class RefusedError(Exception):
    """What a server refuses, in its words."""


class Served:
    """A server whose texts follow from what is asked, as a test says."""

    def __init__(self) -> None:
        self.text: Callable[[Body], str] = str
        self._numbers = count()

    def __call__(self, asked: Asked) -> Reply:
        """Answer in the test's words."""
        try:
            text = self.text(asked.body)
        except RefusedError as refused:
            return Reply({"error": {"message": str(refused)}}, 422)
        answer = chat_answer(text, next(self._numbers))
        answer["choices"][0]["finish_reason"] = "stop" if text else "length"
        return Reply(answer)


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Return what asks for one text, and gives the engine that did."""
    behind = Served()
    with served(behind, trials=True) as server:

        def asked(text: Callable[[Body], str], decoding: Decoding, **options: Any) -> OpenAIEngine:
            behind.text = text
            server.asked.clear()
            said = {"base_url": server.url, "model": "m", **options}
            engine = OpenAIEngine(ModelSpec("teacher", "teacher", options=said))
            list(engine.predict([GenerationRequest("e1", "p", True, decoding)]))
            return engine

        yield asked


GREEDY = Decoding(32)
SAMPLED = Decoding(32, do_sample=True, seed=5)


def drawn(seed: object) -> Callable[[Body], str]:
    """Return what writes one text at temperature 0, and else one for each seed that it is told."""
    return lambda body: story(seed if body["temperature"] == 0 else body["seed"])


def test_a_server_that_honours_all_is_asked(ask: Ask) -> None:
    """With no note of it."""
    for decoding in (GREEDY, SAMPLED):
        assert not any("honour" in note for note in ask(drawn(0), decoding).notes)


def test_a_greedy_run_is_refused_where_the_temperature_is_ignored(ask: Ask) -> None:
    """Whether the server draws by the seed or by chance; the example, and the way out, are told."""
    for text in (lambda body: story(body.get("seed")), lambda _: story(random.random())):  # noqa: S311
        with pytest.raises(ModelError, match=r"temperature 0.*answered.*accept: \[temperature\]"):
            ask(text, GREEDY)
    numbers = count()
    accepting = ask(lambda _: story(next(numbers)), GREEDY, accept=["temperature"])
    assert any("does not honour temperature 0" in note for note in accepting.notes)


def test_a_server_that_knows_no_seed_can_be_greedy(ask: Ask) -> None:
    """Only trials send one with a temperature of 0: it is left out where it is refused."""

    def strict(body: Body) -> str:
        if "seed" in body:
            raise RefusedError("Extra inputs are not permitted: seed")
        return story(0)

    assert ask(strict, GREEDY).purse.asked == 3


def test_a_late_token_is_no_reason_to_refuse(ask: Ask) -> None:
    """Servers that compute in batches round otherwise from time to time; a note says so."""
    numbers = count()
    noisy = ask(lambda _: late(story(0), str(next(numbers))), GREEDY)
    assert any("another text now and then" in note for note in noisy.notes)
    ask(lambda body: late(story(body.get("seed")), str(next(numbers))), SAMPLED)


def test_sampling_is_refused_where_all_seeds_give_one_text(ask: Ask) -> None:
    """There either the temperature is ignored or the seed."""
    with pytest.raises(ModelError, match=r"two seeds at temperature 1 gave one text"):
        ask(lambda _: story(0), SAMPLED)


def test_sampling_is_refused_where_one_seed_gives_two_texts(ask: Ask) -> None:
    """Also where all texts begin alike, as stories do."""
    numbers = count()
    for begin in ("", "Once upon a time, in a far away country by the sea, there lived an old "):
        for _ in range(5):
            with pytest.raises(ModelError, match=r"does not honour seed.*accept: \[seed\]"):
                ask(lambda _, begin=begin: begin + story(next(numbers), 6), SAMPLED)


def test_a_model_that_thinks_out_of_sight_is_given_more_room(ask: Ask) -> None:
    """Its first tokens are not shown, and an empty text says nothing of seeds."""
    long = Decoding(200, do_sample=True, seed=5)

    def thinking(text: Callable[[Body], str]) -> Callable[[Body], str]:
        return lambda body: text(body) if body["max_tokens"] > 100 else ""

    assert ask(thinking(drawn(0)), long).purse.asked == 4 + 4 + 1
    with pytest.raises(ModelError, match="gave one text"):
        ask(thinking(lambda _: story(0)), long)
    silent = ask(lambda _: "", SAMPLED)
    assert any("sampling could not be tried" in note for note in silent.notes)


def test_what_was_tried_is_not_tried_again() -> None:
    """Neither for the next eval nor by the next engine of the same run."""
    numbers = count()
    with served(lambda _: Reply(chat_answer("a", next(numbers))), trials=True) as server:
        kept: dict[str, Any] = {}
        said = {"base_url": server.url, "model": "m"}
        counts = []
        for _ in range(2):
            engine = OpenAIEngine(ModelSpec("teacher", "teacher", options=said, kept=kept))
            for id in ("e1", "e2"):
                list(engine.predict([GenerationRequest(id, id, True, GREEDY)]))
                counts.append(len(server.asked))
    assert counts == [3, 4, 5, 6]
    assert engine.purse.asked == 6  # what was spent is of the whole run too
