from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path

import pytest

import pytest_distill

from .project import FAILS, SHIPS, Project, Run, decision_of, said

HEAVY = (
    "numpy",
    "torch",
    "transformers",
    "yaml",
    "pydantic",
    "tabulate",
    "tqdm",
    "jinja2",
    "pyarrow",
)


def test_a_project_without_gates_pays_nothing(project: Project, run_apart: Run) -> None:
    """With the plugin on and no gates, none of the packages it uses are imported."""
    project.file(
        "test_plain.py",
        f"""
        import json, pathlib, sys

        def test_plain(request):
            assert request.config.pluginmanager.has_plugin("distill")
            found = [name for name in {HEAVY} if name in sys.modules]
            pathlib.Path("found.json").write_text(json.dumps(found))
        """,
    )
    project.file("conftest.py", "import pytest_distill\n")
    others = ("-p", "no:html")  # which imports jinja2 itself
    run_apart("--strict-markers", *others).assert_outcomes(passed=1)
    assert json.loads((project.path / "found.json").read_text()) == []


def test_recorded_gates_never_import_torch(project: Project, run_apart: Run) -> None:
    """Gates over recorded predictions need neither torch nor transformers."""
    project.file(
        "test_ship.py",
        f"{SHIPS}"
        "\n    def test_zz():"
        "\n        import sys"
        "\n        assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)\n",
    )
    run_apart("--distill-report").assert_outcomes(passed=3)


def test_with_the_plugin_off_the_functions_say_so(project: Project, run_apart: Run) -> None:
    """The import works, and a gate without its plugin is an error, not a pass."""
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_beats_sft, assert_quality_retained, assert_score

        def test_keeps():
            assert_quality_retained(min=0.9)

        def test_pays():
            assert_beats_sft(confidence=None)

        def test_floor():
            assert_score(0.1)
        """,
    )
    result = run_apart("-p", "no:distill")
    result.assert_outcomes(failed=3)
    for name in ("quality_retained", "beats_sft", "score"):
        assert f"assert_{name}() judges the running test's models" in said(result)
    assert "the plugin 'distill' on" in said(result)


def test_works_without_xdist(project: Project, run_apart: Run) -> None:
    """Nobody needs xdist: report and JSON work when it is not there."""
    project.file("test_ship.py", SHIPS)
    result = run_apart("-p", "no:xdist", "--distill-report", "--distill-json", "out.json")
    assert decision_of(result) == ("SHIP", "")
    assert project.json()["outcome"] == "SHIP"
    project.file("test_strict.py", FAILS)
    assert run_apart("-p", "no:xdist", "--distill-report").ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    "plugin", ["cacheprovider", "junitxml", "logging", "capture", "rerunfailures", "unittest"]
)
def test_works_without_other_plugins(project: Project, run: Run, plugin: str) -> None:
    """None of pytest's optional plugins is needed."""
    project.file("test_ship.py", SHIPS)
    project.file("test_strict.py", FAILS)
    result = run("-p", f"no:{plugin}", "--distill-report")
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 3 did not pass: test_keeps")


def test_works_in_a_run_that_nobody_captures(project: Project, run: Run) -> None:
    """`-s` changes nothing about the report."""
    project.file("test_ship.py", SHIPS)
    assert decision_of(run("-s", "--distill-report")) == ("SHIP", "")


def test_the_public_names_are_there() -> None:
    """What type checkers read is what `dir`, `import *` and an import give, and nothing else."""
    stub = ast.parse(Path(pytest_distill.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    homes = {a.asname: (f.module, a.name) for f in imports for a in f.names if f.module}
    for node in stub.body:  # assert_x = GateComparison.assert_x
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            homes[node.value.attr] = ("pytest_distill.plugin.assertions", node.value.attr)
    assert {"assert_quality_retained", "ModelHandle", "GoldSet", "DistillError"} <= set(homes)
    given: dict[str, object] = {}
    exec("from pytest_distill import *", given)  # noqa: S102 (a star needs a module's top)
    assert given.keys() - {"__builtins__"} == set(homes)
    assert set(homes) <= set(dir(pytest_distill))
    for name, (home, inside) in homes.items():
        assert given[str(name)] is getattr(importlib.import_module(str(home)), inside)
    assert not hasattr(pytest_distill, "no_such_name")


def test_a_fixture_of_the_same_name_is_left_alone(pytester: pytest.Pytester) -> None:
    """A project without distill.yaml may call a fixture of its own `comparison`."""
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef comparison():\n    return 1\n")
    pytester.makepyfile("def test_it(comparison):\n    assert comparison == 1\n")
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)


def test_workers_without_gates_import_nothing_heavy(pytester: pytest.Pytester) -> None:
    """Handing over an empty share at the end would cost every xdist user numpy and scipy."""
    pytester.makeconftest(
        """
        import sys
        from pathlib import Path
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_unconfigure(config):
            if hasattr(config, "workerinput"):
                heavy = {"numpy", "scipy", "tabulate", "pydantic", "yaml"} & set(sys.modules)
                Path(config.workerinput["workerid"]).write_text(" ".join(sorted(heavy)))
        """
    )
    pytester.makepyfile("def test_it():\n    pass\n")
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=1)
    assert [(pytester.path / name).read_text() for name in ("gw0", "gw1")] == ["", ""]
