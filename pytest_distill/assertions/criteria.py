"""Assertions about criteria: constraints that ``distill.yaml`` names once."""

from __future__ import annotations

from dataclasses import replace

from pytest_distill.assertions.asking import judge, record
from pytest_distill.errors import DistillError
from pytest_distill.running import note_look, running_test


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
    """Return the name of the smallest student that meets a criterion of ``distill.yaml``.

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
        When no student meets it; the message says what each fell short of.
    DistillError
        When no verdict can be given, or the parameters of a student are not known.
    """
    __tracebackhide__ = True
    session, item = running_test("recommend")
    with session.asking(item, "recommend"):
        project = session.project(item)
        parts = project.config.criterion(criterion)
        students = project.students_by_size()
    tried = []
    for name in students:
        verdicts = [judge(part.gate, part.eval or eval, name)[0] for part in parts]
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if not failed:
            project.recommended[criterion] = name
            note_look()
            return name
        tried.append((name, failed))
    lines = [f"  {name}: {v.message.splitlines()[0]}" for name, failed in tried for v in failed]
    head = f"assert 0 >= 1 students that meet criterion {criterion}"
    raise AssertionError("\n".join([head, *lines]))
