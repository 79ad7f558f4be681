"""Assertions about criteria: constraints that ``distill.yaml`` names once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import DistillError
from pytest_distill.gates.gate import Gate, refuse_other
from pytest_distill.gates.recommendation import Recommendation, recommended
from pytest_distill.gates.subjects import EvalGate
from pytest_distill.gates.verdict import Verdict
from pytest_distill.plugin.assertions.assertion import judge, record
from pytest_distill.plugin.running import note_look
from pytest_distill.plugin.session import running_test


def assert_meets(criterion: str, *, eval: str | None = None, student: str | None = None) -> None:
    """Assert that the student meets a criterion of ``distill.yaml``.

    Every part is judged and has a verdict of its own in the report, whether others fall short or
    not.

    Parameters
    ----------
    criterion : str
        A name under ``criteria:``.
    eval, student : str, optional
        Names; by default the marker's, else the only ones in ``distill.yaml``. A part that names
        an eval of its own is asked of that one.

    Raises
    ------
    AssertionError
        With all that fell short.
    DistillError
        When there is no such criterion, or no verdict can be given on some part, and none fell
        short; the message says what to mend.
    """
    __tracebackhide__ = True
    meet(criterion, eval, student)


def meet(
    criterion: str, eval: str | None, student: str | None, comparison: Comparison | None = None
) -> None:
    """Judge and record every part of a criterion, and raise if one did not pass."""
    __tracebackhide__ = True
    session, item = running_test("assert_meets")
    with session.asking(item, "meets"):
        gates = session.project(item).config.criterion(criterion)
        if comparison is not None:
            refuse_other(comparison, "assert_meets", eval, student)
    short: list[str] = []
    errors: list[DistillError] = []
    for gate in (_of(gate, eval, student) for gate in gates):
        own = comparison if comparison and _is_about(gate, comparison) else None
        try:
            told = record(gate, *judge(gate, own, criterion=criterion))
        except DistillError as error:
            errors.append(type(error)(f"criterion '{criterion}': {gate.name}: {error}"))
        else:
            short += [told] if told is not None else []
    unknown = [f"no verdict: {error}" for error in errors]
    if short:
        met = len(gates) - len(short) - len(errors)
        head = f"assert {met} >= {len(gates)} parts of criterion {criterion} met"
        raise AssertionError("\n\n".join([head, *short, *unknown]))
    if errors:
        raise type(errors[0])("\n".join(map(str, errors))) from None


def _of(gate: Gate, eval: str | None, student: str | None) -> Gate:
    """Return a part of a criterion as it is asked of an eval and a student."""
    if isinstance(gate, EvalGate):
        return replace(gate, eval=gate.eval or eval, student=student)
    return replace(gate, student=student)


def _is_about(gate: Gate, comparison: Comparison) -> bool:
    return not isinstance(gate, EvalGate) or gate.eval in (None, comparison.eval)


def recommend(criterion: str, *, eval: str | None = None) -> str:
    """Return the name of the smallest student that is shown to meet a criterion.

    Students are tried from the largest down, and the first that falls short in quality ends it: the
    last that met the criterion before is returned. Trying on until one passes would find one that
    passes by luck; so a bad student is recommended at most as often as one test errs, however many
    there are (fixed sequence testing; Angelopoulos et al. 2021, arXiv:2110.01052). A student that
    falls short of a part on size, speed or memory is passed over and ends nothing: that depends on
    no score. Of students with equally many parameters the first in ``distill.yaml`` is tried first.

    The verdicts are not recorded: what was recommended is told in the report, and what a student
    must meet to ship is asserted.

    Parameters
    ----------
    criterion : str
        A name under ``criteria:``.
    eval : str, optional
        As for `assert_meets`.

    Raises
    ------
    AssertionError
        When none is shown to meet it; the message says what each that was tried fell short of, and
        which were not tried.
    DistillError
        When no verdict can be given on a student that is tried, or the parameters of a student are
        not known.
    """
    __tracebackhide__ = True
    session, item = running_test("recommend")
    with session.asking(item, "recommend"):
        project = session.project(item)
        gates = project.config.criterion(criterion)
        students = project.students_by_size()
    # What needs no measuring first: who is too big is not timed.
    fitting = sorted((g for g in gates if not g.answers), key=lambda g: isinstance(g, EvalGate))
    quality = [gate for gate in gates if gate.answers]
    judged: dict[str, list[tuple[Gate, Verdict, Comparison]]] = {name: [] for name in students}

    def short_of(name: str, of: Sequence[Gate]) -> Iterator[str]:
        for gate in of:
            try:
                asked = _of(gate, eval, name)
                verdict, comparison = judge(asked, finish=False, criterion=criterion)
            except DistillError as error:
                message = f"criterion '{criterion}', student '{name}': {gate.name}: {error}"
                raise type(error)(message) from None
            judged[name].append((gate, verdict, comparison))
            if not verdict.passed:
                yield verdict.message.splitlines()[0]

    try:
        found = recommended(
            students,
            lambda name: list(islice(short_of(name, fitting), 1)),
            lambda name: list(short_of(name, quality)),
        )
        if found.model is None:
            raise AssertionError("\n".join(_none_meets(criterion, found)))
        for gate, verdict, comparison in judged[found.model]:
            gate.finish(verdict, comparison)
    except DistillError as error:
        raise error.with_traceback(None) from None
    project.recommended[criterion] = found
    note_look()
    return found.model


def _none_meets(criterion: str, found: Recommendation) -> Iterator[str]:
    yield f"assert 0 >= 1 students that meet criterion {criterion}"
    for name, why in (*found.passed_over.items(), *found.ended_by.items()):
        yield from (f"  {name}: {line}" for line in why)
    if found.not_tried:
        (last,) = found.ended_by
        yield (
            f"  not tried: {', '.join(found.not_tried)}; {last}, no smaller than these, is not "
            "shown to keep the quality, and to try until one passes finds one that passes by luck"
        )
