from __future__ import annotations

import pytest

from .project import (
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    refuse_package_frames,
    rows_of,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")


def many(project: Project, n: int = 400, *, lost: int = 60) -> None:
    """Write `n` examples, half of them German; the student loses `lost` German ones alone."""
    project.rows("gold.jsonl", [{**row, "length": i} for i, row in enumerate(gold(n))])
    project.rows("teacher.jsonl", answers(range(n), n))
    project.rows("student.jsonl", answers(range(lost, n), n))
    project.rows("sft.jsonl", answers(range(n // 2, n), n))


def test_one_bad_slice_fails_the_gate(project: Project, run_both: Run) -> None:
    """A good average hides no slice: German keeps 140/200 of a floor of 0.8, and fails."""
    many(project)
    write_gates(
        project,
        whole="assert_quality_retained(0.8)",
        slices="assert_slices_retained(0.8, by='lang')",
    )
    result = run_both(*REPORTS)
    assert outcomes_of(project) == {"whole": "PASSED", "slices": "FAILED"}
    assert decision_of(result) == ("DO NOT SHIP", "1 gate of 2 did not pass: test_slices")
    row = gates_of(project)["slices"]
    assert (row["observed"], row["required"], row["slice"]) == (0.7, 0.8, "by lang")


def test_the_message_is_a_table_of_slices(project: Project, run: Run) -> None:
    """n, both scores, retained, interval and outcome, the failed one first."""
    many(project)
    write_gates(project, it="assert_slices_retained(0.8, by='lang')")
    message = failing_lines(run())
    assert message[0].startswith("assert 0.7000 >= 0.8 quality retained in every slice by lang")
    start = next(i for i, line in enumerate(message) if line.startswith("slice "))
    assert message[start].split() == [
        *("slice", "n", "teacher", "student", "retained"),
        *("95", "%", "interval", "outcome"),
    ]
    de, en = (line.split() for line in message[start + 1 : start + 3])
    assert de[:5] == ["lang=de", "200", "1.0000", "0.7000", "0.7000"]
    assert de[-1] == "FAILED"
    assert en[:5] == ["lang=en", "200", "1.0000", "1.0000", "1.0000"]
    assert en[-1] == "PASSED"


def test_the_json_has_every_slice(project: Project, run: Run) -> None:
    """Under `details`, worst first, with bounds."""
    many(project)
    write_gates(project, it="assert_slices_retained(0.8, by='lang')")
    run(*REPORTS)
    de, en = gates_of(project)["it"]["details"]["slices"]
    assert (de["slice"], de["n"], de["retained"], de["outcome"]) == ("lang=de", 200, 0.7, "FAILED")
    assert de["lower"] < 0.7 < de["upper"] < 0.8
    assert (en["slice"], en["outcome"]) == ("lang=en", "PASSED")


def test_a_slice_fails_on_evidence_alone(project: Project, run: Run) -> None:
    """35 of 40 is no proof against 0.9: INCONCLUSIVE is listed, and fails only when strict."""
    many(project, 80, lost=5)
    write_gates(
        project,
        it="assert_slices_retained(0.9, by='lang')",
        strict="assert_slices_retained(0.9, by='lang', strict=True)",
    )
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED", "strict": "INCONCLUSIVE"}
    assert "1 INCONCLUSIVE" in blocks_of(result)[0]
    told = "the worst is below the floor, on too little evidence to fail"
    assert [told in basis for basis in blocks_of(result)] == [True, False]
    assert "INCONCLUSIVE: the examples do not tell, which is not a pass" in failing_lines(result)


def test_a_good_student_passes_strictly(project: Project, run: Run) -> None:
    """Every slice of 200 identical answers is shown to keep 0.9."""
    many(project, lost=0)
    write_gates(project, it="assert_slices_retained(0.9, by='lang', strict=True)")
    run(*REPORTS).assert_outcomes(passed=1)


@pytest.mark.parametrize("arguments", ["", ", confidence=0.9"])
def test_confident_verdicts_need_min_examples(project: Project, run: Run, arguments: str) -> None:
    """A slice of 29 fails on no evidence, and one of 30 does: 0 of 30 is enough against 0.9."""
    for n, outcome in ((58, "INCONCLUSIVE"), (60, "FAILED")):
        many(project, n, lost=n // 2)
        write_gates(project, it=f"assert_slices_retained(0.9, by='lang'{arguments})")
        run(*REPORTS)
        found = {s["slice"]: s for s in gates_of(project)["it"]["details"]["slices"]}
        assert (found["lang=de"]["n"], found["lang=de"]["outcome"]) == (n // 2, outcome)


def test_observed_verdicts_need_min_examples(project: Project, run: Run) -> None:
    """With `confidence=None` the ratio of a slice decides from `min_examples` on."""
    write_gates(
        project,
        big="assert_slices_retained(0.9, by='lang', confidence=None, min_examples=10)",
        small="assert_slices_retained(0.9, by='lang', confidence=None, min_examples=11, "
        "strict=True)",
    )
    run(*REPORTS)
    assert outcomes_of(project) == {"big": "FAILED", "small": "INCONCLUSIVE"}


def test_slices_that_are_all_too_small_pass_nothing(project: Project, run: Run) -> None:
    """Where no slice has `min_examples` the gate looked at nothing, which is not a pass."""
    write_gates(project, it="assert_slices_retained(0.9, by='lang', confidence=None)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": "INCONCLUSIVE"}
    assert decision_of(result)[0] == "DO NOT SHIP"


@pytest.mark.parametrize(
    ("bins", "names"),
    [
        ("halves", ["length=0..199", "length=200..399"]),
        (
            "quartiles",
            ["length=0..99", "length=100..199", "length=200..299", "length=300..399"],
        ),
    ],
)
def test_numbers_are_binned(project: Project, run: Run, bins: str, names: list[str]) -> None:
    """`by="length:quartiles"` makes four slices of about equal size, each a range."""
    many(project)
    write_gates(project, it=f"assert_slices_retained(0.8, by='length:{bins}')")
    run(*REPORTS)
    row = gates_of(project)["it"]
    assert row["outcome"] == "FAILED"
    found = row["details"]["slices"]
    assert sorted(s["slice"] for s in found) == sorted(names)
    assert {s["n"] for s in found} == {400 // len(names)}
    assert found[0]["slice"] == names[0]


def test_equal_numbers_stay_in_one_bin(project: Project, run: Run) -> None:
    """A value is never parted, so that fewer bins than asked for may come out."""
    many(project)
    rows = [{**row, "length": min(i, 300)} for i, row in enumerate(gold(400))]
    project.rows("gold.jsonl", rows)
    write_gates(project, it="assert_slices_retained(0.1, by='length:quartiles')")
    run(*REPORTS)
    found = gates_of(project)["it"]["details"]["slices"]
    assert sum(s["n"] for s in found) == 400
    assert len({s["slice"] for s in found}) == len(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("by='lnag'", "no field 'lnag' to slice by; did you mean 'lang'?"),
        ("by='length:quartile'", "did you mean 'quartiles'?"),
        ("by='lang:quartiles'", "field 'lang' has 'de', not a number to bin"),
        ("by=3", "by"),
        ("by=''", "by"),
        ("by='lang', min_examples='x'", "min_examples"),
        ("by='lang', min_examples=-1, confidence=None", "min_examples"),
        ("by='lang', metric='acuracy'", "did you mean 'accuracy'?"),
    ],
)
def test_a_wrong_argument_is_an_error(
    project: Project, run: Run, arguments: str, message: str
) -> None:
    """It is named with what would be right, without a frame of the package; nothing passes."""
    many(project)
    write_gates(project, it=f"assert_slices_retained(0.1, {arguments})")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    last = failing_lines(result)[-1]
    assert last.startswith("pytest_distill.")
    assert message in last
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_every_assertion_takes_a_slice(project: Project, run: Run) -> None:
    """`slice=` narrows each to 10 examples, written either way, and the report shows it."""
    write_gates(
        project,
        kept="assert_quality_retained(0.7, slice='lang=de')",
        score="assert_score(0.7, slice={'lang': 'de'})",
        sft="assert_beats_sft(slice='lang=de', confidence=None)",
        flips="assert_flips(0.3, slice='lang=de')",
    )
    result = run(*REPORTS)
    result.assert_outcomes(passed=4)
    rows = gates_of(project)
    assert {row["n"] for row in rows.values()} == {10}
    assert {row["slice"] for row in rows.values()} == {"lang=de"}
    # German: teacher 10, student 7, SFT 5 of 10.
    observed = {name: row["observed"] for name, row in rows.items()}
    assert observed == pytest.approx({"kept": 0.7, "score": 0.7, "sft": 0.2, "flips": 0.3})
    shown = rows_of(result, "PASSED")
    assert all("lang=de," in row for row in shown)


def test_evidence_is_the_slice_s_own(project: Project, run: Run) -> None:
    """Interval, flips, wins and losses count the slice's examples alone."""
    write_gates(
        project,
        retained="assert_quality_retained(0.1, slice='lang=de')",
        sft="assert_beats_sft(slice='lang=de', confidence=None)",
    )
    run(*REPORTS)
    rows = gates_of(project)
    assert (rows["retained"]["lost"], rows["retained"]["won"]) == (3, 0)
    # Teacher perfect in the slice: about the exact binomial one-sided bound of 7/10.
    lower = rows["retained"]["interval"]["one_sided_lower"]
    assert lower == pytest.approx(0.393376, abs=1e-3)
    sft = rows["sft"]
    assert (sft["wins"], sft["losses"], sft["ties"]) == (2, 0, 8)


def test_a_slice_without_a_right_answer_of_the_teacher_has_no_ratio(
    project: Project, run: Run
) -> None:
    """It is listed, does not pass by itself, and is no error."""
    many(project, 40, lost=0)
    project.rows("teacher.jsonl", answers(range(20, 40), 40))
    write_gates(project, it="assert_slices_retained(0.5, by='lang', confidence=None)")
    run(*REPORTS)
    found = {s["slice"]: s for s in gates_of(project)["it"]["details"]["slices"]}
    assert found["lang=de"]["retained"] is None
    assert found["lang=de"]["outcome"] == "INCONCLUSIVE"


def test_many_slices_stay_readable(project: Project, run: Run) -> None:
    """Ten rows and a count of the rest; the JSON has all."""
    rows = [{**row, "lang": f"l{i // 10}"} for i, row in enumerate(gold(400))]
    many(project)
    project.rows("gold.jsonl", rows)
    write_gates(project, it="assert_slices_retained(0.9, by='lang', strict=True)")
    message = failing_lines(run(*REPORTS))
    assert "and 30 more slices" in message
    assert len(gates_of(project)["it"]["details"]["slices"]) == 40
