"""What ``engine:`` may name that runs nothing: its answers or scores were made elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel

from pytest_distill._util.strict import STRICT
from pytest_distill.engines import ModelInfo
from pytest_distill.evaluation.model import Model


class SourceOptions(BaseModel):
    """The keys of a source."""

    model_config = STRICT

    answers: ClassVar[bool] = True
    """Whether it has an answer for every example, not scores alone."""

    @property
    @abstractmethod
    def by_eval(self) -> tuple[str, Mapping[str, Any]]:
        """The key that says something eval by eval, and what it says."""

    def metrics_of(self, on: str) -> Iterable[str]:  # noqa: ARG002 (only scores name metrics)
        """Return the metrics of an eval that it has a score of."""
        return ()


class Source(Model):
    """A model whose answers or scores were made elsewhere.

    Parameters
    ----------
    info : ModelInfo
        What is declared of the model.
    """

    Options: ClassVar[type[SourceOptions]]

    def __init__(self, info: ModelInfo) -> None:
        super().__init__(info.name, info.role)
        self._info = info

    @property
    def info(self) -> ModelInfo:
        """What is declared of the model."""
        return self._info

    @classmethod
    @abstractmethod
    def declared_as(cls, info: ModelInfo, options: Mapping[str, SourceOptions], file: Path) -> Self:
        """Return the model of an entry.

        Parameters
        ----------
        info : ModelInfo
            What is declared of it.
        options : mapping
            Name -> the options of each model of the file that has this source.
        file : Path
            The ``distill.yaml``.
        """
