"""A teacher's captured log-probabilities: what is read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.tasks import Perplexity
from pytest_distill.evaluation.sources.captured import read_captured
from pytest_distill.evaluation.sources.recorded import read_predictions
from tests.unit.conftest import gold_set

ROW: dict[str, Any] = {
    "id": "e0",
    "tokens": [5, 7],
    "top_tokens": [[5, 6], [7]],
    "top_logprobs": [[-0.1, -3.0], [-0.5]],
}


def texts(n: int = 1) -> Eval:
    """Return a perplexity eval with n texts, whose ids are e0, e1, ..."""
    return Eval("texts", Perplexity(), gold_set("a" * n), (BUILT_IN["perplexity"],))


def written(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    """Write rows of a teacher's log-probabilities."""
    path = tmp_path / "teacher.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_positions_may_have_different_numbers_of_tokens(tmp_path: Path) -> None:
    """Short ones are filled up with what counts for nothing."""
    captured = read_captured(written(tmp_path, ROW), texts())["e0"]
    assert captured.tokens == (5, 7)
    assert captured.top.tolist() == [[5, 6], [7, -1]]
    assert captured.logprobs.tolist() == [[-0.1, -3.0], [-0.5, -np.inf]]


def test_a_position_may_be_null(tmp_path: Path) -> None:
    """What a server dumps for the first token, which nothing predicted."""
    row = {**ROW, "top_tokens": [None, [7]], "top_logprobs": [None, [-0.5]]}
    captured = read_captured(written(tmp_path, row), texts())["e0"]
    assert not np.isfinite(captured.logprobs[0]).any()


def test_the_same_row_serves_as_a_prediction(tmp_path: Path) -> None:
    """With the log-likelihood of the text beside them the tokens are counted."""
    _, (prediction,) = read_predictions(written(tmp_path, {**ROW, "loglikelihoods": [-0.6]}))
    assert (prediction.tokens, prediction.loglikelihoods) == (2, (-0.6,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"top_logprobs": [[-0.1, -3.0]]}, "2 tokens, 2 top_tokens and 1 top_logprobs"),
        ({"top_logprobs": [[-0.1], [-0.5]]}, "position 0: 2 top_tokens and 1 top_logprobs"),
        ({"top_logprobs": [[-0.1, -0.2], [-0.5]]}, "position 0: the probabilities sum to 1.72357"),
        ({"top_logprobs": [[-0.1, "x"], [-0.5]]}, "position 0: top_logprobs has 'x'"),
        ({"top_logprobs": [[-0.1, 0.9], [-0.5]]}, "position 0: top_logprobs has 0.9"),
        ({"top_logprobs": [[-0.1, True], [-0.5]]}, "position 0: top_logprobs has True"),
        ({"top_tokens": [[5, 5], [7]]}, "position 0: a token is there twice"),
        ({"top_tokens": [[5, 1.5], [7]]}, "position 0 has 1.5, not the id of a token"),
        ({"top_tokens": [[5, 6], []], "top_logprobs": [[-0.1, -3], []]}, "position 1: 0 top"),
        ({"top_tokens": [5, 7]}, "position 0: top_tokens is 5, not a list"),
        ({"tokens": 2}, "tokens is 2, not a list"),
        ({"tokens": [5, -7]}, "tokens has -7, not the id of a token"),
        ({"tokens": [], "top_tokens": [], "top_logprobs": []}, "no position has a log-prob"),
    ],
)
def test_what_is_no_log_probability_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The error names file, line, id and position."""
    with pytest.raises(EvaluationError) as error:
        read_captured(written(tmp_path, {**ROW, **changes}), texts())
    assert message in str(error.value)
    assert "teacher.jsonl:1 (id 'e0')" in str(error.value)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    """A file of plain predictions says what it lacks."""
    path = written(tmp_path, {"id": "e0", "loglikelihoods": [-1.0], "tokens": 3})
    with pytest.raises(EvaluationError, match=r"teacher\.jsonl:1 \(id 'e0'\): no 'top_tokens'"):
        read_captured(path, texts())


def test_every_example_needs_a_row(tmp_path: Path) -> None:
    """One that is missing, and one that is there twice, are named."""
    with pytest.raises(EvaluationError, match="no prediction for example 'e1'"):
        read_captured(written(tmp_path, ROW), texts(2))
    with pytest.raises(EvaluationError, match=r":2 \(id 'e0'\): the id is there twice"):
        read_captured(written(tmp_path, ROW, ROW), texts())
