"""Finding ``distill.yaml``, and turning it into a `Config`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, get_args

from pytest_distill._util.user_code import load_object, unless_ours
from pytest_distill.config.criteria import read_criterion
from pytest_distill.config.document import Document
from pytest_distill.config.evals import (
    SAMPLED,
    DeclaredMetric,
    EvalConfig,
    HarnessEval,
    MajorityMetric,
    MeasuredEval,
    PassAtMetric,
    eval_of,
)
from pytest_distill.config.schema import (
    CheckpointModel,
    File,
    ModelConfig,
    OwnModel,
    Settings,
    SourceModel,
)
from pytest_distill.config.suites import Suite, suite_of
from pytest_distill.engines import Role
from pytest_distill.engines.lookup import DEFAULT as DEFAULT_ENGINE
from pytest_distill.engines.lookup import ENGINES, engine_class, options_class
from pytest_distill.errors import ConfigError, did_you_mean, name_problem, refuse_unknown
from pytest_distill.evals.built_in import BUILT_IN, check_own_metric
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.lm_eval.harness import PREFIX
from pytest_distill.evals.lm_eval.naming import meant_of_harness
from pytest_distill.evals.metrics import MeanMetric, Metric, ScoredElsewhere
from pytest_distill.evals.metrics.samples import OfSamples, named_apart
from pytest_distill.evals.tasks import TASKS, Task
from pytest_distill.evals.tasks.elsewhere import unknown_task
from pytest_distill.evaluation.sources.source import Source, SourceOptions
from pytest_distill.gates.all import GATES, names_a_gate
from pytest_distill.gates.gate import Gate


@dataclass(frozen=True)
class Extensions:
    """What hooks of the user's project add: metrics and engine classes by name."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    engines: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """One ``distill.yaml``.

    Parameters
    ----------
    path : Path
        The file; relative paths in it start from its folder.
    models, evals : mapping
        The entries by name, validated; an entry that names a group of tasks is several evals.
    groups : mapping
        The groups by the names of their entries.
    metrics : mapping
        The metrics of each eval, the headline metric first.
    settings : Settings
        What holds for all of them.
    criteria : mapping
        Name -> the gates that a student must pass to meet it.
    engines : mapping
        Engine classes that hooks of the project add, by name.
    """

    path: Path
    models: Mapping[str, ModelConfig]
    evals: Mapping[str, EvalConfig]
    groups: Mapping[str, EvalGroup]
    metrics: Mapping[str, tuple[Metric, ...]]
    settings: Settings
    criteria: Mapping[str, tuple[Gate, ...]]
    engines: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    @property
    def all_required_gates(self) -> tuple[str, ...]:
        """`required_gates`, and the gate that looks at ``must_keep:`` where an eval has it."""
        listed = [
            f"flips({name})"
            for name, entry in self.evals.items()
            if getattr(entry, "must_keep", ())
        ]
        return tuple(dict.fromkeys((*self.settings.required_gates, *listed)))

    def named(self, role: Role) -> list[str]:
        """Return the names of the models with that role, in the order of the file."""
        return [name for name, model in self.models.items() if model.role == role]

    def suited(self, name: str) -> Sequence[Metric]:
        """Return the metrics that suit the task of an eval; none where it states no task."""
        entry = self.evals[name]
        return task_of(entry, self.folder).suited if isinstance(entry, MeasuredEval) else ()

    def criterion(self, name: str) -> tuple[Gate, ...]:
        """Return the gates of a criterion; ConfigError where there is none of that name."""
        if not self.criteria:
            raise ConfigError(f"{self.path.name} has no criteria, and so no '{name}'")
        refuse_unknown(name, self.criteria, f"{self.path.name} has no criterion '{name}'")
        return self.criteria[name]

    def engine_class(self, name: str) -> Any:
        """Return the engine class of the model `name`, importing its module."""
        return engine_class(
            self.models[name].engine, self.engines, f"{self.path.name}: models.{name}.engine"
        )


def load_config(path: Path, extensions: Extensions | None = None) -> Config:
    """Read and validate a ``distill.yaml``.

    Raises
    ------
    ConfigError
        For everything that is wrong with it, with file, line, key and a suggestion.
    """
    return _Reader(Document(path), extensions or Extensions()).config


NAMES_OF_DATA = ("labels", "must_keep")
"""Keys of an eval that hold what stands in data: it must read as it is written."""

TEXTS = ("prompt", "system", "template", "thinking", "extract", "stop", "delimiter")
"""Keys of an eval that hold a text in which a ``#`` may stand."""

