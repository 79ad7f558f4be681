"""A function in a process of its own, with a limit on each call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_distill._util.apart import Apart, FailedApartError, LimitExceededError

FUNCTIONS = """
import os
import signal
import sys
import time

def double(x):
    print("not an answer")
    return 2 * x

def pid():
    return os.getpid()

def hang(x):
    return 10 ** 10 ** 10 if x == "c" else hang_in_python()

def hang_in_python():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

def spend(seconds):
    begun = time.process_time()
    while time.process_time() - begun < seconds:
        pass
    return time.process_time() - begun

def wait(seconds):
    time.sleep(seconds)

def fill(n):
    return len(bytearray(n))

def die(how):
    os.kill(os.getpid(), how)

def once(path):
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second"

def fails(text):
    raise ValueError(text)

def ask(name, *arguments):
    return globals()[name](*arguments)
"""


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Apart]:
    """Return the functions above, with a second for each call."""
    (tmp_path / "told_apart.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    made = Apart("told_apart:ask", seconds=1, memory=1 << 30)
    yield made
    made.close()


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that has ended may wait for its parent to see it."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_calls_of_one_process(apart: Apart) -> None:
    """Calls are answered by one process that is not this one, whatever the function prints."""
    assert apart.pid is None
    assert apart("double", 21) == 42
    assert apart("double", "é\ud800") == "é\ud800" * 2
    assert apart("pid") == apart.pid != os.getpid()
    assert apart("pid") == apart.pid


@pytest.mark.parametrize("where", ["c", "python"])
def test_what_hangs_is_ended(apart: Apart, where: str) -> None:
    """A call that never ends, also one that heeds no exception, is ended, and the next answered."""
    begun = time.monotonic()
    with pytest.raises(LimitExceededError):
        apart("hang", where)
    assert time.monotonic() - begun < 12
    assert apart.pid is None
    assert apart("double", 1) == 2


def test_what_waits_is_ended(apart: Apart, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that takes no processor time is ended by the clock, as any is without such limits."""
    monkeypatch.setattr("pytest_distill._util.apart._PATIENCE", 1)
    with pytest.raises(LimitExceededError):
        apart("wait", 100)
    assert apart("double", 1) == 2


def test_limits_are_of_each_call(apart: Apart) -> None:
    """Calls that are each within it may take more than that together."""
    spent = [apart("spend", 0.6) for _ in range(5)]
    assert sum(spent) >= 3


def test_memory_is_limited(apart: Apart) -> None:
    """A call that asks for more memory than it may have is ended as one of too much time is."""
    assert apart("fill", 1 << 20) == 1 << 20
    with pytest.raises(LimitExceededError):
        apart("fill", 2 << 30)
    assert apart("double", 1) == 2


def test_a_process_that_was_killed_between_calls(apart: Apart) -> None:
    """It is started again, and the call that finds it gone is answered."""
    assert apart("double", 1) == 2
    gone = apart.pid
    assert gone is not None
    os.kill(gone, signal.SIGKILL)
    assert apart("double", 2) == 4
    assert apart.pid != gone


def test_a_process_that_was_killed_in_a_call(apart: Apart, tmp_path: Path) -> None:
    """The call is made once more; one of which the process dies again has exceeded a limit."""
    assert apart("once", str(tmp_path / "killed")) == "second"
    with pytest.raises(LimitExceededError):
        apart("die", int(signal.SIGSEGV))
    assert apart("double", 1) == 2


def test_what_the_function_raises_is_told(apart: Apart) -> None:
    """It is no answer, and the process goes on."""
    with pytest.raises(FailedApartError, match=r"^ValueError: no number$"):
        apart("fails", "no number")
    assert apart("double", 1) == 2


def test_a_function_that_cannot_be_imported() -> None:
    """The first call says why."""
    with pytest.raises(FailedApartError, match="No module named 'no_such_module'"):
        Apart("no_such_module:f", seconds=1, memory=1 << 30)()


def test_a_python_that_cannot_be_started(
    apart: Apart, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither one that is not there nor one that ends at once is taken for a call's limit."""
    for executable in (str(tmp_path / "none"), "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(FailedApartError, match="no process can be started"):
            apart("double", 1)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # this process may have threads
def test_a_fork_has_a_process_of_its_own(apart: Apart) -> None:
    """A fork of this process neither asks the other's nor ends it."""
    before = apart("pid")
    child = os.fork()
    if child == 0:
        other = apart("pid")
        apart.close()
        os._exit(0 if other != before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert apart("pid") == before


@pytest.mark.parametrize("end", ["pass", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_it_ends_with_who_asks(tmp_path: Path, end: str) -> None:
    """The process does not outlive the one that asked, however that ends; no guard is needed."""
    (tmp_path / "told_apart.py").write_text(FUNCTIONS, encoding="utf-8")
    script = tmp_path / "unguarded.py"
    script.write_text(
        textwrap.dedent(f"""
            import os
            from pytest_distill._util.apart import Apart
            print("main", flush=True)
            print(Apart("told_apart:ask", seconds=1, memory=1 << 30)("pid"), flush=True)
            {end}
        """),
        encoding="utf-8",
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said, pid = done.stdout.split()
    assert (said, done.stderr) == ("main", "")
    deadline = time.monotonic() + 10
    while is_alive(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(int(pid))
