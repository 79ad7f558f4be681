"""The report on the terminal: how much it tells, how wide it is, and in which colours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from wcwidth import wcswidth

from .project import (
    FAILS,
    SHIPS,
    Project,
    Run,
    blocks_of,
    decision_of,
    recorded,
    report_of,
    review_eval,
    said,
    write_gates,
)

COLOURED = re.compile(r"\x1b\[(?P<colour>\d+)m(?P<word>[A-Za-z ]+)\x1b\[0m")
GREEN, RED, YELLOW = "32", "31", "33"


def test_quiet_shows_what_did_not_pass(project: Project, run_both: Run) -> None:
    """`-q`: the gates that did not pass, why, and the last line; no table."""
    project.file("test_ship.py", SHIPS)
    project.file("test_strict.py", FAILS)
    write_gates(project, file="test_later.py", later="pytest.skip('no disk')")
    lines = [line for line in report_of(run_both("--distill-report", "-q")) if line]
    assert lines[:-1] == [
        "test_later.py:",
        "test_later",
        "  NOT RUN  skipped, no disk",
        "test_strict.py:",
        "test_keeps",
        "  FAILED   0.9444 >= 0.95  quality_retained  0.6876..1.2760, 3 lost, within",
        "                                             noise",
    ]
    assert lines[-1].startswith("DO NOT SHIP: 1 gate of 4 did not pass: test_keeps; 1 gate did not")


def test_more_shows_how_a_verdict_was_reached(project: Project, run_both: Run) -> None:
    """`-v`: the basis in words, and the slices of a gate on slices, the worst first."""
    write_gates(project, all="assert_slices_retained(0.5, by='lang', confidence=None)")
    plain, more = run_both("--distill-report"), run_both("--distill-report", "-v")
    assert "worst slice lang=de; slices:" not in " ".join(blocks_of(plain))
    assert "worst slice lang=de; slices:" in blocks_of(more)[0]
    table = [line.split() for line in report_of(more) if line.split()[:1][:1] and "lang=" in line]
    assert [row[0] for row in table if row[0].startswith("lang=")] == ["lang=de", "lang=en"]


def test_still_more_shows_lost_examples(project: Project, run_both: Run) -> None:
    """`-vv`: five of those that the student lost, below the gate that did not pass."""
    project.sizes(100, 60, 50, 100)
    write_gates(project, bad="assert_quality_retained(0.99)", good="assert_quality_retained(0.1)")
    less, more = run_both("--distill-report", "-v"), run_both("--distill-report", "-vv")
    assert "e60" not in "\n".join(report_of(less))
    bad, good = blocks_of(more)
    assert [f'"id": "e{n}"' in bad for n in (60, 64, 65)] == [True, True, False]
    assert "and 35 more lost examples" in bad
    assert "lost examples" not in good


@pytest.mark.parametrize("columns", ["", "20", "60", "90", "200", "999"])
def test_uses_the_width_of_the_terminal(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    """From 60 columns to 200, 80 where none are told, and no line is longer."""
    project.models["student"] = recorded("student", parameters=100, trained={"notes": "w " * 300})
    project.evals["reviews"] = review_eval(metrics=["accuracy", "macro_f1", "matthews"])
    project.save()
    name = "keeps_" + "a_long_way_" * 30
    write_gates(project, **{name: "assert_quality_retained(0.9, slice='lang=de')"})
    monkeypatch.setenv("COLUMNS", columns)
    lines = report_of(run("--distill-report", "-v"))
    width = {"": 80, "20": 60, "999": 200}.get(columns) or int(columns)
    longest = max(map(wcswidth, lines))
    assert width - 15 < longest <= width
    assert f"test_{name}" in "".join(line.strip() for line in lines)


def test_outcomes_have_pytests_colours(project: Project, run: Run) -> None:
    """Passed green, failed red, not run and waived yellow; without colour the words are equal."""
    waiver = {"gate": "flips", "floor": 0.9, "owner": "me", "reason": "known"}
    project.config["waivers"] = [{**waiver, "expires": "2999-01-01"}]
    text = project.save().read_text(encoding="utf-8").replace("'2999-01-01'", "2999-01-01")
    project.file("distill.yaml", text)
    write_gates(
        project,
        good="assert_quality_retained(0.5)",
        bad="assert_quality_retained(0.99)",
        odd="pytest.skip('later')",
        known="assert_flips(0.01)",
    )
    plain = run("--distill-report", "--color=no")
    bright = run("--distill-report", "--color=yes")
    start = bright.stdout.str().index("distill report")
    found = {(m["word"], m["colour"]) for m in COLOURED.finditer(bright.stdout.str(), start)}
    assert {("PASSED", GREEN), ("FAILED", RED), ("NOT RUN", YELLOW), ("waived", YELLOW)} <= found
    bare = re.sub(r"\x1b\[[0-9;]*m", "", bright.stdout.str()[start:])
    assert "\n".join(report_of(plain)[:-1]) in bare


def test_a_name_that_the_terminal_lacks_is_escaped(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ASCII terminal shows a Chinese name as its code points, and the rest of the line as is."""
    project.models["\u5b66\u751f"] = {**project.models.pop("student"), "role": "student"}
    project.save()
    write_gates(project, kept="assert_quality_retained(0.5)")
    wide = report_of(run("--distill-report"))
    assert any(line.startswith("\u5b66\u751f  ") for line in wide)
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    project.file("run.py", "import pytest, sys; sys.exit(pytest.main(['--distill-report', '-s']))")
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=Path.cwd(), capture_output=True, check=False
    )
    told = done.stdout.decode("ascii")
    assert done.returncode == 0, told
    assert r"\u5b66\u751f" in told
    assert "  PASSED  0.9444 >= 0.5  quality_retained  " in told


