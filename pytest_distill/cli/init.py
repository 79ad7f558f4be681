"""``python -m pytest_distill init``: a first project, made of your models or predictions.

Writes distill.yaml and test_ship.py, or nothing where one of them is there already.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill._util.format import count_text
from pytest_distill.cli import schema
from pytest_distill.cli.starting.fields import (
    Fields,
    GivenFields,
    GoldFields,
    refuse_other_targets,
    tasks_of_all,
)
from pytest_distill.cli.starting.first_model import FirstModel
from pytest_distill.cli.starting.models import models_of, rows_of
from pytest_distill.cli.starting.texts import (
    NO_GOLD,
    FirstEval,
    config_lines,
    gate_names,
    labels_of,
    test_lines,
)
from pytest_distill.config import load_config
from pytest_distill.config.json_schema import shipped
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError, DistillError, one_line
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.converted import file_name
from pytest_distill.evaluation.sources.recorded import RecordedModel
from pytest_distill.project.evals import read_eval

TESTS = "test_ship.py"
CONFIG = "distill.yaml"

_NO_NAMES = re.compile(r"(teacher|student|sft|gold|test|dev|val|validation|eval|data|train)")
"""What files are called that say nothing of what they hold."""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``python -m pytest_distill``."""
    command = commands.add_parser(
        "init", help="a first project of your models or predictions", description=__doc__
    )
    command.add_argument(
        "paths",
        nargs="+",
        metavar="[ROLE=]PATH",
        help="folder of a model, or file with its predictions; ROLE is teacher, student or sft",
    )
    command.add_argument("--gold", type=Path, metavar="FILE", help="the labelled examples")
    command.add_argument("--task", metavar="TASK", help=f"{', '.join(TASKS)}; else found out")
    for name, what in (
        ("id", "with the ids"),
        ("input", "that models read"),
        ("target", "with what counts as right"),
    ):
        command.add_argument(
            f"--{name}", metavar="FIELD", help=f"the field of the gold set {what}; else found out"
        )
    command.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="default: this folder"
    )


def run(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines that it prints.

    Parameters
    ----------
    given : Namespace
        ``paths``, each perhaps behind a role; ``gold``, the gold set; ``task``, ``id``, ``input``
        and ``target``, None where they are to be found out; ``output``, the folder to write to.
    """
    folder = given.output
    _refuse_those_there(folder)
    models = models_of(given.paths)
    asked = GivenFields(given.task, given.id, given.input, given.target)
    found = _eval_of(models, given.gold, asked)
    files = {
        CONFIG: config_lines(models, found.eval, folder, schema.NAME),
        TESTS: test_lines(models, found.eval),
    }
    texts = {name: "".join(f"{line}\n" for line in lines) for name, lines in files.items()}
    _make(folder)
    told = {CONFIG: _told_of(models, found), TESTS: f"gates: {', '.join(gate_names(models))}"}
    for name, text in texts.items():
        _write_new(folder / name, text)
        yield f"{one_line(str(folder / name))}: {told[name]}"
    if not os.path.lexists(folder / schema.NAME):
        _write_new(folder / schema.NAME, shipped())
        yield f"{one_line(str(folder / schema.NAME))}: by which an editor checks {CONFIG}"
    yield from _left_to_do(folder, found.eval, models)
    here = folder.resolve() == Path.cwd()
    shown = "" if here else f" {one_line(shlex.quote(str(folder / TESTS)))}"
    yield f"next: pytest --distill-report{shown}"


@dataclass(frozen=True)
class _Found:
    """The eval, and how many examples its gold set has."""

    eval: FirstEval
    n: int = 0


def _eval_of(models: Sequence[FirstModel], gold: Path | None, asked: GivenFields) -> _Found:
    """Return the eval of a gold set, or of one that predictions have in them; else without one."""
    if gold is not None:
        return _with_gold(models, gold, rows_of(gold), asked)
    for model in models:
        if model.recorded and GoldFields(model.path, model.rows, asked, model.answers).target:
            found = _with_gold(models, model.path, model.rows, asked)
            others = [other for other in models if other is not model]
            refuse_other_targets([model, *others], found.eval.fields)
            return found
    task = tasks_of_all(models, asked.task)[0]
    return _Found(FirstEval(task, task, None, Fields()))


def _with_gold(
    models: Sequence[FirstModel], gold: Path, rows: Sequence[Any], asked: GivenFields
) -> _Found:
    same = (model for model in models if model.path.resolve() == gold.resolve())
    answers = {name for model in same for name in model.answers}
    predicted = {str(row["prediction"]) for m in models for row in m.rows if "prediction" in row}
    reader = GoldFields(gold, rows, asked, answers, predicted)
    task = reader.task(models)
    fields = reader.of(task, models)
    labels, todo = None, None
    if task == "classification" and fields.target is not None:
        labels, todo = labels_of(models, reader.texts(fields.target))
    stem = file_name(gold.stem)
    name = task if _NO_NAMES.fullmatch(stem.lower()) else stem
    long = task == "generation" and reader.is_long(fields.target)
    return _Found(FirstEval(name, task, gold, fields, labels, todo, long), len(rows))


def _refuse_those_there(folder: Path) -> None:
    """Raise ConfigError where a file that is to be written is there."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{one_line(str(folder))}: is a file; name a folder with -o")
    there = [name for name in (CONFIG, "distill.yml", TESTS) if os.path.lexists(folder / name)]
    if there:
        shown = " and ".join(one_line(str(folder / name)) for name in there)
        raise ConfigError(
            f"{shown}: there already, and nothing is written over: name another folder with -o, or "
            f"delete {'it' if len(there) == 1 else 'them'}; nothing was written"
        )


