"""Whether the student answers enough at a time, and fits into memory."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import interval_text, limit_text, quantity_text
from pytest_distill._util.units import quantity
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.evaluation import efficiency
from pytest_distill.gates.measured import (
    EXAMPLES,
    LooksAtNoAnswers,
    checked_count,
    examples_of,
    setting_text,
)
from pytest_distill.gates.verdict import Verdict, as_float, decided


@dataclass(frozen=True)
class Throughput(LooksAtNoAnswers):
    """The student answers at least `min` examples a second, at the best batch size.

    Parameters
    ----------
    min : str or float
        ``"200 /s"``, or examples a second. Held against the slowest of the repetitions.
    examples : int
        How many are answered at a time.
    """

    name: ClassVar[str] = "throughput"

    min: str | float
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure the student."""
        floor = quantity(self.min, "/s", "min")
        student = comparison.model("student")
        found = efficiency.throughput(
            student, examples_of(comparison), checked_count(self.examples)
        )
        batch = f" in batches of {found.batch_tokens:,} tokens" if found.batch_tokens else ""
        basis = (
            f"{interval_text(found.lowest, found.highest, '/s')}, "
            f"{efficiency.REPEATS} repetitions over {found.n} examples{batch}"
        )
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric="throughput",
            model=student.name,
            observed=as_float(Fraction(found.lowest), ">="),
            required=float(floor),
            relation=">=",
            outcome=decided(Fraction(found.lowest) >= floor),
            confidence=None,
            n=found.n,
            slice=None,
            notes=(),
            message="\n".join(
                [
                    f"assert {quantity_text(found.lowest, '/s', up=False)} >= "
                    f"{limit_text(floor, '/s')} throughput of {student.name}",
                    f"  {basis}",
                    f"  {setting_text(**vars(found.provenance))}",
                ]
            ),
            basis=basis,
            details={"batch_tokens": found.batch_tokens, "setting": dict(found.provenance.setting)},
            unit="/s",
        )


@dataclass(frozen=True)
class MemoryUse(LooksAtNoAnswers):
    """The student's peak memory while it answers is at most `max`.

    On CUDA the tensors' memory counts; on the CPU that of a process of its own, Python included.

    Parameters
    ----------
    max : str or int
        ``"1 GB"``, or bytes.
    examples : int
        How many of the longest examples are answered.
    """

    name: ClassVar[str] = "memory"

    max: str | int
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure the student."""
        limit = quantity(self.max, "B", "max")
        student = comparison.model("student")
        found = efficiency.memory(student, examples_of(comparison), checked_count(self.examples))
        held = found.memory
        basis = (
            f"peak of the {held.held_by} over the {found.n} longest examples; weights "
            f"{quantity_text(held.weights, 'B', up=True)}"
        )
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric="memory",
            model=student.name,
            observed=float(held.peak),
            required=float(limit),
            relation="<=",
            outcome=decided(held.peak <= limit),
            confidence=None,
            n=found.n,
            slice=None,
            notes=(),
            message="\n".join(
                [
                    f"assert {quantity_text(held.peak, 'B', up=True)} <= {limit_text(limit, 'B')} "
                    f"memory of {student.name}",
                    f"  {basis}",
                    f"  {setting_text(**vars(found.provenance))}",
                ]
            ),
            basis=basis,
            details={"weights": held.weights, "setting": dict(found.provenance.setting)},
            unit="B",
        )
