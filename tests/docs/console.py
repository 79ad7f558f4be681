"""Running the commands of a page, and comparing what they print with what the page says."""

from __future__ import annotations

import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.forking import MODELS, forks

ANYTHING = "..."
_SECONDS = re.compile(r"\bin \d+\.\d+s(?: \(\d+:\d\d:\d\d\))?")
_NUMBERS = re.compile(r"[\s#]*\d[\d.,]*[\s#]*|\s+")
_RULE = re.compile(r"^([=_!])\1{2,} (.+?) \1{2,}$")
_LONGEST = 300.0
"""Seconds of a command: real models, on a machine that does other things too."""
_OF_THE_MACHINE = ("platform ", "rootdir: ", "configfile: ", "plugins: ", "cachedir: ")


class Console:
    """A folder, and the exit status of the last command that ran in it.

    Parameters
    ----------
    folder : Path
        Where commands run.
    places : mapping, optional
        What the page says -> what is true here: of what is printed, the page has the former.
    """

    def __init__(self, folder: Path, places: Mapping[str, str] | None = None) -> None:
        self.folder, self.places = folder, places or {}
        # Makes the folder pytest's rootdir, whatever stands above it.
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        self.status = 0

    def run(self, command: str) -> str:
        """Return what a command prints; no shell is involved."""
        name, *arguments = shlex.split(command)
        if command == "echo $?":
            return f"{self.status}\n"
        if name == "pytest":
            return self._ended(*self._pytest(arguments))
        known = {
            "python": [sys.executable],
            "cat": ["cat"],
            "head": ["head"],
        }
        may = f"pytest, {', '.join(known)}, echo $?"
        assert name in known, f"$ {command}: the examples may run {may}"
        done = subprocess.run(
            [*known[name], *arguments],
            cwd=self.folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
        return self._ended(done.returncode, done.stdout)

    def _pytest(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Return how a run of pytest ends, and what it prints; torch is imported already."""
        with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
            process = forks(*MODELS).start(
                "pytest",
                arguments,
                out,
                out,
                _environment(),
                folder=self.folder,
                safe_path=True,  # like the command pytest, which adds no folder
            )
            status = process.wait(_LONGEST)
            out.seek(0)
            return status, out.read()

    def _ended(self, status: int, printed: str) -> str:
        self.status = status
        for told, true in self.places.items():
            printed = printed.replace(true, told)
        return printed


def _environment() -> dict[str, str]:
    """Return this process's environment without what would change the output."""
    outer = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    for name in ("CI", "BUILD_NUMBER", "FORCE_COLOR", "PY_COLORS"):
        outer.pop(name, None)
    plain = {"COLUMNS": "80", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return outer | plain


def difference(expected: Sequence[str], printed: str, *, of_one_machine: bool = False) -> str:
    """Return how the printed lines differ from the expected ones; empty where they agree.

    Where they are `of_one_machine` numbers, and the blanks that stand around them, may differ.
    """
    wanted, got = _normalised(expected), _normalised(printed.splitlines())
    if of_one_machine:
        wanted, got = ([_NUMBERS.sub(" # ", line) for line in lines] for lines in (wanted, got))
    pattern = "".join(
        r"(?:.*\n)*?" if line == ANYTHING else f"{re.escape(line)}\n" for line in wanted
    )
    if re.fullmatch(pattern, "".join(f"{line}\n" for line in got)):
        return ""
    return "\n".join(difflib.ndiff(wanted, got))


def _normalised(lines: Sequence[str]) -> list[str]:
    """Return the lines without empty ones and what differs between machines and runs."""
    told = (line.rstrip() for line in lines if not line.startswith(_OF_THE_MACHINE))
    kept = [line for line in told if line]
    # A rule fills the line, so that its length hangs on the seconds in it.
    return [_RULE.sub(r"\1 \2 \1", _SECONDS.sub("in 0.00s", line)) for line in kept]
