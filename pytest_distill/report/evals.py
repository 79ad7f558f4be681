"""What the models came to on each eval: one table an eval, and what to know of its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from pytest_distill._util.format import ceil_text, floor_text, quantity_text, score_text, size_text
from pytest_distill._util.units import Unit
from pytest_distill.report.footnotes import (
    declared_notes,
    interval_notes,
    looks_text,
    setting_notes,
    unlike_notes,
)
from pytest_distill.report.records.comparisons import BudgetRow, ComparisonRow
from pytest_distill.report.records.models import EvaluationRow, FiguresRow, ModelRow
from pytest_distill.report.records.report import LooksRow, Report
from pytest_distill.report.tables import Columns, cells, retained_text, shortened, table, wrapped

_PARTS = {"example": "", "first_token": "first token ", "token": "token "}
LONGEST_NAME = 24


def eval_lines(report: Report, width: int, *, more: bool) -> list[str]:
    """Return a table for each eval and its footnotes, each of which is told once.

    Parameters
    ----------
    report : Report
        What the run found out.
    width : int
        Columns.
    more : bool
        Whether to tell also what the models were trained on, and how figures were measured.
    """
    lines: list[str] = []
    told: set[str] = set()
    for found in eval_tables(report):
        lines += wrapped(found.title, width)
        for part in _that_fit(found.model_columns(), found.columns(more=more), width):
            lines += [*table(part), ""]
        notes = [note for note in found.notes(more=more) if note not in told]
        told.update(notes)
        lines += [line for note in notes for line in wrapped(note, width)]
        lines += [""] if notes else []
    return lines


OfEval = TypeVar("OfEval", ComparisonRow, BudgetRow, EvaluationRow, FiguresRow, LooksRow)


def eval_tables(report: Report) -> list[EvalTable]:
    """Return the models on each eval that a report holds something of."""
    rows: tuple[ComparisonRow | FiguresRow, ...] = (*report.comparisons, *report.figures)
    evals = dict.fromkeys((row.config, row.eval) for row in rows)
    several = len({config for config, _ in evals}) > 1
    return [EvalTable(report, config, name, several=several) for config, name in evals]


class EvalTable:
    """What a report holds of one eval; its `config` is told where there are `several`."""

    def __init__(self, report: Report, config: str, name: str, *, several: bool) -> None:
        def of_eval(rows: Iterable[OfEval]) -> list[OfEval]:
            return [row for row in rows if (row.config, row.eval) == (config, name)]

        self.name, self.config = name, config if several else ""
        self.compared, self.budgets = of_eval(report.comparisons), of_eval(report.budgets)
        self.evaluations, self.looks = of_eval(report.evaluations), of_eval(report.looks)
        self.figures = {row.model: row for row in of_eval(report.figures)}
        self.texts = {row.model: row for row in self.evaluations}
        named = {*self.figures, *(name for row in self.compared for name in row.scores)}
        self.models = [m for m in report.models if m.config == config and m.name in named]

    @property
    def title(self) -> str:
        """The eval, its examples, and where the answers came from."""
        rows: list[ComparisonRow | EvaluationRow] = [*self.compared, *self.evaluations]
        n = next((row.n for row in rows if row.n is not None), None)
        about = f"{n:,} examples" if n is not None else "reported scores"
        of = f", {self.config}" if self.config else ""
        return f"{self.name}, {about}{self._made()}{of}"

    def _made(self) -> str:
        """Return how much was evaluated in this run and how much came from the store."""
        run = [e for e in self.evaluations if e.evaluated is not None]
        made, stored = (sum(e.evaluated or 0 for e in run), sum(e.from_store or 0 for e in run))
        parts = [
            *([f"{made:,} made in this run"] if made else []),
            *([f"{stored:,} from the store"] if stored else []),
        ]
        return f" (predictions: {', '.join(parts)})" if parts else ""

    def model_columns(self) -> Columns:
        """Return the names of the models, and their roles where these are others."""
        names = {"": [shortened(m.name, LONGEST_NAME) for m in self.models]}
        if all(m.name == m.role for m in self.models):
            return names
        return {**names, "role": [m.role for m in self.models]}

    def columns(self, *, more: bool) -> list[Columns]:
        """Return what is known of the models, in groups that stay together; no empty column."""
        groups: list[Columns] = [
            {"params": self._sizes("parameters", "parameters")},
            {"size": self._sizes("bytes", "B")},
        ]
        groups += [
            {f"{name}p50": self._times(part, "p50"), f"{name}p95": self._times(part, "p95")}
            for part, name in _PARTS.items()
        ]
        shown: dict[str, Callable[[FiguresRow], str]] = {"in batches": _rate, "memory": _peak}
        if more:
            shown["weights"] = _weights
        groups += [{name: self._measured(figure)} for name, figure in shown.items()]
        groups += [self._scores(row, headline=row is self.compared[0]) for row in self.compared]
        groups += self._lengths()
        groups += map(self._within, self.budgets)
        full = ({name: told for name, told in group.items() if any(told)} for group in groups)
        return [group for group in full if group]

    def all_columns(self, *, more: bool) -> Columns:
        """Return the same as one table, behind the models' names."""
        groups = (self.model_columns(), *self.columns(more=more))
        return {name: told for group in groups for name, told in group.items()}

    def _sizes(self, key: str, unit: Unit) -> list[str]:
        found = {m.name: getattr(m, key) for m in self.models}
        return [
            "" if found[m.name] is None else _marked(m, key, size_text(found[m.name], unit))
            for m in self.models
        ]

    def _times(self, part: str, quantile: str) -> list[str]:
        def shown(row: FiguresRow) -> str:
            found = (row.latency or {}).get(part)
            return quantity_text(found[quantile].estimate, "s", up=True) if found else ""

        return self._measured(shown)

    def _measured(self, shown: Callable[[FiguresRow], str]) -> list[str]:
        return [shown(self.figures[m.name]) if m.name in self.figures else "" for m in self.models]

    def _scores(self, row: ComparisonRow, *, headline: bool) -> Columns:
        # A score is cut off where higher is better and raised where lower is: never flattered.
        names = [m.name for m in self.models]
        scores = [
            score_text(row.scores[n], higher_is_better=row.higher_is_better)
            if n in row.scores
            else ""
            for n in names
        ]
        retained = [retained_text(row.retained.get(n), infinite=n in row.retained) for n in names]
        columns = {shortened(row.metric, LONGEST_NAME): scores}
        return columns | ({"retained": retained} if headline else {})

    def _lengths(self) -> list[Columns]:
        """Return how long texts are and how many ended by themselves, if no metric tells it."""
        told: dict[str, Callable[[EvaluationRow], float | None]] = {
            "tokens": lambda row: row.tokens,
            "thinking": lambda row: row.thinking_tokens,
            "finished": lambda row: row.finished,
        }
        metrics = {row.metric for row in self.compared}
        texts = [self.texts.get(m.name) for m in self.models]
        return [
            {name: [_length(name, value(row)) if row else "" for row in texts]}
            for name, value in told.items()
            if name not in metrics
        ]

    def _within(self, row: BudgetRow) -> Columns:
        """Return the scores within a budget by the headline metric, and what was retained."""
        if row.metric != self.compared[0].metric:
            return {}
        (scores,) = self._scores(row, headline=False).values()
        names = [m.name for m in self.models]
        told = [retained_text(row.retained.get(n), infinite=n in row.retained) for n in names]
        pairs = zip(scores, told, strict=True)
        name = f"at {row.at_tokens}"
        return {name: [f"{score} ({kept})" if kept else score for score, kept in pairs]}

    def notes(self, *, more: bool) -> Iterator[str]:
        """Yield what a reader must know of the numbers."""
        yield from declared_notes(self.models)
        yield from unlike_notes(self.models)
        yield from (note for m in self.models for note in m.notes)
        lower = [row.metric for row in self.compared if not row.higher_is_better]
        if lower:
            yield f"lower is better, retained = teacher / student: {', '.join(lower)}"
        budgets = dict.fromkeys(f"at {row.at_tokens}" for row in self.budgets)
        if budgets:
            scores = f"{self.compared[0].metric} and, in brackets, retained"
            yield f"{', '.join(budgets)}: {scores}, of what is answered within so many tokens"
        reported = dict.fromkeys(name for row in self.compared for name in row.reported)
        if reported:
            yield f"reported, not measured: {', '.join(reported)}"
        yield from dict.fromkeys(note for e in self.evaluations for note in e.notes)
        yield from (looks_text(row) for row in self.looks if row.students > 1)
        if more:
            yield from (f"{m.name}: trained: {m.trained}" for m in self.models if m.trained)
            yield from interval_notes(list(self.figures.values()))
            yield from setting_notes(list(self.figures.values()))
        elif any(taken.earlier for row in self.figures.values() for taken in row.taken.values()):
            yield "speed and memory from the store; --distill-refresh measures anew"


def _length(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return floor_text(value) if name == "finished" else ceil_text(value, 1)


def _marked(model: ModelRow, key: str, shown: str) -> str:
    return f"{shown}*" if key in model.declared else shown


def _rate(row: FiguresRow) -> str:
    return quantity_text(row.throughput.lowest, "/s", up=False) if row.throughput else ""


def _peak(row: FiguresRow) -> str:
    return quantity_text(row.memory.peak, "B", up=True) if row.memory else ""


def _weights(row: FiguresRow) -> str:
    return quantity_text(row.memory.weights, "B", up=True) if row.memory else ""


def _that_fit(first: Columns, others: Sequence[Columns], width: int) -> list[Columns]:
    """Part the columns into as many tables as are needed, each with the models' names."""
    parts = [dict(first)]
    names = {"": first[""]}
    for columns in others:
        wider = {**parts[-1], **columns}
        if max(map(cells, table(wider))) <= width or set(parts[-1]) <= {"", "role"}:
            parts[-1] = wider
        else:
            parts.append({**names, **columns})
    return parts
