"""What lm-evaluation-harness asks about a document, as one request of ours.

How a text is generated is read of a task's ``generation_kwargs`` as its model ``hf`` reads them
(0.4.13, ``lm_eval/models/utils.py``, ``normalize_gen_kwargs``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_distill.errors import ConfigError
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

MOST_TOKENS = 256
"""Of an answer whose task states no greatest number: of lm-evaluation-harness's models."""

LONGEST = "max_gen_toks"
_MOST = (LONGEST, "max_new_tokens", "max_tokens", "max_completion_tokens")
_PER_SAMPLE = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff")
"""What says nothing where the likeliest token is always taken."""

_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_return_sequences": (1,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "top_k": (0, -1),
    "min_p": (0,),
    "typical_p": (1,),
    "early_stopping": (False,),
    "use_cache": (True, False),
}
"""Key -> the values that change nothing."""

_WHY = {
    "num_beams": "beams are not searched here",
    "top_k": "sampling is cut by top_p alone",
    "min_p": "sampling is cut by top_p alone",
    "max_length": "counts the prompt too; say max_gen_toks",
}


def request_of(id: str, instances: Sequence[Any], longest: int | None) -> Request:
    """Return the request that stands for all instances of a document, in their order.

    The start of what is too long for a model is cut off, as by lm-evaluation-harness's models.

    Parameters
    ----------
    id : str
        The document's.
    instances : sequence of Instance
        What is asked.
    longest : int, optional
        The greatest number of tokens of a text, in place of the one that an instance states.
    """
    kind = instances[0].request_type
    if kind == "loglikelihood":
        contexts, continuations = zip(*(instance.args for instance in instances), strict=True)
        if len(set(contexts)) == 1:
            return ChoiceRequest(id, contexts[0], continuations, "left")
        return ChoiceRequest(id, "", continuations, "left", contexts)
    (instance,) = instances
    if kind == "loglikelihood_rolling":
        return PerplexityRequest(id, instance.args[0])
    prompt, kwargs = instance.args
    decoding = decoding_of(kwargs)
    if longest is not None:
        decoding = replace(decoding, max_new_tokens=longest)
    return GenerationRequest(id, prompt, False, decoding, "left")


def decoding_of(kwargs: Mapping[str, Any] | None, seed: int = 0) -> Decoding:
    """Return how a text is generated.

    Raises
    ------
    ConfigError
        Naming the key that asks for what is not done here.
    """
    said = {key: value for key, value in (kwargs or {}).items() if value is not None}
    stop = _stop(said.pop("until", []))
    most = longest_of(said)
    said = {key: value for key, value in said.items() if key not in _MOST}
    do_sample = said.pop("do_sample", None)
    if do_sample not in (None, True, False):
        raise ConfigError(f"generation_kwargs: do_sample is {do_sample!r}, not true or false")
    temperature = _number(said, "temperature", 0.0)
    do_sample = temperature > 0 if do_sample is None else bool(do_sample)
    if do_sample and temperature == 0:
        raise ConfigError(
            "generation_kwargs: do_sample is true and temperature 0, which samples nothing: say "
            "do_sample: false, or a temperature"
        )
    if not do_sample:
        said = {key: value for key, value in said.items() if key not in _PER_SAMPLE}
    said.pop("temperature", None)
    top_p = _number(said, "top_p", 1.0)
    said.pop("top_p", None)
    for key, value in said.items():
        _refuse(key, value)
    try:
        if not do_sample:
            return Decoding(most, stop)
        return Decoding(most, stop, True, temperature, top_p, seed)
    except ConfigError as error:
        raise ConfigError(f"generation_kwargs: {error}") from None


def longest_of(kwargs: Mapping[str, Any] | None) -> int:
    """Return the greatest number of tokens of a text: the first that is said, of several names."""
    given = (value for key in _MOST if (value := (kwargs or {}).get(key)) is not None)
    most = next(given, MOST_TOKENS)
    try:
        return int(most)
    except (TypeError, ValueError):
        raise ConfigError(f"generation_kwargs: {most!r:.40} is no number of tokens") from None


def _stop(until: Any) -> tuple[str, ...]:
    texts = until if isinstance(until, list | tuple) else [until]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"generation_kwargs: until is {until!r:.40}, not a list of texts")
    if "" in texts:
        raise ConfigError(
            "generation_kwargs: until has an empty text, at which lm-evaluation-harness ends every "
            "answer after one token: take it out by 'override: {generation_kwargs: ...}'"
        )
    return tuple(dict.fromkeys(texts))


def _number(said: Mapping[str, Any], key: str, default: float) -> float:
    try:
        return float(said.get(key, default))
    except (TypeError, ValueError):
        raise ConfigError(f"generation_kwargs: {key} is {said[key]!r:.40}, not a number") from None


def _refuse(key: str, value: Any) -> None:
    if key in _NOTHING and value in _NOTHING[key]:
        return
    why = _WHY.get(key, "the engines here have no such setting")
    raise ConfigError(
        f"generation_kwargs: {key}: {value!r:.40} is not done here ({why}); a text would be "
        "another one than lm-evaluation-harness's. Take the key out by 'override: "
        "{generation_kwargs: ...}' where that is what you want"
    )
