"""Matrix products in oneDNN: the same up to rounding, and only where they are meant to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import linear

from pytest_distill.engines.transformers.fast import onednn as products
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import TEXTS, Make, hf, one_each, predicted

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="torch was built without oneDNN"
)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Return a list that fills with the shapes of what oneDNN multiplies; no size is too small."""
    shapes: list[tuple[int, ...]] = []
    real = products._onednn

    def count(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        shapes.append(tuple(rows.shape))
        return real(rows, weight, bias)

    monkeypatch.setattr(products, "_onednn", count)
    monkeypatch.setattr(products, "_SMALL", 0)
    return shapes


def rows(*shape: int, **keys: Any) -> torch.Tensor:
    """Return random numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), **keys)


def layer(made: Any) -> Any:
    """Return a layer with the same random weights and biases every time."""
    for parameter in made.parameters():
        parameter.copy_(rows(*parameter.shape))
    return made


@pytest.mark.parametrize(
    "run",
    [
        lambda: linear(rows(3, 5, 64), rows(32, 64), rows(32)),
        lambda: linear(rows(7, 64), rows(32, 64)),
        lambda: linear(rows(64), rows(32, 64), bias=rows(32)),
        lambda: linear(rows(5, 3, 64).transpose(0, 1), rows(32, 64)),
        lambda: linear(rows(6, 64)[::2], rows(64, 32).t(), rows(32)),
        lambda: linear(rows(0, 64), rows(32, 64)),
        lambda: torch.addmm(rows(32), rows(7, 64), rows(64, 32)),
        lambda: layer(torch.nn.Linear(64, 32))(rows(7, 64)),
        lambda: layer(hf.pytorch_utils.Conv1D(32, 64))(rows(2, 7, 64)),
    ],
)
def test_a_product_with_weights_is_the_same_up_to_rounding(
    counted: list[tuple[int, ...]], run: Callable[[], torch.Tensor]
) -> None:
    """Any number of dimensions, with and without bias, in any layout of memory."""
    with torch.inference_mode():
        expected = run()
        assert not counted
        with products.OneDNN():
            torch.testing.assert_close(run(), expected, rtol=1e-4, atol=1e-4)
    assert len(counted) == 1


class _Quantised(torch.nn.Parameter):
    """Weights that know how to multiply themselves."""


@pytest.mark.parametrize(
    ("of", "run"),
    [
        ("another type", lambda: linear(rows(7, 64).bfloat16(), rows(32, 64).bfloat16())),
        ("float64", lambda: linear(rows(7, 64).double(), rows(32, 64).double())),
        ("weights of their own class", lambda: linear(rows(7, 64), _Quantised(rows(32, 64)))),
        ("a bias that is one number", lambda: linear(rows(7, 64), rows(32, 64), rows(1)[0])),
        ("a bias for the rows", lambda: linear(rows(7, 64), rows(32, 64), rows(7, 32))),
        ("one vector of weights", lambda: linear(rows(7, 64), rows(64))),
        ("scaled sums", lambda: torch.addmm(rows(32), rows(7, 64), rows(64, 32), alpha=2)),
        ("sums of matrices", lambda: torch.addmm(rows(7, 32), rows(7, 64), rows(64, 32))),
    ],
)
def test_what_onednn_is_not_asked_for_stays_with_torch(
    counted: list[tuple[int, ...]], of: str, run: Callable[[], torch.Tensor]
) -> None:
    """Other types, other weights and other sums are computed as ever."""
    with torch.inference_mode():
        expected = run()
        with products.OneDNN():
            torch.testing.assert_close(run(), expected, rtol=0, atol=0)
    assert not counted, of


def test_small_products_and_gradients_stay_with_torch(
    counted: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that costs more than it gains isn't made, nor one that has no gradient."""
    weight = torch.nn.Parameter(rows(32, 64))
    with products.OneDNN():
        torch.autograd.backward(linear(rows(7, 64), weight).sum())
    assert weight.grad is not None
    monkeypatch.setattr(products, "_SMALL", 7 * 64 * 32 + 1)
    with torch.inference_mode(), products.OneDNN():
        linear(rows(7, 64), weight)
        assert not counted
        linear(rows(8, 64), weight)
    assert counted == [(8, 64)]


def test_what_onednn_fails_at_is_left_to_torch() -> None:
    """Shapes that don't fit give torch's own error."""
    refused = pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied")
    with torch.inference_mode(), products.OneDNN(), refused:
        linear(rows(3000, 64), rows(32, 65))
    with torch.inference_mode(), products.OneDNN(), refused:
        linear(rows(3000, 2048), rows(64, 0))


REQUESTS: dict[str, tuple[str, list[Request]]] = {
    "classification": ("classifier", [ClassificationRequest(t, t) for t in TEXTS]),
    "multiple choice": ("causal", [ChoiceRequest(t, t, (" one", " two three")) for t in TEXTS]),
    "perplexity": ("causal", [PerplexityRequest(t, t) for t in TEXTS]),
    "generation": (
        "causal",
        [GenerationRequest(t, t, decoding=Decoding(max_new_tokens=6)) for t in TEXTS],
    ),
    "seq2seq": (
        "seq2seq",
        [GenerationRequest(t, t, decoding=Decoding(max_new_tokens=6)) for t in TEXTS],
    ),
}


@pytest.mark.parametrize("task", REQUESTS)
def test_predictions_do_not_depend_on_who_multiplies(
    engine: Make, request: pytest.FixtureRequest, counted: list[tuple[int, ...]], task: str
) -> None:
    """Every task's answers are the same up to rounding, and oneDNN is at work inside alone."""
    folder, requests = REQUESTS[task]
    made = engine(request.getfixturevalue(f"{folder}_folder"), batch_tokens=40)
    made._loaded = replace(made._load(), onednn=False)
    counted.clear()  # the trial
    plain = predicted(made, requests)
    assert not counted
    made._loaded = replace(made._load(), onednn=True)
    weight = rows(32, 64)
    seen = []
    for prediction in made.predict(requests):
        seen.append(prediction)
        assert counted
        before = len(counted)
        linear(rows(7, 64), weight)  # the caller's own
        assert len(counted) == before
    for prediction, expected in zip(one_each(requests, seen), plain, strict=True):
        assert prediction.text == expected.text
        for ours, theirs in (
            (prediction.probabilities, expected.probabilities),
            (prediction.loglikelihoods, expected.loglikelihoods),
        ):
            assert ours == (None if theirs is None else pytest.approx(theirs, abs=1e-3))


def test_speed_is_measured_as_torch_runs_the_model(
    engine: Make, causal_folder: Path, counted: list[tuple[int, ...]]
) -> None:
    """Latency, throughput and memory are those of a model that is served without us."""
    made = engine(causal_folder)
    made._loaded = replace(made._load(), onednn=True)
    requests: list[Request] = [PerplexityRequest("p", TEXTS[1])]
    made._answer(requests)
    counted.clear()  # the trials
    made.time_one(requests[0])
    made.time_all(requests, 512)
    made.memory(requests)
    assert not counted
    predicted(made, requests)
    assert counted


def test_the_faster_one_is_chosen_by_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """OneDNN is used where it wins by a fifth, and never where torch was built without it."""
    own = torch.nn.functional.linear

    def slow(*args: Any) -> torch.Tensor:
        for _ in range(20):
            product = own(*args)
        return product

    def absent(*_: Any) -> torch.Tensor:
        raise AttributeError("no such operator")

    choose = products.onednn_is_faster.__wrapped__
    before = torch.random.get_rng_state()
    monkeypatch.setattr(products, "_onednn", slow)
    assert choose() is False
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody's seed is used up
    monkeypatch.setattr(products, "_onednn", absent)
    assert choose() is False
    monkeypatch.undo()
    monkeypatch.setattr(torch.nn.functional, "linear", slow)
    assert choose() is True
