"""What ``python -m pytest_distill store`` does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_distill.config import load_config
from pytest_distill.config.schema import RunModel
from pytest_distill.engines import Identified
from pytest_distill.errors import ConfigError, ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.digest import request_key, run_key
from pytest_distill.evaluation.exported import (
    MANIFEST,
    file_of,
    info_of,
    manifest_entry,
    read_manifest,
    rows_of,
)
from pytest_distill.evaluation.keeping import Keeper
from pytest_distill.evaluation.recorded import read_predictions
from pytest_distill.evaluation.store import FILE_NAME, Store
from pytest_distill.files import make_folder, write_atomically
from pytest_distill.project import Project


def run(command: str, config: Path, cache: Path | None, given: Mapping[str, Any]) -> Iterator[str]:
    """Run a command and yield the lines that it prints.

    Parameters
    ----------
    command : {"list", "export", "import", "prune"}
        What to do.
    config : Path
        The ``distill.yaml``.
    cache : Path, optional
        The store's folder; ``.distill`` beside the config by default.
    given : mapping
        Further arguments: ``folder``.
    """
    path = config.resolve()
    folder = cache or path.parent / ".distill"
    loaded = load_config(path)
    if command == "import":
        make_folder(folder)
    elif not (folder / FILE_NAME).is_file():
        raise ConfigError(f"{folder}: no predictions are stored there")
    store = Store(folder)
    try:
        if command == "list":
            yield from _listed(store)
            return
        project = Project(loaded, keeper=Keeper(folder, warn=print, tell=print))
        if command == "export":
            yield from _export(store, project, given["folder"])
        elif command == "import":
            yield from _import(store, project, given["folder"])
        else:
            yield from _prune(store, project)
    finally:
        store.close()


def _listed(store: Store) -> Iterator[str]:
    runs = store.runs()
    for found in runs:
        identity = found.identity
        about = f"{identity.get('engine', '?')}, {identity.get('dtype', '?')}"
        digest = str(identity.get("model", "?"))[:12]
        yield f"{found.info.name}  {digest}  {found.n:,} predictions  {about}  {found.made}"
    n, size = sum(found.n for found in runs), store.path.stat().st_size
    yield f"{len(runs)} models, {n:,} predictions, {size:,} bytes in {store.path}"


def _export(store: Store, project: Project, folder: Path) -> Iterator[str]:
    manifest = {}
    for name, identity in _identities(project).items():
        if identity is None:
            yield f"{name}: left out, its weights are not here"
            continue
        run = run_key(identity)
        info = store.info(run)
        if info is None:
            yield f"{name}: nothing is stored"
            continue
        manifest[name] = manifest_entry(info, identity)
        for on in _evals(project):
            requests = on.requests()
            lines = rows_of(requests, store.read(run, [request_key(r) for r in requests]))
            if len(lines) == len(requests):
                path = file_of(folder, on.name, name)
                write_atomically(path, "".join(f"{line}\n" for line in lines))
                yield f"{path}: {len(lines):,} predictions"
            elif lines:
                yield f"{name} on {on.name}: left out, {len(lines)} of {len(requests)} are stored"
    if not manifest:
        raise ConfigError(
            f"{store.path}: no prediction of a model of {project.config.path} is there"
        )
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _import(store: Store, project: Project, folder: Path) -> Iterator[str]:
    for name, entry in read_manifest(folder).items():
        run = run_key(entry["identity"])
        store.add_run(run, entry["identity"], info_of(entry))
        for on in project.config.evals:
            path = file_of(folder, on, name)
            if not path.is_file():
                continue
            rows, predictions = read_predictions(path)
            with store.writing(run) as writer:
                for row, prediction in zip(rows, predictions, strict=True):
                    writer.put(bytes.fromhex(str(row.fields["request"])), prediction)
            if writer.problem is not None:
                raise writer.problem
            yield f"{name} on {on}: {len(predictions):,} predictions"


def _prune(store: Store, project: Project) -> Iterator[str]:
    identities = _identities(project)
    absent = {name for name, identity in identities.items() if identity is None}
    kept = {run_key(identity) for identity in identities.values() if identity is not None}
    # Of a model whose weights are not here nobody can tell which predictions are its own.
    old = [r.run for r in store.runs() if r.run not in kept and r.info.name not in absent]
    yield f"{len(old)} models and {store.forget(old):,} predictions dropped"


def _identities(project: Project) -> dict[str, Mapping[str, Any] | None]:
    """Return the identity of every model that an engine runs; None where its weights are absent."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for name, entry in project.config.models.items():
        if isinstance(entry, RunModel):
            try:
                engine = project.start(name)
                if isinstance(engine, Identified):
                    found[name] = engine.identity
            except ModelError:
                found[name] = None
    return found


def _evals(project: Project) -> list[Eval]:
    evals = (project.eval(name) for name in project.config.evals)
    return [on for on in evals if isinstance(on, Eval)]
