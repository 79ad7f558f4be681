"""Under which switches of torch a model's passes run, and what is left of that behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.evals.requests import GoldText, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, TEXTS, Make, predicted

# Any, because its functions carry no types.
CUDA: Any = torch.backends.cuda
SHORT = Decoding(max_new_tokens=6)
CHOICES = (" one", " a stitch in time")
ASKED: dict[str, tuple[str, list[Request]]] = {
    "choices": ("causal", [ChoiceRequest(t, f"{CORPUS[:60]} {t}", CHOICES) for t in TEXTS]),
    "windows": (
        "causal",
        [PerplexityRequest(str(n), CORPUS * 2, 24, 7, share_cache=n > 1) for n in range(3)],
    ),
    "texts": ("causal", [GenerationRequest(t, t, decoding=SHORT) for t in TEXTS]),
    "encoder and decoder": ("seq2seq", [GenerationRequest(t, t, decoding=SHORT) for t in TEXTS]),
    "labels": ("classifier", [ClassificationRequest(t, t) for t in TEXTS]),
}


@pytest.fixture(params=[True, False], ids=["on", "off"])
def cudnn(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Set cuDNN's attention to what a user may have set, and back."""
    before = CUDA.cudnn_sdp_enabled()
    CUDA.enable_cudnn_sdp(request.param)
    yield request.param
    CUDA.enable_cudnn_sdp(before)


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return a list that fills with the shapes of attention, and whether cuDNN may compute it."""
    seen: list[tuple[Any, ...]] = []
    own = torch.nn.functional.scaled_dot_product_attention

    def watched(query: torch.Tensor, key: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        seen.append((CUDA.cudnn_sdp_enabled(), *query.shape, *key.shape))
        return own(query, key, *args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    return seen


def _watch(model: Any, seen: list[bool]) -> None:
    model.register_forward_pre_hook(
        lambda *_: seen.append(CUDA.cudnn_sdp_enabled()), with_kwargs=False
    )


@pytest.mark.parametrize("what", ASKED)
def test_no_pass_lets_cudnn_build_plans(
    engine: Make, request: pytest.FixtureRequest, cudnn: bool, what: str
) -> None:
    """It is off in every pass of every task, and as the user set it between two predictions."""
    kind, requests = ASKED[what]
    made = engine(request.getfixturevalue(f"{kind}_folder"), batch_tokens=70)
    seen: list[bool] = []
    _watch(made.model, seen)
    for _ in made.predict(requests):
        assert CUDA.cudnn_sdp_enabled() is cudnn
    assert len(seen) > 5
    assert not any(seen)
    assert CUDA.cudnn_sdp_enabled() is cudnn


def test_token_likeness_is_read_without_it(engine: Make, causal_folder: Path, cudnn: bool) -> None:
    """Both models' passes, and the setting is the user's again after."""
    student, teacher = engine(causal_folder), engine(causal_folder, name="teacher")
    seen: list[bool] = []
    _watch(student.model, seen)
    _watch(teacher.model, seen)
    texts = [GoldText(PerplexityRequest(text, text)) for text in TEXTS[1:4]]
    for _ in student.token_likeness(teacher, texts):
        assert CUDA.cudnn_sdp_enabled() is cudnn
    assert seen
    assert not any(seen)


def test_it_is_restored_after_an_error(engine: Make, causal_folder: Path, cudnn: bool) -> None:
    """A model that fails in a pass leaves the switch as it was."""
    made = engine(causal_folder)
    predicted(made, ASKED["choices"][1])

    def fail(*_: Any) -> None:
        raise FloatingPointError("no such number")

    made.model.register_forward_pre_hook(fail)
    with pytest.raises(ModelError, match="no such number"):
        predicted(made, ASKED["choices"][1])
    assert CUDA.cudnn_sdp_enabled() is cudnn


@pytest.mark.parametrize("ask", [lambda: ASKED["choices"][1], lambda: ASKED["texts"][1]])
def test_many_shapes_of_attention_build_no_plan(
    engine: Make,
    causal_folder: Path,
    attended: list[tuple[Any, ...]],
    ask: Callable[[], list[Request]],
) -> None:
    """A plan a shape is what cuDNN would cost: of all the shapes of a run it is given none."""
    made = engine(causal_folder, batch_tokens=70)
    predicted(made, ask())
    shapes = set(attended)
    assert len(shapes) > 5
    assert not {shape for shape in shapes if shape[0]}
