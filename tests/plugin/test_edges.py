"""Gates at the edges: what a verdict says of itself never contradicts its outcome."""

from __future__ import annotations

import re

import pytest

from .project import HEAD, Project, Run, answers, gates_of, gold, outcomes_of, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")


def headline(project: Project, test: str) -> str:
    """Return the first line of a gate's message."""
    line: str = gates_of(project)[test]["message"].splitlines()[0]
    return line


def test_a_bound_of_nine_clusters_does_not_look_like_a_pass(project: Project, run: Run) -> None:
    """Under 10 clusters the bound in the message is below any floor, as the outcome says."""
    rows = [{**row, "passage": i // 20} for i, row in enumerate(gold(180))]
    project.rows("gold.jsonl", rows)
    for name, wrong in (("teacher", 0), ("student", 1), ("sft", 60)):
        project.rows(f"{name}.jsonl", answers(range(wrong, 180), 180))
    project.evals["reviews"]["cluster"] = "passage"
    project.save()
    write_gates(
        project,
        kept="assert_quality_retained(min=0.1, confidence=0.95)",
        score="assert_score(min=0.1, confidence=0.95)",
        flips="assert_flips(0.9, confidence=0.95)",
    )
    run(*REPORTS)
    assert set(outcomes_of(project).values()) == {"INCONCLUSIVE"}
    assert headline(project, "kept").startswith("assert 0.0000 >= 0.1 ")
    assert headline(project, "score").startswith("assert 0.0000 >= 0.1 ")
    assert headline(project, "flips").startswith("assert 1.0000 <= 0.9 ")


def test_confidences_near_one(project: Project, run: Run) -> None:
    """0.99999 can be met: bounds, outcome and words agree, and p is shown to as many digits."""
    project.sizes(teacher=380, student=390, sft=350, n=400)
    write_gates(
        project,
        kept="assert_quality_retained(min=0.9, confidence=0.99999)",
        fails="assert_quality_retained(min=2, confidence=0.99999)",
        beats="assert_beats_sft(confidence=0.99999)",
        unclear="assert_beats_sft(min_gain=0.05, confidence=0.99999)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {
        "kept": "PASSED",
        "fails": "FAILED",
        "beats": "PASSED",
        "unclear": "INCONCLUSIVE",
    }
    gates = gates_of(project)
    assert gates["kept"]["interval"]["one_sided_lower"] >= 0.9
    assert gates["fails"]["interval"]["one_sided_upper"] < 2
    assert all(gates[name]["firm"] for name in ("kept", "fails", "beats"))
    found = re.match(r"assert p (\S+) <= 1e-05 ", headline(project, "unclear"))
    assert found is not None
    assert 1e-5 < gates["unclear"]["p_value"] <= float(found[1]) < 1e-4


def test_drawn_flips_never_show_more_than_there_are_draws(project: Project, run: Run) -> None:
    """A gain by graded scores at 0.99999 names no number of examples: p is never so small."""
    scores = {"name": "q", "higher_is_better": True, "range": [0.0, 1.0]}
    project.evals["reviews"] = {"task": "generation", "data": "gold.jsonl", "metrics": [scores]}
    project.save()
    ids = [f"e{i}" for i in range(400)]
    project.rows("gold.jsonl", [{"id": i, "input": i, "target": i} for i in ids])
    for name, score in (("teacher", 0.9), ("student", 0.8), ("sft", 0.3)):
        rows = [{"id": i, "scores": {"q": score + 0.01 * (n % 3)}} for n, i in enumerate(ids)]
        project.rows(f"{name}.jsonl", rows)
    write_gates(project, it="assert_beats_sft(confidence=0.99999)", at="assert_beats_sft()")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "INCONCLUSIVE", "at": "PASSED"}
    gate = gates_of(project)["it"]
    assert gate["needed"] is None
    assert "no number of examples would settle it" in gate["basis"]


def test_slices_that_are_not_told_are_counted(project: Project, run: Run) -> None:
    """Where the ratios meet the floor, the message says how many slices are shown to hold."""
    project.sizes(teacher=20, student=20, sft=15, n=20)
    write_gates(
        project,
        all="assert_slices_retained(0.9, by='lang', strict=True)",
        one="assert_slices_retained(0.9, by='lang')",
    )
    run(*REPORTS)
    assert set(outcomes_of(project).values()) == {"INCONCLUSIVE"}
    assert headline(project, "all").startswith("assert 0 >= 2 slices told to keep 0.9 by lang")
    assert headline(project, "one").startswith("assert 0 >= 1 slices told to keep 0.9 by lang")


def test_inherited_errors_need_examples_and_not_errors(project: Project, run: Run) -> None:
    """The number that would settle it is one of gold examples, of which few are errors."""
    n = 100
    project.rows("gold.jsonl", gold(n))
    for name, wrong in (("teacher", range(2)), ("student", range(2, 4)), ("sft", range(9))):
        project.rows(f"{name}.jsonl", answers(set(range(n)) - set(wrong), n))
    write_gates(project, it="assert_inherited_errors(max=0.5, confidence=0.95)")
    run(*REPORTS)
    gate = gates_of(project)["it"]
    # Five errors without a repeated one: 0.5^5 <= 0.05, and two of a hundred are errors.
    assert (gate["outcome"], gate["needed"]) == ("INCONCLUSIVE", 250)


def test_no_loss_is_no_negative_zero(project: Project, run: Run) -> None:
    """A share of 0 is 0.0 in the JSON report."""
    project.sizes(teacher=20, student=20, sft=15, n=20)
    write_gates(project, it="assert_flips(0.05)")
    run(*REPORTS)
    assert str(gates_of(project)["it"]["observed"]) == "0.0"


EXTREMES = """
class Share(Metric):
    name = "share"
    higher_is_better = True
    range = (0.0, 1.0)

    def statistics(self, answers):
        return np.array([[float(a.predicted == a.targets[0]), 1.0] for a in answers])

    def aggregate(self, statistics):
        return statistics[..., 0] / statistics[..., 1]

    def scores(self, answers):
        return self.aggregate(self.statistics(answers))

    def extremes(self, rows, longest):
        return np.array([[{worst}, 1.0]]), np.array([[{best}, 1.0]])
"""


@pytest.mark.parametrize(
    ("worst", "best", "said"),
    [("np.nan", "1.0", "no finite numbers"), ("1.0", "0.0", "the worst come first")],
)
def test_extremes_that_cannot_be(
    project: Project, run: Run, worst: str, best: str, said: str
) -> None:
    """What is not finite, or a worst answer that is better than the best, is an error."""
    write_gates(
        project,
        head=HEAD + EXTREMES.format(worst=worst, best=best),
        it="assert_quality_retained(min=0.5, metric=Share(), confidence=0.95)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "NOT RUN"}
    assert any(said in note for note in gates_of(project)["it"]["notes"])


@pytest.mark.parametrize("gate", ["assert_faster(2)", "assert_latency(p50='1 min')"])
def test_speed_of_one_example_does_not_look_like_a_pass(
    project: Project, run: Run, gate: str
) -> None:
    """Where no bound exists the message shows none, and not the observed number."""
    project.use_own_engine()
    project.rows("gold.jsonl", gold(1))
    write_gates(project, it=gate)
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "INCONCLUSIVE"}
    shown = "assert 0.0000 >= 2 " if "faster" in gate else "assert infinite <= "
    assert headline(project, "it").startswith(shown)
    assert "95 % bound; observed " in headline(project, "it")


def test_no_note_denies_what_passed(project: Project, run: Run) -> None:
    """A student without an error passes under so many examples as one like its teacher needs."""
    metric = {"name": "q", "higher_is_better": False, "range": [0.0, 1.0]}
    project.evals["reviews"] = {"task": "generation", "data": "gold.jsonl", "metrics": [metric]}
    project.save()
    ids = [f"e{i}" for i in range(300)]
    project.rows("gold.jsonl", [{"id": i, "input": i, "target": i} for i in ids])
    for name, score in (("teacher", 0.5), ("student", 0.0), ("sft", 0.5)):
        rows = [{"id": i, "scores": {"q": score * (n < 30)}} for n, i in enumerate(ids)]
        project.rows(f"{name}.jsonl", rows)
    write_gates(project, it="assert_quality_retained(min=0.9, confidence=0.95)")
    run(*REPORTS)
    gate = gates_of(project)["it"]
    assert gate["outcome"] == "PASSED"
    (note,) = (note for note in gate["notes"] if "300" in note)
    assert note.startswith("a student as good as the teacher begins to pass at about ")
