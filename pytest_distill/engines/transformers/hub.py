"""A model of the hub as a local folder that holds what is needed of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers.counting import weight_names
from pytest_distill.errors import ModelError

_SMALL_FILES = (
    *("*.json", "*.txt", "*.jinja"),
    *("*.model", "*.spm", "*.codes", "*.bpe", "*.vocab", "*.tiktoken"),
)


def snapshot(spec: ModelSpec, repo: str, key: str) -> Path:
    """Download the files of a hub model that are needed, or take them from the hub's cache.

    Parameters
    ----------
    spec : ModelSpec
        The model.
    repo : str
        The hub id.
    key : {"path", "tokenizer", "adapter"}
        What of the model the id stands for; ``revision:`` is that of the path.

    Raises
    ------
    ModelError
        When the hub can't be reached and its cache lacks the model, or there is no such model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        revision = spec.revision if key == "path" else None
        small = [*_SMALL_FILES, *(["*.py"] if spec.trust_remote_code else [])]
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=small))
        if key == "tokenizer":
            return folder
        wanted = [spec.gguf_file] if spec.gguf_file and key == "path" else _weights(spec, folder)
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
    except (OSError, HFValidationError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"model '{spec.name}': {key}: '{repo}' is no folder here, and the hub doesn't give it "
            f"({lines[0].split('. ')[0].rstrip('.:')})"
        ) from None
    finally:
        if shown:
            enable_progress_bars()


def in_cache(repo: str, revision: str | None) -> bool:
    """Return whether the hub's cache holds a snapshot of a model; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repo, "config.json", revision=revision)
    except (OSError, HFValidationError):
        return False
    return isinstance(found, str)


def _weights(spec: ModelSpec, folder: Path) -> list[str]:
    """Return the names of the safetensors files that the small files of a snapshot point at."""
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return ["adapter_model.safetensors"]
    config = _json(folder / "config.json")
    single, index = weight_names(config, spec.load.get("variant"))
    if index and (folder / index).is_file():
        return sorted(set(map(str, _json(folder / index)["weight_map"].values())))
    return [str(single)]


def _json(file: Path) -> dict[str, Any]:
    """Return what a small file holds; nothing where it is broken, which is told later."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
