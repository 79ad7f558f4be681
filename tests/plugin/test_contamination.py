from __future__ import annotations

import json

import pytest

from .project import (
    Project,
    Run,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    refuse_package_frames,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
LONG = "the quick brown fox jumps over the lazy dog and runs far away from here"


def train(project: Project, *texts: str) -> None:
    """Write the training data."""
    project.rows("data/train.jsonl", ({"text": text} for text in texts))


def check(arguments: str = "") -> str:
    """Return the statement that looks for the gold set in the training data."""
    return f"assert_not_contaminated('data/train.jsonl', field='text'{arguments})"


def test_clean_data_passes(project: Project, run: Run) -> None:
    """No gold text is in the training data, so the share is 0 and the run ships."""
    train(project, "something else", "text 3 and more")
    write_gates(project, it=check())
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}
    assert gates_of(project)["it"]["observed"] == 0
    assert decision_of(result) == ("SHIP", "")


def test_a_whole_text_is_found(project: Project, run_both: Run) -> None:
    """Case and punctuation do not hide it; ids, share and the clean remainder are reported.

    Without e3 and e4, which both models had right, 15/16 = 0.9375 of 17/18 is kept.
    """
    train(project, "other", "Text, 3!", "TEXT 4")
    write_gates(project, it=check())
    result = run_both(*REPORTS)
    row = gates_of(project)["it"]
    assert (row["outcome"], row["observed"], row["n"]) == ("FAILED", 0.1, 20)
    assert row["details"] == {"exact": ["e3", "e4"], "runs": []}
    message = failing_lines(result)
    assert message[0] == "assert 0.1000 <= 0 of the gold set in train.jsonl"
    assert "2 whole texts: e3, e4" in message
    assert "retained 0.9375 on the 18 clean examples, 0.9444 on all" in message
    assert "retained 0.9375 on the 18 clean examples" in blocks_of(result)[0]


def test_the_file_holds_the_overlapping_examples(project: Project, run: Run) -> None:
    """To read them, or to drop them from the gold set."""
    train(project, "text 3")
    write_gates(project, it=check())
    (line,) = [line for line in failing_lines(run()) if "examples: .distill/lost/" in line]
    rows = (project.path / line.partition(": ")[2]).read_text().splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["e3"]


@pytest.mark.parametrize(
    ("shared", "found"), [(13, True), (12, False)], ids=["13 words", "12 words"]
)
def test_a_long_run_of_words_is_found(project: Project, run: Run, shared: int, found: bool) -> None:
    """13 words in a row count by default (Brown et al. 2020), 12 do not."""
    rows = [{**row, "text": LONG} if row["id"] == "e5" else row for row in gold()]
    project.rows("gold.jsonl", rows)
    train(project, "before " + " ".join(LONG.split()[:shared]) + " after")
    write_gates(project, it=check(), short=check(", n=12"), whole=check(", n=None"))
    run(*REPORTS)
    assert outcomes_of(project) == {
        "it": "FAILED" if found else "PASSED",
        "short": "FAILED",
        "whole": "PASSED",
    }
    assert gates_of(project)["short"]["details"] == {"exact": [], "runs": ["e5"]}


def test_some_overlap_may_be_allowed(project: Project, run: Run) -> None:
    """`max_overlap` is a share of the gold set: 2 of 20 are within 0.1, not within 0.09."""
    train(project, "text 3", "text 4")
    write_gates(project, at=check(", max_overlap=0.1"), beyond=check(", max_overlap=0.09"))
    run(*REPORTS)
    assert outcomes_of(project) == {"at": "PASSED", "beyond": "FAILED"}


def test_all_of_it_leaves_nothing_clean(project: Project, run: Run) -> None:
    """Where every example leaked there is no remainder to judge, and that is said."""
    train(project, *(row["text"] for row in gold()))
    write_gates(project, it=check())
    assert "no clean example remains" in failing_lines(run())


