"""From a name under ``format:`` to the class that reads such files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_distill._util.user_code import load_object
from pytest_distill.errors import refuse_unknown
from pytest_distill.evaluation.sources.formats.format import Format

FORMATS: Mapping[str, str] = {
    "lm-eval": "pytest_distill.evaluation.sources.formats.lm_eval:LmEvalSamples",
    "inspect": "pytest_distill.evaluation.sources.formats.inspect:InspectLogs",
    "lighteval": "pytest_distill.evaluation.sources.formats.lighteval:LightevalDetails",
}
"""Where the class of each format is, as ``module:name``; it is imported when asked for."""


def format_of(name: str) -> Format:
    """Return the format of a name.

    Raises
    ------
    ConfigError
        Where there is none, or the package that reads it is not installed.
    """
    refuse_unknown(name, FORMATS, f"unknown format '{name}'")
    kind: type[Format] = load_object(FORMATS[name], f"format {name}")
    if kind.package is not None:
        kind.package.require(f"format: {name}")
    return kind()


def written_by(path: Path) -> str | None:
    """Return the format of which a file's name is; None where any tool's might be called so."""
    for name in FORMATS:
        kind: type[Format] = load_object(FORMATS[name], f"format {name}")
        if any(glob != "*.json" and path.match(glob) for glob in kind.globs):
            return name
    return None
