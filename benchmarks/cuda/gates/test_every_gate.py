"""Every gate of the DSL but `finished` and `not_worse`, once, on models whose weights are random.

Such models end no text by themselves, and there is no accepted run. What they are asked is little,
so that most pass; the teacher's answers are the gold set's but for one in ten, and the student
guesses.
"""

from __future__ import annotations

import pytest

from pytest_distill import (
    assert_acceptance,
    assert_agreement,
    assert_beats_sft,
    assert_divergence,
    assert_errors,
    assert_faster,
    assert_flips,
    assert_inherited_errors,
    assert_latency,
    assert_length,
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
)

pytestmark = pytest.mark.distill(eval="questions")


def test_acceptance() -> None:
    assert_acceptance(min=0.001, eval="texts")


def test_agreement() -> None:
    assert_agreement(min=0.05)


def test_beats_sft() -> None:
    assert_beats_sft()


def test_divergence() -> None:
    assert_divergence(max=20, eval="texts")


def test_errors() -> None:
    assert_errors(max_ratio=20)


def test_faster() -> None:
    assert_faster(min_speedup=1.01)


def test_flips() -> None:
    assert_flips(max_lost=0.9)


def test_inherited_errors() -> None:
    assert_inherited_errors(max=0.9)


def test_latency() -> None:
    assert_latency(p95="10 s")


def test_length() -> None:
    assert_length(max_ratio=2, eval="prompts")


def test_memory() -> None:
    assert_memory(max="60 GB")


def test_not_contaminated() -> None:
    assert_not_contaminated(train="train.jsonl", field="text", eval="texts")


def test_quality_retained() -> None:
    assert_quality_retained(min=0.1)


def test_routable() -> None:
    assert_routable(min_handled=0.01, retained=0.5)


def test_score() -> None:
    assert_score(min=0.05)


def test_size() -> None:
    assert_size(max_parameters="1B")


def test_slices_retained() -> None:
    assert_slices_retained(min=0.1, by="length")


def test_smaller() -> None:
    assert_smaller(max_ratio=0.9)


def test_suite_retained() -> None:
    assert_suite_retained(min=0.01, evals=["questions", "prompts"])


def test_throughput() -> None:
    assert_throughput(min="0.1 /s")
