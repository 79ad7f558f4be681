from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import pytest

from pytest_distill.evals.requests import ChoiceRequest, PerplexityRequest

from .test_engine_files import refuse_outside, traced
from .tiny import CORPUS, Make, hf


@pytest.fixture
def gguf_folder(causal_folder: Path, tokenizer: Any, tmp_path: Path) -> Path:
    """Return a folder with nothing but the causal model as a GGUF file of 32-bit floats."""
    write_gguf(causal_folder, tokenizer, tmp_path)
    return tmp_path


def write_gguf(causal_folder: Path, tokenizer: Any, folder: Path) -> None:
    """Write the causal model as a GGUF file of 32-bit floats, ``model.gguf``."""
    model: Any = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    config = model.config
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
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


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
    (got,), (expected,) = made.predict(choices), plain.predict(choices)
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-4)
    texts = [PerplexityRequest("1", CORPUS)]
    (got,), (expected,) = made.predict(texts), plain.predict(texts)
    assert got.tokens == expected.tokens
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-2)
    assert str(made.model.dtype) == f"torch.{info.dtype}"


def test_a_load_opens_no_file_outside_the_digest(gguf_folder: Path, tmp_path: Path) -> None:
    """A README and weights in other formats beside the file are neither opened nor counted."""
    gguf_folder = shutil.copytree(gguf_folder, tmp_path / "model")
    for name in ("README.md", "other.gguf", "model.safetensors"):
        (gguf_folder / name).write_bytes(b"{}")
    spec = {"name": "student", "role": "student", "device": "cpu"}
    spec |= {"path": str(gguf_folder), "gguf_file": "model.gguf"}
    refuse_outside(spec, traced([spec], tmp_path / "trace"))
