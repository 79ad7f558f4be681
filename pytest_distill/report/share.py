"""What each process of a run tells the one that makes the report, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_distill.comparison.baseline.file import AcceptedGate
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.records.comparisons import (
    CalibrationRow,
    PairRow,
    RecommendationRow,
    RetainedRow,
    ScoresRow,
)
from pytest_distill.report.records.models import EvaluationRow, FiguresRow, ModelRow
from pytest_distill.report.records.report import JudgedRow
from pytest_distill.report.records.since import BaselineRow, ChangeRow, GoldChangeRow

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

KEYS: dict[type, tuple[str, ...]] = {
    ModelRow: ("config", "name"),
    ScoresRow: ("config", "eval", "metric", "at_tokens"),
    EvaluationRow: ("config", "eval", "model"),
    FiguresRow: ("config", "eval", "model"),
    RetainedRow: ("config", "eval", "metric", "model", "slice"),
    PairRow: ("config", "eval", "metric", "model", "other"),
    CalibrationRow: ("config", "eval", "model"),
    RecommendationRow: ("config", "criterion"),
    BaselineRow: ("config", "path"),
    ChangeRow: ("config", "eval", "metric", "model"),
    GoldChangeRow: ("config", "eval"),
    JudgedRow: ("config", "eval"),
}
"""Row -> what tells it from others of the run, in the order by which the report sorts them."""

_APART = ("gate_tests", "runs", "listings")
"""What is not taken in as the rest is."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The names of a ``distill.yaml``, in its order, in which the report tells of them."""

    models: tuple[str, ...] = ()
    evals: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Eval -> its metrics, the headline metric first."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one process adds to the ledger beside the reports of its tests.

    Parameters
    ----------
    gate_tests : dict
        Node id -> the line where the test begins, whether it ran or not; in their order.
    deselected : list of str
        Those that an option took away.
    runs : list of TestRun
        What its tests asked and how they ended.
    late : list of str
        What was asked too late, or may still be asked.
    allow_reruns : dict
        Path of a ``distill.yaml`` -> what a later attempt may excuse: all gates, or these.
    skipped_files, remarks : list of str
        Files that were skipped unread, and what to say of those and of allowed ones.
    required : dict
        Path of a ``distill.yaml`` -> gate names and node ids that must have passed.
    unreadable : list of str
        Paths of ``distill.yaml`` files that cannot be read: what they require is not known.
    listings : dict
        Path of a ``distill.yaml`` -> its names.
    accepted_gates : dict
        Path of a ``distill.yaml`` -> the gates of the accepted run that it names.
    broken_baselines : list of str
        Why what has changed since an accepted run cannot be told.
    models, scores, evaluations, figures, recommendations : list
        What its models came to.
    retained, pairs, calibration : list
        What the charts show beside that.
    baselines, changes, gold_changes : list
        What has changed since the accepted run.
    judged : list of JudgedRow
        Which students its verdicts are about, and those that were judged before.
    """

    gate_tests: dict[str, int] = field(default_factory=dict)
    deselected: list[str] = field(default_factory=list)
    runs: list[TestRun] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    allow_reruns: dict[str, bool | list[str]] = field(default_factory=dict)
    skipped_files: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    required: dict[str, list[str]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    listings: dict[str, Listing] = field(default_factory=dict)
    models: list[ModelRow] = field(default_factory=list)
    scores: list[ScoresRow] = field(default_factory=list)
    evaluations: list[EvaluationRow] = field(default_factory=list)
    figures: list[FiguresRow] = field(default_factory=list)
    retained: list[RetainedRow] = field(default_factory=list)
    pairs: list[PairRow] = field(default_factory=list)
    calibration: list[CalibrationRow] = field(default_factory=list)
    recommendations: list[RecommendationRow] = field(default_factory=list)
    accepted_gates: dict[str, list[AcceptedGate]] = field(default_factory=dict)
    broken_baselines: list[str] = field(default_factory=list)
    baselines: list[BaselineRow] = field(default_factory=list)
    changes: list[ChangeRow] = field(default_factory=list)
    gold_changes: list[GoldChangeRow] = field(default_factory=list)
    judged: list[JudgedRow] = field(default_factory=list)

    def add(self, other: Share) -> None:
        """Take in what another process told, but for its tests; nothing is told twice.

        Rows stand in the order of ``distill.yaml``, whichever process ends first.
        """
        for config, told in other.listings.items():
            known = self.listings.get(config, Listing())
            evals = {name: _union(known.evals.get(name, ()), of) for name, of in told.evals.items()}
            models = _union(known.models, told.models)
            self.listings[config] = Listing(models, known.evals | evals)
        for name in (each.name for each in fields(self) if each.name not in _APART):
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, dict):
                mine.update(theirs)
            elif any(type(one) in KEYS for one in (*mine[:1], *theirs[:1])):
                self._add_rows(mine, theirs)
            else:
                mine[:] = _union(mine, theirs)

    def not_the_same(self, models: Iterable[ModelRow]) -> Iterator[str]:
        """Yield the models of ``distill.yaml`` of which another process loaded other bytes."""
        for one, other in ((o, m) for m in models for o in self.models if _key(o) == _key(m)):
            digests = {one.digest, other.digest} - {None}
            if len(digests) > 1 and "fixture" not in (one.engine, other.engine):
                yield one.name

    def _add_rows(self, rows: list[Row], others: Iterable[Row]) -> None:
        found = {_key(row): row for row in rows}
        for row in others:
            key = _key(row)
            found[key] = _merged(found[key], row) if key in found else row
        rows[:] = sorted(found.values(), key=self._place)

    def _place(self, row: Row) -> tuple[str, tuple[int, ...]]:
        """Return where a row stands: by its eval, metric and model in ``distill.yaml``.

        Recommendations stand in the order in which they were asked for.
        """
        config, *_ = _key(row)
        listing = self.listings.get(config, Listing())
        orders: dict[str, Sequence[str]] = {
            "name": listing.models,
            "eval": [*listing.evals],
            "metric": listing.evals.get(getattr(row, "eval", ""), ()),
            "model": listing.models,
            "other": listing.models,
        }
        parts = (part for part in KEYS[type(row)] if part in orders)
        return config, tuple(index_in(orders[part], getattr(row, part)) for part in parts)


def _key(row: Row) -> tuple[str, ...]:
    return tuple(getattr(row, part) for part in KEYS[type(row)])


def index_in(names: Sequence[str], name: str) -> int:
    """Return which of the names it is; one that is not among them comes after all."""
    return names.index(name) if name in names else len(names)


def _union(mine: Iterable[str], theirs: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*mine, *theirs)))


def _merged(row: Row, other: Row) -> Row:
    """Return what two processes know of the same: their models need not be the same."""
    if isinstance(row, CalibrationRow):
        return row  # its bins are of one evaluation
    merged: dict[str, Any] = {}
    for name in (each.name for each in fields(row)):
        mine, theirs = getattr(row, name), getattr(other, name)
        if isinstance(mine, tuple):
            merged[name] = _union(mine, theirs)
        elif isinstance(mine, dict) and isinstance(theirs, dict):
            merged[name] = mine | theirs
        elif name == "evaluated" and None not in (mine, theirs):
            # What one worker made, the others found in the store. Only an EvaluationRow has this.
            made, asked = max(mine, theirs), mine + row.from_store  # type: ignore[attr-defined]
            merged |= {name: made, "from_store": asked - made}
        else:
            merged.setdefault(name, theirs if mine is None else mine)
    return replace(row, **merged)
