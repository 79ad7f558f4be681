"""What ``distill.yaml`` may say: one class an entry, strict about keys and types."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from pytest_distill._util.strict import STRICT, PositiveCount
from pytest_distill.engines import DECLARABLE, ModelSpec, Role
from pytest_distill.engines.lookup import FurtherKeys
from pytest_distill.engines.spec import located
from pytest_distill.errors import one_line


def listed(value: object) -> object:
    """Return a list: of one where a single text, number or mapping stands for it."""
    return [value] if isinstance(value, str | int | dict) else value


Names = Annotated[list[str], BeforeValidator(listed)]
"""One name, or a list of them."""

Confidence = Annotated[float, Field(gt=0.5, lt=1)]
Count = Annotated[int, Field(ge=0)]


class Entry(BaseModel):
    """A mapping of the file."""

    model_config = STRICT


class Trained(Entry):
    """What a model was trained on: shown beside it in the report."""

    labels: Count | None = None
    steps: Count | None = None
    tokens: Count | None = None
    notes: str | None = None

    def __str__(self) -> str:
        """Return it as one phrase, e.g. ``3,000 labels, 400 steps; KD, T = 2``."""
        counts = [
            f"{count:,} {what}"
            for what in ("labels", "steps", "tokens")
            if (count := getattr(self, what)) is not None
        ]
        return "; ".join(part for part in (", ".join(counts), self.notes) if part) or "not said"


class ModelConfig(Entry):
    """What every entry under ``models:`` may say, and its `options`: the keys of its engine."""

    role: Role
    engine: str
    trained: Trained | None = None
    latency_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    cost_per_1k: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    options: Any = None

    @property
    def declared(self) -> dict[str, Any]:
        """What is said of the model beside what runs it, as fields of its `ModelInfo`."""
        said = {name: getattr(self, name, None) for name in DECLARABLE}
        return {name: value for name, value in said.items() if value is not None}


class DeclaredSize(ModelConfig):
    """A model whose size may not be known here, so that it can be declared."""

    parameters: PositiveCount | None = None
    bytes: PositiveCount | None = None


class SourceModel(DeclaredSize):
    """A model that nothing runs here: its answers or scores were made elsewhere."""


class EngineModel(ModelConfig):
    """A model that an engine runs."""

    path: str = ""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"

    def spec(self, name: str, folder: Path, **of_the_run: Any) -> ModelSpec:
        """Return what the engine is built with; relative paths start from `folder`.

        Parameters
        ----------
        name : str
            The entry's name.
        folder : Path
            The folder of ``distill.yaml``.
        **of_the_run
            What this run adds: threads, worker, hash_file, began.
        """
        further = isinstance(self.options, FurtherKeys)
        return ModelSpec(
            name=name,
            role=self.role,
            path=located(self.path, folder) if self.path else "",
            device=self.device,
            options=self.options.model_extra if further else self.options,
            folder=folder,
            **of_the_run,
        )

    @property
    def written(self) -> dict[str, Any]:
        """What the entry says that may change an answer: engine, path as it is written, options."""
        said = {"engine": self.engine, "path": self.path, **self.options.model_dump()}
        return dict(json.loads(json.dumps(said, default=str)))  # a date of yaml's is text in JSON


class CheckpointModel(EngineModel):
    """A model that its engine loads from a checkpoint, which says how large it is."""

    path: Annotated[str, Field(min_length=1)]


class OwnModel(EngineModel, DeclaredSize):
    """A model that any other engine runs."""


class Waiver(Entry):
    """A known failure that its owner answers for until a date.

    `gate` is a gate's name, or the node id of a test. Under `floor` the failure is no longer the
    known one.
    """

    gate: Annotated[str, Field(min_length=1)]
    floor: Annotated[float, Field(allow_inf_nan=False)]
    owner: Annotated[str, Field(min_length=1)]
    reason: Annotated[str, Field(min_length=1)]
    expires: datetime.date

    def __str__(self) -> str:
        """Return who answers for it, why, and until when."""
        return one_line(f"waived by {self.owner} until {self.expires}: {self.reason}")


class Baseline(Entry):
    """Where the accepted run is kept that this one is held against."""

    path: Annotated[str, Field(min_length=1)] = "baseline.json"
    required: bool = True
    """Whether a gate that needs it keeps a student from shipping as long as there is no file."""


def _path_alone(value: object) -> object:
    return {"path": value} if isinstance(value, str) else value


class Settings(Entry):
    """What the file says of all its models and evals."""

    sft_size_tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """By which share the parameters of the SFT student may differ from the student's."""
    confidence: Confidence | None = None
    """What every verdict must be sure to, unless a test says otherwise; None: observed numbers."""
    required_gates: Names = []
    """Gate names or node ids, each of which must have passed for a student to ship."""
    allow_reruns: bool | Names = False
    """Gates (names or node ids) of which the last attempt counts where a test is repeated; True for
    all. Else an earlier failure stays one."""
    allow_skipped: Names = []
    """Globs, relative to the file, of test files that may be skipped when they are imported."""
    waivers: list[Waiver] = []
    """Known failures."""
    baseline: Annotated[Baseline | None, BeforeValidator(_path_alone)] = None
    """The accepted run, or its path alone."""


class File(Settings):
    """The top level; models and evals are validated one by one, since their kinds differ."""

    models: dict[str, Any]
    evals: dict[str, Any]
    criteria: dict[str, dict[str, Any]] = {}

    @field_validator("models", "evals")
    @classmethod
    def _not_empty(cls, entries: dict[str, Any]) -> dict[str, Any]:
        if not entries:
            raise ValueError("must have at least one entry")
        return entries
