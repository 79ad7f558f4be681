"""Asks vLLM's server, compares it with the same model in this process, and records its answers.

Started by ``record.sh``: ``python -m tests.vllm.record URL VERSIONS``.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import httpx2
import transformers

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.distributions import softmax
from pytest_distill.evals.requests import Prediction
from tests.engines.tiny import predicted, spec_of
from tests.servers.served import Asked, Reply, served
from tests.smollm2 import smollm2
from tests.vllm.recording import FILE, PARTS, Recording, engine, key_of, plain_choice

SAME = 1e-3


def record(url: str, versions: dict[str, str]) -> int:
    """Record all parts; return 1 where the two do not say the same."""
    recording = Recording({**versions, "transformers (here)": str(transformers.__version__)})
    here = TransformersEngine(spec_of(smollm2()))
    worst = 0.0

    async def handle(asked: Asked) -> Reply:
        async with httpx2.AsyncClient(timeout=600) as client:
            answer = await client.post(url + asked.path, json=asked.body)
        recording.answers[key_of(asked)] = (answer.status_code, answer.json())
        return Reply(answer.content, answer.status_code)

    for name, part in PARTS.items():
        with served(handle) as between:
            got = predicted(engine(between.url, part), part.requests)
        own: list[Any] = [None] * len(got)
        if name in ("choices", "texts"):
            own = predicted(here, part.requests)
        elif name == "loglikelihoods":
            own = predicted(here, [plain_choice(request) for request in part.requests])
        recording.found[name] = {}
        for there, mine in zip(got, own, strict=True):
            recording.found[name][there.id] = {"prediction": there.prediction}
            if mine is None:
                print(f"{name:20} {there.id:12} {there.prediction!r}")
                continue
            recording.found[name][there.id] |= {
                "loglikelihoods": mine.loglikelihoods,
                "greedy": mine.greedy,
                "tokens": mine.tokens,
            }
            off, alike = _difference(there, mine)
            worst = max(worst, off if alike else math.inf)
            print(f"{name:20} {there.id:12} off by {off:.1e}{'' if alike else ', NOT ALIKE'}")
    print(f"worst: {worst:.1e} (at most {SAME:.0e}); {recording.versions}")
    if worst > SAME:
        return 1
    recording.write()
    print(f"{FILE}: {FILE.stat().st_size:,} bytes, {len(recording.answers)} requests")
    return 0


def _difference(there: Prediction, here: Prediction) -> tuple[float, bool]:
    """Return how far the numbers are apart, and whether all else is the same."""
    own = here.loglikelihoods or ()
    if there.probabilities is not None:
        pairs = zip(there.probabilities, softmax(own), strict=True)
        return max(abs(a - b) for a, b in pairs), True
    pairs = zip(there.loglikelihoods or (), own, strict=True)
    alike = (there.greedy, there.tokens) == (here.greedy, here.tokens)
    return max(abs(a - b) for a, b in pairs), alike


if __name__ == "__main__":
    sys.exit(record(sys.argv[1], json.loads(sys.argv[2])))
