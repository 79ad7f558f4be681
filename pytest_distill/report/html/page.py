"""The page: the verdict, charts, how each verdict was reached, and the answers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from pytest_distill.report.examples import ExampleTable
from pytest_distill.report.records import Report


def page(report: Report, examples: Sequence[ExampleTable]) -> str:
    """Return the page.

    Parameters
    ----------
    report : Report
        What the run found out.
    examples : sequence of ExampleTable
        What the models answered; none where that is not known, as of a JSON report.
    """
    from jinja2 import Environment, FunctionLoader

    folder = files("pytest_distill.report.html")
    env = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return env.get_template("page.html.j2").render(report=report, examples=examples)
