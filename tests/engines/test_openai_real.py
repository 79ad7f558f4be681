"""Texts of a real server, ``transformers serve``, beside those of the same model that runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from tests.servers.transformers_serve import serving

from .tiny import TEXTS, Make, predicted

SAMPLED = {"generation_config": '{"do_sample": true}'}
"""What ``transformers serve`` needs to sample at all: it takes a temperature, and ignores it."""
CHAT = Conversation(
    ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "the early bird"})
)
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module")
def base_url(causal_folder: Path) -> Iterator[str]:
    """Give the base URL of a server that has the tiny Llama."""
    pytest.importorskip("fastapi", reason="pip install 'transformers[serving]'")
    with serving(causal_folder) as url:
        yield url


def served(base_url: str, folder: Path, **options: Any) -> OpenAIEngine:
    """Return the engine of the model behind the server."""
    said = {"base_url": base_url, "model": str(folder), **options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=said))


def told(prediction: Prediction, most: int) -> tuple[object, ...]:
    """Return what a server tells of a text.

    Its log-likelihood it does not; of one with an end token as the last that it may have it says
    that it was cut.
    """
    finish = None if prediction.tokens == most else prediction.finish
    return prediction.id, prediction.text, prediction.tokens, finish


def test_greedy_texts_are_those_of_the_same_model_that_runs_here(
    base_url: str, causal_folder: Path, engine: Make
) -> None:
    """Of plain prompts, chats and conversations, with and without a stop string."""
    here, there = engine(causal_folder), served(base_url, causal_folder)
    for decoding in (Decoding(12), Decoding(12, (" the", "e"))):
        for chat in (False, True):
            asked = [
                GenerationRequest(f"{chat}{n}", t, chat, decoding) for n, t in enumerate(TEXTS)
            ]
            if chat:
                asked.append(GenerationRequest("talk", "", True, decoding, conversation=CHAT))
            mine, theirs = predicted(here, asked), predicted(there, asked)
            most = decoding.max_new_tokens
            assert [told(p, most) for p in theirs] == [told(p, most) for p in mine]
            assert len({p.text for p in mine}) > len(mine) // 2
    assert [note for note in there.notes if "gives no logprobs" in note]


def test_a_server_that_ignores_sampling_is_refused(base_url: str, causal_folder: Path) -> None:
    """It takes the temperature and answers 200; accepted, that is a note."""
    drawn = [GenerationRequest("e", "a stitch", True, Decoding(8, do_sample=True, seed=1))]
    with pytest.raises(ModelError, match=r"two seeds at temperature 1 gave one text"):
        predicted(served(base_url, causal_folder), drawn)
    accepting = served(base_url, causal_folder, accept=["temperature"])
    (greedy,) = predicted(accepting, [GenerationRequest("e", "a stitch", True, Decoding(8))])
    assert predicted(accepting, drawn)[0].text == greedy.text
    assert any("does not honour temperature or seed" in note for note in accepting.notes)


def test_seeds_hold_where_one_request_follows_the_other(base_url: str, causal_folder: Path) -> None:
    """Its seed is that of all that is drawn at the time, so that requests disturb each other."""
    drawn = [
        GenerationRequest(f"e{n}", "a stitch", True, Decoding(8, do_sample=True, seed=seed))
        for n, seed in enumerate((1, 2, 1))
    ]
    alone = served(base_url, causal_folder, extra_body=SAMPLED, max_concurrency=1)
    first, other, again = predicted(alone, drawn)
    assert first.text == again.text != other.text


def test_tools_that_never_reach_the_model_are_refused(base_url: str, causal_folder: Path) -> None:
    """The chat template knows none, so that the server drops them without a word."""
    asked = Conversation(CHAT.messages, (TOOL,))
    request = GenerationRequest("e", "", True, Decoding(4), conversation=asked)
    with pytest.raises(
        ModelError, match=r"does not tell the model of the tools.*accept: \[tools\]"
    ):
        predicted(served(base_url, causal_folder), [request])


def test_a_gate_with_a_served_teacher_ships_and_asks_nothing_twice(
    base_url: str,
    causal_folder: Path,
    engine: Make,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second run has every answer from the store; what was spent is told where it was."""
    asked = [GenerationRequest(f"e{n}", text, True, Decoding(6)) for n, text in enumerate(TEXTS)]
    right = predicted(engine(causal_folder), asked)
    rows = [
        {"id": p.id, "input": a.prompt, "target": p.text} for a, p in zip(asked, right, strict=True)
    ]
    pytester.path.joinpath("gold.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pytester.path.joinpath("distill.yaml").write_text(
        f"""
models:
  teacher:
    engine: openai
    base_url: {base_url}
    model: {causal_folder}
    prices: {{input: 1000, output: 2000}}
    max_cost: 20
  student: {{path: {causal_folder}, device: cpu}}
evals:
  texts: {{task: generation, data: gold.jsonl, chat: true, max_new_tokens: 6}}
"""
    )
    pytester.makepyfile(
        """
        from pytest_distill import assert_quality_retained

        def test_ship(comparison):
            assert_quality_retained(min=1)
        """
    )
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)  # of the tests' own workers
    arguments = ("-p", "no:cacheprovider", "--distill-report", "-v")
    runs = [pytester.runpytest_inprocess(*arguments) for _ in range(2)]
    first, second = (" ".join(run.stdout.str().split()) for run in runs)
    for out in (first, second):
        assert "SHIP: 1 of 1 gate passed" in out
    assert "predictions: 12 made in this run" in first
    assert "teacher: 8 requests, " in first  # two of them trials
    assert "spent (max_cost 20.00)" in first
    assert "12 from the store" in second
    assert "spent" not in second
