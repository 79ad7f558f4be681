"""Every gate, by its name."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping

from pytest_distill import gates
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.verdict import called


def _found() -> Iterator[type[Gate]]:
    """Yield the gates of all modules of this folder: to add one is to add a module.

    A class without a name of its own is what gates have in common.
    """
    for module in pkgutil.iter_modules(gates.__path__, f"{gates.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Gate) and "name" in vars(value):
                yield value


GATES: Mapping[str, type[Gate]] = {
    gate.name: gate for gate in sorted(_found(), key=lambda gate: gate.name)
}
"""Every gate, as ``required_gates:``, ``waivers:`` and ``criteria:`` call it."""


def names_a_gate(name: str) -> bool:
    """Return whether a name is a gate's, alone or within a budget: ``score at 512 tokens``."""
    gate, _, budget = name.partition(" at ")
    if not budget or gate not in GATES:
        return name in GATES
    tokens = re.match(r"[1-9][0-9]{0,9}\b", budget)
    return GATES[gate].within_budget and tokens is not None and name == called(gate, int(tokens[0]))
