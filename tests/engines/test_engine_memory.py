from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers import places
from pytest_distill.engines.transformers.batching import in_batches
from pytest_distill.engines.transformers.failures import is_out_of_memory
from pytest_distill.engines.transformers.fast import caching, tree_choices, trees
from pytest_distill.engines.transformers.fast.trees import score_trees
from pytest_distill.engines.transformers.loaded import Budget
from pytest_distill.engines.transformers.places import (
    bytes_per_token,
    cached_bytes_per_token,
    token_budget,
    tokens_that_fit,
)
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, Make, predicted, spec_of

# Runs in a process of its own, whose address space is limited once the first batch is done: the
# allocator then really fails, in the middle of a forward pass.
SCRIPT = """
import json, os, resource, sys
os.environ["HF_HUB_OFFLINE"] = "1"
import torch
torch.set_num_threads(1)
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill import ChoiceRequest, ClassificationRequest
from pytest_distill import GenerationRequest, PerplexityRequest
from pytest_distill.evals.tasks.decoding import Decoding

kind, folder, text = sys.argv[1:]
N = 1500
make = {
    "choices": lambda n: ChoiceRequest(str(n), f'{n} {text[n % 50:]}', (" one", " nine two")),
    "perplexity": lambda n: PerplexityRequest(str(n), f'{n} {text[n % 50:]}'),
    "classification": lambda n: ClassificationRequest(str(n), f'{n} {text[n % 50:]}'),
    "generation": lambda n: GenerationRequest(str(n), f'{n} {text[n % 50:]}', decoding=Decoding(4)),
}[kind]
engine = TransformersEngine(
    ModelSpec("m", "student", folder, "cpu", options={"batch_tokens": 25_000})
)
predictions = engine.predict([make(n) for n in range(N)])
ids = [next(predictions).id]
size = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (size + 2**23, -1))
ids += [prediction.id for prediction in predictions]
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
loaded = engine._load()
print(json.dumps({
    "complete": sorted(map(int, ids)) == list(range(N)),
    "budget": min(loaded.budget.tokens, loaded.generation_budget.tokens),
    "notes": engine.notes,
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the address space is limited as on Linux")
@pytest.mark.parametrize("kind", ["choices", "perplexity", "classification", "generation"])
def test_a_real_out_of_memory_error_halves_the_batches_and_loses_nothing(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """After the allocator failed in a forward pass, every prediction is still there, once."""
    name = "classifier_folder" if kind == "classification" else "causal_folder"
    folder = request.getfixturevalue(name)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(folder), CORPUS],
        capture_output=True,
        text=True,
        check=False,
        # What the first batch took is given back to the system at once, and not kept for the next.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"},
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["complete"]
    assert told["budget"] < 25_000
    assert told["notes"]
    assert "out of memory on cpu with a batch of" in told["notes"][0]


def test_one_example_beyond_the_memory_is_an_error(engine: Make, causal_folder: Path) -> None:
    """When nothing is left to halve, the error says how long the example is."""
    loaded = engine(causal_folder)._load()

    def forward(_batch: list[int]) -> None:
        torch.empty(2**60)  # more than any machine has

    told = f"out of memory on {loaded.device} with a single example of 5 tokens"
    with pytest.raises(ModelError, match=told):
        list(in_batches(loaded, Budget(100), [5, 3, 3], forward))


def test_a_smaller_budget_is_remembered(engine: Make, causal_folder: Path) -> None:
    """What was found out in one call holds in the next."""
    made = engine(causal_folder, batch_tokens=64)
    loaded = made._load()
    fits = 40

    def forward(batch: list[int]) -> int:
        if 10 * len(batch) > fits:
            torch.empty(2**60)
        return len(batch)

    done = list(in_batches(loaded, loaded.budget, [10] * 9, forward))
    assert sorted(index for batch, _ in done for index in batch) == list(range(9))
    assert loaded.budget.tokens == 30
    assert len(made.notes) == 1
    list(in_batches(loaded, loaded.budget, [10] * 9, forward))
    assert len(made.notes) == 1


def test_other_errors_are_not_taken_for_a_lack_of_memory(engine: Make, causal_folder: Path) -> None:
    """A shape that doesn't fit is raised as it is."""
    loaded = engine(causal_folder)._load()

    def forward(_batch: list[int]) -> Any:
        return torch.ones(2) @ torch.ones(3)

    with pytest.raises(RuntimeError, match="size") as raised:
        list(in_batches(loaded, loaded.budget, [1, 1], forward))
    assert not is_out_of_memory(raised.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


def test_the_budget_on_cuda_follows_from_the_free_memory(engine: Make, causal_folder: Path) -> None:
    """Half of the free memory in tokens, within bounds; a token costs what its tensors do."""
    each = bytes_per_token(engine(causal_folder).model)
    vocabulary = engine(causal_folder).model.config.vocab_size
    assert each >= 4 * vocabulary * 3
    assert tokens_that_fit(2 * each * 5000, each) == 5000
    assert tokens_that_fit(0, each) == 1024
    assert tokens_that_fit(2**50, each) == 32768


def test_texts_of_many_lengths_come_out_right_after_a_change_of_budget(
    engine: Make, causal_folder: Path
) -> None:
    """Totals do not depend on the budget that a batch ran under."""
    made = engine(causal_folder)
    requests = [PerplexityRequest(str(n), CORPUS[: 10 + 3 * n]) for n in range(30)]
    before = predicted(made, requests)
    made._load().budget.tokens = 40
    for first, second in zip(before, predicted(made, requests), strict=True):
        assert second.loglikelihoods == pytest.approx(first.loglikelihoods, abs=1e-3)


def test_the_budget_on_cuda_counts_what_other_processes_hold(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It follows from what the card has left, and from what this process holds and doesn't use."""
    model = engine(causal_folder).model
    each, cuda = bytes_per_token(model), torch.device("cuda")
    left = {"free": 2 * each * 9000, "reserved": 0}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (left["free"], 2**40))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 2**20)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _device: 2**20 + left["reserved"])
    spec = spec_of(causal_folder)
    assert token_budget(spec, cuda, model) == 9000
    left["free"] = 2 * each * 4000
    assert token_budget(spec, cuda, model) == 4000
    left["reserved"] = 2 * each * 3000
    assert token_budget(spec, cuda, model) == 7000


