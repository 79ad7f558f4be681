"""Confident gates on a student without an error, where lower is better."""

from __future__ import annotations

import re

from .project import Project, Run, blocks_of, gates_of, said, write_gates
from .test_flawless import REPORTS, heard

N = 400
SOME = tuple(0.05 * (i % 2) for i in range(N))
NONE = (0.0,) * N


def test_a_flawless_student_is_shown_to_retain_the_floor(project: Project, run: Run) -> None:
    """400 examples, on half of which the teacher errs, are evidence enough; the gate passes."""
    heard(project, teacher=SOME, student=NONE)
    write_gates(
        project,
        kept="assert_quality_retained(0.95, confidence=0.95)",
        sliced="assert_slices_retained(0.95, by='lang')",
    )
    result = run(*REPORTS)
    rows = gates_of(project)
    for row in rows.values():
        assert (row["outcome"], row["observed"], row["infinite"]) == ("PASSED", None, True)
    assert re.match(
        r"assert (infinite|\d+\.\d{4}) >= 0.95 quality retained \(wer, lower 95 % bound; "
        r"observed infinite\)",
        rows["kept"]["message"],
    )
    assert rows["kept"]["firm"] is True
    assert "firm" in blocks_of(result)[0]


def test_few_examples_do_not_show_it(project: Project, run: Run) -> None:
    """Six without an error may have missed the one that is all wrong: never a pass on nothing."""
    heard(project, teacher=SOME[:6], student=NONE[:6])
    write_gates(project, kept="assert_quality_retained(0.95, confidence=0.95)")
    result = run(*REPORTS)
    row = gates_of(project)["kept"]
    assert (row["outcome"], row["observed"], row["infinite"]) == ("INCONCLUSIVE", None, True)
    assert "observed infinite" in said(result)
