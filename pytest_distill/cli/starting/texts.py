"""The files of a first project: ``distill.yaml`` and its gates."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

from pytest_distill.cli.starting.fields import Fields
from pytest_distill.cli.starting.first_model import FirstModel
from pytest_distill.cli.yaml_text import yaml_key, yaml_line, yaml_lines
from pytest_distill.errors import few, one_line
from pytest_distill.evals.ids import DEFAULT_ID_FIELD
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.metrics.texts import ROUGE_L
from pytest_distill.evals.tasks import TASKS

NO_GOLD = "TODO-gold-set.jsonl"
"""What the gold set is called that is not there yet."""


@dataclass(frozen=True)
class FirstEval:
    """The eval of a first project.

    Parameters
    ----------
    name : str
        What it is called.
    task : str
        Its task.
    data : Path, optional
        The gold set; None: there is none yet.
    fields : Fields
        Which fields say what.
    labels : mapping or list, optional
        What ``labels:`` says.
    todo : str, optional
        What only the user can say of the labels.
    long : bool
        Whether the right answers are texts that no model repeats letter by letter.
    """

    name: str
    task: str
    data: Path | None
    fields: Fields
    labels: Mapping[str, Any] | Sequence[str] | None = None
    todo: str | None = None
    long: bool = False

    @property
    def metric(self) -> Metric:
        """What gates look at."""
        return ROUGE_L if self.long else TASKS[self.task].metrics[0]


def labels_of(
    models: Sequence[FirstModel], gold: Collection[str]
) -> tuple[Mapping[str, Any] | list[str] | None, str | None]:
    """Return what ``labels:`` says where checkpoints classify, and what is left to the user.

    Parameters
    ----------
    models : sequence of FirstModel
        All of them.
    gold : collection of str
        The gold labels.
    """
    named = [model.labels for model in models if model.labels]
    if not named:
        return None, None
    names = [*dict.fromkeys(name for labels in named for name in labels)]
    if all({*gold} <= {*labels} for labels in named):
        return (names if len(names) > 1 else None), None
    numbers = [str(number) for number in range(len(named[0]))]
    if len({*named}) == 1 and {*gold} <= {*numbers}:
        return {number: int(number) for number in numbers}, None
    meant = {label.casefold(): label for label in gold}
    if len(meant) == len({*gold}) and {name.casefold() for name in names} == meant.keys():
        return {name: meant[name.casefold()] for name in names}, None
    outputs = {label: number for number, label in enumerate(sorted(gold)[:3])}
    return None, (
        f"the models say {few(names)}, and the gold labels are {few(sorted(gold))}: say which is "
        f"which, such as {yaml_line('labels', outputs)} (gold label: number of the output)"
    )


def config_lines(
    models: Sequence[FirstModel], on: FirstEval, folder: Path, schema: str
) -> Iterator[str]:
    """Yield the lines of ``distill.yaml``.

    Parameters
    ----------
    models : sequence of FirstModel
        The models.
    on : FirstEval
        The eval.
    folder : Path
        Where the file will stand.
    schema : str
        The file with its JSON Schema.
    """
    yield f"# yaml-language-server: $schema={schema}"
    yield "# The models and the eval; what a student must hold to ship stands in test_ship.py."
    entries = {model.role: _entry(model, folder) for model in models}
    yield from yaml_lines({"models": entries})
    if "sft" not in entries:
        yield from _ADD_SFT.splitlines()
    elif any(model.recorded for model in models if model.role != "teacher"):
        yield from _ADD_SIZES.splitlines()
    yield "evals:"
    yield f"  {yaml_key(on.name)}:"
    yield from (f"    {line}" for line in _eval_lines(models, on, folder))


def _entry(model: FirstModel, folder: Path) -> dict[str, str]:
    path = relative(model.path, folder)
    if model.recorded:
        return {"engine": "recorded", "predictions": path}
    if model.base is not None:
        here = Path(model.base).exists()
        return {"path": relative(Path(model.base), folder) if here else model.base, "adapter": path}
    return {"path": path, **({"gguf_file": model.gguf_file} if model.gguf_file else {})}


def _eval_lines(models: Sequence[FirstModel], on: FirstEval, folder: Path) -> Iterator[str]:
    yield f"task: {on.task}"
    if on.data is None:
        row = one_line(json.dumps(_example(models, on.task), ensure_ascii=False))
        yield from _ADD_GOLD.format(name=NO_GOLD, row=row).splitlines()
        yield f"data: {NO_GOLD}"
    else:
        yield yaml_line("data", relative(on.data, folder))
    defaults = {"id": DEFAULT_ID_FIELD} | {f.name: f.default for f in fields_of(TASKS[on.task])}
    for field in fields_of(on.fields):
        name = getattr(on.fields, field.name)
        if field.name == "input" and name is not None and name in (on.fields.id, DEFAULT_ID_FIELD):
            yield "# Nothing is asked of recorded models, so that any field with a text will do."
        if name is not None and name != defaults.get(field.name):
            yield yaml_line(field.name, name if isinstance(name, str) else [*name])
    if on.labels is not None:
        yield yaml_line("labels", on.labels)
    if on.todo is not None:
        yield from textwrap.wrap(
            one_line(f"TODO: {on.todo}"), 96, initial_indent="# ", subsequent_indent="# "
        )
    if on.long:
        yield "# Long answers are seldom the same letter by letter: the words they share count."
    yield f"metrics: [{on.metric.name}]"


def _example(models: Sequence[FirstModel], task: str) -> dict[str, Any]:
    """Return a row of a gold set as the task reads it by default."""
    labels = next((model.labels for model in models if model.labels), ("a label",))
    rows: Mapping[str, dict[str, Any]] = {
        "classification": {"id": "1", "input": "a text", "target": labels[0]},
        "multiple_choice": {"id": "1", "input": "a question", "choices": ["a", "b"], "target": 0},
        "generation": {"id": "1", "input": "a prompt", "target": "the right answer"},
        "perplexity": {"id": "1", "input": "a text"},
    }
    return rows[task]


def gate_names(models: Sequence[FirstModel]) -> list[str]:
    """Return the gates that the models allow."""
    roles = {model.role for model in models}
    found = ["quality_retained"] if "teacher" in roles else ["score"]
    found += ["beats_sft"] if "sft" in roles else []
    measured = all(not model.recorded for model in models if model.role in ("teacher", "student"))
    return [*found, "smaller"] if "teacher" in roles and measured else found


def test_lines(models: Sequence[FirstModel], on: FirstEval) -> Iterator[str]:
    """Yield the lines of ``test_ship.py``."""
    gates = gate_names(models)
    names = ", ".join(sorted(f"assert_{gate}" for gate in gates))
    yield from _HEAD.format(names=names, eval=json.dumps(on.name, ensure_ascii=False)).splitlines()
    for gate in gates:
        name = gate
        if gate == "score" and not on.metric.higher_is_better:
            name = "score, lower"
        yield from ("", "", *_GATES[name].splitlines())


_ADD_SFT = """\
  # Was distilling worth it? Add a student of the same size that was fine-tuned without the
  # teacher, as 'sft', and ask assert_beats_sft() in test_ship.py."""

