"""What a server must honour for generated texts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from pytest_distill.engines.openai.checks import Trial
from pytest_distill.evals.tasks.generation import GenerationRequest


def trials(requests: Sequence[GenerationRequest]) -> Mapping[Hashable, Trial]:  # noqa: ARG001
    """Return what is tried before these are asked, by what it is about."""
    return {}
