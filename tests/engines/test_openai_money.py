"""What a run spends at a server: exact, and stopped before it is too much."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import ConfigError, ModelError
from pytest_distill.config.reading import load_config
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.engines.openai.calls import Call
from pytest_distill.engines.openai.money import Purse, Usage, money_text, usage_of
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks.generation import Generation
from pytest_distill.evaluation.run_model import RunModel
from tests.servers.served import Reply, chat_answer, served


def purse(workers: int = 1, **options: Any) -> Purse:
    """Return the purse of a model called ``teacher``."""
    given = {"base_url": "http://127.0.0.1/v1", "model": "m", **options}
    return Purse("teacher", OpenAIOptions(**given), workers)


def call(id: str = "e", most: int = 10) -> Call:
    """Return a call of few bytes."""
    return Call(id, "completions", {"prompt": "a"}, most)


def answer(read: int, written: int) -> dict[str, Any]:
    """Return an answer that was billed so many tokens."""
    return {"usage": {"prompt_tokens": read, "completion_tokens": written}}


def test_a_million_answers_cost_what_they_cost() -> None:
    """Prices that no float holds, summed over many answers, are exact."""
    kept = purse(prices={"input": 0.1, "output": 0.3})

    async def ask() -> None:
        for _ in range(10_000):
            (await kept.reserve(call())).paid(answer(7, 1))

    asyncio.run(ask())
    assert kept.cost == Fraction(10_000 * (7 * 1 + 3), 10 * 10**6)
    assert kept.told == (
        "teacher: 10,000 requests, 70,000 tokens read and 10,000 written, 0.01 spent"
    )


def test_what_is_in_flight_is_held_back_and_waited_for() -> None:
    """A second request waits where the first may still cost too much, and goes when it did not."""
    kept = purse(prices={"input": 0, "output": 1_000_000}, max_cost=15)

    async def ask() -> list[str]:
        told = []
        first = await kept.reserve(call("first"))

        async def second() -> None:
            reserved = await kept.reserve(call("second"))
            told.append("second")
            reserved.paid(answer(1, 10))

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.01)
        told.append("first")
        first.paid(answer(1, 5))
        await waiting
        with pytest.raises(ModelError, match=r"'third'.*15\.00.*15\.00 is spent.*up to 10\.00"):
            await kept.reserve(call("third"))
        return told

    assert asyncio.run(ask()) == ["first", "second"]
    assert kept.cost == 15


def test_what_may_have_been_billed_counts_whole_and_what_was_not_counts_nothing() -> None:
    """So do answers that do not say what they cost; nothing is counted twice."""
    kept = purse(prices={"input": 0, "output": 1_000_000}, max_cost=100)

    async def ask() -> None:
        (await kept.reserve(call())).free()
        (await kept.reserve(call())).unknown()
        silent = await kept.reserve(call())
        silent.paid({"usage": None})
        silent.free()

    asyncio.run(ask())
    assert kept.cost == 20
    assert "of 2 requests nothing tells the tokens" in kept.told


def test_the_prompt_is_held_back_by_its_bytes_and_what_answers_showed() -> None:
    """A chat template that writes more than was thought is reckoned with from then on."""
    kept = purse(prices={"input": 1_000_000, "output": 0}, max_cost=2_999)

    async def ask() -> None:
        (await kept.reserve(call())).paid(answer(1_500, 1))
        with pytest.raises(ModelError, match="may cost up to 1500"):
            await kept.reserve(call("second"))

    asyncio.run(ask())


def test_the_greatest_answer_that_is_allowed_is_held_back() -> None:
    """Whichever of two keys a server keeps to, and for each text that one request asks for."""
    for body, most in (
        ({"max_completion_tokens": 2}, 5),
        ({"max_completion_tokens": 9}, 9),
        ({"max_tokens": 3}, 3),
        ({"max_tokens": None, "max_completion_tokens": 2}, 2),
    ):
        prices = {"input": 0, "output": 1_000_000}
        kept = purse(prices=prices, max_cost=2 * most, extra_body=body)

        async def ask(kept: Purse, most: int) -> None:
            one = Call("e", "completions", {"prompt": "p", "max_tokens": 5}, 5)
            two = Call("e", "completions", {"prompt": ["p", "q"], "max_tokens": 5}, 10)
            assert (await kept.reserve(one)).output == most
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(kept.reserve(two), 0.01)

        asyncio.run(ask(kept, most))


def test_several_workers_have_their_share_each() -> None:
    """Together they stay within the limit."""
    kept = purse(3, prices={"input": 0, "output": 1_000_000}, max_cost=29)
    with pytest.raises(ModelError, match="3 workers share it"):
        asyncio.run(kept.reserve(call()))


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4, 4)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 90}, Usage(3, 87, 4)),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0, 0)),
        ({"prompt_tokens": 3}, None),
        ({"prompt_tokens": True, "completion_tokens": 4}, None),
        ({"prompt_tokens": -3, "completion_tokens": 4}, None),
        ({"prompt_tokens": 10**40, "completion_tokens": 4}, None),
        ([], None),
    ],
)
def test_the_tokens_of_an_answer(usage: object, counted: Usage | None) -> None:
    """What a model thought counts where only the total has it; what is no count is unknown."""
    assert usage_of({"usage": usage}) == counted


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "0.00"),
        ("1.234", "1.24"),
        ("0.83", "0.83"),
        ("0.00123", "0.0013"),
        ("1e-9", "0.000001"),
    ],
)
def test_an_amount_never_looks_smaller_than_it_is(amount: str, text: str) -> None:
    """It is raised, with two digits at least."""
    assert money_text(Fraction(amount)) == text


def test_the_bar_tells_how_fast_texts_come_and_what_they_cost() -> None:
    """After every answer; in the end the model's notes say what was spent."""
    rows = [{"input": f"p{n}", "target": "a"} for n in range(3)]
    gold = GoldSet("gold", tuple(Example(f"e{n}", row, "gold") for n, row in enumerate(rows)))
    on = Eval("e", Generation(chat=True), gold, Generation.metrics[:1])
    told: list[str] = []

    @contextmanager
    def progress(_what: str, _total: int) -> Iterator[Callable[[int, str], None]]:
        yield lambda _count, status: told.append(status)

    numbers = count()
    with served(lambda _: Reply(chat_answer("a", next(numbers)))) as server:
        prices = {"input": 100_000, "output": 0}
        said = {"base_url": server.url, "model": "m", "prices": prices}
        spec = ModelSpec("teacher", "teacher", options=said)
        model = RunModel("teacher", "teacher", lambda: OpenAIEngine(spec), progress)
        model.evaluate(on)
    # two trials and three examples, of three tokens each, at a tenth for a token
    assert all(re.fullmatch(r"\d+ tokens/s, [01]\.\d0 spent", status) for status in told)
    assert told[-1].endswith(" 1.50 spent")
    assert model.notes[-1] == "teacher: 5 requests, 15 tokens read and 5 written, 1.50 spent"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("max_cost: 5", r"max_cost: needs prices: \{input: ..., output: ...\}"),
        (
            "prices: {input: 1, output: 2}, extra_body: {max_tokens: null}, max_cost: 5",
            "max_cost: cannot be kept where extra_body takes max_tokens out",
        ),
        ("prices: {input: -1, output: 2}", "prices.input: should be greater than or equal to 0"),
        ("prices: {input: 1}", "prices.output: is missing"),
        ("extra_body: {n: 2}", r"extra_body: 'n' is the engine's to say"),
        ("accept: [seeds]", r"accept\S*: should be 'max_tokens', 'seed', 'stop'"),
    ],
)
def test_what_cannot_be_is_told_when_it_is_read(tmp_path: Path, keys: str, said: str) -> None:
    """With file, line and key."""
    path = tmp_path / "distill.yaml"
    model = "engine: openai, base_url: 'http://127.0.0.1:9/v1', model: m"
    path.write_text(
        f"models:\n  teacher: {{{model}, {keys}}}\n  student: {{path: models/student}}\n"
        "evals:\n  qa: {task: generation, data: gold.jsonl}\n"
    )
    with pytest.raises(ConfigError, match=rf"distill.yaml:2: models.teacher.{said}"):
        load_config(path)


def test_without_prices_tokens_are_counted_alone() -> None:
    """No amount is told, and what cannot be known is not guessed."""
    kept = purse()

    async def ask() -> None:
        (await kept.reserve(call())).paid(answer(7, 1))
        (await kept.reserve(call())).unknown()

    asyncio.run(ask())
    assert kept.told == "teacher: 2 requests, 7 tokens read and 1 written"
    assert kept.status == ""
