"""What one pytest session holds: its projects, and what its tests recorded."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.errors import (
    ConfigError,
    DistillError,
    StoreWarning,
    did_you_mean,
    printable,
    some_of,
)
from pytest_distill.plugin import running
from pytest_distill.plugin.collecting import Collected, allows, line_to_allow
from pytest_distill.plugin.detection import FIXTURES, asks_a_gate, fixtures_of, takes
from pytest_distill.plugin.records import (
    MARKER,
    STATE,
    TestState,
    check_marker,
    in_one_line,
    marker_arguments,
    publish,
    state_of,
    waived,
)
from pytest_distill.plugin.workers import (
    run_began,
    run_number,
    threads_per_worker,
    worker_name,
    worker_number,
)

if TYPE_CHECKING:
    from pytest_distill.config import Config
    from pytest_distill.engines import Role
    from pytest_distill.evals.eval import Eval
    from pytest_distill.evaluation.evaluation import ReportedEval
    from pytest_distill.evaluation.models import Model
    from pytest_distill.evaluation.store.keeping import Keeper
    from pytest_distill.gates.verdict import Verdict
    from pytest_distill.plugin.assertions import GateComparison
    from pytest_distill.project.project import Project

SESSION = pytest.StashKey["DistillSession"]()
ASKS = pytest.StashKey[bool]()
"""Whether a test's code asks a gate; looked at once."""
SHIPS = pytest.StashKey[bool]()
"""Whether the report said SHIP."""


