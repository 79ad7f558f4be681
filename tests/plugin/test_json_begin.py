"""However a run ends, the file of ``--distill-json`` does not show an older run's SHIP."""

from __future__ import annotations

import json

import pytest

from .project import OLDER, SHIPS, Project, Run, decision_of, said

REPORTS = ("--distill-report", "--distill-json", "out.json")


@pytest.fixture
def project(project: Project) -> Project:
    """Return a project that would ship, with the SHIP of an older run beside it."""
    project.file("test_ship.py", SHIPS)
    project.file("out.json", json.dumps(OLDER))
    return project


@pytest.mark.parametrize(
    "args",
    [
        ["--no-such-option"],
        ["--distill-limit", "0"],
        ["--distill-limit", "x"],
        ["--distill-limit"],
        ["--distill-device", "tpu"],
        ["--distill-model", "student"],
        ["-n", "x"],
        ["no_such_file.py"],
        ["no_such_file.py::test_x"],
    ],
    ids=lambda args: " ".join(args),
)
def test_a_usage_error_leaves_no_older_verdict(project: Project, run: Run, args: list[str]) -> None:
    """Nor does a value that pytest itself refuses to read, of our own options or another's."""
    result = run(*REPORTS, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert project.json()["outcome"] == "INCOMPLETE"
    assert "Traceback" not in said(result)


@pytest.mark.parametrize(
    "conftest",
    [
        "1 / 0",
        "import pytest; pytest.exit('no', returncode=0)",
        "def pytest_configure(): 1 / 0",
        "def pytest_sessionstart(): 1 / 0",
        "def pytest_cmdline_main(): return 0",
        "def pytest_sessionfinish(): 1 / 0",
        "def pytest_runtest_logfinish(): 1 / 0",
        "def pytest_runtest_logfinish(): raise SystemExit(0)",
        "import pytest\ndef pytest_sessionstart(): pytest.exit('no', returncode=0)",
        "import pytest\ndef pytest_runtest_teardown(): pytest.exit('no', returncode=0)",
        "def pytest_runtest_teardown(nextitem):\n    if not nextitem: raise KeyboardInterrupt",
        "def pytest_collection_finish(session): session.shouldstop = 'enough'",
        "def pytest_runtest_logfinish(nodeid):\n    if 'pays' in nodeid: raise KeyboardInterrupt",
    ],
)
def test_a_run_that_is_broken_off_is_no_ship(
    project: Project, run_forked: Run, conftest: str
) -> None:
    """Whoever ends it, and with whatever status, before or after the last gate passed."""
    project.file("conftest.py", conftest)
    result = run_forked(*REPORTS)
    assert result.ret != pytest.ExitCode.OK
    assert project.json()["outcome"] == "INCOMPLETE"
    assert "SHIP" not in result.outlines


def test_the_last_line_says_who_broke_it_off(project: Project, run: Run) -> None:
    """`pytest.exit` may set any status, 0 too, after all gates passed."""
    project.file(
        "conftest.py",
        """
        import pytest

        def pytest_runtest_teardown(nextitem):
            if nextitem is None:
                pytest.exit("enough", returncode=0)
        """,
    )
    result = run(*REPORTS)
    told = "ended by pytest.exit: enough; 1 gate did not run: test_pays"
    assert decision_of(result) == ("INCOMPLETE", told)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
def test_a_run_that_only_sets_up_is_no_ship(project: Project, run: Run, option: str) -> None:
    """The tests do not run."""
    result = run(*REPORTS, option)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["outcome"] == "INCOMPLETE"


@pytest.mark.parametrize(
    "option",
    ["--help", "--version", "--fixtures", "--fixtures-per-test", "--markers", "--cache-show"],
)
def test_what_only_tells_leaves_the_file(project: Project, run: Run, option: str) -> None:
    """`--help` and the like are no run, and need no gate."""
    assert run(*REPORTS, option).ret == pytest.ExitCode.OK
    assert project.json() == OLDER


@pytest.mark.parametrize("where", ["=", "addopts", "environment"])
def test_the_path_is_known_wherever_it_is_given(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As one word, in the ini file, or in PYTEST_ADDOPTS."""
    args: list[str] = []
    if where == "=":
        args = ["--distill-json=out.json"]
    elif where == "addopts":
        project.file("pytest.ini", "[pytest]\naddopts = --distill-json out.json\n")
    else:
        monkeypatch.setenv("PYTEST_ADDOPTS", "--distill-json out.json")
    assert run(*args, "-n", "x").ret == pytest.ExitCode.USAGE_ERROR
    assert project.json()["outcome"] == "INCOMPLETE"


@pytest.mark.usefixtures("project")
def test_a_path_that_is_empty_is_an_error(run: Run) -> None:
    """A variable of the shell that is not set does not go for "no report"."""
    result = run("--distill-json=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--distill-json: names no file" in said(result)


def test_a_wrong_ini_value_is_a_usage_error(project: Project, run: Run) -> None:
    """It is found before any gate runs."""
    project.file("pytest.ini", "[pytest]\ndistill_strict = maybe\n")
    result = run(*REPORTS)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "distill_strict: invalid truth value 'maybe'" in said(result)
    assert project.json()["outcome"] == "INCOMPLETE"


def test_strict_alone_lets_an_editor_collect(project: Project, run: Run) -> None:
    """An editor lists tests by `--co`, with the options of the ini file."""
    project.file("pytest.ini", "[pytest]\ndistill_strict = true\npythonpath = .\n")
    assert run("--co").ret == pytest.ExitCode.OK
    assert project.json() == OLDER


def test_workers_do_not_begin_it(project: Project, run_apart: Run) -> None:
    """They have the option too, and would write INCOMPLETE over what the run came to."""
    result = run_apart(*REPORTS, "-n", "2")
    assert result.ret == pytest.ExitCode.OK
    assert project.json()["outcome"] == "SHIP"


def test_a_run_without_it_writes_nothing(project: Project, run: Run) -> None:
    """Nobody pays for what nobody asked for."""
    run("--distill-report")
    assert project.json() == OLDER


def test_the_report_of_a_run_that_did_not_end_has_the_keys_of_all(
    project: Project, run: Run
) -> None:
    """Whoever reads it finds every list, empty."""
    run("--distill-json", "out.json", "--no-such-option")
    begun = project.json()
    plain = {"schema": 2, "outcome": "INCOMPLETE", "reason": "the run did not end"}
    assert begun == plain | {key: [] for key in begun if key not in plain}
    run("--distill-json", "out.json")
    assert list(begun) == list(project.json())
