from __future__ import annotations

import pytest

from .project import Project, Run, decision_of, outcomes_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEPT = "assert_quality_retained(0.9)"

HEAD = """
import functools
import importlib
import unittest

import pytest
"""

UNMARKED = {
    "star import": """
        from pytest_distill import *

        @pytest.mark.skip
        def test_odd():
            assert_flips(0.2)
        """,
    "alias": """
        from pytest_distill import assert_flips as q

        @pytest.mark.skip
        def test_odd():
            q(0.2)
        """,
    "attribute of the package": """
        import pytest_distill as pd

        @pytest.mark.skip
        def test_odd():
            pd.assert_flips(0.2)
        """,
    "attribute of the assertions": """
        import pytest_distill.plugin.assertions

        @pytest.mark.skip
        def test_odd():
            pytest_distill.plugin.assertions.assert_flips(0.2)
        """,
    "attribute of another module": """
        import own_gates

        @pytest.mark.skip
        def test_odd():
            own_gates.assert_flips(0.2)
        """,
    "attribute of a module in a package": """
        import inner.own_gates

        @pytest.mark.skip
        def test_odd():
            inner.own_gates.assert_flips(0.2)
        """,
    "local import of another module": """
        @pytest.mark.skip
        def test_odd():
            import not_imported_before
            not_imported_before.assert_flips(0.2)
        """,
    "local import of a known module": """
        import own_gates

        @pytest.mark.skip
        def test_odd():
            import own_gates as g
            g.recommend("edge")
        """,
    "local import": """
        @pytest.mark.skip
        def test_odd():
            from pytest_distill import assert_flips as q
            q(0.2)
        """,
    "local import of the package": """
        @pytest.mark.skip
        def test_odd():
            import pytest_distill as pd
            check = lambda: pd.assert_flips(0.2)
            check()
        """,
    "local import from another module": """
        @pytest.mark.skip
        def test_odd():
            from own_gates import assert_flips
            assert_flips(0.2)
        """,
    "by name": """
        import pytest_distill

        @pytest.mark.skip
        def test_odd():
            getattr(pytest_distill, "assert_flips")(0.2)
        """,
    "imported by name": """
        @pytest.mark.skip
        def test_odd():
            importlib.import_module("pytest_distill").assert_flips(0.2)
        """,
    "recommend": """
        from pytest_distill import recommend

        @pytest.mark.skip
        def test_odd():
            assert recommend("edge") == "student"
        """,
    "inner function": """
        from pytest_distill import assert_flips

        @pytest.mark.skip
        def test_odd():
            def inner():
                return [assert_flips(share) for share in (0.2,)]
            inner()
        """,
    "lambda": """
        from pytest_distill import assert_flips

        test_odd = lambda: assert_flips(0.2)
        test_odd.pytestmark = [pytest.mark.skip]
        """,
    "closure": """
        from pytest_distill import assert_flips

        def made(gate):
            def test():
                gate(0.2)
            return test

        test_odd = pytest.mark.skip(made(assert_flips))
        """,
    "closure over a function": """
        from pytest_distill import assert_flips

        def made():
            def check():
                assert_flips(0.2)
            def test():
                check()
            return test

        test_odd = pytest.mark.skip(made())
        """,
    "decorator": """
        from pytest_distill import assert_flips

        def twice(function):
            @functools.wraps(function)
            def inner():
                function()
                function()
            return inner

        @pytest.mark.skip
        @twice
        def test_odd():
            assert_flips(0.2)
        """,
    "decorator that forgets what it wraps": """
        from pytest_distill import assert_flips

        def twice(function):
            def test_inner():
                function()
                function()
            return test_inner

        @pytest.mark.skip
        @twice
        def test_odd():
            assert_flips(0.2)
        """,
    "partial": """
        from pytest_distill import assert_flips

        few = functools.partial(assert_flips, 0.2)

        @pytest.mark.skip
        def test_odd():
            few()
        """,
    "default": """
        from pytest_distill import assert_flips

        @pytest.mark.skip
        def test_odd(gate=assert_flips):
            gate(0.2)
        """,
    "list": """
        from pytest_distill import assert_flips, assert_score

        CHECKS = [(assert_flips, 0.2), (assert_score, 0.5)]

        @pytest.mark.skip
        def test_odd():
            for check, value in CHECKS:
                check(value)
        """,
    "method": """
        from pytest_distill import assert_flips

        class TestIt:
            @pytest.mark.skip
            def test_odd(self):
                assert_flips(0.2)
        """,
    "attribute of the class": """
        from pytest_distill import assert_flips

        class TestIt:
            gate = staticmethod(assert_flips)

            @pytest.mark.skip
            def test_odd(self):
                self.gate(0.2)
        """,
    "skipped class": """
        from pytest_distill import assert_flips

        @pytest.mark.skip
        class TestIt:
            def test_odd(self):
                assert_flips(0.2)
        """,
    "set up of a class": """
        from pytest_distill import assert_flips

        class TestIt:
            def setup_method(self):
                assert_flips(0.2)

            @pytest.mark.skip
            def test_odd(self):
                pass
        """,
    "skipped module": """
        from pytest_distill import assert_flips

        pytestmark = pytest.mark.skip

        def test_odd():
            assert_flips(0.2)
        """,
    "unittest": """
        from pytest_distill import assert_flips

        class TestIt(unittest.TestCase):
            @unittest.skip("later")
            def test_odd(self):
                assert_flips(0.2)
        """,
    "skipped unittest class": """
        from pytest_distill import assert_flips

        @unittest.skip("later")
        class TestIt(unittest.TestCase):
            def test_odd(self):
                assert_flips(0.2)
        """,
    "setUp": """
        from pytest_distill import assert_flips

        class TestIt(unittest.TestCase):
            def setUp(self):
                assert_flips(0.2)

            @unittest.skip("later")
            def test_odd(self):
                pass
        """,
    "setUpClass": """
        from pytest_distill import assert_flips

        @unittest.skip("later")
        class TestIt(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                assert_flips(0.2)

            def test_odd(self):
                pass
        """,
    "coroutine": """
        from pytest_distill import assert_flips

        class TestIt(unittest.IsolatedAsyncioTestCase):
            @unittest.skip("later")
            async def test_odd(self):
                assert_flips(0.2)
        """,
    "no parameters": """
        from pytest_distill import assert_flips

        @pytest.mark.parametrize("share", [])
        def test_odd(share):
            assert_flips(share)
        """,
    "parameter": """
        from pytest_distill import assert_flips

        @pytest.mark.skip
        @pytest.mark.parametrize("gate", [assert_flips])
        def test_odd(gate):
            gate(0.2)
        """,
    "partial as a parameter": """
        from pytest_distill import assert_flips

        @pytest.mark.parametrize(
            "gate", [pytest.param(functools.partial(assert_flips, 0.2), marks=pytest.mark.skip)]
        )
        def test_odd(gate):
            gate()
        """,
    "lambda as a parameter": """
        from pytest_distill import assert_flips

        @pytest.mark.skip
        @pytest.mark.parametrize("gate", [lambda: assert_flips(0.2)], ids=["few"])
        def test_odd(gate):
            gate()
        """,
    "fixture": """
        from pytest_distill import assert_flips

        @pytest.fixture
        def few_flips():
            assert_flips(0.2)

        @pytest.mark.skip
        def test_odd(few_flips):
            pass
        """,
    "fixture of a fixture": """
        from pytest_distill import assert_flips

        @pytest.fixture
        def gate():
            return assert_flips

        @pytest.fixture
        def few_flips(gate):
            gate(0.2)

        @pytest.mark.skip
        @pytest.mark.usefixtures("few_flips")
        def test_odd():
            pass
        """,
    "fixture of every test": """
        from pytest_distill import assert_flips

        @pytest.fixture(autouse=True)
        def few_flips():
            yield
            assert_flips(0.2)

        @pytest.mark.skip
        def test_odd():
            pass
        """,
    "comparison": """
        @pytest.mark.skip
        def test_odd(comparison):
            comparison.assert_flips(0.2)
        """,
    "comparison by usefixtures": """
        @pytest.mark.skip
        @pytest.mark.usefixtures("comparison")
        def test_odd(request):
            pass
        """,
    "comparison by name": """
        @pytest.mark.skip
        def test_odd(request):
            request.getfixturevalue("comparison").assert_flips(0.2)
        """,
}


