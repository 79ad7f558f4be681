"""The samples of another tool as recorded rows, its scores beside ours, and its prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import isclose
from statistics import fmean
from typing import Any

from pytest_distill._util.user_code import is_ours
from pytest_distill.errors import DistillError, EvaluationError, and_more, did_you_mean, few
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evals.metrics import ScoredElsewhere
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.fields import PROMPT
from pytest_distill.evaluation.sources.foreign import task_named
from pytest_distill.evaluation.sources.formats.format import UNCONDITIONAL, ForeignRow, ForeignRun
from pytest_distill.evaluation.sources.formats.lm_eval.asked import prompts_digest
from pytest_distill.evaluation.sources.rows import REPEAT, RecordedRows

TEMPLATE_DIGITS = 16
"""Of the digest of a chat template."""

CALLED_THERE: Mapping[str, str] = {"accuracy": "acc", "accuracy_norm": "acc_norm"}
"""What other tools call a metric of ours."""

CLOSE = 1e-6
"""How far apart two scores may be that are computed of the same answers."""


def recorded_rows(run: ForeignRun, on: Eval, kind: str) -> RecordedRows:
    """Return a run's samples as rows of a file of predictions.

    Of its scores those that the eval declares are kept: the others were not asked for.

    Parameters
    ----------
    run : ForeignRun
        The run, its samples named as the gold set names its examples.
    on : Eval
        The eval that is judged by it.
    kind : str
        What the digests of its prompts are called: the format's name.

    Raises
    ------
    EvaluationError
        Where a sample is there twice, or the eval declares a score that the run has not or has the
        other way round, or the run has neither answers nor a score that is declared.
    """
    elsewhere = [metric for metric in on.metrics if isinstance(metric, ScoredElsewhere)]
    declared = [metric.name for metric in elsewhere]
    theirs = {metric.name: metric for metric in run.metrics}
    known = list(theirs)
    for metric in elsewhere:
        name = metric.name
        if name in run.left_out:
            raise EvaluationError(
                f"{run.source}: '{name}', which eval '{on.name}' declares, is no mean over "
                "examples there, so that no example has a score by it; report the number "
                "(engine: reported), or let a metric compute it from the answers"
            )
        if name not in known:
            raise EvaluationError(
                f"{run.source}: no score '{name}', which eval '{on.name}' declares; "
                f"{did_you_mean(name, known)}"
            )
        if metric.higher_is_better and not theirs[name].higher_is_better:
            raise EvaluationError(
                f"{run.source}: of '{name}' less is better there, and more as eval '{on.name}' "
                f"declares it: write 'metrics: [{{name: {name}, higher_is_better: false}}]'"
            )
    rows = run.rows if task_named(on) is None else [*map(_all_of_it, run.rows)]
    if on.task.repeats == 1:
        alone = len(declared) == len(on.metrics)
        rows = first_of_equal(
            rows, lambda row: [row.scores.get(n) for n in declared] if alone else row.said
        )
    prompt = prompt_kind(kind, run)
    by_id: dict[str, dict[int, Example]] = {}
    for row in rows:
        samples = by_id.setdefault(row.id, {})
        if row.repeat in samples:
            raise EvaluationError(
                f"{row.where} (id '{row.id}'): sample {row.repeat} of this example stands at "
                f"{samples[row.repeat].where} already"
            )
        samples[row.repeat] = Example(row.id, kept_fields(row, declared, prompt), row.where)
    found = RecordedRows(
        run.source, {id: [each[n] for n in sorted(each)] for id, each in by_id.items()}
    )
    answers = set(on.task.answered_by)
    if not declared and not any(answers & row.fields.keys() for row in found.all):
        declare = f"({few(known)}): 'metrics: [{{name: {known[0]}}}]'" if known else "(it has none)"
        raise EvaluationError(
            f"{run.source}: no answers for the task {on.task.name}, and eval '{on.name}' declares "
            f"none of its scores {declare}"
        )
    return found


def _all_of_it(row: ForeignRow) -> ForeignRow:
    """Return a sample with all log-likelihoods that its tool asked for, as the tool's task does.

    For a task of ours those without a prompt are of no choice.
    """
    alone = row.answer.get(UNCONDITIONAL)
    if alone is None:
        return row
    values = [*row.answer["loglikelihoods"], *alone]
    greedy = [*row.answer["greedy"], *([False] * len(alone))]
    return replace(row, answer={**row.answer, "loglikelihoods": values, "greedy": greedy})


def first_of_equal(
    rows: Sequence[ForeignRow], said: Callable[[ForeignRow], object]
) -> Sequence[ForeignRow]:
    """Return the first sample of each example where all of them say the same.

    So it is where several answers made one score, and nothing but that is asked of them.
    """
    first: dict[str, ForeignRow] = {}
    for row in rows:
        kept = first.setdefault(row.id, row)
        if kept is not row and said(row) != said(kept):
            return rows
    return list(first.values())


def prompt_kind(kind: str, run: ForeignRun) -> str:
    """Return what the digests of a run's prompts are of: see `PROMPT`."""
    return kind if run.template is None else f"{kind}+{run.template[:TEMPLATE_DIGITS]}"


