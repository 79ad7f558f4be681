"""One assertion: its gate declares parameters, types and docstring; its verdict is recorded."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any, Generic, ParamSpec

from pytest_distill._util.files import file_name, make_folder, write_atomically
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import did_you_mean, printable
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.gates.doubts import with_remarks
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.subjects import EvalGate
from pytest_distill.gates.verdict import Outcome, Verdict
from pytest_distill.plugin.session import running_test

P = ParamSpec("P")
SHARED = {field.name for field in fields(EvalGate)}


class Assertion(Generic[P]):
    """``assert_x``: asked of the class a function of the DSL, of a comparison its method.

    Parameters
    ----------
    gate : type of Gate
        Whose arguments it takes.
    """

    def __init__(self, gate: Callable[P, Gate]) -> None:
        self._gate = gate
        self._signature = inspect.signature(gate)

        def function(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            ask(self._asked(args, kwargs))

        def method(comparison: Comparison, /, *args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            ask(self._asked(args, kwargs), comparison)

        self.function: Callable[P, None] = function
        self._method = method

    def __set_name__(self, owner: type, name: str) -> None:
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        # What all gates take comes last.
        given = sorted(self._signature.parameters.values(), key=lambda p: p.name in SHARED)
        for made, parameters in ((self.function, given), (self._method, [own, *given])):
            described: Any = made
            described.__name__ = described.__qualname__ = name
            described.__module__ = owner.__module__
            described.__doc__ = self._gate.__doc__
            described.__signature__ = inspect.Signature(parameters, return_annotation=None)

    def __get__(self, comparison: Comparison | None, owner: type) -> Callable[P, None]:
        return self.function if comparison is None else MethodType(self._method, comparison)

    def _asked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Gate:
        __tracebackhide__ = True
        known = self._signature.parameters
        for name in kwargs.keys() - known.keys():  # a mistyped name is not also a missing argument
            raise TypeError(
                f"{self.function.__name__}(): got an unexpected keyword argument '{name}'; "
                f"{did_you_mean(name, known)}"
            )
        try:
            given = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.function.__name__}(): {error}") from None
        make: Callable[..., Gate] = self._gate
        return make(*given.args, **given.kwargs)


@dataclass(frozen=True, slots=True)
class _Test:
    """The running test, as a gate asks for its comparisons."""

    evals: Sequence[str]
    groups: Mapping[str, EvalGroup]
    comparison: Callable[..., Comparison]


def ask(gate: Gate, comparison: Comparison | None = None) -> None:
    """Judge what is meant, record the verdict, and raise if it did not pass.

    Parameters
    ----------
    gate : Gate
        With its arguments.
    comparison : Comparison, optional
        The one whose method was called; None where a function of the DSL was.
    """
    __tracebackhide__ = True
    shortfall = record(gate, *judge(gate, comparison))
    if shortfall is not None:
        raise AssertionError(shortfall)


def judge(
    gate: Gate,
    comparison: Comparison | None = None,
    *,
    finish: bool = True,
    criterion: str | None = None,
) -> tuple[Verdict, Comparison]:
    """Return a gate's verdict, and the comparison that it is about, the first of several."""
    __tracebackhide__ = True
    session, item = running_test(f"assert_{gate.name}")
    with session.asking(item, gate.name, criterion):
        test = _Test(
            session.evals(item),
            session.project(item).config.groups,
            partial(session.comparison, item, kind=Comparison),
        )
        if comparison is None:
            judged = gate.comparisons(test)
        else:
            judged = gate.as_method_of(comparison, test)
        verdict = replace(with_remarks(gate.judge_all(judged), gate, judged), criterion=criterion)
        if gate.answers:
            session.project(item).looks.add(verdict.model, judged)
        return gate.finish(verdict, judged[0]) if finish else verdict, judged[0]


def record(gate: Gate, judged: Verdict, comparison: Comparison) -> str | None:
    """Record a verdict on the running test; return what to say where the test may not go on."""
    session, item = running_test(f"assert_{gate.name}")
    verdict = session.record(item, judged)
    if verdict.stands:
        return None
    part = [part for part in (verdict.slice, budget_text(verdict.at_tokens)) if part]
    name = "-".join([item.name, verdict.eval, verdict.model, verdict.metric, gate.name, *part])
    examples = gate.lost(comparison)
    session.note_lost(item, examples)
    lost = _write_lost(examples, session.project(item).config.folder, name)
    where = [f"  lost examples: {_from_here(lost)}"] if lost else []
    return printable("\n".join([*_told(verdict), *where]))


def _told(verdict: Verdict) -> list[str]:
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return [verdict.message]
    return [verdict.message, "  INCONCLUSIVE: the examples do not tell, which is not a pass"]


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _write_lost(rows: Sequence[Mapping[str, Any]], project: Path, name: str) -> Path | None:
    """Write lost examples as JSON lines into the project's ``.distill/lost``.

    Parameters
    ----------
    rows : sequence of mapping
        One an example.
    project : Path
        The folder of ``distill.yaml``.
    name : str
        What tells this list from others; becomes the file's name.

    Returns
    -------
    Path or None
        The file; None where there is nothing to write or the folder cannot be written to, since
        a read-only checkout must not hide why the gate failed.
    """
    if not rows:
        return None
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    try:
        folder = project / ".distill"
        make_folder(folder)
        path = folder / "lost" / file_name(f"{name}.jsonl")
        write_atomically(path, text)
    except OSError:
        return None
    return path
