"""Identity of models and requests: what a stored prediction is found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.evals.request_keys import canonical_sha256, request_key

__all__ = ["request_key", "run_key"]


def run_key(identity: Mapping[str, Any]) -> str:
    """Return the digest of a model's bytes and of the settings that it runs under."""
    return canonical_sha256(dict(identity)).hexdigest()
