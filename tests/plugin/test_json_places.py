"""Where the JSON report can be written, what is never replaced, and what is said where it can't."""

from __future__ import annotations

import json
import os
import resource
import socket
import stat
import threading
from pathlib import Path

import pytest

from pytest_distill._util import files

from .project import FAILS, SHIPS, Project, Run, decision_of, said


def test_a_fifo_is_written_once_and_stays(project: Project, run: Run) -> None:
    """A reader gets one report: no INCOMPLETE stands before it."""
    project.file("test_ship.py", SHIPS)
    fifo = project.path / "fifo"
    os.mkfifo(fifo)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text(encoding="utf-8")))
    reader.start()
    result = run("--distill-report", "--distill-json", "fifo")
    reader.join(10)
    assert decision_of(result) == ("SHIP", "")
    assert json.loads(got[0])["outcome"] == "SHIP"
    assert stat.S_ISFIFO(fifo.stat().st_mode)


@pytest.mark.parametrize("tests", [SHIPS, FAILS], ids=["ships", "fails"])
def test_a_fifo_that_nobody_reads_is_an_error(project: Project, run: Run, tests: str) -> None:
    """The run does not wait, and its last line does not say SHIP."""
    project.file("test_ship.py", tests)
    os.mkfifo(project.path / "fifo")
    result = run("--distill-report", "--distill-json", "fifo")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcome, reason = decision_of(result)
    assert outcome == ("INCOMPLETE" if tests == SHIPS else "DO NOT SHIP")
    assert "fifo: cannot be written: nobody reads it" in reason


def test_a_reader_that_stops_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into the pipe is an error after a while."""
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(TimeoutError, match="stopped reading"):
            files.write_stream(fifo, "x" * 2_000_000)
    finally:
        os.close(reader)


def test_a_process_with_very_many_open_files_writes_too(tmp_path: Path) -> None:
    """Descriptors above 1023 are beyond what select() can look at."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most < 1100:
        pytest.skip(f"a process may have {most} open files here")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    held = [os.dup(reader) for _ in range(1030)]
    try:
        files.write_stream(fifo, "report\n")
        assert os.read(reader, 100) == b"report\n"
    finally:
        for handle in (*held, reader):
            os.close(handle)


def test_a_device_is_never_replaced(project: Project, run: Run) -> None:
    """As root a rename would put a plain file where /dev/null is."""
    null = project.path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        pytest.skip("only root can make a device")
    project.file("test_ship.py", SHIPS)
    result = run("--distill-report", "--distill-json", "null")
    assert decision_of(result) == ("SHIP", "")
    assert stat.S_ISCHR(null.stat().st_mode)


def test_an_open_file_is_written_to(tmp_path: Path) -> None:
    """A path such as /dev/stdout leads to a file that somebody has open: it is not replaced."""
    log = tmp_path / "log"
    with log.open("w") as file:
        file.write("before\n")
        file.flush()
        link = tmp_path / "stdout"
        link.symlink_to(f"/proc/self/fd/{file.fileno()}")
        if not link.exists():
            pytest.skip("there is no /proc here")
        assert files.is_stream(link)
        inode = log.stat().st_ino
        files.write_stream(link, "report\n")
    assert log.read_text() == "before\nreport\n"
    assert log.stat().st_ino == inode


@pytest.mark.parametrize("there", [True, False], ids=["there", "dangling"])
def test_a_link_stays_and_its_target_is_written(project: Project, run: Run, *, there: bool) -> None:
    """The target is replaced in its own folder, so that nobody sees half of it."""
    project.file("test_ship.py", SHIPS)
    target = project.path / "reports" / "real.json"
    target.parent.mkdir()
    if there:
        target.write_text('{"outcome": "SHIP"}')
    link = project.path / "out.json"
    link.symlink_to("reports/real.json")
    run("--distill-json", "out.json", "-n", "x")
    assert project.json("reports/real.json")["outcome"] == "INCOMPLETE"
    run("--distill-json", "out.json")
    assert link.is_symlink()
    assert project.json("reports/real.json")["outcome"] == "SHIP"
    assert [path.name for path in target.parent.iterdir()] == ["real.json"]


@pytest.mark.parametrize("kind", ["loop", "folder", "under a file", "socket"])
def test_a_place_that_takes_no_report_is_an_error(project: Project, run: Run, kind: str) -> None:
    """The run does not end with 0, and says why in one line."""
    project.file("test_ship.py", SHIPS)
    path = project.path / "out"
    given = "out"
    if kind == "loop":
        path.symlink_to("out")
    elif kind == "folder":
        path.mkdir()
    elif kind == "under a file":
        given = "gold.jsonl/out"
    else:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(os.path.relpath(path))
    result = run("--distill-report", "--distill-json", given)
    assert result.ret != pytest.ExitCode.OK
    assert "cannot be written" in said(result)
    assert "SHIP" not in result.outlines
    assert "Traceback" not in said(result)


def test_an_older_report_does_not_stay_on_a_full_disk(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no new report can be put, the old one is emptied."""
    project.file("test_ship.py", SHIPS)
    old = project.file("out.json", '{"outcome": "SHIP"}')

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytest_distill.plugin.early.write_atomically", full)
    result = run("--distill-json", "out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--distill-json out.json: cannot be written: No space left on device" in said(result)
    assert old.read_text() == ""


def test_a_report_that_cannot_be_made_is_no_ship(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in the report itself ends with its name, not with a traceback and an older line."""
    project.file("test_ship.py", SHIPS)

    def broken(*_args: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("pytest_distill.plugin.reporting.report_lines", broken)
    result = run("--distill-report", "--distill-json", "out.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcome, reason = decision_of(result)
    assert outcome == "INCOMPLETE"
    assert reason == "the report could not be made: RuntimeError: a defect"
    assert project.json()["outcome"] == "INCOMPLETE"


def test_a_file_name_that_is_not_utf8_does_not_break_the_report(tmp_path: Path) -> None:
    """What stands for its bytes is no letter; as an escape it is JSON."""
    path = tmp_path / "out.json"
    files.write_atomically(path, json.dumps({"nodeid": "test_\udcff.py"}, ensure_ascii=False))
    assert json.loads(path.read_bytes()) == {"nodeid": "test_\udcff.py"}
