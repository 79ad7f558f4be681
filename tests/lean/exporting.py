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
    # That the gate does not pass is for the other job to say.
    subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=folder, check=False)
    command = [sys.executable, "-m", "pytest_distill", "store", "export", EXPORT]
    subprocess.run(command, cwd=folder, check=True)
    for gone in ("teacher", "student", ".distill"):
        shutil.rmtree(folder / gone)


if __name__ == "__main__":
    export(Path(sys.argv[1]))
