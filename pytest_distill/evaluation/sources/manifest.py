"""What a folder of exported predictions says of the models that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelInfo, file_digest, info_from, plain
from pytest_distill.errors import (
    ConfigError,
    EvaluationError,
    ModelError,
    name_problem,
    refuse_unknown,
)
from pytest_distill.evaluation.store.keeping import run_key

MANIFEST = "models.json"


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What ``models.json`` says of one model.

    Parameters
    ----------
    model : mapping
        What ``distill.yaml`` said that may change an answer: engine, path as written, options.
    identity : mapping
        What made the predictions: the model's digest, engine, versions.
    info : ModelInfo
        What is known of the model.
    files : mapping
        Name of an exported file -> digest of its bytes.
    """

    model: Mapping[str, Any]
    identity: Mapping[str, Any]
    info: ModelInfo
    files: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as it is written, with a checksum over all of it."""
        fields = asdict(self)
        return {**fields, "checksum": run_key(fields)}

    def refuse_other(self, path: Path) -> None:
        """Raise EvaluationError where a file is not the one that was exported for the model."""
        digest, exported = file_digest(path), self.files.get(path.name)
        if digest != exported:
            raise EvaluationError(
                f"{path}: is not what was exported: its digest is {digest[:12]}, and "
                f"{path.with_name(MANIFEST)} says {exported[:12] if exported else 'none'}; export "
                "again"
            )


def read_manifest(folder: Path) -> dict[str, ManifestEntry]:
    """Return what ``models.json`` says of each model; ConfigError where it is not sound."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: no exported predictions: {error}") from None
    if not isinstance(manifest, dict):
        raise ConfigError(f"{path}: is no mapping of models")
    return {name: _entry(f"{path}: {name}", entry) for name, entry in manifest.items()}


def _entry(where: str, entry: object) -> ManifestEntry:
    keys = ("model", "identity", "info", "files", "checksum")
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: must be a mapping, not {plain.shown(entry)}")
    if set(entry) == {"info", "identity"}:
        raise ConfigError(f"{where}: was exported by an earlier version: export again")
    for key in entry:
        refuse_unknown(key, keys, f"{where}: no key '{key}'")
    for key in keys:
        kind = str if key == "checksum" else dict
        if key not in entry:
            raise ConfigError(f"{where}: '{key}' is missing; export again")
        if not isinstance(entry[key], kind):
            wanted = "text" if kind is str else "a mapping"
            raise ConfigError(f"{where}: {key}: must be {wanted}, not {plain.shown(entry[key])}")
    for name, digest in entry["files"].items():
        if not isinstance(digest, str):
            raise ConfigError(f"{where}: files: {name}: must be text, not {plain.shown(digest)}")
    try:
        info = info_from(entry["info"])
    except ModelError as error:
        raise ConfigError(f"{where}: info: {error}") from None
    if run_key({key: entry[key] for key in keys[:-1]}) != entry["checksum"]:
        raise ConfigError(f"{where}: checksum: is not that of what was exported; export again")
    return ManifestEntry(entry["model"], entry["identity"], info, entry["files"])


def refuse_unlike(
    path: Path, name: str, exported: Mapping[str, Any], here: Mapping[str, Any]
) -> None:
    """Raise ConfigError where predictions were exported for another model than the file names now.

    Parameters
    ----------
    path : Path
        The manifest.
    name : str
        The model's name.
    exported, here : mapping
        What ``distill.yaml`` said of the model then, and says now.
    """
    for key in dict.fromkeys((*here, *exported)):
        if exported.get(key) != here.get(key):
            raise ConfigError(
                f"{path}: {name}: {key}: exported was {_told(exported, key)}, and distill.yaml "
                f"says {_told(here, key)}: export again, or correct distill.yaml"
            )


def _told(said: Mapping[str, Any], key: str) -> str:
    return repr(said[key]) if key in said else "nothing"


def file_of(folder: Path, eval: str, model: str) -> Path:
    """Return the file with a model's predictions on an eval; ConfigError where none may be."""
    for name in (eval, model):  # of `distill.yaml`, or of a manifest that came from elsewhere
        if problem := name_problem(name, of_a_file=True):
            raise ConfigError(f"{folder}: the name {name!r} {problem}")
    return folder / f"{eval}.{model}.jsonl"
