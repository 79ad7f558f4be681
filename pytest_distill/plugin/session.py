"""What one pytest session holds: its projects, and what its tests recorded."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_distill.errors import ConfigError, DistillError
from pytest_distill.plugin.collecting import Collected
from pytest_distill.plugin.detection import FIXTURES, asks_a_gate
from pytest_distill.plugin.options import wants_report, writes_files
from pytest_distill.plugin.places import Places
from pytest_distill.plugin.records import (
    MARKER,
    STATE,
    TestState,
    check_marker,
    in_one_line,
    line_of_call,
    marker_arguments,
    of_marker,
    publish,
    state_of,
    waived,
)
from pytest_distill.plugin.running import Turns, running_item, turn
from pytest_distill.plugin.workers import run_of, worker_name
from pytest_distill.report.attempt import TestRun

if TYPE_CHECKING:
    from pytest_distill.comparison.comparison import Comparison
    from pytest_distill.config import Config
    from pytest_distill.engines import Role
    from pytest_distill.evals.eval import Eval
    from pytest_distill.evaluation.evaluation import ReportedEval
    from pytest_distill.evaluation.model import Model
    from pytest_distill.gates.verdict import Verdict
    from pytest_distill.project.project import Project

    ComparisonT = TypeVar("ComparisonT", bound=Comparison)

SESSION = pytest.StashKey["DistillSession"]()
ASKS = pytest.StashKey[bool]()
"""Whether a test's code asks a gate; looked at once."""
ROLES: tuple[Role, ...] = ("teacher", "student", "sft")
"""The fixtures that a project may replace by engines of its own."""


class OwnFixture:
    """What a fixture of `ROLES` gives where the project has not put an engine in its place."""


def running_test(function: str) -> tuple[DistillSession, pytest.Item]:
    """Return the session and the test that is running now; ConfigError outside of a test."""
    __tracebackhide__ = True
    item = running_item(function)
    return item.config.stash[SESSION], item


