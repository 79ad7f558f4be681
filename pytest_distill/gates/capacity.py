"""Whether the student answers enough at a time, and fits into memory."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import interval_text, limit_text, quantity_text
from pytest_distill._util.units import quantity
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.evaluation import efficiency
from pytest_distill.gates.arguments import checked_count
from pytest_distill.gates.deciding import headline, observed
from pytest_distill.gates.subjects import EvalGate
from pytest_distill.gates.times import EXAMPLES, examples_of, setting_text
from pytest_distill.gates.verdict import Verdict


@dataclass(frozen=True)
class Throughput(EvalGate):
    """The student answers at least `min` examples a second, at the best batch size.

    Parameters
    ----------
    min : str or float
        ``"200 /s"``, or examples a second. Held against the slowest of the repetitions.
    examples : int
        How many are answered at a time.
    """

    name: ClassVar[str] = "throughput"
    asks: ClassVar[str] = "Is the throughput of {model} {what}?"
    answers: ClassVar[bool] = False

    min: str | float
    _: KW_ONLY
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure the student."""
        floor = quantity(self.min, "/s", "min")
        student = comparison.model("student")
        examples = checked_count(self.examples, "examples")
        found = efficiency.throughput(student, examples_of(comparison), examples)
        batch = f" in batches of {found.batch_tokens:,} tokens" if found.batch_tokens else ""
        return self.verdict(
            comparison,
            observed(Fraction(found.lowest), ">=", floor),
            headline(
                quantity_text(found.lowest, "/s", up=False),
                ">=",
                limit_text(floor, "/s"),
                f"throughput of {student.name}",
            ),
            metric="throughput",
            n=found.n,
            facts=[f"{found.n} examples", f"{efficiency.REPEATS} repetitions"],
            basis=[
                f"{interval_text(found.lowest, found.highest, '/s')}, "
                f"{efficiency.REPEATS} repetitions over {found.n} examples{batch}"
            ],
            below=[f"  {setting_text(**vars(found.provenance))}"],
            details={"batch_tokens": found.batch_tokens, "setting": dict(found.provenance.setting)},
            unit="/s",
        )


@dataclass(frozen=True)
class MemoryUse(EvalGate):
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
    asks: ClassVar[str] = "Is the peak memory of {model} {what}, while it answers?"
    answers: ClassVar[bool] = False

    max: str | int
    _: KW_ONLY
    examples: int = EXAMPLES

    def judge(self, comparison: Comparison) -> Verdict:
        """Measure the student."""
        limit = quantity(self.max, "B", "max")
        student = comparison.model("student")
        examples = checked_count(self.examples, "examples")
        found = efficiency.memory(student, examples_of(comparison), examples)
        used = found.memory
        return self.verdict(
            comparison,
            observed(Fraction(used.peak), "<=", limit),
            headline(
                quantity_text(used.peak, "B", up=True),
                "<=",
                limit_text(limit, "B"),
                f"memory of {student.name}",
            ),
            metric="memory",
            n=found.n,
            facts=[f"of the {used.held_by}", f"{found.n} longest examples"],
            basis=[
                f"peak of the {used.held_by} over the {found.n} longest examples; weights "
                f"{quantity_text(used.weights, 'B', up=True)}"
            ],
            below=[f"  {setting_text(**vars(found.provenance))}"],
            details={"weights": used.weights, "setting": dict(found.provenance.setting)},
            unit="B",
        )
