"""The store: evaluated once is not evaluated again, and nothing that was finished is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.evaluation.store.file import FILE_NAME
from pytest_distill.evaluation.store.keeping import Keeper, run_key
from pytest_distill.evaluation.store.stored import EvaluatedPredictions

IDENTITY = {"model": "d" * 64, "engine": "test", "dtype": "auto"}


def requests(n: int, start: int = 0) -> list[Request]:
    """Return n different requests."""
    return [ClassificationRequest(f"e{i}", f"text {i}") for i in range(start, start + n)]


class Counting:
    """Answers requests and remembers which; stops after `most` of them."""

    def __init__(self, most: int | None = None) -> None:
        self.asked: list[str] = []
        self.most = most

    def predict(self, wanted: Sequence[Request]) -> Iterator[Prediction]:
        """Yield a label for each request."""
        for request in wanted:
            if self.most is not None and len(self.asked) >= self.most:
                raise KeyboardInterrupt
            self.asked.append(request.id)
            yield Prediction(request.id, prediction=f"label of {request.id}")


class Told:
    """A keeper on a folder, and what it said."""

    def __init__(self, folder: Path, *, session: int = 0, refresh: bool = False) -> None:
        self.warnings: list[str] = []
        self.lines: list[str] = []
        self.keeper = Keeper(
            folder,
            session=session,
            refresh=refresh,
            warn=self.warnings.append,
            tell=self.lines.append,
        )

    def evaluate(self, wanted: Sequence[Request], engine: Counting) -> EvaluatedPredictions:
        """Evaluate with the engine what the store lacks."""
        return self.keeper.evaluate("student on reviews", IDENTITY, wanted, engine.predict)


def test_only_what_is_new_is_evaluated(tmp_path: Path) -> None:
    """Ten new examples cost ten predictions, in another process too."""
    engine = Counting()
    Told(tmp_path).evaluate(requests(20), engine)
    kept = Told(tmp_path).evaluate(requests(30), engine)
    assert len(engine.asked) == 30
    assert kept.from_store == 20
    assert {p.id: p.prediction for p in kept.predictions} == {
        f"e{i}": f"label of e{i}" for i in range(30)
    }


def test_every_field_of_a_prediction_survives(tmp_path: Path) -> None:
    """What comes back from the disk equals what was put there."""
    full = Prediction(
        "e0", "yes", (0.1, 0.9), ("no", "yes"), (-1.5, -0.25), "text \u2028 \U0001f600", 7
    )

    def predict(_wanted: Sequence[Request]) -> Iterator[Prediction]:
        yield full

    for _ in range(2):
        kept = Told(tmp_path).keeper.evaluate("x", IDENTITY, requests(1), predict)
        assert kept.predictions == [full]


def test_a_renamed_example_is_found_by_what_it_asks(tmp_path: Path) -> None:
    """The id is no part of a request's identity, and requests that ask the same are asked once."""
    engine = Counting()
    Told(tmp_path).evaluate([ClassificationRequest("old", "same")], engine)
    twins: list[Request] = [ClassificationRequest(i, "same") for i in ("new", "twin")]
    kept = Told(tmp_path).evaluate(twins, engine)
    assert engine.asked == ["old"]
    assert sorted(p.id for p in kept.predictions) == ["new", "twin"]


def test_what_is_asked_is_the_key() -> None:
    """Text, truncation and decoding change a request's key, the id does not."""
    one = ClassificationRequest("a", "text")
    assert request_key(one) == request_key(ClassificationRequest("b", "text"))
    others: list[Request] = [
        ClassificationRequest("a", "other"),
        ClassificationRequest("a", "text", truncate="left"),
        GenerationRequest("a", "text"),
        GenerationRequest("a", "text", decoding=Decoding(max_new_tokens=5)),
    ]
    assert len({request_key(one), *map(request_key, others)}) == 5


@pytest.mark.parametrize(
    ("request_", "digest"),
    [
        (ClassificationRequest("a", "gut é", "pair", "left"), "55fca898e52fcaea"),
        (ChoiceRequest("a", "c", (" a", " b")), "de0bbcfba6ba2ea8"),
        (GenerationRequest("a", "p", True, Decoding(3, ("\n",))), "231241790e5800a8"),
        (PerplexityRequest("a", "t", 3, 1), "02b0f75c4e38cc93"),
    ],
)
def test_request_key_stays_what_it_is(request_: Request, digest: str) -> None:
    """A digest that an earlier version stored is found by this one."""
    assert request_key(request_).hex().startswith(digest)


