"""How a gate test ended counts, after however many gates that passed."""

from __future__ import annotations

import pytest

from .project import HEAD, Project, Run, decision_of, report_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEPT = "assert_quality_retained(0.9)"
PAYS = "assert_beats_sft(confidence=None)"
UNKNOWN = "assert_beats_sft(eval='no')"

FIXTURES = """
import contextlib
import pytest
from pytest_distill import *

@pytest.fixture
def skips_late():
    yield
    pytest.skip("late")

@pytest.fixture
def swallows_error():
    yield
    with contextlib.suppress(Exception):
        assert_beats_sft(eval="no")

@pytest.fixture
def swallows_failure():
    yield
    with contextlib.suppress(AssertionError):
        assert_quality_retained(0.99)

@pytest.fixture
def swallows_early():
    with contextlib.suppress(Exception):
        assert_beats_sft(eval="no")

@pytest.fixture
def finalizes(request):
    request.addfinalizer(lambda: pytest.skip("late"))

@pytest.fixture(scope="session")
def of_the_session():
    yield
    with contextlib.suppress(AssertionError):
        assert_quality_retained(0.99)
"""

ENDS = {
    "skip after a gate": f"{KEPT}\npytest.skip('no sft today')\n{PAYS}",
    "xfail after a gate": f"{KEPT}\npytest.xfail('known')",
    "skip in a fixture's end": f"@pytest.mark.usefixtures('skips_late')\n{KEPT}",
    "skip in a finalizer": f"@pytest.mark.usefixtures('finalizes')\n{KEPT}",
    "error of a gate": f"{KEPT}\n{UNKNOWN}",
    "swallowed error": f"with contextlib.suppress(Exception): {UNKNOWN}\n{KEPT}",
    "swallowed in a fixture": f"@pytest.mark.usefixtures('swallows_early')\n{KEPT}",
    "swallowed in a fixture's end": f"@pytest.mark.usefixtures('swallows_error')\n{KEPT}",
    "swallowed before a skip": (
        f"{KEPT}\nwith contextlib.suppress(Exception): {UNKNOWN}\npytest.skip('x')"
    ),
    "own error": f"{KEPT}\n1 / 0",
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_that_is_no_pass_leaves_the_run_incomplete(
    project: Project, run: Run, name: str
) -> None:
    """The gate that passed stands as such, and the rest of its test is NOT RUN."""
    project.file("conftest.py", FIXTURES)
    write_gates(project, odd=ENDS[name], other=KEPT)
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "test_odd" in decision_of(result)[1]
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = [row["outcome"] for row in project.json()["gates"]]
    called = name != "swallowed in a fixture"
    assert outcomes.count("PASSED") == 1 + called
    assert "NOT RUN" in outcomes


@pytest.mark.parametrize("name", ["skip after a gate", "swallowed in a fixture's end"])
def test_it_is_the_same_with_workers(project: Project, run: Run, name: str) -> None:
    """The controller is told by the workers."""
    project.file("conftest.py", FIXTURES)
    write_gates(project, odd=ENDS[name], other=KEPT)
    assert decision_of(run("-n", "2", *REPORTS)) == ("INCOMPLETE", "1 gate did not run: test_odd")


@pytest.mark.parametrize(
    ("fixture", "outcome"), [("swallows_failure", "DO NOT SHIP"), ("of_the_session", "INCOMPLETE")]
)
def test_a_failure_that_a_fixture_s_end_swallows_fails(
    project: Project, run: Run, fixture: str, outcome: str
) -> None:
    """What is asked in a teardown counts like all else; a session's end has no more models."""
    project.file("conftest.py", FIXTURES)
    write_gates(project, odd=f"@pytest.mark.usefixtures('{fixture}')\n{KEPT}")
    result = run(*REPORTS)
    assert decision_of(result)[0] == outcome
    result.assert_outcomes(passed=1, errors=1)


def test_a_failed_assertion_of_ones_own_after_a_gate(project: Project, run: Run) -> None:
    """It is a gate that failed, as it is in a test that asks no gate of the DSL."""
    write_gates(project, odd=f"{KEPT}\nassert 1 + 1 == 3")
    assert decision_of(run(*REPORTS)) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_odd")


SUBTESTS = """
def test_odd(subtests):
    assert_quality_retained(0.9)
    with subtests.test("one"):
        {first}
        assert_beats_sft(confidence=None)
"""


@pytest.mark.parametrize(
    ("first", "outcome"),
    [
        ("pytest.skip('later')", "INCOMPLETE"),
        ("pytest.xfail('known')", "INCOMPLETE"),
        ("1 / 0", "INCOMPLETE"),
        ("assert_quality_retained(0.99)", "DO NOT SHIP"),
        ("pass", "SHIP"),
    ],
)
def test_a_subtest_counts(project: Project, run: Run, first: str, outcome: str) -> None:
    """One that is skipped or breaks hides gates, whatever its test comes to."""
    project.file("test_ship.py", HEAD + SUBTESTS.format(first=first))
    result = run(*REPORTS)
    assert decision_of(result)[0] == outcome


def test_a_later_subtest_does_not_cover_an_earlier_one(project: Project, run: Run) -> None:
    """What was skipped in the first stays skipped, however the others end."""
    two = (
        "def test_odd(subtests):\n"
        "    with subtests.test('one'):\n        pytest.skip('later')\n"
        "    with subtests.test('two'):\n        pytest.xfail('known')\n"
        f"    {KEPT}\n"
    )
    project.file("test_ship.py", HEAD + two)
    run(*REPORTS)
    (row,) = [row for row in project.json()["gates"] if row["outcome"] == "NOT RUN"]
    assert row["notes"] == ["skipped", "later"]


def test_an_exception_that_cannot_be_shown_is_an_error_like_others(
    project: Project, run: Run
) -> None:
    """Its own text is left out, and the report stands."""
    odd = "class Odd(Exception):\n    def __str__(self): return 1 / 0\n"
    project.file("test_odd.py", f"{HEAD}{odd}def test_odd():\n    {KEPT}\n    raise Odd\n")
    result = run(*REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_odd")


UNITTEST = """
import unittest

class TestShip(unittest.TestCase):
    def test_odd(self):
        assert_quality_retained(0.9)
        {last}
"""


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        ("self.skipTest('later')", "INCOMPLETE"),
        ("with self.subTest(): self.skipTest('later')", "INCOMPLETE"),
        ("self.fail('own')", "DO NOT SHIP"),
        ("self.addCleanup(self.skipTest, 'later')", "INCOMPLETE"),
        ("raise KeyError", "INCOMPLETE"),
        ("assert_quality_retained(0.99)", "DO NOT SHIP"),
        ("pass", "SHIP"),
    ],
)
def test_a_test_case_of_unittest_counts(
    project: Project, run: Run, last: str, outcome: str
) -> None:
    """Unittest keeps errors and skips to itself until its report."""
    project.file("test_ship.py", HEAD + UNITTEST.format(last=last))
    assert decision_of(run(*REPORTS))[0] == outcome


