"""What a checkpoint is on disk: which files make it up, how big they are, and its identity.

Only files are read here; neither torch nor transformers is imported.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelSpec, sha256_of
from pytest_distill.engines.transformers.hub import snapshot
from pytest_distill.errors import ModelError

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "bpe.codes",
    "spiece.model",
    "source.spm",
    "target.spm",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "tokenizer.model",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
)
# These say how a tokenizer is used, not what its vocabulary is.
_NO_VOCABULARY = {
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True)
class Checkpoint:
    """The files of one model.

    Parameters
    ----------
    folder, tokenizer : Path
        Where the weights and config, and where the tokenizer are.
    adapter : Path, optional
        Folder of the adapter.
    weights, configs, tokenizer_files, adapter_files, code : tuple of Path
        Every file that the model is made of. `code` is empty unless remote code is trusted.
    config : mapping
        The parsed ``config.json``; empty for a GGUF file, which holds its own.
    adapter_config : mapping
        The parsed ``adapter_config.json``; empty without an adapter.
    hash_file : callable
        File -> SHA-256 of its bytes.
    """

    folder: Path
    tokenizer: Path
    adapter: Path | None
    weights: tuple[Path, ...]
    configs: tuple[Path, ...]
    tokenizer_files: tuple[Path, ...]
    adapter_files: tuple[Path, ...]
    code: tuple[Path, ...]
    config: Mapping[str, Any]
    adapter_config: Mapping[str, Any]
    hash_file: Callable[[Path], str] = sha256_of

    @property
    def bytes(self) -> int:
        """Size of weights (an adapter's included) and tokenizer on disk, in bytes."""
        adapter = [file for file in self.adapter_files if file.suffix == ".safetensors"]
        files = {*self.weights, *self.tokenizer_files, *adapter}
        return sum(file.stat().st_size for file in files)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights, config, tokenizer, adapter and trusted code.

        The files' base names go in, their folder doesn't: a checkpoint keeps its identity when it
        is moved, and loses it when it is overwritten in place.
        """
        whole = hashlib.sha256()
        for part in ("weights", "configs", "tokenizer_files", "adapter_files", "code"):
            for file in sorted(getattr(self, part), key=lambda file: file.name):
                digest = self.hash_file(file)
                whole.update(f"{part}\0{file.name}\0{digest}\n".encode())
        return whole.hexdigest()

    def adapter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the adapter, by the name it has in the base model."""
        shapes: dict[str, tuple[int, ...]] = {}
        for file in self.adapter_files:
            if file.suffix == ".safetensors":
                for name, shape in _header(file).items():
                    shapes[name.removeprefix("base_model.model.")] = shape
        return shapes


def locate(spec: ModelSpec) -> Checkpoint:
    """Find the files of a model; a model of the hub is downloaded, or found in its cache.

    Raises
    ------
    ModelError
        When a folder or file is missing, or the weights are pickles.
    """
    folder = _folder(spec, spec.path, "path")
    adapter = _folder(spec, spec.adapter, "adapter") if spec.adapter else None
    tokenizer = _folder(spec, spec.tokenizer, "tokenizer") if spec.tokenizer else folder
    if spec.gguf_file:
        weights: tuple[Path, ...] = (_gguf(spec, folder),)
        configs: tuple[Path, ...] = ()
        config: Mapping[str, Any] = {}
    else:
        config = _config(spec, folder)
        weights = _weights(spec, folder, config)
        configs = _existing(folder, ("config.json", "generation_config.json"))
    tokenizer_files = _existing(tokenizer, _TOKENIZER_FILES)
    embedded = spec.gguf_file and tokenizer == folder
    has_vocabulary = any(file.name not in _NO_VOCABULARY for file in tokenizer_files)
    if not (embedded or has_vocabulary or spec.trust_remote_code):
        raise ModelError(
            f"model '{spec.name}': no tokenizer in {tokenizer} (no tokenizer.json, vocab.txt or "
            "the like): save it there with tokenizer.save_pretrained, or name another folder "
            "with 'tokenizer:'"
        )
    adapter_files, adapter_config = _adapter(spec, adapter) if adapter else ((), {})
    return Checkpoint(
        folder=folder,
        tokenizer=tokenizer,
        adapter=adapter,
        weights=weights,
        configs=configs,
        tokenizer_files=() if embedded else tokenizer_files,
        adapter_files=adapter_files,
        code=tuple(sorted(folder.glob("*.py"))) if spec.trust_remote_code else (),
        config=config,
        adapter_config=adapter_config,
        hash_file=spec.hash_file,
    )


def _folder(spec: ModelSpec, path: str, key: str) -> Path:
    """Return the folder that `path` names: itself where it is one, else a snapshot of the hub."""
    local = Path(path)
    if path and local.is_dir():
        return local
    if path and local.exists():
        raise ModelError(f"model '{spec.name}': {key}: {path} is a file, not a model folder")
    if not path or local.is_absolute() or path.startswith(("./", "../", "~")):
        raise ModelError(
            f"model '{spec.name}': {key}: no folder {path or '(empty)'}; train or download "
            f"the model, or correct '{key}:'"
        )
    return snapshot(spec, path, key)


def _gguf(spec: ModelSpec, folder: Path) -> Path:
    file = folder / str(spec.gguf_file)
    if not file.is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "none"
        raise ModelError(
            f"model '{spec.name}': gguf_file: no {spec.gguf_file} in {folder} "
            f"(GGUF files there: {there})"
        )
    return file


def _config(spec: ModelSpec, folder: Path) -> Mapping[str, Any]:
    file = folder / "config.json"
    if not file.is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(
                f"model '{spec.name}': {folder} is an adapter: give its base model as 'path:' and "
                "this folder as 'adapter:'"
            )
        ggufs = sorted(path.name for path in folder.glob("*.gguf"))
        hint = f"; for the GGUF file there, add 'gguf_file: {ggufs[0]}'" if ggufs else ""
        raise ModelError(f"model '{spec.name}': no config.json in {folder}{hint}")
    try:
        return _json(file)
    except ValueError as error:
        raise ModelError(f"model '{spec.name}': {file} is no valid JSON: {error}") from None


def _weights(spec: ModelSpec, folder: Path, config: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return the safetensors files that transformers will load, in its own order of preference."""
    variant = spec.load.get("variant")
    stem = f".{variant}" if variant else ""
    name = config.get("transformers_weights") or f"model{stem}.safetensors"
    single, index = folder / name, folder / f"model.safetensors.index{stem}.json"
    if single.is_file() and single.suffix == ".safetensors":
        return (single,)
    if index.is_file():
        shards = sorted(set(_json(index).get("weight_map", {}).values()))
        lost = [shard for shard in shards if not (folder / shard).is_file()]
        if lost:
            raise ModelError(
                f"model '{spec.name}': {index} names {len(shards)} weight files, "
                f"{len(lost)} of which are missing: {', '.join(lost[:3])}"
            )
        return tuple(folder / shard for shard in shards)
    pickles = _pickles(folder)
    if pickles:
        architecture = next(iter(config.get("architectures") or ()), "AutoModel")
        raise ModelError(
            f"model '{spec.name}': {folder} has only pickle weights ({pickles[0].name}), which can "
            "run code when they are loaded; convert them once, if you trust them: python -c "
            f'"from transformers import {architecture} as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    raise ModelError(f"model '{spec.name}': no weights in {folder} (no {name})")


def _adapter(spec: ModelSpec, folder: Path) -> tuple[tuple[Path, ...], Mapping[str, Any]]:
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    if not config.is_file():
        raise ModelError(f"model '{spec.name}': adapter: no adapter_config.json in {folder}")
    if not weights.is_file():
        pickles = _pickles(folder)
        found = f" ({pickles[0].name} is a pickle, which is not loaded)" if pickles else ""
        raise ModelError(
            f"model '{spec.name}': adapter: no adapter_model.safetensors in {folder}{found}; save "
            "the adapter with peft's save_pretrained(safe_serialization=True)"
        )
    return (config, weights), _json(config)


def _pickles(folder: Path) -> list[Path]:
    found = sorted(file for pattern in _PICKLES for file in folder.glob(pattern))
    return [file for file in found if file.name != "training_args.bin"]


def _existing(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(folder / name for name in names if (folder / name).is_file())


def _json(file: Path) -> dict[str, Any]:
    value = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _header(file: Path) -> dict[str, tuple[int, ...]]:
    """Return the tensors' shapes from the header of a safetensors file."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return {name: tuple(of["shape"]) for name, of in header.items() if name != "__metadata__"}
