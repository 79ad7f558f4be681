"""Between which numbers the fields of a task may be, as their types say it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo

from pytest_distill.errors import ConfigError


def refuse_out_of_bounds(task: object) -> None:
    """Raise ConfigError, beginning with the field, where a number is not as its type says.

    Of a field with several numbers each is looked at.
    """
    kind: Any = type(task)
    for name, bounds in _bounds(kind).items():
        value = getattr(task, name)
        for number in value if isinstance(value, Sequence) else [value]:
            if number is not None and (wanted := _unmet(number, bounds)):
                shown = f"{number:,}" if isinstance(number, int) else str(number)
                raise ConfigError(f"{name}: must be {wanted}, not {shown}")


@cache
def _bounds(task: type) -> Mapping[str, Sequence[Any]]:
    """Return what the types of a class say of the numbers in its fields."""
    hints = get_type_hints(task, include_extras=True)
    found = {name: [*_said(hint)] for name, hint in hints.items()}
    return {name: bounds for name, bounds in found.items() if bounds}


def _said(hint: Any) -> Iterator[Any]:
    for part in get_args(hint):
        if get_origin(hint) is Annotated and isinstance(part, FieldInfo):
            yield from (each for each in part.metadata if isinstance(each, Ge | Gt | Le))
        yield from _said(part)


def _unmet(number: Any, bounds: Sequence[Any]) -> str | None:
    """Return what a number must be; None where it is."""
    at_least, above, at_most = (
        next((getattr(each, key) for each in bounds if isinstance(each, kind)), None)
        for kind, key in ((Ge, "ge"), (Gt, "gt"), (Le, "le"))
    )
    if above is not None and at_most is not None:
        return None if above < number <= at_most else f"above {above} and at most {at_most}"
    if above is not None:
        return None if above < number < math.inf else f"a number above {above}"
    if at_least is not None and not number >= at_least:
        return f"at least {at_least:,}"
    return None if at_most is None or number <= at_most else f"at most {at_most:,}"
