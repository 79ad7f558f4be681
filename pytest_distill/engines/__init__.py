"""Who answers: the port that every engine has, and the built-in ones by name.

Nothing heavy is imported here; an engine's module is imported when one of its models is used.
"""

from __future__ import annotations

from pytest_distill.engines.file_digests import FileDigests, file_digest
from pytest_distill.engines.info import DECLARABLE, Memory, ModelInfo, Timing, info_from, plainly
from pytest_distill.engines.lookup import (
    DEFAULT,
    ENGINES,
    FurtherKeys,
    engine_class,
    is_here,
    options_class,
    weights_named,
)
from pytest_distill.engines.port import (
    Captured,
    Dated,
    Distributional,
    Engine,
    Identified,
    Measurable,
    TokenLikeness,
)
from pytest_distill.engines.spec import ModelSpec, Role, located

__all__ = [
    "DECLARABLE",
    "DEFAULT",
    "ENGINES",
    "Captured",
    "Dated",
    "Distributional",
    "Engine",
    "FileDigests",
    "FurtherKeys",
    "Identified",
    "Measurable",
    "Memory",
    "ModelInfo",
    "ModelSpec",
    "Role",
    "Timing",
    "TokenLikeness",
    "engine_class",
    "file_digest",
    "info_from",
    "is_here",
    "located",
    "options_class",
    "plainly",
    "weights_named",
]
