"""Fixtures of the plugin's tests: a small project, and running pytest in it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when huggingface_hub is imported

# pytester drops the modules that an inner run imports, and neither numpy nor vl_convert can be
# imported twice: what the package imports has to be there before.
import altair  # noqa: F401
import numpy  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import tabulate  # noqa: F401
import tqdm  # noqa: F401
import vl_convert  # noqa: F401
import yaml  # noqa: F401

import pytest_distill.config
import pytest_distill.plugin.assertions
import pytest_distill.plugin.progress
import pytest_distill.plugin.reporting
import pytest_distill.project.project  # noqa: F401
from tests.forking import MODELS, Forked, ForkedIO, Forks, forks

from .project import Project, Run

PLAINLY: tuple[str, ...] = ()
TWO_WORKERS = ("-n", "2")


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every inner run 80 columns and no CI service, whatever runs the outer one."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    colours = ("CI", "BUILD_NUMBER", "FORCE_COLOR", "PY_COLORS")
    services = ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE", "CI_PROJECT_DIR")
    for name in (*colours, *services):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """Return a project with a gold set, three recorded models and no tests yet."""
    made = Project(pytester)
    made.file("pytest.ini", "[pytest]\naddopts = --strict-markers\npythonpath = .\n")
    return made


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs pytest in the project, in this process; warnings are errors."""
    monkeypatch.setattr(
        "execnet.gateway_io.Popen2IOMaster", lambda _, model: ForkedIO(forks(), model)
    )

    def inner(*args: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-W", "error", *args)

    return inner


@pytest.fixture(params=[PLAINLY, TWO_WORKERS], ids=["plainly", "n2"])
def run_both(request: pytest.FixtureRequest, run: Run) -> Run:
    """Return `run`, once as it is and once with two xdist workers."""
    workers: tuple[str, ...] = request.param

    def inner(*args: str) -> pytest.RunResult:
        return run(*workers, *args)

    return inner


@pytest.fixture
def run_apart(pytester: pytest.Pytester) -> Run:
    """Return a function that runs pytest in an interpreter of its own, which imports anew."""

    def inner(*args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-W", "error", *args, timeout=120)

    return inner


@pytest.fixture
def run_forked(pytester: pytest.Pytester) -> Run:
    """Return a function that runs pytest in a process of its own, with its imports done."""
    return _in_forks(pytester, forks())


@pytest.fixture
def run_models(pytester: pytest.Pytester) -> Run:
    """Return `run_forked` for runs that load models: with the imports of torch, too."""
    return _in_forks(pytester, forks(*MODELS))


def _in_forks(pytester: pytest.Pytester, made: Forks) -> Run:
    def popen(command: Sequence[str], stdout: IO[str], stderr: IO[str], **_: object) -> Forked:
        assert list(command[:2]) == [sys.executable, "-mpytest"]
        path = f"{Path.cwd()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"  # as pytester's own
        return made.start("pytest", command[2:], stdout, stderr, os.environ | {"PYTHONPATH": path})

    def inner(*args: str) -> pytest.RunResult:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(pytester, "popen", popen)
            return pytester.runpytest_subprocess("-W", "error", *args, timeout=120)

    return inner
