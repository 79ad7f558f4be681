"""Which student to take where several could do: the smallest that is shown to meet a criterion.

To try students until one passes finds one that passes by luck: of ten that are all exactly at the
floor, each tested at 5 %, one passes in 38 % of cases. So they are tried in an order that no score
decides, from the largest down, and the first that falls short in quality ends it. A bad student is
then recommended only where the first bad one of the sequence passes its own test: at most as often
as one test errs, however many students there are (fixed sequence testing: Angelopoulos et al. 2021,
Learn then Test, arXiv:2110.01052). Observed numbers have no such level, but the same fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Which student is recommended, and what became of the others.

    Parameters
    ----------
    model : str, optional
        The last that met the criterion; None where none did.
    passed_over : dict
        Too big, slow or hungry: name -> what each fell short of.
    ended_by : dict
        The one that is not shown to keep the quality: name -> what it fell short of.
    not_tried : tuple of str
        Those after that one.
    """

    model: str | None = None
    passed_over: dict[str, list[str]] = field(default_factory=dict)
    ended_by: dict[str, list[str]] = field(default_factory=dict)
    not_tried: tuple[str, ...] = ()


def recommended(
    students: Sequence[str],
    fits: Callable[[str], list[str]],
    keeps: Callable[[str], list[str]],
) -> Recommendation:
    """Return the last student that meets a criterion before the first whose quality does not.

    Parameters
    ----------
    students : sequence of str
        In an order that depends on no score, the largest first.
    fits : callable
        What a student falls short of beside its quality: nothing where it fits. One that does not
        is passed over, and its quality is not looked at: whether it fits depends on no score, so
        that who is tested does not either.
    keeps : callable
        What a student falls short of in quality.
    """
    model = None
    passed_over: dict[str, list[str]] = {}
    for place, name in enumerate(students):
        if misfit := fits(name):
            passed_over[name] = misfit
        elif short := keeps(name):
            return Recommendation(model, passed_over, {name: short}, tuple(students[place + 1 :]))
        else:
            model = name
    return Recommendation(model, passed_over)