SWALLOWED = {
    "failure": "with contextlib.suppress(AssertionError): assert_quality_retained(0.99)",
    "error": f"with contextlib.suppress(Exception): {UNKNOWN}",
    "failure, then a skip": (
        "with contextlib.suppress(AssertionError): assert_quality_retained(0.99)\npytest.skip('x')"
    ),
}


@pytest.mark.parametrize("name", SWALLOWED)
def test_what_is_swallowed_fails_its_test_in_a_plain_run_too(
    project: Project, run_both: Run, name: str
) -> None:
    """Without any report the test is red, with the gate's own words."""
    write_gates(project, odd=SWALLOWED[name])
    result = run_both()
    result.assert_outcomes(failed=1)
    assert "the test went on after a gate that" in said(result)


@pytest.mark.parametrize("end", ["pass", "self.skipTest('x')"])
def test_what_a_test_case_swallows_fails_it_too(project: Project, run: Run, end: str) -> None:
    """Also where unittest would only tell of a skip."""
    last = f"with contextlib.suppress(AssertionError): assert_quality_retained(0.99)\n        {end}"
    project.file("test_ship.py", HEAD + UNITTEST.format(last=last))
    run().assert_outcomes(failed=1)


def test_a_property_of_the_user_s_own_is_left_alone(project: Project, run_both: Run) -> None:
    """`record_property("distill", ...)` is nothing of ours; it stands in JUnit XML beside it."""
    project.file(
        "test_ship.py",
        HEAD
        + "@pytest.mark.parametrize('value', ['v3', '{}', '[]', '{\"name\": 1, \"run\": 2}', 7])\n"
        "def test_it(record_property, value):\n"
        f"    {KEPT}\n    record_property('distill', value)\n",
    )
    result = run_both(*REPORTS, "--junitxml", "out.xml", "-o", "junit_family=legacy")
    assert decision_of(result) == ("SHIP", "")
    assert 'value="v3"' in (project.path / "out.xml").read_text()


THREADS = """
import threading
import time

def late():
    time.sleep(0.5)
    assert_quality_retained(0.9)

def test_odd():
    {start}
"""


