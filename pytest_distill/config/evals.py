"""The entries under ``evals:``: what all of them say, and the keys that a task's own fields are."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BeforeValidator, Discriminator, Field, Tag, create_model

from pytest_distill._util.strict import Listed, PositiveCount
from pytest_distill.config.overrides import Said
from pytest_distill.config.schema import Count, Entry, Names
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval.declared import FEWSHOT_SEED
from pytest_distill.evals.lm_eval.harness import PREFIX
from pytest_distill.evals.lm_eval.splits import files_of
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evals.metrics.samples import Majority, OfSamples, PassAt
from pytest_distill.evals.tasks import TASKS, Task


class DeclaredMetric(Entry):
    """A metric that was scored elsewhere: recorded or reported models bring its values."""

    name: str
    """Name of the metric."""
    higher_is_better: bool = True
    """Whether a higher score is the better one."""
    range: list[float] = Field(default=[0.0, 1.0], min_length=2, max_length=2)
    """Least and greatest possible score."""


class PassAtMetric(Entry):
    """How likely one of `pass_at` samples of an example is right, by the metric `of`."""

    pass_at: PositiveCount
    """How likely one of so many samples is right; at most the eval's `repeats`."""
    of: str
    """The metric that says which sample is right."""

    of_samples: ClassVar[type[OfSamples]] = PassAt
    key: ClassVar[str] = "pass_at"


class MajorityMetric(Entry):
    """Whether the most frequent answer of `majority` samples is right, by the metric `of`."""

    majority: PositiveCount
    """Whether the most frequent answer of the first so many samples is right; at most the eval's
    `repeats`."""
    of: str
    """The metric that says which sample is right."""

    of_samples: ClassVar[type[OfSamples]] = Majority
    key: ClassVar[str] = "majority"


def _kind_of_metric(value: object) -> str:
    """Return the tag of what an entry of ``metrics:`` is: its key says it."""
    if isinstance(value, Mapping):
        return next((_tag_of(kind) for kind in SAMPLED if kind.key in value), "a declared metric")
    return "a name"


def _tag_of(kind: type[PassAtMetric] | type[MajorityMetric]) -> str:
    """Return a tag that is no key: messages leave tags out of the path."""
    return f"a {kind.key} metric"


SAMPLED = (PassAtMetric, MajorityMetric)
AnyMetric = Annotated[
    Annotated[str, Tag("a name")]
    | Annotated[DeclaredMetric, Tag("a declared metric")]
    | Annotated[PassAtMetric, Tag(_tag_of(PassAtMetric))]
    | Annotated[MajorityMetric, Tag(_tag_of(MajorityMetric))],
    Discriminator(_kind_of_metric),
]
"""A metric's name, one that was scored elsewhere, or one of several samples."""


class Shots(Entry):
    """The few-shot examples of a prompt: the first `n` of a file."""

    data: str
    """A gold set with solved examples."""
    n: PositiveCount
    """The first so many of them are used."""


_TASK = (
    f"What is asked of a model for each example: {', '.join(f'`{name}`' for name in TASKS)}, or "
    f"`{PREFIX}` and the name of a task of lm-evaluation-harness. An eval whose models are all "
    "`reported` needs none."
)


class EvalConfig(Entry):
    """What every entry under ``evals:`` may say, and all that one with reported models needs."""

    task: str | None = Field(default=None, description=_TASK)
    metrics: Annotated[list[AnyMetric], Listed()] = Field(default=[])
    """What an answer is scored by, the headline metric first: names, dotted paths of your own, or
    mappings. By default the task's first, or what models report."""


class MeasuredEval(EvalConfig):
    """An eval with a gold set: the keys that all of them share."""

    task: str
    """What is asked of a model for each example."""
    slices: Names = Field(default=[])
    """Fields whose values part the gold set into slices."""
    cluster: str | None = None
    """The field whose value examples share that are not independent, e.g. those of one passage."""
    chance: Annotated[float, Field(ge=0, lt=1)] | Literal["uniform"] | None = None
    """What guessing scores by the headline metric; `uniform` is for multiple choice."""
    must_keep: Annotated[list[str | int | float], Listed()] = Field(default=[])
    """Ids of the examples that the student may not get wrong."""

    @abstractmethod
    def asks(self, read: Callable[[Shots], tuple[Example, ...]], folder: Path) -> Task:
        """Return the task as the entry says it.

        Parameters
        ----------
        read : callable
            What gives the solved examples that the entry names.
        folder : Path
            Where relative paths start.

        Raises
        ------
        ConfigError
            Beginning with the key, where the task refuses what stands there.
        """


class GoldFileEval(MeasuredEval):
    """An eval whose gold set is a file of the user's, or a data set."""

    data: str
    """The gold set: a file (`.jsonl`, `.json`, `.csv` or `.parquet`), a folder that `datasets`
    saved, or a data set of the hub."""
    split: str | None = None
    """Which split of a `datasets` folder or of a hub data set."""
    config: str | None = None
    """Which config of a hub data set that has several."""
    revision: str | None = None
    """Branch, tag or commit (all 40 digits) of a hub data set; by default `main`."""
    id: str = "id"
    """The field that holds the id, in the gold set and in recorded predictions."""

    def asks(self, read: Callable[[Shots], tuple[Example, ...]], folder: Path) -> Task:  # noqa: ARG002
        """Return the task as the entry says it; see `MeasuredEval`."""
        kind = TASKS[self.task]
        given = {field.name: getattr(self, field.name) for field in fields(kind)}
        return kind(**{key: _as_field(v, read) for key, v in given.items() if v is not None})


