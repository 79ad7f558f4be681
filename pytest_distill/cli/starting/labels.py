"""What the labels of checkpoints and those of a gold set have to do with each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pytest_distill.cli.starting.first_model import FirstModel
from pytest_distill.cli.yaml_text import yaml_line
from pytest_distill.errors import few


def labels_of(
    models: Sequence[FirstModel], gold: Collection[str]
) -> tuple[Mapping[str, Any] | list[str] | None, str | None]:
    """Return what ``labels:`` says where checkpoints classify, and what is left to the user.

    Parameters
    ----------
    models : sequence of FirstModel
        All of them.
    gold : collection of str
        The gold labels.
    """
    named = [model.labels for model in models if model.labels]
    if not named:
        return None, None
    names = [*dict.fromkeys(name for labels in named for name in labels)]
    if all({*gold} <= {*labels} for labels in named):
        return (names if len(names) > 1 else None), None
    numbers = [str(number) for number in range(len(named[0]))]
    if len({*named}) == 1 and {*gold} <= {*numbers}:
        return {number: int(number) for number in numbers}, None
    meant = {label.casefold(): label for label in gold}
    if len(meant) == len({*gold}) and {name.casefold() for name in names} == meant.keys():
        return {name: meant[name.casefold()] for name in names}, None
    outputs = {label: number for number, label in enumerate(sorted(gold)[:3])}
    return None, (
        f"the models say {few(names)}, and the gold labels are {few(sorted(gold))}: say which is "
        f"which, such as {yaml_line('labels', outputs)} (gold label: number of the output)"
    )
