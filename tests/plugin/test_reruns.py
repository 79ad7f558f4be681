from __future__ import annotations

import pytest

from .project import Project, Run, decision_of, rows_of

FLAKY = """
    import pathlib
    import pytest
    from pytest_distill import assert_beats_sft, assert_quality_retained

    @pytest.mark.distill(eval="reviews")
    def test_flaky():
        seen = pathlib.Path("seen")
        assert_beats_sft(confidence=None)
        if not seen.exists():
            seen.touch()
            {first}
        assert_quality_retained(min=0.9)
"""


@pytest.mark.parametrize(
    "first",
    ["1 / 0", "assert not 1", "assert_quality_retained(min=0.99)"],
    ids=["error", "assert", "gate"],
)
def test_the_last_attempt_counts(project: Project, run: Run, first: str) -> None:
    """A rerun test's verdicts are those of its last attempt, each once."""
    project.file("test_ship.py", FLAKY.format(first=first))
    result = run("--reruns", "1", "--distill-report", "--distill-json", "out.json")
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    assert decision_of(result) == ("SHIP", "")
    assert [row[4] for row in rows_of(result, "PASSED")] == ["beats_sft", "quality_retained"]
    assert len(project.json()["gates"]) == 2


def test_a_gate_that_always_fails_still_fails(project: Project, run_both: Run) -> None:
    """Reruns do not wear a criterion down."""
    always = FLAKY.format(first="pass").replace("min=0.9)", "min=0.99)")
    project.file("test_ship.py", always)
    result = run_both("--reruns", "2", "--distill-report")
    assert result.parseoutcomes() == {"failed": 1, "rerun": 2}
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_flaky")


def test_an_evaluation_is_not_made_again(project: Project, run: Run) -> None:
    """An attempt asks the evaluations that are there."""
    project.use_own_engine()
    project.file("test_ship.py", FLAKY.format(first="1 / 0"))
    assert run("--reruns", "1").parseoutcomes() == {"passed": 1, "rerun": 1}
    assert sorted(project.loaded()) == ["sft", "student", "teacher"]
