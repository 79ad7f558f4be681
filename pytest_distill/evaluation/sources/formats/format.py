"""The files of other tools: what they are read as, and from a name to the class that reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pytest_distill._util.packages import Package
from pytest_distill._util.user_code import load_object
from pytest_distill.errors import refuse_unknown

UNCONDITIONAL = "unconditional_loglikelihoods"
"""The field of an answer with the log-likelihood of each choice without a prompt."""

FORMATS: Mapping[str, str] = {
    "lm-eval": "pytest_distill.evaluation.sources.formats.lm_eval:LmEvalSamples",
    "inspect": "pytest_distill.evaluation.sources.formats.inspect:InspectLogs",
    "lighteval": "pytest_distill.evaluation.sources.formats.lighteval:LightevalDetails",
}
"""Where the class of each format is, as ``module:name``; it is imported when asked for."""


@dataclass(frozen=True, slots=True)
class ForeignRow:
    """One sample of one example.

    Parameters
    ----------
    where : str
        File and line (or sample), for messages.
    id : str
        What the tool calls the example, else a digest of its document; of a document that stands
        several times the second ends in ``#2``.
    document : mapping
        What is known of the example beside any model's answer: a row of a gold set.
    answer : mapping
        The fields of a recorded row: ``text``, ``loglikelihoods``, ``greedy``, ...
    repeat : int
        Which sample of the example it is, from 0.
    prompt : str, optional
        A digest of what the model was asked, as the tool took it.
    beside : str, optional
        A digest of what it was asked beside the prompt, where the tool's has not all: the choices,
        how a text is generated. No chat template is in it.
    scores : mapping
        Metric -> the tool's value of this sample.
    """

    where: str
    id: str
    document: Mapping[str, Any]
    answer: Mapping[str, Any]
    repeat: int = 0
    prompt: str | None = None
    beside: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def said(self) -> object:
        """All that the tool has of the answer: samples that are alike here are alike."""
        return self.answer, self.scores


@dataclass(frozen=True, slots=True)
class ForeignMetric:
    """What the tool says of a metric whose value each sample has."""

    name: str
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class ForeignRun:
    """What one model answered to one task in one run of the tool.

    Parameters
    ----------
    source : str
        What messages call the file, or the files.
    files : tuple of Path
        They themselves.
    model : str, optional
        What the tool calls the model.
    task : str
        What the tool calls the task.
    rows : sequence of ForeignRow
        The samples, in the tool's order.
    metrics : tuple of ForeignMetric
        Whose values the samples have as `scores`.
    notes : tuple of str
        What a reader must know of it.
    left_out : tuple of str
        Metrics that are no mean over examples, so that no sample has a score by them.
    template : str, optional
        A digest of the model's own chat template, where the prompts were put into it: those of
        models with other templates are not the same text.
    asks : mapping
        What an entry of ``evals:`` says that asks the same, as far as the files tell: ``task``, ...
    """

    source: str
    files: tuple[Path, ...]
    model: str | None
    task: str
    rows: Sequence[ForeignRow]
    metrics: tuple[ForeignMetric, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    template: str | None = None
    asks: Mapping[str, Any] = field(default_factory=dict)


def asked_for_choices(texts: Iterable[str]) -> tuple[dict[str, Any], str]:
    """Return what an eval says that asks for these continuations, and what each begins with."""
    if all(text.startswith(" ") and text.strip() for text in texts):
        return {"task": "multiple_choice"}, " "
    return {"task": "multiple_choice", "delimiter": ""}, ""


class Format(ABC):
    """The files of one tool.

    Attributes
    ----------
    name : str
        As ``format:`` and ``python -m pytest_distill import`` say it.
    files : str
        What its files are called, for messages and help.
    globs : tuple of str
        What their names look like.
    package : Package, optional
        What has to be installed to read them.
    by_content : bool
        Whether its ids are digests of documents, so that what has one id is one document.
    """

    name: ClassVar[str]
    files: ClassVar[str]
    globs: ClassVar[tuple[str, ...]]
    package: ClassVar[Package | None] = None
    by_content: ClassVar[bool] = True

    def task_of(self, path: Path) -> str | None:  # noqa: ARG002 (most files must be read)
        """Return what a file's name says of its task; None where only reading it tells."""
        return None

    def id_of(self, document: Mapping[str, Any]) -> str | None:  # noqa: ARG002
        """Return what the tool calls a document by what stands in it; None where it does not."""
        return None

    def is_named(self, path: Path) -> bool:
        """Return whether a file is called as the tool calls its own."""
        return any(path.match(glob) for glob in self.globs)

    @abstractmethod
    def read(self, paths: Sequence[Path]) -> list[ForeignRun]:
        """Return the runs in some files, each checked against what the tool printed of it.

        Raises
        ------
        EvaluationError
            Naming file and line, where a sample is malformed, unscored (NaN), errored or there
            twice; where the totals that the tool printed are not those of its samples.
        """


def format_of(name: str) -> Format:
    """Return the format of a name.

    Raises
    ------
    ConfigError
        Where there is none, or the package that reads it is not installed.
    """
    refuse_unknown(name, FORMATS, f"unknown format '{name}'")
    kind: type[Format] = load_object(FORMATS[name], f"format {name}")
    if kind.package is not None:
        kind.package.require(f"format: {name}")
    return kind()


def written_by(path: Path) -> str | None:
    """Return the format of which a file's name is; None where any tool's might be called so."""
    for name in FORMATS:
        kind: type[Format] = load_object(FORMATS[name], f"format {name}")
        if any(glob != "*.json" and path.match(glob) for glob in kind.globs):
            return name
    return None
