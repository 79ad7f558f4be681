"""The file that holds an accepted run: scores by digest, what was required, and no text."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from pytest_distill._util.files import write_atomically
from pytest_distill._util.strict import STRICT, PositiveCount, Written
from pytest_distill._util.units import Unit
from pytest_distill.comparison.baseline.packing import Digests, Floats, unpack, unpack_digests
from pytest_distill.errors import ConfigError, one_line, some_of
from pytest_distill.evals.request_keys import canonical_sha256

SCHEMA: Literal[1] = 1
MOST_BYTES = 64 * 2**20
"""A file that is larger holds something else."""
SAVE = "python -m pytest_distill baseline save REPORT.json"
"""The command that makes one."""

Unpacked = TypeVar("Unpacked")
Text = Annotated[str, Field(min_length=1)]
Digest = Annotated[str, Written(r"^[0-9a-f]{16,128}$", "should be a digest in hexadecimal")]
Commit = Annotated[str, Written(r"^[0-9a-f]{7,64}$", "should be a commit in hexadecimal")]
Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class AcceptedGate:
    """A gate of an accepted run, and what it required."""

    nodeid: str
    gate: Annotated[str, Written(r"^\w+$", "should be the name of a gate")]
    eval: str | None
    metric: str | None
    model: str | None
    slice: str | None
    criterion: str | None
    relation: Literal[">=", ">", "<="] | None
    """How the observed number had to stand to `required`; None for a test's own assertion."""
    required: float | None
    unit: Unit
    confidence: float | None
    """How sure the verdict had to be; None where the observed number decided."""
    waived: bool
    """Whether it fell short, and somebody answered for it."""
    at_tokens: int | None = None
    """The budget of tokens within which it looked; files of earlier versions know of none."""


class AcceptedModel(BaseModel):
    """A model of an accepted run."""

    model_config = STRICT

    name: Text
    role: Literal["teacher", "student", "sft"]
    digest: str | None


class AcceptedScores(BaseModel):
    """What a metric gave for the examples: their scores where it is a mean, else statistics."""

    model_config = STRICT

    higher_is_better: bool
    range: tuple[Finite | None, Finite | None]
    """None where there is no bound."""
    columns: PositiveCount | None
    """How many statistics an example has; None: it has a score."""
    labels: list[Digest] | None
    """Of a metric that counts labels, a digest of each, in the order of its columns."""
    rows: dict[str, str]
    """Model -> the packed numbers."""


class AcceptedEval(BaseModel):
    """An eval of an accepted run; its examples stand in the order of the gold set of then."""

    model_config = STRICT

    gold: Digest
    """Of all that decided what was asked and what counted as right."""
    settings: Digest
    """Of the eval's entry in ``distill.yaml`` alone."""
    asked: str
    """A digest of what was asked, of each example."""
    expected: str
    """A digest of what counted as right, of each example."""
    clusters: str | None
    """The number of each example's cluster; None where the examples are independent."""
    metrics: dict[str, AcceptedScores]
    """The headline metric first."""


class BaselineFile(BaseModel):
    """An accepted run."""

    model_config = STRICT

    schema_: Annotated[Literal[1], Field(alias="schema")] = SCHEMA
    version: Text
    """Of this package."""
    made: AwareDatetime
    commit: Commit | None
    """Of the repository; None where it was not known."""
    outcome: Literal["SHIP"]
    reason: str
    models: list[AcceptedModel]
    evals: dict[str, AcceptedEval]
    gates: list[AcceptedGate]
    looks: dict[Digest, list[str]]
    """Digest of a gold set -> the digests of the students that were judged on it."""

    def students(self) -> list[str]:
        """Return the names of the students."""
        return [model.name for model in self.models if model.role == "student"]

    def model(self, name: str) -> AcceptedModel | None:
        """Return the model of a name; None where there is none."""
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True, eq=False, slots=True)
class AcceptedRows:
    """The examples of an eval of an accepted run, unpacked.

    Parameters
    ----------
    asked, expected : ndarray, shape (n,)
        Digests.
    clusters : list of int, optional
        The cluster of each.
    """

    asked: Digests
    expected: Digests
    clusters: list[int] | None


