"""The Markdown report: what it tells, that nothing of it is markup of a stranger, and its size."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import pytest

from pytest_distill.errors import one_line
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.markdown_file import text
from pytest_distill.report.records.comparisons import ComparisonRow
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.models import ModelRow
from pytest_distill.report.records.report import LooksRow, Reason, Report
from pytest_distill.report.records.since import BaselineRow, ChangeRow, GateChangeRow, GoldChangeRow

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

STUDENT = ModelRow(
    config="distill.yaml",
    name="student",
    role="student",
    parameters=100,
    bytes=2000,
    active_parameters=None,
    embedding_parameters=None,
    quantization=None,
    latency_ms=None,
    cost_per_1k=None,
    declared=(),
    dtype=None,
    device=None,
    path=None,
    digest=None,
    engine="recorded",
    batch_tokens=None,
    notes=(),
    trained=None,
)
SCORES = ComparisonRow(
    config="distill.yaml",
    eval="reviews",
    metric="accuracy",
    higher_is_better=True,
    scores={"teacher": 0.9, "student": 0.8},
    n=20,
    reported=(),
    retained={"student": 0.8888},
)
MODELS = (replace(STUDENT, name="teacher", role="teacher", parameters=1000), STUDENT)
SLICE = {"n": 9, "teacher": 0.9, "student": 0.8, "retained": 0.88, "outcome": "FAILED"}

CHANGE = (-0.2, 0.1, 20)

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
        assert attrs == []
        if tag != "br":
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


OURS = {
    "h2",
    "h3",
    "ul",
    "li",
    "code",
    "table",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "p",
    "b",
} | {"br"}


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
        replace(PASSED, details={"slices": [{**SLICE, "slice": name}]}),
    )
    return Report(
        outcome="DO NOT SHIP",
        reasons=(Reason(name, (name,)),),
        models=(replace(STUDENT, name=name, role=name, notes=notes, trained=name),),
        comparisons=(
            replace(
                SCORES, eval=name, metric=name, scores={name: 0.5}, retained={}, reported=(name,)
            ),
        ),
        gates=rows,
        baselines=(BaselineRow("distill.yaml", name, 0.0, name, notes=notes),),
        changes=(ChangeRow("distill.yaml", name, name, True, name, name, 0.5, 0.4, -0.1, *CHANGE),),
        gold_changes=(GoldChangeRow("distill.yaml", name, 1, 2, 3, 4),),
        gate_changes=tuple(
            GateChangeRow("distill.yaml", name, name, change, name, name)
            for change in ("added", "removed", "lowered", "raised")
        ),
        looks=(LooksRow("distill.yaml", name, 3, 0.98),),
        worth=notes,
        remarks=(name,),
    )


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
    evals = tuple(f"{name}{i}" for i in range(n))
    models = tuple(replace(STUDENT, name=f"{name}{i}") for i in range(min(n, 200)))
    return Report(
        outcome="DO NOT SHIP",
        models=models,
        comparisons=tuple(
            replace(SCORES, eval=each, scores={model.name: 0.5 for model in models[:20]})
            for each in evals
        ),
        gate_changes=tuple(
            GateChangeRow("distill.yaml", each, name, "removed", name, "") for each in evals
        ),
        looks=tuple(LooksRow("distill.yaml", each, 2, 0.975) for each in evals),
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


def test_what_is_less_strict_stands_out() -> None:
    """Removed gates and lowered thresholds come first, in bold, whatever else changed."""
    changes = [
        GateChangeRow("distill.yaml", "test_a.py::test_new", "size", "added", "", "<= 20 MB"),
        GateChangeRow("distill.yaml", "test_a.py::test_low", "flips", "lowered", "<= 1", "<= 2"),
        GateChangeRow("distill.yaml", "test_a.py::test_gone", "size", "removed", "<= 20 MB", ""),
    ]
    told = text(
        Report(
            outcome="SHIP",
            gates=(PASSED,),
            baselines=(BaselineRow("distill.yaml", "base.json", 0.0, "abc", notes=("old",)),),
            changes=(
                ChangeRow(
                    config="distill.yaml",
                    eval="reviews",
                    metric="accuracy",
                    higher_is_better=True,
                    model="student",
                    role="student",
                    before=0.81,
                    now=0.8,
                    difference=-0.01,
                    lower=-0.02,
                    upper=0.0,
                    n=2000,
                    wins=10,
                    losses=30,
                ),
            ),
            gold_changes=(GoldChangeRow("distill.yaml", "reviews", 1990, 10, 0, 3),),
            gate_changes=tuple(changes),
        )
    )
    part = told.partition("### What changed")[2].partition("<details>")[0]
    items = re.findall("<li>(.*)</li>", part)
    assert items[0].startswith("<code>since base.json (1970-01-01, commit abc")
    assert items[1:3] == [
        "<b>removed</b> <code>test_gone, size, &lt;= 20 MB</code>",
        "<b>lowered</b> <code>test_low, flips, &lt;= 1 -&gt; &lt;= 2</code>",
    ]
    assert items[3].startswith("<code>student on reviews, accuracy: 0.8100 -&gt; 0.8000 ")
    assert "10 added, 0 gone, 3 relabelled" in items[4]
    assert items[5:] == ["<code>old</code>", "added <code>test_new, size, &lt;= 20 MB</code>"]


def test_the_models_stand_in_one_table_an_eval() -> None:
    """Names, sizes, scores, and what the student retained; nothing that is empty."""
    report = Report(outcome="SHIP", gates=(PASSED,), models=MODELS, comparisons=(SCORES,))
    part = text(report).partition("### Models")[2].partition("<details>")[0]
    rows = [re.sub("<.*?>", " ", row).split() for row in part.split("<tr>")[1:]]
    assert rows == [
        ["params", "size", "accuracy", "retained"],
        ["teacher", "1k", "2", "kB", "0.9000"],
        ["student", "100", "2", "kB", "0.8000", "0.8888"],
    ]


def test_what_there_is_nothing_of_is_not_told() -> None:
    """No baseline, no failure, no slices: no headings for them."""
    told = text(Report(outcome="SHIP", tally=("1 of 1 gate passed",), gates=(PASSED,)))
    assert re.findall(r"^#.*|<summary>.*", told, re.MULTILINE) == [
        "## \N{CHECK MARK} SHIP",
        "<summary>All gates: 1</summary>",
    ]
    assert "<li><code>1 of 1 gate passed</code></li>" in told


@pytest.mark.parametrize("format", ["markdown", "codequality"])
def test_a_report_that_has_begun_costs_no_start(format: str) -> None:
    """It is written before the options are checked, so the standard library does."""
    script = (
        "import sys; from pytest_distill.report.formats import as_text; "
        "from pytest_distill.report.records.report import Report; "
        f"as_text('{format}', Report()); "
        "print({'numpy', 'scipy', 'pydantic', 'tabulate', 'wcwidth'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
