"""How much of the teacher's quality the student kept over several evals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar, Literal, get_args

from pytest_distill._util.format import floor_text
from pytest_distill._util.numbers import Ratio, geometric_mean, retained_share
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import suite_evidence
from pytest_distill.comparison.side_by_side import Confidence
from pytest_distill.errors import MOST_KNOWN, ComparisonError, ConfigError, some_of
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.groups import Average, EvalGroup
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_option
from pytest_distill.gates.deciding import decide, unless_observed
from pytest_distill.gates.gate import Asked, Gate
from pytest_distill.gates.subjects import KeepsAShare
from pytest_distill.gates.verdict import Verdict, json_ratio

Aggregate = Literal["ratio_of_averages", "average_of_ratios", "geometric", "minimum"]


@dataclass(frozen=True, slots=True)
class EvalScores:
    """The two scores of one eval; where lower is better `retained` is teacher / student."""

    eval: str
    teacher: Fraction
    student: Fraction
    retained: Ratio
    higher_is_better: bool = True


@dataclass(frozen=True)
class SuiteRetained(KeepsAShare, Gate):
    """Over several evals the student kept at least `min` of the teacher's quality.

    Each eval counts by its first metric. All four aggregates are shown; one decides.

    Parameters
    ----------
    min : float
        The floor of the aggregate, above 0 and at most 2.
    evals : sequence of str, optional
        Their names, or those of groups; by default all of the marker's group, else all of
        ``distill.yaml``.
    aggregate : str
        ``ratio_of_averages``: mean student score / mean teacher score; ``average_of_ratios``;
        ``geometric``: the geometric mean of the ratios; ``minimum``: the worst eval.
    confidence : float, optional
        None: the observed aggregate decides. A number such as 0.95: its one-sided bound does, which
        counts the evals as independent: examples that two of them share make it surer than it may
        be. By default as the marker or ``distill.yaml`` says, else None.
    """

    name: ClassVar[str] = "suite_retained"
    asks: ClassVar[str] = (
        "Did {model} keep {what} of the teacher's quality over several evals, by {metric}?"
    )

    min: float
    _: KW_ONLY
    evals: Sequence[str] | None = None
    aggregate: Aggregate = "ratio_of_averages"
    confidence: Confidence = "default"

    def scored_by(self, comparison: Comparison) -> Metric | None:
        """Return the metric of one of the evals."""
        return comparison.metric()

    def comparisons(self, asked: Asked) -> Sequence[Comparison]:
        """Return the comparison of each eval; ConfigError where they are not different names."""
        given = list(asked.evals) if self.evals is None else list(self.evals)
        if isinstance(self.evals, str) or not given:
            raise ConfigError(
                f"evals={self.evals!r}: must be a list of names; name at least one eval"
            )
        names = [
            name
            for each in given
            for name in (asked.groups[each].evals if each in asked.groups else (each,))
        ]
        twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twice:
            raise ConfigError(f"evals={given!r}: '{twice[0]}' is listed twice; name it once")
        return [asked.comparison(name, self.student, alone=True) for name in names]

    def as_method_of(self, comparison: Comparison, asked: Asked) -> Sequence[Comparison]:  # noqa: ARG002
        """Return the comparison of each eval, whoever asks."""
        return self.comparisons(asked)

    def judge(self, comparison: Comparison) -> Verdict:
        """Judge a suite of one eval."""
        return self.judge_all([comparison])

    def judge_all(self, comparisons: Sequence[Comparison]) -> Verdict:
        """Compare the aggregate with the floor, and say whether the choice of it matters."""
        floor = self.floor
        check_option(self.aggregate, "aggregate", get_args(Aggregate))
        rows = [_row(comparison) for comparison in comparisons]
        values = aggregates(rows)
        chosen = values[self.aggregate]
        if chosen is None:
            raise ComparisonError(
                "ratio_of_averages: the evals' metrics have different directions or scales, so "
                "that their average means nothing; choose another aggregate"
            )
        confidence = comparisons[0].confidence_level(self.confidence, default=None)
        found, unknown = unless_observed(
            confidence, lambda: suite_evidence(comparisons, self.aggregate)
        )
        reported = next((each for each in comparisons if not each.measured()), comparisons[0])
        decision = decide(found, chosen, ">=", floor, confidence, reported)
        notes = (
            *average_notes(comparisons),
            *choice_note(values, floor),
            *hinge_note(rows, self.aggregate, floor),
            *unknown,
            *decision.evidence.notes,
        )
        basis = explain.basis(decision.evidence, sum(each.n() or 0 for each in comparisons))
        what = f"retained over {len(rows)} evals"
        worst = sorted(rows, key=lambda row: row.retained)
        width = max(len(row.eval) for row in worst[:MOST_KNOWN])
        return self.verdict(
            comparisons[0],
            decision,
            decision.headline(self.min, what, self.aggregate),
            metric=self.aggregate,
            n=None,
            basis=basis,
            facts=[f"worst {worst[0].eval}"] if len(rows) > 1 else [],
            notes=(_listed(values), *notes),
            lines=[
                f"  {_listed(values)}",
                *(f"  {part}" for part in basis),
                *explain.note_lines(notes),
                "  eval (teacher, student, retained):",
                *(
                    f"    {r.eval:<{width}}  {floor_text(r.teacher)}  {floor_text(r.student)}"
                    f"  {floor_text(r.retained)}"
                    for r in worst[:MOST_KNOWN]
                ),
                *([f"    and {len(rows) - MOST_KNOWN:,} more"] if len(rows) > MOST_KNOWN else []),
            ],
            details={"aggregates": {name: json_ratio(v) for name, v in values.items()}},
            eval=",".join(names_of(comparisons)),
        )


def aggregates(rows: Sequence[EvalScores]) -> dict[Aggregate, Ratio | None]:
    """Return all four aggregates, exactly; None for a ratio of averages that means nothing.

    An infinite ratio makes the average of ratios infinite, and the geometric mean where none is 0.
    """
    ratios = [row.retained for row in rows]
    summed = sum((row.student for row in rows), Fraction(0))
    teacher = sum((row.teacher for row in rows), Fraction(0))
    alike = all(row.higher_is_better for row in rows)
    return {
        "ratio_of_averages": summed / teacher if alike and teacher > 0 else None,
        "average_of_ratios": sum(ratios, Fraction(0)) / len(ratios),
        "geometric": _geometric(ratios),
        "minimum": min(ratios),
    }


def _geometric(ratios: Sequence[Ratio]) -> Ratio:
    """Return the geometric mean; 0 where a ratio is 0, or below it as a Matthews correlation's."""
    if min(ratios) <= 0:
        return Fraction(0)
    exact = [ratio for ratio in ratios if isinstance(ratio, Fraction)]
    return geometric_mean(exact) if len(exact) == len(ratios) else math.inf


