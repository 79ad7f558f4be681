"""The comment of a run, as ``action comment`` writes it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .runner import ROOT, Runner, pull_event
from .stand_in import FORK, HEAD, LONGEST, REPOSITORY, Fault, Hub

ISSUES = f"/repos/{REPOSITORY}/issues"
MARKER = "<!-- pytest-distill: gates -->"

Comment = Callable[..., str]


@pytest.fixture
def comment(hub: Hub, tmp_path: Path) -> Comment:
    """Return a function that comments with a report, and returns the log; it must not fail."""

    def inner(report: str | None = "# SHIP", *, suite: str = "gates", event: object = None) -> str:
        markdown = tmp_path / "distill.md"
        if report is not None:
            markdown.write_bytes(report.encode("utf-8", "surrogateescape"))
        runner = Runner(hub, tmp_path, tmp_path, "pull_request", event or pull_event())  # type: ignore[arg-type]
        ran = subprocess.run(
            [
                *(sys.executable, "-I", str(ROOT / "action"), "comment", f"--suite={suite}"),
                *(f"--markdown={markdown}", "--status=1"),
            ],
            env=runner.surroundings(ROOT) | {"GITHUB_TOKEN": "of-this-job"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    return inner


def test_a_first_run_comments_and_a_second_writes_anew(hub: Hub, comment: Comment) -> None:
    """One comment, which says what the last run found out, of which commit."""
    hub.add_pull()
    comment("# DO NOT SHIP")
    comment("# SHIP\n\nall passed")
    (body,) = hub.bodies()
    assert body.startswith(f"{MARKER}\n# SHIP\n\nall passed\n")
    assert HEAD in body
    assert f"https://github.example/{REPOSITORY}/actions/runs/55" in body
    assert {request.token for request in hub.requests} == {"Bearer of-this-job"}


def test_the_same_report_is_not_written_twice(hub: Hub, comment: Comment) -> None:
    """A repeated run that says the same leaves no trace in the history of the comment."""
    hub.add_pull()
    comment()
    comment()
    assert (len(hub.bodies()), hub.asked("PATCH")) == (1, [])


def test_each_suite_has_its_comment(hub: Hub, comment: Comment) -> None:
    """Two suites of one pull request do not write over each other."""
    hub.add_pull()
    for suite, report in (("de", "one"), ("en", "two"), ("de", "three")):
        comment(report, suite=suite)
    first, second = hub.bodies()
    assert first.startswith("<!-- pytest-distill: de -->\nthree\n")
    assert second.startswith("<!-- pytest-distill: en -->\ntwo\n")


@pytest.mark.parametrize("page", [1, 2, 100])
def test_the_comment_is_found_on_any_page(hub: Hub, comment: Comment, page: int) -> None:
    """A pull request that is talked about has many comments."""
    hub.add_pull()
    hub.page = page
    for _ in range(4):
        hub.add_comment("nice", "reviewer")
    hub.add_comment(f"{MARKER}\nold")
    hub.add_comment("thanks", "reviewer")
    comment("new")
    assert len(hub.bodies()) == 6
    assert hub.bodies()[4].startswith(f"{MARKER}\nnew\n")


@pytest.mark.parametrize(
    ("author", "body"),
    [
        ("reviewer", f"{MARKER}\nquoted whole"),
        ("other[bot]", f"{MARKER}\nquoted whole"),
        ("github-actions", f"{MARKER}\na person of that name"),
        ("github-actions[bot]", f"see\n\n{MARKER}"),
        ("github-actions[bot]", "<!-- pytest-distill: gates-2 -->\nanother suite"),
    ],
)
def test_what_others_wrote_stays(hub: Hub, comment: Comment, author: str, body: str) -> None:
    """Somebody may quote the comment, its marker included."""
    hub.add_pull()
    hub.add_comment(body, author)
    comment()
    assert len(hub.bodies()) == 2
    assert hub.bodies()[0] == body


@pytest.mark.parametrize(
    ("viewer", "author"),
    [(None, "github-actions[bot]"), ("ship-it[bot]", "ship-it[bot]"), ("ann", "ann")],
)
def test_the_author_is_whom_the_token_belongs_to(
    hub: Hub, comment: Comment, viewer: str | None, author: str
) -> None:
    """That of a workflow where the server doesn't tell, else another app or a person."""
    hub.add_pull()
    hub.viewer = viewer
    hub.add_comment(f"{MARKER}\nold", author)
    comment("new")
    assert len(hub.bodies()) == 1


