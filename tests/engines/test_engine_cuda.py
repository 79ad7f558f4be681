from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import TEXTS, Make, predicted

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def test_auto_is_cuda_and_close_gives_the_memory_back(engine: Make, causal_folder: Path) -> None:
    """Where CUDA is, auto runs there; after close the allocated memory is what it was."""
    # cuBLAS keeps a workspace from its first product on, which is no tensor of a model.
    _ = torch.ones(8, 8, device="cuda") @ torch.ones(8, 8, device="cuda")
    torch._C._cuda_clearCublasWorkspaces()
    before = torch.cuda.memory_allocated()
    made = engine(causal_folder)
    assert made.info.device == "cuda"
    assert made.model.device.type == "cuda"
    predicted(made, [PerplexityRequest("1", "one, two")])
    made.close()
    torch._C._cuda_clearCublasWorkspaces()
    assert torch.cuda.memory_allocated() == before


def test_a_device_beyond_the_last_is_an_error(engine: Make, causal_folder: Path) -> None:
    """The error says which devices there are."""
    with pytest.raises(ModelError, match="'cuda:99' was asked for, but this machine has only"):
        _ = engine(causal_folder, device="cuda:99").model


@pytest.mark.parametrize(
    ("folder", "requests"),
    [
        ("classifier", [ClassificationRequest(t, t) for t in TEXTS]),
        ("causal", [ChoiceRequest(t, t, (" one", " nine")) for t in TEXTS]),
        ("causal", [PerplexityRequest(t, t) for t in TEXTS]),
    ],
)
def test_cuda_and_cpu_agree(
    engine: Make, request: pytest.FixtureRequest, folder: str, requests: list[Request]
) -> None:
    """Probabilities and log-likelihoods are the CPU's to rounding."""
    path = request.getfixturevalue(f"{folder}_folder")
    cuda, cpu = (predicted(engine(path, device=device), requests) for device in ("cuda", "cpu"))
    for there, here in zip(cuda, cpu, strict=True):
        assert there.greedy == here.greedy
        assert there.probabilities == pytest.approx(here.probabilities, abs=1e-4)
        assert there.loglikelihoods == pytest.approx(here.loglikelihoods, abs=1e-2)


def test_generation_on_cuda(engine: Make, causal_folder: Path) -> None:
    """Greedy and sampled texts are the CPU's, and their log-likelihoods to rounding."""
    for sample in (False, True):
        decoding = Decoding(max_new_tokens=8, do_sample=sample, seed=3, stop=("!",))
        requests = [GenerationRequest(t, t, decoding=decoding) for t in TEXTS]
        there = {p.id: p for p in predicted(engine(causal_folder, device="cuda"), requests)}
        here = {p.id: p for p in predicted(engine(causal_folder, device="cpu"), requests)}
        assert {i: p.text for i, p in there.items()} == {i: p.text for i, p in here.items()}
        for i, prediction in here.items():
            assert (there[i].tokens, there[i].finish) == (prediction.tokens, prediction.finish)
            assert there[i].loglikelihoods == pytest.approx(prediction.loglikelihoods, abs=1e-2)