@pytest.mark.parametrize(
    "start",
    [
        "threading.Thread(target=late).start()",
        "threading.Timer(0.1, late).start()",
        "__import__('concurrent.futures').futures.ThreadPoolExecutor().submit(late)",
    ],
)
def test_a_gate_that_is_asked_when_its_test_has_ended(
    project: Project, run_forked: Run, start: str
) -> None:
    """It has no verdict, and neither JSON nor exit status say that all went well."""
    project.file("test_ship.py", HEAD + THREADS.format(start=start))
    write_gates(project, file="test_kept.py", kept=KEPT)
    result = run_forked("-W", "ignore::pytest.PytestUnhandledThreadExceptionWarning", *REPORTS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["outcome"] == "INCOMPLETE"


def test_a_thread_that_is_waited_for_may_ask(project: Project, run: Run) -> None:
    """Its verdict is the running test's."""
    waited = "thread = threading.Thread(target=late); thread.start(); thread.join()"
    project.file("test_ship.py", HEAD + THREADS.format(start=waited))
    assert decision_of(run(*REPORTS)) == ("SHIP", "")


def test_the_end_of_a_run_waits_for_no_idle_pool(project: Project, run_forked: Run) -> None:
    """An executor's threads end with the interpreter: waiting for them would wait in vain."""
    project.file(
        "conftest.py",
        "import pytest_distill.plugin.running\npytest_distill.plugin.running.MOST_SECONDS = 1e9\n",
    )
    start = (
        "pool = __import__('concurrent.futures').futures.ThreadPoolExecutor("
        "thread_name_prefix='mine'); pool.submit(print).result(); assert_quality_retained(0.9)"
    )
    project.file("test_ship.py", HEAD + THREADS.format(start=start))
    assert decision_of(run_forked(*REPORTS)) == ("SHIP", "")


def test_a_gate_that_is_asked_outside_of_a_test(project: Project, run: Run) -> None:
    """A hook that swallows the error does not hide it."""
    project.file(
        "conftest.py",
        "import contextlib\nfrom pytest_distill import *\n"
        "def pytest_collection_finish():\n"
        "    with contextlib.suppress(Exception):\n        assert_quality_retained(0.9)\n",
    )
    write_gates(project, kept=KEPT)
    assert decision_of(run(*REPORTS)) == (
        "INCOMPLETE",
        "assert_quality_retained() was asked when no test ran",
    )


def test_a_gate_that_is_asked_in_a_child_process(project: Project, run_forked: Run) -> None:
    """A forked child's verdict would be lost: there it is an error."""
    write_gates(
        project,
        odd="if os.fork() == 0:\n"
        "        try: assert_quality_retained(0.9)\n"
        "        except Exception as error: print(error, file=open('told', 'w'))\n"
        "        os._exit(0)\n"
        f"os.wait()\n{KEPT}",
    )
    run_forked(*REPORTS)
    assert "in a child process of the test" in (project.path / "told").read_text()


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_a_worker_that_dies_at_its_end(project: Project, run: Run, end: str) -> None:
    """Its share of the report is missing: INCOMPLETE, whatever was required."""
    project.file(
        "conftest.py",
        "import os, pytest\n"
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_sessionfinish(session):\n"
        f"    if hasattr(session.config, 'workerinput'): {end}\n",
    )
    write_gates(project, kept=KEPT)
    result = run("-n", "1", "--max-worker-restart", "0", *REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "1 worker lost: gw0")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_worker_whose_share_cannot_be_told(project: Project, run: Run) -> None:
    """What cannot be JSON is not dropped without a word."""
    project.file(
        "conftest.py",
        "from pytest_distill.plugin import sharing\n"
        "from pytest_distill.report.share import Share\n"
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        sharing.share_of = lambda session: Share(late=[object()])\n",
    )
    write_gates(project, kept=KEPT)
    assert decision_of(run("-n", "1", *REPORTS)) == ("INCOMPLETE", "1 worker lost: gw0")


def test_a_limit_makes_every_run_partial(project: Project, run: Run) -> None:
    """Also one whose gates look at no answers."""
    project.rows("train.jsonl", [{"text": "something else entirely"}])
    write_gates(project, clean="assert_not_contaminated('train.jsonl', field='text')")
    result = run("--distill-limit", "10", *REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "PARTIAL" in decision_of(result)[1]


def test_the_last_line_tells_of_failures_and_of_what_did_not_run(
    project: Project, run_both: Run
) -> None:
    """Neither hides the other."""
    write_gates(project, bad="assert_quality_retained(0.99)", odd="pytest.skip('x')", kept=KEPT)
    result = run_both(*REPORTS)
    assert " ".join(report_of(result)[-1].split()) == (
        "DO NOT SHIP: 1 gate of 3 did not pass: test_bad; 1 gate did not run: test_odd"
    )


def test_the_last_line_names_the_student(project: Project, run_both: Run) -> None:
    """Where several are judged."""
    project.models["tiny"] = {"role": "student", "engine": "recorded", "predictions": "sft.jsonl"}
    project.save()
    head = HEAD + "def test_each(students): assert_quality_retained({floor})\n"
    project.file("test_ship.py", head.format(floor=0.9))
    assert decision_of(run_both(*REPORTS)) == (
        "DO NOT SHIP",
        "1 gate of 2 did not pass (student tiny): test_each[tiny]",
    )
    project.file("test_ship.py", head.format(floor=0.5))
    assert decision_of(run_both(*REPORTS)) == ("SHIP", "students student, tiny")


def test_the_last_line_tells_of_ctrl_c(project: Project, run_forked: Run) -> None:
    """The gates before it have their verdicts; the run is not whole."""
    write_gates(project, kept=KEPT)
    project.file("test_z.py", "def test_z():\n    raise KeyboardInterrupt\n")
    result = run_forked(*REPORTS)
    assert "INCOMPLETE (interrupted by Ctrl-C)" in result.outlines
    assert project.json()["outcome"] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_an_internal_error_does_not_ship(project: Project, run: Run) -> None:
    """Neither in the JSON, which a job may read without the exit status."""
    write_gates(project, kept=KEPT)
    project.file(
        "conftest.py", "def pytest_runtest_logfinish(nodeid):\n    raise RuntimeError('broken')\n"
    )
    result = run(*REPORTS)
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert project.json()["outcome"] == "INCOMPLETE"


POOL = """
import concurrent.futures
import threading
import time

pool = concurrent.futures.ThreadPoolExecutor(1)

def late():
    time.sleep(0.5)
    assert_quality_retained(0.99999)

def test_odd():
    {start}
    assert_smaller(0.5)
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["plainly", "n1"])
def test_a_gate_that_a_pool_asks_too_late_is_told(
    project: Project, run_forked: Run, workers: tuple[str, ...]
) -> None:
    """The test did not wait for it: what it says is waited for, in a worker too."""
    project.file("test_ship.py", HEAD + POOL.format(start="pool.submit(late)"))
    result = run_forked(*workers, *REPORTS)
    assert project.json()["outcome"] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_thread_that_runs_on_for_long_is_told(project: Project, run_forked: Run) -> None:
    """Nobody waits for it for ever, and what it may ask is not known."""
    project.file(
        "conftest.py",
        "import pytest_distill.plugin.running\npytest_distill.plugin.running.MOST_SECONDS = 0.1\n",
    )
    start = "threading.Thread(target=time.sleep, args=(2,)).start()"
    project.file("test_ship.py", HEAD + POOL.format(start=start))
    result = run_forked("-n", "1", *REPORTS)
    assert "a thread of test_ship.py::test_odd still runs" in decision_of(result)[1]


def test_tests_may_share_a_pool(project: Project, run: Run) -> None:
    """Its threads are born in one test and may ask in another that waits for them."""
    shared = "pool.submit(assert_quality_retained, min=0.9).result()"
    text = HEAD + POOL.format(start=shared) + f"def test_b():\n    {shared}\n"
    project.file("test_ship.py", text)
    assert decision_of(run(*REPORTS)) == ("SHIP", "")


def test_a_gate_of_a_forked_child_is_told_to_its_parent(project: Project, run_forked: Run) -> None:
    """Though the parent's own gates pass: one was asked that nobody heard."""
    write_gates(
        project,
        odd="import multiprocessing\n"
        "child = multiprocessing.get_context('fork').Process("
        "target=assert_quality_retained, args=(0.99999,))\n"
        "child.start(); child.join()\nassert_smaller(0.5)",
    )
    result = run_forked(*REPORTS)
    result.assert_outcomes(failed=1)
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_odd")


def test_a_gate_at_the_end_of_the_interpreter_is_told(project: Project, run_forked: Run) -> None:
    """What `atexit` asks comes after the report, which is taken back."""
    write_gates(
        project,
        odd="import atexit\natexit.register(lambda: assert_quality_retained(0.99999))\n"
        "assert_smaller(0.5)",
    )
    result = run_forked(*REPORTS)
    assert project.json()["outcome"] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_gate_after_its_model_is_gone_says_so(project: Project, run: Run) -> None:
    """A fixture's end that asks of a model which another fixture gave, and has taken back."""
    project.use_own_engine()
    project.file(
        "conftest.py",
        """
        import pytest
        from own import Counting
        from pytest_distill import *

        @pytest.fixture
        def student(request):
            from pytest_distill import ModelSpec
            return Counting(ModelSpec("student", "student", options={"right": list(range(20))}))

        @pytest.fixture
        def late():
            yield
            assert_quality_retained(0.5)
        """,
    )
    write_gates(project, odd="@pytest.mark.usefixtures('late')\nassert_quality_retained(0.5)")
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "is gone when the test has ended" in said(result)
