"""Looks at a gold set: the store remembers which students were judged on it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.errors import StoreWarning
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks import Task
from pytest_distill.evals.tasks.classification import Classification
from pytest_distill.evals.tasks.multiple_choice import MultipleChoice
from pytest_distill.evaluation.store.file import FILE_NAME, Store
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.evaluation.store.stored import StoredLooks
from pytest_distill.statistics.multiple import each_of

GOLD, STUDENTS = "a" * 64, ("1" * 64, "2" * 64)


def keeper(folder: Path, said: list[str] | None = None, **keys: Any) -> Keeper:
    """Return what uses the store in a folder, as a run or a worker of one does."""
    warn = said.append if said is not None else pytest.fail
    return Keeper(folder, warn=warn, tell=print, **keys)


def test_looks_are_remembered(tmp_path: Path) -> None:
    """Each student counts once, on the gold set on which it was judged, for every later run."""
    first = keeper(tmp_path)
    first.add_looks(GOLD, [STUDENTS[0]], "reviews")
    first.add_looks(GOLD, [STUDENTS[0]], "reviews")
    assert first.looks(GOLD) == {STUDENTS[0]}
    keeper(tmp_path).add_looks(GOLD, STUDENTS, "renamed")
    later = keeper(tmp_path)
    assert later.looks(GOLD) == set(STUDENTS)
    assert later.looks("b" * 64) == set()


def test_a_run_that_evaluates_anew_has_not_forgotten(tmp_path: Path) -> None:
    """``--distill-refresh`` makes predictions anew; that the gold set was looked at stays true."""
    keeper(tmp_path, session=1).add_looks(GOLD, STUDENTS[:1])
    again = keeper(tmp_path, session=2, refresh=True)
    again.add_looks(GOLD, STUDENTS[1:])
    assert again.looks(GOLD) == set(STUDENTS)


def test_what_another_store_knew_is_added(tmp_path: Path) -> None:
    """As a baseline file does: nothing is forgotten on either side, and names stay."""
    here = keeper(tmp_path)
    here.add_looks(GOLD, STUDENTS[:1], "reviews")
    here.add_looks(GOLD, STUDENTS)
    with closing(Store(tmp_path)) as store:
        (looks,) = store.all_looks()
        assert store.looks(GOLD) == list(STUDENTS)
    assert looks == StoredLooks(GOLD, ("reviews",), 2, looks.first)
    assert time.time() - 60 < looks.first < time.time()


def test_pruning_keeps_looks(tmp_path: Path) -> None:
    """They are the memory of the gold set, whatever becomes of the predictions."""
    keeper(tmp_path).add_looks(GOLD, STUDENTS)
    with closing(Store(tmp_path)) as store:
        store.forget([run.run for run in store.runs()])
        assert store.looks(GOLD) == list(STUDENTS)


def test_the_first_look_stays_when_it_was(tmp_path: Path) -> None:
    """A second time of the same student changes nothing on disk."""
    with closing(Store(tmp_path, session=1)) as store:
        store.add_looks(GOLD, STUDENTS, "reviews")
        before = store.all_looks()
    with closing(Store(tmp_path, session=2)) as store:
        store.add_looks(GOLD, STUDENTS, "other")
        assert store.all_looks() == before


def before_looks(folder: Path) -> None:
    """Make a store with a figure in it, as it was before there was a table of looks."""
    keeper(folder).figure({"of": "student"}, lambda: 7)
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        connection.execute("DROP TABLE looks")


def test_a_store_from_before_looks_keeps_all_it_has(tmp_path: Path) -> None:
    """The table is made beside the others; nothing is made anew, and nothing is said."""
    before_looks(tmp_path)
    here = keeper(tmp_path)
    here.add_looks(GOLD, STUDENTS)
    assert keeper(tmp_path).looks(GOLD) == set(STUDENTS)
    assert here.figure({"of": "student"}, lambda: pytest.fail("measured again")).value == 7


ADD = """
    import sys, time
    from pathlib import Path
    from pytest_distill.evaluation.store.keeping import Keeper

    folder, start, who = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    keeper = Keeper(folder, warn=sys.exit, tell=print)
    time.sleep(max(0.0, start - time.time()))
    for number in range(40):
        keeper.add_looks("gold", [f"{who} {number}", f"both {number}"], "reviews")