def not_shipped(result: pytest.RunResult, name: str) -> None:
    """Check that a run is INCOMPLETE, names this, and does not exit with 0."""
    outcome, reason = decision_of(result)
    assert outcome == "INCOMPLETE", said(result)
    assert name in reason
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def write_odd(project: Project, text: str) -> None:
    """Write a file with a test that asks a gate without a marker, and one with a gate that ran."""
    lines = [line.removeprefix("        ") for line in text.splitlines()]
    project.file("test_odd.py", "\n".join([HEAD, *lines, ""]))
    project.file("own_gates.py", "from pytest_distill import assert_flips, recommend\n")
    project.file("inner/own_gates.py", "from pytest_distill import assert_flips\n")
    write_gates(project, kept=KEPT)


@pytest.mark.parametrize("name", UNMARKED)
def test_an_unmarked_gate_that_is_skipped_did_not_run(
    project: Project, run: Run, name: str
) -> None:
    """A test is known as a gate test from its code, so that its skip is INCOMPLETE by name."""
    write_odd(project, UNMARKED[name])
    not_shipped(run(*REPORTS), "test_")
    assert sorted(outcomes_of(project).values()) == ["NOT RUN", "PASSED"]


@pytest.mark.parametrize("name", ["star import", "unittest", "no parameters"])
def test_workers_know_it_too(project: Project, run: Run, name: str) -> None:
    """With two xdist workers the controller hears of the gate that none of them ran."""
    write_odd(project, UNMARKED[name])
    not_shipped(run("-n", "2", *REPORTS), "test_odd")


