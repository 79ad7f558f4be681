"""Posts what a run found out as one comment of the pull request, or renews the older one.

Whether the gates passed is for the exit status of the gates to say: nothing here changes it. What
goes wrong becomes a line in the log.
"""

from __future__ import annotations

import html
import os
import re
import time
import unicodedata
import urllib.parse
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import github
from github import Api, ApiError, part, say
from names import MARKDOWN, artifact, cleaned, marker

LIMIT = 65_536
"""The most characters that GitHub takes. Counted in bytes, of which there are never fewer."""

ARCHIVE = 64 * 2**20
"""The most bytes of an artifact that are looked into."""

ACTIONS = "github-actions[bot]"
"""Who writes with the token of a workflow, where the server doesn't tell."""

CUT = "\n\n(The rest is cut off: the report is longer than a comment may be.)\n"

HINT = {
    401: "The token is not valid.",
    403: "The token may not write: the job needs `permissions: pull-requests: write`, and the "
    "token of a fork or of Dependabot never has it.",
    404: "The token may not see the pull request, or it is gone.",
}

ZERO_WIDTH = "\N{ZERO WIDTH SPACE}"
OWN_TAGS = "details|summary|br|sub|sup|b|i|em|strong|code|pre|p|ul|ol|li|table|thead|tbody|tr|th|td"
"""What a report is made of; other tags are shown, not obeyed. None may have an attribute."""

