"""What groups of evals average themselves, for teacher and student."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_distill._util.format import floor_text
from pytest_distill._util.numbers import retained_share
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.groups import Average, EvalGroup


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
