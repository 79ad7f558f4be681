from __future__ import annotations

import pytest

from .project import SHIPS, Project, Run, decision_of, outcomes_of, report_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEPT = "assert_quality_retained(0.9)"
ONLY = "only the tests named"


def not_shipped(result: pytest.RunResult, reason: str) -> None:
    """Check that a run is INCOMPLETE for this reason, and does not exit with 0."""
    assert decision_of(result) == ("INCOMPLETE", reason), said(result)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plainly", "n2"])
@pytest.mark.parametrize(
    "chosen",
    [
        ("test_ship.py::test_keeps",),
        ("test_ship.py::test_keeps", "test_ship.py::test_pays"),
        ("test_ship.py", "test_ship.py::test_keeps"),
    ],
    ids=" ".join,
)
def test_a_run_of_named_tests_is_not_complete(
    project: Project, run: Run, chosen: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    """As with `-k` nobody knows what else there was to ask, all gates named or not."""
    project.file("test_ship.py", SHIPS)
    result = run(*REPORTS, *workers, *chosen)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert decision_of(result)[1].startswith(ONLY)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["outcome"] == "INCOMPLETE"


def test_a_named_parameter_and_a_named_class(project: Project, run: Run) -> None:
    """Whatever stands behind the `::`."""
    text = SHIPS.replace("def test_keeps", "@pytest.mark.parametrize('x', [1])\n    def test_keeps")
    project.file("test_ship.py", text.replace("test_keeps()", "test_keeps(x)"))
    not_shipped(run(*REPORTS, "test_ship.py::test_keeps[1]"), f"{ONLY}: test_keeps[1]")


@pytest.mark.parametrize("where", ["addopts", "environment", "file", "pyargs", "conftest"])
def test_it_does_not_matter_where_they_are_named(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """In `addopts`, PYTEST_ADDOPTS, a file of arguments, by the module's name, or by a conftest."""
    project.file("test_ship.py", SHIPS)
    arguments: tuple[str, ...] = ()
    if where == "addopts":
        project.file("pytest.ini", "[pytest]\naddopts = test_ship.py::test_keeps\n")
    elif where == "environment":
        monkeypatch.setenv("PYTEST_ADDOPTS", "test_ship.py::test_keeps")
    elif where == "file":
        project.file("chosen.txt", "test_ship.py::test_keeps\n")
        arguments = ("@chosen.txt",)
    elif where == "pyargs":
        project.file("gates/__init__.py", "")
        (project.path / "test_ship.py").rename(project.path / "gates/test_ship.py")
        arguments = ("--pyargs", "gates.test_ship::test_keeps")
    else:
        project.file(
            "conftest.py",
            "def pytest_configure(config):\n    config.args[:] = ['test_ship.py::test_keeps']\n",
        )
    result = run(*REPORTS, *arguments)
    assert decision_of(result)[0] == "INCOMPLETE", said(result)
    assert ONLY in decision_of(result)[1]
    assert list(outcomes_of(project).values()) == ["PASSED"]


def test_a_gate_that_failed_stays_the_reason(project: Project, run: Run) -> None:
    """A failure is told before what was left out."""
    write_gates(project, kept=KEPT, odd="assert_flips(0.1)")
    assert decision_of(run(*REPORTS, "test_ship.py::test_odd"))[0] == "DO NOT SHIP"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (("gates/test_ship.py",), "gates/test_ship.py"),
        (("gates",), "gates"),
        (("gates/test_ship.py", "gates/test_more.py"), "gates/test_ship.py, gates/test_more.py"),
        (("gates/test_ship.py", "gates/test_ship.py"), "gates/test_ship.py"),
        (("--keep-duplicates", "gates/test_ship.py", "gates/test_ship.py"), "gates/test_ship.py"),
    ],
    ids=["file", "folder", "files", "twice", "duplicates"],
)
def test_the_last_line_says_of_what_it_is(
    project: Project, run_both: Run, named: tuple[str, ...], said: str
) -> None:
    """Where files or folders are named on the command line, SHIP is about these."""
    write_gates(project, file="gates/test_ship.py", kept=KEPT)
    write_gates(project, file="gates/test_more.py", more="assert_flips(0.2)")
    write_gates(project, file="test_other.py", other="assert_flips(0.1)")
    result = run_both(*REPORTS, *named)
    assert decision_of(result) == ("SHIP", said)
    assert result.ret == pytest.ExitCode.OK
    assert project.json()["outcome"] == "SHIP"
    assert project.json()["reason"] == said


def test_waivers_stand_behind_it(project: Project, run: Run) -> None:
    """The files stand in brackets, the waivers behind what passed."""
    project.config["waivers"] = [
        {
            "gate": "flips",
            "floor": 0.5,
            "owner": "me",
            "reason": "known",
            "expires": "2999-01-01",
        }
    ]
    text = project.save().read_text().replace("'2999-01-01'", "2999-01-01")
    project.file("distill.yaml", text)
    write_gates(project, file="gates/test_ship.py", kept=KEPT, odd="assert_flips(0.1)")
    result = run(*REPORTS, "gates/test_ship.py")
    assert report_of(result)[-1].startswith(
        "SHIP (gates/test_ship.py): 1 of 2 gates passed, 1 waived"
    )


