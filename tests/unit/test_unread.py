"""An engine that does not know conversations is told from one that reads them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.decoding import Conversation, GenerationRequest
from pytest_distill.evaluation.run_model import RunModel

ASKED = [
    GenerationRequest(f"e{n}", "", conversation=Conversation([{"role": "user", "content": "hi"}]))
    for n in range(3)
]


class Engine:
    """An engine that makes its answers as a function says."""

    info = ModelInfo("teacher", "teacher")

    def __init__(self, answer: Callable[[Any], str]) -> None:
        self.answer = answer

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer one request after the other."""
        for request in requests:
            yield Prediction(request.id, text=self.answer(request))

    def close(self) -> None:
        """Hold nothing."""


def answers(answer: Callable[[Any], str], asked: Sequence[Request] = ASKED) -> list[str | None]:
    """Return what a model with such an engine answers."""
    model = RunModel("teacher", "teacher", lambda: Engine(answer))
    return [prediction.text for prediction in model._predict("who", asked)]


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: f"to {request.prompt!r}",
        lambda request: "talk" if isinstance(request.conversation, Conversation) else "prompt",
    ],
)
def test_an_engine_that_looks_into_no_conversation_is_refused(
    answer: Callable[[Any], str],
) -> None:
    """It would be judged by what it answers to an empty prompt."""
    with pytest.raises(ModelError, match=r"example 'e0' without a look at request\.conversation"):
        answers(answer)


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: str(request.conversation.messages[-1]["content"]),
        lambda request: str(asdict(request)["conversation"]["messages"][-1]["content"]),
        lambda request: str(
            pickle.loads(pickle.dumps(request)).conversation.messages[-1]["content"]  # noqa: S301
        ),
    ],
)
def test_an_engine_that_looks_is_asked(answer: Callable[[Any], str]) -> None:
    """However it takes the messages out, in this process or another one."""
    assert answers(answer) == ["hi"] * 3


def test_a_prompt_is_no_conversation() -> None:
    """Where there is none, nothing has to be looked at."""
    asked = [GenerationRequest("e0", "hello")]
    assert answers(lambda request: request.prompt.upper(), asked) == ["HELLO"]
