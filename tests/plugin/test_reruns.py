"""Tests that a plugin repeats: an attempt that failed is not erased by a later one."""

from __future__ import annotations

from pathlib import Path

import pytest

from .project import Project, Run, blocks_of, decision_of, outcomes_of, rows_of, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
OTHERS = {"rerunfailures", "flaky", "pytest-retry"}

REPEATERS = {
    "rerunfailures": ("--reruns", "2"),
    "flaky": ("--force-flaky", "--max-runs", "3"),
    "pytest-retry": ("--retries", "3"),
}
"""Each makes other reports of an attempt that it repeats, or none."""

FLAKY = """
    import pathlib
    import pytest
    from pytest_distill import assert_beats_sft, assert_quality_retained

    @pytest.mark.distill(eval="reviews")
    def test_flaky():
        attempt = len(list(pathlib.Path().glob("attempt-*")))
        pathlib.Path(f"attempt-{{attempt}}").touch()
        assert_beats_sft(confidence=None)
        if attempt < 2:
            {first}
        assert_quality_retained(min=0.9)
"""


APART = Path(__file__).parents[2] / ".repeaters"
"""Where flaky and pytest-retry are installed: beside each other and rerunfailures they break."""


@pytest.fixture(params=REPEATERS)
def repeat(request: pytest.FixtureRequest, run_forked: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs pytest so that one of the plugins makes up to three attempts."""
    name: str = request.param
    if name != "rerunfailures":
        if not APART.is_dir():
            pytest.skip(f"{name} is not in {APART.name}: the README's command puts it there")
        monkeypatch.setenv("PYTHONPATH", str(APART))
    off = [part for other in OTHERS - {name} for part in ("-p", f"no:{other}")]

    def inner(*args: str) -> pytest.RunResult:
        return run_forked("-W", "default", *off, *REPEATERS[name], *args)

    return inner


def decided(project: Project) -> tuple[str, str]:
    """Return outcome and reason of the JSON report: these plugins print behind the last line."""
    report = project.json()
    return report["outcome"], report["reason"]


def test_an_attempt_that_failed_stays_failed(project: Project, repeat: Run) -> None:
    """The third attempt passes, and the report tells both: it does not ship."""
    project.file("test_ship.py", FLAKY.format(first="assert_quality_retained(min=0.99)"))
    result = repeat(*REPORTS)
    assert result.parseoutcomes()["passed"] == 1
    assert decided(project) == ("DO NOT SHIP", "1 gate of 2 did not pass")
    assert any("passed on attempt 3 of 3" in line for line in blocks_of(result))
    (failed,) = [row for row in project.json()["gates"] if row["outcome"] == "FAILED"]
    assert failed["required"] == 0.99
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_gate_that_failed_before_is_one_row(project: Project, repeat: Run) -> None:
    """What the gate came to is its worst attempt, with a note of what came after."""
    moody = "assert_quality_retained(min=0.99 if attempt < 2 else 0.9)"
    text = FLAKY.format(first="pass")
    project.file("test_ship.py", text.replace("assert_quality_retained(min=0.9)", moody))
    result = repeat(*REPORTS)
    assert decided(project) == ("DO NOT SHIP", "1 gate of 2 did not pass")
    (note,) = [line for line in blocks_of(result) if "FAILED before" in line]
    assert "passed on attempt 3 of 3, FAILED before" in note


@pytest.mark.parametrize("allowed", [True, ["quality_retained"], ["test_ship.py::test_flaky"]])
def test_allow_reruns_lets_the_last_attempt_count(
    project: Project, repeat: Run, allowed: object
) -> None:
    """Where `distill.yaml` says so, for all gates or for those named; the note stays."""
    project.config["allow_reruns"] = allowed
    project.save()
    moody = "assert_quality_retained(min=0.99 if attempt < 2 else 0.9)"
    text = FLAKY.format(first="pass")
    project.file("test_ship.py", text.replace("assert_quality_retained(min=0.9)", moody))
    result = repeat(*REPORTS)
    assert decided(project) == ("SHIP", "")
    assert any("passed on attempt 3 of 3, FAILED before" in line for line in blocks_of(result))
    assert result.ret == pytest.ExitCode.OK


def test_allow_reruns_names_its_gates(project: Project, repeat: Run) -> None:
    """A gate that is not named keeps its failure."""
    project.config["allow_reruns"] = ["beats_sft"]
    project.save()
    project.file("test_ship.py", FLAKY.format(first="assert_quality_retained(min=0.99)"))
    repeat(*REPORTS)
    assert decided(project)[0] == "DO NOT SHIP"


@pytest.mark.parametrize("first", ["1 / 0", "import no_such_module"])
def test_an_attempt_that_broke_may_be_made_again(project: Project, repeat: Run, first: str) -> None:
    """An attempt without a verdict says nothing against the student; the note stays."""
    project.file("test_ship.py", FLAKY.format(first=first))
    result = repeat(*REPORTS)
    assert decided(project) == ("SHIP", "")
    assert sorted(row[4] for row in rows_of(result, "PASSED")) == ["beats_sft", "quality_retained"]
    assert any("passed on attempt 3 of 3" in line for line in blocks_of(result))


def test_an_assertion_of_ones_own_that_failed_stays_failed(project: Project, repeat: Run) -> None:
    """A gate test's own assertion is a gate too."""
    project.file("test_ship.py", FLAKY.format(first="assert not 1"))
    repeat(*REPORTS)
    assert decided(project) == ("DO NOT SHIP", "1 gate of 3 did not pass")


def test_a_failure_that_was_swallowed_is_repeated_too(project: Project, repeat: Run) -> None:
    """Each attempt of such a test is red, also where the plugin makes no report of it."""
    swallow = "with pytest.raises(AssertionError): assert_quality_retained(min=0.99)"
    project.file(
        "test_ship.py",
        FLAKY.format(first="pass").replace(
            " if attempt < 2", f" {swallow}\n        if attempt < 2"
        ),
    )
    result = repeat()
    assert result.parseoutcomes()["failed"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_gate_that_always_fails_still_fails(project: Project, run_both: Run) -> None:
    """Reruns do not wear a criterion down."""
    always = FLAKY.format(first="pass").replace("min=0.9)", "min=0.99)")
    project.file("test_ship.py", always)
    result = run_both("--reruns", "2", "--distill-report")
    assert result.parseoutcomes() == {"failed": 1, "rerun": 2}
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_flaky")


def test_every_worker_s_turn_counts(project: Project, run: Run) -> None:
    """`--dist each` runs a test in each worker: one that failed is not covered by another."""
    write_gates(
        project,
        it="@pytest.mark.xfail\n"
        "if os.environ['PYTEST_XDIST_WORKER'] == 'gw0': assert_quality_retained(0.99)\n"
        "__import__('time').sleep(1)\nassert_quality_retained(0.9)",
    )
    result = run("--dist", "each", "--tx", "2*popen", *REPORTS)
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_it")


def test_two_items_of_one_node_id_both_count(project: Project, run: Run) -> None:
    """A hook that runs a test twice: the second turn does not stand for the first."""
    project.file(
        "conftest.py",
        "def pytest_collection_modifyitems(items):\n    items.extend(list(items))\n",
    )
    write_gates(
        project,
        it="first = not os.path.exists('seen')\nopen('seen', 'w').close()\n"
        "assert_quality_retained(0.99 if first else 0.9)",
    )
    result = run(*REPORTS)
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_it")
    assert [row["outcome"] for row in project.json()["gates"]] == ["FAILED", "PASSED"]


def test_a_wrong_name_in_allow_reruns_is_refused(project: Project, run: Run) -> None:
    """It would never apply."""
    project.config["allow_reruns"] = ["quality"]
    project.save()
    write_gates(project, it="assert_quality_retained(0.9)")
    result = run(*REPORTS)
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*allow_reruns[[]0[]]: no gate is called 'quality'*"])


def test_an_evaluation_is_not_made_again(project: Project, run: Run) -> None:
    """An attempt asks the evaluations that are there."""
    project.use_own_engine()
    project.file("test_ship.py", FLAKY.format(first="1 / 0"))
    assert run("--reruns", "2").parseoutcomes() == {"passed": 1, "rerun": 2}
    assert sorted(project.loaded()) == ["sft", "student", "teacher"]


def test_a_skip_in_the_last_attempt_does_not_hide_the_first(project: Project, run: Run) -> None:
    """What failed stays failed, and what was skipped did not run."""
    write_gates(
        project,
        it="first = not os.path.exists('seen')\nopen('seen', 'w').close()\n"
        "if not first: pytest.skip('later')\nassert_quality_retained(0.99)",
    )
    result = run("--reruns", "1", *REPORTS)
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert sorted(row["outcome"] for row in project.json()["gates"]) == ["FAILED", "NOT RUN"]
    assert outcomes_of(project)["it"] in ("FAILED", "NOT RUN")
