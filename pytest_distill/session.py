"""What one pytest session holds: its projects, the running test, and what tests recorded."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.errors import ConfigError, DistillError, StoreWarning, did_you_mean
from pytest_distill.records import (
    MARKER,
    STUDENTS,
    check_marker,
    marker_arguments,
    publish,
    state_of,
    waived,
)
from pytest_distill.workers import run_number, threads_per_worker, worker_number

if TYPE_CHECKING:
    from pytest_distill.assertions import GateComparison
    from pytest_distill.engines import Role
    from pytest_distill.evaluation.keeping import Keeper
    from pytest_distill.evaluation.models import Model
    from pytest_distill.project import Project
    from pytest_distill.verdicts.verdict import Verdict

SESSION = pytest.StashKey["DistillSession"]()

_running: list[tuple[DistillSession, pytest.Item]] = []


def running_test(function: str) -> tuple[DistillSession, pytest.Item]:
    """Return the session and the test that is running now; ConfigError outside of a test."""
    __tracebackhide__ = True
    if not _running:
        raise ConfigError(
            f"{function}() judges the running test's models: call it in a test, with the plugin "
            "'distill' on"
        )
    return _running[-1]


class DistillSession:
    """One pytest session.

    Parameters
    ----------
    config : pytest.Config
        Options, rootdir and hooks.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._projects: dict[Path, Project] = {}
        self._config_files: dict[Path, Path | None] = {}
        self._seen: set[Path] = set()
        self.run = run_number(config)
        self.gate_tests: list[str] = []
        """Node ids of the gate tests that were collected, deselected ones too."""
        self.skipped_files: list[str] = []
        """Files that ``--lf`` did not look into: nobody knows what gates are there."""

    @property
    def reports(self) -> bool:
        """Whether anything is made of what the tests find out, beside their own results."""
        asked = (self._config.getoption(o) for o in ("distill_report", "distill_json"))
        return any(asked) or bool(self._config.getini("distill_strict"))

    @contextmanager
    def running(self, item: pytest.Item) -> Iterator[None]:
        """Make `item` the test that the functions of the DSL act on."""
        _running.append((self, item))
        try:
            yield
        finally:
            _running.pop()

    def config_file(self, item: pytest.Item) -> Path | None:
        """Return the ``distill.yaml`` that holds for a test; None where there is none."""
        given = self._given_config()
        if given is not None:
            return given
        folder = item.path.parent
        if folder not in self._config_files:
            self._config_files[folder] = _nearest_config(folder, self._config.rootpath)
        return self._config_files[folder]

    def _given_config(self) -> Path | None:
        if option := self._from_here("distill_config"):
            return option
        if ini := self._config.getini("distill_config"):
            return self._config.rootpath / str(ini)
        return None

    def project(self, item: pytest.Item) -> Project:
        """Return the project of a test, reading its ``distill.yaml`` at the first call."""
        path = self.config_file(item)
        if path is None:
            raise ConfigError(
                f"no distill.yaml at or above {item.path.parent}, up to {self._config.rootpath}: "
                "write one, or name one by --distill-config"
            )
        if path not in self._projects:
            self._projects[path] = self._open(path)
        return self._projects[path]

    def is_gate_test(self, item: pytest.Item) -> bool:
        """Return whether a test carries the marker, or asks for a fixture that only gates need.

        Without a ``distill.yaml`` fixtures of those names may be anybody's.
        """
        if item.get_closest_marker(MARKER) is not None:
            return True
        asks = {"comparison", STUDENTS} & set(getattr(item, "fixturenames", ()))
        return bool(asks) and self.config_file(item) is not None

    def student_names(self, item: pytest.Item) -> list[str]:
        """Return the students that a test runs through; none where no ``distill.yaml`` holds."""
        if self.config_file(item) is None:
            return []
        return self.project(item).config.named("student")

    def check_marker(self, item: pytest.Item) -> None:
        """Raise ConfigError where a test's marker is wrong, or the ``distill.yaml`` it needs."""
        check_marker(item)
        arguments = marker_arguments(item)
        project = self.project(item)
        try:
            if arguments.get("eval") is not None:
                project.eval_name(arguments["eval"])
            if arguments.get("student") is not None:
                project.student_name(arguments["student"])
            if isinstance(arguments.get("metric"), str):
                project.check_metric(arguments.get("eval"), arguments["metric"])
        except ConfigError as error:
            raise ConfigError(f"marker distill of {item.name}: {error}") from None

    def comparison(
        self,
        item: pytest.Item,
        eval: str | None = None,
        student: str | None = None,
        *,
        alone: bool = False,
        any_eval: bool = False,
    ) -> GateComparison:
        """Return the comparison that a test means: by arguments, else by its marker.

        One of several evals stands `alone`: the marker's metric is not meant for all of them.
        Where no example is looked at, `any_eval` will do.
        """
        from pytest_distill.assertions import GateComparison

        arguments = marker_arguments(item)
        project = self.project(item)
        project.share_out()
        named = eval or arguments.get("eval")
        if named is None and any_eval:
            named = next(iter(project.config.evals))
        return project.comparison(
            named,
            student=student or arguments.get("student"),
            metric=None if alone else arguments.get("metric"),
            confidence=arguments.get("confidence", "default"),
            engines=self._overridden(item),
            kind=GateComparison,
        )

    def model(self, item: pytest.Item, role: Role) -> Model:
        """Return the model of a role that a test means, whatever its eval."""
        student = marker_arguments(item).get("student")
        return self.project(item).model(role, student, self._overridden(item))

    @contextmanager
    def asking(self, item: pytest.Item) -> Iterator[None]:
        """Remember where a gate gave no verdict: a test that swallows the error did not pass it."""
        try:
            yield
        except Exception:
            state_of(item).error = True
            publish(item)
            raise

    def record(self, item: pytest.Item, verdict: Verdict) -> Verdict:
        """Keep a verdict with the test that asked for it; return it, waived where that holds."""
        config = self.project(item).config
        judged = waived(verdict, item.nodeid, config.waivers)
        state = state_of(item)
        state.config = self.shown(config.path)
        state.verdicts.append(judged)
        publish(item)
        return judged

    def saw_folder(self, folder: Path) -> None:
        """Remember that pytest looked for tests in a folder."""
        if (folder / "distill.yaml").is_file():
            self._seen.add(folder / "distill.yaml")

    def saw_gates(self, nodeids: Iterable[str]) -> None:
        """Remember gate tests, whether they run or not."""
        self.gate_tests = list(dict.fromkeys([*self.gate_tests, *nodeids]))

    def saw_past_last_failed(
        self, collector: pytest.Collector, nodes: Iterable[pytest.Item | pytest.Collector]
    ) -> None:
        """Remember the gate tests that ``--lf`` will drop, and the files that it skips unread."""
        items = [node for node in nodes if isinstance(node, pytest.Item)]
        self.saw_gates(item.nodeid for item in items if self.is_gate_test(item))
        if isinstance(collector, pytest.File) and not list(nodes):
            self.skipped_files.append(collector.nodeid)

    def required_gates(self) -> tuple[dict[str, list[str]], list[str]]:
        """Return the gates that must have passed, and the ``distill.yaml`` that cannot be read.

        A test file that was deleted asks for nothing, so that every ``distill.yaml`` in the
        folders where pytest looked for tests has its say, not only those that a test used.

        Returns
        -------
        required : dict
            Shown path of a ``distill.yaml`` -> what it requires.
        unreadable : list of str
            Shown paths.
        """
        given = self._given_config()
        required, unreadable = {}, []
        for path in sorted({given} if given else {*self._projects, *self._seen}):
            try:
                project = self._projects.get(path) or self._open(path)
            except DistillError:
                unreadable.append(self.shown(path))
            else:
                required[self.shown(path)] = list(project.config.all_required_gates)
        return required, unreadable

    def share(self) -> dict[str, Any]:
        """Return what this process adds to the ledger beside the reports of its tests."""
        required, unreadable = self.required_gates()
        return {
            "gate_tests": self.gate_tests,
            "skipped_files": self.skipped_files,
            "summary": self.summary(),
            "required": required,
            "unreadable": unreadable,
        }

    def summary(self) -> dict[str, list[dict[str, Any]]]:
        """Return what this process's models came to, in built-in types."""
        rows: dict[str, list[dict[str, Any]]] = {}
        if not self._projects:
            return rows
        from pytest_distill.summary import summary

        for path, project in self._projects.items():
            for key, found in summary(project, self.shown(path)).items():
                rows.setdefault(key, []).extend(found)
        return rows

    def close(self) -> None:
        """Free every model."""
        for project in self._projects.values():
            project.close()

    def shown(self, path: Path) -> str:
        """Return a path as reports name it: relative to rootdir where it lies below."""
        root = self._config.rootpath
        return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

    def _open(self, path: Path) -> Project:
        from pytest_distill.config import load_config
        from pytest_distill.extensions import extensions_of
        from pytest_distill.progress import progress_on
        from pytest_distill.project import Project

        config = load_config(path, extensions_of(self._config))
        return Project(
            config,
            device=self._config.getoption("distill_device"),
            paths=self._model_paths(config.models),
            threads=threads_per_worker(),
            limit=self._config.getoption("distill_limit"),
            keeper=self._keeper(path.parent),
            predictions=self._from_here("distill_predictions"),
            worker=worker_number(),
            progress=progress_on(self._config),
        )

    def _from_here(self, option: str) -> Path | None:
        """Return the path that an option gives, from the current folder."""
        given = self._config.getoption(option)
        return self._config.invocation_params.dir / str(given) if given else None

    def _keeper(self, project: Path) -> Keeper:
        from pytest_distill.evaluation.keeping import Keeper
        from pytest_distill.progress import teller

        ini = self._config.getini("distill_cache")
        folder = self._config.rootpath / str(ini) if ini else project / ".distill"
        return Keeper(
            self._from_here("distill_cache") or folder,
            session=self.run,
            refresh=bool(self._config.getoption("distill_refresh")),
            warn=lambda message: warnings.warn(StoreWarning(message), stacklevel=2),
            tell=teller(self._config),
        )

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note which evals the selected tests name: each model runs them while it is loaded."""
        for item in items:
            if self.is_gate_test(item):
                project = self.project(item)
                with suppress(DistillError):
                    project.owed.add(project.eval_name(marker_arguments(item).get("eval")))

    def _model_paths(self, known: Mapping[str, Any]) -> dict[str, str]:
        """Return what ``--distill-model NAME=PATH`` says, paths from the current folder."""
        from pytest_distill.config.schema import absolute

        paths = {}
        for given in self._config.getoption("distill_model") or ():
            name, _, path = given.partition("=")
            if name not in known:
                raise ConfigError(f"--distill-model {given}: {did_you_mean(name, known)}")
            paths[name] = absolute(path, self._config.invocation_params.dir)
        return paths

    def _overridden(self, item: pytest.Item) -> dict[Role, Any]:
        """Return the engines that the project's own fixtures put in place of models, by role."""
        from pytest_distill.fixtures import ModelHandle

        request = state_of(item).request
        if request is None:
            return {}
        roles: tuple[Role, ...] = ("teacher", "student", "sft")
        values = {role: request.getfixturevalue(role) for role in roles}
        return {role: v for role, v in values.items() if not isinstance(v, ModelHandle)}


def _nearest_config(folder: Path, root: Path) -> Path | None:
    for candidate in (folder, *folder.parents):
        if (candidate / "distill.yaml").is_file():
            return candidate / "distill.yaml"
        if candidate == root:
            break
    return None
