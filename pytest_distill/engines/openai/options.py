"""What ``distill.yaml`` may say of a model behind an OpenAI-compatible server."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from pytest_distill._util.strict import STRICT, PositiveCount, Said
from pytest_distill._util.strict_json import refuse_no_json
from pytest_distill.engines.openai.addresses import refuse_address

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]


Way = Literal["response_format", "structured_outputs", "loglikelihoods"]
"""How a model is held to the labels of a classification."""
Accepted = Literal["max_tokens", "seed", "stop", "temperature", "tools"]
"""What a server can be seen not to honour; in the order of the alphabet, for messages."""
MOST_KEYS = ("max_completion_tokens", "max_tokens")
"""What servers call the greatest number of tokens that are written."""
OURS = ("messages", "model", "n", "best_of", "prompt", "stream", "stream_options")
"""What no ``extra_body`` says: it is what is asked, or the form of the answer."""


_SECRETS = frozenset({"apikey", "authorization", "password", "secret", "xapikey"})
"""What names a key, written small and without what joins words."""


def _refuse_secret(key: str, where: str) -> None:
    """Raise ValueError where a key is named as one that holds a secret."""
    if re.sub("[-_]", "", key.lower()) in _SECRETS:
        raise ValueError(
            f"'{where}' would be stored with every answer: write a key into an environment "
            "variable, and that variable's name as 'api_key_env'"
        )


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

    # A key that somebody wrote where it does not belong is not repeated.
    model_config = STRICT | ConfigDict(hide_input_in_errors=True)

    insecure: bool = Field(default=False, exclude=True)
    """Whether plain http is fine to another machine than this one."""
    base_url: Annotated[str, Field(min_length=1)]
    """Where the server is, as in `https://api.example.com/v1`."""
    model: Said
    """What the server calls the model."""
    api_key_env: Annotated[str, Field(min_length=1)] | None = Field(default=None, exclude=True)
    """Name of the environment variable that holds the key; none is sent without it."""
    extra_body: dict[str, Any] = {}
    """What is sent with every request beside; `null` leaves out what would be sent."""
    bos: Annotated[str, Field(min_length=1)] | None = None
    """The text of the token that stands before the first one of a text, the tokenizer's BOS or
    else its EOS token; for tasks that take log-likelihoods, where the server puts none there."""
    classify_by: Way = "response_format"
    """How a model is held to the labels of a classification: by a JSON schema
    (`response_format`), by vLLM's `structured_outputs`, or by which label is the likeliest
    (`loglikelihoods`)."""
    instruction: str | None = None
    """What stands before the text of a classification, in place of a sentence that names the
    labels; with `""` nothing does."""
    pin: Said | None = None
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
    accept: list[Accepted] = Field(default=[], exclude=True)
    """What the server need not honour: a note in place of an error where it does not."""
    noise_check: PositiveCount | None = Field(default=None, exclude=True)
    """How many examples of each eval are asked twice, to tell how far the model is from itself."""

    @field_validator("base_url")
    @classmethod
    def _is_safe(cls, base_url: str, info: ValidationInfo) -> str:
        refuse_address(base_url, insecure=info.data.get("insecure", False))
        return base_url

    @field_validator("api_key_env")
    @classmethod
    def _is_a_name(cls, named: str | None) -> str | None:
        if named is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", named):
            raise ValueError(
                "must be the name of an environment variable, as OPENAI_API_KEY, never a key"
            )
        return named

    @field_validator("extra_body")
    @classmethod
    def _leaves_ours(cls, given: dict[str, Any]) -> dict[str, Any]:
        for key in (key for key in OURS if key in given):
            raise ValueError(f"'{key}' is the engine's to say: leave it out")
        for key in (key for key in MOST_KEYS if given.get(key) is not None):
            if type(given[key]) is not int or given[key] < 1:
                raise ValueError(f"'{key}' must be a whole number of tokens, at least 1, or null")
        refuse_no_json(given, key=_refuse_secret)
        return given

    @field_validator("max_cost")
    @classmethod
    def _can_be_kept(cls, limit: float | None, info: ValidationInfo) -> float | None:
        """Refuse a limit that nothing could be counted against."""
        if limit is not None and info.data.get("prices", ...) is None:
            raise ValueError(
                "needs prices: {input: ..., output: ...}, what a million tokens of each cost"
            )
        body = info.data.get("extra_body", {})
        unbounded = [key for key in MOST_KEYS if key in body and type(body[key]) is not int]
        if limit is not None and unbounded and not any(type(body.get(k)) is int for k in MOST_KEYS):
            raise ValueError(
                f"cannot be kept where extra_body takes {unbounded[0]} out of the requests: an "
                "answer could be of any length"
            )
        return limit