def binds(config: pytest.Config) -> bool:
    """Return whether the exit status is 0 only for SHIP; an editor that collects is not asking."""
    asked = bool(config.getoption("distill_report"))
    strict = bool(config.getini("distill_strict"))
    return asked or (strict and not config.getoption("collectonly"))


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
        self._serial = itertools.count()
        self._turns: list[tuple[pytest.Item, TestState]] = []
        self.on_late: Callable[[], None] = lambda: None
        """Called where a gate is asked after the run was decided."""
        self.late: list[str] = []
        """What was asked too late, or may still be asked."""
        self._configs: dict[Path, Config | None] = {}
        self.run = run_number(config)
        self.began = run_began(config)
        running.SESSIONS.append(self)
        self.collected = Collected()
        self._set_up: list[pytest.FixtureDef[Any]] = []
        self._looking: set[pytest.FixtureDef[Any]] = set()

    @property
    def reports(self) -> bool:
        """Whether anything is made of what the tests find out, beside their own results."""
        asked = (self._config.getoption(o) for o in ("distill_report", "distill_json"))
        return any(asked) or bool(self._config.getini("distill_strict"))

    @contextmanager
    def running(self, item: pytest.Item) -> Iterator[None]:
        """Make `item` the test that the functions of the DSL act on, for one turn of it."""
        state = TestState(name=f"{worker_name()}:{next(self._serial)}")
        item.stash[STATE] = state
        path = self.config_file(item)
        state.run.config = self.shown(path) if path is not None else None
        self._turns.append((item, state))
        with running.turn(self, item):
            yield

    def too_late(self, function: str, item: pytest.Item | None) -> None:
        """Remember a gate that was asked when its test had ended, or when none ran."""
        if item is None:
            self.late.append(f"{function}() was asked when no test ran")
        else:
            error = {"gate": function.removeprefix("assert_"), "why": "asked after its test ended"}
            state_of(item).attempt.errors.append(error)
        self.on_late()

    def config_file(self, item: pytest.Item) -> Path | None:
        """Return the ``distill.yaml`` that holds for a test; None where there is none."""
        return self._config_in(item.path.parent)

    def _config_of(self, path: Path) -> Path | None:
        """Return the ``distill.yaml`` that holds for a file or folder; None where there is none."""
        return self._config_in(path if path.is_dir() else path.parent)

    def _config_in(self, folder: Path) -> Path | None:
        """Return the ``distill.yaml`` that holds for the tests in a folder."""
        given = self._given_config()
        if given is not None:
            return given
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
        """Return whether a test carries the marker, or is seen to ask gates before it runs.

        Without a ``distill.yaml`` fixtures and functions of those names may be anybody's.
        """
        if item.get_closest_marker(MARKER) is not None:
            return True
        if self.config_file(item) is None:
            return False
        if FIXTURES & set(getattr(item, "fixturenames", ())):
            return True
        if ASKS not in item.stash:
            item.stash[ASKS] = asks_a_gate(item)
        return item.stash[ASKS]

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
        from pytest_distill.plugin.assertions import GateComparison

        arguments = marker_arguments(item)
        project = self.project(item)
        project.begin_apart()
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

    def eval(self, item: pytest.Item) -> Eval | ReportedEval:
        """Return the eval that a test means by its marker."""
        project = self.project(item)
        return project.eval(project.eval_name(marker_arguments(item).get("eval")))

    def looks(self, item: pytest.Item) -> None:
        """Remember that a test looks at a model, and through which fixtures it does."""
        self._looking.update(self._set_up)
        attempt = state_of(item).attempt
        if not attempt.looked:
            attempt.looked = True
            publish(item)

    @contextmanager
    def setting_up(self, fixture: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Know which fixture is made: what it looks at, all tests that it serves look at."""
        self._set_up.append(fixture)
        try:
            yield
        finally:
            self._set_up.pop()

    def looks_through_fixtures(self, item: pytest.Item) -> bool:
        """Return whether a fixture that serves several tests looked at a model for this one."""
        return any(
            definition in self._looking
            and definition.scope != "function"
            and takes(item, definition.argname)
            for of_name in fixtures_of(item)
            for definition in of_name
        )

    @contextmanager
    def asking(self, item: pytest.Item, gate: str) -> Iterator[None]:
        """Remember where a gate gave no verdict: a test that swallows the error did not pass it.

        A gate is refused where nothing told before the test ran that it asks one.
        """
        try:
            if self.config_file(item) is not None:
                self._refuse_unknown(item)
            yield
        except BaseException as error:
            state_of(item).attempt.errors.append({"gate": gate, "why": in_one_line(error)})
            publish(item)
            raise

    def _refuse_unknown(self, item: pytest.Item) -> None:
        if not self.is_gate_test(item):
            raise ConfigError(
                f"{item.name} asks a gate through a helper, and nothing tells so before it runs: "
                "mark it with @pytest.mark.distill, else its absence would go unnoticed"
            )
        check_marker(item)  # one that came late was not looked at when the file was collected

    def record(self, item: pytest.Item, verdict: Verdict) -> Verdict:
        """Keep a verdict with the test that asked for it; return it, waived where that holds."""
        config = self.project(item).config
        judged = waived(verdict, item.nodeid, config.waivers)
        shown = {"config": self.shown(config.path), **judged.to_dict()}
        state_of(item).attempt.verdicts.append(shown)
        publish(item)
        return judged

    def saw_folder(self, folder: Path) -> None:
        """Remember that pytest looked for tests in a folder."""
        if (folder / "distill.yaml").is_file():
            self._seen.add(folder / "distill.yaml")

    def selected(self, items: Iterable[pytest.Item]) -> None:
        """Remember tests that stand where the command line points, whether they run or not."""
        if self.reports:
            self.collected.selected(items)

    def saw(self, collector: pytest.Collector, report: pytest.CollectReport) -> None:
        """Remember what a file or folder came to: tests, which hooks may hide, or none at all."""
        if not self.reports:
            return
        if not self.only_named_tests:
            tests = (node for node in report.result or () if isinstance(node, pytest.Item))
            self.collected.met(tests)
        config = self._config_of(collector.path)
        if config is None:
            return
        if report.skipped:
            self.collected.skipped[collector.path] = config
        elif self._last_failed and isinstance(collector, pytest.File) and not report.result:
            self.collected.passed_over[collector.path] = None

    @property
    def _last_failed(self) -> bool:
        return bool(self._config.getoption("lf", False))

    @property
    def named(self) -> list[str]:
        """What the command line names: files, folders, tests; nothing where it names none."""
        by_hand = self._config.args_source is self._config.ArgsSource.ARGS
        if not by_hand and not self.only_named_tests:
            return []
        return [printable(argument) for argument in dict.fromkeys(self._config.args)]

    @property
    def only_named_tests(self) -> bool:
        """Whether tests are named (by a hook too), so that the others of a file are not asked."""
        return any("::" in argument for argument in self._config.args)

    def read_required(self) -> None:
        """Read what must have passed, of every ``distill.yaml`` where pytest looked for tests.

        A test file that was deleted asks for nothing, so that not only those have their say that a
        test used. Reading one may import the user's metrics: the end of the run is too late.
        """
        given = self._given_config()
        met = {*self._projects, *self._seen, *self.collected.skipped.values()}
        for path in {given} if given else met:
            self._configs[path] = self._config_at(path)

    def required_gates(self) -> tuple[dict[str, list[str]], list[str]]:
        """Return the gates that must have passed, and the ``distill.yaml`` that cannot be read.

        Returns
        -------
        required : dict
            Shown path of a ``distill.yaml`` -> what it requires.
        unreadable : list of str
            Shown paths.
        """
        configs = {**self._configs, **{path: p.config for path, p in self._projects.items()}}
        required = {
            self.shown(path): list(config.all_required_gates)
            for path, config in sorted(configs.items())
            if config is not None
        }
        return required, [self.shown(p) for p, config in sorted(configs.items()) if config is None]

    def _config_at(self, path: Path) -> Config | None:
        """Return what a ``distill.yaml`` says; None where it cannot be read."""
        try:
            project = self._projects.get(path) or self._open(path)
        except DistillError:
            return None
        return project.config

    def _skipped_files(self) -> tuple[list[str], list[str]]:
        """Return the files that nobody looked into, and what to say of these and allowed ones."""
        unread = [self.shown(path) for path in self.collected.passed_over]
        allowed, remarks = [], []
        for holds in dict.fromkeys(self.collected.skipped.values()):
            config = self._configs.get(holds)
            globs = config.allow_skipped if config is not None else ()
            files = [path for path, of in self.collected.skipped.items() if of == holds]
            missed = [path for path in files if not allows(globs, path, holds.parent)]
            unread += [self.shown(path) for path in missed]
            allowed += [self.shown(path) for path in files if path not in missed]
            if missed:
                remarks.append(
                    f"{some_of([self.shown(path) for path in missed])}: skipped unread, so that "
                    "nobody knows which gates are there; where that may be, "
                    f"{self.shown(holds)} says so:\n  {line_to_allow(missed, holds.parent, globs)}"
                )
        if allowed:
            remarks.append(f"skipped unread, as allow_skipped says: {some_of(allowed)}")
        return unread, remarks

    def _ignored_files(self) -> list[str]:
        """Return what to say of the test files that pytest was told to leave out."""
        patterns = self._config.getini("python_files")
        files = self.collected.ignored_test_files(patterns)
        under = [self.shown(file) for file in files if self._config_of(file) is not None]
        return [f"left out by an option, a setting or a hook: {some_of(under)}"] if under else []

    def share(self) -> dict[str, Any]:
        """Return what this process adds to the ledger beside the reports of its tests."""
        self._add_late_doubts()
        required, unreadable = self.required_gates()
        skipped, remarks = self._skipped_files()
        gate_tests = (item.nodeid for item in self.collected.items if self.is_gate_test(item))
        return {
            "gate_tests": list(dict.fromkeys(gate_tests)),
            "tests": self._records(),
            "late": self.late,
            "allow_reruns": self._allow_reruns(),
            "skipped_files": skipped,
            "remarks": [*remarks, *self._ignored_files()],
            "summary": self.summary(),
            "required": required,
            "unreadable": unreadable,
        }

    def _records(self) -> list[dict[str, Any]]:
        """Return what the tests of this process asked and how they ended, reports aside."""
        for item, state in self._turns:
            state.gate_test |= self.is_gate_test(item)  # a marker may come while it runs
        return [
            {"nodeid": item.nodeid, "name": state.name, "run": state.run.to_dict()}
            for item, state in self._turns
            if state.has_something and state.run.attempts
        ]

    def _add_late_doubts(self) -> None:
        """Let every verdict on an eval tell what came out about its teacher, however late."""
        doubts: dict[tuple[str, str], str] = {}
        if not self._projects:
            return
        from pytest_distill.gates.doubts import add_doubt, late_doubts

        for path, project in self._projects.items():
            for eval, note in late_doubts(project.all_models).items():
                doubts[self.shown(path), eval] = note
        attempts = (attempt for _, state in self._turns for attempt in state.run.attempts)
        for verdict in (verdict for attempt in attempts for verdict in attempt.verdicts):
            doubt = doubts.get((verdict["config"], verdict["eval"]))
            if doubt is not None:
                add_doubt(verdict, doubt)

    def _allow_reruns(self) -> dict[str, bool | list[str]]:
        """Return, by the shown path of a ``distill.yaml``, what a later attempt may excuse."""
        found: dict[str, bool | list[str]] = {}
        for path, project in self._projects.items():
            allowed = project.config.allow_reruns
            found[self.shown(path)] = allowed if isinstance(allowed, bool) else list(allowed)
        return found

    def summary(self) -> dict[str, list[dict[str, Any]]]:
        """Return what this process's models came to, in built-in types."""
        rows: dict[str, list[dict[str, Any]]] = {}
        if not self._projects:
            return rows
        from pytest_distill.plugin.summary import summary

        for path, project in self._projects.items():
            for key, found in summary(project, self.shown(path)).items():
                rows.setdefault(key, []).extend(found)
        return rows

    def close(self) -> None:
        """Free every model."""
        running.end(self)
        for project in self._projects.values():
            project.close()

    def shown(self, path: Path) -> str:
        """Return a path as reports name it: relative to rootdir where it lies below."""
        root = self._config.rootpath
        return printable(str(path.relative_to(root) if path.is_relative_to(root) else path))

    def _open(self, path: Path) -> Project:
        from pytest_distill.config import load_config
        from pytest_distill.plugin.extensions import extensions_of
        from pytest_distill.plugin.progress import progress_on
        from pytest_distill.project.project import Project

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
            began=self.began,
            progress=progress_on(self._config),
        )

    def _from_here(self, option: str) -> Path | None:
        """Return the path that an option gives, from the current folder."""
        given = self._config.getoption(option)
        return self._config.invocation_params.dir / str(given) if given else None

    def _keeper(self, project: Path) -> Keeper:
        from pytest_distill.evaluation.store.keeping import Keeper
        from pytest_distill.plugin.progress import teller

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
                with suppress(DistillError):
                    project = self.project(item)
                    project.selected.add(project.eval_name(marker_arguments(item).get("eval")))

    def _model_paths(self, known: Mapping[str, Any]) -> dict[str, str]:
        """Return what ``--distill-model NAME=PATH`` says, paths from the current folder."""
        from pytest_distill.engines import located

        paths = {}
        for given in self._config.getoption("distill_model") or ():
            name, _, path = given.partition("=")
            if name not in known:
                raise ConfigError(f"--distill-model {given}: {did_you_mean(name, known)}")
            paths[name] = located(path, self._config.invocation_params.dir)
        return paths

    def still_running(self, tests: Iterable[str]) -> None:
        """Remember tests that left a thread running for too long to wait for it."""
        self.late += [f"a thread of {nodeid} still runs and may ask a gate" for nodeid in tests]

    def _overridden(self, item: pytest.Item) -> dict[Role, Any]:
        """Return the engines that the project's own fixtures put in place of models, by role."""
        from pytest_distill.plugin.fixtures import ROLES, ModelHandle

        request = state_of(item).request
        if request is None:
            return {}
        try:
            values = {role: request.getfixturevalue(role) for role in ROLES}
        except AssertionError as error:  # pytest's own: the fixture has been torn down
            raise ConfigError(
                "a model that a fixture of the project gives is gone when the test has ended: ask "
                f"the gate in the test, or let the fixture that asks request the model ({error})"
            ) from None
        return {role: v for role, v in values.items() if not isinstance(v, ModelHandle)}


def _nearest_config(folder: Path, root: Path) -> Path | None:
    for candidate in (folder, *folder.parents):
        if (candidate / "distill.yaml").is_file():
            return candidate / "distill.yaml"
        if candidate == root:
            break
    return None
