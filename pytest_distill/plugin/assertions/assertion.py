"""One assertion: made of a gate, which declares its parameters, their types and its docstring."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from types import MethodType
from typing import Any, Generic, ParamSpec

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import did_you_mean
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.subjects import EvalGate
from pytest_distill.plugin.assertions.asking import ask

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