_SOME_SHOT = Example("", {}, "")
"""Stands for solved examples before their file is read: a task may refuse to have any."""


class _Reader:
    """Validates one document, entry by entry: what an entry may say depends on its kind."""

    def __init__(self, document: Document, extensions: Extensions) -> None:
        self.document = document
        self.extensions = extensions

    @cached_property
    def config(self) -> Config:
        self.refuse_names()
        self.refuse_misfits()
        return Config(
            path=self.document.path,
            models=self.models,
            evals=self.evals,
            groups=self.groups,
            metrics={name: self.metrics(name, entry) for name, entry in self.evals.items()},
            settings=self.file,
            criteria={
                name: read_criterion(self.document, name, self.evals, self.groups)
                for name in self.file.criteria
            },
            engines=self.extensions.engines,
        )

    @cached_property
    def file(self) -> File:
        for section in ("models", "evals", "criteria"):
            self.document.refuse_nameless(section)
        file = self.document.validated(File, self.document.content, ())
        for number, waiver in enumerate(file.waivers):
            self.check_gate(waiver.gate, ("waivers", number, "gate"))
        allowed = [] if isinstance(file.allow_reruns, bool) else file.allow_reruns
        for key, gates in (("required_gates", file.required_gates), ("allow_reruns", allowed)):
            for number, gate in enumerate(gates):
                self.check_gate(gate, (key, number))
        for number, pattern in enumerate(file.allow_skipped):
            if not pattern or pattern.startswith("/"):
                raise self.document.error(
                    ("allow_skipped", number),
                    f"'{pattern}' must be a glob that starts in the folder of this file, "
                    "e.g. 'gpu/test_*.py'",
                )
        return file

    def check_gate(self, name: str, key: tuple[str | int, ...]) -> None:
        """Refuse a name that is neither a gate's nor a test's: it would never apply."""
        if "::" not in name and not names_a_gate(name):
            raise self.document.error(
                key,
                f"no gate is called '{name}'; {did_you_mean(name, GATES)} "
                "(a test is meant by its node id)",
            )

    @cached_property
    def models(self) -> dict[str, ModelConfig]:
        return {name: self.model(name, entry) for name, entry in self.file.models.items()}

    @cached_property
    def evals(self) -> dict[str, EvalConfig]:
        found: dict[str, EvalConfig] = {}
        for name, entry in self.file.evals.items():
            suite = self.suites.get(name)
            evals = {name: self.eval(name, entry)} if suite is None else suite.evals
            for own, each in evals.items():
                if own in found:
                    raise self.document.error(("evals", name), f"a second eval '{own}'")
                found[own] = each
        return found

    @cached_property
    def suites(self) -> dict[str, Suite]:
        """The entries that name tasks of lm-evaluation-harness, or groups of them."""
        entries = self.file.evals.items()
        return {
            name: self.suite(name, entry)
            for name, entry in entries
            if isinstance(entry, dict) and str(entry.get("task")).startswith(PREFIX)
        }

    @property
    def groups(self) -> dict[str, EvalGroup]:
        """The groups by name."""
        return {name: suite.group for name, suite in self.suites.items() if suite.group}

    def suite(self, name: str, entry: Any) -> Suite:
        key = ("evals", name)
        validated = self.document.validated(HarnessEval, entry, key)
        with self.about(validated, key):
            suite = suite_of(name, validated, self.document.path.parent)
            for each in suite.evals.values():
                self.refuse_unsuited(each)
        return suite

    def key(self, name: str) -> tuple[str, str]:
        """Return where an eval stands in the file."""
        suites = self.suites.items()
        return ("evals", next((entry for entry, of in suites if name in of.evals), name))

    def model(self, name: str, entry: Any) -> ModelConfig:
        key = ("models", name)
        if not isinstance(entry, dict):
            return self.document.validated(ModelConfig, entry, key)
        entry = {"engine": DEFAULT_ENGINE, **entry}
        if name in get_args(Role):
            entry = {"role": name, **entry}
        elif "role" not in entry:
            raise self.document.error(key, "needs a role: teacher, student or sft")
        engine = self.engine(str(entry["engine"]), key)
        kind, where = _kind_of(engine), self.where(*key, "engine")
        shared = kind.model_fields.keys() - {"options"}
        options = options_class(engine, shared, where)
        with unless_ours(engine, f"{where}: Options", ConfigError):
            said, own = self.document.validated_in_two(kind, options, shared, entry, key)
        return said.model_copy(update={"options": self.spread(own)})

    def spread(self, options: Any) -> Any:
        """Return the options of a model, with what is said of a group said of each eval of it.

        Scores are not: those of a group are no eval's.
        """
        if not (isinstance(options, SourceOptions) and options.answers):
            return options
        key, by_eval = options.by_eval
        named = {name: group for name, group in self.groups.items() if name in by_eval}
        of_groups = {
            each: by_eval[name].replace("{task}", each.removeprefix(f"{name}."))
            for name, group in named.items()
            for each in group.evals
        }
        own = {name: value for name, value in by_eval.items() if name not in named}
        return options.model_copy(update={key: {**of_groups, **own}}) if named else options

    @property
    def sources(self) -> dict[str, SourceOptions]:
        """The options of the models that nothing runs here."""
        models = self.models.items()
        return {name: model.options for name, model in models if isinstance(model, SourceModel)}

    def engine(self, name: str, key: tuple[str, str]) -> Any:
        """Return the class of an engine; None where it cannot be imported now, but when it is used.

        A machine that judges predictions of another one need not have what the engine needs.
        """
        added = self.extensions.engines
        if not (name in ENGINES or name in added or "." in name or ":" in name):
            raise self.document.error(
                (*key, "engine"),
                f"unknown engine '{name}'; {did_you_mean(name, {*ENGINES, *added})} "
                "(an engine of your own is a dotted path)",
            )
        with suppress(ConfigError):
            return engine_class(name, added, self.where(*key, "engine"))
        return None

    def where(self, *key: str) -> str:
        return f"{self.document.path.name}: {'.'.join(key)}"

    def eval(self, name: str, entry: Any) -> EvalConfig:
        key = ("evals", name)
        entry = {} if entry is None else entry
        task = entry.get("task") if isinstance(entry, dict) else None
        if task is None:
            self.refuse_running(key)
            return self.document.validated(EvalConfig, entry, key)
        if str(task) not in TASKS:
            meant = meant_of_harness(str(task)) or unknown_task(str(task), TASKS)
            raise self.document.error((*key, "task"), meant)
        validated = self.document.validated(eval_of(TASKS[task]), entry, key)
        self.check_task(validated, key)
        return validated

    def check_task(self, entry: MeasuredEval, key: tuple[str, str]) -> None:
        """Refuse now what the task would refuse when it is built: a prompt that is no template."""
        for name, about in type(entry).model_fields.items():
            if about.annotation is Any:
                self.document.refuse_switches((*key, name))
        for name in NAMES_OF_DATA:
            self.document.refuse_misread((*key, name), labels=name == "labels")
        for name in (*NAMES_OF_DATA, *TEXTS):
            self.document.refuse_cut((*key, name))
        with self.about(entry, key):
            self.refuse_unsuited(entry)

    def refuse_unsuited(self, entry: MeasuredEval) -> None:
        """Raise ConfigError, beginning with a key, where the task cannot be as an entry says."""
        task = self.task_of(entry)
        _ = task.suited
        if entry.chance == "uniform" and task.guess != "choice":
            able = [name for name, kind in TASKS.items() if kind.guess == "choice"]
            raise ConfigError(
                f"chance: 'uniform' is for {', '.join(able)}; give a number such as 0.5"
            )

    @contextmanager
    def about(self, entry: MeasuredEval, key: tuple[str, str]) -> Iterator[None]:
        """Let an error that begins with a key of an entry say where that stands."""
        try:
            yield
        except ConfigError as error:
            name, colon, problem = str(error).partition(": ")
            inside = (*key, name) if colon and name in type(entry).model_fields else key
            raise self.document.error(inside, problem if inside != key else str(error)) from None

    def refuse_running(self, key: tuple[str, str]) -> None:
        """Refuse an eval without a task where a model has answers, not scores alone."""
        sources = self.sources
        running = [n for n in self.models if n not in sources or sources[n].answers]
        if running:
            raise self.document.error(
                key,
                f"needs a task ({', '.join(TASKS)}): model '{running[0]}' is evaluated, "
                "not reported",
            )

    def metrics(self, name: str, entry: EvalConfig) -> tuple[Metric, ...]:
        key = (*self.key(name), "metrics")
        listed = entry.metrics
        if not listed and isinstance(entry, MeasuredEval):
            listed = [metric.name for metric in self.task_of(entry).usual]
        if not listed:
            reported = (options.metrics_of(name) for options in self.sources.values())
            listed = list(dict.fromkeys(metric for found in reported for metric in found))
        if not listed:
            raise self.document.error(key[:2], "has no metrics: no model reports a score of it")
        kept = {
            i: self.metric(m, entry, (*key, i))
            for i, m in enumerate(listed)
            if not isinstance(m, SAMPLED)
        }
        own = {metric.name: metric for metric in kept.values()}
        sampled = {
            i: self.of_samples(m, entry, own, (*key, i))
            for i, m in enumerate(listed)
            if isinstance(m, SAMPLED)
        }
        found = tuple((kept | named_apart(sampled))[i] for i in range(len(listed)))
        for number, metric in enumerate(found):
            if metric.name in [m.name for m in found[:number]]:
                raise self.document.error((*key, number), f"'{metric.name}' is given twice")
            misfit = self.task_of(entry).misfit(metric) if isinstance(entry, MeasuredEval) else None
            if misfit is not None:
                raise self.document.error((*key, number), misfit)
        return found

    def of_samples(
        self,
        metric: PassAtMetric | MajorityMetric,
        entry: EvalConfig,
        listed: Mapping[str, Metric],
        key: tuple[str | int, ...],
    ) -> OfSamples:
        """Return a metric of several samples; `listed` are the eval's other metrics by name."""
        if isinstance(entry, HarnessEval):
            raise self.document.error(
                (*key, metric.key),
                "is not for tasks of lm-evaluation-harness: what several samples come to is said "
                f"by the task's own filters; it has {', '.join(self.suited(entry))}",
            )
        k: int = getattr(metric, metric.key)
        repeats = getattr(entry, "repeats", 1)
        if repeats == 1:
            raise self.document.error(
                (*key, metric.key),
                "needs several samples of each example: set repeats in the eval "
                f"(repeats: {max(k, 2):,}, do_sample: true and a seed; task generation)",
            )
        if k > repeats:
            raise self.document.error(
                (*key, metric.key), f"{k:,} is more than there are samples (repeats: {repeats:,})"
            )
        of = listed.get(metric.of) or self.metric(metric.of, entry, (*key, "of"))
        suited = BUILT_IN.get(of.name) is not of or (isinstance(of, MeanMetric) and of.binary)
        if not suited or not of.higher_is_better:
            suited_ones = self.suited(entry).values()
            known = [m.name for m in suited_ones if getattr(m, "binary", False)]
            raise self.document.error(
                (*key, "of"),
                f"'{of.name}' does not say right or wrong as 1 or 0; of those that do this task "
                f"has {', '.join(known)}, and a metric of your own may",
            )
        return metric.of_samples(f"{metric.of_samples.word}@{k}", k=k, of=of)

    def metric(
        self, metric: str | DeclaredMetric, entry: EvalConfig, key: tuple[str | int, ...]
    ) -> Metric:
        if isinstance(metric, DeclaredMetric):
            if problem := name_problem(metric.name, of_a_file=False):
                raise self.document.error(key, f"the name {metric.name!r} {problem}")
            low, high = metric.range
            return ScoredElsewhere(
                metric.name, higher_is_better=metric.higher_is_better, range=(low, high)
            )
        suited = self.suited(entry)
        if metric in self.extensions.metrics:
            return self.extensions.metrics[metric]
        if metric in suited:
            return suited[metric]
        if metric in BUILT_IN:
            raise self.document.error(
                key, f"'{metric}' does not suit task {entry.task}; it has {', '.join(suited)}"
            )
        if "." in metric or ":" in metric:
            where = f"{self.document.path.name}: {'.'.join(map(str, key))}"
            return check_own_metric(load_object(metric, where), where)
        known = [*suited, *self.extensions.metrics]
        raise self.document.error(
            key,
            f"unknown metric '{metric}'; {did_you_mean(metric, known)} "
            "(one of your own is a dotted path; one scored elsewhere is a mapping with a name)",
        )

    def suited(self, entry: EvalConfig) -> Mapping[str, Metric]:
        """Return the metrics that suit an eval by name: any where it states no task."""
        if not isinstance(entry, MeasuredEval):
            return BUILT_IN
        return {metric.name: metric for metric in self.task_of(entry).suited}

    def task_of(self, entry: MeasuredEval) -> Task:
        """Return the task of an entry, whose solved examples are not read yet."""
        return task_of(entry, self.document.path.parent)

    def refuse_names(self) -> None:
        """Refuse names that would make lines of the report of their own, or files elsewhere."""
        for section in ("models", "evals", "criteria"):
            for name in getattr(self.file, section):
                if problem := name_problem(name, of_a_file=True):
                    raise self.document.error((section, name), f"the name {name!r} {problem}")
        files: dict[str, tuple[str, str]] = {}
        for pair in product(self.evals, self.file.models):
            other = files.setdefault(".".join(pair).casefold(), pair)
            if other != pair:
                raise self.document.error(
                    self.key(pair[0]),
                    f"predictions of model '{pair[1]}' on it, and of '{other[1]}' on "
                    f"'{other[0]}', would be exported into one file: call one of them otherwise",
                )

    def refuse_misfits(self) -> None:
        """Refuse what is wrong between entries: roles given twice, names that do not exist."""
        for role in ("teacher", "sft"):
            names = [name for name, model in self.models.items() if model.role == role]
            if len(names) > 1:
                raise self.document.error(
                    ("models", names[1]), f"a second {role}; the first is '{names[0]}'"
                )
        for name, options in self.sources.items():
            key, named = options.by_eval
            for on in named:
                at_eval = partial(self.document.error, ("models", name, key, on))
                if on in self.groups:
                    raise at_eval(self.groups[on].named_for_one())
                refuse_unknown(on, self.evals, "no such eval", at_eval)


def task_of(entry: MeasuredEval, folder: Path) -> Task:
    """Return the task of an entry, whose solved examples are not read yet."""
    return entry.asks(lambda _: (_SOME_SHOT,), folder)


def _kind_of(engine: Any) -> type[ModelConfig]:
    """Return what every model of an engine may say."""
    if isinstance(engine, type) and issubclass(engine, Source):
        return SourceModel
    return CheckpointModel if getattr(engine, "loads_checkpoint", False) else OwnModel
