"""What pytest-html and Allure show of a gate test: the real ones write the reports."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import pytest

from .project import Project, Run, gates_of, outcomes_of, write_gates
from .test_waivers import TOLD, waive

REPORTS = (
    *("--html", "out.html", "--self-contained-html"),
    *("--alluredir", "allure", "--distill-json", "out.json"),
)
HOSTILE = "<img src=x onerror=alert(1)>"


class Cells(HTMLParser):
    """The text of each cell of a table's body, and all tags that stand anywhere."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._in_cell = False
        self.feed(written)

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002 (the parser's own)
        """Begin a row or a cell."""
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "br":
            self.handle_data("\n")
        if tag == "td":
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        """End a cell."""
        self._in_cell = self._in_cell and tag != "td"

    def handle_data(self, data: str) -> None:
        """Add a piece of text to the cell that it is in."""
        if self._in_cell:
            self.rows[-1][-1] += data

    @property
    def gates(self) -> list[list[str]]:
        """The rows of the table's body."""
        return [row for row in self.rows if row]


class Jsonblob(HTMLParser):
    """What a report of pytest-html holds, of which its script makes the page."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.tests: dict[str, list[dict[str, Any]]] = {}
        self.feed(written)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        """Keep the one attribute."""
        blob = dict(attrs).get("data-jsonblob")
        if blob:
            self.tests = json.loads(blob)["tests"]


def in_html(project: Project) -> dict[str, list[str]]:
    """Return the tables in the report of pytest-html: name of a test -> HTML."""
    found = Jsonblob((project.path / "out.html").read_text(encoding="utf-8")).tests
    return {
        nodeid.rpartition("::test_")[2]: [
            extra["content"] for extra in rows[-1]["extras"] if extra["name"] == "gates"
        ]
        for nodeid, rows in found.items()
    }


def in_allure(project: Project) -> dict[str, list[str]]:
    """Return the attachments in Allure's results: name of a test -> HTML."""
    found: dict[str, list[str]] = {}
    paths = (project.path / "allure").glob("*-result.json")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    for result in sorted(results, key=lambda result: int(result["start"])):
        name = result["fullName"].rpartition("#test_")[2]
        for each in result.get("attachments", ()):
            assert (each["name"], each["type"]) == ("gates", "text/html")
            written = (project.path / "allure" / each["source"]).read_text(encoding="utf-8")
            found.setdefault(name, []).append(written)
        found.setdefault(name, [])
    return found


def both(project: Project) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return what either shows, by name of a test."""
    return in_html(project), in_allure(project)


def test_each_test_shows_its_verdicts(project: Project, run: Run) -> None:
    """Passed, failed, waived and not run: what is known of a gate stands with its test.

    Also where a worker of xdist ran it: one worker is as far away as several.
    """
    waive(project, "beats_sft")
    write_gates(
        project,
        both="assert_flips(0.2)\nassert_quality_retained(0.95)",
        known="assert_beats_sft(min_gain=0.2, confidence=None)",
        broken="assert_quality_retained(0.9, eval='nowhere')",
        skipped="@pytest.mark.skip('no time')\nassert_quality_retained(0.9)",
    )
    project.file("test_other.py", "def test_other():\n    pass\n")
    project.config["waivers"][0]["floor"] = 0.0
    project.save()
    run("-n", "1", *REPORTS)
    for shown in both(project):
        assert {name: len(tables) for name, tables in shown.items()} == {
            "both": 1,
            "known": 1,
            "broken": 1,
            "skipped": 1,
            "other": 0,
        }
        gates = {name: Cells(tables[0]).gates for name, tables in shown.items() if tables}
        flips, retained = gates["both"]
        assert flips[:4] == [
            "PASSED",
            "0.1500",
            "<= 0.2",
            "flips\nreviews, accuracy, student",
        ]
        assert retained[:3] == ["FAILED", "0.9444", ">= 0.95"]
        assert "flips: 3 lost, 2 won" in retained[4]
        ((outcome, *_, why),) = gates["known"]
        assert (outcome, TOLD in why) == ("waived", True)
        ((outcome, observed, required, gate, why),) = gates["broken"]
        assert (outcome, observed, required, gate) == ("NOT RUN", "", "", "quality_retained")
        assert "nowhere" in why
        ((outcome, *_, why),) = gates["skipped"]
        assert (outcome, why) == ("NOT RUN", "skipped\nno time")


def test_they_tell_what_the_report_tells_of_attempts(project: Project, run: Run) -> None:
    """What failed once stays failed there too, however often a plugin repeats the test."""
    write_gates(
        project,
        flaky="first = not os.path.exists('seen')\n"
        "open('seen', 'w').close()\n"
        "assert_quality_retained(0.95 if first else 0.9)",
    )
    run(*REPORTS, "--reruns", "1", "--distill-report")
    assert outcomes_of(project) == {"flaky": "FAILED"}
    (note,) = gates_of(project)["flaky"]["notes"]
    for shown in both(project):
        ((outcome, observed, required, _, why),) = Cells(shown["flaky"][-1]).gates
        assert (outcome, observed, required) == ("FAILED", "0.9444", ">= 0.95")
        assert note in why


def test_text_from_data_is_text(project: Project, run: Run) -> None:
    """Names and texts that look like HTML make no element in either report."""
    project.evals[HOSTILE] = project.evals.pop("reviews")
    project.save()
    write_gates(
        project,
        head="import pytest\nfrom pytest_distill import *\n",
        judged=f"assert_quality_retained(0.9, eval={HOSTILE!r})",
        asked="assert_quality_retained(0.9, eval='</td><script>\\u202e')",
        raises="@pytest.mark.distill\nraise ValueError('<script>')",
    )
    run(*REPORTS)
    ours = {"table", "caption", "thead", "tbody", "tr", "th", "td", "b", "br", "code"}
    page = {"html", "head", "meta", "title", "body"}
    for shown, tags in zip(both(project), (ours, ours | page), strict=True):
        for tables in shown.values():
            (table,) = tables
            assert Cells(table).tags <= tags
            assert "\u202e" not in table
        told = {name: Cells(tables[0]).gates[0] for name, tables in shown.items()}
        assert HOSTILE in told["judged"][3]
        assert "'</td><script>\\u202e'" in told["asked"][4]
        assert told["raises"][4] == "error\nValueError: <script>"


@pytest.mark.parametrize("off", [("--html", "out.html"), ("-p", "no:html"), ()])
def test_what_others_put_there_stays(project: Project, run: Run, off: tuple[str, ...]) -> None:
    """Extras of the project's own stay; without a report of pytest-html none are added."""
    project.file(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True, trylast=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.extras = [{"name": "own", "format_type": "text",
                               "content": report.when, "mime_type": "text/plain",
                               "extension": "txt"}]
            return report

        def pytest_runtest_logreport(report):
            if report.when == "teardown":
                print("\\nEXTRAS", *(extra["name"] for extra in report.extras))
        """,
    )
    write_gates(project, keeps="assert_quality_retained(0.9)")
    result = run("-s", *off)
    result.assert_outcomes(passed=1)
    expected = "EXTRAS own gates" if off[:1] == ("--html",) else "EXTRAS own"
    assert [line for line in result.outlines if line.startswith("EXTRAS")] == [expected]
