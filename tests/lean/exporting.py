"""A gate job that runs its models, and exports what they answered.

`python -m tests.lean.exporting FOLDER` writes a project into FOLDER, with two tiny models, and runs
it. The weights are gone afterwards: only the export is left of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.plugin.project import HEAD, Project, write_gates

EXPORT = "exported"
TEXTS = ("abba", "cafe", "bead", "gaga")


class _Folder(NamedTuple):
    path: Path


def export(folder: Path) -> None:
    """Write the project, evaluate its models and export their answers."""
    from tests.plugin.chat_models import write_chat_models

    folder.mkdir()
    project = Project(_Folder(folder))
    write_chat_models(project, "{{ messages[0].content }}")
    project.rows("texts.jsonl", ({"id": t, "text": t, "target": t[:1]} for t in TEXTS))
    project.evals.clear()
    project.evals["texts"] = {
        "task": "generation",
        "data": "texts.jsonl",
        "input": "text",
        "chat": True,
        "max_new_tokens": 3,
        "metrics": ["chrf"],
    }
    project.save()
    head = HEAD.replace('"reviews"', '"texts"')
    write_gates(project, head=head, reached="assert_score(100)")
    # That its gate does not pass is for the other job to say.
    _run(folder, "pytest", status=pytest.ExitCode.TESTS_FAILED)
    _run(folder, "pytest_distill", "store", "export", EXPORT)
    for gone in ("teacher", "student", ".distill"):
        shutil.rmtree(folder / gone)


def _run(folder: Path, *arguments: str, status: int = 0) -> None:
    """Run a module of Python; what it printed is shown where it ends with another status."""
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != status:
        sys.exit(done.stdout + done.stderr)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
