"""What comes back from the device: a GPU waits each time, so it is once a batch and not a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from pytest_distill.engines import Captured
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.likeness import comparing
from pytest_distill.evals.requests import GoldText, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import TEXTS, Make

_WAITS = {"cpu", "tolist", "item", "nonzero", "__bool__", "__int__", "__float__", "__index__"}


class Transfers(TorchFunctionMode):
    """Counts the calls that, on a GPU, bring numbers to the CPU, beside those of the models' own.

    Attributes
    ----------
    count, passes : int
        How many there were, and how often a model read something.
    """

    def __init__(self, *engines: TransformersEngine) -> None:
        super().__init__()
        self.count = self.passes = self._inside = 0
        self._models = [engine.model for engine in engines]

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Count the call where it would wait for the device."""
        self.count += not self._inside and getattr(func, "__name__", "") in _WAITS
        return func(*args, **kwargs or {})

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in the block."""

        def enter(*_: Any) -> None:
            self._inside += 1

        def leave(*_: Any) -> None:
            self._inside -= 1
            self.passes += 1

        hooks = [model.register_forward_pre_hook(enter) for model in self._models]
        hooks += [model.register_forward_hook(leave) for model in self._models]
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()


def test_what_waits_for_a_device_is_counted(engine: Make, causal_folder: Path) -> None:
    """The counter sees a list of numbers, a single number and a copy."""
    transfers = Transfers(engine(causal_folder))
    with transfers.counting():
        values = torch.ones(3)
        values.tolist()
        values[0].item()
        values.cpu().numpy()
        assert values[0] > 0
    assert transfers.count == 4


@pytest.mark.parametrize(
    ("folder", "requests"),
    [
        ("classifier", [ClassificationRequest(f"{n}", TEXTS[n % 6]) for n in range(60)]),
        ("causal", [ChoiceRequest(f"{n}", TEXTS[n % 6], (" one", " nine")) for n in range(60)]),
        ("causal", [PerplexityRequest(f"{n}", TEXTS[n % 6]) for n in range(60)]),
    ],
    ids=["classification", "choices", "perplexity"],
)
def test_scores_come_back_once_a_batch(
    engine: Make, request: pytest.FixtureRequest, folder: str, requests: list[Request]
) -> None:
    """Of every pass all numbers together, whatever the number of its rows."""
    made = engine(request.getfixturevalue(f"{folder}_folder"), batch_tokens=256)
    answers = made._answer(requests)
    list(answers(made._load(), requests))  # with its trials
    transfers = Transfers(made)
    with transfers.counting():
        assert len(list(answers(made._load(), requests))) == 60
    assert 1 < transfers.passes < 30
    assert transfers.count <= transfers.passes


@pytest.mark.parametrize("captured", [False, True])
def test_a_likeness_comes_back_once_a_batch(
    engine: Make, causal_folder: Path, captured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all passes of a batch together, in however many chunks its logits are reduced."""
    monkeypatch.setattr(comparing, "_LOGITS", 20 * 400)
    monkeypatch.setattr(comparing, "_CHUNK", 400)
    student, teacher = (engine(causal_folder, batch_tokens=4096) for _ in range(2))
    asked = [GoldText(PerplexityRequest(f"{n}", TEXTS[n % 6])) for n in range(30)]
    against: Any = teacher
    if captured:
        rows = {one.id: student.tokenizer(TEXTS[int(one.id) % 6])["input_ids"] for one in asked}
        against = {
            id: Captured("", tuple(row), np.array([row]).T, np.full((len(row), 1), -0.5))
            for id, row in rows.items()
        }
    student._loaded = replace(student._load(), settled=True)  # without trials
    transfers = Transfers(student, *([] if captured else [teacher]))
    list(student.token_likeness(against, asked[:1]))  # it is examined
    with transfers.counting():
        assert len(list(student.token_likeness(against, asked))) == 30
    assert transfers.passes > 20
    assert 1 <= transfers.count <= 3