def test_another_model_or_setting_is_another_run() -> None:
    """A checkpoint overwritten in place, another dtype and another version are evaluated again."""
    changed = [IDENTITY | {key: "other"} for key in IDENTITY]
    assert len({run_key(IDENTITY), *map(run_key, changed)}) == 4


def test_refresh_evaluates_anew(tmp_path: Path) -> None:
    """What is stored is asked again, and replaced."""
    engine = Counting()
    Told(tmp_path).evaluate(requests(3), engine)
    Told(tmp_path, session=1, refresh=True).evaluate(requests(3), engine)
    assert len(engine.asked) == 6
    Told(tmp_path, session=1, refresh=True).evaluate(requests(3), engine)  # its other worker
    assert len(engine.asked) == 6


def test_an_interrupted_evaluation_goes_on(tmp_path: Path) -> None:
    """Ctrl-C loses no finished prediction."""
    with pytest.raises(KeyboardInterrupt):
        Told(tmp_path).evaluate(requests(20), Counting(most=7))
    rest = Counting()
    Told(tmp_path).evaluate(requests(20), rest)
    assert rest.asked == [f"e{i}" for i in range(7, 20)]


KILLED = """
    import sys, time
    from pathlib import Path
    from pytest_distill import ClassificationRequest, Prediction
    from pytest_distill.evaluation.store.keeping import Keeper

    def predict(wanted):
        for request in wanted:
            print(request.id, flush=True)
            yield Prediction(request.id, prediction="x")
            time.sleep(0.02)

    wanted = [ClassificationRequest(f"e{i}", f"text {i}") for i in range(1000)]
    keeper = Keeper(Path(sys.argv[1]), warn=print, tell=lambda line: print(line, flush=True))
    identity = {"model": "d" * 64, "engine": "test", "dtype": "auto"}
    keeper.evaluate("student on reviews", identity, wanted, predict)
"""


def start(folder: Path) -> subprocess.Popen[str]:
    """Start a process that evaluates a thousand requests slowly."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_loses_nothing_finished(tmp_path: Path) -> None:
    """After SIGKILL in the middle, only the rest is evaluated."""
    process = start(tmp_path)
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(10)]
    process.send_signal(signal.SIGKILL)
    more = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    finished = [*seen, *more]
    rest = Counting()
    Told(tmp_path).evaluate(requests(1000), rest)
    # The last one printed may have died before it was handed over.
    assert len(rest.asked) <= 1000 - (len(finished) - 1)
    assert not set(rest.asked) & set(finished[:-1])


def test_a_second_process_waits_and_says_for_whom(tmp_path: Path) -> None:
    """The same model is never evaluated twice at the same time."""
    process = start(tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    told = Told(tmp_path)
    threading.Timer(0.5, process.kill).start()  # while the second one waits for it
    engine = Counting()
    told.evaluate(requests(400), engine)
    process.wait()
    process.stdout.close()
    assert told.lines == [
        f"student on reviews: waiting for process {process.pid} on "
        f"{os.uname().nodename} (student on reviews)"
    ]
    assert 0 < len(engine.asked) < 400


@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage"])
def test_a_damaged_store_is_set_aside(tmp_path: Path, damage: str) -> None:
    """It is detected, kept under another name with a warning, and built anew."""
    first = Told(tmp_path)
    first.evaluate(requests(200), Counting())
    first.keeper.close()
    path = tmp_path / FILE_NAME
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        at = content.rindex(b"label of e7")
        content[at] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(b"no database at all" * 100)
    engine = Counting()
    told = Told(tmp_path)
    kept = told.evaluate(requests(200), engine)
    assert len(kept.predictions) == 200
    assert all(p.prediction == f"label of {p.id}" for p in kept.predictions)
    assert "was moved to damaged-1.sqlite3" in told.warnings[0]
    assert (tmp_path / "damaged-1.sqlite3").exists()
    again = Counting()
    Told(tmp_path).evaluate(requests(200), again)
    assert again.asked == []


def test_a_folder_that_cannot_be_used_is_a_warning(tmp_path: Path) -> None:
    """The run goes on without the store."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    told = Told(tmp_path / "file")
    engine = Counting()
    assert len(told.evaluate(requests(3), engine).predictions) == 3
    assert len(told.warnings) == 1
    assert "the run goes on without it" in told.warnings[0]


