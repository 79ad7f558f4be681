"""An evaluation held against the accepted run: the same examples of both, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pytest_distill._util.format import count_text
from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.baseline.change import Change, change
from pytest_distill.comparison.baseline.file import (
    SAVE,
    AcceptedEval,
    AcceptedModel,
    BaselineFile,
    examples_of,
    rows_of,
)
from pytest_distill.comparison.baseline.pairing import Pairing, Positions, pair
from pytest_distill.comparison.baseline.scored import Rows, rows_by
from pytest_distill.errors import ComparisonError, ConfigError, few
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.statistics.jackknife import Clusters


@dataclass(frozen=True, eq=False, slots=True)
class GoldChange:
    """What became of an eval since the accepted run.

    Parameters
    ----------
    then : AcceptedEval
        The eval in the accepted run.
    n, n_before : int
        Number of examples now and then, those included that a sample of now leaves out.
    pairing : Pairing
        Those of both.
    same_gold, same_settings : bool
        Whether nothing of the gold set, and of how it is asked, has changed.
    """

    then: AcceptedEval
    n: int
    n_before: int
    pairing: Pairing
    same_gold: bool
    same_settings: bool

    @property
    def in_words(self) -> str:
        """How many examples both runs have, and what became of the others; nothing if all are."""
        found = self.pairing
        if not found.others:
            return ""
        return f"{found.common:,} of {self.n:,} examples are in the baseline ({found.others})"

    @property
    def few(self) -> bool:
        """Whether the examples of both are under half of those of either run."""
        found = self.pairing
        return 2 * found.common < max(self.n, found.common + found.gone + found.relabelled)


def gold_change(accepted: Accepted, on: Eval) -> GoldChange | None:
    """Return what became of an eval; None where the accepted run has no eval of that name.

    Raises
    ------
    ConfigError
        Where there is no accepted run, or its file is broken.
    """
    then = accepted.file.evals.get(on.name)
    if then is None:
        return None
    before = examples_of(accepted.shown, on.name, then)
    asked, expected = on.example_digests
    # What a sample leaves out is not gone; a text that it asks too is to be found again.
    gone = np.setdiff1d(on.digests_left_out, asked)
    there = np.flatnonzero(~np.isin(before.asked, gone))
    pairing = pair(before.asked[there], before.expected[there], asked, expected)
    return GoldChange(
        then=then,
        n=len(on.gold),
        n_before=len(before.asked),
        pairing=replace(pairing, before=there[pairing.before]),
        same_gold=then.gold == on.digest,
        same_settings=then.settings == on.settings_digest,
    )


def counterpart(
    kept: BaselineFile, name: str, role: str, of_role: Sequence[str]
) -> AcceptedModel | None:
    """Return the accepted run's model of the same name and role, else its only one of that role.

    Parameters
    ----------
    kept : BaselineFile
        The accepted run.
    name, role : str
        Of the model now.
    of_role : sequence of str
        Names of all models of that role now: of several, another name is another model.
    """
    there = [model for model in kept.models if model.role == role]
    same = next((model for model in there if model.name == name), None)
    if same is not None or len(there) != 1 or len(of_role) != 1:
        return same
    return there[0]


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """A model's rows by a metric, now and in the accepted run, of the examples of both.

    Parameters
    ----------
    metric : Metric
        What is measured.
    gold : GoldChange
        What became of the eval.
    pairing : Pairing
        The examples that are looked at.
    chosen : int, optional
        How many examples of now are looked at, in the baseline or not; None for all.
    before, now : Rows
        Of these examples, in the same order.
    clusters : sequence, optional
        The cluster of each; None where they are independent.
    """

    metric: Metric
    on: Eval
    gold: GoldChange
    pairing: Pairing
    chosen: int | None
    before: Rows
    now: Rows
    clusters: Clusters | None

    @property
    def in_words(self) -> str:
        """How many of the examples that are looked at both runs have; nothing if they have all."""
        if self.chosen is None or self.pairing.common == self.chosen:
            return self.gold.in_words
        return (
            f"{self.pairing.common:,} of {count_text(self.chosen, 'example')} of the slice are in "
            "the baseline"
        )

    @property
    def few(self) -> bool:
        """Whether the examples of both are under half of the gold set, or of what is looked at."""
        few = self.chosen is not None and 2 * self.pairing.common < self.chosen
        return few or self.gold.few

    def change(self) -> Change:
        """Return the paired difference; ComparisonError where no example is in both."""
        if not self.pairing.common:
            raise ComparisonError(
                f"the baseline has no example of '{self.on.name}' in common with this run"
                f"{_why_none(self.gold)}; save a new one: {SAVE}"
            )
        return change(self.metric, self.on, self.before, self.now, self.clusters)

    def worse(self) -> Iterator[tuple[int, float, float]]:
        """Yield position and scores, then and now, of each example that is worse now."""
        if self.now.values.ndim == 1:
            sign = 1 if self.metric.higher_is_better else -1
            rows = zip(self.pairing.now, self.before.values, self.now.values, strict=True)
            for place, then, now in rows:
                if sign * now < sign * then:
                    yield int(place), float(then), float(now)


def held(
    accepted: Accepted,
    gold: GoldChange,
    evaluation: MeasuredEvaluation,
    then: str,
    metric: Metric,
    chosen: Positions | None = None,
) -> Held:
    """Return an evaluation's rows beside those of the model called `then` in the accepted run.

    Parameters
    ----------
    accepted : Accepted
        The accepted run.
    gold : GoldChange
        Of the evaluation's eval.
    evaluation : MeasuredEvaluation
        Of the model now.
    then : str
        The model's name in the accepted run.
    metric : Metric
        What is measured.
    chosen : ndarray, optional
        Positions in the gold set of now that are looked at; all by default.

    Raises
    ------
    ConfigError
        Where the accepted run has no scores of it.
    """
    on = evaluation.eval
    if not metric.kept:
        raise ConfigError(
            f"{metric.name} on '{on.name}' is made of all values of one run together, of which no "
            "baseline can keep what each example adds: hold another metric against it"
        )
    before = rows_of(accepted.shown, on.name, gold.then, metric.name, then, gold.n_before)
    if before is None:
        known = [name for name, scores in gold.then.metrics.items() if then in scores.rows]
        has = f"{metric.name} of '{then}' on '{on.name}'; it has {few(known) or 'nothing of it'}"
        raise ConfigError(f"{accepted.shown}: the baseline has no {has}; save a new one: {SAVE}")
    if gold.then.metrics[metric.name].higher_is_better is not metric.higher_is_better:
        raise ConfigError(
            f"{accepted.shown}: {metric.name} on '{on.name}' was better the other way round in the "
            f"baseline: the metric has changed; save a new one: {SAVE}"
        )
    (now,) = rows_by(metric, evaluation)
    pairing = gold.pairing if chosen is None else gold.pairing.within(chosen)
    clusters = None if on.clusters is None else [on.clusters[i] for i in pairing.now]
    return Held(
        metric=metric,
        on=on,
        gold=gold,
        pairing=pairing,
        chosen=None if chosen is None else len(chosen),
        before=Rows(before[pairing.before], gold.then.metrics[metric.name].labels),
        now=Rows(now.values[pairing.now], now.labels),
        clusters=clusters,
    )


def _why_none(gold: GoldChange) -> str:
    if not gold.same_settings:
        return ": what is asked has changed (the prompt, or other settings of the eval)"
    return f": {told}" if (told := gold.in_words) else ""