def digest_of(row: ForeignRow, kind: str) -> str | None:
    """Return a sample's `PROMPT`, whose digests are of this kind; None where nobody took one."""
    return row.prompt and ":".join(filter(None, (kind, row.prompt, row.beside)))


def kept_fields(row: ForeignRow, scores: Collection[str], prompt: str) -> dict[str, Any]:
    """Return the fields of a recorded row, with those of its scores that are wanted."""
    fields: dict[str, Any] = {"id": row.id, REPEAT: row.repeat, **row.answer}
    digest = digest_of(row, prompt)
    if digest is not None:
        fields[PROMPT] = digest
    kept = {name: value for name, value in row.scores.items() if name in scores}
    return fields | ({"scores": kept} if kept else {})


def differing(run: ForeignRun, evaluation: MeasuredEvaluation) -> Iterator[str]:
    """Yield a note on every metric that is computed here and has other values in a run's files."""
    on = evaluation.eval
    known = {metric.name for metric in run.metrics}
    for metric in on.metrics:
        theirs = metric.name if metric.name in known else CALLED_THERE.get(metric.name)
        if theirs not in known or isinstance(metric, ScoredElsewhere) or not is_ours(metric):
            continue
        with suppress(DistillError):  # what cannot be computed is said by the gate that asks for it
            there = _means(run, theirs)
            odd = [
                (example.id, float(mine), there[example.id])
                for example, mine in zip(on.gold, evaluation.scores(metric), strict=True)
                if example.id in there and not isclose(there[example.id], mine, abs_tol=CLOSE)
            ]
            if odd:
                id, mine, its = odd[0]
                yield (
                    f"{run.source}: {metric.name} is computed here from the answers, and is "
                    f"another number than the file's {theirs} for {len(odd):,} of {len(on.gold):,} "
                    f"examples, first '{id}': {mine:g} here, {its:g} there; to judge by the "
                    f"file's, declare it: 'metrics: [{{name: {theirs}}}]'"
                )


def _means(run: ForeignRun, name: str) -> dict[str, float]:
    """Return the mean of a score over the samples of each example that has it."""
    values: dict[str, list[float]] = {}
    for row in run.rows:
        if name in row.scores:
            values.setdefault(row.id, []).append(row.scores[name])
    return {id: fmean(found) for id, found in values.items()}


def refuse_other_than_asked(evaluation: MeasuredEvaluation, on: Eval, kind: str) -> None:
    """Raise EvaluationError where a run's prompts are others than those of the eval's own task.

    Prompts in a chat template are left alone: they are of the model too.

    Parameters
    ----------
    evaluation : MeasuredEvaluation
        What was recorded.
    on : Eval
        The eval.
    kind : str
        What digests are called that are of prompts alone.
    """
    if not isinstance(on.task, LmEval):
        return
    documents = on.task.documents
    mutual = "acc_mutual_info" in documents.task.aggregation()
    odd = []
    for id, said in evaluation.prompts.items():
        of, _, digests = said.partition(":")
        instances = documents.instances.get(id)
        if of != kind or instances is None:
            continue
        if digests.partition(":")[0] != prompts_digest(_prompts(instances, mutual=mutual)):
            odd.append(id)
    if odd:
        more = and_more(len(odd) - 1)
        raise EvaluationError(
            f"{evaluation.source}: asked another prompt for example '{odd[0]}'{more} than eval "
            f"'{on.name}' does: say num_fewshot, fewshot_seed and override in the eval as they "
            "were in that run"
        )


def _prompts(instances: Sequence[Any], *, mutual: bool) -> list[Any]:
    """Return the prompts, without those of choices that are rated alone too."""
    asked = instances[: len(instances) // 2] if mutual else instances
    return [instance.args[0] for instance in asked]
