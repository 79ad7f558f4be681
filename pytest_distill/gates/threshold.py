"""The threshold of a routed pair, in a file that a serving stack reads."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace

from pytest_distill._util.files import file_name, make_folder, write_atomically
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ConfigError
from pytest_distill.gates.verdict import Verdict

SCHEMA = 1
RULE = (
    "answer with the student where its confidence (by) is >= threshold, else with the teacher; "
    "where threshold is null, always with the teacher"
)


def keep_threshold(
    save: str | os.PathLike[str] | None, verdict: Verdict, comparison: Comparison
) -> Verdict:
    """Write the threshold of a verdict into a file; return the verdict with the file's name."""
    if save is not None and not isinstance(save, str | os.PathLike):
        raise ConfigError(f"save={save!r}: must be the path of a file")
    project = comparison.folder
    own = file_name(f"routing-{verdict.eval}-{verdict.model}.json")
    shown = str(save) if save else f".distill/{own}"
    infos = {role: comparison.model(role).info for role in ("student", "teacher")}
    models = {role: {"name": i.name, "digest": i.digest} for role, i in infos.items()}
    try:
        if save is None:
            make_folder(project / ".distill")
        write_atomically(project / shown, _as_text(verdict, models))
    except OSError as error:
        if save is not None:
            raise ConfigError(f"save='{save}': cannot be written: {error.strerror}") from None
        # A checkout that is read-only must not hide the verdict.
        line = f"the threshold is in no file: {error.strerror}"
        noted = replace(verdict, notes=(*verdict.notes, line))
        return _with_file(noted, line, None)
    line = f"threshold file: {shown}"
    return _with_file(replace(verdict, basis=f"{verdict.basis}; {line}"), line, shown)


def _with_file(verdict: Verdict, line: str, file: str | None) -> Verdict:
    details = {**verdict.details, "file": file}
    return replace(verdict, message=f"{verdict.message}\n  {line}", details=details)


def _as_text(verdict: Verdict, models: Mapping[str, Mapping[str, str | None]]) -> str:
    """Return the file's text; `models` is role -> name and digest."""
    details = verdict.details
    told = {
        "schema": SCHEMA,
        "eval": verdict.eval,
        **models,
        "by": details["by"],
        "threshold": details["threshold"],
        "rule": RULE,
        "outcome": str(verdict.outcome),
        "handled": details["handled"],
        "retained_at_least": details["retained_required"],
        "confidence": verdict.confidence,
        "metric": verdict.metric,
        "n": verdict.n,
    }
    return json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