def test_many_named_files_are_counted(project: Project, run: Run) -> None:
    """The first few are named, and how many more there are."""
    names = [f"test_{number}.py" for number in range(8)]
    for name in names:
        write_gates(project, file=name, kept=KEPT)
    result = run(*REPORTS, *names)
    assert decision_of(result) == ("SHIP", f"{', '.join(names[:5])} and 3 more")


def test_testpaths_name_nothing_on_the_command_line(project: Project, run: Run) -> None:
    """What the ini file says of all runs is the whole, and is not told in each."""
    project.file("pytest.ini", "[pytest]\ntestpaths = gates\n")
    write_gates(project, file="gates/test_ship.py", kept=KEPT)
    assert decision_of(run(*REPORTS)) == ("SHIP", "")


LEFT_OUT = {
    "ignore": ("--ignore", "gates/test_gpu.py"),
    "ignore a folder": ("--ignore=gates",),
    "ignore-glob": ("--ignore-glob", "*gpu*"),
    "collect_ignore": (),
    "collect_ignore_glob": (),
    "hook": (),
    "norecursedirs": ("-o", "norecursedirs=gates"),
}

CONFTESTS = {
    "collect_ignore": "collect_ignore = ['gates/test_gpu.py']\n",
    "collect_ignore_glob": "collect_ignore_glob = ['*gpu*']\n",
    "hook": "def pytest_ignore_collect(collection_path):\n"
    "    return True if 'gpu' in collection_path.name else None\n",
}


@pytest.mark.parametrize("how", LEFT_OUT)
def test_test_files_that_were_left_out_are_named(project: Project, run_both: Run, how: str) -> None:
    """A file under a `distill.yaml` that pytest was told to leave out may hold gates."""
    where = "conftest.py" if how == "hook" else "gates/conftest.py"
    text = CONFTESTS.get(how, "").replace("gates/", "")
    project.file(where, text)
    write_gates(project, kept=KEPT)
    write_gates(project, file="gates/test_gpu.py", odd="assert_flips(0.1)")
    project.file("gates/helpers_gpu.py", "")
    project.file("gates/.venv/test_gpu.py", "")
    result = run_both(*REPORTS, *LEFT_OUT[how])
    remark = "left out by an option, a setting or a hook: gates/test_gpu.py"
    assert remark in report_of(result)
    assert decision_of(result) == ("SHIP", "")
    assert project.json()["remarks"] == [remark]


def test_a_folder_with_its_own_distill_yaml_that_was_left_out(project: Project, run: Run) -> None:
    """Its files are named too, although nothing of it was used."""
    write_gates(project, kept=KEPT)
    project.file("other/distill.yaml", (project.path / "distill.yaml").read_text())
    write_gates(project, file="other/deep/test_gpu.py", odd="assert_flips(0.1)")
    result = run(*REPORTS, "--ignore", "other")
    assert project.json()["remarks"] == [
        "left out by an option, a setting or a hook: other/deep/test_gpu.py"
    ]
    assert decision_of(result) == ("SHIP", "")


def test_what_is_left_out_beside_the_gates_is_no_matter(project: Project, run: Run) -> None:
    """No `distill.yaml` holds there."""
    (project.path / "distill.yaml").unlink()
    project.save("gates/distill.yaml")
    for name in ("gold", "teacher", "student", "sft"):
        (project.path / f"{name}.jsonl").rename(project.path / f"gates/{name}.jsonl")
    write_gates(project, file="gates/test_ship.py", kept=KEPT)
    project.file("tests/test_slow.py", "")
    result = run(*REPORTS, "--ignore", "tests")
    assert decision_of(result) == ("SHIP", "")
    assert project.json()["remarks"] == []


def test_many_files_that_were_left_out_are_counted(project: Project, run: Run) -> None:
    """A line names a few."""
    write_gates(project, kept=KEPT)
    for number in range(8):
        project.file(f"gpu/test_{number}.py", "")
    run(*REPORTS, "--ignore", "gpu")
    (remark,) = project.json()["remarks"]
    assert remark.endswith("gpu/test_3.py, gpu/test_4.py and 3 more")


def test_other_patterns_of_test_files(project: Project, run: Run) -> None:
    """`python_files` says what a test file is, by name or by a path's end."""
    project.file("pytest.ini", "[pytest]\npython_files = test_*.py checks/*_gate.py\n")
    write_gates(project, kept=KEPT)
    for name in ("gpu/checks/one_gate.py", "gpu/other_gate.py", "gpu/test_two.py"):
        project.file(name, "")
    run(*REPORTS, "--ignore", "gpu")
    (remark,) = project.json()["remarks"]
    assert remark.endswith(": gpu/checks/one_gate.py, gpu/test_two.py")


def test_files_that_nobody_named_are_not_left_out(project: Project, run: Run) -> None:
    """A run of one file says of what it is, and has no line for each other one."""
    write_gates(project, kept=KEPT)
    write_gates(project, file="test_other.py", other="assert_flips(0.1)")
    result = run(*REPORTS, "test_ship.py")
    assert decision_of(result) == ("SHIP", "test_ship.py")
    assert project.json()["remarks"] == []
