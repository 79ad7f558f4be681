"""What was measured of a model, and on what: figures are compared on like devices alone."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_distill.engines import Measurable, Memory, host, plain
from pytest_distill.errors import ComparisonError, ModelError
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.statistics.quantiles import Units
from pytest_distill.statistics.results import Floats


@dataclass(frozen=True)
class Provenance:
    """Where a figure comes from: under which setting it was measured, and when.

    Parameters
    ----------
    setting : mapping
        Device, its name, dtype, threads, versions.
    made : float
        When, in seconds since 1970.
    earlier : bool
        Whether that was before this run.
    """

    setting: Mapping[str, Any]
    made: float
    earlier: bool = False


@dataclass(frozen=True)
class LatencyFigure:
    """One model's times, in seconds, one value a request, in the order in which they were taken.

    Parameters
    ----------
    example : array, shape (n,)
        For the whole answer.
    first_token, token : array, shape (n,), optional
        For generated text: until its first token, and for each token after it (NaN for a text of
        one token).
    provenance : Provenance
        Where they come from.
    unit : array of int, shape (n,), optional
        Of which independent example each is: the same number for those of one cluster, and so for
        an example that came round again. None: each is of another one.
    independent : int, optional
        How many independent examples there were to draw from.
    """

    example: Floats
    first_token: Floats | None
    token: Floats | None
    provenance: Provenance
    unit: Units | None = None
    independent: int | None = None

    def times(self, part: str) -> tuple[Floats, Units] | None:
        """Return the times of ``"example"``, ``"first_token"`` or ``"token"``, and their units.

        None where this model has no such times.
        """
        values: Floats | None = getattr(self, part)
        if values is None:
            return None
        unit = np.arange(len(values)) if self.unit is None else self.unit
        known = ~np.isnan(values)
        return values[known], unit[known]


@dataclass(frozen=True)
class ThroughputFigure:
    """How many examples a model answers in a second, in batches of the best size.

    Parameters
    ----------
    per_second : float
        The median of the repetitions.
    lowest, highest : float
        Their range.
    batch_tokens : int, optional
        Tokens a batch; None for an engine that batches as it likes.
    n : int
        Number of examples.
    provenance : Provenance
        Where it comes from.
    """

    per_second: float
    lowest: float
    highest: float
    batch_tokens: int | None
    n: int
    provenance: Provenance


@dataclass(frozen=True)
class MemoryFigure:
    """A model's memory while it answers `n` examples, and where the figure comes from."""

    memory: Memory
    n: int
    provenance: Provenance


def runs_here(model: Model) -> bool:
    """Return whether a model runs on this machine, so that it can be measured."""
    return isinstance(model, RunModel) and model.elsewhere is None


def runnable(model: Model) -> RunModel:
    """Return a model that runs here; ComparisonError where it does not."""
    if isinstance(model, RunModel):
        if model.elsewhere is not None:
            raise ComparisonError(
                f"model '{model.name}' is asked elsewhere, as {model.elsewhere}: how fast it "
                "answers is the network's and the other users' doing too, so that its speed and "
                "memory are not measured; its latency can be declared in distill.yaml, as "
                f"models.{model.name}.latency_ms"
            )
        return model
    raise ComparisonError(
        f"model '{model.name}' does not run here, so its speed and memory cannot be measured: "
        "declare 'latency_ms' in distill.yaml, or run it"
    )


def device_text(setting: Mapping[str, Any]) -> str:
    """Return the kinds of devices and their names: figures are compared where both are the same.

    Which one of several like GPUs it was makes no difference, and how many of them does.
    """
    kinds = (each.partition(":")[0] for each in str(setting["device"]).split(" + "))
    return f"{' + '.join(kinds)} ({setting['device_name']})"


def same_device(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two figures were taken on the same kind of device."""
    return device_text(one) == device_text(other)


def setting_of(model: RunModel) -> dict[str, Any]:
    """Return where and with what a model runs."""
    engine = model.runner
    with model.asking():
        if isinstance(engine, Measurable):
            versions = (model.identity or {}).get("versions", {})
            try:
                return {**plain.json_able(engine.setting), **versions}
            except (ValueError, TypeError) as error:
                raise ModelError(f"{model.told_by('setting')}: {error}") from None
    info = model.info
    return {"device": info.device, "device_name": host.processor(), "dtype": info.dtype} | {
        "python": platform.python_version()
    }