def examples_of(file: str, name: str, on: AcceptedEval) -> AcceptedRows:
    """Return the examples of an eval; ConfigError where the file does not hold them."""
    asked = _unpacked(file, f"evals.{name}.asked", lambda: unpack_digests(on.asked))
    expected = _unpacked(file, f"evals.{name}.expected", lambda: unpack_digests(on.expected))
    if not len(asked) or len(asked) != len(expected):
        raise _broken(file, f"evals.{name}: {len(asked)} examples and {len(expected)} labels")
    if on.clusters is None:
        return AcceptedRows(asked, expected, None)
    packed = on.clusters
    numbers = _unpacked(file, f"evals.{name}.clusters", lambda: unpack(packed, (len(asked),)))
    if numbers.min() < 0 or numbers.max() > len(asked):
        raise _broken(file, f"evals.{name}.clusters: a number of a cluster that there is not")
    return AcceptedRows(asked, expected, numbers.astype(int).tolist())


def rows_of(
    file: str, name: str, on: AcceptedEval, metric: str, model: str, n: int
) -> Floats | None:
    """Return what a metric gave for `n` examples, shape (n,) or (n, k); None where it is not there.

    Raises
    ------
    ConfigError
        Where the file does not hold so many numbers, or scores that the metric cannot give.
    """
    scores = on.metrics.get(metric)
    if scores is None or model not in scores.rows:
        return None
    shape = (n,) if scores.columns is None else (n, scores.columns)
    where = f"evals.{name}.metrics.{metric}.rows.{model}"
    if scores.labels is not None and (not scores.labels or shape[-1] % len(scores.labels)):
        raise _broken(file, f"{where}: {shape[-1]} columns of {len(scores.labels)} labels")
    found = _unpacked(file, where, lambda: unpack(scores.rows[model], shape))
    low, high = scores.range
    if scores.columns is None and (
        (low is not None and found.min() < low) or (high is not None and found.max() > high)
    ):
        raise _broken(file, f"{where}: a score outside of {low} to {high}")
    return found


def write_baseline(path: Path, baseline: BaselineFile) -> None:
    """Write a file, whole or not at all; OSError where it cannot be written."""
    content = baseline.model_dump(mode="json", by_alias=True)
    told = {**content, "checksum": _checksum(content)}
    write_atomically(path, json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_baseline(path: Path) -> BaselineFile:
    """Read a file.

    Raises
    ------
    FileNotFoundError
        Where there is none.
    ConfigError
        Where it cannot be read, was cut off or changed by hand, or is of another version.
    """
    file = str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a device may never end, and nobody may write a FIFO
            raise ConfigError(f"{one_line(file)}: is no file, and so no baseline: name one")
        if found.st_size > MOST_BYTES:
            raise _broken(file, f"{found.st_size:,} bytes, more than {MOST_BYTES:,}")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(file, str(error)) from None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(file, f"is no JSON: {error or type(error).__name__}") from None
    if not isinstance(content, dict) or "schema" not in content:
        raise _broken(file, "is no baseline: it has no 'schema'")
    if content["schema"] != SCHEMA:
        version = one_line(f"{content.get('version', 'another')!s:.40}")
        raise ConfigError(
            f"{one_line(file)}: was written by version {version} of pytest-distill, in a form "
            f"({content['schema']!r:.20}) that this one does not know: save it anew: {SAVE}"
        )
    checksum = content.pop("checksum", None)
    try:
        same = checksum == _checksum(content)
    except RecursionError:  # nothing that was saved is nested like that
        same = False
    if not same:
        raise _broken(file, "checksum: is not that of what was saved")
    try:
        return BaselineFile.model_validate_json(json.dumps(content))
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise _broken(file, some_of(problems, most=3)) from None


def age_text(made: datetime, now: datetime) -> str:
    """Return how old something is: ``3 days old``."""
    seconds = int((now - made).total_seconds())
    if seconds < -60:  # so much two clocks may differ
        return "dated in the future"
    seconds = max(0, seconds)
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = seconds // size
        if count:
            return f"{count:,} {unit}{'' if count == 1 else 's'} old"
    return "less than a minute old"


def _checksum(content: Mapping[str, Any]) -> str:
    return canonical_sha256(dict(content)).hexdigest()


def _broken(file: str, problem: str) -> ConfigError:
    return ConfigError(
        f"{one_line(file)}: {one_line(problem)[:500]}: it was cut off or changed by hand; restore "
        f"it from version control or the cache, or remove it and save it anew: {SAVE}"
    )


def _unpacked(file: str, where: str, make: Callable[[], Unpacked]) -> Unpacked:
    try:
        return make()
    except ValueError as error:
        raise _broken(file, f"{where}: {error}") from None
