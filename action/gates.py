"""Runs the gates and keeps how they ended for the last step: the reports are uploaded before."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import github
from names import MARKDOWN

REPORT = "distill.json"
_SIGNALLED = 128
"""A process that a signal ended has this status and the signal's number, as in a shell."""


def run(gates: str, arguments: str, report: Path, store: Path, baseline: Path) -> None:
    """Run pytest, gather the reports in a folder, and set the outputs ``status`` and ``outcome``.

    Parameters
    ----------
    gates : str
        What pytest runs; several as in a shell.
    arguments : str
        More arguments of pytest, as in a shell. They stand last, so that they win.
    report : Path
        The folder of the reports.
    store : Path
        The folder of stored predictions.
    baseline : Path
        What the run is compared with, where there is such a file.
    """
    for folder in (report, *_lost()):
        shutil.rmtree(folder, ignore_errors=True)  # a runner's folders may outlive a job
    with suppress(OSError):  # where pytest cannot write its reports either, it says so
        report.mkdir(parents=True)
    status = _status(_command(gates, arguments, report, store, baseline))
    outcome = _outcome(report / REPORT)
    if status == 0 and outcome != "SHIP":
        github.say("error", f"pytest ended with 0, and the report says {outcome}, not SHIP.")
        status = 1
    elif status != 0 and outcome == "SHIP":
        outcome = "INCOMPLETE"
        _take_back(report / MARKDOWN, f"pytest ended with {status} after its report said SHIP.")
    github.set_outputs({"status": str(status), "outcome": outcome})
    _gather_lost(report)


def _command(gates: str, arguments: str, report: Path, store: Path, baseline: Path) -> list[str]:
    compared = ["--distill-baseline", str(baseline)] if baseline.is_file() else []
    return [
        sys.executable,
        "-P",  # like `pytest`, it finds no modules in the folder where it runs
        *("-m", "pytest", "--distill-report"),
        *("--distill-json", str(report / REPORT)),
        *("--distill-markdown", str(report / MARKDOWN)),
        *("--junitxml", str(report / "junit.xml")),
        *("--distill-cache", str(store)),
        *compared,
        *words("gates", gates),
        *words("arguments", arguments),
    ]


def words(name: str, text: str) -> list[str]:
    """Return the words of an input, as a shell reads them."""
    try:
        return shlex.split(text)
    except ValueError as error:
        github.say("error", f"Input {name}: {error}: {text}")
        raise SystemExit(2) from None


def _status(command: list[str]) -> int:
    print(shlex.join(command), flush=True)
    status = subprocess.run(command, check=False).returncode  # noqa: S603 (the caller's gates)
    return status if status >= 0 else _SIGNALLED - status


def _outcome(path: Path) -> str:
    """Return what the report says; INCOMPLETE where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["outcome"]
    except (OSError, ValueError, LookupError, TypeError):
        return "INCOMPLETE"
    return found if found in ("SHIP", "DO NOT SHIP") else "INCOMPLETE"


def _take_back(markdown: Path, why: str) -> None:
    """Let the report begin with what became of its verdict."""
    github.say("error", why)
    with suppress(OSError):
        said = markdown.read_text(encoding="utf-8", errors="replace")
        markdown.write_text(f"**INCOMPLETE**: {why}\n\n{said}", encoding="utf-8")


def _gather_lost(report: Path) -> None:
    """Put the lost examples beside the reports, to be uploaded with them."""
    for number, folder in enumerate(_lost()):
        kept = report / "lost" if number == 0 else report / f"lost-{number + 1}"
        try:
            shutil.copytree(folder, kept, symlinks=True)
        except OSError as error:
            github.say("warning", f"{folder} is not uploaded: {error}")


def _lost() -> Iterator[Path]:
    """Yield the folders of lost examples, beside each ``distill.yaml``."""
    for at, folders, _ in os.walk("."):
        if ".distill" in folders and (Path(at) / ".distill" / "lost").is_dir():
            yield Path(at) / ".distill" / "lost"
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "node_modules")
