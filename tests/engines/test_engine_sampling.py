from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_distill.engines import transformers as own
from pytest_distill.engines.transformers.texts import Text, drawn, uniform
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evaluation.store.keeping import run_key

from .tiny import TEXTS, Make, predicted

CPU = torch.device("cpu")
SAMPLED = Decoding(max_new_tokens=6, do_sample=True, temperature=1.5, top_p=0.9, seed=3)


def _texts(count: int, decoding: Decoding = SAMPLED) -> list[Text]:
    return [Text(n, [5, n], decoding, ()) for n in range(count)]


class Operations(TorchDispatchMode):
    """Writes down which operations of torch run, and on which devices their results are."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        self.devices: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation of torch."""
        made = func(*args, **kwargs or {})
        self.names.append(func.overloadpacket.__name__)
        tensors = made if isinstance(made, tuple | list) else [made]
        self.devices |= {t.device.type for t in tensors if isinstance(t, torch.Tensor)}
        return made


def _operations(rows: int, device: str) -> Operations:
    logits = torch.zeros(rows, 50, device=device)
    texts = _texts(rows)
    _ = [text.key for text in texts]
    seen = Operations()
    with seen:
        drawn(texts, logits, range(rows))
    return seen


def test_a_step_draws_for_all_rows_at_once_on_their_device() -> None:
    """As many operations for two rows as for 64, none on the CPU and none of a generator."""
    few, many = _operations(2, "meta"), _operations(64, "meta")
    assert few.names == many.names
    assert many.devices == {"meta"}
    drawing = {"rand", "random_", "uniform_", "exponential_", "multinomial", "bernoulli", "normal_"}
    assert not drawing & set(many.names)
    before = torch.random.get_rng_state()
    _operations(2, "cpu")
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody's seed is used up


def test_the_numbers_are_those_of_splitmix64() -> None:
    """Published values of the generator, and those of arithmetic without a word's bounds."""
    bits = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    got = uniform([1234567] * 4, range(4), CPU)
    assert got.tolist() == [(value >> 12) * 2.0**-52 for value in bits]

    def one(key: int, step: int) -> float:
        word = 2**64 - 1
        x = (key + (step + 1) * 0x9E3779B97F4A7C15) & word
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & word
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & word
        return ((x ^ (x >> 31)) >> 12) * 2.0**-52

    keys = [-(2**63), 2**63 - 1, -1, 0, 7]
    expected = [one(key, step) for step, key in enumerate(keys)]
    assert uniform(keys, range(5), CPU).tolist() == expected


def test_the_numbers_are_uniform_and_independent() -> None:
    """Over texts and over steps, and in pairs of neighbours of both."""
    keys = [text.key for text in _texts(400)]
    grid = torch.stack([uniform(keys, [step] * 400, CPU) for step in range(400)]).numpy()
    assert 0 <= grid.min() < grid.max() < 1
    assert kstest(grid.ravel(), "uniform").pvalue > 1e-4
    for one, two in ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])):
        pairs, *_ = np.histogram2d(one.ravel(), two.ravel(), bins=16, range=[[0, 1], [0, 1]])
        assert chisquare(pairs.ravel()).pvalue > 1e-4


def test_tokens_come_as_often_as_the_model_says() -> None:
    """Chi-square over 20,000 texts, with and without a nucleus; nothing outside it ever comes."""
    logits = torch.linspace(-3, 3, 40)[torch.randperm(40, generator=torch.manual_seed(0))]
    for top_p in (1.0, 0.7):
        decoding = Decoding(do_sample=True, temperature=0.8, top_p=top_p, seed=1)
        tokens = drawn(_texts(20_000, decoding), logits.expand(20_000, -1), [0] * 20_000)
        probabilities = (logits.double() / 0.8).softmax(-1).numpy()
        order = np.argsort(-probabilities)
        size = np.searchsorted(np.cumsum(probabilities[order]), top_p) + 1
        nucleus = np.zeros(40)
        nucleus[order[:size]] = probabilities[order[:size]]
        seen = np.bincount(tokens.numpy(), minlength=40)
        inside = nucleus > 0
        assert not seen[~inside].any()
        expected = nucleus[inside] / nucleus.sum() * 20_000
        assert chisquare(seen[inside], expected).pvalue > 1e-4


def test_logits_that_are_no_numbers_give_a_token_of_the_vocabulary() -> None:
    """The error of such a model comes after, with its example."""
    logits = torch.full((2, 9), float("nan"))
    assert (drawn(_texts(2), logits, [0, 0]) < 9).all()


def test_both_ways_to_generate_draw_the_same_texts(engine: Make, causal_folder: Path) -> None:
    """Our loop and transformers' ``generate`` number the steps alike."""
    made = engine(causal_folder)
    requests = [GenerationRequest(t, t, decoding=SAMPLED) for t in TEXTS]
    looped = [prediction.text for prediction in predicted(made, requests)]
    loaded = made._load()
    assert loaded.findings.way == "loop"
    loaded.findings.way = "generate"
    assert [prediction.text for prediction in predicted(made, requests)] == looped
    loaded.findings.way = "recompute"
    assert [prediction.text for prediction in predicted(made, requests)] == looped
    assert len(set(looped)) > 1


def test_texts_of_an_older_scheme_are_not_taken_from_the_store(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's key has the engine's revision, and with it how texts are sampled.

    Where another token is drawn, raise `REVISION`, and write both down here.
    """
    assert own.REVISION == 5
    text = Text(0, [1, 2, 3], SAMPLED, ())
    assert uniform([text.key], [0], CPU).item() == pytest.approx(0.9849049134391823, rel=1e-12)
    assert drawn([text], torch.linspace(0, 1, 10)[None], [1]).tolist() == [9]
    key = run_key(engine(causal_folder).identity)
    monkeypatch.setattr(own, "REVISION", 4)
    assert run_key(engine(causal_folder).identity) != key
