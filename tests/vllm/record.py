"""Asks vLLM's server, compares it with the same model in this process, and records its answers.

Started by ``record.sh``: ``python -m tests.vllm.record URL VERSIONS``.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx2
import transformers

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.distributions import softmax
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
            found = {"prediction": there.prediction}
            if mine is not None:
                values = mine.loglikelihoods
                found |= {"loglikelihoods": values, "greedy": mine.greedy, "tokens": mine.tokens}
                theirs = there.loglikelihoods
                if theirs is None:
                    theirs, values = there.probabilities, tuple(softmax(values))
                off = max(abs(a - b) for a, b in zip(theirs, values, strict=True))
                worst = max(worst, off)
                agree = name == "loglikelihoods" or (there.greedy, there.tokens) == (
                    mine.greedy,
                    mine.tokens,
                )
                print(f"{name:20} {there.id:12} off by {off:.1e}{'' if agree else ', NOT ALIKE'}")
                if not agree:
                    worst = float("inf")
            else:
                print(f"{name:20} {there.id:12} {there.prediction!r}")
            recording.found[name][there.id] = found
    print(f"worst: {worst:.1e} (at most {SAME:.0e}); {recording.versions}")
    if worst > SAME:
        return 1
    recording.write()
    print(f"{FILE}: {FILE.stat().st_size:,} bytes, {len(recording.answers)} requests")
    return 0


if __name__ == "__main__":
    sys.exit(record(sys.argv[1], json.loads(sys.argv[2])))
