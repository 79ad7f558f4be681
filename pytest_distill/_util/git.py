"""What git says of a folder, where git is at hand: nothing is fetched, changed or waited for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_SECONDS = 10
_QUIET = {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
_COMMIT = re.compile(r"[0-9a-f]{7,64}")


def commit_of(folder: Path) -> str | None:
    """Return the commit that a CI job works on, else the one that is checked out in a folder."""
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        given = os.environ.get(name, "").strip()
        if _COMMIT.fullmatch(given):
            return given
    said = _git(folder, "rev-parse", "HEAD")
    head = said[1].strip() if said is not None and said[0] == 0 else ""
    return head if _COMMIT.fullmatch(head) else None


def is_ancestor(commit: str, folder: Path) -> bool | None:
    """Return whether a commit is one that the folder's HEAD comes from; None where git can't tell.

    A shallow clone does not know all of them.
    """
    said = _git(folder, "merge-base", "--is-ancestor", commit, "HEAD")
    if said is None or said[0] not in (0, 1):
        return None
    if said[0] == 0:
        return True
    shallow = _git(folder, "rev-parse", "--is-shallow-repository")
    return False if shallow is not None and shallow[1].strip() == "false" else None


def _git(folder: Path, *arguments: str) -> tuple[int, str] | None:
    """Return exit status and output; None where git does not run."""
    command = ["git", "-c", "protocol.allow=never", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 (a fixed command; the commit is hexadecimal)
            command,
            cwd=folder,
            env={**os.environ, **_QUIET},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.returncode, done.stdout.decode(errors="replace")