def test_a_budget_is_looked_at_before_every_eval(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came onto the card since the model was loaded is there beside it."""
    made = engine(causal_folder)
    requests = [PerplexityRequest("1", "one, two")]
    predicted(made, requests)
    budget = made._load().budget
    assert budget.tokens == 512
    monkeypatch.setattr(places, "_TOKENS_ON_CPU", 100)
    predicted(made, requests)
    assert budget.tokens == 100


@pytest.mark.parametrize("shots", [0, 1, 12])
def test_the_copies_of_a_shared_prefix_fit_the_budget(
    engine: Make, causal_folder: Path, changed: Any, shots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys and values of a pass, of every row's own header too, take what the budget allows."""
    made = engine(changed(causal_folder, max_position_embeddings=4000), batch_tokens=4096)
    held: list[int] = []
    rows: list[int] = []

    caches: list[Any] = []

    def kept(cached: Any, count: int) -> Any:
        caches.append(caching.filled(cached, count))
        return caches[-1]

    def noted(loaded: Any, packed: Any, skip: int, cached: Any) -> Any:
        scored = score_trees(loaded, packed, skip, cached)
        longest = max(sum(tree.size - skip for tree in row) for row in packed)
        rows.append(len(packed))
        held.append(len(packed) * longest * bytes_per_token(made.model))
        if cached is not None:
            states = caching.keys_and_values(caches.pop())
            in_cache = sum(one.nbytes for pair in states for one in pair)
            # What is read has its part in the bytes of a token.
            held[-1] += in_cache - len(packed) * longest * cached_bytes_per_token(made.model)
        return scored

    monkeypatch.setattr(trees, "filled", kept)
    monkeypatch.setattr(tree_choices, "score_trees", noted)
    header = "Question: what gets the worm?\nAnswer: the early bird\n\n" * 6 * shots
    requests = [
        ChoiceRequest(f"q{n}", f"{header}{CORPUS[n % 90 : n % 90 + 60]}\n{n}:", (" Paris", " six"))
        for n in range(240)
    ]
    predicted(made, requests)
    allowed = 4096 * bytes_per_token(made.model)
    assert max(held) <= allowed
    # 512 tokens a row, of which 4096 hold eight; the longer the header, the fewer.
    assert (max(rows) == 8) is (shots == 0)
    assert max(rows) <= {0: 8, 1: 7, 12: 6}[shots]
