"""``python -m pytest_distill store``: look into the store, export, import and prune it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_distill._util.files import make_folder, write_atomically
from pytest_distill.config import load_config
from pytest_distill.config.schema import EngineModel
from pytest_distill.engines import file_digest
from pytest_distill.errors import ConfigError, EvaluationError, ModelError, printable
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evaluation.described_model import identity_of
from pytest_distill.evaluation.run_model import RunModel, asked_again
from pytest_distill.evaluation.sources.exported import DATED, rows_of
from pytest_distill.evaluation.sources.manifest import (
    MANIFEST,
    ManifestEntry,
    file_of,
    read_manifest,
)
from pytest_distill.evaluation.sources.recorded import read_predictions
from pytest_distill.evaluation.store.file import FILE_NAME, Store
from pytest_distill.evaluation.store.keeping import Keeper, run_key
from pytest_distill.evaluation.store.usable import MIGRATED
from pytest_distill.project.project import Project


def add_to(commands: Any) -> None:
    """Add the command, and those inside it, to the subparsers of ``python -m pytest_distill``."""
    store = commands.add_parser("store", help="the stored predictions", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, default=Path("distill.yaml"), metavar="PATH")
    common.add_argument("--cache", type=Path, metavar="DIR", help="default: .distill beside it")
    inside = store.add_subparsers(dest="what", required=True)
    inside.add_parser("list", parents=[common], help="what is stored, and who was judged")
    for name, what in (
        ("export", "write the predictions of this distill.yaml into a folder"),
        ("import", "take in predictions that were exported elsewhere"),
    ):
        command = inside.add_parser(name, parents=[common], help=what)
        command.add_argument("folder", type=Path, metavar="DIR")
    inside.add_parser(
        "prune", parents=[common], help="drop what belongs to no model of this distill.yaml"
    )


def run(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines that it prints.

    Parameters
    ----------
    given : Namespace
        ``what`` (list, export, import or prune); ``config``, the ``distill.yaml``; ``cache``,
        the store's folder, ``.distill`` beside the config by default; ``folder``, to export to or
        to import from.
    """
    loaded = load_config(given.config.resolve())
    folder = given.cache or loaded.folder / ".distill"
    if given.what == "import":
        make_folder(folder)
    elif not (folder / FILE_NAME).is_file():
        raise ConfigError(f"{folder}: no predictions are stored there")
    store = Store(folder)
    if store.migrated:
        yield MIGRATED.format(path=store.path)
    try:
        if given.what == "list":
            yield from _listed(store)
            return
        project = Project(loaded, keeper=Keeper(folder, warn=print, tell=print))
        if given.what == "export":
            yield from _export(store, project, given.folder)
        elif given.what == "import":
            yield from _import(store, project, given.folder)
        else:
            yield from _prune(store, project)
    finally:
        store.close()


def _listed(store: Store) -> Iterator[str]:
    runs = store.runs()
    for found in runs:
        identity = found.identity
        server = identity.get("server")
        about = f"{identity.get('engine', '?')}, {server or identity.get('dtype', '?')}"
        if "asked" in identity:
            about += ", asked again"
        digest = str(identity.get("model", "?"))[: 60 if server else 12]  # a name, or a digest
        yield f"{found.info.name}  {digest}  {found.n:,} predictions  {about}  {found.made}"
    for looks in store.all_looks():
        names = [printable(name) for name in looks.evals] or ["?"]
        several = "" if looks.students == 1 else "s"
        judged = f"{looks.students:,} student{several} judged"
        since = datetime.fromtimestamp(looks.first, UTC).isoformat(timespec="seconds")
        yield f"{', '.join(names)}  gold set {printable(looks.gold[:12])}  {judged}  {since}"
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
        files = {}
        for on in _evals(project):
            requests = on.all_requests()
            model = project.models[name]
            dated = model.dated_prompts(requests) if isinstance(model, RunModel) else {}
            keys = [request_key(r, dated.get(r.id)) for r in requests]
            lines = rows_of(on, requests, keys, store.read(run, keys))
            if len(lines) == len(requests):
                path = file_of(folder, on.name, name)
                write_atomically(path, "".join(f"{line}\n" for line in lines))
                files[path.name] = file_digest(path)
                yield f"{path}: {len(lines):,} predictions"
            elif lines:
                yield f"{name} on {on.name}: left out, {len(lines)} of {len(requests)} are stored"
        written = _run_models(project)[name].written
        manifest[name] = ManifestEntry(written, identity, info, files).to_json()
    if not manifest:
        raise ConfigError(
            f"{store.path}: no prediction of a model of {project.config.path} is there"
        )
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _import(store: Store, project: Project, folder: Path) -> Iterator[str]:
    for name, entry in read_manifest(folder).items():
        run = run_key(entry.identity)
        store.add_run(run, entry.identity, entry.info)
        for on in project.config.evals:
            path = file_of(folder, on, name)
            if not path.is_file():
                continue
            entry.refuse_other(path)
            rows, predictions = read_predictions(path)
            asked = [_request_of(row) for row in rows]
            with store.writing(run) as writer:
                for request, prediction in zip(asked, predictions, strict=True):
                    writer.put(request, prediction)
            if writer.problem is not None:
                raise writer.problem
            yield f"{name} on {on}: {len(predictions):,} predictions"


def _request_of(row: Example) -> bytes:
    """Return the digest of what was asked, which each exported row has."""
    try:
        return bytes.fromhex(row.fields.get(DATED, row.fields["request"]))
    except (KeyError, TypeError, ValueError):
        raise EvaluationError(
            f"{row.where} (id '{row.id}'): no digest of what was asked in 'request'; export again"
        ) from None


def _prune(store: Store, project: Project) -> Iterator[str]:
    identities = _identities(project)
    absent = {name for name, identity in identities.items() if identity is None}
    known = [identity for identity in identities.values() if identity is not None]
    present = {run_key(each) for of in known for each in (of, asked_again(of))}
    # Which predictions are those of a model whose weights are not here cannot be told.
    old = [r.run for r in store.runs() if r.run not in present and r.info.name not in absent]
    yield f"{len(old)} models and {store.forget(old):,} predictions dropped"


def _run_models(project: Project) -> dict[str, EngineModel]:
    """Return the entries of the models that an engine runs."""
    entries = project.config.models.items()
    return {name: entry for name, entry in entries if isinstance(entry, EngineModel)}


def _identities(project: Project) -> dict[str, Mapping[str, Any] | None]:
    """Return the identity of every model that an engine runs; None where its weights are absent."""
    found: dict[str, Mapping[str, Any] | None] = {}
    for name in _run_models(project):
        try:
            identity = identity_of(name, project.start(name))
        except ModelError:
            found[name] = None
        else:
            if identity is not None:
                found[name] = identity
    return found


def _evals(project: Project) -> list[Eval]:
    evals = (project.eval(name) for name in project.config.evals)
    return [on for on in evals if isinstance(on, Eval)]
