"""The report for people: tables of the models and blocks of the gates, as wide as the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from pytest_distill.errors import one_line
from pytest_distill.report.blocks import Blocks, ReportLine, test_name
from pytest_distill.report.evals import eval_lines
from pytest_distill.report.frontier import frontier_lines, several_students
from pytest_distill.report.records.report import Report
from pytest_distill.report.since import since_the_baseline
from pytest_distill.report.tables import cells, few_lines, wrapped

LEAST_COLUMNS, MOST_COLUMNS = 60, 200


def terminal_width(columns: int | None = None) -> int:
    """Return how many columns a report has; by default the terminal's, 80 where there is none."""
    wanted = shutil.get_terminal_size().columns if columns is None else columns
    return min(max(wanted, LEAST_COLUMNS), MOST_COLUMNS)


def report_lines(report: Report, width: int, verbosity: int = 0) -> list[ReportLine]:
    """Return the report without its last line, no line longer than `width`.

    Parameters
    ----------
    report : Report
        What the run found out.
    width : int
        Columns, 60 to 200.
    verbosity : int
        As pytest's: under 0 only what did not pass, 1 also how each verdict was reached, 2 also
        the lost examples.
    """
    lines: list[str] = []
    if verbosity >= 0:
        lines += eval_lines(report, width, more=verbosity > 0)
        lines += _since_the_baseline(report, width)
    if verbosity > 0:
        for frontier in report.frontiers:
            if several_students(frontier):
                lines += frontier_lines(frontier, width)
    found = [*map(ReportLine, lines), *Blocks(report, width, verbosity).lines()]
    if verbosity >= 0:
        worth = [line for note in report.worth for line in wrapped(note, width)]
        found += map(ReportLine, [*worth, *([""] if worth else [])])
    return [ReportLine(one_line(line.text), line.outcome) for line in found]


def remark_lines(report: Report, width: int) -> list[str]:
    """Return what to know of files that were not looked into; nothing where all were."""
    parts = [part for remark in report.remarks for part in remark.splitlines()]
    # A line that is indented is to be copied.
    lines = [line for p in parts for line in ([p] if p.startswith(" ") else wrapped(p, width))]
    return [one_line(line) for line in [*lines, *([""] if lines else [])]]


def last_line(report: Report, width: int) -> str:
    """Return what the run comes to, with as many names behind each reason as fit."""
    if report.outcome == "SHIP":
        scope = f" ({'; '.join(report.scope)})" if report.scope else ""
        return one_line(f"SHIP{scope}: {', '.join(report.tally)}")
    names = [list(dict.fromkeys(map(test_name, reason.names))) for reason in report.reasons]
    if not any(names):
        return one_line(f"{report.outcome} ({report.reason})")
    shown = [0] * len(names)

    def line() -> str:
        told = [
            _named(reason.text, found, n)
            for reason, found, n in zip(report.reasons, names, shown, strict=True)
        ]
        return one_line(f"{report.outcome}: {'; '.join(told)}")

    for part, found in enumerate(names):
        for shown[part] in range(min(len(found), width // 2), -1, -1):
            if cells(line()) <= width:
                break
    return line()


def _named(text: str, names: Sequence[str], shown: int) -> str:
    rest = [f"and {len(names) - shown:,} more"] if shown < len(names) else []
    return f"{text}: {', '.join([*names[:shown], *rest])}" if shown else text


def _since_the_baseline(report: Report, width: int) -> list[str]:
    """Return what changed since the accepted run, for each ``distill.yaml`` that has one."""
    lines: list[str] = []
    for since in since_the_baseline(report):
        told = [
            *few_lines(since.models),
            *few_lines(since.gold),
            *few_lines([f"{change}: {gate}" for change, gate in since.gates]),
            *since.notes,
        ]
        lines += wrapped(since.title, width)
        lines += [line for note in told for line in wrapped(note, width, "  ")]
        lines.append("")
    return lines
