"""Before the gates run: where everything lies, and under which keys it is cached."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import github
from names import artifact, cleaned

_SHA = re.compile(r"[0-9a-f]{40,64}")


def plan(suite: str, gates: str) -> None:
    """Set the outputs that the steps of the action share.

    The keys of a cache never change what they hold. So each run saves under a key of its own, and
    restores the newest whose key begins as its own does.
    """
    name = cleaned(suite or gates)
    run = f"{os.environ['GITHUB_RUN_ID']}-{os.environ.get('GITHUB_RUN_ATTEMPT', '1')}"
    folder = Path(os.environ["RUNNER_TEMP"]) / "pytest-distill" / name
    baseline = folder / "baseline" / "baseline.json"
    with suppress(FileNotFoundError, NotADirectoryError):
        baseline.unlink()  # a runner's folders may outlive a job
    branch, accepted = base()
    store = f"pytest-distill-store/{name}/"
    baselines = f"pytest-distill-baseline/{name}/{cleaned(branch)}/"
    github.set_outputs(
        {
            "suite": name,
            "artifact": artifact(name),
            "report": str(folder / "report"),
            "store-prefix": store,
            "store-key": f"{store}{run}",
            "baseline": str(baseline),
            "baseline-prefix": baselines,
            "baseline-wanted": f"{baselines}{accepted}/",
            "baseline-key": f"{baselines}{os.environ['GITHUB_SHA']}/{run}",
            "saves-baseline": str(saves_baseline()).lower(),
        }
    )


def saves_baseline() -> bool:
    """Return whether a run that may ship is what pull requests are compared with from now on."""
    of_branch = os.environ.get("GITHUB_REF_TYPE", "branch") == "branch"
    return os.environ["GITHUB_EVENT_NAME"] == "push" and of_branch


def base() -> tuple[str, str]:
    """Return the branch that this run is compared with, and which of its commits."""
    event = github.event()
    pull = github.part(event, "pull_request")
    if pull is not None:
        return str(github.part(pull, "base", "ref")), merge_base(
            str(github.part(pull, "base", "sha")), str(github.part(pull, "head", "sha"))
        )
    queued = github.part(event, "merge_group")
    if queued is not None:
        branch = str(github.part(queued, "base_ref")).removeprefix("refs/heads/")
        return branch, _commit(github.part(queued, "base_sha"))
    return os.environ.get("GITHUB_REF_NAME", ""), _commit(github.part(event, "before"))


def merge_base(base: str, head: str) -> str:
    """Return the commit where the pull request left its base; else the base's, as of the event.

    A checkout has one commit as a rule, so that git can't tell.
    """
    if not (_SHA.fullmatch(base) and _SHA.fullmatch(head)):
        return "unknown"
    try:
        answer = github.Api.of_run().get(f"compare/{base}...{head}?per_page=1")
    except github.ApiError as error:
        github.say("notice", f"The merge base is not known, {base} is taken for it: {error}")
        return base
    found = _commit(github.part(answer, "merge_base_commit", "sha"))
    return base if found == "unknown" else found


def _commit(found: object) -> str:
    return found if isinstance(found, str) and _SHA.fullmatch(found) else "unknown"
