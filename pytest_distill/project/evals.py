"""An entry under ``evals:`` -> the eval, with its gold set read."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

from pytest_distill.config import Config
from pytest_distill.config.evals import GoldFileEval, HarnessEval, MeasuredEval, Shots
from pytest_distill.errors import ConfigError, GoldSetError, did_you_mean
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet, read_gold_set
from pytest_distill.evals.ids import meeting
from pytest_distill.evals.rows import KINDS
from pytest_distill.evals.tasks import Task
from pytest_distill.evaluation.evaluation import ReportedEval


def read_eval(config: Config, name: str, limit: int | None = None) -> Eval | ReportedEval:
    """Return an eval of a ``distill.yaml``.

    Parameters
    ----------
    config : Config
        The validated file.
    name : str
        The eval's name.
    limit : int, optional
        Take a sample of at most so many examples.

    Raises
    ------
    ConfigError, GoldSetError
        Where the entry does not fit the gold set, or that cannot be read.
    """
    entry = config.evals[name]
    if not isinstance(entry, MeasuredEval):
        return ReportedEval(name, config.metrics[name])
    task, gold = _asked(config, name, entry)
    gold = gold if limit is None else gold.sample(limit)
    read = Eval(
        name,
        task,
        gold,
        config.metrics[name],
        tuple(entry.slices),
        cluster=entry.cluster,
        chance=_chance(entry, task, gold),
        must_keep=_must_keep(config, name, entry, gold),
        groups=tuple(group for group in config.groups.values() if name in group.evals),
    )
    for field in (*entry.slices, *([entry.cluster] if entry.cluster else [])):
        read.slice_ids(field)  # a field that an example lacks shows now, not in some gates
    return read


def _asked(config: Config, name: str, entry: MeasuredEval) -> tuple[Task, GoldSet]:
    """Return the task of an eval, and what it is asked about."""
    if isinstance(entry, HarnessEval):
        task = entry.asks(lambda _: (), config.folder)
        try:
            return task, task.gold
        except (ConfigError, GoldSetError) as error:
            raise type(error)(f"{config.path.name}: evals.{name}: {error}") from None
    assert isinstance(entry, GoldFileEval)  # noqa: S101 (for mypy)
    gold = read_gold_set(
        _beside(config, entry.data, of_hub=entry.split is not None),
        id_field=entry.id,
        split=entry.split,
        config=entry.config,
        revision=entry.revision,
    )
    return entry.asks(partial(_examples, config, name, id=entry.id), config.folder), gold


def _beside(config: Config, data: str, *, of_hub: bool = False) -> Path | str:
    """Return the file or folder beside ``distill.yaml``; else it may be a name on the hub.

    That may have a dot in it (``org/reviews-v1.1``).
    """
    local = config.folder / data
    of_hub = of_hub and local.suffix.lower() not in KINDS
    return local if local.exists() or (local.suffix and not of_hub) else data


def _examples(config: Config, name: str, wanted: Shots, *, id: str) -> tuple[Example, ...]:
    """Return the solved examples of an eval."""
    shots = read_gold_set(_beside(config, wanted.data), id_field=id)
    if len(shots) < wanted.n:
        raise ConfigError(
            f"{config.path.name}: evals.{name}.shots: {wanted.data} has {len(shots)} examples, "
            f"fewer than n: {wanted.n}"
        )
    return shots.examples[: wanted.n]


def _chance(entry: MeasuredEval, task: Task, gold: GoldSet) -> Fraction | None:
    """Return what guessing gets: the given number, or the mean chance of the examples."""
    if entry.chance != "uniform":
        return None if entry.chance is None else Fraction(str(entry.chance))
    return sum((task.chance(example) or Fraction(0) for example in gold), Fraction(0)) / len(gold)


def _must_keep(config: Config, name: str, entry: MeasuredEval, gold: GoldSet) -> tuple[str, ...]:
    known = {example.id for example in gold}
    by_meeting = gold.by_meeting
    ids = tuple(by_meeting.get(meeting(str(i)), str(i)) for i in entry.must_keep)
    listed = known | gold.left_out
    for unknown in (i for i in ids if i not in listed):
        raise ConfigError(
            f"{config.path.name}: evals.{name}.must_keep: no example '{unknown}'; "
            f"{did_you_mean(unknown, known)}"
        )
    return tuple(i for i in ids if i in known)
