"""A file with the examples that a student lost, to read after a gate failed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_distill._util.files import make_folder, write_atomically


def write_lost(rows: Sequence[Mapping[str, Any]], project: Path, name: str) -> Path | None:
    """Write lost examples as JSON lines into the project's ``.distill/lost``.

    Parameters
    ----------
    rows : sequence of mapping
        One an example.
    project : Path
        The folder of ``distill.yaml``.
    name : str
        What tells this list from others; becomes the file's name.

    Returns
    -------
    Path or None
        The file; None where there is nothing to write or the folder cannot be written to, since
        a read-only checkout must not hide why the gate failed.
    """
    if not rows:
        return None
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    try:
        folder = project / ".distill"
        make_folder(folder)
        path = folder / "lost" / f"{re.sub(r'[^A-Za-z0-9.=-]+', '-', name)}.jsonl"
        write_atomically(path, text)
    except OSError:
        return None
    return path
