"""A model of a first project, and what fields are called that say something of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pytest_distill.engines import Role
from pytest_distill.evals.rows import Row
from pytest_distill.evaluation.sources.pipelines import PREFIXES, TEXTS
from pytest_distill.evaluation.sources.rows import ANSWERS

IDS = ("id", "idx", "uid", "uuid", "guid", "key", "example_id", "sample_id", "question_id")
TARGETS = (
    *("target", "label", "labels", "gold", "gold_label", "answer", "answers", "reference"),
    *("references", "expected", "expected_output", "output", "completion", "response", "summary"),
    *("translation", "class", "category", "sentiment", "intent", "y_true", "y"),
    *("ground_truth", "correct_answer", "gold_answer", "answerkey", "solution", "ideal"),
)
INPUTS = (
    *("input", "text", "sentence", "prompt", "question", "query", "instruction", "content"),
    *("document", "article", "review", "source", "utterance", "comment", "title", "body"),
)
"""What data sets call such fields, the likeliest name first."""


@dataclass(frozen=True)
class FirstModel:
    """One model.

    Parameters
    ----------
    role : str
        Its role, and its name.
    path : Path
        A folder with a checkpoint, or a file with predictions.
    tasks : tuple of str
        What it can be asked, or what its rows may answer, the usual task first.
    labels : tuple of str
        What a checkpoint that classifies calls its outputs.
    rows : tuple of mapping
        The predictions; empty of a checkpoint.
    base : str, optional
        Of an adapter its base model: a folder, or a hub id.
    gguf_file : str, optional
        The file in the folder that holds the weights.
    """

    role: Role
    path: Path
    tasks: tuple[str, ...]
    labels: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    base: str | None = None
    gguf_file: str | None = None

    @property
    def recorded(self) -> bool:
        """Whether its predictions are in a file."""
        return bool(self.rows)

    @property
    def answers(self) -> Collection[str]:
        """The fields of its rows that are its answers, and so nothing of a gold set."""
        row = self.rows[0]
        found = {*ANSWERS, *TEXTS, "tokens", "score", "scores", "labels", "finish_reason"}
        if "prediction" in row or self.tasks != ("generation",):
            found -= {"text"}  # what it reads
        if "score" in row:
            found |= {"label"}
        return found | {name for name in row if name.startswith(PREFIXES)}
