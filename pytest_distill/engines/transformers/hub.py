"""A model of the hub as a local folder that holds what is needed of it."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pytest_distill._util import hub
from pytest_distill._util.packages import is_installed
from pytest_distill.engines.transformers import counting
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.errors import ModelError, few

_SMALL_FILES = (
    *("*.json", "*.txt", "*.jinja"),
    *("*.model", "*.spm", "*.codes", "*.bpe", "*.vocab", "*.tiktoken", "*.tokenizer"),
)
_ADAPTER = "adapter_model.safetensors"
_PART = "its cache holds only a part of it, and {}"


def snapshot(spec: Spec, repo: str, key: str) -> Path:
    """Download the files of a hub model that are needed, or take them from the hub's cache.

    What a branch or a tag stands for is asked once a run: a model that is loaded twice has the
    same bytes, though its branch has moved meanwhile.

    Parameters
    ----------
    spec : Spec
        The model.
    repo : str
        The hub id.
    key : {"path", "tokenizer", "adapter"}
        What of the model the id stands for; ``revision:`` is that of the path.

    Raises
    ------
    ModelError
        When the hub can't be reached and its cache lacks the model, there is no such model, or it
        has no weights that may be loaded.
    """
    revision = _revision(spec, key, repo)
    try:
        found = spec.resolved.get((repo, revision)) or hub.find(repo, revision)
        spec.resolved[repo, revision] = found
        folder = _fetch(repo, found, _small(spec, found.names or ()))
        wanted = [] if key == "tokenizer" else _wanted(spec, folder, key)
        bare = (
            key == "path" and not spec.options.gguf_file and not (folder / "config.json").is_file()
        )
        there = set(wanted if found.names is None else found.names)
        if wanted and not bare and there.issuperset(wanted):
            _fetch(repo, found, wanted)
        missing = [name for name in wanted if not (folder / name).is_file()]
        if found.trouble is not None and (there & set(missing) or (bare and found.names is None)):
            raise hub.HubError(_PART.format(found.trouble))
    except hub.HubError as error:
        raise ModelError(
            f"model '{spec.name}': {key}: '{repo}' is no folder here, and the hub doesn't give it: "
            f"{error}"
        ) from None
    if missing or bare:
        raise _lacking(
            spec, repo, key, found.names or tuple(file.name for file in folder.glob("*")), missing
        )
    return folder


def told(spec: Spec) -> list[str]:
    """Return which commits the parts of a model are that were found on the hub."""
    own = spec.options
    parts = {"path": spec.path, "adapter": own.adapter, "tokenizer": own.tokenizer}
    asked = {key: (repo, _revision(spec, key, repo)) for key, repo in parts.items() if repo}
    return [
        f"{spec.name}: {'' if key == 'path' else f'{key} '}{spec.resolved[name].told(*name)}"
        for key, name in asked.items()
        if name in spec.resolved
    ]


def in_cache(spec: Spec) -> bool:
    """Return whether the hub's cache holds a model with its weights; the network is not asked."""
    if not is_installed("huggingface_hub"):  # a job that runs no models
        return False
    folder = hub.cached(spec.path, spec.options.revision)
    wanted = [] if folder is None else _wanted(spec, folder, "path")
    return folder is not None and bool(wanted) and all((folder / n).is_file() for n in wanted)


def _revision(spec: Spec, key: str, repo: str) -> str | None:
    """Return the revision of a part; ``revision:`` is that of `path`, and of what lies with it."""
    return spec.options.revision if key == "path" or repo == spec.path else None


def _fetch(repo: str, found: hub.Found, names: Iterable[str]) -> Path:
    """Return the folder of a commit, with these of its files where the hub and its cache have them.

    Raises
    ------
    hub.HubError
        Where a file could not be had.
    """
    from huggingface_hub import snapshot_download

    names = list(names)
    here = hub.cached(repo, found.commit)
    if here is not None and names and all((here / name).is_file() for name in names):
        return here
    try:
        with hub.quiet():
            folder = snapshot_download(
                repo,
                revision=found.commit,
                allow_patterns=[glob.escape(name) for name in names],
                local_files_only=found.trouble is not None,
            )
    except Exception as error:  # noqa: BLE001 - the network, the hub and its client each have theirs
        if found.trouble is not None:
            raise hub.HubError(_PART.format(found.trouble)) from None
        raise hub.HubError(str(hub.reason(error, repo, found.commit))) from None
    return Path(folder)


def _small(spec: Spec, names: Iterable[str]) -> list[str]:
    """Return those of a commit's files that say how a model answers, its weights aside.

    They lie at the top: of the folders only that of chat templates is looked into.
    """
    kinds = (*_SMALL_FILES, *(["*.py"] if spec.options.trust_remote_code else []))
    found = []
    for path in names:
        folder, _, name = path.rpartition("/")
        wanted = counting.counts(name) or fnmatch(name, "*.safetensors.index*.json")
        if (
            folder in ("", counting.TEMPLATES)
            and wanted
            and any(fnmatch(name, kind) for kind in kinds)
        ):
            found.append(path)
    return found


def _wanted(spec: Spec, folder: Path, key: str) -> list[str]:
    """Return the names of the files of weights that will be loaded, as far as they are known."""
    if key == "adapter":
        return [_ADAPTER]
    if spec.options.gguf_file:
        return [spec.options.gguf_file]
    # The safetensors files that the small files of a snapshot point at.
    if not (folder / "config.json").is_file():
        return []
    single, index = counting.weight_names(
        _json(folder / "config.json"), spec.options.load.get("variant")
    )
    if index and (folder / index).is_file():
        shards = _json(folder / index).get("weight_map")
        return sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
    return [str(single)]


def _lacking(
    spec: Spec, repo: str, key: str, here: Sequence[str], missing: list[str]
) -> ModelError:
    """Return the error of a model that the hub has, but not what is to be loaded of it."""
    who = f"model '{spec.name}': {key}: {repo}"
    top = sorted(name for name in here if "/" not in name)
    ggufs = [name for name in top if name.endswith(".gguf")]
    if spec.options.gguf_file and key == "path":
        return ModelError(
            f"{who}: gguf_file: it has no {spec.options.gguf_file} (GGUF files there: "
            f"{', '.join(ggufs) or 'none'})"
        )
    if key == "adapter" and "adapter_config.json" not in here:
        return ModelError(f"{who} is no adapter: it has no adapter_config.json")
    if not missing and key == "path" and "adapter_config.json" in here:
        return ModelError(
            f"{who} is an adapter: give its base model as 'path:', this as 'adapter:'"
        )
    if not missing and key == "path" and "config.json" not in here:
        hint = f"; for the GGUF file there, add 'gguf_file: {ggufs[0]}'" if ggufs else ""
        return ModelError(f"{who} has no config.json{hint}")
    pickles = [name for name in top if counting.is_pickle(name)]
    if pickles and len(missing) == 1:
        return ModelError(
            f"{who} has only pickle weights ({pickles[0]}), which can run code when they are "
            "loaded; nothing was downloaded: use a revision with safetensors, or convert them once "
            f"where you trust them, and give the folder as '{key}:'"
        )
    lost = [name for name in missing if name not in here]
    return ModelError(f"{who} has no weights that can be loaded: {few(lost)} is not there")


def _json(file: Path) -> dict[str, Any]:
    """Return what a small file holds; nothing where it is broken, which is told later."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
