"""Docstrings (numpydoc) of classes that inherit parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from inspect import cleandoc

_PARAMETERS = re.compile(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n---|\Z)", re.M | re.S)
_PARAMETER = re.compile(r"^(\w[^\n]*?) : [^\n]*\n(.*?)(?=^\w|\Z)", re.M | re.S)


def with_inherited_parameters(cls: type) -> str:
    """Return a class's docstring; its section of parameters also has those of its bases.

    A parameter that the class describes itself is not taken over.
    """
    documented: set[str] = set()
    found: list[str] = []
    for base in cls.__mro__:
        for parameter in _PARAMETER.finditer(_section(base)):
            names = set(parameter[1].split(", "))
            if not names & documented:
                found.append(parameter[0].rstrip())
            documented |= names
    doc = _PARAMETERS.sub("", cleandoc(vars(cls).get("__doc__") or "")).rstrip()
    return "\n".join([doc, "", "Parameters", "----------", *found])


def described_parameters(cls: type) -> Mapping[str, str]:
    """Return parameter -> what a class, or else a base of it, says of it: one line of Markdown."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for parameter in _PARAMETER.finditer(_section(base)):
            text = " ".join(parameter[2].split()).replace("``", "`")
            found |= dict.fromkeys(parameter[1].split(", "), text)
    return found


def _section(cls: type) -> str:
    match = _PARAMETERS.search(cleandoc(vars(cls).get("__doc__") or ""))
    return match[1] if match else ""
