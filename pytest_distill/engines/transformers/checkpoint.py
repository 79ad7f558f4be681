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

from pytest_distill.engines import file_digest
from pytest_distill.engines.transformers import counting
from pytest_distill.engines.transformers.hub import snapshot
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.quantisation import packing
from pytest_distill.errors import ModelError

# What the size on disk counts as a tokenizer: what holds its vocabulary, one of which has to be
# there, and what says how it is used.
_VOCABULARY = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "bpe.codes",
    "spiece.model",
    "source.spm",
    "target.spm",
    "sentencepiece.bpe.model",
    "sentencepiece.model",
    "tokenizer.model",
    "tekken.json",
)
_TOKENIZER_FILES = (
    *_VOCABULARY,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True)
class Checkpoint:
    """The files of one model.

    Parameters
    ----------
    folder, tokenizer : Path
        Where the weights and config, and where the tokenizer are.
    adapter : Path, optional
        Folder of the adapter.
    weights, adapter_weights : tuple of Path
        Exactly the files of weights that will be loaded.
    others : mapping
        Part (``model``, ``tokenizer``, ``adapter``) -> every other file of its folder that counts;
        see `other_files`.
    config : mapping
        The parsed ``config.json``; empty for a GGUF file, which holds its own.
    adapter_config : mapping
        The parsed ``adapter_config.json``; empty without an adapter.
    quantised_to : str
        What ``load:`` asks to quantise weights to that are stored as they are; empty where not.
    hash_file : callable
        File -> digest of its bytes.
    """

    folder: Path
    tokenizer: Path
    adapter: Path | None
    weights: tuple[Path, ...]
    adapter_weights: tuple[Path, ...]
    others: Mapping[str, tuple[Path, ...]]
    config: Mapping[str, Any]
    adapter_config: Mapping[str, Any]
    quantised_to: str = ""
    hash_file: Callable[[Path], str] = file_digest

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the model is made of."""
        others = (file for part in self.others.values() for file in part)
        return tuple(dict.fromkeys((*self.weights, *self.adapter_weights, *others)))

    @property
    def bytes(self) -> int:
        """Size of weights (an adapter's included) and tokenizer on disk, in bytes."""
        tokenizer = _existing(self.tokenizer, _TOKENIZER_FILES) if not self.embedded else ()
        files = {*self.weights, *tokenizer, *self.adapter_weights}
        return sum(file.stat().st_size for file in files)

    @property
    def embedded(self) -> bool:
        """Whether the tokenizer is a part of the weights' file, as that of a GGUF file is."""
        return self.weights[0].suffix == ".gguf" and self.tokenizer == self.folder

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights, config, tokenizer, adapter and code.

        The files' names within their folder go in, the folder doesn't: a checkpoint keeps its
        identity when it is moved, and loses it when it is overwritten in place.
        """
        whole = hashlib.sha256()
        parts = {"weights": self.weights, "adapter weights": self.adapter_weights, **self.others}
        for part, files in parts.items():
            names = ((_name(file), file) for file in files)
            for name, file in sorted(names):
                whole.update(f"{part}\0{name}\0{self.hash_file(file)}\n".encode())
        whole.update(self.quantised_to.encode())
        return whole.hexdigest()

    @cached_property
    def weights_digest(self) -> str:
        """SHA-256 over the bytes of the weights alone, whatever their files are called.

        The weights that a model runs with are others once they are quantised.
        """
        whole = hashlib.sha256()
        for part, files in (("base", self.weights), ("adapter", self.adapter_weights)):
            for file in sorted(files, key=_name):
                whole.update(f"{part}\0{self.hash_file(file)}\n".encode())
        whole.update(self.quantised_to.encode())
        return whole.hexdigest()

    def adapter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor of the adapter, by the name it has in the base model."""
        shapes: dict[str, tuple[int, ...]] = {}
        for file in self.adapter_weights:
            for name, of in _header(file)[0].items():
                shapes[name.removeprefix("base_model.model.")] = tuple(of["shape"])
        return shapes

    @cached_property
    def stored_types(self) -> dict[str, str]:
        """The type in which each tensor of the weights is stored, as safetensors calls it."""
        return {name: of["dtype"] for file in self.weights for name, of in _header(file)[0].items()}

    @cached_property
    def idle_adapter(self) -> bool:
        """Whether the adapter's weights are those it is made with, which change no answer.

        That is a LoRA whose matrices B are zero, or (IA)3 vectors of ones. Where it holds anything
        else (a head, DoRA's magnitudes) it is not known, and False.
        """
        return bool(self.adapter_weights) and all(_idle(file) for file in self.adapter_weights)


def locate(spec: Spec) -> Checkpoint:
    """Find the files of a model; a model of the hub is downloaded, or found in its cache.

    Raises
    ------
    ModelError
        When a folder or file is missing, the weights are pickles, or an adapter lies among them.
    """
    options = spec.options
    folder = _folder(spec, spec.path, "path")
    adapter = _folder(spec, options.adapter, "adapter") if options.adapter else None
    tokenizer = _folder(spec, options.tokenizer, "tokenizer") if options.tokenizer else folder
    if options.gguf_file:
        weights: tuple[Path, ...] = (_gguf(spec, folder),)
        index: tuple[Path, ...] = ()
        config: Mapping[str, Any] = {}
    else:
        config = _config(spec, folder)
        weights, index = _weights(spec, folder, config)
    embedded = options.gguf_file and tokenizer == folder
    if not (embedded or _existing(tokenizer, _VOCABULARY) or options.trust_remote_code):
        named = options.tokenizer or spec.path
        here = Path(named).is_dir()
        mend = "save it there with tokenizer.save_pretrained, or name another folder"
        raise ModelError(
            f"model '{spec.name}': no tokenizer in {tokenizer if here else named} (no "
            f"tokenizer.json, vocab.txt or the like): {mend if here else 'name another'} "
            "with 'tokenizer:'"
        )
    adapter_weights, adapter_config = _adapter(spec, adapter) if adapter else ((), {})
    others = {"model": (*counting.other_files(folder), *index)}
    if tokenizer != folder:
        others["tokenizer"] = counting.other_files(tokenizer)
    if adapter:
        others["adapter"] = counting.other_files(adapter)
    return Checkpoint(
        folder=folder,
        tokenizer=tokenizer,
        adapter=adapter,
        weights=weights,
        adapter_weights=adapter_weights,
        others=others,
        config=config,
        adapter_config=adapter_config,
        quantised_to=str(packed) + json.dumps(packed.config, sort_keys=True, default=str)
        if (packed := packing(spec, config)) is not None and packed.on_the_fly
        else "",
        hash_file=spec.hash_file,
    )


def _folder(spec: Spec, path: str, key: str) -> Path:
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


def _gguf(spec: Spec, folder: Path) -> Path:
    file = folder / str(spec.options.gguf_file)
    if not file.is_file():
        there = ", ".join(sorted(path.name for path in folder.glob("*.gguf"))) or "none"
        raise ModelError(
            f"model '{spec.name}': gguf_file: no {spec.options.gguf_file} in {folder} "
            f"(GGUF files there: {there})"
        )
    return file


def _config(spec: Spec, folder: Path) -> Mapping[str, Any]:
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
    if (folder / "adapter_config.json").is_file():
        # transformers would load it by itself where peft is installed, and nobody would be told.
        raise ModelError(
            f"model '{spec.name}': {folder} holds an adapter beside the model: move the adapter's "
            "files (adapter_*) into a folder of its own, and give that as 'adapter:' if the model "
            "is to run with it"
        )
    return _read(spec, file)


def _weights(
    spec: Spec, folder: Path, config: Mapping[str, Any]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Return the safetensors files that transformers will load, and the index that names them.

    There is no index where a single file holds all.
    """
    name, index = counting.weight_names(config, spec.options.load.get("variant"))
    if name and (folder / name).is_file():
        return (folder / name,), ()
    if index and (folder / index).is_file():
        shards = sorted(set(_shards(spec, folder / index)))
        lost = [shard for shard in shards if not (folder / shard).is_file()]
        if lost:
            raise ModelError(
                f"model '{spec.name}': {folder / index} names {len(shards)} weight files, "
                f"{len(lost)} of which are missing: {', '.join(lost[:3])}"
            )
        return tuple(folder / shard for shard in shards), (folder / index,)
    pickles = _pickles(folder)
    if pickles:
        architecture = next(iter(config.get("architectures") or ()), "AutoModel")
        raise ModelError(
            f"model '{spec.name}': {folder} has only pickle weights ({pickles[0].name}), which can "
            "run code when they are loaded; convert them once, if you trust them: python -c "
            f'"from transformers import {architecture} as M; '
            f"M.from_pretrained('{folder}').save_pretrained('{folder}')\""
        )
    raise ModelError(f"model '{spec.name}': no weights in {folder} (no {name or index})")


def _shards(spec: Spec, index: Path) -> list[str]:
    named = _read(spec, index).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ModelError(f"model '{spec.name}': {index} has no weight_map of tensors to files")
    return names


def _adapter(spec: Spec, folder: Path) -> tuple[tuple[Path, ...], Mapping[str, Any]]:
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
    return (weights,), _read(spec, config)


def _pickles(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if counting.is_pickle(file.name))


def _existing(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    return tuple(folder / name for name in names if (folder / name).is_file())


def _name(file: Path) -> str:
    """Return a file's name; of a chat template in a folder of its own, with that folder."""
    templates = file.parent.name == counting.TEMPLATES
    return f"{counting.TEMPLATES}/{file.name}" if templates else file.name


def _read(spec: Spec, file: Path) -> dict[str, Any]:
    """Return what a JSON file holds; ModelError where it is no object."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise ModelError(f"model '{spec.name}': {file} is no valid JSON: {error}") from None
    return value


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """Return what a safetensors file says of each tensor, and at which byte their data begin."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return {name: of for name, of in header.items() if name != "__metadata__"}, 8 + length


_ONE = {"F32": b"\0\0\x80\x3f", "F16": b"\0\x3c", "BF16": b"\x80\x3f"}


def _idle(file: Path) -> bool:
    """Return whether every tensor of an adapter's file is as it was before any training."""
    tensors, begin = _header(file)
    with file.open("rb") as stream:
        for name, of in tensors.items():
            if ".lora_A." in name or ".lora_embedding_A" in name:
                continue
            if ".lora_B." in name or ".lora_embedding_B" in name:
                fresh = b"\0"
            elif "ia3_" in name and of["dtype"] in _ONE:
                fresh = _ONE[of["dtype"]]
            else:
                return False
            start, end = of["data_offsets"]
            stream.seek(begin + start)
            if stream.read(end - start) != fresh * ((end - start) // len(fresh)):
                return False
    return bool(tensors)