def _make(folder: Path) -> None:
    """Make a folder; ConfigError where that can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{one_line(str(folder))}: the folder can't be made ({error.strerror}): name another "
            "with -o; nothing was written"
        ) from None


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there; ConfigError where it came meanwhile, or can't be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{one_line(str(path))}: there already; it was left as it is") from None
    except OSError as error:
        raise ConfigError(
            f"{one_line(str(path))}: can't be written ({error.strerror}): name another folder "
            "with -o"
        ) from None


def _told_of(models: Sequence[FirstModel], found: _Found) -> str:
    on = found.eval
    roles = ", ".join(model.role for model in models)
    if on.data is None:
        return f"{roles}; eval '{on.name}' ({on.task}), without a gold set"
    fields = {"id": on.fields.id, "target": on.fields.target, "input": on.fields.input}
    named = [
        f"{what} '{one_line(name)}'" if isinstance(name, str) else f"{what} {name}"
        for what, name in fields.items()
        if name is not None
    ]
    n = count_text(found.n, "example")
    return f"{roles}; eval '{on.name}' ({on.task}), {n}; {', '.join(named)}"


def _left_to_do(folder: Path, on: FirstEval, models: Sequence[FirstModel]) -> Iterator[str]:
    """Yield what only the user can do before the gates run."""
    if on.data is None:
        yield (
            f"to do: there is no gold set: put labelled examples into "
            f"{one_line(str(folder / NO_GOLD))}, or name yours in {CONFIG}; until then no gate runs"
        )
    if on.todo is not None:
        yield f"to do in {CONFIG}: {one_line(on.todo)}"
    elif on.data is not None:
        for what in _amiss(folder / CONFIG, on.name, models):
            yield f"to do: {what}; until then no gate runs"


def _amiss(config: Path, eval: str, models: Sequence[FirstModel]) -> Iterator[str]:
    """Yield what a run would say of the gold set and of each file of predictions, before any model.

    Parameters
    ----------
    config : Path
        The ``distill.yaml`` as it was written.
    eval : str
        Its eval, whose gold set is there.
    models : sequence of FirstModel
        Its models; of those that run nothing is known yet.
    """
    recorded = {model.role: model.path for model in models if model.recorded}
    try:
        on = read_eval(load_config(config.resolve()), eval)
        if isinstance(on, Eval):
            on.check()
    except DistillError as error:
        yield str(error)
        return
    for role, path in recorded.items():
        try:
            found = RecordedModel(ModelInfo(role, role), {eval: path}.__getitem__).evaluate(on)
            if isinstance(found, MeasuredEvaluation):
                found.exact_score(on.metrics[0])
        except DistillError as error:
            yield str(error)