FULL = """
    import resource, signal, sys
    from pathlib import Path
    from pytest_distill import ClassificationRequest, Prediction
    from pytest_distill.evaluation.store.keeping import Keeper

    def predict(wanted):
        for i, request in enumerate(wanted):
            yield Prediction(request.id, text="x" * 2000)

    said = []
    keeper = Keeper(Path(sys.argv[1]), warn=said.append, tell=print)
    identity = {"model": "d" * 64, "engine": "test", "dtype": "auto"}
    few = [ClassificationRequest(f"e{i}", f"text {i}") for i in range(50)]
    keeper.evaluate("x", identity, few, predict)
    keeper.close()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
    many = [ClassificationRequest(f"e{i}", f"text {i}") for i in range(2000)]
    kept = keeper.evaluate("x", identity, many, predict)
    print(len(kept.predictions), kept.from_store, len(said), said[0][:60])
"""


def test_a_full_disk_loses_no_earlier_row(tmp_path: Path) -> None:
    """Files that may not grow any more, as on a full disk: a warning, and what was stored stays."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("2000 50 1 ")
    rest = Counting()
    kept = Told(tmp_path).evaluate(requests(50), rest)
    assert (rest.asked, kept.from_store) == ([], 50)


def test_a_store_of_another_version_is_set_aside(tmp_path: Path) -> None:
    """Nothing is guessed about a file that another version made."""
    first = Told(tmp_path)
    first.evaluate(requests(1), Counting())
    first.keeper.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    told = Told(tmp_path)
    told.evaluate(requests(1), Counting())
    assert "made by another version (99)" in told.warnings[0]


def test_a_figure_is_measured_once_for_what_it_hangs_on(tmp_path: Path) -> None:
    """It is found again, with its time; a later run, and no process of the same, calls it older."""
    measured: list[str] = []

    def on(device: str) -> list[float]:
        measured.append(device)
        return [0.25, 1.5]

    keeper = Told(tmp_path).keeper
    first, second = (keeper.figure({"device": "cpu"}, lambda: on("cpu")) for _ in range(2))
    later = Told(tmp_path, session=1).keeper.figure({"device": "cpu"}, lambda: on("cpu"))
    beside = Keeper(tmp_path, warn=pytest.fail, tell=pytest.fail)
    assert not beside.figure({"device": "cpu"}, lambda: on("cpu")).earlier
    Told(tmp_path).keeper.figure({"device": "cuda"}, lambda: on("cuda"))
    assert first.value == second.value == later.value == [0.25, 1.5]
    assert first.made == second.made == later.made
    assert abs(first.made - time.time()) < 60
    assert (first.earlier, second.earlier, later.earlier) == (False, False, True)
    assert measured == ["cpu", "cuda"]


def test_a_damaged_figure_is_measured_again(tmp_path: Path) -> None:
    """A figure that is not as it was written is not believed, and the user is told."""
    told = Told(tmp_path)
    told.keeper.figure({"of": "student"}, lambda: 1)
    told.keeper.close()
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE figures SET value = '2'")
    later = Told(tmp_path)
    assert later.keeper.figure({"of": "student"}, lambda: 3).value == 3
    assert "a figure is not as it was written" in later.warnings[0]


def test_several_processes_may_begin_a_store_at_once(tmp_path: Path) -> None:
    """None of them is told that the new file is locked."""
    script = textwrap.dedent(
        f"""
        import sys
        import time
        from pathlib import Path

        from pytest_distill.evaluation.store.file import Store

        start = float(sys.argv[1])
        for number in range(20):
            folder = Path({str(tmp_path)!r}) / str(number)
            folder.mkdir(exist_ok=True)
            time.sleep(max(0.0, start + 0.03 * number - time.time()))
            Store(folder).close()
        """
    )
    start = str(time.time() + 3)
    processes = [
        subprocess.Popen([sys.executable, "-c", script, start], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0], "\n".join(said)