def test_the_path_starts_at_the_distill_yaml(project: Project, run: Run) -> None:
    """As every path of a project, wherever pytest was started."""
    train(project, "text 3")
    write_gates(project, it=check())
    result = run("--rootdir", str(project.path), str(project.path / "test_ship.py"))
    assert "2 whole texts" not in said(result)
    assert "1 whole texts: e3" in said(result)


def test_the_gold_set_may_name_the_field_otherwise(project: Project, run: Run) -> None:
    """Where the gold set lacks the field, what the task asks about is compared."""
    project.rows("data/train.jsonl", [{"sentence": "text 3"}])
    write_gates(project, it="assert_not_contaminated('data/train.jsonl', field='sentence')")
    run(*REPORTS)
    assert gates_of(project)["it"]["details"]["exact"] == ["e3"]


def test_csv_is_read_too(project: Project, run: Run) -> None:
    """The kinds of file are those of gold sets."""
    project.file("data/train.csv", "text,label\nother,pos\ntext 3,neg\n")
    write_gates(project, it="assert_not_contaminated('data/train.csv', field='text')")
    run(*REPORTS)
    assert gates_of(project)["it"]["details"]["exact"] == ["e3"]


WORDLESS = [None, "", "  ", "...", "\U0001f642"]


@pytest.mark.parametrize("text", WORDLESS)
def test_a_training_row_without_words_is_left_out(project: Project, run: Run, text: object) -> None:
    """Nothing can be found there, in a few rows of many: a note counts them."""
    rows = [{"text": f"something else {i}"} for i in range(3)]
    project.rows("data/train.jsonl", [*rows, {"text": text}, {"text": "text 3"}])
    write_gates(project, it=check())
    result = run(*REPORTS)
    row = gates_of(project)["it"]
    assert row["details"] == {"exact": ["e3"], "runs": []}
    assert row["notes"][:2] == [
        "5 rows of train.jsonl read",
        "1 of 5 rows have no words in 'text'",
    ]
    assert "1 of 5 rows have no words in 'text'" in failing_lines(result)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        *zip(WORDLESS, ["null", "''", "'  '", "'...'", "'\U0001f642'"], strict=True),
        *((value, str(value)) for value in (3, [1, 2], True, [], {"a": 1})),
    ],
)
def test_a_training_file_without_text_is_an_error(
    project: Project, run: Run, text: object, shown: str
) -> None:
    """Numbers alone are no text, as token ids are: the field is the wrong one."""
    project.rows("data/train.jsonl", [{"text": text}] * 3)
    write_gates(project, it=check())
    result = run(*REPORTS)
    line = (
        "train.jsonl: field 'text' has no text in any of its 3 rows (data/train.jsonl:1: "
        f"{shown}), so"
    )
    assert any(line in found for found in failing_lines(result)), failing_lines(result)
    assert decision_of(result)[0] == "INCOMPLETE"


@pytest.mark.parametrize(("wordless", "outcome"), [(3, "PASSED"), (4, "NOT RUN")])
def test_most_training_rows_have_words(
    project: Project, run: Run, wordless: int, outcome: str
) -> None:
    """Without words in more than half of them the field is the wrong one."""
    rows = [{"text": "something else"}] * 3 + [{"text": None}] * wordless
    project.rows("data/train.jsonl", rows)
    write_gates(project, it=check())
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": outcome}
    told = "field 'text' has no words in 4 of 7 rows (data/train.jsonl:4: null), so"
    assert any(told in line for line in failing_lines(result)) is (wordless == 4)


def test_a_training_row_without_the_field_is_an_error(project: Project, run: Run) -> None:
    """One such row is enough, and is named."""
    project.rows("data/train.jsonl", [{"text": "other"}, {"txt": "other"}])
    write_gates(project, it=check())
    result = run(*REPORTS)
    line = "train.jsonl:2: no field 'text'; did you mean 'txt'?"
    assert any(line in found for found in failing_lines(result))
    assert decision_of(result)[0] == "INCOMPLETE"


