"""What ``distill.yaml`` may say: one class an entry, strict about keys and types."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, field_validator

from pytest_distill._util.strict import STRICT, Listed, PositiveCount, ShortFor
from pytest_distill.engines import DECLARABLE, ModelSpec, Role
from pytest_distill.engines.inner import Inner, inner_of, key_of_inner
from pytest_distill.engines.lookup import handed_on
from pytest_distill.engines.spec import Device, located
from pytest_distill.errors import one_line

Names = Annotated[list[str], Listed()]
"""One name, or a list of them."""

Confidence = Annotated[float, Field(gt=0.5, lt=1)]
Count = Annotated[int, Field(ge=0)]


class Entry(BaseModel):
    """A mapping of the file."""

    model_config = STRICT


class Trained(Entry):
    """What a model was trained on: shown beside it in the report."""

    labels: Count | None = None
    """Labelled examples."""
    steps: Count | None = None
    """Optimiser steps."""
    tokens: Count | None = None
    """Tokens."""
    notes: str | None = None
    """Anything else."""

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
    """What the model is in a comparison: `student` is the distilled one, `sft` the one of plain
    supervised fine-tuning (SFT). By default the name of the entry, where that is a role."""
    engine: str
    """What runs the model, or where its answers or scores come from: `transformers`, `vllm`,
    `openai`, `ray`, `recorded`, `reported`, the name of an engine that a hook adds, or the dotted
    path of a class."""
    trained: Trained | None = None
    """What the model was trained on: a footnote of the report, and a note where the `sft` model had
    less."""
    latency_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Milliseconds for one example alone, as declared: for speed where it cannot be measured, and
    for routing."""
    cost_per_1k: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Cost of 1,000 requests, as declared, in one unit for all models: for routing."""
    options: Any = None

    @property
    def answerer(self) -> ModelConfig | Inner:
        """The entry of the engine that answers: this one, where it has no other one run."""
        return self

    @property
    def declared(self) -> dict[str, Any]:
        """What is said of the model beside what runs it, as fields of its `ModelInfo`."""
        said = {name: getattr(self, name, None) for name in DECLARABLE}
        return {name: value for name, value in said.items() if value is not None}


class DeclaredSize(ModelConfig):
    """A model whose size may not be known here, so that it can be declared."""

    parameters: PositiveCount | None = None
    """Number of parameters, as declared."""
    bytes: PositiveCount | None = None
    """Size on disk, as declared."""


class SourceModel(DeclaredSize):
    """A model that nothing runs here: its answers or scores were made elsewhere."""


class EngineModel(ModelConfig):
    """A model that an engine runs."""

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
        path = getattr(self, "path", "")
        return ModelSpec(
            name=name,
            role=self.role,
            path=located(path, folder) if path else "",
            device=getattr(self, "device", "auto"),
            options=handed_on(self.options),
            folder=folder,
            **of_the_run,
        )

    @property
    def where_it_lies(self) -> str:
        """Its path as it is written; empty where there is none."""
        return str(getattr(self.answerer, "path", ""))

    @property
    def written(self) -> dict[str, Any]:
        """What the entry says that may change an answer: engine, path as it is written, options."""
        by = self.answerer
        return _json({"engine": by.engine, "path": self.where_it_lies, **by.options.model_dump()})

    def pointed(self, **to: str) -> Self | None:  # noqa: ARG002 (it has neither)
        """Return the entry with another path or device; None where it has neither."""
        return None


class PlacedModel(EngineModel):
    """A model that runs on this machine."""

    path: str = ""
    """A folder or file with the model, or a hub id."""
    device: Device = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`. `auto` is CUDA where there is one, else the CPU; `cuda`
    without CUDA is an error."""

    def pointed(self, **to: str) -> Self | None:
        """Return the entry with another path or device."""
        return self.model_copy(update=to)


class CheckpointModel(PlacedModel):
    """A model that its engine loads from a checkpoint, which says how large it is."""

    path: Annotated[str, Field(min_length=1)]
    """A folder with the checkpoint, or a hub id."""


class ServedModel(EngineModel, DeclaredSize):
    """A model that runs elsewhere and is asked from here: no file of it lies on this machine."""


class OuterModel(EngineModel, DeclaredSize):
    """A model that its engine has another one run: all that may change an answer is that one's."""

    @property
    def answerer(self) -> Inner:
        """The entry of the engine that answers: what is said there stands as if it stood alone."""
        found = inner_of(self.options)
        assert found is not None  # noqa: S101 (what makes an entry one of this kind)
        return found

    def pointed(self, **to: str) -> Self | None:
        """Return the entry with another path or device of the engine that answers."""
        key = key_of_inner(type(self.options))
        inner = self.answerer.model_copy(update=to)
        options = self.options.model_copy(update={key: inner})
        return self.model_copy(update={"options": options})


class OwnModel(PlacedModel, DeclaredSize):
    """A model that any other engine runs."""


class Waiver(Entry):
    """A known failure that its owner answers for until a date."""

    gate: Annotated[str, Field(min_length=1)]
    """Name of the gate, or node id of the test."""
    floor: Annotated[float, Field(allow_inf_nan=False)]
    """The observed number must not be worse: else it is no longer the known failure."""
    owner: Annotated[str, Field(min_length=1)]
    """Who answers for it."""
    reason: Annotated[str, Field(min_length=1)]
    """Why it is accepted."""
    expires: datetime.date
    """The last day on which it holds, as in `2031-12-31`, without quotes."""

    def __str__(self) -> str:
        """Return who answers for it, why, and until when."""
        return one_line(f"waived by {self.owner} until {self.expires}: {self.reason}")


class Baseline(Entry):
    """Where the accepted run is kept that this one is held against."""

    path: Annotated[str, Field(min_length=1)] = "baseline.json"
    """The file with the accepted run, relative to the folder of `distill.yaml`."""
    required: bool = True
    """Whether a gate that needs it keeps a student from shipping as long as there is no file."""


class Settings(Entry):
    """What the file says of all its models and evals."""

    sft_size_tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """By which share of the student's parameters the model of plain supervised fine-tuning (SFT)
    may differ in size."""
    confidence: Confidence | None = None
    """How sure a verdict must be where neither assertion nor marker says, also that of `score`,
    `flips` and `suite_retained`. By default each gate's own."""
    required_gates: Names = []
    """Gates, by name or node id, each of which must have passed for a student to ship."""
    allow_reruns: bool | Names = False
    """Gates, by name or node id, of which the last attempt counts where a test is repeated; `true`
    for all. Else an earlier failure stays one."""
    allow_skipped: Names = []
    """Globs, relative to the file, of test files that may be skipped when they are imported."""
    waivers: list[Waiver] = []
    """Known failures."""
    baseline: Annotated[Baseline | None, ShortFor("path")] = None
    """The accepted run that this one is held against."""


class File(Settings):
    """The top level; models and evals are validated one by one, since their kinds differ."""

    models: dict[str, Any]
    """Name → model, at least one. At most one is the `teacher`, and at most one `sft`."""
    evals: dict[str, Any]
    """Name → eval, at least one."""
    criteria: dict[str, dict[str, Any]] = {}
    """Name → the gates that a student must pass to meet it, with their arguments."""

    @field_validator("models", "evals")
    @classmethod
    def _not_empty(cls, entries: dict[str, Any]) -> dict[str, Any]:
        if not entries:
            raise ValueError("must have at least one entry")
        return entries


def _json(said: dict[str, Any]) -> dict[str, Any]:
    """Return what was said as JSON has it: a date of yaml's is text there."""
    return dict(json.loads(json.dumps(said, default=str)))
