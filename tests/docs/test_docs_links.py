from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from pytest_distill.config import evals, schema
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.engines.transformers.options import TransformersOptions
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evaluation.sources.recorded import RecordedOptions
from pytest_distill.evaluation.sources.reported import ReportedOptions

from .pages import ROOT, all_pages

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = (match["title"].lower() for match in HEADING.finditer(prose(page)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere inside the project."""
    for match in LINK.finditer(prose(page)):
        path, _, anchor = match["target"].partition("#")
        if path.startswith(("http://", "https://", "mailto:")):
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield match["target"]


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_project_resolve(page: Path) -> None:
    """Every relative link leads to a file, and every anchor to a heading."""
    assert list(broken_links(page)) == []


@pytest.mark.parametrize(
    "entry",
    [
        schema.OwnModel,
        schema.OuterModel,
        schema.ServedModel,
        TransformersOptions,
        RayOptions,
        RecordedOptions,
        ReportedOptions,
        schema.Trained,
        evals.DeclaredMetric,
        evals.PassAtMetric,
        evals.MajorityMetric,
        evals.Shots,
        schema.Waiver,
        *map(evals.eval_of, TASKS.values()),
        schema.File,
    ],
    ids=lambda entry: entry.__name__,
)
def test_every_key_of_distill_yaml_is_documented(entry: type[BaseModel]) -> None:
    """A key that the schema knows stands in a table of the page about configuration."""
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    keys = [field.alias or name for name, field in entry.model_fields.items() if name != "options"]
    assert [key for key in keys if f"| `{key}` |" not in page] == []


def test_every_built_in_metric_is_documented() -> None:
    """A built-in metric has a heading of its own in the page about metrics."""
    assert BUILT_IN.keys() - anchors(ROOT / "docs" / "metrics.md") == set()
