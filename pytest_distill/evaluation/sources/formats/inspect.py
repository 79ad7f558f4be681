"""The logs of inspect, read by its own reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from pytest_distill._util.packages import Package
from pytest_distill.errors import EvaluationError, few, one_line
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format
from pytest_distill.evaluation.sources.formats.inspect_samples import (
    CUT,
    SampleScores,
    answer,
    asked,
    document,
    stop_reason,
)
from pytest_distill.evaluation.sources.formats.inspect_totals import check_totals

SETTINGS = (
    *("system_message", "max_tokens", "temperature", "top_p", "top_k", "stop_seqs", "num_choices"),
    *("best_of", "frequency_penalty", "presence_penalty", "logit_bias", "response_schema"),
)
"""Of a generation's settings in inspect those that decide what was asked: not how many connections
asked it, nor how hard a model was to think."""

LISTS = {"logs.json", "eval-set.json"}
"""What inspect calls its lists of the logs in a folder."""

UNREAD = {"events", "store", "timelines"}
"""What a sample has beside question, answer and scores; most of the file, often."""

_UNREADABLE = (ValueError, TypeError, LookupError, OSError, EOFError, RuntimeError, BadZipFile)
"""What inspect raises of a file that is none of its logs, or is broken."""


class InspectLogs(Format):
    """The logs of inspect: one task, one model, all samples."""

    name = "inspect"
    files = "inspect's logs (*.eval, *.json)"
    globs = ("*.eval", "*.json")
    package = Package("inspect_ai", "inspect-ai", "inspect")
    by_content = False

    def is_named(self, path: Path) -> bool:
        """Return whether a file is called as a log is, and not as the lists of logs beside them."""
        return super().is_named(path) and path.name not in LISTS

    def read(self, paths: Sequence[Path]) -> list[ForeignRun]:
        """Return the run in each log; see `Format`."""
        self.package.load("reading a log of inspect")
        return [_Log(path).run for path in paths]


def _whole_log(path: Path, source: str) -> Any:
    """Return a log that says of itself that it is whole; EvaluationError else."""
    from inspect_ai.log import read_eval_log

    try:
        header = _apart(read_eval_log, path, header_only=True)
        _refuse_unfinished(header, source)
        return _apart(read_eval_log, path, exclude_fields=UNREAD)
    except _UNREADABLE as error:
        raise EvaluationError(
            f"{source}: inspect cannot read this as one of its logs ({type(error).__name__}: "
            f"{one_line(str(error)):.200})"
        ) from None


def _apart(read: Callable[..., Any], path: Path, **of: Any) -> Any:
    """Read in a thread of its own: where asyncio runs in this one, inspect patches it for good."""
    with ThreadPoolExecutor(1) as own:
        return own.submit(read, path, **of).result()


def _refuse_unfinished(header: Any, source: str) -> None:
    if header.status != "success":
        why = f" ({one_line(header.error.message):.200})" if header.error else ""
        raise EvaluationError(
            f"{source}: the run's status is '{header.status}'{why}: examples may be missing, and "
            "not by chance; finish it with 'inspect eval-retry', or name another log"
        )
    if header.invalidated:
        raise EvaluationError(
            f"{source}: samples of this log were marked as invalid, so that its totals are not to "
            "be relied on; run them again with 'inspect eval-retry'"
        )


@dataclass(frozen=True)
class _Log:
    """A log, read."""

    path: Path

    @cached_property
    def source(self) -> str:
        """What messages call it."""
        return shown_path(self.path)

    @cached_property
    def log(self) -> Any:
        """What inspect reads."""
        return _whole_log(self.path, self.source)

    @cached_property
    def samples(self) -> list[Any]:
        """The samples in the order of the data set, those of an example by their epoch.

        inspect reads them in the order of the ids as text: 1, 10, 2.
        """
        ids = self._ids
        found: dict[tuple[str, int], Any] = {}
        for sample in self.log.samples:
            key = (str(sample.id), sample.epoch)
            if key in found:
                raise EvaluationError(f"{self._place(sample)}: this sample is there twice")
            found[key] = sample
        epochs = self.log.eval.config.epochs or 1
        wanted = [(id, epoch) for id in ids for epoch in range(1, epochs + 1)]
        lacking = [f"'{id}' (epoch {epoch})" for id, epoch in wanted if (id, epoch) not in found]
        if lacking:
            raise EvaluationError(
                f"{self.source}: no sample of {few(lacking)}, of the {len(wanted):,} that the run "
                "was to have; run it again"
            )
        surplus = [f"'{id}' (epoch {epoch})" for id, epoch in found.keys() - set(wanted)]
        if surplus:
            raise EvaluationError(
                f"{self.source}: samples that the run was not to have: {few(sorted(surplus))}; its "
                f"data set has {len(ids):,} examples and each was asked {epochs:,} times"
            )
        return [found[key] for key in wanted]

    @property
    def _ids(self) -> list[str]:
        """The ids of the data set, in its order."""
        if not self.log.samples:
            raise EvaluationError(
                f"{self.source}: it has no samples; run it again, without --no-log-samples"
            )
        ids = [str(id) for id in self.log.eval.dataset.sample_ids]
        twice = [f"'{id}'" for id, count in Counter(ids).items() if count > 1]
        if twice:
            raise EvaluationError(
                f"{self.source}: two examples have the id {few(twice)}, one as a number and one as "
                "text; rename one of them"
            )
        return ids

    def _place(self, sample: Any) -> str:
        return f"{self.source}: sample '{sample.id}', epoch {sample.epoch}"

    @cached_property
    def run(self) -> ForeignRun:
        """What the log says."""
        samples = self.samples  # is it whole?
        for sample in samples:
            self._refuse_failed(sample)
        scores = SampleScores.of([(self._place(sample), sample.scores or {}) for sample in samples])
        totals = check_totals(self.log, self.source, scores.wordy)
        notes = (*scores.notes, *totals, *self._endings())
        settings = self._settings
        rows = [
            self._row(sample, own, settings)
            for sample, own in zip(samples, scores.by_sample, strict=True)
        ]
        return ForeignRun(
            source=self.source,
            files=(self.path,),
            model=self.log.eval.model,
            task=self.log.eval.task,
            rows=rows,
            metrics=scores.metrics(self.log),
            notes=tuple(f"{self.source}: {note}" for note in notes),
            left_out=scores.words,
            asks=_asks(settings),
        )

    def _refuse_failed(self, sample: Any) -> None:
        place = self._place(sample)
        if sample.error is not None:
            raise EvaluationError(
                f"{place}: it ended in an error ({one_line(sample.error.message):.200}), and has "
                "no answer to judge; run it again with 'inspect eval-retry'"
            )
        if sample.invalidation is not None:
            raise EvaluationError(f"{place}: it was marked as invalid; run it again")
        if stop_reason(sample) == "content_filter":
            raise EvaluationError(
                f"{place}: a filter of the service cut its answer, so that it is none of the "
                "model's; run it again, or leave this example out of every model's run"
            )
        if sample.limit is not None and sample.limit.type == "operator":
            raise EvaluationError(f"{place}: a person stopped it, and not the model; run it again")

    def _row(self, sample: Any, scores: Mapping[str, float], settings: Any) -> ForeignRow:
        return ForeignRow(
            where=self._place(sample),
            id=str(sample.id),
            document=document(sample),
            answer=answer(sample),
            repeat=sample.epoch - 1,
            prompt=canonical_sha256([asked(sample), settings]).hexdigest(),
            scores=scores,
        )

    @property
    def _settings(self) -> dict[str, Any]:
        """The settings of the run that decide what was asked: the task's over the model's."""
        log = self.log
        said: dict[str, Any] = {}
        for config in (log.eval.model_generate_config, log.plan.config):
            said |= config.model_dump(mode="json", exclude_none=True, include=set(SETTINGS))
        steps = [
            {name: step.params[name] for name in SETTINGS if name in step.params}
            for step in log.plan.steps
        ]
        return said | {"steps": steps} if any(steps) else said

    def _endings(self) -> Iterator[str]:
        """Yield what to tell of samples whose end is none that a text has."""
        limits = [(sample.limit, str(sample.id)) for sample in self.samples]
        halted = [(limit.type, id) for limit, id in limits if limit and limit.type not in CUT]
        for kind in sorted({kind for kind, _ in halted}):
            ids = [id for of, id in halted if of == kind]
            yield (
                f"{len(ids):,} of {len(limits):,} samples were halted by the limit '{kind}' "
                f"({few(ids)}): they are judged as they stood"
            )


def _asks(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry of an eval says that asks the same."""
    said = {"max_new_tokens": settings.get("max_tokens"), "stop": settings.get("stop_seqs")}
    return {"task": "generation", **{name: value for name, value in said.items() if value}}