"""


@pytest.mark.parametrize("begun", [False, True], ids=["new", "from before looks"])
def test_two_processes_look_at_once(tmp_path: Path, begun: bool) -> None:
    """None waits in vain, and every look of both is there, also where both make the table."""
    if begun:
        before_looks(tmp_path)
    script = [sys.executable, "-c", textwrap.dedent(ADD), str(tmp_path), str(time.time() + 3)]
    processes = [
        subprocess.Popen([*script, who], stderr=subprocess.PIPE, text=True)
        for who in ("one", "other")
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    found = keeper(tmp_path).looks("gold")
    assert found == {f"{who} {n}" for who in ("one", "other", "both") for n in range(40)}


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from pytest_distill.evaluation.store.keeping import Keeper

    keeper = Keeper(Path(sys.argv[1]), warn=sys.exit, tell=print)
    for number in range(5):
        keeper.add_looks("gold", [str(number)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_no_look(tmp_path: Path) -> None:
    """A look is on disk before anything else happens."""
    script = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    assert subprocess.run(script, check=False).returncode == -signal.SIGKILL
    assert keeper(tmp_path).looks("gold") == set("01234")


def in_the_way(folder: Path) -> None:
    """Let a file stand where the store's folder would be."""
    folder.write_text("in the way", encoding="utf-8")


def no_file(folder: Path) -> None:
    """Let a folder stand where the store's file would be."""
    (folder / FILE_NAME).mkdir(parents=True)


def read_only(folder: Path) -> None:
    """Take away the right to write, of a store that is there."""
    keeper(folder).add_looks("b" * 64, STUDENTS)
    (folder / FILE_NAME).chmod(0o400)
    folder.chmod(0o500)
    if os.access(folder, os.W_OK):
        pytest.skip("root may write everywhere")


@pytest.mark.parametrize("spoil", [in_the_way, no_file, read_only])
def test_without_a_store_this_run_counts(tmp_path: Path, spoil: Any) -> None:
    """One warning; what the run itself looked at is known to its end."""
    folder, said = tmp_path / "store", list[str]()
    spoil(folder)
    here = keeper(folder, said)
    here.add_looks(GOLD, STUDENTS[:1])
    here.add_looks(GOLD, STUDENTS[1:])
    assert here.looks(GOLD) == set(STUDENTS)
    assert len(said) == 1
    assert "the run goes on without it" in said[0]
    folder.chmod(0o700)


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from pytest_distill.evaluation.store.keeping import Keeper

    said = []
    keeper = Keeper(Path(sys.argv[1]), warn=said.append, tell=print)
    keeper.add_looks("gold", ["first"])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    keeper.add_looks("gold", ["second"])
    print(*sorted(keeper.looks("gold")), len(said), said[0])