def test_gates_of_several_files_stand_under_their_names(project: Project, run_both: Run) -> None:
    """A file's name stands once, above its tests; a class's is part of the test's."""
    write_gates(project, file="a/test_one.py", kept="assert_quality_retained(0.5)")
    project.file(
        "b/test_two.py",
        """
        import pytest
        from pytest_distill import assert_flips

        @pytest.mark.distill
        class TestAll:
            @pytest.mark.parametrize("most", [0.5, 0.6])
            def test_few(self, most):
                assert_flips(most)
        """,
    )
    result = run_both("--distill-report")
    lines = [line for line in report_of(result) if line.startswith(("a/", "b/", "test_", "Test"))]
    assert lines == [
        "a/test_one.py:",
        "test_kept",
        "b/test_two.py:",
        "TestAll::test_few[0.5]",
        "TestAll::test_few[0.6]",
    ]
    assert decision_of(result) == ("SHIP", "")


def test_a_slice_that_is_not_there_is_told_in_a_few_words(project: Project, run: Run) -> None:
    """Of thousands of values, each of which may be a text, few are named and the rest counted."""
    rows = [
        {"id": f"e{i}", "text": "t", "label": "pos", "lang": f"{i} {'w' * 500}"}
        for i in range(2000)
    ]
    project.rows("gold.jsonl", rows)
    for name in ("teacher", "student", "sft"):
        project.rows(f"{name}.jsonl", ({"id": f"e{i}", "prediction": "pos"} for i in range(2000)))
    write_gates(project, bad="assert_quality_retained(0.5, slice='lang=x')")
    result = run("--distill-report", "--tb=short")
    assert "lang" in said(result)
    assert len(said(result)) < 6_000


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-k", "kept"), "deselected"),
        (("--maxfail=1",), "the run ended before it"),
        (("--lf",), "deselected"),
    ],
    ids=["k", "maxfail", "lf"],
)
def test_a_gate_that_never_began_says_why(
    project: Project, run: Run, options: tuple[str, ...], why: str
) -> None:
    """The terminal's line has the reason, and the JSON report the line of the test as well."""
    write_gates(project, kept="assert_quality_retained(0.99)", late="assert_quality_retained(0.5)")
    run("-k", "kept")
    result = run("--distill-report", "--distill-json", "out.json", *options)
    assert blocks_of(result)[-1] == f"NOT RUN {why}"
    row = project.json()["gates"][-1]
    assert (row["notes"], row["file"]) == (["did not run", why], "test_ship.py")
    text = (project.path / "test_ship.py").read_text(encoding="utf-8").splitlines()
    assert text[row["line"] - 1] == "def test_late():"


def test_one_file_is_no_two_reports(project: Project, run: Run) -> None:
    """A report that would be written over another one is refused before anything runs."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-json", "same", "--distill-markdown", "./same")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--distill-markdown ./same: is the file of --distill-json" in said(result)
