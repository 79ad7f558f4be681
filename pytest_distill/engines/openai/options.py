"""What ``distill.yaml`` may say of a model behind an OpenAI-compatible server."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from pytest_distill._util.strict import STRICT, PositiveCount

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """What a million tokens cost, in the team's own currency."""

    model_config = STRICT

    input: Money
    """Of what is asked."""
    output: Money
    """Of what is answered."""


class Timeouts(BaseModel):
    """When to give up, in seconds."""

    model_config = STRICT

    connect: Seconds = 10.0
    """For a connection."""
    first_byte: Seconds = 300.0
    """For the first byte of an answer, and for each that follows."""
    total: Seconds = 600.0
    """For one try, from the first byte sent to the last one received."""
    deadline: Seconds = 3600.0
    """For one request, all its tries and the pauses between them included."""


class OpenAIOptions(BaseModel):
    """The keys of ``engine: openai``; those that change no answer are left out of exports."""

    model_config = STRICT

    base_url: Annotated[str, Field(min_length=1)]
    """Where the server is, as in `https://api.example.com/v1`."""
    model: Annotated[str, Field(min_length=1)]
    """What the server calls the model."""
    api_key_env: Annotated[str, Field(min_length=1)] | None = Field(default=None, exclude=True)
    """Name of the environment variable that holds the key; none is sent without it."""
    extra_body: dict[str, Any] = {}
    """What is sent with every request beside; `null` leaves out what would be sent."""
    pin: str | None = None
    """The `system_fingerprint` that every answer must have."""
    max_concurrency: PositiveCount = Field(default=16, exclude=True)
    """At most how many requests are on their way at once."""
    timeouts: Timeouts = Field(default=Timeouts(), exclude=True)
    """How long is waited for, in seconds."""
    prices: Prices | None = Field(default=None, exclude=True)
    """What a million tokens cost."""
    max_cost: Money | None = Field(default=None, exclude=True)
    """What a run may spend at most, in the currency of `prices`; it stops before that is
    exceeded."""
    noise_check: PositiveCount | None = Field(default=None, exclude=True)
    """How many examples of each eval are asked twice, to tell how far the model is from itself."""
    insecure: bool = Field(default=False, exclude=True)
    """Whether plain http is fine to another machine than this one."""
