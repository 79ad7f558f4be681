"""What keeps a verdict from firm, or from being given: a teacher at chance, copies, leaks."""

from __future__ import annotations

import pytest

from .project import (
    N,
    Project,
    Run,
    answers,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    refuse_package_frames,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEEPS = "assert_quality_retained(0.9)"


@pytest.mark.parametrize(
    "statement",
    [KEEPS, "assert_beats_sft(confidence=None)", "assert_flips(0.9)", "assert_score(0.5)"],
)
def test_a_teacher_against_the_gold_labels_is_an_error(
    project: Project, run_both: Run, statement: str
) -> None:
    """Inverted labels made a student that ignores them retain 2.4 of the teacher, and ship."""
    project.rows("teacher.jsonl", answers(range(4)))
    write_gates(project, it=statement)
    result = run_both(*REPORTS)
    assert any("worse than chance: are the labels inverted?" in x for x in failing_lines(result))
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_a_teacher_at_chance_leaves_no_verdict_firm(project: Project, run_both: Run) -> None:
    """Every gate of the eval that looks at answers says so; a size is none of its business."""
    project.rows("teacher.jsonl", answers(range(0, N, 2)))
    project.rows("student.jsonl", answers(range(N)))
    write_gates(
        project,
        keeps=KEEPS,
        suite="assert_suite_retained(0.9)",
        score="assert_score(0.9)",
        small="assert_smaller(0.5)",
    )
    result = run_both(*REPORTS)
    assert decision_of(result)[0] == "SHIP"
    gates = gates_of(project)
    for name in ("keeps", "suite", "score"):
        (note,) = [n for n in gates[name]["notes"] if n.startswith("suspicious")]
        assert "the teacher is not shown to be above chance" in note
        assert gates[name]["firm"] is not True
        assert "firm" not in gates[name]["basis"].split("; ")
    assert gates["small"]["notes"] == ["parameters declared, not measured: teacher, student"]


def test_a_criterion_and_a_recommendation_are_judged_the_same_way(
    project: Project, run: Run
) -> None:
    """A criterion's parts carry the doubt, each its own."""
    project.rows("student.jsonl", answers(range(18)))
    project.config["criteria"] = {"edge": {"quality_retained": {"min": 0.9}}}
    project.save()
    write_gates(project, it="assert_meets('edge')", best="assert recommend('edge') == 'student'")
    run(*REPORTS)
    gates = gates_of(project)
    assert gates["it"]["firm"] is False
    assert any("gave identical answers" in note for note in gates["it"]["notes"])


def test_the_same_question_under_many_ids_is_one_cluster(project: Project, run: Run) -> None:
    """Twenty questions tell as much as they do, asked once or forty times."""
    for name in ("gold", "teacher", "student"):
        rows = gold() if name == "gold" else answers(range(1 if name == "student" else 0, N))
        copies = [{**row, "id": f"{row['id']}-{i}"} for i in range(40) for row in rows]
        project.rows(f"{name}.jsonl", copies)
    write_gates(
        project,
        sure="assert_quality_retained(0.9, confidence=0.95)",
        slices="assert_slices_retained(0.99, by='lang', strict=True)",
        alike="assert_agreement(0.9, confidence=0.95)",
        seen="assert_quality_retained(0.9)",
    )
    run(*REPORTS)
    gates = gates_of(project)
    assert outcomes_of(project) == {
        "sure": "INCONCLUSIVE",
        "slices": "INCONCLUSIVE",
        "alike": "INCONCLUSIVE",
        "seen": "PASSED",
    }
    assert gates["sure"]["clusters"] == N
    for row in gates.values():
        (note,) = [n for n in row["notes"] if "under several ids" in n]
        assert note.startswith("800 of 800 gold examples ask only 20 things, under several ids")


def test_a_prompt_that_reads_the_target_is_noted(project: Project, run: Run) -> None:
    """The number stands, and so does what it is worth."""
    project.use_own_engine()
    project.evals["reviews"]["prompt"] = "{{ text }} ({{ label }})"
    project.save()
    write_gates(project, it="assert_quality_retained(0.9)")
    run(*REPORTS)
    assert (
        "the prompt reads the target field 'label': it tells the answer"
        in (gates_of(project)["it"]["notes"])
    )


def test_a_doubt_that_comes_late_holds_for_what_was_asked_before(
    project: Project, run_both: Run
) -> None:
    """A gate on the student alone is asked before its teacher is evaluated; both carry the note."""
    project.use_own_engine()
    project.models["teacher"]["right"] = list(range(0, N, 2))
    project.models["student"]["right"] = list(range(N))
    project.save()
    write_gates(project, a_score="assert_score(0.9)", b_keeps=KEEPS)
    run_both(*REPORTS, "--dist", "loadfile")
    found = gates_of(project)
    assert set(found) == {"a_score", "b_keeps"}
    for gate in found.values():
        assert any("the teacher is not shown to be above chance" in note for note in gate["notes"])
        assert not gate["firm"]
