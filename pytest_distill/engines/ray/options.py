"""What ``distill.yaml`` may say of a model that actors of a Ray cluster run; Ray isn't imported."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator, model_validator

from pytest_distill._util.strict import STRICT, PositiveCount, Said
from pytest_distill.engines.inner import Inner

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Actors(BaseModel):
    """Between how many actors and how many a pool grows and shrinks."""

    model_config = STRICT

    min: PositiveCount = 1
    """How many there are at least."""
    max: PositiveCount
    """How many there are at most."""

    @model_validator(mode="after")
    def _in_order(self) -> Actors:
        if self.min > self.max:
            raise ValueError(f"min: {self.min} is more than max: {self.max}")
        return self


class RayOptions(BaseModel):
    """The keys of ``engine: ray``; those beside `of` change no answer."""

    model_config = STRICT

    of: Inner
    """The model, as it would stand in an entry of its own: its engine, path and further keys."""
    address: Said = Field(default="auto", exclude=True)
    """`host:port` of a running cluster; `auto` is the one of `RAY_ADDRESS` or of this machine, and
    `local` starts one on this machine for the run."""
    actors: PositiveCount | Actors = Field(default=1, exclude=True)
    """How many processes hold the model: a number, or `{min: 1, max: 8}`."""
    num_cpus: Amount = Field(default=1.0, exclude=True)
    """CPUs of each actor."""
    num_gpus: Amount = Field(default=0.0, exclude=True)
    """GPUs of each actor."""
    batch_size: PositiveCount = Field(default=64, exclude=True)
    """How many requests an actor is given at once."""
    wait: Amount = Field(default=0.0, exclude=True)
    """How many seconds to wait for nodes that an autoscaler is asked for, where there is no room
    for the actors."""
    runtime_env: dict[str, Any] = Field(default={}, exclude=True)
    """Ray's runtime environment of the actors: `working_dir`, `pip`, `env_vars` and so on."""

    @field_validator("address")
    @classmethod
    def _is_no_client(cls, address: str) -> str:
        if "://" in address:
            raise ValueError(
                "Ray's client cannot be used: run pytest on a node of the cluster (as a job, or in "
                "its head's pod), with address: auto"
            )
        host, colon, port = address.rpartition(":")
        if address not in ("auto", "local") and not (host and colon and port.isdecimal()):
            raise ValueError("must be auto, local, or host:port of a cluster, as 10.0.0.1:6379")
        return address

    @field_validator("num_cpus", "num_gpus")
    @classmethod
    def _is_whole_above_one(cls, amount: float) -> float:
        if amount > 1 and not amount.is_integer():
            raise ValueError(
                "must be a whole number where it is more than one: Ray splits one only"
            )
        return amount

    @model_validator(mode="after")
    def _has_its_device(self) -> RayOptions:
        if self.of.device.startswith("cuda") and not self.num_gpus:
            raise ValueError(f"of.device: {self.of.device} needs num_gpus: 1, GPUs of each actor")
        return self

    @property
    def least(self) -> int:
        """How many actors there must be room for."""
        return self.actors if isinstance(self.actors, int) else self.actors.min

    @property
    def most(self) -> int:
        """How many actors there are at most."""
        return self.actors if isinstance(self.actors, int) else self.actors.max
