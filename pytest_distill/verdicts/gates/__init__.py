"""The criteria. A gate is a frozen dataclass with a name, its parameters and `judge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol

from pytest_distill.verdicts.comparison import Comparison
from pytest_distill.verdicts.gates.capacity import MemoryUse, Throughput
from pytest_distill.verdicts.gates.contamination import NotContaminated
from pytest_distill.verdicts.gates.flips import Flips
from pytest_distill.verdicts.gates.inherited import InheritedErrors
from pytest_distill.verdicts.gates.latency import Faster, Latency
from pytest_distill.verdicts.gates.likeness import Acceptance, Agreement, Divergence
from pytest_distill.verdicts.gates.retention import QualityRetained
from pytest_distill.verdicts.gates.routing import Routable
from pytest_distill.verdicts.gates.score import Score
from pytest_distill.verdicts.gates.sft import BeatsSft
from pytest_distill.verdicts.gates.size import Size, Smaller
from pytest_distill.verdicts.gates.slices import SlicesRetained
from pytest_distill.verdicts.gates.suite import SuiteRetained
from pytest_distill.verdicts.verdict import Verdict


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
