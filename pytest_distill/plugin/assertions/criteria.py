"""Assertions about criteria: constraints that ``distill.yaml`` names once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from pytest_distill.config.criteria import Part
from pytest_distill.errors import DistillError
from pytest_distill.gates import Routable
from pytest_distill.gates.measured import LooksAtNoAnswers
from pytest_distill.gates.recommendation import Recommendation, recommended
from pytest_distill.plugin.assertions.asking import judge, record
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
    session, item = running_test("assert_meets")
    with session.asking(item, "meets"):
        parts = session.project(item).config.criterion(criterion)
    short: list[str] = []
    errors: list[DistillError] = []
    for part in parts:
        try:
            verdict, comparison = judge(part.gate, part.eval or eval, student)
            told = record(part.gate, replace(verdict, criterion=criterion), comparison)
        except DistillError as error:
            errors.append(error)
        else:
            short += [told] if told is not None else []
    unknown = [f"no verdict: {error}" for error in errors]
    if short:
        met = len(parts) - len(short) - len(errors)
        head = f"assert {met} >= {len(parts)} parts of criterion {criterion} met"
        raise AssertionError("\n\n".join([head, *short, *unknown]))
    if errors:
        message = "\n".join(str(error) for error in errors)
        raise type(errors[0])(f"criterion '{criterion}': {message}") from None


def recommend(criterion: str, *, eval: str | None = None) -> str:
    """Return the name of the smallest student that is shown to meet a criterion.

    Students are tried from the largest down, and the first that falls short in quality ends it: the
    last that met the criterion before is returned. Trying on until one passes would find one that
    passes by luck; so a bad student is recommended at most as often as one test errs, however many
    there are (fixed sequence testing; Angelopoulos et al. 2021, arXiv:2110.01052). A student that
    falls short of a part on size, speed or memory is passed over and ends nothing: that hangs on
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
        parts = project.config.criterion(criterion)
        students = project.students_by_size()
    # What needs no measuring first: who is too big is not timed.
    fitting = sorted(
        (part for part in parts if isinstance(part.gate, LooksAtNoAnswers)),
        key=lambda part: getattr(part.gate, "needs_eval", True),
    )
    quality = [part for part in parts if not isinstance(part.gate, LooksAtNoAnswers)]

    def short_of(name: str, of: Sequence[Part]) -> Iterator[str]:
        try:
            for part in of:
                verdict, _ = judge(part.gate, part.eval or eval, name)
                if not verdict.passed:
                    yield verdict.message.splitlines()[0]
        except DistillError as error:
            message = f"criterion '{criterion}', student '{name}': {error}"
            raise type(error)(message) from None

    try:
        found = recommended(
            students,
            lambda name: list(islice(short_of(name, fitting), 1)),
            lambda name: list(short_of(name, quality)),
        )
    except DistillError as error:
        raise error.with_traceback(None) from None
    if found.model is None:
        raise AssertionError("\n".join(_none_meets(criterion, found)))
    for part in quality:
        if found.ended_by and isinstance(part.gate, Routable):
            judge(part.gate, part.eval or eval, found.model)  # its threshold is the one to keep
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
