"""The Markdown report: what it tells, that nothing of it is markup of a stranger, and its size."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import pytest

from pytest_distill.errors import one_line
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.markdown_file import text
from pytest_distill.report.records import GateRow, Reason, Report

RAW_HTML = 1 << 17
"""CMARK_OPT_UNSAFE: GitHub reads raw HTML too, and takes away later what it does not allow."""

PASSED = GateRow(
    nodeid="gates/test_ship.py::test_keeps",
    config="distill.yaml",
    gate="quality_retained",
    outcome=Outcome.PASSED,
    eval="reviews",
    metric="accuracy",
    model="student",
    observed=0.9421,
    required=0.92,
    relation=">=",
    facts=("0.9223..0.9619", "206 lost", "firm"),
    basis="95 % interval 0.9223 to 0.9619 (score)",
)
FAILED = replace(PASSED, outcome=Outcome.FAILED, observed=0.8)
NOT_RUN = GateRow("test_a.py::test_skipped", None, None, Outcome.NOT_RUN, notes=("skipped", "no"))

HOSTILE = (
    "a|b|c",
    "`x` ``y`` ```",
    "```\n# heading\n```",
    "<script>alert(1)</script>",
    "</code></td></table><img src=x onerror=alert(1)>",
    "<!-- comment",
    "-->",
    "&lt;b&gt; &amp; &#60;",
    "*em* _em_ **strong** ~~gone~~",
    "[link](https://evil.example) ![image](//evil.example/x.png)",
    "[link]: https://evil.example",
    "https://evil.example www.evil.example someone@evil.example",
    "@octocat @team/all #123 GH-1 owner/repo#5 !7 &8 %9",
    "line\n\n## heading\n\n- item\n/close\n",
    "\r\n::error file=x::y",
    "##[error]x",
    "\x1b[31mred\x1b[0m \x00 \x07",
    "\u202egnp.exe \u2066x\u2069 \u200b",
    "\u2028\u2029\x85",
    "\ud800 broken",
    "</details><details open>",
    "> quoted",
    "    indented",
    "\\| \\` \\<b>",
    ":smile: $x$ $$y$$",
    "数据 naïve 🤖",
    "x" * 5000,
    "<" * 5000,
)


class Tree(HTMLParser):
    """What a browser is handed: the tags, the text in ``<code>``, and the text elsewhere."""

    def __init__(self, rendered: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.comments = 0
        self.codes: list[str] = []
        self.other = ""
        self._open: list[str] = []
        self.feed(rendered)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.add(tag)
        assert {name for name, _ in attrs} <= {"colspan"}
        self._open.append(tag)
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        """Expect the tag that was opened last."""
        assert self._open.pop() == tag

    def handle_comment(self, data: str) -> None:  # noqa: ARG002 (a callback's)
        """Count it."""
        self.comments += 1

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        if "code" in self._open:
            self.codes[-1] += data
        else:
            self.other += data


OURS = {"h2", "h3", "ul", "li", "code", "table", "tr", "th", "td", "details", "summary", "p"}


def tree(report: Report) -> Tree:
    """Return the report as GitHub's own renderer of Markdown reads it."""
    rendered = cmarkgfm.github_flavored_markdown_to_html(text(report), RAW_HTML)
    return Tree(rendered)


def everywhere(name: str) -> Report:
    """Return a report that has a name wherever one can stand."""
    notes = (name, f"note {name}")
    row = replace(FAILED, nodeid=name, gate=name, eval=name, metric=name, model=name, slice=name)
    rows = (
        replace(row, facts=notes, doubts=notes, notes=notes, basis=name, message=name),
        replace(row, waived=name, criterion=name, config=name),
        replace(NOT_RUN, nodeid=name, notes=notes),
    )
    reasons = (Reason(name, (name,)),)
    return Report(outcome="DO NOT SHIP", reasons=reasons, gates=rows, worth=notes, remarks=(name,))


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:24]))
def test_nothing_that_comes_from_data_is_markup(name: str) -> None:
    """No tag, link, mention, reference or comment comes out of it, and the text is to be read."""
    found = tree(everywhere(name))
    assert found.tags <= OURS
    assert found.comments == 0
    assert not re.search(r"[@#!]\w|https?:|www\.|::", found.other)
    if len(name) < 200:
        assert one_line(name) in found.codes


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: repr(name[:24]))
def test_a_name_begins_no_line(name: str) -> None:
    """A service reads lines of a comment as commands of its own."""
    for line in text(everywhere(name)).splitlines():
        assert not line or line.startswith(("<", "## ", "### "))
        assert line.isprintable()


def many(n: int, name: str) -> Report:
    """Return a report of a run with a great many of everything."""
    gates = tuple(
        replace(FAILED, nodeid=f"{name}{i}", facts=(name, name), doubts=(name,), basis=name)
        for i in range(n)
    )
    names = tuple(row.nodeid for row in gates)
    return Report(
        outcome="DO NOT SHIP",
        reasons=(Reason(f"{n} gates of {n} did not pass", names), *(Reason(x) for x in names)),
        gates=gates,
        worth=names,
        remarks=names,
    )


@pytest.mark.parametrize("n", [0, 1, 30, 4000])
@pytest.mark.parametrize("name", ["test_ship.py::test_", "<" * 3000, "数" * 3000])
def test_it_is_short_whatever_the_run(n: int, name: str) -> None:
    """What there is no room for is counted, and the verdict always stands."""
    told = text(many(n, name))
    assert len(told.encode()) < 60_000
    assert told.startswith("## \N{BALLOT X} DO NOT SHIP")
    assert tree(many(n, name)).tags <= OURS
    rows = told.partition("### Gates that did not pass")[2].partition("</table>")[0]
    left_out = re.search(r"and ([0-9,]+) more", rows)
    counted = int(left_out[1].replace(",", "")) if left_out else 0
    assert rows.count("<td>FAILED</td>") + counted == n
