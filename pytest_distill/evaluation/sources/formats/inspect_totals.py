"""The totals that inspect printed of a log, computed again by its own reducers and metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pytest_distill.errors import few, one_line
from pytest_distill.evaluation.sources.formats.totals import refuse_other_total

OWN = "inspect_ai/"
"""What the names of inspect's own metrics begin with.

Others are of a user's code, and reading a log must not run it: inspect would load the task's file.
"""

DRAWN = {"inspect_ai/bootstrap_stderr"}
"""Metrics that differ from one computation to the next."""

SIMPLE = {"accuracy", "mean", "std", "stderr", "var"}
"""inspect's own by their names in totals, which don't say whose a metric is."""

REDUCERS = {"mean", "median", "mode", "max", "majority", "at_least", "pass_at", "pass_k"}
"""inspect's own: what it makes of the epochs of an example, before a metric sees them."""

_AGAIN = "run it again, or have inspect count it again ('inspect score', or its recompute_metrics)"


def check_totals(log: Any, source: str, wordy: Collection[str]) -> Iterator[str]:
    """Yield what to tell of the totals of a log.

    Parameters
    ----------
    log : EvalLog
        With its samples.
    source : str
        What messages call it.
    wordy : collection of str
        Scorers whose values are no numbers: nothing is counted of them.

    Raises
    ------
    EvaluationError
        Where a total that inspect printed is not that of its samples.
    """
    printed = log.results.scores if log.results else []
    if not printed and any(sample.scores for sample in log.samples):
        yield "it has no totals, so that none was checked"
    found, why = _recomputed(log, wordy)
    unchecked = []
    for score in printed:
        again = _of(found, score)
        for key, metric in score.metrics.items():
            name = _name(score, key)
            if key in again:
                shown = f"inspect's total {name}"
                refuse_other_total(source, shown, metric.value, again[key], _AGAIN)
            else:
                unchecked.append(name)
    if unchecked:
        yield (
            "totals that are not counted again, since "
            f"{why or 'they are not by inspect alone, drawn, or of words'}: {few(unchecked)}"
        )
    reducers = log.eval.config.epochs_reducer or ["mean"]
    if (log.eval.config.epochs or 1) > 1 and "mean" not in reducers:
        yield (
            f"inspect's totals take {few(reducers)} of the epochs of an example; here its score is "
            "their mean"
        )


def _of(
    found: Mapping[tuple[str, str, str | None], dict[str, float]], score: Any
) -> Mapping[str, float]:
    """Return the totals that stand where `score` does: without a reducer that is the mean."""
    reducers = (None, "mean") if score.reducer in (None, "mean") else (score.reducer,)
    for reducer in (score.reducer, *reducers):
        if (score.scorer, score.name, reducer) in found:
            return found[score.scorer, score.name, reducer]
    return {}


def _name(score: Any, metric: str) -> str:
    scorer = score.scorer if score.name == score.scorer else f"{score.scorer}/{score.name}"
    reducer = f" ({score.reducer} of the epochs)" if score.reducer else ""
    return f"{scorer}/{metric}{reducer}"


def _recomputed(
    log: Any, wordy: Collection[str]
) -> tuple[dict[tuple[str, str, str | None], dict[str, float]], str]:
    """Return the totals by scorer, part and reducer, each by metric; and why there are none."""
    from inspect_ai.log import recompute_metrics

    reducers = log.eval.config.epochs_reducer or []
    foreign = [name for name in reducers if name.rstrip("0123456789").rstrip("_") not in REDUCERS]
    if foreign:
        return {}, f"inspect has no reducer {few(foreign)} of its own"
    copy = _only_own(log, wordy)
    try:
        recompute_metrics(copy)
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        return {}, f"inspect cannot do so ({type(error).__name__}: {one_line(str(error)):.100})"
    return {
        (score.scorer, score.name, score.reducer): {
            key: metric.value for key, metric in score.metrics.items()
        }
        for score in copy.results.scores
    }, ""


def _only_own(log: Any, wordy: Collection[str]) -> Any:
    """Return a log of which inspect computes only what is its own, and loads no file for it.

    Of a score whose scorer the log doesn't list inspect looks for the scorer's code.
    """
    scorers = _by_name(log.eval.scorers or _printed_scorers(log))
    own = [
        scorer.model_copy(update={"metrics": [] if name in wordy else _own_metrics(scorer.metrics)})
        for name, scorer in scorers.items()
    ]
    samples = []
    for sample in log.samples:
        scores = {name: s for name, s in (sample.scores or {}).items() if name in scorers}
        samples.append(sample.model_copy(update={"scores": scores}))
    spec = log.eval.model_copy(update={"scorers": own, "metrics": None, "task_file": None})
    return log.model_copy(update={"eval": spec, "samples": samples})


def _printed_scorers(log: Any) -> Sequence[Any]:
    """Return the scorers by the totals that are printed: older logs don't list them."""
    by_scorer: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for score in log.results.scores if log.results else ():
        by_scorer.setdefault(score.scorer, {})[score.name] = [
            {"name": f"{OWN}{metric.name}", "options": metric.params}
            for metric in score.metrics.values()
            if metric.name in SIMPLE
        ]
    scorers = [
        {"name": name, "metrics": [*parts.pop(name, ()), *([parts] if parts else ())]}
        for name, parts in by_scorer.items()
    ]
    said = {**log.eval.model_dump(), "scorers": scorers}
    found: Sequence[Any] = type(log.eval).model_validate(said).scorers
    return found


def _by_name(scorers: Sequence[Any]) -> dict[str, Any]:
    """Return scorers by the names that they have in samples: of two alike match and match1."""
    found: dict[str, Any] = {}
    for scorer in scorers:
        name, number = scorer.name, 0
        while name in found:
            number += 1
            name = f"{scorer.name}{number}"
        found[name] = scorer
    return found


def _own_metrics(metrics: Any) -> Any:
    """Return the metrics of a scorer that inspect can compute again, in the same shape."""
    if isinstance(metrics, Mapping):
        parts = {key: _own_metrics(of) for key, of in metrics.items()}
        return {key: of for key, of in parts.items() if of}
    if not isinstance(metrics, Sequence):
        return metrics
    names = Counter(m.name.split("/")[-1] for m in metrics if not isinstance(m, Mapping))
    found = []
    for metric in metrics:
        if isinstance(metric, Mapping):
            found.append(_own_metrics(metric))
        elif _is_own(metric.name, metric.options) and names[metric.name.split("/")[-1]] == 1:
            found.append(metric)  # of two with one name inspect numbers the second
    return [metric for metric in found if metric]


def _is_own(name: str, options: Mapping[str, Any] | None) -> bool:
    """Return whether a metric is inspect's own and the log says all of it: no function's value."""
    return (
        name.startswith(OWN)
        and name not in DRAWN
        and all(_is_said(option, value) for option, value in (options or {}).items())
    )


def _is_said(option: str, value: Any) -> bool:
    if isinstance(value, Mapping):  # the metric of each group
        return value.get("type") == "metric" and _is_own(
            f"{OWN}{str(value.get('name')).removeprefix(OWN)}", value.get("params")
        )
    return not option.endswith("to_float") and value != "bootstrap" and not isinstance(value, list)
