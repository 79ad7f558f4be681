"""The lines of lm-evaluation-harness's samples: one a document and filter.

As 0.4.13 writes them (``lm_eval/evaluator.py``, ``evaluate``, and
``lm_eval/loggers/evaluation_tracker.py``, ``save_results_samples``).
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_distill.errors import EvaluationError, some_of
from pytest_distill.evals.readers import not_text
from pytest_distill.evaluation.sources.formats.lm_eval.asked import AskedOfDocument, asked_of

NO_FILTER = "none"
"""What the one filter of a task that has none is called."""

BYPASS = "bypass"
"""A metric that measures nothing."""

NEEDED = ("doc_id", "doc", "target", "arguments", "resps", "filter", "doc_hash", "prompt_hash")
"""The fields that a line is read by."""


DIGESTS = ("doc_hash", "prompt_hash", "target_hash")


@dataclass(frozen=True, slots=True)
class Sample:
    """One line.

    Parameters
    ----------
    where : str
        File and line.
    doc_id : int
        The document's place in the data set.
    digest : str
        The digest of the document.
    digests : str
        Those and the target's, one after the other.
    doc : mapping
        The document.
    target : str
        The target, as text.
    asked : AskedOfDocument
        What the model was asked.
    answers : list of mapping
        Of each repeat the fields of a recorded row.
    filter : str
        What the answers were passed through before they were scored.
    scores : mapping
        Metric -> its value: a number, or what only the whole task's number is made of.
    """

    where: str
    doc_id: int
    digest: str
    digests: str
    doc: Mapping[str, Any]
    target: str
    asked: AskedOfDocument
    answers: list[dict[str, Any]]
    filter: str
    scores: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it stands, and which document it is of: how a message about it starts."""
        return f"{self.where} (doc_id {self.doc_id})"


@dataclass(slots=True)
class HarnessDocument:
    """What the lines of one document say, one a filter.

    Parameters
    ----------
    first : Sample
        The first line.
    where : mapping
        Filter -> where its line stands.
    scores : mapping
        The scores of all of them.
    """

    first: Sample
    where: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)

    def take(self, sample: Sample) -> None:
        """Take in a line; EvaluationError where it is of another run."""
        first = self.first
        if sample.filter in self.where:
            raise EvaluationError(
                f"{sample.place}: filter '{sample.filter}' of this document stands at "
                f"{self.where[sample.filter]} already: lm-evaluation-harness appends to a file "
                "that is there, so that a second run doubles it; evaluate again into a new folder, "
                "or keep the lines of one run"
            )
        for told, other, mine in (
            ("document", first.digest, sample.digest),
            ("prompt", first.asked.digest, sample.asked.digest),
            ("choice or setting", first.asked.beside, sample.asked.beside),
            ("answer", first.answers, sample.answers),
        ):
            if mine != other:
                raise EvaluationError(
                    f"{sample.place}: another {told} than at {first.where}, under the same doc_id: "
                    "the file holds lines of two runs; keep those of one"
                )
        self.where[sample.filter] = sample.where
        self.scores.update(sample.scores)


