from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from .project import (
    HEAD,
    SHIPS,
    Project,
    Run,
    decision_of,
    gates_of,
    outcomes_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEPT = "assert_quality_retained(0.9)"


def not_shipped(result: pytest.RunResult, *names: str) -> None:
    """Check that a run neither ships nor exits with 0, and names these."""
    outcome, reason = decision_of(result)
    assert outcome == "INCOMPLETE"
    assert [name for name in names if name not in reason] == []
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert "INTERNALERROR" not in said(result)


ODD = {
    "skip": "pytest.skip('later')\n" + KEPT,
    "skip mark": "@pytest.mark.skip(reason='later')\n" + KEPT,
    "skipif": "@pytest.mark.skipif(True, reason='later')\n" + KEPT,
    "xfail": "pytest.xfail('known')\n" + KEPT,
    "xfail not run": "@pytest.mark.xfail(run=False)\n" + KEPT,
    "xfail of an error": "@pytest.mark.xfail\nraise RuntimeError\n" + KEPT,
    "xfail of a wrong call": "@pytest.mark.xfail\nassert_quality_retained(0.9, eval='no')",
    "importorskip": "pytest.importorskip('no_such_module')\n" + KEPT,
    "error": "raise RuntimeError('broken')\n" + KEPT,
    "exception group": "raise ExceptionGroup('many', [ValueError()])\n" + KEPT,
    "misspelt eval": "assert_quality_retained(0.9, eval='no')",
    "fixture error": "@pytest.mark.usefixtures('broken')\n" + KEPT,
    "fixture skip": "@pytest.mark.usefixtures('skipping')\n" + KEPT,
    "no parameters": "@pytest.mark.parametrize('x', [])\n" + KEPT,
}

FIXTURES = """
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("broken")

@pytest.fixture
def skipping():
    pytest.skip("later")
"""


@pytest.mark.parametrize("name", ODD)
def test_a_gate_without_a_result_is_not_run(project: Project, run: Run, name: str) -> None:
    """Whatever kept it from its verdict: the run is INCOMPLETE and names it."""
    project.file("conftest.py", FIXTURES)
    head = HEAD.replace("import os", "import os\nx = None")
    text = ODD[name]
    if "parametrize" in text:
        project.file("test_odd.py", head + f"\n{text.partition(KEPT)[0]}def test_odd(x): {KEPT}\n")
    else:
        write_gates(project, file="test_odd.py", odd=text)
    write_gates(project, kept=KEPT)
    result = run(*REPORTS)
    not_shipped(result, "test_odd")
    found = outcomes_of(project)
    assert found.pop("kept") == "PASSED"
    assert list(found.values()) == ["NOT RUN"]


@pytest.mark.parametrize("name", ["skip", "fixture error"])
def test_it_is_the_same_with_workers(project: Project, run: Run, name: str) -> None:
    """The controller hears of it."""
    project.file("conftest.py", FIXTURES)
    write_gates(project, kept=KEPT, odd=ODD[name])
    not_shipped(run("-n", "2", *REPORTS), "test_odd")


def test_all_gates_skipped(project: Project, run_both: Run) -> None:
    """Pytest itself exits with 0 when all tests are skipped; a run for shipping does not."""
    write_gates(project, a=ODD["skip mark"], b=ODD["skip"])
    result = run_both(*REPORTS)
    result.assert_outcomes(skipped=2)
    not_shipped(result, "test_a", "test_b")


@pytest.mark.parametrize(
    "option",
    [("-k", "kept"), ("-m", "not slow"), ("--deselect", "test_ship.py::test_odd")],
    ids=["k", "m", "deselect"],
)
def test_a_deselected_gate_is_not_run(project: Project, run: Run, option: tuple[str, ...]) -> None:
    """By `-k`, `-m` and `--deselect`."""
    project.file("pytest.ini", "[pytest]\nmarkers = slow\n")
    write_gates(project, kept=KEPT, odd="@pytest.mark.slow\nassert_flips(0.2)")
    not_shipped(run(*REPORTS, *option), "test_odd")


def test_a_gate_that_was_deselected_in_the_workers_is_not_run(project: Project, run: Run) -> None:
    """The controller never sees what its workers deselect; they tell it at their end."""
    write_gates(project, kept=KEPT, odd="assert_flips(0.2)")
    not_shipped(run("-n", "2", "-k", "kept", *REPORTS), "test_odd")


@pytest.mark.parametrize("metric", ["nan", "raises"])
def test_a_metric_without_a_number_is_told_by_the_workers(
    project: Project, run: Run, metric: str
) -> None:
    """NaN crosses no JSON: the gate is NOT RUN, and no worker breaks on it."""
    project.file("mine.py", METRICS)
    odd = f"assert_quality_retained(0.01, metric=mine.{metric})"
    write_gates(project, head=f"import mine\n{HEAD}", kept=KEPT, odd=odd)
    not_shipped(run("-n", "2", *REPORTS), "test_odd")


def test_a_gate_that_a_conftest_takes_away_is_not_run(project: Project, run: Run) -> None:
    """A hook that drops items without a word to pytest drops no gate from the report."""
    project.file(
        "conftest.py",
        "def pytest_collection_modifyitems(items):\n"
        "    items[:] = [item for item in items if 'odd' not in item.name]\n",
    )
    write_gates(project, kept=KEPT, odd="assert_flips(0.2)")
    not_shipped(run(*REPORTS), "test_odd")


def test_exit_first_cuts_off(project: Project, run_both: Run) -> None:
    """`-x` after a plain test that failed: the gates after it did not run."""
    project.file("test_a.py", "def test_plain():\n    assert not 1\n")
    write_gates(project, file="test_b.py", kept=f"__import__('time').sleep(0.5)\n{KEPT}")
    result = run_both("-x", "--dist", "loadfile", *REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert result.ret != pytest.ExitCode.OK


def test_stepwise_skips_what_passed(project: Project, run: Run) -> None:
    """`--sw` starts at the failed test: the gate before it is not asked again, and counts not."""
    write_gates(project, kept=KEPT, odd="assert_flips(0.1)")
    run("--sw").assert_outcomes(passed=1, failed=1)
    write_gates(project, kept=KEPT, odd="assert_flips(0.2)")
    not_shipped(run("--sw", *REPORTS), "test_kept")


def test_pytest_exit_in_the_middle(project: Project, run: Run) -> None:
    """A test that ends the session leaves the gates after it NOT RUN, with status 0 too."""
    project.file(
        "test_a.py", "import pytest\ndef test_a():\n    pytest.exit('bye', returncode=0)\n"
    )
    write_gates(project, file="test_b.py", kept=KEPT)
    result = run(*REPORTS)
    assert result.ret != pytest.ExitCode.OK
    assert project.json()["outcome"] == "INCOMPLETE"
    assert outcomes_of(project) == {"kept": "NOT RUN"}


def test_a_file_with_gates_that_is_skipped_whole(project: Project, run_both: Run) -> None:
    """A module-level skip hides which gates were there: it is named, and nothing ships."""
    write_gates(project, kept=KEPT)
    skip = "pytest.skip('no GPU', allow_module_level=True)\n"
    write_gates(project, file="test_gpu.py", head=HEAD + skip, odd="assert_flips(0.2)")
    result = run_both(*REPORTS)
    result.assert_outcomes(passed=1, skipped=1)
    not_shipped(result, "test_gpu.py")


@pytest.mark.parametrize("workers", [("-n", "2"), ("-n", "2", "--dist", "loadfile")])
def test_a_worker_that_dies_in_a_gate(project: Project, run: Run, workers: tuple[str, ...]) -> None:
    """The gate has no verdict: pytest calls it failed, and nothing ships."""
    write_gates(project, kept=KEPT, odd="os._exit(0)")
    result = run(*workers, *REPORTS)
    outcome, reason = decision_of(result)
    assert outcome in ("INCOMPLETE", "DO NOT SHIP")
    assert "test_odd" in reason
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert outcomes_of(project)["odd"] != "PASSED"
    assert project.json()["outcome"] == outcome


def test_a_worker_that_dies_after_its_gate(project: Project, run: Run) -> None:
    """A verdict that never reached the controller is none."""
    write_gates(project, kept=KEPT, odd=f"{KEPT}\nos._exit(0)")
    result = run("-n", "2", *REPORTS)
    assert decision_of(result)[0] != "SHIP"
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)


METRICS = """
    import numpy as np
    from pytest_distill import MeanMetric

    nan = MeanMetric("nan", lambda a: float("nan"))
    numpy_nan = MeanMetric("numpy_nan", lambda a: np.float32("nan"))
    inf = MeanMetric("inf", lambda a: float("inf"))
    none = MeanMetric("none", lambda a: None)
    text = MeanMetric("text", lambda a: "good")
    big = MeanMetric("big", lambda a: 7.0)
    raises = MeanMetric("raises", lambda a: 1 / 0)
    float32 = MeanMetric("float32", lambda a: np.float32(a.correct))
    boolean = MeanMetric("boolean", lambda a: np.bool_(a.correct))
    integer = MeanMetric("integer", lambda a: np.int64(a.correct))
"""


@pytest.mark.parametrize("metric", ["nan", "numpy_nan", "inf", "none", "text", "big", "raises"])
def test_a_metric_without_a_number_gives_no_verdict(
    project: Project, run: Run, metric: str
) -> None:
    """NaN, an infinite score, one outside of its range, no number, an exception: NOT RUN."""
    project.file("mine.py", METRICS)
    head = f"import mine\n{HEAD}"
    write_gates(
        project,
        head=head,
        odd=f"assert_quality_retained(0.01, metric=mine.{metric})",
        kept=KEPT,
    )
    not_shipped(run(*REPORTS), "test_odd")


@pytest.mark.parametrize("metric", ["float32", "integer", "boolean"])
def test_numpy_scalars_of_a_metric_cross_to_the_controller(
    project: Project, run: Run, metric: str
) -> None:
    """A user's metric may give numpy scalars; with two workers the verdict arrives, and ships."""
    project.file("mine.py", METRICS)
    write_gates(
        project,
        head=f"import mine\n{HEAD}",
        kept=f"assert_quality_retained(np.float32(0.5), metric=mine.{metric})",
        score=f"assert_score(np.float64(0.5), metric=mine.{metric})",
        sft=f"assert_beats_sft(metric=mine.{metric}, confidence=None, min_gain=np.float32(0))",
        slices=f"assert_slices_retained(np.float32(0.1), by='lang', metric=mine.{metric}, "
        "min_examples=np.int64(3), confidence=np.float64(0.9))",
        flips=f"assert_flips(np.float32(0.5), metric=mine.{metric})",
    )
    result = run("-n", "2", *REPORTS)
    result.assert_outcomes(passed=5)
    assert decision_of(result) == ("SHIP", "")
    assert gates_of(project)["kept"]["required"] == 0.5


@pytest.mark.parametrize(
    "swallow",
    [
        "with contextlib.suppress(Exception): assert_quality_retained(0.9, metric='acuracy')",
        "with pytest.raises(Exception): assert_quality_retained(0.9, eval='no')",
    ],
)
def test_a_gate_whose_error_was_swallowed_is_no_own_assertion(
    project: Project, run: Run, swallow: str
) -> None:
    """A gate was asked and gave no verdict: that its test went on makes it no pass."""
    write_gates(project, kept=KEPT, odd=swallow)
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert outcomes_of(project)["odd"] != "PASSED"


def test_an_error_in_an_unmarked_test_is_a_gate_not_run(project: Project, run: Run) -> None:
    """An assertion of the DSL makes any test a gate test when it runs, with a verdict or not."""
    head = "from pytest_distill import *\n"
    write_gates(project, head=head, odd="assert_quality_retained(0.9, eval='no')")
    write_gates(project, file="test_kept.py", kept=KEPT)
    not_shipped(run(*REPORTS), "test_odd")
    assert outcomes_of(project) == {"kept": "PASSED", "odd": "NOT RUN"}


def test_an_error_at_the_end_of_a_gate_test(project: Project, run: Run) -> None:
    """A fixture that breaks after the verdict: the verdict stays, and the test's end is NOT RUN."""
    project.file(
        "conftest.py",
        "import pytest\n@pytest.fixture\ndef late():\n    yield\n    raise RuntimeError\n",
    )
    write_gates(project, odd=f"@pytest.mark.usefixtures('late')\n{KEPT}")
    not_shipped(run(*REPORTS), "test_odd")
    assert [row["outcome"] for row in project.json()["gates"]] == ["PASSED", "NOT RUN"]


@pytest.mark.parametrize(
    "options",
    [
        ("-p", "no:cacheprovider"),
        ("-q",),
        ("-qq",),
        ("-n", "2", "--dist", "loadfile"),
        ("-n", "0"),
        ("--reruns", "1"),
        ("-p", "no:xdist"),
        ("-p", "no:rerunfailures"),
        ("--no-header", "--no-summary"),
        ("--import-mode", "importlib"),
        ("-s",),
        ("--tb", "no"),
        ("--strict-markers", "--strict-config"),
        ("-p", "no:junitxml"),
    ],
    ids=" ".join,
)
def test_other_options_leave_the_report_whole(
    project: Project, run: Run, options: tuple[str, ...]
) -> None:
    """Two gates that passed ship, and one that is left out does not, whatever else is asked."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-json", "out.json", "--distill-report", *options)
    assert result.ret == pytest.ExitCode.OK
    assert project.json()["outcome"] == "SHIP"
    assert len(project.json()["gates"]) == 2
    if "--no-summary" not in options:
        assert decision_of(result)[0] == "SHIP"
    result = run("--distill-json", "out.json", "--distill-report", "-k", "keeps", *options)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["outcome"] == "INCOMPLETE"


def test_without_a_terminal_the_status_tells(project: Project, run: Run) -> None:
    """`-p no:terminal`: JSON and exit status are there."""
    project.file("test_ship.py", SHIPS)
    assert run("-p", "no:terminal", *REPORTS).ret == pytest.ExitCode.OK
    assert run("-p", "no:terminal", "-k", "keeps", *REPORTS).ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["outcome"] == "INCOMPLETE"


@pytest.mark.parametrize("option", ["--co", "--collect-only"])
def test_collecting_alone_is_no_gate_run(project: Project, run: Run, option: str) -> None:
    """`--co` is INCOMPLETE for whoever asks for the report; the last run's SHIP does not stay."""
    project.file("test_ship.py", SHIPS)
    run(*REPORTS)
    result = run(option, "-k", "keeps", *REPORTS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert decision_of(result)[0] == "INCOMPLETE"
    assert project.json()["outcome"] == "INCOMPLETE"


def test_a_gate_that_passes_at_its_second_attempt(project: Project, run_both: Run) -> None:
    """pytest-rerunfailures: the attempt that counts is the last, and it is counted once."""
    write_gates(
        project,
        it="import pathlib\nseen = pathlib.Path('seen')\n"
        f"if not seen.exists(): seen.touch(); 1 / 0\n{KEPT}",
    )
    result = run_both("--reruns", "1", *REPORTS)
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    assert decision_of(result) == ("SHIP", "")
    assert len(project.json()["gates"]) == 1


def test_junit_has_what_did_not_run(project: Project, run: Run) -> None:
    """The property of a skipped gate test stands there, without a verdict."""
    write_gates(project, kept=KEPT, odd=ODD["skip"])
    run("--junitxml", "out.xml")
    tree = ElementTree.parse(project.path / "out.xml")  # noqa: S314
    found = {
        str(case.get("name")): json.loads(str(value.get("value")))["run"]["attempts"][-1]
        for case in tree.iter("testcase")
        for value in case.iter("property")
        if value.get("name") == "distill"
    }
    assert [v["outcome"] for v in found["test_kept"]["verdicts"]] == ["PASSED"]
    assert found["test_odd"]["verdicts"] == []
    assert found["test_odd"]["ends"]["call"][0] == "skipped"


def test_own_assertions_alone_are_no_verdict(project: Project, run: Run) -> None:
    """A run in which no gate of the DSL gave a verdict does not ship."""
    own = "def test_own(student): assert student.info.parameters == 100\n"
    project.file("test_ship.py", f"{HEAD}\n{own}")
    result = run(*REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "no gate gave a verdict")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
