"""What is said of `engine: vllm` before vLLM is imported: it need not be installed for these."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.lookup import shared_cards, weights_named
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.vllm import VLLMEngine
from pytest_distill.engines.vllm.options import VLLMOptions
from pytest_distill.engines.vllm.process import Process, VLLMFailedError, answer_error, load_error
from pytest_distill.errors import ModelError


def spec_of(path: str = "models/teacher", **options: Any) -> ModelSpec:
    """Return an entry of the engine."""
    return ModelSpec("teacher", "teacher", path=path, options=options)


def test_without_vllm_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the engine is made, before it reads anything."""
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ModelError) as raised:
        VLLMEngine(spec_of())
    assert str(raised.value) == (
        "model 'teacher': engine vllm needs the package vllm: pip install 'pytest-distill[vllm]'"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dtype": "float32"}, "'dtype' is said by the model's own key 'dtype'"),
        ({"model": "x"}, "'model' is said by the model's own key 'path'"),
        ({"load_format": "pt"}, "'load_format' can't be set: nothing but safetensors is loaded"),
        ({"logprobs_mode": "raw_logits"}, "'logprobs_mode' can't be set"),
        ({"seed": datetime(2026, 1, 1)}, "'seed' is a datetime, which JSON has not"),
        ({"hf_overrides": {3: 1}}, "'hf_overrides.3' must be a text"),
        ({"block_size": float("nan")}, "'block_size' must be a finite number"),
    ],
)
def test_engine_args_leave_alone_what_is_said_elsewhere(given: dict[str, Any], said: str) -> None:
    """Keys of the model's own, what would undo a check, and what no process can be handed."""
    with pytest.raises(ValidationError) as raised:
        VLLMOptions(engine_args=given)
    assert said in str(raised.value)


def test_keys_that_change_no_answer_are_no_part_of_identity_or_export() -> None:
    """A run on two GPUs goes on with what one on a single GPU stored."""
    plain = VLLMOptions(max_model_len=64, engine_args={"kv_cache_dtype": "fp8"})
    other = VLLMOptions(
        **plain.model_dump(),
        tensor_parallel_size=2,
        gpu_memory_utilization=0.5,
        kv_cache_gib=1,
        enforce_eager=True,
    )
    assert other.model_dump() == plain.model_dump()
    assert other.answering == plain.answering
    assert plain.answering["max_model_len"] == 64
    assert plain.answering["kv_cache_dtype"] == "fp8"
    assert plain.answering != VLLMOptions(max_model_len=64).answering


def test_weights_are_named_without_a_look_at_them() -> None:
    """Those that are quantised while they are loaded are others."""
    plain = weights_named(VLLMEngine, spec_of())
    assert plain != weights_named(VLLMEngine, spec_of(quantization="fp8"))
    assert plain == weights_named(VLLMEngine, spec_of(enforce_eager=True))
    assert shared_cards(VLLMEngine, spec_of()) == ()  # alone, it shares none


def test_a_vllm_that_cannot_be_imported_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was raised in the process of its own comes back, in a line."""
    (tmp_path / "vllm.py").write_text("raise ImportError('no kernels for this\\nprocessor')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(VLLMFailedError) as raised:
        Process({"model": "x"}, {})
    spec = Spec.of(ModelSpec("teacher", "teacher", path="x"))
    said = str(load_error(spec, str(raised.value), ()))
    assert said == (
        "model 'teacher' can't be loaded by vLLM from x: ImportError: no kernels for this processor"
    )


def test_what_vllm_says_is_one_line_with_a_remedy() -> None:
    """Without its advice on how to read a log; where room is lacking with our keys' names."""
    spec = Spec.of(ModelSpec("teacher", "teacher", path="x"))
    of_vllm = "RuntimeError: failed. See root cause above.\n KV cache " * 40
    said = str(load_error(spec, of_vllm, ()))
    assert "\n" not in said
    assert "root cause" not in said
    assert "max_model_len" in said
    assert len(said) < 800
    ended = str(answer_error(spec, "q\n1", "its process was ended by SIGKILL: memory ran out"))
    assert "example 'q" in ended
    assert "smaller dtype" in ended
    told = str(load_error(spec, "TypeError: unexpected max_nun_seqs", ["max_nun_seqs"]))
    assert "; engine_args (max_nun_seqs) went to vLLM as they are" in told