def read_samples(path: Path, shown: str) -> Iterator[Sample]:
    """Yield the lines of a file.

    Raises
    ------
    EvaluationError
        Naming file and line, where one is not as lm-evaluation-harness wrote it.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.isspace():
                    where = f"{shown}:{number}"
                    yield _sample(where, _decoded(where, raw))
    except OSError as error:
        raise EvaluationError(f"{shown}: cannot be read: {error.strerror or error}") from None


def _decoded(where: str, raw: bytes) -> dict[str, Any]:
    try:
        row = json.loads(raw.removeprefix(codecs.BOM_UTF8).decode())
        if b"\\ud" in raw or b"\\uD" in raw:  # half a surrogate pair is no character
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{where}: {not_text(raw, error.start)}") from None
    except UnicodeEncodeError:
        raise EvaluationError(f"{where}: half of a surrogate pair is not a character") from None
    except (ValueError, RecursionError) as error:
        cut = "" if raw.endswith(b"\n") else "; the file ends within this line: it was cut off"
        raise EvaluationError(f"{where}: not valid JSON: {error}{cut}") from None
    if not isinstance(row, dict):
        raise EvaluationError(f"{where}: expected one JSON object a line, got {row!r:.40}")
    return row


def _sample(where: str, row: dict[str, Any]) -> Sample:
    lacking = [name for name in NEEDED if name not in row]
    if lacking:
        raise EvaluationError(
            f"{where}: no '{lacking[0]}': not one of the samples that lm-evaluation-harness writes "
            f"with --log_samples (0.4.3 and later); it has {some_of(list(row))}"
        )
    doc_id, doc = row["doc_id"], row["doc"]
    if isinstance(doc_id, bool) or not isinstance(doc_id, int):
        raise EvaluationError(f"{where}: doc_id is {doc_id!r:.60}, not a whole number")
    place = f"{where} (doc_id {doc_id})"
    if not isinstance(doc, dict):
        raise EvaluationError(f"{place}: doc is {doc!r:.60}, not a document's fields")
    metrics = _metrics(place, row)
    asked = asked_of(place, row["arguments"], mutual="acc_mutual_info" in metrics)
    _refuse_edited(place, row, doc, asked)
    return Sample(
        where=where,
        doc_id=doc_id,
        digest=row["doc_hash"],
        digests="".join(str(row.get(name, "")) for name in DIGESTS),
        doc=doc,
        target=str(row["target"]),
        asked=asked,
        answers=asked.answers(place, row["resps"]),
        filter=str(row["filter"]),
        scores=_scores(place, row, metrics),
    )


def _metrics(place: str, row: Mapping[str, Any]) -> Sequence[str]:
    metrics = row.get("metrics", [])
    if not isinstance(metrics, list):
        raise EvaluationError(f"{place}: metrics is {metrics!r:.60}, not a list of names")
    return [str(name) for name in metrics]


def _refuse_edited(place: str, row: Mapping[str, Any], doc: object, asked: AskedOfDocument) -> None:
    """Raise EvaluationError where the digests in a line are not those of what stands in it."""
    try:
        document = indented(doc)
    except RecursionError:
        raise EvaluationError(f"{place}: doc is nested too deeply") from None
    for name, text in (("doc_hash", document), ("prompt_hash", asked.first)):
        if text is None:
            continue
        if hashlib.sha256(text.encode()).hexdigest() != row[name]:
            what, field = ("document", "doc") if name == "doc_hash" else ("prompt", "arguments")
            raise EvaluationError(
                f"{place}: {name} is {str(row[name])[:16]!r}..., which is not the digest of the "
                f"{what} in '{field}': the line was changed after the model was asked"
            )


def _scores(place: str, row: Mapping[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
    scores = {}
    for name in metrics:
        if name == BYPASS:
            continue
        if name not in row:
            raise EvaluationError(f"{place}: no value of '{name}', which its metrics name")
        value = row[name]
        if value is None or (isinstance(value, float) and math.isnan(value)):
            raise EvaluationError(
                f"{place}: {name} is {json.dumps(value)}: the document was not scored; find out "
                "why, and evaluate again"
            )
        scores[name if row["filter"] == NO_FILTER else f"{name},{row['filter']}"] = value
    return scores


_TEXT = json.encoder.encode_basestring


def indented(value: Any, margin: str = "\n") -> str:
    """Return what ``json.dumps(value, indent=2, ensure_ascii=False)`` does, in a third of the time.

    That is what lm-evaluation-harness takes the digest of a document of.
    """
    kind = type(value)
    if kind is str:
        return str(_TEXT(value))
    if (kind is not dict and kind is not list) or not value:
        return json.dumps(value)
    inner = margin + "  "
    if kind is list:
        return f"[{inner}{f',{inner}'.join([indented(v, inner) for v in value])}{margin}]"
    pairs = [f"{_TEXT(key)}: {indented(v, inner)}" for key, v in value.items()]
    return f"{{{inner}{f',{inner}'.join(pairs)}{margin}}}"
