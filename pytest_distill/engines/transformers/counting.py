"""Which files of a model's folder count: all that may say how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

TEMPLATES = "additional_chat_templates"
"""The only folder within a checkpoint that a load looks into."""

# Compared in lower case. Weights count too, but only those that will be loaded: see `checkpoint`.
_DOCUMENTS = ("readme*", "license*", "licence*", "copying*", "notice*", "use_policy*", ".git*")
_IMAGES = (
    "*.png",
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.svg",
    "*.webp",
    "*.bmp",
    "*.ico",
    "*.tif",
    "*.tiff",
)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_OTHER_FORMATS = (  # optimizer, scheduler, random states and training_args.bin are among these
    *_PICKLES,
    *("*.pickle", "*.h5", "*.msgpack", "*.ot", "*.npz", "*.onnx", "*.onnx_data", "*.onnx.data"),
    *("*.tflite", "*.mlmodel", "*.ggml", "*.llamafile"),
    *("*.bin.index*.json", "*.h5.index*.json", "*.msgpack.index*.json"),
)
_TRAINING = ("trainer_state.json", "*_results.json")
_WEIGHTS = ("*.safetensors", "*.safetensors.index*.json", "*.gguf")

NOT_COUNTED = (*_DOCUMENTS, *_IMAGES, *_OTHER_FORMATS, *_TRAINING, *_WEIGHTS)
"""Patterns of what says nothing of a model's answers, weights that count by themselves included."""


def other_files(folder: Path) -> tuple[Path, ...]:
    """Return every file at the top of a folder that counts, and its additional chat templates.

    What is not known to be harmless counts: ``tokenizer.4.0.0.json``, ``spm.model``, code. Folders
    do not: nothing is loaded from them.
    """
    top = [file for file in folder.iterdir() if file.is_file() and counts(file.name)]
    templates = folder / TEMPLATES
    more = [file for file in templates.iterdir() if file.is_file()] if templates.is_dir() else []
    return tuple(sorted((*top, *more)))


def counts(name: str) -> bool:
    """Return whether a file of that name is among those that may say how a model answers."""
    return not any(fnmatch(name.lower(), pattern) for pattern in NOT_COUNTED)


def is_pickle(name: str) -> bool:
    """Return whether a file of that name is one of weights that can run code when it is loaded."""
    return name != "training_args.bin" and any(fnmatch(name, pattern) for pattern in _PICKLES)


def weight_names(config: Mapping[str, Any], variant: object) -> tuple[str | None, str | None]:
    """Return the names of the file that holds all weights, and of the index of several.

    As transformers chooses (``_get_resolved_checkpoint_files`` in its 5.23): what ``config.json``
    names is the only one, else the single file goes before the index.
    """
    named = config.get("transformers_weights")
    if named:
        return (None, str(named)) if str(named).endswith(".index.json") else (str(named), None)
    stem = f".{variant}" if variant else ""
    return f"model{stem}.safetensors", f"model.safetensors.index{stem}.json"
