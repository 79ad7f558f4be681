"""Classification: the probability of every label."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.failures import quiet
from pytest_distill.engines.transformers.fast.onednn import all_logits
from pytest_distill.engines.transformers.loaded import Company, Loaded
from pytest_distill.engines.transformers.neighbours import answers_of_rows
from pytest_distill.errors import ModelError, some_of
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.elsewhere import OTHER_TASKS


def classify(loaded: Loaded, requests: Sequence[ClassificationRequest]) -> Iterator[Prediction]:
    """Yield the probabilities of every request, batch by batch.

    Raises
    ------
    ModelError
        When the model is no single-label classifier, or a text is too long for it.
    """
    labels = output_labels(loaded)
    padding = _padding(loaded)
    loaded.refuse_unknown(padding, "config.json: pad_token_id")
    with quiet():
        rows = _encode(loaded, requests)
    if padding is None or padding < 0:
        # It doesn't know where a text ends in a batch.
        loaded.findings.rows.company = Company.ALONE

    def forward(batch: list[int]) -> list[list[float]]:
        return _forward(loaded, [rows[index] for index in batch])

    difference = partial(_difference, loaded)
    lengths = [len(row["input_ids"]) for row in rows]
    for index, probabilities in answers_of_rows(loaded, lengths, forward, difference):
        yield Prediction(id=requests[index].id, probabilities=tuple(probabilities), labels=labels)


def _difference(
    loaded: Loaded, _: int, got: Sequence[float], expected: Sequence[float]
) -> str | None:
    """Return how two outputs for one text differ, if by more than rounding."""
    half = loaded.model.dtype in (torch.float16, torch.bfloat16)
    most = 4 * torch.finfo(loaded.model.dtype).eps if half else 1e-4
    here, there = max(zip(got, expected, strict=True), key=lambda pair: abs(pair[0] - pair[1]))
    if abs(here - there) <= most or (math.isnan(here) and math.isnan(there)):
        return None
    return f"a probability was {here:.4f} and then {there:.4f}"


def output_labels(loaded: Loaded) -> tuple[str, ...]:
    """Return the names of the model's outputs, in their order."""
    config = loaded.model.config
    if config.num_labels < 2:
        raise ModelError(
            f"model '{loaded.name}' has one output, a regression or a reranker; classification "
            f"needs one a label ({OTHER_TASKS})"
        )
    if config.problem_type == "regression":
        raise ModelError(
            f"model '{loaded.name}' has outputs that are numbers, a regression; classification "
            f"needs a label each ({OTHER_TASKS})"
        )
    if config.problem_type == "multi_label_classification":
        raise ModelError(
            f"model '{loaded.name}' was trained for multi-label classification: its labels don't "
            f"exclude each other, and classification here means exactly one ({OTHER_TASKS})"
        )
    if set(config.id2label) != set(range(config.num_labels)):
        raise ModelError(
            f"model '{loaded.name}': config.json: id2label must number the {config.num_labels} "
            f"outputs from 0; it has {some_of([*map(str, sorted(config.id2label))])}"
        )
    given = [config.id2label[index] for index in range(config.num_labels)]
    if None in given:
        raise ModelError(
            f"model '{loaded.name}': config.json: id2label gives output {given.index(None)} no name"
        )
    names = tuple(map(str, given))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ModelError(
            f"model '{loaded.name}': config.json: id2label calls several outputs '{twice}'; give "
            "each a name of its own"
        )
    return names


Row = dict[str, list[int]]


def _encode(loaded: Loaded, requests: Sequence[ClassificationRequest]) -> list[Row]:
    """Return what the model reads of every request, cut where that is asked for."""
    rows: list[Row] = [{} for _ in requests]
    for paired in (False, True):
        chosen = [
            n for n, request in enumerate(requests) if (request.text_pair is not None) is paired
        ]
        if not chosen:
            continue
        texts = [requests[n].text for n in chosen]
        pairs = [requests[n].text_pair for n in chosen] if paired else None
        encoded = loaded.tokenizer(texts, pairs, truncation=False)
        for place, n in enumerate(chosen):
            row = {key: list(values[place]) for key, values in encoded.items()}
            rows[n] = _fitting(loaded, requests[n], row)
    return rows


def _fitting(loaded: Loaded, request: ClassificationRequest, row: Row) -> Row:
    """Return the row, cut to the model's context where the request allows it."""
    length = len(row["input_ids"])
    if loaded.context is not None and length > loaded.context:
        if request.truncate is None:
            raise ModelError(
                f"model '{loaded.name}', example '{request.id}': the text has {length} tokens, and "
                f"the model's context is {loaded.context}; shorten it, or set 'truncate: right'"
            )
        row = _cut(loaded, request, loaded.context)
    loaded.checked(request.id, row["input_ids"])
    return row


def _cut(loaded: Loaded, request: ClassificationRequest, length: int) -> Row:
    tokenizer = loaded.tokenizer
    side = tokenizer.truncation_side
    tokenizer.truncation_side = request.truncate
    try:
        return dict(tokenizer(request.text, request.text_pair, truncation=True, max_length=length))
    finally:
        tokenizer.truncation_side = side


def _padding(loaded: Loaded) -> int | None:
    """Return the token that the model takes for padding; not every config has one."""
    token: int | None = getattr(loaded.model.config.get_text_config(), "pad_token_id", None)
    return token


@torch.inference_mode()
def _forward(loaded: Loaded, rows: Sequence[dict[str, list[int]]]) -> list[list[float]]:
    """Return a softmax over the outputs in float32 for every row."""
    pad_id = _padding(loaded)
    fillers = {"input_ids": 0 if pad_id is None else pad_id, "attention_mask": 0}
    # A BERT tokenizer beside a DistilBERT model gives segments that the model has no use for.
    taken = inspect.signature(loaded.model.forward).parameters
    inputs: dict[str, Any] = {
        key: pad([row[key] for row in rows], fillers.get(key, 0), loaded.device)
        for key in rows[0]
        if key in taken
    }
    logits = all_logits(loaded, **inputs).float()
    probabilities: list[list[float]] = torch.softmax(logits, dim=-1).tolist()
    return probabilities
