from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers.weights import bytes_held
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .test_engine_files import refuse_outside, traced
from .tiny import CORPUS, Make, hf, predicted

Tensors = dict[str, tuple[Any, Any]]
"""Name -> an array, and the type of its blocks where it is packed."""


def _tensors(model: Any) -> Tensors:
    """Return the weights of a Llama under the names and in the order of llama.cpp."""
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "model.layers.": "blk.",
    }
    found: Tensors = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":  # tied
            continue
        array = tensor.numpy()
        for part, count in heads.items():
            if part in name:  # llama.cpp has the two halves of every head interleaved
                size = array.shape[0] // count // 2
                array = array.reshape(count, 2, size, -1).swapaxes(1, 2).reshape(array.shape)
        for theirs, own in names.items():
            name = name.replace(theirs, own)
        found[name] = array, None
    return found


def _write(folder: Path, config: Any, tokenizer: Any, tensors: Tensors) -> Path:
    """Write a folder with nothing but ``model.gguf``; return it."""
    folder.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] * 3 + [1] * (len(vocabulary) - 3))  # control and normal ones
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(2)
    for name, (array, kind) in tensors.items():
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


@pytest.fixture
def gguf_folder(causal_folder: Path, tokenizer: Any, tmp_path: Path) -> Path:
    """Return a folder with nothing but the causal model as a GGUF file of 32-bit floats."""
    return write_gguf(causal_folder, tokenizer, tmp_path / "plain")


def write_gguf(causal_folder: Path, tokenizer: Any, folder: Path) -> Path:
    """Write the causal model as ``model.gguf``, of 32-bit floats; return its folder."""
    model: Any = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    return _write(folder, model.config, tokenizer, _tensors(model))


@pytest.fixture(scope="module")
def wide() -> Any:
    """Return a random Llama whose rows are as long as the blocks of K-quants, 256."""
    torch.manual_seed(6)
    config = hf.LlamaConfig(
        vocab_size=400,
        hidden_size=256,
        intermediate_size=256,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        initializer_range=0.1,
    )
    return hf.LlamaForCausalLM(config)


def _packed(array: Any, kind: str) -> Any:
    """Return the bytes of an array's blocks; those of K-quants hold some numbers or other."""
    if not kind.endswith("_K"):
        return gguf.quants.quantize(array, gguf.GGMLQuantizationType[kind])
    # Where in a block of 256 numbers the scales are that are floats of two bytes.
    size, scales = {"Q4_K": (144, (0, 2)), "Q5_K": (176, (0, 2)), "Q6_K": (210, (208,))}[kind]
    blocks = numpy.random.default_rng(7).integers(
        0, 256, (array.size // 256, size), dtype=numpy.uint8
    )
    for at in scales:
        blocks[:, at : at + 2] = numpy.array([2e-4], numpy.float16).view(numpy.uint8)
    return blocks.reshape(array.shape[0], -1)


@pytest.mark.parametrize("kind", ["F16", "Q4_0", "Q4_1", "Q5_0", "Q8_0", "Q4_K", "Q5_K", "Q6_K"])
def test_a_packed_gguf_file_answers_as_its_weights_unpacked(
    engine: Make, wide: Any, tokenizer: Any, tmp_path: Path, kind: str
) -> None:
    """Answers are those of gguf's own unpacking; size, type and memory are told as they are."""
    number = gguf.GGMLQuantizationType[kind]
    plain = _tensors(wide)
    packed: Tensors = {
        name: (array, None) if array.ndim < 2 else (_packed(array, kind), number)
        for name, (array, _) in plain.items()
    }
    unpacked: Tensors = {
        name: (array if of is None else gguf.quants.dequantize(array, of), None)
        for name, (array, of) in packed.items()
    }
    folders = [
        _write(tmp_path / name, wide.config, tokenizer, tensors)
        for name, tensors in (("packed", packed), ("unpacked", unpacked))
    ]
    made, expected = (engine(f, gguf_file="model.gguf", device="cpu") for f in folders)
    choices = [ChoiceRequest("1", "Question: what is the capital?\nAnswer:", (" Paris", " nine"))]
    (got,), (wanted,) = predicted(made, choices), predicted(expected, choices)
    assert got.loglikelihoods == pytest.approx(wanted.loglikelihoods, abs=1e-3)
    info = made.info
    assert info.parameters == sum(parameter.numel() for parameter in wide.parameters())
    assert info.bytes == (folders[0] / "model.gguf").stat().st_size
    assert info.quantization == (None if kind == "F16" else f"GGUF {kind}")
    assert info.dtype == "float32"
    assert bytes_held(made.model) == bytes_held(expected.model)
    said = [note for note in made.notes if "unpacked in memory, where they are float32" in note]
    assert len(said) == (0 if kind == "F16" else 1)


def test_a_gguf_file_of_several_types_names_the_commonest_first(
    engine: Make, wide: Any, tokenizer: Any, tmp_path: Path
) -> None:
    """Few numbers, as those of the norms, are not worth a word."""
    tensors = {
        name: (array, None)
        if array.ndim < 2
        else (
            _packed(array, kind := "Q6_K" if "ffn_down" in name else "Q4_K"),
            gguf.GGMLQuantizationType[kind],
        )
        for name, (array, _) in _tensors(wide).items()
    }
    folder = _write(tmp_path / "mixed", wide.config, tokenizer, tensors)
    assert engine(folder, gguf_file="model.gguf").info.quantization == "GGUF Q4_K, Q6_K"


def test_a_gguf_file_without_a_layer_is_refused(
    engine: Make, wide: Any, tokenizer: Any, tmp_path: Path
) -> None:
    """Weights that are not in the file are never random numbers."""
    tensors = _tensors(wide)
    del tensors["blk.0.ffn_up.weight"]
    folder = _write(tmp_path / "broken", wide.config, tokenizer, tensors)
    with pytest.raises(ModelError, match=r"lacks model\.layers\.0\.mlp\.up_proj\.weight"):
        _ = engine(folder, gguf_file="model.gguf").model


def test_a_gguf_file_answers_as_the_checkpoint_it_was_made_of(
    engine: Make, gguf_folder: Path, causal_folder: Path
) -> None:
    """Weights, tokenizer and context come from the one file; size and identity are the file's."""
    made, plain = engine(gguf_folder, gguf_file="model.gguf"), engine(causal_folder)
    info = made.info
    assert made._loaded is None
    assert info.parameters == plain.info.parameters
    assert info.bytes == (gguf_folder / "model.gguf").stat().st_size
    choices = [ChoiceRequest("1", "Question: what is the capital?\nAnswer:", (" Paris", " nine"))]
    (got,), (expected,) = predicted(made, choices), predicted(plain, choices)
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-4)
    texts = [PerplexityRequest("1", CORPUS)]
    (got,), (expected,) = predicted(made, texts), predicted(plain, texts)
    assert got.tokens == expected.tokens
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-2)
    assert str(made.model.dtype) == f"torch.{info.dtype}"


def test_a_load_opens_no_file_outside_the_digest(gguf_folder: Path, tmp_path: Path) -> None:
    """A README and weights in other formats beside the file are neither opened nor counted."""
    gguf_folder = shutil.copytree(gguf_folder, tmp_path / "model")
    for name in ("README.md", "other.gguf", "model.safetensors"):
        (gguf_folder / name).write_bytes(b"{}")
    spec = {"path": str(gguf_folder), "gguf_file": "model.gguf"}
    refuse_outside(spec, traced([spec], tmp_path / "trace"))
