"""``python -m pytest_distill import``: what other tools wrote, as plain files of ours.

Prints the lines of a distill.yaml that reads them; all else that it prints is a comment there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pytest_distill._util.files import write_atomically
from pytest_distill._util.format import count_text
from pytest_distill.cli.yaml_text import yaml_lines
from pytest_distill.comparison.sameness import asked_otherwise
from pytest_distill.engines import Role
from pytest_distill.errors import ConfigError, EvaluationError, did_you_mean, few, one_line
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.converted import Converted, file_name
from pytest_distill.evaluation.sources.foreign_rows import digest_of, prompt_kind
from pytest_distill.evaluation.sources.formats.format import FORMATS, ForeignRun, Format, format_of

GOLD = "gold"
"""What stands in the name of a gold set's file in the place of a model."""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``python -m pytest_distill``."""
    command = commands.add_parser(
        "import", help="what other tools wrote, as plain files", description=__doc__
    )
    command.add_argument("format", metavar="FORMAT", help=", ".join(FORMATS))
    command.add_argument(
        "paths",
        nargs="+",
        metavar="[NAME=]PATH",
        help="files, or folders that have them somewhere inside; NAME is what to call their model",
    )
    command.add_argument(
        "-o", "--output", type=Path, default=Path("predictions"), metavar="DIR", help="%(default)s"
    )


