"""What vLLM says where it fails, as one sentence of ours."""

from __future__ import annotations

import re
from collections.abc import Collection

from pytest_distill.engines.transformers.options import Spec
from pytest_distill.errors import ModelError, one_line

_MOST = 500  # characters of what vLLM says
_NO_MEMORY = ("out of memory", "outofmemory", "memory ran out", "can't allocate memory")
_NO_ROOM = ("kv cache", "gpu memory utilization", "available memory", "--gpu-memory-utilization")


def load_error(spec: Spec, said: str, engine_args: Collection[str]) -> ModelError:
    """Return the error of a model that vLLM does not load; it was given these `engine_args`."""
    given = (
        f"; engine_args ({', '.join(engine_args)}) went to vLLM as they are: see that it knows "
        "each, with a value of this type"
    )
    return ModelError(
        f"model '{spec.name}' can't be loaded by vLLM from {spec.path}: {shortened(said)}"
        f"{_remedy(said)}{given if engine_args else ''}"
    )


def answer_error(spec: Spec, example: str, said: str) -> ModelError:
    """Return the error of a model at which vLLM came to an end while it answered."""
    return ModelError(
        f"model '{spec.name}': vLLM came to an end while it answered example '{example}' and those "
        f"beside it: {shortened(said)}{_remedy(said)}"
    )


def shortened(said: str) -> str:
    """Return what vLLM says in one line, without its advice on how to read a log."""
    line = one_line(re.sub(r"\s+", " ", said).strip())
    line = re.sub(r"See (the )?(root cause|stack trace)[^.]*\.?\s*", "", line).strip()
    return line if len(line) <= _MOST else f"{line[:_MOST]}..."


def _remedy(said: str) -> str:
    low = said.lower()
    if any(words in low for words in _NO_ROOM):
        return (
            "; set a smaller 'max_model_len', or give the cache more room ('kv_cache_gib', on a "
            "GPU 'gpu_memory_utilization')"
        )
    if any(words in low for words in _NO_MEMORY):
        return "; use a smaller dtype or 'max_model_len', or a device with more memory"
    return ""
