"""Keeps what a run scored that may ship, for the pull requests that come after it."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import github
from gates import REPORT, words


def save(gates: str, arguments: str, report: Path, store: Path, baseline: Path) -> None:
    """Write the baseline; what stands in the way is a line in the log, and a failed step.

    Parameters
    ----------
    gates, arguments : str
        What pytest was asked.
    report, store, baseline : Path
        The folders of the reports and the predictions, and the file to write.
    """
    said = json.loads((report / REPORT).read_text(encoding="utf-8"))
    found = sorted({row["config"] for row in said["gates"] if row["config"]})
    if len(found) != 1:
        _refuse(f"the gates are of {', '.join(found) or 'no distill.yaml'}: it is kept of one")
    options = _options(arguments)
    config = options.distill_config or _config(found[0], words("gates", gates))
    exported = options.distill_predictions
    baseline.parent.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-P", "-m", "pytest_distill", "baseline", "save", str(report / REPORT)),
        *("--config", str(config), "--cache", str(store), "--output", str(baseline)),
        *(("--predictions", exported) if exported else ()),
    ]
    ran = subprocess.run(  # noqa: S603 (what the caller installed)
        command, check=False, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
    )
    if ran.returncode:
        _refuse(ran.stderr.strip())


def _refuse(why: str) -> None:
    github.say("warning", f"No baseline is kept: {why}")
    raise SystemExit(1)


def _options(arguments: str) -> Any:
    """Return which ``distill.yaml`` and which exported predictions pytest was told of, if any."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in ("--distill-config", "--distill-predictions"):
        parser.add_argument(option)
    return parser.parse_known_args(words("arguments", arguments))[0]


def _config(shown: str, gates: list[str]) -> Path:
    """Return the ``distill.yaml`` that a report shows relative to pytest's rootdir.

    The report doesn't tell that one: it is the folder of the gates, or one above.
    """
    for folder in _above(gates):
        if (folder / shown).is_file():
            return folder / shown
    return Path(shown)


def _above(gates: list[str]) -> Iterator[Path]:
    for given in gates or ["."]:
        place = Path(given.partition("::")[0]).resolve()
        yield from (place, *place.parents)
