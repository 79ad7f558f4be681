"""How a checkpoint would be run by vLLM: told from its files, so that vLLM need not be there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_distill.engines.transformers.checkpoint import locate
from pytest_distill.engines.transformers.clocks import Clock
from pytest_distill.engines.transformers.loading import load_tokenizer
from pytest_distill.engines.vllm.loading import Plan, planned
from pytest_distill.engines.vllm.options import VLLMOptions
from pytest_distill.engines.vllm.weights import seen
from pytest_distill.errors import ModelError

from .tiny import hf, saved, spec_of


def plan(folder: Path, notes: list[str] | None = None, **options: Any) -> Plan:
    """Return how a checkpoint would be run."""
    spec = spec_of(folder)
    checkpoint = locate(spec)
    tokenizer = load_tokenizer(spec, checkpoint)
    clock = Clock.of(spec.began)
    found = [] if notes is None else notes
    return planned(spec, VLLMOptions(**options), checkpoint, tokenizer, clock, found)


def test_a_context_of_plain_rotary_positions_is_made_longer_by_what_vllm_counts(
    causal_folder: Path,
) -> None:
    """By two tokens, of which the model reads none that counts; a smaller one needs nothing."""
    whole = plan(causal_folder)
    assert (whole.reader.context, whole.length, whole.extended) == (96, 98, True)
    assert whole.ends == (1,)
    smaller = plan(causal_folder, max_model_len=94)
    assert (smaller.reader.context, smaller.length, smaller.extended) == (94, 96, False)
    with pytest.raises(ModelError, match=r"max_model_len is 97, but the model's context is 96$"):
        plan(causal_folder, max_model_len=97)


def test_a_table_of_positions_is_not_made_longer(tmp_path: Path, tokenizer: Any) -> None:
    """There is no position beyond it."""
    config = hf.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=48
    )
    found = plan(saved(hf.GPT2LMHeadModel(config), tokenizer, tmp_path))
    assert (found.reader.context, found.length, found.extended) == (48, 48, False)
    assert found.reader.vocabulary == len(tokenizer)


def test_positions_that_are_scaled_for_each_text_are_told_of(
    tmp_path: Path, tokenizer: Any
) -> None:
    """VLLM scales them as for the longest one; no context is made longer then."""
    torch.manual_seed(1)
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        rope_parameters=rope,
    )
    notes: list[str] = []
    found = plan(saved(hf.LlamaForCausalLM(config), tokenizer, tmp_path), notes)
    assert not found.extended
    (note,) = notes
    assert "rope_type dynamic" in note


def test_models_of_other_kinds_are_refused(seq2seq_folder: Path, classifier_folder: Path) -> None:
    """With the engine that runs them."""
    for folder, name in ((seq2seq_folder, "T5"), (classifier_folder, "Bert")):
        with pytest.raises(ModelError, match=rf"is a {name}.*set 'engine: transformers'$"):
            plan(folder)


@pytest.mark.parametrize("beside", ["old.safetensors", "model.safetensors.index.json"])
def test_weights_beside_those_of_the_model_are_out_of_sight(
    causal_folder: Path, tmp_path: Path, beside: str
) -> None:
    """VLLM would load every file of weights in the folder, or those that the index names."""
    folder = shutil.copytree(causal_folder, tmp_path / "m")
    with seen(locate(spec_of(folder))) as own:
        assert own == folder
    (folder / beside).write_bytes((folder / "config.json").read_bytes())
    checkpoint = locate(spec_of(folder))
    with seen(checkpoint) as made:
        assert [file.resolve() for file in made.glob("*.safetensors")] == [*checkpoint.weights]
        assert (made / "config.json").read_bytes() == (folder / "config.json").read_bytes()
        assert not (made / beside).exists()
    assert not made.exists()
    assert (folder / "model.safetensors").is_file()


def with_weights(folder: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Return a copy of a checkpoint with other weights."""
    shutil.copytree(folder, to)
    weights = load_file(to / "model.safetensors")
    change(weights)
    save_file(weights, to / "model.safetensors", metadata={"format": "pt"})
    return to


def test_a_checkpoint_that_lacks_a_weight_is_refused(causal_folder: Path, tmp_path: Path) -> None:
    """VLLM would run it with whatever stood there, and one with a layer too many without it."""
    name = "model.layers.1.mlp.up_proj.weight"
    lacking = with_weights(causal_folder, tmp_path / "lacking", lambda w: w.pop(name))
    with pytest.raises(ModelError, match=r"lacks model\.layers\.1\.mlp\.up_proj\.weight; a Llama"):
        plan(lacking)
    deeper = name.replace(".1.", ".2.")
    more = with_weights(
        causal_folder, tmp_path / "more", lambda w: w.update({deeper: w[name].clone()})
    )
    with pytest.raises(ModelError, match=r"holds model\.layers\.2\..*has no place for"):
        plan(more)


def test_tied_weights_count_once_and_other_names_are_told_of(
    causal_folder: Path, tmp_path: Path
) -> None:
    """A head that is stored alone stands for the table that is tied to it."""
    table = "model.embed_tokens.weight"
    tied = with_weights(
        causal_folder, tmp_path / "t", lambda w: w.update({"lm_head.weight": w.pop(table)})
    )
    notes: list[str] = []
    plan(tied, notes)
    assert notes == []

    def renamed(weights: dict[str, Any]) -> None:
        for key in [*weights]:
            weights[f"x.{key}"] = weights.pop(key)

    plan(with_weights(causal_folder, tmp_path / "r", renamed), notes)
    (note,) = notes
    assert "not checked whether all are there" in note
