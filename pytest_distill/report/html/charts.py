"""The charts of a report, each told in text and as a table too."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_distill.report.html.deferral import deferral_charts
from pytest_distill.report.html.drawing import Chart
from pytest_distill.report.html.forest import forest_charts
from pytest_distill.report.html.frontiers import frontier_charts
from pytest_distill.report.html.pairs import pair_charts
from pytest_distill.report.html.reliability import reliability_charts
from pytest_distill.report.records.report import Report


def charts(report: Report) -> Sequence[Chart]:
    """Return the charts, those of a kind beside each other; none where there is nothing to show."""
    return [
        *frontier_charts(report.frontiers),
        *forest_charts(report),
        *pair_charts(report.pairs),
        *deferral_charts(report.gates),
        *reliability_charts(report),
    ]
