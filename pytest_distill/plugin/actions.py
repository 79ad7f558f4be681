"""What a job of GitHub Actions shows of a run: the summary of its step, and annotations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_distill._util.files import append, is_stream, write_stream
from pytest_distill.report.annotations import annotation_lines
from pytest_distill.report.formats import as_text
from pytest_distill.report.records.report import Report

SUMMARY = "GITHUB_STEP_SUMMARY"
MOST_BYTES = 1024 * 1024
"""Of a summary; GitHub shows nothing of a longer one."""
ANNOTATES = "pytest_github_actions_annotate_failures"
"""The plugin that annotates each test whose call fails."""


class ActionsJob:
    """The job that pytest runs in, where it is one of GitHub Actions.

    Parameters
    ----------
    config : pytest.Config
        Its plugins, and the folder from which pytest was called.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._folder = config.invocation_params.dir
        self._annotates = os.environ.get("GITHUB_ACTIONS") == "true"
        self._annotated_elsewhere = config.pluginmanager.hasplugin(ANNOTATES)
        self._annotated: set[str] = set()

    def saw(self, report: pytest.TestReport) -> None:
        """Note what another plugin annotates: a call that failed, also one that is repeated."""
        if report.when == "call" and report.outcome in ("failed", "rerun"):
            self._annotated.add(report.nodeid)

    def summarise(self, report: Report) -> str:
        """Append the report to the summary of the job's step; return what went wrong."""
        given = os.environ.get(SUMMARY)
        if not given:
            return ""
        path = self._folder / given
        try:
            _append(path, as_text("markdown", report))
        except Exception as error:  # noqa: BLE001 (the verdict stands without a summary)
            reason = getattr(error, "strerror", None) or error
            return f"{SUMMARY} {path}: cannot be written: {reason}"
        return ""

    def annotations(self, report: Report) -> list[str]:
        """Return the lines that GitHub shows beside the gates which did not pass."""
        if not self._annotates:
            return []
        return annotation_lines(report, self._annotated if self._annotated_elsewhere else ())


def _append(path: Path, text: str) -> None:
    if is_stream(path):
        write_stream(path, text)
        return
    before = path.stat().st_size if path.exists() else 0
    told = f"\n\n{text}" if before else text  # an empty line ends whatever is open in Markdown
    if before + len(told.encode()) > MOST_BYTES:
        raise OSError(f"GitHub shows at most {MOST_BYTES:,} bytes, and {before:,} are taken")
    append(path, told)
