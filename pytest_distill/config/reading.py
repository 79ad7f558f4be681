"""Finding ``distill.yaml``, and turning it into a `Config`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any

from pytest_distill.config.config import Config, Extensions, task_of
from pytest_distill.config.criteria import read_criterion
from pytest_distill.config.document import Document
from pytest_distill.config.evals import EvalConfig, HarnessEval, MeasuredEval, eval_of
from pytest_distill.config.metrics import MetricReader
from pytest_distill.config.models import read_model
from pytest_distill.config.schema import File, ModelConfig, SourceModel
from pytest_distill.config.suites import Suite, spread, suite_of
from pytest_distill.errors import ConfigError, did_you_mean, name_problem, refuse_unknown
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.lm_eval.declared import meant_of_harness
from pytest_distill.evals.lm_eval.harness import PREFIX
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evals.tasks.elsewhere import unknown_task
from pytest_distill.evaluation.sources.source import SourceOptions
from pytest_distill.gates.all import GATES, names_a_gate


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
            metrics=self.metrics,
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
        added = self.extensions.engines
        entries = self.file.models.items()
        found = {name: read_model(self.document, name, entry, added) for name, entry in entries}
        return {
            name: model.model_copy(update={"options": spread(model.options, self.groups)})
            for name, model in found.items()
        }

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

    @property
    def sources(self) -> dict[str, SourceOptions]:
        """The options of the models that nothing runs here."""
        models = self.models.items()
        return {name: model.options for name, model in models if isinstance(model, SourceModel)}

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
        task = task_of(entry, self.document.path.parent)
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

    @property
    def metrics(self) -> dict[str, tuple[Metric, ...]]:
        """The metrics of each eval by its name."""
        read = MetricReader(self.document, self.extensions.metrics).all_of
        return {
            name: read(entry, self.reported_on(name), self.key(name))
            for name, entry in self.evals.items()
        }

    def reported_on(self, name: str) -> Iterator[str]:
        """Yield the metrics that models report a score of on an eval."""
        for options in self.sources.values():
            yield from options.metrics_of(name)

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
