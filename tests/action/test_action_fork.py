"""The comment on a fork, as the workflow on ``workflow_run`` writes it through ``action/fork``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .runner import Ended, Runner, fork_event
from .stand_in import FORK, HEAD, LONGEST, REPOSITORY, Fault, Hub

MARKER = "<!-- pytest-distill: gates -->"
NAME = "pytest-distill-gates"

Post = Callable[..., Ended]


@pytest.fixture
def post(hub: Hub, tmp_path: Path) -> Post:
    """Return a function that runs the action, which must not fail, and returns how it ended."""

    def inner(event: object = None, suite: str = "gates") -> Ended:
        told = fork_event() if event is None else event
        runner = Runner(hub, tmp_path, tmp_path, "workflow_run", told)  # type: ignore[arg-type]
        ended = runner.run("action/fork/action.yml", suite=suite)
        assert not ended.failed
        assert "Traceback" not in ended.log
        return ended

    return inner


def body_of(hub: Hub, post: Post, report: str) -> str:
    """Return the comment that an uploaded report becomes."""
    hub.add_pull(repository=FORK)
    hub.add_artifact({"distill.md": report}, NAME)
    post()
    (body,) = hub.bodies()
    return body


def test_the_uploaded_report_becomes_the_comment(hub: Hub, post: Post) -> None:
    """With the marker of the suite, and a word of where the text comes from."""
    body = body_of(hub, post, "# DO NOT SHIP\n\n| a | b |\n| - | - |\n")
    assert body.startswith(f"{MARKER}\n")
    assert body.endswith("\n\n# DO NOT SHIP\n\n| a | b |\n| - | - |")
    assert "as its own code wrote it" in body
    assert HEAD in body


def test_the_pull_request_is_found_by_head_and_repository(hub: Hub, post: Post) -> None:
    """Not by what the artifact says, nor one of another fork, or of another commit."""
    hub.add_pull(1, repository="other/models")
    hub.add_pull(2, head="d" * 40, repository=FORK)
    hub.add_pull(3, repository=FORK)
    hub.add_artifact({"distill.md": "# SHIP", "number": "1", "pr.txt": "2"}, NAME)
    post()
    assert hub.comments.keys() == {3}


@pytest.mark.parametrize("heads", [[], ["d" * 40], [HEAD, HEAD]])
def test_without_exactly_one_pull_request_nothing_is_written(
    hub: Hub, post: Post, heads: list[str]
) -> None:
    """It was closed, it has moved on, or two have the same head."""
    for number, head in enumerate(heads):
        hub.add_pull(number + 1, head, FORK)
    hub.add_artifact({"distill.md": "# SHIP"}, NAME)
    assert "::notice" in post().log
    assert hub.comments == {}


@pytest.mark.parametrize(
    "event",
    [
        fork_event(repository=REPOSITORY),
        fork_event(event="push"),
        {"workflow_run": {"event": "pull_request", "head_sha": HEAD, "head_repository": None}},
        {},
    ],
    ids=["own repository", "push", "fork is gone", "no run"],
)
def test_other_runs_are_left_alone(hub: Hub, post: Post, event: object) -> None:
    """The run of the repository itself has written its comment."""
    assert "::notice" in post(event).log
    assert hub.requests == []


@pytest.mark.parametrize(
    ("hostile", "must_not"),
    [
        (f"{MARKER}\n<!-- other: marker -->", "<!--"),
        ("<!--", "<!--"),
        ("thanks @octocat and @team/everyone", r"@\w"),
        (r"\@octocat", r"@\w"),
        (
            "&#64;octocat &#064octocat &#x40;octocat &#X040octocat &commat;octocat",
            r"@\w|&(#|commat)",
        ),
        ("@&#111;ctocat &#x200b; &#8238;", r"@[&\w]|&#"),
        ("G&#72;&#45;4 http&#58;//evil.example &#119;ww.evil.example", r"GH-\d|://|www\."),
        ("fixes #1, other/repo#23, GH-4 #&#49;", r"(?<!&)#\d|GH-\d|#&"),
        ("[here](https://evil.example) <https://evil.example> https://evil.example", r"\]\(|://"),
        ("[here][1]\n\n[1]: //evil.example", r"\]\[|\]:"),
        ("www.evil.example mailto:a@b.example", r"www\.|mailto:|@b"),
        ("![pixel](//evil.example/a.png)", r"\]\("),
        ('<img src="x"> <a href="//evil.example">here</a> <script>alert(1)</script>', r"<(?!!--)"),
        ('<details open onclick="x"><summary style="x">', r"<(?!!--)"),
        ("a\u202eb\u2066c\x1b[31md\re", "[\u202e\u2066\x1b\r]"),
    ],
)
def test_a_hostile_report_does_nothing(hub: Hub, post: Post, hostile: str, must_not: str) -> None:
    """It mentions nobody, links to nothing, shows no picture, hides and forges nothing."""
    body = body_of(hub, post, f"before\n\n{hostile}\n\nafter")
    text = body[body.index("before") :]
    assert not re.search(must_not, text)
    assert body.count("<!--") == 1
    assert text.endswith("after")


def test_a_plain_report_stays_as_it_is(hub: Hub, post: Post) -> None:
    """What reports are made of needs no change: tables, code, folded details, escaped letters."""
    report = (
        "| gate | observed |\n| :- | -: |\n| `a < b` | 0.91 &lt; 0.92 &#124; x |\n\n"
        "<details><summary>more: 3 &amp; 4</summary>\n\n- [ ] one #x\n\n"
        "```\na -> b\n```\n</details>"
    )
    assert body_of(hub, post, report).endswith(report)


def test_a_long_report_is_cut(hub: Hub, post: Post) -> None:
    """However large the fork makes it."""
    body = body_of(hub, post, "@a\n" * 2_000_000)
    assert len(body.encode()) <= LONGEST
    assert "cut off" in body


def test_only_the_artifact_with_the_known_name_counts(hub: Hub, post: Post) -> None:
    """The newest of that name, not an expired one, and the file at its top alone."""
    hub.add_artifact({"distill.md": "one"}, NAME)
    hub.add_artifact({"distill.md": "two", "lost/distill.md": "no", "../distill.md": "no"}, NAME)
    hub.add_artifact({"distill.md": "no"}, "pytest-distill-gates-2")
    hub.add_artifact({"distill.md": "no"}, NAME)
    hub.artifacts[55][-1]["expired"] = True
    hub.add_pull(repository=FORK)
    post()
    assert hub.bodies()[0].endswith("\n\ntwo")


def test_the_suite_is_cleaned_as_by_the_gates(hub: Hub, post: Post) -> None:
    """Both workflows name it alike."""
    hub.add_pull(repository=FORK)
    hub.add_artifact({"distill.md": "# SHIP"}, "pytest-distill-my-gates-b91e5f25")
    post(suite="my gates/-->")
    assert "<!-- pytest-distill: my-gates-" in hub.bodies()[0]
    assert hub.bodies()[0].count("-->") == 1


@pytest.mark.parametrize("data", [None, b"", b"no archive", b"PK\x03\x04" + b"x" * 100], ids=str)
def test_a_run_without_reports_is_incomplete(hub: Hub, post: Post, data: bytes | None) -> None:
    """An older SHIP must not stand there as if it were of this commit."""
    hub.add_pull(repository=FORK)
    hub.add_comment(f"{MARKER}\n# SHIP")
    if data is not None:
        hub.add_artifact(data, NAME)
    post()
    (body,) = hub.bodies()
    assert "INCOMPLETE" in body
    assert "# SHIP" not in body


def test_the_token_is_not_sent_where_artifacts_lie(hub: Hub, post: Post) -> None:
    """The API redirects to storage on another host."""
    body_of(hub, post, "# SHIP")
    tokens = {request.token for request in hub.requests if request.path.startswith("/storage")}
    assert tokens == {None}


@pytest.mark.parametrize(
    "part", ["GET /repos/team/models/pulls", "GET /repos/team/models/actions", "POST /repos"]
)
@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_a_line_in_the_log(hub: Hub, post: Post, part: str, status: int) -> None:
    """Which does not fail the workflow."""
    hub.add_pull(repository=FORK)
    hub.add_artifact({"distill.md": "# SHIP"}, NAME)
    hub.faults = [Fault(part, status)]
    log = post().log
    assert "::warning title=pytest-distill::Not commented" in log
    assert f": {status} " in log
    assert hub.comments == {}
