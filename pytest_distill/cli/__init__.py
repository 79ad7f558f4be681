"""``python -m pytest_distill``: one module a command.

Such a module has ``add_to(commands)``, which adds its name and its arguments, and ``run(given)``,
which yields the lines to print.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from pytest_distill.cli import baseline, importing, init, report, schema, store
from pytest_distill.errors import DistillError

COMMANDS = {
    "init": init,
    "store": store,
    "baseline": baseline,
    "report": report,
    "import": importing,
    "schema": schema,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pytest_distill")
    commands = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS.values():
        command.add_to(commands)
    given = parser.parse_args(arguments)
    if isinstance(sys.stdout, TextIOWrapper):  # what the terminal has no letter for is escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        for line in COMMANDS[given.command].run(given):
            print(line)  # noqa: T201 (a command's output)
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (DistillError, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
