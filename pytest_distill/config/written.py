"""What was written in a YAML document, where YAML makes something else of it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import yaml

TEXT = "tag:yaml.org,2002:str"
BOOLEAN = "tag:yaml.org,2002:bool"
NULL = "tag:yaml.org,2002:null"
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

_KNOWN = (TEXT, BOOLEAN, NULL, *NUMBERS, "tag:yaml.org,2002:timestamp")

_SCALES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "bn": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}
_NUMBER = re.compile(
    r"(?P<number>[+-]?(\d{1,3}([,_ ]\d{3})+|\d+)?(\.\d+)?(e[+-]?\d+)?)\s*(?P<unit>[a-z%]*)",
    re.ASCII | re.IGNORECASE,
)

_SYNTAX = (
    (r"character '\\t'", "write blanks in the place of tabs"),
    (r"unhashable key", "write a text that begins with '{{' in quotes"),
    (
        r"mapping values are not allowed",
        "write a text with ': ' in it in quotes, and begin keys of one mapping in one column",
    ),
    (r"unknown escape character", "write a text with backslashes in single quotes"),
    (
        r"character '[@`%]'|expected alphabetic or numeric",
        "write a text that begins with such a character in quotes",
    ),
    (r"but found '<scalar>'", "write a text with one kind of quotes in it in the other kind"),
    (r"found '<block", "begin the keys of one mapping in one column"),
)
"""What YAML says -> what is to be done."""

_CUT_LIST = re.compile(r"[\[{]([^\]}'\"]*[\s,])?#")
"""A bracket that a ``#`` leaves open."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value, or a key, that stands without quotes.

    Parameters
    ----------
    text : str
        As it is written.
    tag : str
        What YAML takes it for.
    value : object
        What it makes of it.
    comment : str
        The comment behind it, with its ``#``; empty where there is none.
    is_key : bool
        Whether it is a key.
    """

    text: str
    tag: str
    value: Any
    comment: str
    is_key: bool = False

    @classmethod
    def of(cls, node: yaml.ScalarNode, source: str, *, is_key: bool = False) -> Scalar | None:
        """Return what stands without quotes; None of what has some, or stands as a block."""
        if node.style is not None or node.tag not in _KNOWN:
            return None
        behind = source[node.end_mark.index :].partition("\n")[0]
        comment = behind.strip() if behind.lstrip().startswith("#") else ""
        value = yaml.SafeLoader("").construct_object(node)
        return cls(node.value, node.tag, value, comment, is_key)

    @property
    def switch(self) -> bool:
        """Whether it is a yes, no, on or off, which YAML takes for true and false."""
        return self.tag == BOOLEAN and self.text.lower() not in ("true", "false")

    @property
    def misread(self) -> bool:
        """Whether what it stands for reads otherwise than it is written: 010 is 8."""
        if self.tag in (TEXT, BOOLEAN):
            return self.switch
        return str(self.value) != self.text

    @property
    def label(self) -> bool:
        """Whether a label may be written so: as text, or as a whole number, true or false."""
        return self.is_key or isinstance(self.value, str | int)

    @property
    def quoted(self) -> str:
        """What to write where it is meant as text."""
        if self.tag == BOOLEAN:
            value = str(self.value).lower()
        elif self.tag == NULL:
            value = "nothing"
        else:
            value = f"the {'number' if self.tag in NUMBERS else 'date'} {self.value}"
        return f"write '{self.text}' in quotes: YAML reads it as {value}"

    @property
    def cut(self) -> str | None:
        """Why the text may end too early: at a ``#`` that may be a part of it; None where not.

        A comment has a blank behind its ``#``, and no templates in it.
        """
        if not self.comment:
            return None
        bare = self.comment[1:2] not in ("", " ", "\t")
        if not self.text or bare or "{{" in self.comment or "{%" in self.comment:
            left = f"'{self.text}'" if self.text else "nothing"
            return (
                f"is {left}, since the '#' behind it begins a comment: write the whole text in "
                "quotes (a comment goes into a line of its own)"
            )
        return None


def advice(error: str, value: Any, scalar: Scalar | None) -> str:
    """Return what to write in the place of a value of the wrong type; empty where nobody knows.

    Parameters
    ----------
    error : str
        The type of pydantic's error.
    value : object
        The value.
    scalar : Scalar, optional
        How it is written, where that is without quotes.
    """
    if error in ("string_type", "list_type") and scalar is not None:
        if scalar.tag == NULL and not scalar.text:
            return scalar.cut or ""
        if error == "list_type" and scalar.tag in NUMBERS:
            return f"write [{scalar.text}]"
        return "" if scalar.tag == TEXT else scalar.quoted
    if error in ("int_type", "float_type") and isinstance(value, str | float):
        return _number(value, whole=error == "int_type", quoted=scalar is None)
    if error == "date_type" and isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return f"write {value}, without quotes"
    if error == "bool_type" and isinstance(value, str):
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}
        word = meant.get(value.lower(), value.lower())
        return f"write {word}, without quotes" if word in ("true", "false") else ""
    return ""


_LEAST_WRITTEN = 1e-20
"""Nobody counts the zeros of less."""


def _number(value: str | float, *, whole: bool, quoted: bool) -> str:
    """Return which number to write for one with a unit, in quotes, or in another form."""
    found = _NUMBER.fullmatch(str(value).strip().lstrip("$€"))
    if found is None or not found["number"].strip("+-"):
        return ""
    unit = found["unit"].lower()
    if len(unit) > 1 and unit.endswith("b") and unit != "b":  # bytes, of whatever scale
        unit = unit[:-1]
    scale = 0.01 if unit == "%" else {**_SCALES, **_BINARY, "ms": 1}.get(unit)
    if scale is None:
        return ""
    digits = re.sub("[,_ ]", "", found["number"])
    amount = float(digits) * scale
    if whole and not amount.is_integer():
        return ""
    if not math.isfinite(amount) or 0 < abs(amount) < _LEAST_WRITTEN:
        return ""
    # YAML reads 1e-7 as a text.
    written = str(round(amount)) if amount.is_integer() else f"{Decimal(f'{amount:.12g}'):f}"
    without = ", without quotes" if quoted and written == str(value) else ""
    return f"write {written}{without}"


def syntax_advice(error: yaml.YAMLError, source: str) -> tuple[int | None, str]:
    """Return the line of what is no YAML, from 0, and what is to be done about it."""
    problem = str(getattr(error, "problem", "") or "")
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return None, ""
    number: int = mark.line
    lines = source.split("\n")[: number + 1]
    open_ended = "<stream end>" in problem or "flow" in str(getattr(error, "context", "") or "")
    cut = [at for at, line in enumerate(lines) if _CUT_LIST.search(line)] if open_ended else []
    if cut:
        return cut[-1], "'#' begins a comment: write a text with one in quotes"
    said = (what for pattern, what in _SYNTAX if re.search(pattern, problem))
    return number, next(said, "")