def run(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines that it prints.

    Parameters
    ----------
    given : Namespace
        ``format``, what wrote the files; ``paths``, each perhaps behind the name of a model;
        ``output``, the folder to write to.
    """
    format = format_of(given.format)
    runs = [found for text in given.paths for found in _read(format, text)]
    yield from converted_lines(runs, format.name, given.output)


def converted_lines(runs: Sequence[Named], kind: str, output: Path) -> Iterator[str]:
    """Write runs into a folder, and yield the lines to print.

    Parameters
    ----------
    runs : sequence of Named
        What to write.
    kind : str
        The format's name.
    output : Path
        The folder.
    """
    _refuse_as_folder(output)
    tasks = _by_task(runs, kind)
    files: dict[Path, str] = {}
    for converted in tasks:
        gold = converted.gold_lines()  # are the documents the same?
        _refuse_other_prompts(converted)
        task = file_name(converted.task)
        files[output / f"{task}.{GOLD}.jsonl"] = gold
        for model in converted.runs:
            files[output / f"{task}.{model}.jsonl"] = converted.lines(model)
    yield from _written(files)
    yield from _told(tasks)
    yield from _yaml(tasks, output)


@dataclass(frozen=True)
class Named:
    """A run, and what its model is called here."""

    model: str
    run: ForeignRun


def _read(format: Format, text: str) -> list[Named]:
    """Return the runs at a path, perhaps behind the name of their model."""
    name, equals, rest = text.partition("=")
    if Path(text).exists() or not equals:
        name, rest = "", text
    paths = _files(format, Path(rest))
    return [Named(file_name(name or found.model or "model"), found) for found in format.read(paths)]


def _files(format: Format, path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file or folder; {did_you_mean(path.name, beside)}")
    found = sorted(p for p in path.rglob("*") if format.is_named(p) and p.is_file())
    if not found:
        raise ConfigError(f"{path}: none of {format.files} in this folder")
    return found


def _by_task(runs: Sequence[Named], kind: str) -> list[Converted]:
    """Return the runs by their task; ConfigError where two would be written into one file."""
    by_file: dict[str, Named] = {}
    tasks: dict[str, dict[str, ForeignRun]] = {}
    by_gold: dict[str, ForeignRun] = {}
    models: dict[tuple[Path, str], str] = {}
    for each in runs:
        first = models.setdefault((each.run.files[0].resolve(), each.run.task), each.model)
        if first != each.model:
            raise ConfigError(
                f"{each.run.source}: is given for two models, '{first}' and '{each.model}': name "
                "the run of each"
            )
        task = file_name(each.run.task)
        same = by_gold.setdefault(task.casefold(), each.run)
        if same.task != each.run.task:
            raise ConfigError(
                f"tasks '{same.task}' ({same.source}) and '{each.run.task}' ({each.run.source}) "
                f"would both be written into {task}.{GOLD}.jsonl: convert one at a time, into two "
                "folders"
            )
        if each.model.casefold() == GOLD:
            raise ConfigError(
                f"{each.run.source}: a model called '{each.model}' would be written into the file "
                f"of the gold set: call it otherwise: NAME={each.run.files[0]}"
            )
        name = f"{task}.{each.model}"
        other = by_file.setdefault(name.casefold(), each)
        if other is not each:
            raise ConfigError(
                f"{each.run.source} and {other.run.source} are both runs of task "
                f"'{each.run.task}' by model '{each.model}': give one alone, or call the models by "
                f"names of your own: '{each.model}-2={each.run.files[0]}'"
            )
        tasks.setdefault(each.run.task, {})[each.model] = each.run
    return [Converted(task, found, kind) for task, found in tasks.items()]


def _refuse_as_folder(output: Path) -> None:
    """Raise ConfigError where a file stands in the place of a folder to write to."""
    there = next((path for path in (output, *output.parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        raise ConfigError(f"{there}: is a file; name a folder to write to with -o")


def _refuse_other_prompts(converted: Converted) -> None:
    """Raise EvaluationError where models were asked otherwise about one document."""
    (_, first), *others = converted.runs.items()
    known = {row.id: digest_of(row, prompt_kind(converted.kind, first)) for row in first.rows}
    for _, other in others:
        kind = prompt_kind(converted.kind, other)
        for row in other.rows:
            one, mine = known.get(row.id), digest_of(row, kind)
            if one is not None and mine is not None and asked_otherwise(one, mine):
                raise EvaluationError(
                    f"task {converted.task}: of example '{row.id}' other things were asked in "
                    f"{other.source} than in {first.source}: evaluate both with the same solved "
                    "examples, instructions, choices and settings, or convert each alone"
                )


def _written(files: Mapping[Path, str]) -> Iterator[str]:
    """Write files, all or none; ConfigError where one is there with other contents."""
    old = {path: path.read_bytes() for path in files if path.exists()}
    for path, text in files.items():
        if path in old and old[path] != text.encode():
            raise ConfigError(
                f"{path}: is there already, with other contents: delete it, or name another "
                "folder with -o; nothing was written"
            )
    for path, text in files.items():
        if path not in old:
            write_atomically(path, text)
        kept = " (there already)" if path in old else ""
        rows = count_text(text.count("\n"), "row")
        yield f"# {one_line(str(path))}: {rows}{kept}"


def _told(tasks: Sequence[Converted]) -> Iterator[str]:
    """Yield what a reader must know of the runs."""
    for converted in tasks:
        for found in converted.runs.values():
            for note in found.notes:
                yield f"# {one_line(note)}"
            if found.left_out:
                names = few(found.left_out)
                yield f"# {one_line(found.source)}: no score of an example: {one_line(names)}"


def _yaml(tasks: Sequence[Converted], output: Path) -> Iterator[str]:
    """Yield the lines of a ``distill.yaml`` that reads the files."""
    folder = Path(shown_path(output.resolve()))
    models: dict[str, dict[str, Any]] = {}
    for converted in tasks:
        task = file_name(converted.task)
        for model in converted.runs:
            predictions = models.setdefault(model, {})
            predictions[task] = (folder / f"{task}.{model}.jsonl").as_posix()
    evals = {
        file_name(each.task): each.entry(
            (folder / f"{file_name(each.task)}.{GOLD}.jsonl").as_posix()
        )
        for each in tasks
    }
    roles = {name: name for name in models if name in get_args(Role)}
    free = (role for role in ("teacher",) if role not in roles)
    entries = {}
    for name, predictions in models.items():
        role = {} if name in roles else {"role": next(free, "student")}
        entries[name] = {**role, "engine": "recorded", "predictions": predictions}
    if any("role" in entry for entry in entries.values()):
        yield "# roles are guesses: the first model is taken for the teacher"
    yield from yaml_lines({"models": entries, "evals": evals})
