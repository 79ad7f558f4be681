"""``python -I action STEP``: the steps of the action, each of which the runner calls by itself.

Isolated (``-I``) so that neither ``PYTHON*`` variables nor modules of the caller's repository stand
in for what is imported here.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import baseline
import comment
import gates
import plan


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="action")
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("plan")
    step.add_argument("--suite", default="")
    step.add_argument("--gates", required=True)
    for name in ("gates", "baseline"):
        step = steps.add_parser(name)
        step.add_argument("--gates", required=True)
        step.add_argument("--arguments", default="")
        for folder in ("report", "store", "baseline"):
            step.add_argument(f"--{folder}", type=Path, required=True)
    step = steps.add_parser("comment")
    step.add_argument("--suite", required=True)
    step.add_argument("--markdown", required=True)
    step.add_argument("--status", default="")
    step = steps.add_parser("fork")
    step.add_argument("--suite", required=True)
    given = parser.parse_args()
    if given.step == "plan":
        plan.plan(given.suite, given.gates)
    elif given.step == "gates":
        gates.run(given.gates, given.arguments, given.report, given.store, given.baseline)
    elif given.step == "baseline":
        baseline.save(given.gates, given.arguments, given.report, given.store, given.baseline)
    elif given.step == "comment":
        comment.of_run(given.suite, given.markdown, given.status)
    else:
        comment.of_fork(given.suite)


if __name__ == "__main__":
    main()
