"""Every file that a load opens is under the model's digest, as the kernel sees it.

The weights are opened by safetensors' own code in Rust, which Python's audit hooks do not see.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import FileDigests
from pytest_distill.engines.transformers.checkpoint import locate

from .test_engine_adapter import _save_lora
from .tiny import Make, hf, spec_of

LOAD = """
import json, sys
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine

for given in json.loads(sys.argv[1]):
    path = given.pop("path")
    spec = ModelSpec("student", "student", path, "cpu", options=given)
    engine = TransformersEngine(spec)
    assert engine.info.digest
    assert engine.model and engine.tokenizer
    engine.close()
"""
OPENED = re.compile(r'open(?:at)?\([^"]*"([^"]*)".*\) = \d+')

Spec = dict[str, Any]


def plain(folder: Path, tmp: Path) -> Spec:
    """Return a checkpoint with files beside it that are none of its own."""
    copy = shutil.copytree(folder, tmp / "plain")
    for name in ("README.md", "pytorch_model.bin", "trainer_state.json", "model.fp16.safetensors"):
        (copy / name).write_bytes(b"{}")
    return {"path": str(copy)}


def sharded(folder: Path, tmp: Path) -> Spec:
    """Return a checkpoint in several files, beside the single file of another format."""
    copy = shutil.copytree(folder, tmp / "sharded")
    (copy / "model.safetensors").unlink()
    model = hf.LlamaForCausalLM.from_pretrained(folder)
    model.save_pretrained(copy, max_shard_size="100KB")
    assert len(list(copy.glob("model-*.safetensors"))) > 1
    return {"path": str(copy)}


def variant(folder: Path, tmp: Path) -> Spec:
    """Return a checkpoint of which ``load: {variant: fp16}`` names another file."""
    copy = shutil.copytree(folder, tmp / "variant")
    shutil.copy(copy / "model.safetensors", copy / "model.fp16.safetensors")
    return {"path": str(copy), "load": {"variant": "fp16"}}


def templates(folder: Path, tmp: Path) -> Spec:
    """Return a checkpoint with chat templates in a folder, and a tokenizer for later versions."""
    copy = shutil.copytree(folder, tmp / "templates")
    (copy / "additional_chat_templates").mkdir()
    (copy / "additional_chat_templates" / "tools.jinja").write_text("{{ messages }}")
    shutil.copy(copy / "tokenizer.json", copy / "tokenizer.4.0.0.json")
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config["fast_tokenizer_files"] = ["tokenizer.json", "tokenizer.4.0.0.json"]
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    return {"path": str(copy)}


def another_tokenizer(folder: Path, tmp: Path) -> Spec:
    """Return a checkpoint whose tokenizer lies elsewhere."""
    copy = shutil.copytree(folder, tmp / "model")
    tokenizer = shutil.copytree(folder, tmp / "tokenizer")
    (tokenizer / "model.safetensors").unlink()
    (copy / "tokenizer.json").unlink()
    return {"path": str(copy), "tokenizer": str(tokenizer)}


def adapted(folder: Path, tmp: Path) -> Spec:
    """Return a checkpoint with a LoRA adapter."""
    copy = shutil.copytree(folder, tmp / "base")
    base = hf.LlamaForCausalLM.from_pretrained(copy)
    _save_lora(base, tmp / "adapter", target_modules=["q_proj"], task_type="CAUSAL_LM")
    return {"path": str(copy), "adapter": str(tmp / "adapter")}


def _can_trace() -> bool:
    strace = shutil.which("strace")
    if strace is None:
        return False
    command = [strace, "-qq", "-o", "/dev/null", sys.executable, "-c", "pass"]
    return subprocess.run(command, check=False).returncode == 0


def traced(specs: list[Spec], trace: Path) -> set[Path]:
    """Load models in a process of its own, and return every file that it opened."""
    if not _can_trace():
        pytest.skip("strace is not installed, or not allowed here")
    watched = ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "4096", "-e", "trace=openat,open")
    subprocess.run(
        [*watched, "-o", str(trace), sys.executable, "-c", LOAD, json.dumps(specs)],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    lines = trace.read_text().splitlines()
    paths = {Path(found[1]) for line in lines if (found := OPENED.search(line))}
    return {path for path in paths if path.is_file()}


def refuse_outside(spec: Spec, seen: set[Path]) -> None:
    """Fail where a file of the model's folders was opened that its digest doesn't cover."""
    found = locate(spec_of(**spec))
    folders = [folder for folder in (found.folder, found.tokenizer, found.adapter) if folder]
    ours = {path for path in seen if any(path.is_relative_to(folder) for folder in folders)}
    assert ours - set(found.files) == set()
    assert set(found.weights) | set(found.adapter_weights) <= ours


@pytest.mark.filterwarnings("ignore")  # of peft, when the test saves an adapter
def test_a_load_opens_no_file_outside_the_digest(causal_folder: Path, tmp_path: Path) -> None:
    """Everything that is opened below the models' folders counts, their weights among it."""
    builds: list[Callable[[Path, Path], Spec]] = [plain, sharded, variant, templates]
    builds += [another_tokenizer, adapted]
    specs = [build(causal_folder, tmp_path) for build in builds]
    seen = traced(specs, tmp_path / "trace")
    for spec in specs:
        refuse_outside(spec, seen)


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("tokenizer.4.0.0.json", True),
        ("spm.model", True),
        ("modeling_own.py", True),
        ("vocab.bpe", True),
        ("README.md", False),
        ("LICENSE.txt", False),
        ("loss.png", False),
        (".gitattributes", False),
        ("pytorch_model.bin", False),
        ("optimizer.pt", False),
        ("rng_state_0.pth", False),
        ("training_args.bin", False),
        ("trainer_state.json", False),
        ("all_results.json", False),
        ("model.fp16.safetensors", False),
        ("other.gguf", False),
    ],
)
def test_what_counts_beside_the_weights(
    engine: Make, causal_folder: Path, tmp_path: Path, name: str, counted: bool
) -> None:
    """A file that may say how a model answers changes its digest; others do not."""
    copy = shutil.copytree(causal_folder, tmp_path / "model")
    before = engine(copy).checkpoint.digest
    (copy / name).write_bytes(b"new")
    assert (engine(copy).checkpoint.digest != before) is counted