def _as_field(value: Any, read: Callable[[Shots], tuple[Example, ...]]) -> Any:
    """Return a value of the file as a task holds it."""
    if isinstance(value, Shots):
        return read(value)
    return tuple(value) if isinstance(value, list) else value


def _by_split(value: object) -> object:
    """Refuse a file of which nobody says what it is."""
    if isinstance(value, str):
        raise ValueError(f"names a file for each split of the task: {{test: {value}}}")
    return value


class HarnessEval(MeasuredEval):
    """An eval that is a task of lm-evaluation-harness, whose documents are the gold set.

    Or a group of such tasks, each of which is an eval.
    """

    num_fewshot: Count | None = None
    """How many solved examples stand before a prompt; by default as the task says, else 0."""
    fewshot_seed: int = FEWSHOT_SEED
    """What they are drawn by."""
    data: Annotated[dict[str, str | dict[str, str]], BeforeValidator(_by_split)] = Field(default={})
    """Split → file that takes its place, or a folder that `datasets` saved; of a group also task →
    split → file. By default the task's own data set."""
    override: Said = Field(default=Said())
    """What the task's file is to say otherwise, in its own keys."""
    at_tokens: Annotated[list[int], Listed()] = Field(default=[])
    """Budgets of tokens within which gates may look too."""
    include_path: str | None = None
    """A folder with tasks of your own."""
    trust_remote_code: bool = False
    """Whether Python that stands beside tasks of your own, or that a metric fetches from a hub, may
    run."""
    leave_out: Names = Field(default=[])
    """Tasks of a group that are not asked."""

    @property
    def said_otherwise(self) -> dict[str, Any]:
        """What the entry says otherwise than the task's file."""
        return self.override.model_dump(exclude_unset=True)

    @property
    def said_by_group(self) -> Mapping[str, Any]:
        """What the group says of the task by which it was named."""
        return {}

    @property
    def named(self) -> str:
        """The name of the task there, or of the group."""
        return self.task.removeprefix(PREFIX)

    def folder_in(self, folder: Path) -> Path | None:
        """Return the folder with tasks of the user's own; relative paths start from `folder`."""
        return None if self.include_path is None else folder / self.include_path

    def asks(self, read: Callable[[Shots], tuple[Example, ...]], folder: Path) -> LmEval:  # noqa: ARG002
        """Return the task; its documents are not read yet."""
        task = LmEval(
            of=self.named,
            num_fewshot=self.num_fewshot,
            fewshot_seed=self.fewshot_seed,
            override=self.said_otherwise,
            at_tokens=tuple(self.at_tokens),
            by_group=self.said_by_group,
            include_path=self.folder_in(folder),
            trust_remote_code=self.trust_remote_code,
        )
        return replace(task, data=files_of(task.declared, self.data, folder))


class MemberEval(HarnessEval):
    """One task of a group that an entry names."""

    by_group: dict[str, Any]

    @property
    def said_by_group(self) -> Mapping[str, Any]:
        """What the group says of the task."""
        return self.by_group


@cache
def eval_of(task: type[Task], *, bounded: bool = False) -> type[GoldFileEval]:
    """Return the model of an entry with a task: its keys are the task's own fields.

    Whether numbers are within their bounds the task itself says, unless this is to be `bounded`.
    """
    hints = get_type_hints(task, include_extras=bounded)
    keys: dict[str, Any] = {f.name: (_in_yaml(hints[f.name]), f.default) for f in fields(task)}
    with warnings.catch_warnings():
        # A key may be called as a method of pydantic's that it gave up: `schema`.
        warnings.filterwarnings("ignore", r"Field name \"\w+\" .* shadows an attribute")
        return create_model(task.__name__, __base__=GoldFileEval, **keys)


def _in_yaml(hint: Any) -> Any:
    """Return the type of what the file says for a field: a list for a tuple.

    Examples stand in a file of their own. What may be a mapping is the task's to look at: its
    forms are told apart by more than types.
    """
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        kinds = [_in_yaml(kind) for kind in arguments]
        return Any if Any in kinds else Union[tuple(kinds)]  # noqa: UP007 (made of a list)
    if get_origin(hint) is Mapping:
        return Any
    if get_origin(hint) is not tuple:
        return hint
    if arguments[0] is Example:
        return Shots | None
    if get_origin(arguments[0]) is Mapping:
        return Any
    # The types of what a tuple holds are known as the program runs, not to a type checker.
    if arguments[-1] is ...:
        return Annotated[list[arguments[0]], Listed()]  # type: ignore[valid-type]
    n = len(arguments)
    return Annotated[list[arguments[0]], Field(min_length=n, max_length=n)]  # type: ignore[valid-type]
