"""``python -m pytest_distill baseline``: keep a run that was accepted, look at it, compare two."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_distill._util.format import count_text, floor_text, interval_text, score_text
from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.baseline.change import change, exact_score
from pytest_distill.comparison.baseline.file import (
    BaselineFile,
    age_text,
    examples_of,
    rows_of,
    write_baseline,
)
from pytest_distill.comparison.baseline.held import counterpart
from pytest_distill.comparison.baseline.pairing import Pairing, pair
from pytest_distill.comparison.baseline.scored import Rows, metric_of
from pytest_distill.config import Config, load_config
from pytest_distill.errors import ConfigError, one_line, some_of
from pytest_distill.evaluation.evaluation import ReportedEval
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.project.baseline import accepted_run, paths_of
from pytest_distill.project.project import Project
from pytest_distill.report.gate_changes import changes_between, required_text
from pytest_distill.report.reading import read_report
from pytest_distill.report.records.report import Report
from pytest_distill.report.records.since import ChangeRow
from pytest_distill.report.since import change_row, drift_sentences, flips_text, then_and_now

DEFAULT = "baseline.json"


def add_to(commands: Any) -> None:
    """Add the command, and those inside it, to the subparsers of ``python -m pytest_distill``."""
    baseline = commands.add_parser(
        "baseline", help="the run that was accepted last", description=__doc__
    )
    inside = baseline.add_subparsers(dest="what", required=True)
    save = inside.add_parser("save", help="keep a run that said SHIP, from its JSON report")
    save.add_argument("report", type=Path, metavar="REPORT.json")
    save.add_argument(
        "--config", type=Path, metavar="PATH", help="default: distill.yaml, or the report's"
    )
    save.add_argument("--cache", type=Path, metavar="DIR", help="default: .distill beside it")
    save.add_argument(
        "--predictions", type=Path, metavar="DIR", help="exported predictions of absent models"
    )
    save.add_argument(
        "--output", type=Path, metavar="PATH", help="default: as distill.yaml says, beside it"
    )
    show = inside.add_parser("show", help="models, scores and gates of an accepted run")
    compare = inside.add_parser("compare", help="what has changed between two accepted runs")
    for name in ("before", "now"):
        compare.add_argument(name, type=Path, metavar=f"{name.upper()}.json")
    show.add_argument("path", type=Path, nargs="?", metavar="PATH", help="default: as for save")


def run(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines that it prints."""
    if given.what == "save":
        yield from _save(given)
    elif given.what == "compare":
        yield from _compared(Accepted(given.before), Accepted(given.now))
    else:
        path = given.path or _named(load_config(Path("distill.yaml").resolve()))
        yield from _shown(Accepted(path))


def _save(given: argparse.Namespace) -> Iterator[str]:
    report = read_report(given.report)
    config = load_config((given.config or _config_of(report)).resolve())
    path = given.output or _named(config)
    folder = given.cache or config.folder / ".distill"
    keeper = Keeper(folder, warn=print, tell=print)
    paths = paths_of(config, report)
    project = Project(config, keeper=keeper, predictions=given.predictions, paths=paths)
    try:
        kept = accepted_run(project, report, folder)
    finally:
        project.close()
    write_baseline(path, kept)
    shown = Accepted(path).shown
    examples = sum(len(examples_of(shown, name, on).asked) for name, on in kept.evals.items())
    models = count_text(len(kept.models), "model")
    gates, evals = count_text(len(kept.gates), "gate"), count_text(len(kept.evals), "eval")
    size = f"{path.stat().st_size:,} bytes"
    yield f"{shown}: {models}, {evals}, {count_text(examples, 'example')}, {gates}, {size}"
    yield from _of_what(kept)
    if config.settings.baseline is None:
        yield (
            f"name it in {config.path.name} ('baseline: {DEFAULT}'), or by --distill-baseline, so "
            "that runs are held against it"
        )


def _config_of(report: Report) -> Path:
    """Return the ``distill.yaml`` of this folder, else the only one that the report is of."""
    here = Path("distill.yaml")
    configs = list(dict.fromkeys(row.config for row in report.models))
    if here.is_file() or not configs:
        return here
    if len(configs) > 1:
        raise ConfigError(f"the report is of {some_of(configs)}: name one by --config")
    return Path(configs[0])


def _named(config: Config) -> Path:
    written = config.settings.baseline
    return config.folder / (written.path if written else DEFAULT)


def _of_what(kept: BaselineFile) -> Iterator[str]:
    if kept.reason:
        yield f"  it is of a run that said SHIP ({one_line(kept.reason)})"


