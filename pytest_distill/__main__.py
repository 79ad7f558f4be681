"""``python -m pytest_distill store``: look into the store, export, import and prune it."""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_distill.errors import DistillError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m pytest_distill", description=__doc__)
    store = parser.add_subparsers(dest="what", required=True).add_parser(
        "store", help="the predictions that were kept"
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, default=Path("distill.yaml"), metavar="PATH")
    common.add_argument("--cache", type=Path, metavar="DIR", help="default: .distill beside it")
    commands = store.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[common], help="the models, and how much of each is kept")
    for name, what in (
        ("export", "write the predictions of this distill.yaml into a folder"),
        ("import", "take in predictions that were exported elsewhere"),
    ):
        command = commands.add_parser(name, parents=[common], help=what)
        command.add_argument("folder", type=Path, metavar="DIR")
    commands.add_parser(
        "prune", parents=[common], help="drop what belongs to no model of this distill.yaml"
    )
    given = parser.parse_args(arguments)
    from pytest_distill import store_commands

    try:
        for line in store_commands.run(given.command, given.config, given.cache, vars(given)):
            print(line)  # noqa: T201 (a command's output)
    except (DistillError, OSError, sqlite3.Error) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
