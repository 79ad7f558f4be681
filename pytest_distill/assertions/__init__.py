"""The assertions: what a test file says a student must meet to ship."""

from pytest_distill.assertions.likeness import (
    assert_acceptance,
    assert_agreement,
    assert_divergence,
    assert_inherited_errors,
)
from pytest_distill.assertions.methods import GateComparison
from pytest_distill.assertions.quality import (
    assert_beats_sft,
    assert_flips,
    assert_not_contaminated,
    assert_quality_retained,
    assert_score,
    assert_slices_retained,
    assert_suite_retained,
)

__all__ = [
    "GateComparison",
    "assert_acceptance",
    "assert_agreement",
    "assert_beats_sft",
    "assert_divergence",
    "assert_flips",
    "assert_inherited_errors",
    "assert_not_contaminated",
    "assert_quality_retained",
    "assert_score",
    "assert_slices_retained",
    "assert_suite_retained",
]