class DistillSession:
    """One pytest session.

    Parameters
    ----------
    config : pytest.Config
        Options, rootdir and hooks.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._serial = itertools.count()
        self.reports = wants_report(config)
        self.writes_files = writes_files(config)
        self.run = run_of(config)
        self.places = Places(config)
        self.projects: dict[Path, Project] = {}
        self.configs: dict[Path, Config | None] = {}
        """Those of which what they require is asked; None for one that cannot be read."""
        self.tests: list[tuple[pytest.Item, TestState]] = []
        """Each turn of a test, in order."""
        self.turns = Turns()
        self.collected = Collected(config, self.places)

    @contextmanager
    def running(self, item: pytest.Item) -> Iterator[None]:
        """Make `item` the test that the functions of the DSL act on, for one turn of it."""
        path = self.config_file(item)
        name = f"{worker_name()}:{next(self._serial)}"
        shown = self.places.shown(path) if path is not None else None
        file, line = self.places.in_repository(item.path), (item.location[1] or 0) + 1
        state = TestState(TestRun(item.nodeid, name, shown, file, line))
        item.stash[STATE] = state
        self.tests.append((item, state))
        with turn(self.turns, item):
            yield

    def config_file(self, item: pytest.Item) -> Path | None:
        """Return the ``distill.yaml`` that holds for a test; None where there is none."""
        return self.places.config_of(item.path)

    def project(self, item: pytest.Item) -> Project:
        """Return the project of a test, reading its ``distill.yaml`` at the first call."""
        path = self.config_file(item)
        if path not in self.projects:
            misnamed = self.places.misnamed(item.path.parent, path)
            if misnamed is not None:
                raise ConfigError(f"{misnamed}: is not read; call it distill.yaml")
        if path is None:
            raise ConfigError(
                f"no distill.yaml at or above {item.path.parent}, up to {self._config.rootpath}: "
                "write one, or name one by --distill-config"
            )
        if path not in self.projects:
            self.projects[path] = self._open(path)
        return self.projects[path]

    def _open(self, path: Path) -> Project:
        from pytest_distill.plugin.opening import open_project

        return open_project(path, self._config, self.places, self.run)

    def is_gate_test(self, item: pytest.Item) -> bool:
        """Return whether a test carries the marker, or is seen to ask gates before it runs.

        Without a ``distill.yaml`` fixtures and functions of those names may be others'.
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

    def check_marker(self, item: pytest.Item) -> None:
        """Raise ConfigError where a test's marker is wrong, or the ``distill.yaml`` it needs."""
        check_marker(item)
        arguments = marker_arguments(item)
        project = self.project(item)
        with of_marker(item):
            if arguments.get("eval") is not None:
                project.config.eval_names(arguments["eval"])
            if arguments.get("student") is not None:
                project.config.student_name(arguments["student"])
            if isinstance(arguments.get("metric"), str):
                project.config.check_metric(arguments.get("eval"), arguments["metric"])

    def comparison(
        self,
        item: pytest.Item,
        eval: str | None = None,
        student: str | None = None,
        *,
        kind: type[ComparisonT],
        alone: bool = False,
        any_eval: bool = False,
    ) -> ComparisonT:
        """Return the comparison that a test means: by arguments, else by its marker.

        One of several evals stands `alone`: the marker's metric is not meant for all of them.
        Where no example is looked at, `any_eval` will do.
        """
        arguments = marker_arguments(item)
        project = self.project(item)
        project.begin_apart()
        named = eval or arguments.get("eval")
        if any_eval:
            named = self.evals(item)[0] if named is None else project.config.eval_names(named)[0]
        return project.comparison(
            named,
            student=student or arguments.get("student"),
            metric=None if alone else arguments.get("metric"),
            confidence=arguments.get("confidence", "default"),
            engines=self._overridden(item),
            kind=kind,
        )

    def evals(self, item: pytest.Item) -> Sequence[str]:
        """Return the evals that a test is about: those of its group, else all that there are."""
        config = self.project(item).config
        group = config.groups.get(marker_arguments(item).get("eval", ""))
        return [*config.evals] if group is None else group.evals

    def model(self, item: pytest.Item, role: Role) -> Model:
        """Return the model of a role that a test means, whatever its eval."""
        student = marker_arguments(item).get("student")
        return self.project(item).model(role, student, self._overridden(item))

    def eval(self, item: pytest.Item) -> Eval | ReportedEval:
        """Return the eval that a test means by its marker."""
        project = self.project(item)
        return project.eval(project.config.eval_name(marker_arguments(item).get("eval")))

    @contextmanager
    def asking(self, item: pytest.Item, gate: str, criterion: str | None = None) -> Iterator[None]:
        """Remember where a gate gave no verdict: a test that swallows the error did not pass it.

        A gate is refused where nothing told before the test ran that it asks one.
        """
        try:
            if self.config_file(item) is not None:
                if not self.is_gate_test(item):
                    raise ConfigError(
                        f"{item.name} asks a gate through a helper, and nothing tells so before it "
                        "runs: mark it with @pytest.mark.distill, else its absence would go "
                        "unnoticed"
                    )
                check_marker(item)  # one that came late was not looked at in the collection
            yield
        except BaseException as error:
            state_of(item).note_error(gate, in_one_line(error), criterion, line_of_call(item))
            publish(item)
            raise

    def record(self, item: pytest.Item, verdict: Verdict) -> Verdict:
        """Keep a verdict with the test that asked for it; return it, waived where that holds."""
        from pytest_distill.report.verdicts import row_of

        config = self.project(item).config
        judged = waived(verdict, item.nodeid, config.settings.waivers)
        state = state_of(item)
        row = row_of(judged, self.places.shown(config.path), state.run, line_of_call(item))
        state.attempt.verdicts.append(row)
        publish(item)
        return judged

    def note_lost(self, item: pytest.Item, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the first examples that the verdict which was recorded last calls lost."""
        from pytest_distill.report.verdicts import with_lost

        verdicts = state_of(item).attempt.verdicts
        verdicts[-1] = with_lost(verdicts[-1], rows)
        publish(item)

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Note which evals the selected tests name: each model runs them while it is loaded."""
        for item in items:
            if self.is_gate_test(item):
                with suppress(DistillError):
                    project = self.project(item)
                    named = project.config.eval_names(marker_arguments(item).get("eval"))
                    project.selected.update(named)

    def read_required(self) -> None:
        """Read what must have passed, of every ``distill.yaml`` where pytest looked for tests.

        A test file that was deleted asks for nothing, so that not only those have their say that a
        test used. Reading one may import the user's metrics: the end of the run is too late.
        """
        given = self.places.given_config
        for path in {given} if given else {*self.projects, *self.collected.configs}:
            self.configs[path] = None
            with suppress(DistillError):
                self.configs[path] = (self.projects.get(path) or self._open(path)).config

    def close(self) -> None:
        """Free every model."""
        self.turns.end()
        for project in self.projects.values():
            project.close()

    def _overridden(self, item: pytest.Item) -> dict[Role, Any]:
        """Return the engines that the project's own fixtures put in place of models, by role."""
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
        return {role: v for role, v in values.items() if not isinstance(v, OwnFixture)}
