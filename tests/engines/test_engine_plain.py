"""What torch gives becomes built-in types as well: engines hand it in by mistake."""

from __future__ import annotations

import pytest
import torch

from pytest_distill import ModelError, ModelInfo, Prediction
from pytest_distill.engines import Timing
from pytest_distill.evaluation.plain_predictions import plain_prediction


def test_tensors_become_plain() -> None:
    """Sizes, times and predictions, alone or in a tensor of several numbers."""
    info = ModelInfo("a", "student", torch.tensor(6), torch.tensor([8.0]))  # type: ignore[arg-type]
    assert repr((info.parameters, info.bytes)) == "(6, 8)"
    assert repr(Timing(torch.tensor(0.25)).seconds) == "0.25"  # type: ignore[arg-type]
    odd = Prediction("e0", probabilities=torch.tensor([0.5, 0.5]))  # type: ignore[arg-type]
    assert repr(plain_prediction(odd, "engine").probabilities) == "(0.5, 0.5)"


def test_a_dtype_of_torch_is_no_text() -> None:
    """The error says what it is."""
    with pytest.raises(ModelError, match=r"dtype: must be text, not torch.float32 \(dtype"):
        ModelInfo("a", "student", dtype=torch.float32)  # type: ignore[arg-type]
