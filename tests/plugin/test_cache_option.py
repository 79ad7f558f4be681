from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from .project import ENGINE, SHIPS, Project, Run, decision_of, gold, report_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")

IDENTITY = """

    @property
    def identity(self):
        return {
            "digest": self.spec.options.get("digest", self.spec.name),
            "engine": "own",
            "right": self.spec.options.get("right"),
        }
"""


def use_stored_engine(project: Project, **keys: Any) -> None:
    """Let all models run on an engine that says what makes its predictions."""
    project.use_own_engine(**keys)
    project.file("own.py", ENGINE)
    with (project.path / "own.py").open("a") as file:
        file.write(IDENTITY)
    project.file("test_ship.py", SHIPS)


def counts(project: Project) -> dict[str, tuple[int | None, int | None]]:
    """Return how many examples of each model were evaluated and how many were in the store."""
    rows = project.json()["evaluations"]
    return {row["model"]: (row["evaluated"], row["from_store"]) for row in rows}


def stored_in(folder: Path) -> bool:
    """Return whether a store is there."""
    return any(folder.glob("*.sqlite3"))


ALL_NEW = dict.fromkeys(("teacher", "student", "sft"), (20, 0))
ALL_STORED = dict.fromkeys(("teacher", "student", "sft"), (0, 20))


def test_a_second_run_evaluates_nothing(project: Project, run_both: Run) -> None:
    """All twenty of each come from the folder, and no engine is asked again."""
    use_stored_engine(project)
    run_both("--distill-cache", "kept", *REPORTS).assert_outcomes(passed=2)
    assert counts(project) == ALL_NEW
    asked = len(project.calls("predict"))
    result = run_both("--distill-cache", "kept", *REPORTS)
    assert counts(project) == ALL_STORED
    assert len(project.calls("predict")) == asked
    assert decision_of(result) == ("SHIP", "")
    assert stored_in(project.path / "kept")
    assert not stored_in(project.path / ".distill")


def test_the_verdicts_are_the_same(project: Project, run: Run) -> None:
    """Stored answers give every number that new ones gave."""
    use_stored_engine(project)
    run(*REPORTS)
    new = project.json()["gates"]
    run(*REPORTS)
    assert counts(project) == ALL_STORED
    assert project.json()["gates"] == new


def test_the_title_says_where_they_came_from(project: Project, run: Run) -> None:
    """Beside the name of the eval: how many were made in this run and how many were stored."""
    use_stored_engine(project)
    first, second = run("--distill-report"), run("--distill-report")
    assert "reviews, 20 examples (predictions: 60 made in this run)" in report_of(first)
    assert "reviews, 20 examples (predictions: 60 from the store)" in report_of(second)


def test_the_default_is_beside_the_distill_yaml(project: Project, run: Run) -> None:
    """`.distill`, which git ignores."""
    use_stored_engine(project)
    run(*REPORTS)
    assert stored_in(project.path / ".distill")
    assert (project.path / ".distill" / ".gitignore").read_text() == "*\n"


