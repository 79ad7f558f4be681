"""pytest-distill: decide in a test file whether a distilled model may ship."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_distill.engines import Engine, ModelInfo, ModelSpec
    from pytest_distill.errors import (
        ComparisonError,
        ConfigError,
        DistillError,
        EvaluationError,
        GoldSetError,
        ModelError,
    )
    from pytest_distill.evals.metrics import Answer, MeanMetric, Metric
    from pytest_distill.evals.requests import (
        ChoiceRequest,
        ClassificationRequest,
        GenerationRequest,
        PerplexityRequest,
        Prediction,
    )
    from pytest_distill.plugin.assertions import (
        GateComparison,
        assert_acceptance,
        assert_agreement,
        assert_beats_sft,
        assert_divergence,
        assert_faster,
        assert_flips,
        assert_inherited_errors,
        assert_latency,
        assert_meets,
        assert_memory,
        assert_not_contaminated,
        assert_quality_retained,
        assert_routable,
        assert_score,
        assert_size,
        assert_slices_retained,
        assert_smaller,
        assert_suite_retained,
        assert_throughput,
        recommend,
    )

_HOMES = {
    "plugin.assertions": (
        "GateComparison",
        "assert_acceptance",
        "assert_agreement",
        "assert_beats_sft",
        "assert_divergence",
        "assert_faster",
        "assert_flips",
        "assert_inherited_errors",
        "assert_latency",
        "assert_meets",
        "assert_memory",
        "assert_not_contaminated",
        "assert_quality_retained",
        "assert_routable",
        "assert_score",
        "assert_size",
        "assert_slices_retained",
        "assert_smaller",
        "assert_suite_retained",
        "assert_throughput",
        "recommend",
    ),
    "engines": ("Engine", "ModelInfo", "ModelSpec"),
    "errors": (
        "ComparisonError",
        "ConfigError",
        "DistillError",
        "EvaluationError",
        "GoldSetError",
        "ModelError",
    ),
    "evals.metrics": ("Answer", "MeanMetric", "Metric"),
    "evals.requests": (
        "ChoiceRequest",
        "ClassificationRequest",
        "GenerationRequest",
        "PerplexityRequest",
        "Prediction",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

GATE_FUNCTIONS = frozenset(_HOMES["plugin.assertions"]) - {"GateComparison"}
"""The functions by which a test asks gates."""

__all__ = [
    "Answer",
    "ChoiceRequest",
    "ClassificationRequest",
    "ComparisonError",
    "ConfigError",
    "DistillError",
    "Engine",
    "EvaluationError",
    "GateComparison",
    "GenerationRequest",
    "GoldSetError",
    "MeanMetric",
    "Metric",
    "ModelError",
    "ModelInfo",
    "ModelSpec",
    "PerplexityRequest",
    "Prediction",
    "assert_acceptance",
    "assert_agreement",
    "assert_beats_sft",
    "assert_divergence",
    "assert_faster",
    "assert_flips",
    "assert_inherited_errors",
    "assert_latency",
    "assert_meets",
    "assert_memory",
    "assert_not_contaminated",
    "assert_quality_retained",
    "assert_routable",
    "assert_score",
    "assert_size",
    "assert_slices_retained",
    "assert_smaller",
    "assert_suite_retained",
    "assert_throughput",
    "recommend",
]


def __getattr__(name: str) -> Any:
    # pytest imports this package at every start, gates or not: nothing is imported before it is
    # asked for.
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pytest_distill' has no attribute '{name}'")
    return getattr(importlib.import_module(f"pytest_distill.{_HOME_OF[name]}"), name)
