"""The assertions: what a test file says a student must meet to ship."""

from pytest_distill.plugin.assertions.criteria import assert_meets, recommend
from pytest_distill.plugin.assertions.efficiency import (
    assert_faster,
    assert_latency,
    assert_memory,
    assert_size,
    assert_smaller,
    assert_throughput,
)
from pytest_distill.plugin.assertions.likeness import (
    assert_acceptance,
    assert_agreement,
    assert_divergence,
    assert_inherited_errors,
)
from pytest_distill.plugin.assertions.methods import GateComparison
from pytest_distill.plugin.assertions.quality import (
    assert_beats_sft,
    assert_flips,
    assert_not_contaminated,
    assert_quality_retained,
    assert_score,
    assert_slices_retained,
    assert_suite_retained,
)
from pytest_distill.plugin.assertions.routing import assert_routable

__all__ = [
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
]