def test_the_option_starts_from_the_current_folder(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every path on the command line."""
    use_stored_engine(project)
    (project.path / "sub").mkdir()
    monkeypatch.chdir(project.path / "sub")
    run("--rootdir", str(project.path), "--distill-cache", "kept", str(project.path))
    assert stored_in(project.path / "sub" / "kept")


def test_the_ini_starts_from_rootdir(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`distill_cache` names a folder wherever pytest is started, and reaches workers."""
    use_stored_engine(project)
    project.file("pytest.ini", "[pytest]\npythonpath = .\ndistill_cache = kept\n")
    (project.path / "sub").mkdir()
    monkeypatch.chdir(project.path / "sub")
    run(str(project.path))
    assert stored_in(project.path / "kept")


def test_the_option_goes_before_the_ini(project: Project, run: Run) -> None:
    """What is said nearer to the run holds."""
    use_stored_engine(project)
    project.file("pytest.ini", "[pytest]\npythonpath = .\ndistill_cache = ini\n")
    run("--distill-cache", "option").assert_outcomes(passed=2)
    assert stored_in(project.path / "option")
    assert not (project.path / "ini").exists()


def test_a_store_may_be_carried_elsewhere(project: Project, run: Run) -> None:
    """A cache of CI, restored under another path, holds the same predictions."""
    use_stored_engine(project)
    run("--distill-cache", "kept")
    shutil.copytree(project.path / "kept", project.path / "restored")
    shutil.rmtree(project.path / "kept")
    run("--distill-cache", "restored", *REPORTS)
    assert counts(project) == ALL_STORED


def test_another_model_is_evaluated_anew(project: Project, run: Run) -> None:
    """A student with other bytes under the same name and path is another student."""
    use_stored_engine(project)
    run(*REPORTS)
    project.models["student"]["digest"] = "other"
    project.save()
    run(*REPORTS)
    assert counts(project) == {**ALL_STORED, "student": (20, 0)}


def test_only_new_examples_are_evaluated(project: Project, run: Run) -> None:
    """A changed text and an added example cost two predictions, a renamed id none."""
    use_stored_engine(project)
    write_gates(project, it="assert_score(0.1)")
    run(*REPORTS)
    rows = gold(21)
    rows[3]["text"] = "another text"
    rows[5]["id"] = "renamed"
    project.rows("gold.jsonl", rows)
    run(*REPORTS)
    assert counts(project)["student"] == (2, 19)


def test_a_changed_prompt_is_another_question(project: Project, run: Run) -> None:
    """Whatever the model is asked otherwise is asked anew."""
    use_stored_engine(project)
    run(*REPORTS)
    project.evals["reviews"]["prompt"] = "Good or bad? {{ text }}"
    project.save()
    run(*REPORTS)
    assert counts(project) == ALL_NEW


def test_a_sample_serves_the_whole_run(project: Project, run: Run) -> None:
    """What `--distill-limit` evaluated is not evaluated again."""
    use_stored_engine(project)
    write_gates(project, it="assert_score(0.01)")
    run("--distill-limit", "5", *REPORTS)
    assert counts(project)["student"] == (5, 0)
    run(*REPORTS)
    assert counts(project)["student"] == (15, 5)


def test_an_engine_that_cannot_say_who_it_is_is_not_stored(project: Project, run: Run) -> None:
    """Without an identity nobody knows whether the model is still the same."""
    project.use_own_engine()
    project.file("test_ship.py", SHIPS)
    for _ in range(2):
        run(*REPORTS)
        assert counts(project) == ALL_NEW


def test_recorded_predictions_are_not_counted(project: Project, run: Run) -> None:
    """They are neither made nor stored: null in the JSON, and no footnote."""
    project.file("test_ship.py", SHIPS)
    result = run(*REPORTS)
    assert counts(project) == dict.fromkeys(("teacher", "student", "sft"), (None, None))
    assert "from the store" not in said(result)


@pytest.mark.filterwarnings("default")
def test_a_folder_that_cannot_be_used_costs_time_alone(
    project: Project, pytester: pytest.Pytester
) -> None:
    """The run goes on without a store and warns, naming the folder."""
    use_stored_engine(project)
    project.file("kept", "in the way")
    result = pytester.runpytest_inprocess("--distill-cache", "kept", *REPORTS)
    result.assert_outcomes(passed=2, warnings=1)
    assert counts(project) == ALL_NEW
    assert "kept" in said(result)
    assert "goes on without it" in said(result)


@pytest.mark.filterwarnings("default")
def test_a_damaged_store_is_set_aside(
    project: Project, run: Run, pytester: pytest.Pytester
) -> None:
    """Its predictions are made anew, the file is kept under another name, and that is said."""
    use_stored_engine(project)
    run("--distill-cache", "kept")
    (store,) = (project.path / "kept").glob("*.sqlite3")
    store.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    result = pytester.runpytest_inprocess("--distill-cache", "kept", *REPORTS)
    result.assert_outcomes(passed=2, warnings=1)
    assert counts(project) == ALL_NEW
    assert "damaged-1.sqlite3" in said(result)
    run("--distill-cache", "kept", *REPORTS)
    assert counts(project) == ALL_STORED


def test_what_an_engine_made_before_it_broke_is_kept(project: Project, run: Run) -> None:
    """After an error in the middle only the rest is asked."""
    use_stored_engine(project)
    write_gates(project, it="assert_score(0.01)")
    own = (project.path / "own.py").read_text()
    breaks = own.replace(
        "yield Prediction(", "if position == 12: 1 / 0\n            yield Prediction("
    )
    (project.path / "own.py").write_text(breaks)
    run().assert_outcomes(failed=1)
    (project.path / "own.py").write_text(own)
    run(*REPORTS)
    assert counts(project)["student"] == (8, 12)
