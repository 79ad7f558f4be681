"""Read-only rows: one gold example is shown to every metric and engine of a run."""

from __future__ import annotations

from typing import Any, NoReturn


def _refuse(self: Any, *_args: Any, **_kwargs: Any) -> NoReturn:
    raise TypeError(
        f"gold examples are read-only: take a copy, such as copy.deepcopy(...), to change {self!r}"
    )


class ReadOnlyDict(dict[str, Any]):
    """A dict that refuses to be changed; copies of it are plain dicts."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A list that refuses to be changed; copies of it are plain lists."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = remove = _refuse
    clear = pop = sort = reverse = _refuse

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)


_CHANGEABLE = (dict, list)


def read_only(value: Any) -> Any:
    """Return a value of JSON with its mappings and lists made read-only, however deep.

    They stay dicts and lists, so that json and ``isinstance`` know them.
    """
    if isinstance(value, dict):
        # Most values are none of the two: a row costs a copy, and a call for each that is.
        nested = {k: read_only(v) for k, v in value.items() if isinstance(v, _CHANGEABLE)}
        return ReadOnlyDict(value | nested if nested else value)
    if isinstance(value, list):
        return ReadOnlyList(map(read_only, value))
    return value