def test_numbers_and_lists_are_compared_as_python_writes_them(project: Project, run: Run) -> None:
    """A number beside texts, and the texts of a list, are words too."""
    rows = gold()
    rows[5]["text"] = "3"
    rows[6]["text"] = LONG
    project.rows("gold.jsonl", rows)
    listed = [{"from": "user", "value": LONG}]
    project.rows("data/train.jsonl", [{"text": "other"}, {"text": 3}, {"text": listed}])
    write_gates(project, it=check())
    run(*REPORTS)
    assert gates_of(project)["it"]["details"] == {"exact": ["e5"], "runs": ["e6"]}


def test_of_messages_what_was_said_is_compared(project: Project, run: Run) -> None:
    """Not the roles, nor the instructions that all conversations begin with."""
    begin = [{"role": "system", "content": LONG}]
    rows = gold()
    for number, row in enumerate(rows):
        turns = [*begin, {"role": "user", "content": f"What is {number}\nand more?"}]
        row["text"] = turns
    rows[6]["text"][1]["content"] = [{"type": "text", "text": f"What of {LONG}?"}]
    project.rows("gold.jsonl", rows)
    project.evals["reviews"]["input"] = "id"
    project.save()
    said = [*begin, {"role": "user", "content": "What is 3 and more?"}]
    answered = [*begin, {"role": "user", "content": LONG}, {"role": "assistant", "content": "x"}]
    project.rows("data/train.jsonl", [{"text": said}, {"text": answered}])
    write_gates(project, it=check())
    run(*REPORTS)
    assert gates_of(project)["it"]["details"] == {"exact": ["e3"], "runs": ["e6"]}


@pytest.mark.parametrize("text", ["?!", ""])
def test_a_gold_example_without_words_is_counted_in_a_note(
    project: Project, run: Run, text: str
) -> None:
    """It would be in no training data, whatever that holds; the others are looked for."""
    rows = [{**row, "text": text} if row["id"] == "e5" else row for row in gold()]
    project.rows("gold.jsonl", rows)
    train(project, "other", "text 3")
    write_gates(project, it=check(", max_overlap=0.1"))
    run(*REPORTS)
    row = gates_of(project)["it"]
    assert (row["outcome"], row["details"]["exact"]) == ("PASSED", ["e3"])
    assert "1 of 20 gold examples have no words" in row["notes"]


def test_a_gold_set_without_words_is_an_error(project: Project, run: Run) -> None:
    """None of it could be found."""
    project.rows("gold.jsonl", [{**row, "text": "?!" + "!" * i} for i, row in enumerate(gold())])
    train(project, "other")
    write_gates(project, it=check())
    result = run(*REPORTS)
    assert any("gold.jsonl: no example has words in 'text'" in x for x in failing_lines(result))
    assert decision_of(result)[0] == "INCOMPLETE"


def test_empty_training_data_proves_nothing(project: Project, run: Run) -> None:
    """A file without a row is a mistake, not a clean bill."""
    project.file("data/train.jsonl", "")
    write_gates(project, it=check())
    result = run("--distill-report")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert decision_of(result)[0] != "SHIP"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("assert_not_contaminated('no.jsonl', field='text')", "no.jsonl: no such file"),
        ("assert_not_contaminated('data/train.jsonl')", "no field 'input'"),
        (check().replace("'text'", "'txt'"), "no field 'txt'; did you mean 'text'?"),
        (check(", n=0"), "n=0"),
        (check(", n=-3"), "n=-3"),
        (check(", n='x'"), "n='x'"),
        (check(", max_overlap='x'"), "max_overlap='x'"),
        (check(", max_overlap=float('nan')"), "max_overlap=nan"),
        (check(", max_overlap=-1"), "max_overlap=-1"),
        (check(", max_overlap=2"), "max_overlap=2"),
        ("assert_not_contaminated(3, field='text')", "train=3"),
    ],
)
def test_a_wrong_argument_is_an_error(
    project: Project, run: Run, statement: str, message: str
) -> None:
    """It is named, nothing passes, and no frame of the package is shown."""
    train(project, "other")
    write_gates(project, it=statement)
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert message in failing_lines(result)[-1]
    assert failing_lines(result)[-1].startswith("pytest_distill.")
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)