PAIR = """
from pytest_distill import assert_flips, assert_quality_retained

def test_kept():
    assert_quality_retained(0.9)

def test_odd():
    assert_flips(0.2)
"""


@pytest.mark.parametrize(
    "options",
    [
        ("-k", "kept"),
        ("--deselect", "test_ship.py::test_odd"),
        ("-n", "2", "-k", "kept"),
        ("-m", "not slow"),
    ],
    ids=" ".join,
)
def test_an_unmarked_gate_that_is_deselected_did_not_run(
    project: Project, run: Run, options: tuple[str, ...]
) -> None:
    """By `-k`, `-m` and `--deselect`, in workers too."""
    project.file("pytest.ini", "[pytest]\nmarkers = slow\n")
    slow = PAIR.replace("def test_odd", "@pytest.mark.slow\ndef test_odd")
    project.file("test_ship.py", f"import pytest\n{slow}")
    not_shipped(run(*REPORTS, *options), "test_odd")


DROPS = {
    "collection": """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(items):
            items[:] = [item for item in items if "odd" not in item.name]
        """,
    "wrapper": """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(items):
            items[:] = [item for item in items if "odd" not in item.name]
            return (yield)
        """,
    "collect report": """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_make_collect_report(collector):
            report = yield
            report.result = [node for node in report.result if "odd" not in node.name]
            return report
        """,
}


@pytest.mark.parametrize("hook", DROPS)
def test_a_gate_that_a_hook_takes_away_first_did_not_run(
    project: Project, run: Run, hook: str
) -> None:
    """A conftest that drops tests before any other hook sees them drops none from the report."""
    project.file("conftest.py", DROPS[hook])
    project.file("test_ship.py", PAIR)
    not_shipped(run(*REPORTS), "test_odd")


ADDS = {
    "itemcollected": """
        import pytest

        def pytest_itemcollected(item):
            if item.name == "test_odd":
                item.add_marker(pytest.mark.distill)
        """,
    "modifyitems": """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "test_odd":
                    item.add_marker(pytest.mark.distill)
        """,
    "collection finish": """
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(session):
            for item in session.items:
                if item.name == "test_odd":
                    item.add_marker(pytest.mark.distill)
        """,
    "setup": """
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_setup(item):
            if item.name == "test_odd":
                item.add_marker(pytest.mark.distill)
        """,
    "fixture": """
        import pytest

        @pytest.fixture(autouse=True)
        def marks(request):
            if request.node.name == "test_odd":
                request.node.add_marker("distill")
        """,
}

HELPER = """
from pytest_distill import assert_flips, assert_quality_retained

def few():
    assert_flips(0.2)

def test_kept():
    assert_quality_retained(0.9)

def test_odd():
    few()
"""


@pytest.mark.parametrize("when", ADDS)
def test_a_marker_that_a_conftest_adds_counts(project: Project, run_both: Run, when: str) -> None:
    """Whenever it is added before the gate is asked: the run ships with both gates."""
    project.file("conftest.py", ADDS[when])
    project.file("test_ship.py", HELPER)
    result = run_both(*REPORTS)
    assert decision_of(result) == ("SHIP", ""), said(result)
    assert outcomes_of(project) == {"kept": "PASSED", "odd": "PASSED"}


@pytest.mark.parametrize("when", ADDS)
def test_a_skipped_test_with_a_marker_of_a_conftest_did_not_run(
    project: Project, run: Run, when: str
) -> None:
    """The marker makes it a gate test, also where it comes after the collection."""
    if when in ("setup", "fixture"):
        text = HELPER.replace("    few()", "    __import__('pytest').skip('later')")
    else:
        text = HELPER.replace("def test_odd", "@__import__('pytest').mark.skip\ndef test_odd")
    project.file("conftest.py", ADDS[when])
    project.file("test_ship.py", text)
    not_shipped(run(*REPORTS), "test_odd")


def test_a_late_marker_with_a_wrong_argument_is_an_error(project: Project, run: Run) -> None:
    """A marker that was not there when the file was collected is looked at when a gate is asked."""
    project.file("conftest.py", ADDS["modifyitems"].replace("mark.distill", "mark.distill(evel=1)"))
    project.file("test_ship.py", HELPER)
    result = run(*REPORTS)
    result.stdout.fnmatch_lines(["*unknown argument 'evel'; did you mean 'eval'?*"])
    not_shipped(result, "test_odd")


