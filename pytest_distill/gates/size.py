"""Whether the student is small: in parameters, in bytes, and against the teacher."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar, Literal, get_args

from pytest_distill._util.format import limit_text, size_text
from pytest_distill._util.numbers import bounded
from pytest_distill._util.units import Unit, quantity
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.sameness import refuse_same_identity
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_option
from pytest_distill.gates.deciding import headline, observed
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.verdict import Verdict

Measure = Literal["parameters", "bytes"]
UNITS: dict[str, Unit] = {"parameters": "parameters", "bytes": "B"}


@dataclass(frozen=True)
class Smaller(Gate):
    """The student has at most a share of the teacher's parameters or bytes.

    Parameters
    ----------
    max_ratio : float
        The ceiling for student size / teacher size, above 0 and at most 1. Compared exactly.
    by : {"parameters", "bytes"}
        What is counted: parameters, or bytes of weights and tokenizer on disk.
    """

    name: ClassVar[str] = "smaller"
    asks: ClassVar[str] = "Does {model} have {what} of the teacher's {metric}?"
    answers: ClassVar[bool] = False

    max_ratio: float
    _: KW_ONLY
    by: Measure = "parameters"

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the limit."""
        limit = bounded(
            self.max_ratio,
            "max_ratio",
            above=0,
            most=1,
            what="the student's size as a share of the teacher's",
            meant=lambda factor: 1 / factor,
        )
        check_option(self.by, "by", get_args(Measure))
        models = comparison.model("teacher"), comparison.model("student")
        refuse_same_identity(*models)
        teacher, student = (model.info for model in models)
        ratio = Fraction(size_of(student, self.by), size_of(teacher, self.by))
        decision = observed(ratio, "<=", limit)
        notes = declared_notes((teacher, student), self.by)
        sizes = [size_text(size_of(info, self.by), UNITS[self.by]) for info in (student, teacher)]
        return self.verdict(
            comparison,
            decision,
            decision.headline(self.max_ratio, f"of the {self.by} of {teacher.name}"),
            metric=self.by,
            n=None,
            basis=[f"{_shown(student, self.by)} of {_shown(teacher, self.by)}"],
            facts=[" of ".join(sizes)],
            notes=notes,
            lines=[*size_lines((teacher, student)), *explain.note_lines(notes)],
        )


@dataclass(frozen=True)
class Size(Gate):
    """The student has at most so many bytes on disk, or parameters, or both.

    Parameters
    ----------
    max_bytes, max_parameters : str or int, optional
        ``"300 MB"`` (1,000,000 bytes each; ``MiB`` are 1,048,576), ``"135M"``, or a plain number.
        At least one of them.
    """

    name: ClassVar[str] = "size"
    asks: ClassVar[str] = "Is the size of {model} {what}, in {metric}?"
    answers: ClassVar[bool] = False

    _: KW_ONLY
    max_bytes: str | int | None = None
    max_parameters: str | int | None = None

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare with each limit; the verdict is about the one that is nearest to being broken."""
        student = comparison.model("student").info
        limits = {"bytes": self.max_bytes, "parameters": self.max_parameters}
        given = {
            by: quantity(limit, UNITS[by], f"max_{by}")
            for by, limit in limits.items()
            if limit is not None
        }
        if not given:
            raise ConfigError("give max_bytes=, max_parameters= or both")
        shares = {by: size_of(student, by) / limit for by, limit in given.items()}
        by = max(shares, key=lambda key: shares[key])
        notes = tuple(note for b in given for note in declared_notes((student,), b))
        told = {
            b: (size_text(size_of(student, b), UNITS[b]), limit_text(given[b], UNITS[b]))
            for b in given
        }
        size, most = told.pop(by)
        return self.verdict(
            comparison,
            observed(Fraction(size_of(student, by)), "<=", given[by]),
            headline(size, "<=", most, f"{by} of {student.name}"),
            metric=by,
            n=None,
            basis=[f"{other} <= {limit}" for other, limit in told.values()],
            facts=[f"{other} <= {limit}" for other, limit in told.values()],
            notes=notes,
            lines=[*size_lines((student,)), *explain.note_lines(notes)],
            unit=UNITS[by],
        )


def size_of(info: ModelInfo, by: str) -> int:
    """Return a model's parameters or bytes; ComparisonError where they are not known."""
    size: int | None = getattr(info, by)
    if size is None:
        raise ComparisonError(
            f"the {by} of model '{info.name}' are not known; declare them in distill.yaml: "
            f"models.{info.name}.{by}"
        )
    return size


def declared_notes(infos: tuple[ModelInfo, ...], by: str) -> tuple[str, ...]:
    """Return a note where a figure was declared, not measured."""
    names = [info.name for info in infos if by in info.declared]
    return (f"{by} declared, not measured: {', '.join(names)}",) if names else ()


def size_lines(infos: tuple[ModelInfo, ...]) -> list[str]:
    """Return a line a model: parameters, active ones where they are fewer, bytes, quantization."""
    lines = []
    for info in infos:
        active = info.active_parameters
        parts = [_shown(info, "parameters")]
        if active is not None and active != info.parameters:
            parts.append(f"{size_text(active, 'parameters')} active")
        parts.append(f"{_shown(info, 'bytes')} on disk")
        if info.quantization:
            parts.append(info.quantization)
        lines.append(f"  {info.name}  {', '.join(parts)}")
    return lines


def _shown(info: ModelInfo, by: str) -> str:
    shown = size_text(getattr(info, by), UNITS[by])
    return f"{shown} parameters" if by == "parameters" else shown
