"""Size, speed and memory of real models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines import host
from pytest_distill.engines import transformers as transformers_engine
from pytest_distill.engines.transformers import TransformersEngine, measuring
from pytest_distill.engines.transformers.info import Count, count_parameters
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.places import gpus, synchronize
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import SMALL, TEXTS, Make, hf, saved

SPEC = Spec("student", "student")


def generation(**keys: Any) -> GenerationRequest:
    """Return a request for eight tokens."""
    return GenerationRequest("g", TEXTS[1], decoding=Decoding(max_new_tokens=8, **keys))


@pytest.mark.parametrize("folder", ["causal", "seq2seq"])
@pytest.mark.parametrize("sampling", [{}, {"do_sample": True, "seed": 1}], ids=["greedy", "sample"])
def test_a_generated_text_has_a_first_token_and_a_number_of_them(
    engine: Make, request: pytest.FixtureRequest, folder: str, sampling: dict[str, Any]
) -> None:
    """The first token comes before the end, and all tokens are counted, whoever generates."""
    made = engine(request.getfixturevalue(f"{folder}_folder"))
    taken = made.time_one(generation(**sampling))
    assert taken.first_token is not None
    assert 0 < taken.first_token < taken.seconds
    assert taken.tokens is not None
    assert 1 <= taken.tokens <= 8
    if not sampling:
        prompt = made.tokenizer(TEXTS[1], return_tensors="pt").to(made.model.device)["input_ids"]
        whole = made.model.generate(prompt, max_new_tokens=8, do_sample=False)[0]
        skip = prompt.shape[1] if folder == "causal" else 1
        assert taken.tokens == len(whole) - skip


@pytest.mark.parametrize(
    ("folder", "asked"),
    [
        ("classifier", ClassificationRequest("c", TEXTS[1])),
        ("causal", ChoiceRequest("c", TEXTS[1], (" one", " two three"))),
        ("causal", PerplexityRequest("c", TEXTS[1])),
    ],
)
def test_other_answers_have_no_tokens(
    engine: Make, request: pytest.FixtureRequest, folder: str, asked: Request
) -> None:
    """Where nothing is generated there is only the time of the whole answer."""
    taken = engine(request.getfixturevalue(f"{folder}_folder")).time_one(asked)
    assert taken.seconds > 0
    assert (taken.first_token, taken.tokens) == (None, None)


def test_timing_leaves_nothing_behind(engine: Make, causal_folder: Path) -> None:
    """No hook stays on the model, and its own budget and notes are as they were."""
    made = engine(causal_folder)
    made.time_one(generation())
    made.time_all([generation()], 64)
    loaded = made._load()
    assert not loaded.model.get_output_embeddings()._forward_hooks
    assert loaded.budget.tokens == engine(causal_folder)._load().budget.tokens
    assert made.notes == []


@pytest.fixture(scope="session")
def busy_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a Llama whose passes take some milliseconds: much beside what Python does."""
    torch.manual_seed(5)
    config = hf.LlamaConfig(
        **{**SMALL, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6},
        vocab_size=len(tokenizer),
        max_position_embeddings=512,
    )
    return saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path_factory.mktemp("busy"))


def test_the_time_of_an_answer_is_that_of_its_forward_pass(engine: Make, busy_folder: Path) -> None:
    """Beside a bare pass over the same tokens, taken in turns, the median adds at most a half."""
    made = engine(busy_folder, threads=1)
    request = PerplexityRequest("p", " ".join(TEXTS) * 2)
    tokens = torch.tensor([[0, *made.tokenizer(request.text)["input_ids"]]]).to(made.model.device)
    ratios = in_turns(
        made, request, lambda: made.model(input_ids=tokens[:, :-1], use_cache=False).logits
    )
    assert 0.7 < np.median(ratios) < 1.5


def test_the_time_of_a_text_is_that_of_generating_it(engine: Make, busy_folder: Path) -> None:
    """Beside transformers' own generate, taken in turns, the median adds at most a half."""
    made = engine(busy_folder, threads=1)
    request = GenerationRequest("g", " ".join(TEXTS), decoding=Decoding(max_new_tokens=24))
    prompt = made.tokenizer(request.prompt, return_tensors="pt").to(made.model.device)
    ratios = in_turns(
        made, request, lambda: made.model.generate(**prompt, max_new_tokens=24, do_sample=False)
    )
    assert 0.3 < np.median(ratios) < 1.5


def in_turns(made: TransformersEngine, request: Request, bare: Callable[[], Any]) -> list[float]:
    """Return by how much an answer takes longer than a bare run that is taken just after it."""
    ratios = []
    for _ in range(12):
        seconds = made.time_one(request).seconds
        synchronize(gpus(made.model))
        begin = perf_counter()
        with torch.inference_mode():
            bare()
        synchronize(gpus(made.model))
        ratios.append(seconds / (perf_counter() - begin))
    return ratios[2:]


