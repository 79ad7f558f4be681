"""Who answers: the port that every engine has, and the built-in ones by name.

Nothing heavy is imported here; an engine's module is imported when one of its models is used.
"""

from __future__ import annotations

from pytest_distill.engines.file_digests import FileDigests, file_digest
from pytest_distill.engines.info import DECLARABLE, Memory, ModelInfo, Timing, info_from
from pytest_distill.engines.port import (
    Captured,
    Dated,
    Distributional,
    Elsewhere,
    Engine,
    Identified,
    Measurable,
    Metered,
    Patient,
    TokenLikeness,
    Unsteady,
)
from pytest_distill.engines.spec import ModelSpec, Role

__all__ = [
    "DECLARABLE",
    "Captured",
    "Dated",
    "Distributional",
    "Elsewhere",
    "Engine",
    "FileDigests",
    "Identified",
    "Measurable",
    "Memory",
    "Metered",
    "ModelInfo",
    "ModelSpec",
    "Patient",
    "Role",
    "Timing",
    "TokenLikeness",
    "Unsteady",
    "file_digest",
    "info_from",
]
