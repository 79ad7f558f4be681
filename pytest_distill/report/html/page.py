"""The page: the verdict, charts, how each verdict was reached, and the answers side by side."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_distill.errors import printable, some_of
from pytest_distill.report.examples import ExampleTable
from pytest_distill.report.html.deferral import deferral_charts
from pytest_distill.report.html.drawing import COLOURS, Chart
from pytest_distill.report.html.forest import forest_charts
from pytest_distill.report.html.frontiers import frontier_charts
from pytest_distill.report.html.packing import LOST_KEEP, packed
from pytest_distill.report.html.pairs import pair_charts
from pytest_distill.report.html.reliability import reliability_charts
from pytest_distill.report.html.told import evals_told, gates_told, reasons_told
from pytest_distill.report.records.report import Report
from pytest_distill.report.since import LESS_STRICT, since_the_baseline

if TYPE_CHECKING:
    from jinja2 import Environment

TONES = {"SHIP": ("good", "\N{CHECK MARK}"), "DO NOT SHIP": ("bad", "\N{BALLOT X}")}
OTHER_TONE = ("unsure", "!")
ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" \
fill="{}"/><text x="8" y="12" font-size="11" text-anchor="middle" fill="#fff">{}</text></svg>"""
ICON_COLOURS = {"good": "#00735c", "bad": "#b3261e", "unsure": "#8a5a00"}
SCRIPTS = ("folds.js", "examples.js", "answers.js")
PARTS = {
    "changes": ("changes", "What changed"),
    "models": ("evals", "Models"),
    "charts": ("charts", "Charts"),
    "gates": ("gates", "Gates"),
    "notes": ("notes", "Notes"),
    "answers": ("tables", "Answers"),
}
"""Anchor -> what the templates tell there, which may be nothing, and how it is called."""
LEFT = ("role", "outcome")
"""Columns of words; the others are of numbers."""


def page(report: Report, examples: Sequence[ExampleTable]) -> str:
    """Return the page.

    Parameters
    ----------
    report : Report
        What the run found out.
    examples : sequence of ExampleTable
        What the models answered; none where that is not known, as of a JSON report.
    """
    script = "".join(map(_file, SCRIPTS))
    template = _environment().get_template("page.html.j2")
    style, policy = _file("page.css"), _policy(script)
    return template.render(style=style, script=script, policy=policy, **_view(report, examples))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader

    env = Environment(
        autoescape=True,
        finalize=lambda told: printable(told) if type(told) is str else told,
        loader=FunctionLoader(_file),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= {"zip": zip, "dict": dict, "left": LEFT}
    return env


def _file(name: str) -> str:
    return (files("pytest_distill.report.html") / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Return what the page may load: its own style and script, and nothing from elsewhere."""
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _view(report: Report, examples: Sequence[ExampleTable]) -> dict[str, Any]:
    """Return all that the templates tell."""
    tone, mark = TONES.get(report.outcome, OTHER_TONE)
    icon = ICON.format(ICON_COLOURS[tone], mark)
    told = packed(examples)
    view = {
        "report": report,
        "tone": tone,
        "mark": mark,
        "icon": f"data:image/svg+xml,{quote(icon)}",
        "project": _some(model.config for model in report.models),
        "title": _title(report),
        "reasons": reasons_told(report),
        "changes": [*since_the_baseline(report)],
        "less_strict": LESS_STRICT,
        "evals": evals_told(report),
        "charts": charts(report),
        "colours": {"light": _variables(0), "dark": _variables(1)},
        "gates": gates_told(report, examples),
        "notes": report.remarks,
        "tables": _names(examples),
        "packed": told.tables,
        "cut": told.cut,
        "lost_cut": LOST_KEEP * (told.cut or 0),
    }
    parts = [(anchor, name) for anchor, (key, name) in PARTS.items() if view[key]]
    return {**view, "parts": parts}


def charts(report: Report) -> list[Chart]:
    """Return the charts, those of a kind beside each other; none where there is nothing to show."""
    return [
        *frontier_charts(report.frontiers),
        *forest_charts(report),
        *pair_charts(report.pairs),
        *deferral_charts(report.gates),
        *reliability_charts(report),
    ]


def _variables(place: int) -> str:
    """Return the colours of the charts on light or dark paper as variables of the style."""
    return " ".join(f"--{name}: {shades[place]};" for name, shades in COLOURS.items())


def _title(report: Report) -> str:
    """Return the outcome, of whom, and whose report it is."""
    students = _some(model.name for model in report.models if model.role == "student")
    configs = _some(model.config for model in report.models)
    return f"{report.outcome}{students and f': {students}'}{configs and f' ({configs})'}"


def _some(names: Iterable[str]) -> str:
    """Return the first names, each once, and how many more there are; nothing for none."""
    return some_of([*dict.fromkeys(names)], 3)


def _names(examples: Sequence[ExampleTable]) -> list[str]:
    """Return what each table of answers is called, as far as it takes to tell them apart."""
    several = len({table.config for table in examples}) > 1
    names = []
    for table in examples:
        metric = f"{table.metric}{'' if table.higher_is_better else ' (lower is better)'}"
        names.append(", ".join([table.eval, metric, *([table.config] if several else [])]))
    return names
