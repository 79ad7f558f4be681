from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from .project import SHIPS, Project, Run


def properties(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Return the verdicts in the property `distill` of every test case in out.xml."""
    tree = ElementTree.parse(project.path / "out.xml")  # noqa: S314
    return {
        str(case.get("name")): [
            verdict
            for found in case.iter("property")
            if found.get("name") == "distill"
            for verdict in json.loads(str(found.get("value")))["run"]["attempts"][-1]["verdicts"]
        ]
        for case in tree.iter("testcase")
    }


def test_a_test_case_carries_its_verdicts(project: Project, run_both: Run) -> None:
    """`--junitxml` has every verdict as the property `distill` of its test, passed or failed."""
    project.file(
        "test_ship.py",
        f"{SHIPS}"
        "\n    def test_strict():"
        "\n        assert_beats_sft(confidence=None)"
        "\n        assert_quality_retained(min=0.95)"
        "\n    def test_own(teacher):"
        "\n        assert teacher"
        "\n",
    )
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run_both("--junitxml", "out.xml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    found = properties(project)
    assert {name: [v["outcome"] for v in verdicts] for name, verdicts in found.items()} == {
        "test_keeps": ["PASSED"],
        "test_pays": ["PASSED"],
        "test_strict": ["PASSED", "FAILED"],
        "test_own": [],
        "test_other": [],
    }
    (keeps,) = found["test_keeps"]
    assert (keeps["gate"], keeps["required"]) == ("quality_retained", 0.9)
    assert keeps["observed"] == pytest.approx(17 / 18, abs=1e-15)


def test_each_test_case_has_one_property(project: Project, run: Run) -> None:
    """However many gates a test asks and however it ends, the property stands there once."""
    project.file(
        "test_ship.py",
        f"{SHIPS}"
        "\n    def test_many():"
        "\n        assert_beats_sft(confidence=None)"
        "\n        assert_beats_sft(confidence=None)"
        "\n        1 / 0\n",
    )
    run("--junitxml", "out.xml")
    tree = ElementTree.parse(project.path / "out.xml")  # noqa: S314
    names = {
        case.get("name"): [found.get("name") for found in case.iter("property")]
        for case in tree.iter("testcase")
    }
    assert "test_many" in names
    assert set(map(tuple, names.values())) == {("distill",)}


def test_the_message_is_the_gate_s(project: Project, run: Run) -> None:
    """A failure's message in the XML starts with the numbers."""
    project.file("test_ship.py", SHIPS.replace("0.9", "0.95"))
    run("--junitxml", "out.xml")
    tree = ElementTree.parse(project.path / "out.xml")  # noqa: S314
    (failure,) = tree.iter("failure")
    assert str(failure.get("message")).startswith(
        "assert 0.9444 >= 0.95 quality retained (accuracy)"
    )


def test_a_swallowed_failure_is_red_there_too(project: Project, run_both: Run) -> None:
    """JUnit agrees with the terminal about a gate that was caught away."""
    project.file(
        "test_ship.py",
        """
        import contextlib
        from pytest_distill import assert_quality_retained

        def test_it(comparison):
            with contextlib.suppress(AssertionError):
                assert_quality_retained(min=0.95)
        """,
    )
    run_both("--junitxml", "out.xml")
    tree = ElementTree.parse(project.path / "out.xml")  # noqa: S314
    assert len(list(tree.iter("failure"))) == 1