def choice_note(values: Mapping[Aggregate, Ratio | None], floor: Fraction) -> tuple[str, ...]:
    """Return a note where another aggregate would give another verdict."""
    passing = [name for name, value in values.items() if value is not None and value >= floor]
    failing = [name for name, value in values.items() if value is not None and value < floor]
    if not passing or not failing:
        return ()
    return (
        f"the verdict depends on the aggregate: passes by {', '.join(passing)}; "
        f"fails by {', '.join(failing)}",
    )


def hinge_note(
    rows: Sequence[EvalScores], aggregate: Aggregate, floor: Fraction
) -> tuple[str, ...]:
    """Return a note where leaving one eval out would give another verdict."""
    whole = aggregates(rows)[aggregate]
    hinges = []
    for left_out in rows if len(rows) > 1 else ():
        rest = aggregates([row for row in rows if row is not left_out])[aggregate]
        if whole is not None and rest is not None and (rest >= floor) != (whole >= floor):
            hinges.append(f"{left_out.eval} (without it {floor_text(rest)})")
    return (f"the verdict hinges on {some_of(hinges)}",) if hinges else ()


def _row(comparison: Comparison) -> EvalScores:
    metric = comparison.metric()
    return EvalScores(
        comparison.eval,
        comparison.exact_score("teacher", metric),
        comparison.exact_score("student", metric),
        comparison.exact_retained(metric),
        metric.higher_is_better,
    )


def _listed(values: Mapping[Aggregate, Ratio | None]) -> str:
    return ", ".join(
        f"{name} {'-' if value is None else floor_text(value)}" for name, value in values.items()
    )


def average_notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield what each group averages whose evals are all among the comparisons."""
    by_eval = {comparison.eval: comparison for comparison in comparisons}
    for group in _whole_groups(comparisons):
        yield from (_note(average, by_eval) for average in group.averages)


def names_of(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the names of the evals; a group's own where all of its evals are among them."""
    of_group = {name: group.name for group in _whole_groups(comparisons) for name in group.evals}
    return list(dict.fromkeys(of_group.get(each.eval, each.eval) for each in comparisons))


def _whole_groups(comparisons: Sequence[Comparison]) -> list[EvalGroup]:
    """Return the groups whose evals are all among the comparisons."""
    names = {comparison.eval for comparison in comparisons}
    groups = (g for c in comparisons if isinstance(c.on, Eval) for g in c.on.groups)
    return [group for group in dict.fromkeys(groups) if names.issuperset(group.evals)]


def _note(average: Average, by_eval: Mapping[str, Comparison]) -> str:
    own = {name: by_eval[name] for name in average.evals}
    sizes = {name: comparison.n() or 0 for name, comparison in own.items()}
    teacher, student = (
        average({name: of.exact_score(role, average.metric) for name, of in own.items()}, sizes)
        for role in ("teacher", "student")
    )
    metric = next(iter(own.values())).metric(average.metric)
    retained = retained_share(student, teacher, metric.higher_is_better)
    told = f"{metric.name} {floor_text(teacher)} teacher, {floor_text(student)} student"
    share = "" if retained is None else f", {floor_text(retained)} retained"
    return f"{average.of}: {told}{share}"