_TAG = re.compile(rf"<(?!/?(?:{OWN_TAGS})\s*/?>|details open>)(?=[A-Za-z/!?])", re.IGNORECASE)
_ACTIVE = re.compile(
    r"@"  # a mention
    r"|(?<!&)#(?=[\d&])|\bGH-(?=[\d&])"  # what links an issue to this place
    r"|\](?=[(\[:])"  # a link, an image, the address of one
    r"|(?<=[A-Za-z]):(?=//)|\bwww(?=\.)|\bmailto(?=:)",  # an address that becomes a link by itself
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d+;?|#[xX][\da-fA-F]+;?|[A-Za-z]\w*;)")


def of_run(suite: str, markdown: str, status: str) -> None:
    """Post the report of this run, set off by a pull request of the repository itself."""
    try:
        _of_run(suite, markdown, status)
    except ApiError as error:
        _refused(error)


def of_fork(suite: str) -> None:
    """Post the report that the run of a fork uploaded, which is anybody's text."""
    try:
        _of_fork(cleaned(suite))
    except ApiError as error:
        _refused(error)


def _of_run(suite: str, markdown: str, status: str) -> None:
    pull = part(github.event(), "pull_request")
    number, head = part(pull, "number"), part(pull, "head", "sha")
    if not isinstance(number, int):
        say("notice", "No pull request set this run off: there is nothing to comment on.")
        return
    if part(pull, "head", "repo", "full_name") != os.environ["GITHUB_REPOSITORY"]:
        say(
            "notice",
            "The pull request comes from a fork, whose token may not write. The report is in the "
            "summary of this run and in its artifact, and the gates decide the check. A workflow "
            "on workflow_run may post it, see docs/ci.md.",
        )
        return
    api = Api.of_run()
    if _moved_on(api, number, head):
        say("notice", f"The pull request has moved on from {head}: not commented.")
        return
    try:
        text = Path(markdown).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = _no_report(f"pytest ended with status {status}" if status else "pytest did not run")
    about = f"\n\nCommit {head}, [run]({github.run_address()})\n"
    _publish(api, number, suite, _cut(text, about, suite))


def _of_fork(suite: str) -> None:
    run = part(github.event(), "workflow_run")
    head, repository = part(run, "head_sha"), part(run, "head_repository", "full_name")
    number = part(run, "id")
    if part(run, "event") != "pull_request" or not (head and repository and number):
        say("notice", "No run of a pull request set this workflow off.")
        return
    if repository == os.environ["GITHUB_REPOSITORY"]:
        say("notice", "The pull request comes from the repository itself, whose run comments it.")
        return
    api = Api.of_run()
    owner, branch = str(repository).partition("/")[0], part(run, "head_branch")
    query = urllib.parse.urlencode({"state": "open", "head": f"{owner}:{branch}"})
    numbers = [
        pull["number"]
        for pull in api.pages(f"pulls?{query}")
        if part(pull, "head", "sha") == head
        and part(pull, "head", "repo", "full_name") == repository
        and isinstance(part(pull, "number"), int)
    ]
    if len(numbers) != 1:
        named = ", ".join(f"#{number}" for number in numbers) or "none"
        say("notice", f"Not commented: of {repository} at {head} there must be one open pull "
            f"request, and there are: {named}.")  # fmt: skip
        return
    text = _uploaded(api, int(number), suite)
    above = (
        f"What the run of a fork says, as its own code wrote it; the check decides. "
        f"Commit {head}, [run]({part(run, 'html_url')})\n\n"
    )
    _publish(api, numbers[0], suite, _cut(untrusted(text), "", suite, above))


def _uploaded(api: Api, run: int, suite: str) -> str:
    """Return the report of the artifact with the known name, and nothing else of it."""
    query = urllib.parse.urlencode({"name": artifact(suite)})
    found = [
        entry
        for entry in api.pages(f"actions/runs/{run}/artifacts?{query}", "artifacts")
        if entry.get("name") == artifact(suite) and not entry.get("expired")
    ]
    if not found:
        return _no_report("the run uploaded no reports")
    newest = max(int(entry["id"]) for entry in found)  # a run that is repeated uploads again
    data = api.download(f"actions/artifacts/{newest}/zip", ARCHIVE)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, archive.open(MARKDOWN) as file:
            return file.read(LIMIT).decode("utf-8", "replace")
    except (zipfile.BadZipFile, LookupError, OSError, NotImplementedError, RuntimeError):
        return _no_report(f"the artifact holds no {MARKDOWN} that can be read")


def untrusted(text: str) -> str:
    """Return Markdown that anybody wrote, so that it tells what it told and does nothing.

    It mentions nobody, links nowhere, shows no picture, hides nothing, and holds no marker.
    """
    shown = _visible(_ENTITY.sub(_undisguised, text))
    return _ACTIVE.sub(lambda found: found[0] + ZERO_WIDTH, _TAG.sub("&lt;", shown))


def _undisguised(entity: re.Match[str]) -> str:
    """Return the letter, where one of them may be a part of a mention, a reference or a link."""
    letter = html.unescape(entity[0])
    if len(letter) != 1:
        return entity[0]
    return letter if letter.isalnum() or letter in "@#:.-/" else _visible(letter) and entity[0]


def _visible(text: str) -> str:
    """Return a text without control letters, also those that turn the direction of writing."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def _moved_on(api: Api, number: int, head: Any) -> bool:
    """Return whether the run is about an older commit: the comment of a newer one stays."""
    try:
        now = part(api.get(f"pulls/{number}"), "head", "sha")
    except ApiError:
        return False
    return None not in (now, head) and now != head


def _no_report(why: str) -> str:
    return f"**INCOMPLETE**: there is no report, {why}."


def _cut(text: str, below: str, suite: str, above: str = "") -> str:
    """Return the comment, at most as long as GitHub takes it."""
    head = f"{marker(suite)}\n{above}"
    room = LIMIT - len((head + below + CUT).encode())
    whole = text.encode("utf-8", "replace")
    if len(whole) > room:
        kept = whole[:room].decode("utf-8", "ignore")
        text = kept[: kept.rfind("\n") + 1 or None] + CUT
    return head + text.rstrip("\n") + below


def _publish(api: Api, number: int, suite: str, body: str) -> None:
    """Write the comment of the suite: the older one anew, else a first one."""
    author = api.viewer() or ACTIONS
    for pause in (*github.PAUSES, None):
        # Looked for at each try: what the server failed to answer may have happened.
        older = _older(api, number, marker(suite), author)
        try:
            if older is None:
                api.write("POST", f"issues/{number}/comments", {"body": body})
            elif older.get("body") != body:
                api.write("PATCH", f"issues/comments/{int(older['id'])}", {"body": body})
        except ApiError as error:
            if pause is None or not error.may_go_away:
                raise
            time.sleep(pause)
        else:
            print(f"Commented on #{number}.")
            return


def _older(api: Api, number: int, line: str, author: str) -> dict[str, Any] | None:
    """Return the comment that begins with a line and is by the same author; others may quote it."""
    for comment in api.pages(f"issues/{number}/comments"):
        first = str(comment.get("body") or "").partition("\n")[0].strip()
        if first == line and part(comment, "user", "login") == author:
            return comment
    return None


def _refused(error: ApiError) -> None:
    say("warning", f"Not commented; the gates decide the check. {error}. "
        f"{HINT.get(error.status, '')}".rstrip())  # fmt: skip