def test_folders_within_a_checkpoint_do_not_count(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """But that of the additional chat templates does."""
    copy = shutil.copytree(causal_folder, tmp_path / "model")
    before = engine(copy).checkpoint.digest
    (copy / "checkpoint-100").mkdir()
    (copy / "checkpoint-100" / "config.json").write_text("{}")
    assert engine(copy).checkpoint.digest == before
    (copy / "additional_chat_templates").mkdir()
    (copy / "additional_chat_templates" / "tools.jinja").write_text("{{ messages }}")
    assert engine(copy).checkpoint.digest != before


def test_the_variant_that_is_loaded_is_the_one_that_counts(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """A change to the weights of another variant is none of this model."""
    copy = shutil.copytree(causal_folder, tmp_path / "model")
    shutil.copy(copy / "model.safetensors", copy / "model.fp16.safetensors")

    def digests() -> tuple[str, str]:
        plain, half = engine(copy), engine(copy, load={"variant": "fp16"})
        return plain.checkpoint.digest, half.checkpoint.digest

    before = digests()
    with (copy / "model.fp16.safetensors").open("ab") as file:
        file.write(b" ")
    after = digests()
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_weights_are_the_same_whatever_lies_beside_them(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """A space in config.json or another file name make no other weights; one bit does."""
    copy = shutil.copytree(causal_folder, tmp_path / "model")
    one = engine(causal_folder).info
    with (copy / "config.json").open("a") as file:
        file.write(" ")
    (copy / "model.safetensors").rename(copy / "model.renamed.safetensors")
    other = engine(copy, load={"variant": "renamed"}).info
    assert one.weights_digest == other.weights_digest
    assert one.digest != other.digest
    with (copy / "model.renamed.safetensors").open("r+b") as binary:
        binary.seek(-1, 2)
        last = binary.read(1)
        binary.seek(-1, 2)
        binary.write(bytes([last[0] ^ 1]))
    assert engine(copy, load={"variant": "renamed"}).info.weights_digest != one.weights_digest


def test_an_adapter_beside_the_model_is_refused(
    engine: Make, causal_folder: Path, tmp_path: Path
) -> None:
    """Transformers would load it unasked where peft is installed."""
    copy = shutil.copytree(causal_folder, tmp_path / "model")
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"holds an adapter beside the model.*as 'adapter:'"):
        _ = engine(copy).info


def test_weights_that_change_while_they_are_loaded_are_refused(
    engine: Make, causal_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows which bytes gave the answers; a file that comes meanwhile is refused too."""
    from pytest_distill.engines.transformers import loading

    copy = shutil.copytree(causal_folder, tmp_path / "model")
    weights, other = copy / "model.safetensors", copy / "vocab.bpe"
    load = loading.load
    change: Callable[[], object] = lambda: weights.write_bytes(weights.read_bytes())  # noqa: E731

    def loads(*arguments: Any) -> Any:
        loaded = load(*arguments)
        change()
        return loaded

    monkeypatch.setattr(loading, "load", loads)
    with pytest.raises(ModelError, match=r"model.safetensors was changed while its model was"):
        _ = engine(copy).model
    change = other.touch
    with pytest.raises(ModelError, match=r"vocab.bpe came or went while the model was"):
        _ = engine(copy).model
    change = lambda: None  # noqa: E731
    assert engine(copy).model is not None


def test_a_checkpoint_is_read_before_it_is_needed(engine: Make, causal_folder: Path) -> None:
    """While other models run, its files are read for the digest, which is then there at once."""
    made = engine(causal_folder)
    assert isinstance(made.spec.hash_file, FileDigests)
    made.read_ahead()
    begun = set(made.spec.hash_file._begun)
    assert begun == set(made.checkpoint.files)
    assert made.checkpoint.digest == engine(causal_folder).checkpoint.digest
    assert not made.spec.hash_file._begun
