"""The entries under ``criteria:``: gates by their names, with the arguments of their assertions."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from pytest_distill.config.document import Document
from pytest_distill.errors import refuse_unknown
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates.all import GATES
from pytest_distill.gates.gate import Gate


def read_criterion(
    document: Document, name: str, evals: Mapping[str, Any], groups: Mapping[str, EvalGroup]
) -> tuple[Gate, ...]:
    """Return the gates of a criterion, in the order of the file.

    A gate that is asked twice, of two slices say, has a list of mappings.

    Parameters
    ----------
    document : Document
        The file.
    name : str
        The criterion.
    evals, groups : mapping
        What a gate may name: one eval, or several.

    Raises
    ------
    ConfigError
        For a gate or an argument that does not exist, with file, line, key and a suggestion.
    """
    written = document.content["criteria"][name]
    if not written:
        raise document.error(("criteria", name), "names no gate, so that anything would meet it")
    return tuple(
        asked
        for gate in written
        for asked in _gates(document, ("criteria", name, gate), evals, groups)
    )


def _gates(
    document: Document,
    key: tuple[str, str, str],
    evals: Mapping[str, Any],
    groups: Mapping[str, EvalGroup],
) -> Iterator[Gate]:
    _, criterion, name = key
    refuse_unknown(name, GATES, f"no gate is called '{name}'", partial(document.error, key))
    written = document.content["criteria"][criterion][name]
    if isinstance(written, list):
        entries: list[tuple[Any, tuple[str | int, ...]]] = [
            (entry, (*key, number)) for number, entry in enumerate(written)
        ]
    else:
        entries = [({} if written is None else written, key)]
    for entry, where in entries:
        document.refuse_misread((*where, "slice"))
        arguments = document.validated(arguments_of(name), entry, where).model_dump(
            exclude_unset=True
        )
        eval = arguments.get("eval")
        if eval is not None:
            at_eval = partial(document.error, (*where, "eval"))
            if eval in groups:
                raise at_eval(groups[eval].named_for_one())
            refuse_unknown(eval, evals, f"no eval is called '{eval}'", at_eval)
        for number, each in enumerate(arguments.get("evals") or ()):
            at_each = partial(document.error, (*where, "evals", number))
            refuse_unknown(each, {**evals, **groups}, f"no eval is called '{each}'", at_each)
        yield GATES[name](**arguments)


@cache
def arguments_of(name: str) -> type[BaseModel]:
    """Return the model that validates a gate's arguments, made of the gate's own fields."""
    gate: Any = GATES[name]
    hints = get_type_hints(gate)
    fields: dict[str, Any] = {
        field.name: (
            _in_yaml(hints[field.name]),
            ... if field.default is dataclasses.MISSING else field.default,
        )
        for field in dataclasses.fields(gate)
        if field.name != "student"  # the one that is asked whether it meets the criterion
    }
    config = ConfigDict(extra="forbid", strict=True)
    return create_model(name, __config__=config, **fields)


def _in_yaml(hint: Any) -> Any:
    """Return a field's type without the kinds of values that only Python has."""
    only_python = (Metric, os.PathLike)
    if get_origin(hint) is None or not get_args(hint):
        return hint
    allowed = [
        kind
        for kind in get_args(hint)
        if kind not in only_python and get_origin(kind) not in only_python
    ]
    if len(allowed) == len(get_args(hint)):
        return hint
    return Union[tuple(allowed)]  # noqa: UP007 (made of a list)