THROUGH = {
    "function": HELPER,
    "method": """
from pytest_distill import assert_flips, assert_quality_retained

def test_kept():
    assert_quality_retained(0.9)

class TestIt:
    def few(self):
        assert_flips(0.2)

    def test_odd(self):
        self.few()
""",
    "another module": """
import helpers
from pytest_distill import assert_quality_retained

def test_kept():
    assert_quality_retained(0.9)

def test_odd():
    helpers.few()
""",
    "text": """
from pytest_distill import assert_flips, assert_quality_retained

def test_kept():
    assert_quality_retained(0.9)

def test_odd():
    eval("assert_flips(0.2)")
""",
    "meets": """
from pytest_distill import assert_meets, assert_quality_retained

def edge():
    assert_meets("edge")

def test_kept():
    assert_quality_retained(0.9)

def test_odd():
    edge()
""",
}


@pytest.mark.parametrize("how", THROUGH)
def test_a_gate_through_a_helper_of_an_unknown_test_is_refused(
    project: Project, run: Run, how: str
) -> None:
    """Nothing tells of it before it runs, so that the test has to be marked."""
    project.config["criteria"] = {"edge": {"flips": {"max_lost": 0.2}}}
    project.save()
    project.file(
        "helpers.py", "import pytest_distill\ndef few(): pytest_distill.assert_flips(0.2)\n"
    )
    project.file("test_ship.py", THROUGH[how])
    result = run(*REPORTS)
    not_shipped(result, "test_odd")
    assert "mark it with @pytest.mark.distill" in said(result)
    assert "its absence would go unnoticed" in said(result)
    assert outcomes_of(project) == {"kept": "PASSED", "odd": "NOT RUN"}


def test_it_is_refused_in_a_plain_run_too(project: Project, run: Run) -> None:
    """What a run with a report refuses is no pass without one."""
    project.file("test_ship.py", HELPER)
    run().assert_outcomes(passed=1, failed=1)


def test_a_marked_test_may_ask_through_a_helper(project: Project, run: Run) -> None:
    """The marker is what the refusal asks for."""
    project.file("test_ship.py", f"import pytest\npytestmark = pytest.mark.distill\n{HELPER}")
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")


PLAIN = """
from pytest_distill import assert_quality_retained

class Shop:
    def recommend(self, user):
        return ["tea"]

def assert_score(value):
    assert value

def test_kept():
    assert_quality_retained(0.9)

def test_plain(request):
    import textwrap
    import not_there_yet

    assert textwrap and not_there_yet
    shop = Shop()
    assert shop.recommend("me") == ["tea"]
    assert_score(4)
    request.getfixturevalue("tmp_path")
"""


def test_functions_of_the_same_names_are_no_gates(project: Project, run: Run) -> None:
    """A plain test whose own functions are called like gates stays a plain test."""
    project.file("test_ship.py", PLAIN)
    project.file("not_there_yet.py", "")
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")
    assert outcomes_of(project) == {"kept": "PASSED"}


def test_items_that_are_no_functions_are_no_gates(project: Project, run: Run) -> None:
    """Doctests and items of other plugins have no code to look into: they are plain tests."""
    project.file(
        "conftest.py",
        """
        import pytest

        def pytest_collect_file(file_path, parent):
            if file_path.suffix == ".txt2":
                return File.from_parent(parent, path=file_path)

        class File(pytest.File):
            def collect(self):
                yield Item.from_parent(self, name="one")

        class Item(pytest.Item):
            def runtest(self):
                pass
        """,
    )
    project.file("some.txt2", "")
    project.file("test_doc.py", '"""\n>>> 1 + 1\n2\n"""\n')
    write_gates(project, kept=KEPT)
    result = run(*REPORTS, "--doctest-modules")
    result.assert_outcomes(passed=3)
    assert decision_of(result) == ("SHIP", "")


def test_objects_that_answer_to_everything_are_left_alone(project: Project, run: Run) -> None:
    """To look for gates asks no object of the user's for an attribute."""
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained

        class Touchy:
            def __getattribute__(self, name):
                if name in ("func", "__func__", "__wrapped__", "values", "assert_flips"):
                    raise RuntimeError(name)
                return object.__getattribute__(self, name)

        TOUCHY = Touchy()

        @pytest.mark.parametrize("value", [TOUCHY], ids=["touchy"])
        def test_plain(value):
            assert TOUCHY is value

        def test_kept():
            assert_quality_retained(0.9)
        """,
    )
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")
    result.assert_outcomes(passed=2)


def test_the_names_mean_nothing_without_a_distill_yaml(pytester: pytest.Pytester) -> None:
    """A test that asks a gate where no `distill.yaml` holds gets the error that says so."""
    pytester.makepyfile("from pytest_distill import assert_flips\ndef test_it(): assert_flips(0.2)")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no distill.yaml at or above*"])