def test_what_the_first_pass_of_a_shape_costs_is_in_no_figure(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attention that is planned anew for every shape, of prompts, steps and batches, was before.

    Here nothing takes time but such plans.
    """
    planned: set[tuple[torch.Size, torch.Size]] = set()
    attention = torch.nn.functional.scaled_dot_product_attention

    def planning(query: Any, key: Any, *args: Any, **given: Any) -> Any:
        planned.add((query.shape, key.shape))
        return attention(query, key, *args, **given)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", planning)
    monkeypatch.setattr(measuring, "perf_counter", lambda: float(len(planned)))
    made = engine(causal_folder)
    texts = [PerplexityRequest(text, text) for text in TEXTS]
    prompts = [GenerationRequest(t, t, decoding=Decoding(max_new_tokens=8)) for t in TEXTS]
    for asked in (texts, prompts):
        before = len(planned)
        assert [made.time_one(request).seconds for request in asked] == [0.0] * len(asked)
        assert [made.time_all(asked, size) for size in (32, 64, 128, 256)] == [0.0] * 4
        assert len(planned) > before + 8


def test_a_shape_that_is_known_is_not_answered_twice(engine: Make, causal_folder: Path) -> None:
    """A request of the length of one before is answered once, on the clock."""
    made = engine(causal_folder)
    made.time_one(PerplexityRequest("1", TEXTS[1]))
    calls: list[int] = []
    made.model.register_forward_hook(lambda *_: calls.append(1))
    made.time_one(PerplexityRequest("2", TEXTS[1]))
    assert len(calls) == 1


def test_the_setting_is_known_without_loading(engine: Make, causal_folder: Path) -> None:
    """Device, dtype and threads are those that the model runs in once it is loaded."""
    made = engine(causal_folder, device="cpu", threads=1)
    setting = made.setting
    assert made._loaded is None
    assert setting == {
        "device": "cpu",
        "device_name": host.processor(),
        "dtype": str(made.model.dtype).removeprefix("torch."),
        "threads": 1,
    }


def test_weights_in_memory_are_counted_at_their_data_type(
    engine: Make, causal_folder: Path
) -> None:
    """Half the bytes in bfloat16; the process holds more than the weights."""
    held = {
        dtype: engine(causal_folder, device="cpu", dtype=dtype).memory([generation()])
        for dtype in ("float32", "bfloat16")
    }
    parameters = engine(causal_folder).info.parameters
    assert parameters is not None
    buffers = held["float32"].weights - 4 * parameters
    assert 0 <= buffers < 4096
    assert held["bfloat16"].weights - 2 * parameters <= buffers
    assert all(one.peak > one.weights for one in held.values())
    assert {one.held_by for one in held.values()} == {"process"}


def test_what_else_this_process_holds_is_not_the_models_memory(
    engine: Make, causal_folder: Path
) -> None:
    """On the CPU the peak is that of a process of its own, whatever was loaded here."""
    made = engine(causal_folder, device="cpu")
    before = made.memory([generation()])
    ballast = np.ones(60_000_000)  # 480 MB
    after = made.memory([generation()])
    assert host.peak_memory() > ballast.nbytes
    assert abs(after.peak - before.peak) < 100_000_000


def test_a_model_that_cannot_be_measured_apart_is_an_error(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Errors come out as they do here, and a process that was killed is told of."""
    made = engine(classifier_folder, device="cpu")
    with pytest.raises(ModelError, match="which can't do the task generation"):
        made.memory([generation()])
    monkeypatch.setattr(transformers_engine, "_memory_here", kill_this_process)
    with pytest.raises(ModelError, match="measures its memory was ended from outside"):
        made.memory([ClassificationRequest("c", TEXTS[1])])


def kill_this_process(*_: Any) -> None:
    """End the process as the system does where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")
def test_a_peak_before_does_not_count() -> None:
    """What was held and freed before is not part of the peak, what is held meanwhile is."""
    code = """
        from pytest_distill.engines import host
        before = bytearray(300_000_000)
        del before
        host.forget_peak()
        start = host.peak_memory()
        during = bytearray(100_000_000)
        del during
        print(start, host.peak_memory())
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    start, peak = map(int, subprocess.check_output(run, text=True).split())
    assert start < 200_000_000
    assert 95_000_000 < peak - start < 150_000_000


def test_of_a_mixture_of_experts_only_the_chosen_ones_are_active() -> None:
    """With two of eight experts a token passes through a fourth of their parameters."""
    config = hf.MixtralConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
        tie_word_embeddings=False,
    )
    total = sum(p.numel() for p in hf.MixtralForCausalLM(config).parameters())
    expert = 3 * 16 * 32  # gate, up and down
    found = count_parameters(SPEC, hf.MixtralForCausalLM, config)
    assert found == Count(total, total - 2 * 6 * expert, 50 * 16)


def test_a_dense_model_is_active_as_a_whole(engine: Make, causal_folder: Path) -> None:
    """All of its parameters count, tied embeddings once."""
    info = engine(causal_folder).info
    model = engine(causal_folder).model
    assert info.parameters == info.active_parameters == sum(p.numel() for p in model.parameters())
    assert info.embedding_parameters == model.get_input_embeddings().weight.numel()
    assert info.quantization is None


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_measuring_on_cuda(engine: Make, causal_folder: Path) -> None:
    """The GPU has a name, its tensors' peak is above the weights, and times are positive."""
    made = engine(causal_folder, device="cuda")
    assert made.setting["device_name"] == torch.cuda.get_device_name(0)
    held = made.memory([generation()])
    assert held.held_by == "CUDA tensors"
    assert held.peak > held.weights > 0
    taken = made.time_one(generation())
    assert taken.first_token is not None
    assert 0 < taken.first_token < taken.seconds