_ADD_SIZES = """\
  # How large are they? Nobody can count what is recorded: 'parameters: 66_000_000' beside
  # 'predictions' says it, and assert_beats_sft() refuses an SFT student of another size."""

_ADD_GOLD = """\
# TODO: there is no gold set yet, and no gate runs without one. Put labelled examples into
# {name}, one a line as this one, or name a file or a data set of yours:
# {row}"""

_HEAD = """\
\"""May the distilled student ship? Each test is a gate that it must pass.\"""

import pytest

from pytest_distill import {names}

pytestmark = pytest.mark.distill(eval={eval})"""

_GATES: Mapping[str, str] = {
    "quality_retained": """\
# How much of the teacher's quality did the student keep, and is that enough? Choose the floor
# before you look at the report: 0.90 for an edge device, where size decides; 0.95 at scale, where
# cost does; 0.98 where quality is critical.
FLOOR = 0.95


def test_keeps_the_teachers_quality():
    assert_quality_retained(min=FLOOR)""",
    "beats_sft": """\
# Was distilling worth it? The student must beat one of its size that was fine-tuned without the
# teacher.
def test_beats_sft():
    assert_beats_sft()""",
    "smaller": """\
# Is it small enough for where it is to run? At most this share of the teacher's parameters.
MOST_OF_THE_SIZE = 0.5


def test_is_small_enough():
    assert_smaller(max_ratio=MOST_OF_THE_SIZE)""",
    "score": """\
# Is it good enough? How much of a teacher's quality it kept nobody can say without the teacher.
# Choose what the student must score before you look at the report.
FLOOR = 0.90


def test_is_good_enough():
    assert_score(min=FLOOR)""",
    "score, lower": """\
# Is it good enough? How much of a teacher's quality it kept nobody can say without the teacher.
# Choose what the student must score before you look at the report: lower is better.
CEILING = 20.0


def test_is_good_enough():
    assert_score(max=CEILING)""",
}


def relative(path: Path, folder: Path) -> str:
    """Return a path as ``distill.yaml`` in `folder` names it; a link stays a link (``latest``)."""
    there = path.parent.resolve() / path.name if path.is_symlink() else path.resolve()
    return Path(os.path.relpath(there, folder.resolve())).as_posix()
