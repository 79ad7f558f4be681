"""What is made from what the code declares: parts of the pages, and both schemas.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``. Tests hold all of
it against the code; ``python -m tests.docs.generated`` writes it anew, and names what it wrote.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from pytest_distill.config import json_schema
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evals.metrics.structured import misfit
from pytest_distill.evals.tasks import TASKS, Task
from pytest_distill.report import reading

from .keys import KEYS
from .pages import ROOT, all_pages

_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(?=<!-- end of \2 -->)", re.DOTALL)


def names_of_parts(text: str) -> list[str]:
    """Return the names of a page's parts, in its order."""
    return [name for _, name in _PART.findall(text)]


def with_parts(text: str) -> str:
    """Return a page with its parts as the code has them now."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n\n", text)


def files_now() -> Iterator[tuple[Path, str]]:
    """Yield each file that holds what is made from the code, as the code has it now."""
    yield ROOT / "pytest_distill" / "config" / "distill.schema.json", json_schema.schema()
    yield ROOT / "pytest_distill" / "report" / "schema.json", reading.schema()
    for page in all_pages():
        yield page, with_parts(page.read_text(encoding="utf-8"))


def tasks_table() -> str:
    """Return a row for each task."""
    columns = ("task", "what is asked", "metrics, the default one first", "keys in `distill.yaml`")
    return _table((*columns, "a recorded row has"), map(_task_row, TASKS.values()))


def metrics_table() -> str:
    """Return a row for each built-in metric."""
    columns = ("metric", "tasks", "range, better", "value, its interval", "lost", "needs")
    return _table(columns, map(_metric_row, BUILT_IN.values()))


PARTS: Mapping[str, Callable[[], str]] = {"tasks": tasks_table, "metrics": metrics_table, **KEYS}


_LOST = ("scores worse", "right → wrong")


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = [*columns]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _task_row(task: type[Task]) -> Iterator[str]:
    usual = task().headline
    yield f"[`{task.name}`](tasks.md#{task.name})"
    # The first sentence of its docstring.
    yield re.split(r"[.;]", inspect.getdoc(task) or "", maxsplit=1)[0]
    yield _listed([usual.name, *(metric.name for metric in task.metrics if metric is not usual)])
    keys = _listed(field.name for field in fields(task))
    yield f"{keys}: [meaning](configuration.md#task-{task.name})"
    yield task.needs.replace("'", "`")


def _metric_row(metric: Metric) -> Iterator[str]:
    yield f"[`{metric.name}`](metrics.md#{metric.name})"
    yield ", ".join(task.name for task in TASKS.values() if metric in task.metrics)
    better = "higher" if metric.higher_is_better else "lower"
    yield f"{' to '.join(map(_end, metric.range))}, {better}"
    right_or_wrong = metric.by_label or (isinstance(metric, MeanMetric) and metric.binary)
    yield _judged(metric)
    yield _LOST[right_or_wrong]
    yield ", ".join(_needs(metric)) or "nothing"


def _judged(metric: Metric) -> str:
    """Return what a metric's value is made of, and how its interval is."""
    if isinstance(metric, MeanMetric):
        if metric.binary:
            return "share of examples, [exact test](statistics.md#01-scores)"
        return "mean over examples, [t test](statistics.md#bounded-scores)"
    if metric.per_unit is not None:
        return "over all texts, [t test of log-likelihoods](statistics.md#perplexity)"
    return "over all examples, [jackknife](statistics.md#corpus-metrics)"


def _needs(metric: Metric) -> Iterator[str]:
    """Yield what an eval, or an installation, must have for a metric."""
    keys = [
        f"`{key}`"
        for key, tools in (("schema", False), ("tools", True))
        if misfit(metric, tools=False, schema=False)
        and misfit(metric, tools=tools, schema=not tools) is None
    ]
    if keys:
        yield " or ".join(keys)
    if metric.package is not None:
        yield f"`pytest-distill[{metric.package.extra}]`"


def _end(value: float) -> str:
    return "infinity" if math.isinf(value) else f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    for file, text in files_now():
        if file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{file.relative_to(ROOT)}\n")