def test_a_fork_is_not_commented(hub: Hub, comment: Comment) -> None:
    """Its token only reads: the log says where the report is, and nothing is asked for."""
    log = comment(event=pull_event(repository=FORK))
    assert log.startswith("::notice")
    assert "summary" in log
    assert hub.requests == []


def test_a_fork_that_is_gone_is_a_fork(hub: Hub, comment: Comment) -> None:
    """GitHub tells no repository of it."""
    assert comment(event=pull_event(repository=None)).startswith("::notice")
    assert hub.requests == []


def test_an_older_run_leaves_the_comment_of_a_newer_one(hub: Hub, comment: Comment) -> None:
    """A slow run that ends after the pull request has moved on says nothing of its commit."""
    hub.add_pull(head="d" * 40)
    hub.add_comment(f"{MARKER}\nof d")
    assert "moved on" in comment("of a")
    assert hub.bodies() == [f"{MARKER}\nof d"]


def test_without_a_report_the_comment_says_so(hub: Hub, comment: Comment) -> None:
    """An older SHIP must not stand there as if it were of this commit."""
    hub.add_pull()
    hub.add_comment(f"{MARKER}\n# SHIP")
    comment(None)
    (body,) = hub.bodies()
    assert "INCOMPLETE" in body
    assert "SHIP" not in body.replace("INCOMPLETE", "")
    assert "status 1" in body


@pytest.mark.parametrize("letter", ["x", "é", "\N{GRINNING FACE}", "@"])
def test_a_long_report_is_cut(hub: Hub, comment: Comment, letter: str) -> None:
    """GitHub takes 65,536 characters; the marker, the commit and a word of it stay."""
    hub.add_pull()
    comment(f"# DO NOT SHIP\n{f'{letter * 70}{chr(10)}' * 2_000}")
    (body,) = hub.bodies()
    assert len(body.encode()) <= LONGEST
    assert body.startswith(f"{MARKER}\n# DO NOT SHIP\n")
    assert "cut off" in body
    assert HEAD in body


def test_bytes_that_are_no_text_are_shown_as_such(hub: Hub, comment: Comment) -> None:
    """A broken file is no reason to say nothing."""
    hub.add_pull()
    comment("# SHIP \udcff")
    assert "# SHIP \ufffd" in hub.bodies()[0]


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_refusal_is_a_line_in_the_log(hub: Hub, comment: Comment, status: int) -> None:
    """It names what was asked and what the server said, once, and no command of the server's."""
    hub.add_pull()
    hub.faults = [Fault(f"POST {ISSUES}", status)]
    log = comment()
    (line,) = log.splitlines()
    assert line.startswith("::warning")
    assert f"{ISSUES}/7/comments: {status} fault%0A::error::{status}" in line
    assert ("pull-requests: write" in line) == (status == 403)
    assert len(hub.asked("POST")) == 2  # who it is, and the comment


@pytest.mark.parametrize("part", ["POST /graphql", "GET /repos", f"GET {ISSUES}", f"POST {ISSUES}"])
@pytest.mark.parametrize("status", [502, 429, 0])
def test_a_server_that_is_busy_is_asked_again(
    hub: Hub, comment: Comment, part: str, status: int
) -> None:
    """Also one that hangs up."""
    hub.add_pull()
    hub.faults = [Fault(part, status, times=1)]
    comment()
    assert len(hub.bodies()) == 1


def test_a_comment_whose_answer_was_lost_is_not_written_twice(hub: Hub, comment: Comment) -> None:
    """Before the second try it is looked for."""
    hub.add_pull()
    hub.faults = [Fault(f"POST {ISSUES}", 502, times=1, happens=True)]
    comment()
    assert len(hub.bodies()) == 1


def test_a_server_that_stays_away_is_a_line_in_the_log(hub: Hub, comment: Comment) -> None:
    """After a few tries."""
    hub.add_pull()
    hub.faults = [Fault(f"GET {ISSUES}", 503)]
    (line,) = comment().splitlines()
    assert line.startswith("::warning")
    assert "503" in line


def test_no_network_is_a_line_in_the_log(hub: Hub, comment: Comment) -> None:
    """Nobody listens there."""
    hub.url = "http://127.0.0.1:9"
    (line,) = comment().splitlines()
    assert line.startswith("::warning")
    assert "refused" in line


@pytest.mark.parametrize("event", [{}, [], {"pull_request": None}, {"pull_request": []}])
def test_an_event_without_a_pull_request_is_a_notice(
    hub: Hub, comment: Comment, event: object
) -> None:
    """Whatever the runner tells."""
    assert comment(event=event or {"push": 1}).startswith("::notice")
    assert hub.requests == []
