"""The criteria. A gate is a frozen dataclass with a name, its parameters and `judge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.gates.capacity import MemoryUse, Throughput
from pytest_distill.gates.contamination import NotContaminated
from pytest_distill.gates.flips import Flips
from pytest_distill.gates.inherited import InheritedErrors
from pytest_distill.gates.latency import Faster, Latency
from pytest_distill.gates.likeness import Acceptance, Agreement, Divergence
from pytest_distill.gates.retention import QualityRetained
from pytest_distill.gates.routing import Routable
from pytest_distill.gates.score import Score
from pytest_distill.gates.sft import BeatsSft
from pytest_distill.gates.size import Size, Smaller
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.gates.suite import SuiteRetained
from pytest_distill.gates.verdict import Verdict


class Gate(Protocol):
    """One criterion that a comparison meets or not."""

    name: ClassVar[str]

    def judge(self, comparison: Comparison) -> Verdict:
        """Return the verdict; a DistillError where none can be given."""

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples to look at after a failure, as JSON-able rows."""


GATES: Mapping[str, type[Gate]] = {
    gate.name: gate
    for gate in (
        *(BeatsSft, Flips, NotContaminated, QualityRetained, Routable),
        *(Score, SlicesRetained, SuiteRetained),
        *(Smaller, Size, Faster, Latency, Throughput, MemoryUse),
        *(Acceptance, Agreement, Divergence, InheritedErrors),
    )
}
"""Every gate by its name, as ``required_gates:`` and ``waivers:`` call it."""

__all__ = [
    "GATES",
    "Acceptance",
    "Agreement",
    "BeatsSft",
    "Divergence",
    "Faster",
    "Flips",
    "Gate",
    "InheritedErrors",
    "Latency",
    "MemoryUse",
    "NotContaminated",
    "QualityRetained",
    "Routable",
    "Score",
    "Size",
    "SlicesRetained",
    "Smaller",
    "SuiteRetained",
    "Throughput",
]
