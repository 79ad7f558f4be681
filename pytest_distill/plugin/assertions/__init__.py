"""The functions of the DSL, and the same as methods of the fixture `comparison`.

An assertion is made of its gate: the line in `GateComparison` and the one in
``pytest_distill/__init__.pyi`` are all that a new gate needs here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.gates.capacity import MemoryUse, Throughput
from pytest_distill.gates.contamination import NotContaminated
from pytest_distill.gates.errors import Errors, InheritedErrors
from pytest_distill.gates.flips import Flips
from pytest_distill.gates.latency import Faster, Latency
from pytest_distill.gates.likeness import Acceptance, Agreement, Divergence
from pytest_distill.gates.not_worse import NotWorse
from pytest_distill.gates.quality import QualityRetained, Score
from pytest_distill.gates.routing import Routable
from pytest_distill.gates.sft import BeatsSft
from pytest_distill.gates.size import Size, Smaller
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.gates.suite import SuiteRetained
from pytest_distill.gates.texts import Finished, Length
from pytest_distill.plugin.assertions.assertion import Assertion
from pytest_distill.plugin.assertions.criteria import assert_meets, meet, recommend
from pytest_distill.plugin.running import note_look

__all__ = ["GateComparison", "assert_meets", "recommend"]


class GateComparison(Comparison):
    """A comparison whose assertions record their verdicts on the running test."""

    if not TYPE_CHECKING:  # else every misspelt attribute would have a type

        def __getattribute__(self, name: str) -> Any:
            """Return an attribute; a test that reads a number of it looks at a model.

            A method that is not called tells nothing, as in ``comparison.assert_flips``.
            """
            value = super().__getattribute__(name)
            if not name.startswith("_") and not callable(value):
                note_look()
            return value

    assert_acceptance = Assertion(Acceptance)
    assert_agreement = Assertion(Agreement)
    assert_beats_sft = Assertion(BeatsSft)
    assert_divergence = Assertion(Divergence)
    assert_errors = Assertion(Errors)
    assert_faster = Assertion(Faster)
    assert_finished = Assertion(Finished)
    assert_flips = Assertion(Flips)
    assert_inherited_errors = Assertion(InheritedErrors)
    assert_latency = Assertion(Latency)
    assert_length = Assertion(Length)
    assert_memory = Assertion(MemoryUse)
    assert_not_contaminated = Assertion(NotContaminated)
    assert_not_worse = Assertion(NotWorse)
    assert_quality_retained = Assertion(QualityRetained)
    assert_routable = Assertion(Routable)
    assert_score = Assertion(Score)
    assert_size = Assertion(Size)
    assert_slices_retained = Assertion(SlicesRetained)
    assert_smaller = Assertion(Smaller)
    assert_suite_retained = Assertion(SuiteRetained)
    assert_throughput = Assertion(Throughput)

    def assert_meets(
        self, criterion: str, *, eval: str | None = None, student: str | None = None
    ) -> None:
        """Assert that the student meets a criterion; see `pytest_distill.assert_meets`."""
        __tracebackhide__ = True
        meet(criterion, eval, student, self)

    def __repr__(self) -> str:
        return f"<comparison on '{object.__getattribute__(self, 'on').name}'>"


def __getattr__(name: str) -> Any:
    """Return the function of a gate, by its name."""
    assertion = vars(GateComparison).get(name)
    if not isinstance(assertion, Assertion):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return assertion.function


def __dir__() -> list[str]:
    """Return all names, those of the gates' functions among them."""
    made = (name for name, value in vars(GateComparison).items() if isinstance(value, Assertion))
    return sorted({*globals(), *made})
