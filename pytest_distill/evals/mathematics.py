r"""Whether two answers are equal as mathematics, by math-verify. Runs in a process of its own.

math-verify looks for LaTeX between its marks (``$...$``, ``\(...\)``, ``\boxed{...}``), and beside
it for numbers. Of ``x + 1`` without marks it would take the 1: a text that is mathematics and
nothing else gets them here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from math_verify import parse, verify

_MARKS = re.compile(r"(?<!\\)\$|\\\(|\\\[|\\boxed")
_COMMAND = re.compile(r"\\(?:begin|end|text\w*|math\w+|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[^\W\d_]{3,}")
_FUNCTIONS = frozenset(
    [
        *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"),
        *("sinh", "cosh", "tanh", "log", "exp", "sqrt", "lim", "max", "min", "gcd", "lcm", "mod"),
        *("det", "inf", "sup"),
    ]
)
_SCIENTIFIC = re.compile(r"([-+]?\d+(?:\.\d+)?)[eE]\+?(-?\d+)")
_NUMBER = re.compile(r"-?(?:\d{1,3}(?: \d{3})+|[\d.,]+)(?:[.,]\d+)?\s*%?")


def equals(gold: str, answer: str) -> bool:
    """Return whether an answer is a gold answer, mathematically."""
    for expected in _parsed(gold):
        for found in _parsed(answer):
            try:
                if verify(expected, found, timeout_seconds=None, raise_on_error=True):
                    return True
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001, S112 (sympy can't compare these two)
                continue
    return False


def is_mathematics(text: str) -> bool:
    """Return whether something mathematical can be read in a text."""
    return bool(_parsed(text))


def ask(question: str, *texts: str) -> bool:
    """Return what `equals` or `is_mathematics` does."""
    return equals(*texts) if question == "equals" else is_mathematics(*texts)


@lru_cache(maxsize=256)
def _parsed(text: str) -> list[Any]:
    """Return the expressions that math-verify reads in a text; what it can't read it leaves out."""
    try:
        found = parse(_marked(text), fallback_mode="no_fallback", parsing_timeout=None)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (math-verify catches its own: whatever is left reads nothing)
        return []
    return [expression for expression in found if not isinstance(expression, str)]


def _marked(text: str) -> str:
    """Return a text with marks around it where it is bare mathematics."""
    bare = text.strip()
    scientific = _SCIENTIFIC.fullmatch(bare)
    if scientific:
        return rf"${scientific[1]} \times 10^{{{scientific[2]}}}$"
    words = _WORD.findall(_COMMAND.sub(" ", bare))
    if (
        not bare
        or "\n" in bare
        or _MARKS.search(bare)
        or _NUMBER.fullmatch(bare)
        or not _FUNCTIONS.issuperset(words)
    ):
        return text
    return f"${bare}$"