def _shown(accepted: Accepted) -> Iterator[str]:
    kept, path = accepted.file, accepted.shown
    age = age_text(kept.made, datetime.now(UTC))
    commit = f"commit {kept.commit}" if kept.commit else "of no known commit"
    yield f"{path}: {kept.outcome}, {age} ({kept.made:%Y-%m-%d %H:%M} UTC), {commit}"
    yield from _of_what(kept)
    for model in kept.models:
        digest = f"  digest {one_line(model.digest[:12])}" if model.digest else ""
        yield f"  {one_line(model.name)} ({model.role}){digest}"
    for name, on in kept.evals.items():
        n = len(examples_of(path, name, on).asked)
        yield f"  {one_line(name)}, {count_text(n, 'example')} (gold set {on.gold[:12]})"
        for metric_name, scores in on.metrics.items():
            told = []
            metric = metric_of(metric_name, scores)
            for who in scores.rows:
                rows = rows_of(path, name, on, metric_name, who, n)
                if metric is None or rows is None:
                    told.append(f"{one_line(who)} not computed, as the metric is the project's")
                else:
                    told.append(f"{one_line(who)} {floor_text(exact_score(metric, name, rows))}")
            yield f"    {one_line(metric_name)}: {', '.join(told)}"
    for gate in kept.gates:
        yield f"  {one_line(gate.nodeid)}: {gate.gate} {required_text(gate)}"


def _compared(before: Accepted, now: Accepted) -> Iterator[str]:
    old, new = before.file, now.file
    yield f"before: {_when(before)}"
    yield f"now:    {_when(now)}"
    changes: list[ChangeRow] = []
    for name in dict.fromkeys((*old.evals, *new.evals)):
        if name not in old.evals or name not in new.evals:
            yield f"{one_line(name)}: only {'before' if name in old.evals else 'now'}"
            continue
        pairing, rows = _changes(before, now, name)
        others = f" ({pairing.others})" if pairing.others else ""
        yield f"{one_line(name)}: {count_text(pairing.common, 'example')} of both{others}"
        if old.evals[name].settings != new.evals[name].settings:
            yield "  other settings, such as the prompt"
        yield from (f"  {_change_text(row)}" for row in rows)
        changes += rows
    yield from drift_sentences(changes, "")
    for row in changes_between(old.gates, new.gates):
        steps = " -> ".join(part for part in (row.before, row.now) if part)
        yield f"{row.change}: {one_line(row.nodeid)}: {row.about} {steps}"


def _when(accepted: Accepted) -> str:
    kept = accepted.file
    commit = f", commit {kept.commit[:12]}" if kept.commit else ""
    return f"{accepted.shown}, {kept.made:%Y-%m-%d %H:%M} UTC{commit}"


def _changes(before: Accepted, now: Accepted, name: str) -> tuple[Pairing, list[ChangeRow]]:
    """Return the examples of both runs, and what has changed of each model by each metric."""
    old, new = before.file.evals[name], now.file.evals[name]
    then, these = (examples_of(a.shown, name, a.file.evals[name]) for a in (before, now))
    pairing = pair(then.asked, then.expected, these.asked, these.expected)
    clusters = None if these.clusters is None else [these.clusters[i] for i in pairing.now]
    found = []
    for metric_name, scores in new.metrics.items() if pairing.common else ():
        metric = metric_of(metric_name, scores)
        for model in now.file.models:
            of_role = [m.name for m in now.file.models if m.role == model.role]
            other = counterpart(before.file, model.name, model.role, of_role)
            if metric is None or other is None:
                continue
            was = rows_of(before.shown, name, old, metric_name, other.name, len(then.asked))
            is_now = rows_of(now.shown, name, new, metric_name, model.name, len(these.asked))
            if was is None or is_now is None:
                continue
            row = change(
                metric,
                ReportedEval(name, (metric,)),
                Rows(was[pairing.before], old.metrics[metric_name].labels),
                Rows(is_now[pairing.now], scores.labels),
                clusters,
            )
            told = change_row(row, metric, model.name, model.role, (other.digest, model.digest))
            found.append(replace(told, eval=name))
    return pairing, found


def _change_text(row: ChangeRow) -> str:
    before, now = then_and_now(row)
    sign = "+" if row.difference > 0 else ""
    difference = score_text(row.difference, higher_is_better=row.higher_is_better)
    known = row.lower is not None or row.upper is not None
    bounds = f", 95 % interval {interval_text(row.lower, row.upper)}" if known else ""
    same = ", the same checkpoint" if row.same else ""
    return (
        f"{one_line(row.model)}: {one_line(row.metric)} {before} -> {now} "
        f"({sign}{difference}{bounds}){flips_text(row)}{same}"
    )
