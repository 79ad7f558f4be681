"""``python -m pytest_distill schema``: the JSON Schema of distill.yaml, for an editor."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_distill._util.files import write_atomically
from pytest_distill.config.json_schema import TITLE, shipped
from pytest_distill.errors import ConfigError, one_line

NAME = "distill.schema.json"
"""What the file is called beside a ``distill.yaml``."""


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``python -m pytest_distill``."""
    command = commands.add_parser(
        "schema", help="the JSON Schema of distill.yaml", description=__doc__
    )
    command.add_argument(
        "-o", "--output", type=Path, metavar="PATH", help="write it there; default: print it"
    )


def run(given: argparse.Namespace) -> Iterator[str]:
    """Run the command and yield the lines that it prints.

    Parameters
    ----------
    given : Namespace
        ``output``, the file to write; None: the schema is printed.
    """
    text = shipped()
    if given.output is None:
        yield from text.splitlines()
        return
    if given.output.is_dir():
        raise ConfigError(
            f"{one_line(str(given.output))}: is a folder; name a file: -o "
            f"{one_line(shlex.quote(str(given.output / NAME)))}"
        )
    if given.output.exists() and not is_ours(given.output):
        raise ConfigError(
            f"{one_line(str(given.output))}: is no schema of distill.yaml: delete it, or name "
            "another file with -o; nothing was written"
        )
    try:
        write_atomically(given.output, text)
    except OSError as error:
        raise ConfigError(
            f"{one_line(str(given.output))}: can't be written ({error.strerror}): name another "
            "file with -o"
        ) from None
    yield f"{one_line(str(given.output))}: the schema of distill.yaml"


def is_ours(path: Path) -> bool:
    """Return whether a file is a schema of ``distill.yaml``, of whatever version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("title") == TITLE
