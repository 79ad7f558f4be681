"""What was meant by a task that is none of ours: it may be one of lm-evaluation-harness."""

from __future__ import annotations

import re

from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.declared import unknown_name
from pytest_distill.evals.lm_eval.index import all_names

_OTHERWISE = re.compile(r"(?:lm[-_ ]?eval(?:uation[-_]harness)?|harness|leaderboard)[:/.| ]+", re.I)
"""How its prefix is written by mistake."""


def meant_of_harness(task: str) -> str | None:
    """Return what to say of a task that lm-evaluation-harness has; None where it has none.

    Parameters
    ----------
    task : str
        What stands as ``task:``, without our prefix.
    """
    prefix = _OTHERWISE.match(task)
    name = task[prefix.end() :] if prefix else task
    if not harness.PACKAGE.is_installed:
        return f"unknown task '{task}'; did you mean '{harness.PREFIX}{name}'?" if prefix else None
    known = all_names()
    if name in known:
        return f"unknown task '{task}'; did you mean '{harness.PREFIX}{name}'?"
    if prefix is None:
        return None
    return unknown_name(name).replace("task: ", f"unknown task '{task}': ", 1)
