"""What a name on the Hugging Face hub stands for, and why the hub does not give it.

Models and data sets are found alike: a branch or a tag is resolved to its commit once, and from
then on only the commit is asked for.
"""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["model", "dataset"]

MAIN = "main"
"""The branch that a name without a revision stands for."""
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubError(Exception):
    """Why the hub and its cache do not give something: a phrase for the message of an error."""


class Trouble(NamedTuple):
    """Why the hub does not give something: what is the matter, and what to do."""

    what: str
    do: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.do}" if self.do else self.what


class Found(NamedTuple):
    """The commit that a name and its revision stand for.

    Parameters
    ----------
    commit : str
        All 40 digits.
    names : tuple of str, optional
        The paths of its files; None where neither hub nor cache tell.
    trouble : Trouble, optional
        Why the hub could not be asked, so that the commit is what the cache knows.
    """

    commit: str
    names: tuple[str, ...] | None = None
    trouble: Trouble | None = None

    def told(self, repo: str, revision: str | None) -> str:
        """Return which commit a name stands for, for a reader of the report."""
        if revision == self.commit:
            return f"{repo} is commit {self.commit}"
        branch = revision or MAIN
        if self.trouble is None:
            return f"{repo} is commit {self.commit} ({branch})"
        return (
            f"{repo} is commit {self.commit}, which {branch} was when the hub was last asked; now "
            f"{self.trouble.what}"
        )


def find(repo: str, revision: str | None, kind: Kind = "model", *, offline: bool = False) -> Found:
    """Return the commit that a name stands for now, or did when the hub was last asked.

    The hub is not asked for a commit whose files are known, and not where it is to be `offline`.

    Raises
    ------
    HubError
        Where the hub doesn't know the name or refuses it, or it can't be reached, and the cache
        doesn't know it either.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        HFValidationError,
        OfflineModeIsEnabled,
        RevisionNotFoundError,
    )

    pinned = is_commit(revision)
    if pinned and (names := _listed(repo, str(revision), kind)) is not None:
        return Found(str(revision), names)
    try:
        if offline:
            raise OfflineModeIsEnabled
        with quiet():
            api = HfApi()
            asked = api.dataset_info if kind == "dataset" else api.model_info
            info = asked(repo, revision=revision or MAIN, timeout=constants.HF_HUB_ETAG_TIMEOUT)
            if not pinned:
                _remember(repo, revision or MAIN, str(info.sha), kind)
        return Found(str(info.sha), tuple(file.rfilename for file in info.siblings or ()))
    except Exception as error:  # noqa: BLE001 - the network, the hub and its client each have theirs
        trouble = reason(error, repo, revision, kind)
        final = isinstance(error, HFValidationError | RevisionNotFoundError)
        folder = None if final else cached(repo, revision, kind)
        if folder is None:
            raise HubError(str(trouble)) from None
        return Found(folder.name, _listed(repo, folder.name, kind), trouble)


def is_commit(revision: str | None) -> bool:
    """Return whether a revision is a commit, which nobody can move."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def cached(repo: str, revision: str | None, kind: Kind = "model") -> Path | None:
    """Return the folder where the cache holds files of a revision; the network is not asked."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repo, repo_type=kind, revision=revision, local_files_only=True, allow_patterns=[]
            )
        )
    except (OSError, ValueError):
        return None


def reason(error: BaseException, repo: str, revision: str | None, kind: Kind = "model") -> Trouble:
    """Return what went wrong at the hub, and what to do."""
    from huggingface_hub import constants, errors

    told = error  # that a file isn't in the cache either says nothing of why the hub gave none
    while told.__cause__ is not None and (
        isinstance(told, errors.LocalEntryNotFoundError) or not is_of_the_hub(told)
    ):
        told = told.__cause__
    status = getattr(getattr(told, "response", None), "status_code", None)
    hub = constants.ENDPOINT
    page = f"{hub}/{'datasets/' if kind == 'dataset' else ''}{repo}"
    what = "data set" if kind == "dataset" else "model"
    names = {cls.__name__ for cls in type(told).__mro__}  # of httpx, whose own name changes
    if isinstance(told, errors.OfflineModeIsEnabled):
        variable = "HF_HUB_OFFLINE" if kind == "model" else "HF_HUB_OFFLINE or HF_DATASETS_OFFLINE"
        return Trouble(f"{variable} is set", "run once without it, to fill the cache")
    if isinstance(told, errors.GatedRepoError) and status == 403:
        return Trouble("it is gated, and your account has no access to it", f"ask for it at {page}")
    if isinstance(told, errors.GatedRepoError):
        return Trouble("it is gated", f"accept its terms at {page} and set HF_TOKEN to your token")
    if isinstance(told, errors.RepositoryNotFoundError):
        return Trouble(
            f"there is no such {what}, or it is private",
            "correct the name, or set HF_TOKEN to a token that may read it",
        )
    if isinstance(told, errors.RevisionNotFoundError):
        return Trouble(
            f"it has no revision '{revision}'", "name a branch, a tag or all 40 digits of a commit"
        )
    if status in (401, 403):
        return Trouble(
            f"access is refused ({status})", f"set HF_TOKEN to a token that reads {page}"
        )
    if status is not None:
        return Trouble(f"{hub} answers {status}", "try again later")
    text = " ".join(str(told).split()).rstrip(".:") or type(told).__name__
    if isinstance(told, json.JSONDecodeError):
        return Trouble(f"{hub} does not answer as a hub", "look at HF_ENDPOINT and the network")
    if "TimeoutException" in names:
        return Trouble(f"{hub} does not answer in time", "try again, or look at the network")
    if names & {"ConnectError", "ProxyError"}:
        where = _host(told) or hub
        return Trouble(f"{where} cannot be reached ({text})", "look at the network, or try later")
    if names & {"NetworkError", "RemoteProtocolError"}:
        return Trouble("the connection was cut", "run again; files that are complete are kept")
    if isinstance(told, OSError) and told.strerror:
        return Trouble(f"{told.strerror} ({told.filename or constants.HF_HUB_CACHE})")
    return Trouble(text)


def _host(error: Any) -> str | None:
    """Return where a request was sent that failed."""
    try:
        url = error.request.url
    except (AttributeError, RuntimeError):  # of httpx, where it knows of none
        return None
    return f"{url.scheme}://{url.netloc.decode()}"


def is_of_the_hub(error: BaseException) -> bool:
    """Return whether an error is of the hub's client or of the network below it."""
    modules = {cls.__module__.partition(".")[0] for cls in type(error).__mro__}
    return bool(modules & {"huggingface_hub", "httpx", "httpx2"})