"""


def test_a_full_disk_keeps_the_looks_before(tmp_path: Path) -> None:
    """Files that may not grow any more, as on a full disk: a warning, and no error."""
    script = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("first second 1 ")
    assert "the run goes on without it" in done.stdout
    assert keeper(tmp_path).looks("gold") == {"first"}


@pytest.mark.parametrize("column", ["gold", "student", "eval", "made", "session"])
def test_a_changed_look_is_not_believed(tmp_path: Path, column: str) -> None:
    """A damaged store is set aside with a warning, and the look of this run is in the new one."""
    keeper(tmp_path).add_looks(GOLD, STUDENTS[:1], "reviews")
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        value = {"gold": f"'{'b' * 64}'", "made": "1.5", "session": "5"}.get(column, "'other'")
        connection.execute(f"UPDATE looks SET {column} = {value}")  # noqa: S608 (ours)
    gold, said = "b" * 64 if column == "gold" else GOLD, list[str]()
    keeper(tmp_path, said).add_looks(gold, STUDENTS[1:])
    assert "a look at a gold set is not as it was written" in said[0]
    assert "moved to damaged-1.sqlite3" in said[0]
    assert keeper(tmp_path).looks(gold) == {STUDENTS[1]}


def test_a_warning_that_is_an_error_takes_no_verdict_back(tmp_path: Path) -> None:
    """The look comes after the verdict: ``-W error`` does not fail the gate for the store."""

    def raises(message: str) -> None:
        raise StoreWarning(message)

    in_the_way(tmp_path / "store")
    here = Keeper(tmp_path / "store", warn=raises, tell=print)
    here.add_looks(GOLD, STUDENTS)
    assert here.looks(GOLD) == set(STUDENTS)


def test_a_gate_in_another_thread_looks_too(tmp_path: Path) -> None:
    """The store that the main thread has open stays in use, and has the look of the other."""
    here = keeper(tmp_path)
    here.figure({"of": "student"}, lambda: 7)
    thread = threading.Thread(target=here.add_looks, args=(GOLD, STUDENTS))
    thread.start()
    thread.join()
    assert here.figure({"of": "teacher"}, lambda: 8).value == 8
    assert keeper(tmp_path).looks(GOLD) == set(STUDENTS)


Row = Mapping[str, Any]
ROWS: list[Row] = [{"id": str(n), "text": f"text {n}", "label": "yes", "n": n} for n in range(9)]
TASK = Classification(input="text", target="label")


def digest(rows: Iterable[Row], task: Task = TASK) -> str:
    """Return the digest of a gold set of these rows."""
    examples = tuple(Example(str(row["id"]), row, f"gold.jsonl:{n}") for n, row in enumerate(rows))
    return Eval("any", task, GoldSet("gold.jsonl", examples), type(task).metrics[:1]).gold_digest


def test_a_gold_set_is_its_examples_and_labels() -> None:
    """Texts and labels make a gold set; order, ids, other fields and the prompt's words do not."""
    same = [
        digest(reversed(ROWS)),
        digest({**row, "id": f"new {row['id']}"} for row in ROWS),
        digest({**row, "lang": "de"} for row in ROWS),
        digest(ROWS, Classification(input="text", target="label", prompt="Good? {{ text }}")),
    ]
    assert {*same} == {digest(ROWS)}
    other = [
        digest([{**ROWS[0], "label": "no"}, *ROWS[1:]]),
        digest([{**ROWS[0], "text": "other"}, *ROWS[1:]]),
        digest(ROWS[1:]),
        digest([*ROWS, {**ROWS[0], "id": "again"}]),
        digest(ROWS, Classification(input="text", target="n")),
        digest(ROWS, Classification(target="label", prompt="{{ text }} {{ n }}")),
    ]
    assert len({digest(ROWS), *other}) == 7


def test_choices_belong_to_the_gold_set() -> None:
    """The right one is told by its index: among other choices it is another answer."""
    task = MultipleChoice(input="text", target="n")
    rows = [{**row, "n": 0, "choices": ["a", "b"]} for row in ROWS]
    swapped = [{**row, "choices": ["b", "a"]} for row in rows]
    assert digest(rows, task) != digest(swapped, task)


@pytest.mark.parametrize(("k", "level"), [(1, 0.95), (2, 0.975), (5, 0.99), (50, 0.999)])
def test_each_of_k_students_is_judged_at_a_higher_level(k: int, level: float) -> None:
    """1 - .05/k (Bonferroni)."""
    assert each_of(k) == pytest.approx(level, abs=1e-12)
