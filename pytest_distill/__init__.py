"""pytest-distill: decide in a test file whether a distilled model may ship.

The public names stand in ``__init__.pyi``, one a line, for editors, type checkers and this module.
pytest imports this package at every start, gates or not, so that no home of a name is imported
before the name is asked for.
"""

import importlib
import re
from pathlib import Path
from typing import Any

_STUB = Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")
_ASSERTIONS = "pytest_distill.plugin.assertions"
_HOMES: dict[str, str] = {
    **{name: home for home, name in re.findall(r"^from (\S+) import (\w+) as \2$", _STUB, re.M)},
    **dict.fromkeys(re.findall(r"^(\w+) = GateComparison\.\1$", _STUB, re.M), _ASSERTIONS),
}

GATE_FUNCTIONS = frozenset(name for name, home in _HOMES.items() if home == _ASSERTIONS) - {
    "GateComparison"
}
"""The functions by which a test asks gates."""

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pytest_distill' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