@contextmanager
def quiet(*loggers: str) -> Iterator[None]:
    """Keep what the hub's client says on its way, and its progress bars, out of pytest's output.

    Parameters
    ----------
    *loggers : str
        Who else is to keep silent.
    """
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    levels = {log: log.level for log in map(logging.getLogger, ("huggingface_hub", *loggers))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for log in levels:
            log.setLevel(logging.CRITICAL)  # what is an error is raised as well
        disable_progress_bars()
        try:
            yield
        finally:
            for log, level in levels.items():
                log.setLevel(level)
            if shown:
                enable_progress_bars()


def _remember(repo: str, branch: str, commit: str, kind: Kind) -> None:
    """Let the cache note which commit a branch is, for when the hub can't be asked.

    It does so when a file is asked for by the branch, and where there is no such file too.
    """
    from huggingface_hub import hf_hub_download

    known = cached(repo, branch, kind)
    if known is None or known.name != commit:
        small = "README.md" if kind == "dataset" else "config.json"
        with suppress(Exception):  # what keeps the hub from giving files is told of those needed
            hf_hub_download(repo, small, repo_type=kind, revision=branch)


def _listed(repo: str, commit: str, kind: Kind) -> tuple[str, ...] | None:
    """Return the paths of a commit's files as the cache knows them, from huggingface_hub 2 on."""
    try:
        from huggingface_hub import get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError
    except ImportError:
        return None
    files: Any
    try:
        files = get_cached_repo_tree(repo, repo_type=kind, revision=commit)
    except (CachedRepoTreeNotFoundError, OSError, ValueError):
        return None
    return tuple(file.path for file in files)
