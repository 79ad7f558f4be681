"""The assertions as methods of the fixture `comparison`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.plugin.assertions import criteria, efficiency, likeness, quality, routing
from pytest_distill.plugin.assertions.asking import subject
from pytest_distill.plugin.running import note_look

P = ParamSpec("P")


def _on_this(function: Callable[P, None]) -> Callable[Concatenate[Comparison, P], None]:
    """Return a function of the DSL as a method, which judges the comparison that it belongs to."""

    @functools.wraps(function)
    def method(self: Comparison, /, *args: P.args, **kwargs: P.kwargs) -> None:
        __tracebackhide__ = True
        token = subject.set(self)
        try:
            function(*args, **kwargs)
        finally:
            subject.reset(token)

    return method


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

    assert_quality_retained = _on_this(quality.assert_quality_retained)
    assert_beats_sft = _on_this(quality.assert_beats_sft)
    assert_score = _on_this(quality.assert_score)
    assert_slices_retained = _on_this(quality.assert_slices_retained)
    assert_flips = _on_this(quality.assert_flips)
    assert_not_contaminated = _on_this(quality.assert_not_contaminated)
    assert_smaller = _on_this(efficiency.assert_smaller)
    assert_size = _on_this(efficiency.assert_size)
    assert_faster = _on_this(efficiency.assert_faster)
    assert_latency = _on_this(efficiency.assert_latency)
    assert_throughput = _on_this(efficiency.assert_throughput)
    assert_memory = _on_this(efficiency.assert_memory)
    assert_meets = _on_this(criteria.assert_meets)
    assert_routable = _on_this(routing.assert_routable)
    assert_agreement = _on_this(likeness.assert_agreement)
    assert_divergence = _on_this(likeness.assert_divergence)
    assert_acceptance = _on_this(likeness.assert_acceptance)
    assert_inherited_errors = _on_this(likeness.assert_inherited_errors)

    def __repr__(self) -> str:
        return f"<comparison on '{object.__getattribute__(self, 'on').name}'>"
