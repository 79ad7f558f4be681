"""``python -m pytest_distill baseline``: keep a run that was accepted, look at it, compare two."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_distill._util.format import count_text, floor_text
from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.baseline.change import exact_score
from pytest_distill.comparison.baseline.file import (
    BaselineFile,
    age_text,
    examples_of,
    rows_of,
    write_baseline,
)
from pytest_distill.comparison.baseline.scored import metric_of
from pytest_distill.config import Config, load_config
from pytest_distill.errors import one_line
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.project.baseline import accepted_run
from pytest_distill.project.project import Project
from pytest_distill.report.gate_changes import required_text
from pytest_distill.report.reading import read_report

DEFAULT = "baseline.json"


def add_to(commands: Any) -> None:
    """Add the command, and those inside it, to the subparsers of ``python -m pytest_distill``."""
    baseline = commands.add_parser(
        "baseline", help="the run that was accepted last", description=__doc__
    )
    inside = baseline.add_subparsers(dest="what", required=True)
    save = inside.add_parser("save", help="keep a run that said SHIP, from its JSON report")
    save.add_argument("report", type=Path, metavar="REPORT.json")
    save.add_argument("--config", type=Path, default=Path("distill.yaml"), metavar="PATH")
    save.add_argument("--cache", type=Path, metavar="DIR", help="default: .distill beside it")
    save.add_argument(
        "--predictions", type=Path, metavar="DIR", help="exported predictions of absent models"
    )
    save.add_argument(
        "--output", type=Path, metavar="PATH", help="default: as distill.yaml says, beside it"
    )
    show = inside.add_parser("show", help="models, scores and gates of an accepted run")
    show.add_argument("path", type=Path, nargs="?", metavar="PATH", help="default: as for save")


def run(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines that it prints."""
    if given.what == "save":
        yield from _save(given)
    else:
        path = given.path or _named(load_config(Path("distill.yaml").resolve()))
        yield from _shown(path, _read(path))


def _save(given: argparse.Namespace) -> Iterator[str]:
    report = read_report(given.report)
    config = load_config(given.config.resolve())
    path = given.output or _named(config)
    folder = given.cache or config.folder / ".distill"
    keeper = Keeper(folder, warn=print, tell=print)
    project = Project(config, keeper=keeper, predictions=given.predictions)
    try:
        kept = accepted_run(project, report, folder)
    finally:
        project.close()
    write_baseline(path, kept)
    examples = sum(len(examples_of(str(path), name, on).asked) for name, on in kept.evals.items())
    models = count_text(len(kept.models), "model")
    gates, evals = count_text(len(kept.gates), "gate"), count_text(len(kept.evals), "eval")
    size = f"{path.stat().st_size:,} bytes"
    yield f"{path}: {models}, {evals}, {count_text(examples, 'example')}, {gates}, {size}"
    if config.settings.baseline is None:
        yield (
            f"name it in {config.path.name} ('baseline: {DEFAULT}'), or by --distill-baseline, so "
            "that runs are held against it"
        )


def _named(config: Config) -> Path:
    written = config.settings.baseline
    return config.folder / (written.path if written else DEFAULT)


def _read(path: Path) -> BaselineFile:
    return Accepted(path).file


def _shown(path: Path, kept: BaselineFile) -> Iterator[str]:
    age = age_text(kept.made, datetime.now(UTC))
    commit = f"commit {kept.commit}" if kept.commit else "of no known commit"
    yield f"{path}: {kept.outcome}, {age} ({kept.made:%Y-%m-%d %H:%M} UTC), {commit}"
    for model in kept.models:
        digest = f"  digest {model.digest[:12]}" if model.digest else ""
        yield f"  {one_line(model.name)} ({model.role}){digest}"
    for name, on in kept.evals.items():
        n = len(examples_of(str(path), name, on).asked)
        yield f"  {one_line(name)}, {count_text(n, 'example')} (gold set {on.gold[:12]})"
        for metric_name, scores in on.metrics.items():
            told = []
            metric = metric_of(metric_name, scores)
            for who in scores.rows:
                rows = rows_of(str(path), name, on, metric_name, who, n)
                if metric is None or rows is None:
                    told.append(f"{one_line(who)} not computed, as the metric is the project's")
                else:
                    told.append(f"{one_line(who)} {floor_text(exact_score(metric, name, rows))}")
            yield f"    {one_line(metric_name)}: {', '.join(told)}"
    for gate in kept.gates:
        yield f"  {one_line(gate.nodeid)}: {gate.gate} {required_text(gate)}"
