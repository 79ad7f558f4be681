"""What a gate is: a frozen dataclass from which its assertion and its criterion follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Protocol

from pytest_distill._util.docstrings import with_inherited_parameters
from pytest_distill._util.units import Unit
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.itself import Itself
from pytest_distill.errors import ConfigError
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision
from pytest_distill.gates.verdict import Verdict, as_float

Row = dict[str, object]
"""An example to look at after a failure, JSON-able."""

ENDS = """
Raises
------
AssertionError
    When it does not hold, or when that cannot be told; the message shows the numbers.
DistillError
    When no verdict can be given; the message says what to mend."""


class Asked(Protocol):
    """What the test that asks a gate has at hand: the comparisons of its ``distill.yaml``."""

    @property
    def evals(self) -> Sequence[str]:
        """Names of the evals that it is about: all, or those of a group."""

    @property
    def groups(self) -> Mapping[str, EvalGroup]:
        """The groups of evals by name."""

    def comparison(
        self,
        eval: str | None,
        student: str | None,
        *,
        alone: bool = False,
        any_eval: bool = False,
    ) -> Comparison:
        """Return the comparison of an eval and a student; by default what the test is about.

        One of several evals stands `alone`: the marker's metric is not meant for all of them.
        Where no example is looked at, `any_eval` will do.
        """


@dataclass(frozen=True)
class Gate(ABC):
    """One criterion that a student meets or not.

    A gate is a frozen dataclass that derives from this class (it is about models alone), from
    `EvalGate` or from `MetricGate`. Its docstring has the parameters of its own; those that it
    inherits are added to it.

    Parameters
    ----------
    student : str, optional
        Name of the student; by default the marker's, else the only one in ``distill.yaml``.
    """

    name: ClassVar[str]
    """What ``required_gates:``, ``waivers:`` and ``criteria:`` call it; its function is
    ``assert_<name>``."""
    asks: ClassVar[str]
    """What it asks, for people: ``{what}`` is the limit with its relation, such as ``at least
    0.95``; other names are fields of the verdict or of its details."""
    decides: ClassVar[str] = "It has to be shown with a confidence of {confidence}"
    """How, where a confidence is asked for and neither one bound nor one p-value decides."""
    answers: ClassVar[bool] = True
    """Whether answers are looked at; else sizes, times or memory."""
    within_budget: ClassVar[bool] = False
    """Whether it can look at answers within a budget of tokens."""
    counts_tokens: ClassVar[bool] = False
    """Whether it looks at how long texts are, which the limit that they were made with bounds."""
    retention_floor: ClassVar[bool] = False
    """Whether it demands a share of the teacher's quality, which an SFT student may have too."""

    _: KW_ONLY
    student: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__doc__ = f"{with_inherited_parameters(cls)}\n{ENDS}"

    @property
    def roles(self) -> tuple[str, ...]:
        """The models that are looked at beside teacher and student, by name or role."""
        return ()

    def comparisons(self, asked: Asked) -> Sequence[Comparison]:
        """Return what is judged: here one comparison, whatever its eval."""
        return [asked.comparison(None, self.student, any_eval=True)]

    def as_method_of(self, comparison: Comparison, asked: Asked) -> Sequence[Comparison]:
        """Return what is judged as a method of a comparison: that one.

        Raises
        ------
        ConfigError
            Where the arguments name another eval or student.
        """
        refuse_other(comparison, f"assert_{self.name}", getattr(self, "eval", None), self.student)
        if comparison.at_tokens is not None and not self.within_budget:
            raise ConfigError(
                f"assert_{self.name} looks at no budget of tokens: ask it without one"
            )
        if self.student is None or comparison.chosen is not None:
            return [comparison]
        other = asked.comparison(comparison.eval, self.student)
        return [other if comparison.at_tokens is None else other.at(comparison.at_tokens)]

    @abstractmethod
    def judge(self, comparison: Comparison) -> Verdict:
        """Return the verdict; a DistillError where none can be given."""

    def judge_all(self, comparisons: Sequence[Comparison]) -> Verdict:
        """Return the verdict on `comparisons`: of one, but for a gate on several evals."""
        (comparison,) = comparisons
        return self.judge(comparison)

    def finish(self, verdict: Verdict, comparison: Comparison) -> Verdict:  # noqa: ARG002
        """Return the verdict after what follows from it, such as a file that is written."""
        return verdict

    def lost(self, comparison: Comparison) -> list[Row]:  # noqa: ARG002
        """Return the examples to look at after a failure: none."""
        return []

    def scored_by(self, comparison: Comparison) -> Metric | None:  # noqa: ARG002
        """Return the metric whose scores are looked at; None where none is."""
        return None

    def beyond_noise(self, itself: Itself) -> str | None:  # noqa: ARG002 (most ask for no share)
        """Return a note where it asks for more than what is between two answers of one model.

        Parameters
        ----------
        itself : Itself
            What a model that was looked at retains of itself.
        role : str
            Of that model.
        """
        return None

    def verdict(
        self,
        comparison: Comparison,
        decision: Decision,
        headline: str,
        *,
        metric: str,
        n: int | None,
        about: Iterable[str] = (),
        basis: Sequence[str] | None = None,
        facts: Sequence[str] = (),
        notes: Sequence[str] = (),
        below: Iterable[str] = (),
        lines: Iterable[str] | None = None,
        details: Mapping[str, Any] | None = None,
        eval: str | None = None,
        model: str | None = None,
        slice: str | None = None,
        unit: Unit = "",
    ) -> Verdict:
        """Return the verdict, with the message that a failing test shows.

        Parameters
        ----------
        comparison : Comparison
            What was judged.
        decision : Decision
            The observed number, and how it was decided.
        headline : str
            First line of the message, see `Decision.headline`.
        metric : str
            By what was compared.
        n : int, optional
            Number of examples; None where only scores are known, or none count.
        about, below : iterable of str
            Lines of the message above and below what the verdict rests on and its notes.
        basis : sequence of str, optional
            What the verdict rests on, a few words each; what its evidence says by default.
        facts : sequence of str
            What a reader wants of it at a glance, before what the evidence says.
        notes : sequence of str
            What a reader must know beside the numbers.
        lines : iterable of str, optional
            The whole message below its headline, in place of `about`, `basis`, notes and `below`.
        details : mapping, optional
            What only this kind of gate has to tell, JSON-able.
        eval, model : str, optional
            What it is about, where that is not the comparison's eval and student.
        slice : str, optional
            What was looked at, where that is not the gate's `slice`.
        unit : str
            What observed and required number are counted in.
        """
        rests_on = explain.basis(decision.evidence) if basis is None else basis
        told = lines
        if told is None:
            shown = (f"  {part}" for part in rests_on)
            told = (*about, *shown, *explain.note_lines(notes), *below)
        return Verdict(
            gate=self.name,
            eval=comparison.eval if eval is None else eval,
            metric=metric,
            model=comparison.model("student").name if model is None else model,
            observed=as_float(decision.observed, decision.relation),
            required=float(decision.limit),
            relation=decision.relation,
            outcome=decision.outcome,
            confidence=decision.confidence,
            n=n,
            slice=slice or explain.slice_name(getattr(self, "slice", None)),
            at_tokens=comparison.at_tokens,
            notes=tuple(notes),
            message="\n".join((headline, *told)),
            evidence=decision.evidence,
            basis="; ".join(rests_on),
            facts=(*facts, *explain.facts(decision, unit)),
            details=details or {},
            unit=unit,
        )


def refuse_other(
    comparison: Comparison, function: str, eval: str | None, student: str | None
) -> None:
    """Raise ConfigError where a method of a comparison is asked about another eval or student."""
    named = {"eval": eval, "student": student}
    own = {"eval": comparison.eval, "student": comparison.chosen}
    for key, name in named.items():
        if name is not None and own[key] is not None and name != own[key]:
            raise ConfigError(
                f"comparison.{function}({key}={name!r}): this comparison is of {key} "
                f"'{own[key]}'; ask {function}({key}={name!r})"
            )


def listed(ids: Sequence[str], most: int = 10) -> str:
    """Return the first ids, and how many more there are."""
    more = [f"and {len(ids) - most} more"] if len(ids) > most else []
    return ", ".join([*ids[:most], *more]) or "none"
