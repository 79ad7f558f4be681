"""Which tests ask a gate, found from their code: one that never runs cannot tell by itself.

Nothing is imported for it and nothing of the user's is called. A helper that asks for a test is
not looked into: `DistillSession.asking` refuses what was not found here.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial, partialmethod
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

from pytest_distill import GATE_FUNCTIONS
from pytest_distill.plugin.records import STUDENTS

PACKAGE = "pytest_distill"
FIXTURES = frozenset({"comparison", STUDENTS})
"""The fixtures that only gate tests need."""

SET_UP = ("setUpClass", "setUp", "asyncSetUp", "asyncTearDown", "tearDown", "tearDownClass")
"""What unittest calls around a test; what pytest calls stands among the fixtures."""

MOST_ITEMS = 1000
"""Longer containers are data, not gates."""


def asks_a_gate(item: pytest.Item) -> bool:
    """Return whether a test's code asks a gate, or takes a fixture that only gate tests need.

    Looked at are the function, what it wraps and closes over, the values of its parameters, and
    the fixtures that it requests.
    """
    cls = getattr(item, "cls", None)
    search = _Search(cls)
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if any(type(value) is str and value in GATE_FUNCTIONS for value in parameters.values()):
        return True  # for getattr
    own = (getattr(item, "obj", None), *parameters.values(), *(getattr(cls, n, 0) for n in SET_UP))
    fixtures = (definition.func for of_name in fixtures_of(item) for definition in of_name)
    return any(search.holds(value, follow=True) for value in own) or any(
        _fixture_asks(f) if type(f) is FunctionType else search.holds(f, follow=True)
        for f in fixtures
    )


def fixtures_of(item: pytest.Item) -> Iterable[Sequence[pytest.FixtureDef[Any]]]:
    """Return the fixtures that a test requests, also through others, each with what it replaces."""
    info = getattr(item, "_fixtureinfo", None)
    found: Mapping[str, Sequence[pytest.FixtureDef[Any]]] = getattr(info, "name2fixturedefs", {})
    return found.values()


def takes(item: pytest.Item, fixture: str) -> bool:
    """Return whether a test, or a fixture of it, uses what a fixture gives.

    An argument that the test's code never reads is not used.
    """
    function = inspect.unwrap(getattr(item, "function", None) or (lambda: None))
    code = getattr(function, "__code__", None)
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code else ()
    if code is None or fixture not in arguments:
        others = (of for of_name in fixtures_of(item) for of in of_name)
        return any(fixture in of.argnames for of in others)
    read = (i.argval for i in dis.get_instructions(code) if i.opname.startswith(_READS))
    return any(fixture in (value if isinstance(value, tuple) else (value,)) for value in read)


_READS = ("LOAD_FAST", "LOAD_DEREF", "LOAD_CLOSURE", "STORE_FAST_LOAD_FAST", "MAKE_CELL")


@lru_cache(maxsize=1024)
def _fixture_asks(fixture: FunctionType) -> bool:
    """Return whether a fixture asks a gate; each serves many tests."""
    return _Search(None).holds(fixture, follow=True)


class _Search:
    """Looks for gates in one test's code, each function once.

    Parameters
    ----------
    cls : type, optional
        The test's class: its attributes may be gates.
    """

    def __init__(self, cls: type | None) -> None:
        self._classes = cls.__mro__ if isinstance(cls, type) else ()
        self._seen: set[int] = set()

    def holds(self, value: Any, *, follow: bool, depth: int = 0) -> bool:
        """Return whether a value is a gate's function, or has one in it.

        Types are compared, and no attribute of an unknown object is read: that may run code.

        Parameters
        ----------
        value
            Whatever a test has at hand.
        follow : bool
            Whether to look into a function that is no gate's.
        depth : int
            How many containers are around it.
        """
        kind = type(value)
        if kind is FunctionType:
            return _is_gate(value) or (follow and self._function(value))
        if kind in (MethodType, staticmethod, classmethod):
            return self.holds(value.__func__, follow=follow, depth=depth)
        if issubclass(kind, partial | partialmethod):
            parts = (value.func, *value.args, *value.keywords.values())
            return any(self.holds(part, follow=follow, depth=depth) for part in parts)
        if kind in (list, tuple, set, frozenset, dict) and depth < 3:
            inside = value.values() if kind is dict else value
            small = len(value) <= MOST_ITEMS
            return small and any(self.holds(v, follow=True, depth=depth + 1) for v in inside)
        return False

    def _function(self, function: FunctionType) -> bool:
        if id(function) in self._seen or _is_own(function.__module__):
            return False
        self._seen.add(id(function))
        defaults = (function.__defaults__ or (), function.__kwdefaults__ or {})
        own = (*_closed_over(function), *defaults, function.__dict__.get("__wrapped__"))
        return self._names_a_gate(function.__code__, function.__globals__) or any(
            self.holds(value, follow=True) for value in own
        )

    def _names_a_gate(self, code: CodeType, module: Mapping[str, Any]) -> bool:
        names, constants = _words(code)
        words = names | constants
        if "getfixturevalue" in names and FIXTURES & constants:
            return True
        found = [module[name] for name in names if name in module]
        modules = _modules(found, names)
        homes = {*words, *(home.__name__ for home in modules)}
        if GATE_FUNCTIONS & words and any(_is_own(home) for home in homes):
            return True
        at_hand = [*found, *_attributes(names, (*modules, *self._classes))]
        if any(self.holds(value, follow=False) for value in at_hand):
            return True
        elsewhere = names.difference(module)
        return bool(GATE_FUNCTIONS & elsewhere) and _imports_a_gate(code, elsewhere)


def _is_gate(function: FunctionType) -> bool:
    """Return whether it is a function of the DSL, or a method of `comparison`."""
    return function.__name__ in GATE_FUNCTIONS and _is_own(function.__module__)


def _is_own(module: object) -> bool:
    return isinstance(module, str) and (module == PACKAGE or module.startswith(f"{PACKAGE}."))


def _modules(values: Iterable[object], names: Iterable[str]) -> list[ModuleType]:
    """Return the modules among values, and what lies in them under these names."""
    found = [value for value in values if type(value) is ModuleType]
    for home in found:  # grows
        inner = [vars(home).get(name) for name in names]
        found += [m for m in inner if type(m) is ModuleType and m not in found]
    return found


def _attributes(names: Iterable[str], homes: Iterable[object]) -> Iterator[object]:
    """Yield what modules and classes have of these names, without asking them for it."""
    for home in homes:
        yield from (vars(home)[name] for name in names if name in vars(home))


def _closed_over(function: FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


@lru_cache(maxsize=4096)
def _words(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names that code uses (globals, attributes, imports), and its text constants."""
    names = set(code.co_names)
    constants: set[str] = set()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_names, inner_constants = _words(constant)
            names |= inner_names
            constants |= inner_constants
        elif isinstance(constant, str):
            constants.add(constant)
        elif isinstance(constant, tuple | frozenset):
            constants |= {part for part in constant if isinstance(part, str)}
    return frozenset(names), frozenset(constants)


def _imports_a_gate(code: CodeType, names: frozenset[str]) -> bool:
    """Return whether code itself imports a gate, or a module of which it takes one."""
    if GATE_FUNCTIONS & _imported(code, "IMPORT_FROM"):
        return True
    homes = _imported(code, "IMPORT_NAME")
    known = [sys.modules[home] for home in homes if home in sys.modules]
    if any(_is_gate(v) for v in _attributes(names, known) if type(v) is FunctionType):
        return True
    # A module that is not imported yet cannot be looked into.
    gates = [name for name in GATE_FUNCTIONS & names if name.startswith("assert_")]
    return len(known) < len(homes) and bool(gates)


def _imported(code: CodeType, how: str) -> set[str]:
    """Return what code itself imports: modules, or names from modules."""
    inner = (_imported(c, how) for c in code.co_consts if isinstance(c, CodeType))
    own = {str(i.argval) for i in dis.get_instructions(code) if i.opname == how}
    return own.union(*inner)
