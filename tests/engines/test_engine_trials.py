"""What a model is seen to do, and what is given up where it does something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers.batching import batches
from pytest_distill.engines.transformers.fast.caching import cache_name
from pytest_distill.engines.transformers.loaded import Budget, Company, Neighbours
from pytest_distill.engines.transformers.neighbours import in_company, plan, unlike_alone
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import CORPUS, SMALL, TEXTS, Make, greedy, hf, predicted, saved, scored

ORIGINAL = 40  # tokens, up to which the short factors of LongRoPE count


@pytest.fixture(scope="session")
def longrope_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """Return a Llama whose frequencies follow from the longest row of a pass."""
    torch.manual_seed(11)
    rope = {
        "rope_type": "longrope",
        "rope_theta": 1e4,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0, 6.0, 8.0, 10.0],
        "original_max_position_embeddings": ORIGINAL,
        "factor": 4.0,
    }
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=400, rope_parameters=rope, **SMALL
    )
    folder = tmp_path_factory.mktemp("longrope")
    return saved(hf.LlamaForCausalLM(config), tokenizer, folder)


REQUESTS: list[Request] = [
    ChoiceRequest("c", "one, two", (" three", " six")),
    PerplexityRequest("p", CORPUS),
    GenerationRequest("g", "one, two", decoding=Decoding(max_new_tokens=3)),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_model_that_sees_what_follows_is_refused(
    engine: Make, tokenizer: Any, tmp_path: Path, request_: Request
) -> None:
    """BERT as a language model, but no decoder, would read the answer before it says it."""
    torch.manual_seed(12)
    config = hf.BertConfig(vocab_size=len(tokenizer), is_decoder=False, **SMALL)
    made = engine(saved(hf.BertLMHeadModel(config), tokenizer, tmp_path))
    with pytest.raises(ModelError) as raised:
        list(made.predict([request_]))
    assert str(raised.value).startswith(
        "model 'student' (BertLMHeadModel) sees what follows a token: "
    )


@pytest.mark.parametrize(("dtype", "range_"), [("float32", 0.02), ("bfloat16", 0.3)])
def test_a_causal_model_passes_in_any_type(
    engine: Make, tokenizer: Any, tmp_path: Path, dtype: str, range_: float
) -> None:
    """Rounding alone is no foresight, and small weights hide none."""
    for decoder in (True, False):
        torch.manual_seed(12)
        keys = {**SMALL, "initializer_range": range_, "is_decoder": decoder}
        config = hf.BertConfig(vocab_size=len(tokenizer), **keys)
        folder = saved(hf.BertLMHeadModel(config), tokenizer, tmp_path / str(decoder))
        made = engine(folder, dtype=dtype)
        if decoder:
            predicted(made, REQUESTS[:1])
        else:
            with pytest.raises(ModelError, match="sees what follows"):
                list(made.predict(REQUESTS[:1]))


def test_the_border_of_longrope_is_found(
    engine: Make, longrope_folder: Path, causal_folder: Path
) -> None:
    """Far positions in the same pass tell where it is; a plain Llama has none."""
    made, other = engine(longrope_folder), engine(causal_folder)
    for one in (made, other):
        predicted(one, REQUESTS[:1])
    assert made._load().findings.border == ORIGINAL
    assert other._load().findings.border is None


def test_rows_on_either_side_of_a_border_never_meet(engine: Make, longrope_folder: Path) -> None:
    """Choices and texts just below and above it have the log-likelihoods of rows read alone."""
    made = engine(longrope_folder)
    choices = [
        ChoiceRequest(str(n), (CORPUS[:40] + TEXTS[3][:n]).strip(), (" Paris", " six foxes", " a"))
        for n in range(10, 150, 7)
    ]
    rows = [len(made.tokenizer(request.context)["input_ids"]) for request in choices]
    assert min(rows) < ORIGINAL < max(rows)
    got = {prediction.id: prediction.loglikelihoods for prediction in predicted(made, choices)}
    for request in choices:
        assert got[request.id] == pytest.approx(scored(made, request), abs=1e-3)
    assert made.notes == []


@pytest.mark.parametrize("batch_tokens", [100, 4096])
def test_a_text_that_crosses_a_border_is_read_anew(
    engine: Make, longrope_folder: Path, batch_tokens: int
) -> None:
    """Each token is what the model says of all before it, also where that is beyond the border.

    What such a text begins with, within a smaller budget, may end before it.
    """
    made = engine(longrope_folder, batch_tokens=batch_tokens)
    prompts = [TEXTS[3][:n] for n in range(20, 120, 9)]
    rows = [len(made.tokenizer(prompt)["input_ids"]) for prompt in prompts]
    assert any(row <= ORIGINAL < row + 12 for row in rows)
    asked = {(p, most): Decoding(max_new_tokens=most) for p in prompts for most in (12, 4)}
    got = predicted(
        made, [GenerationRequest(f"{p} {n}", p, decoding=asked[p, n]) for p, n in asked]
    )
    assert [prediction.text for prediction in got] == [greedy(made, p, n) for p, n in asked]
    assert made.notes == []


def test_no_cache_is_shared_across_a_border(engine: Make, longrope_folder: Path) -> None:
    """Overlapping windows that go on from each other would mix both kinds of positions."""
    made = engine(longrope_folder)
    text = PerplexityRequest("p", CORPUS * 2, 24, 7, share_cache=True)
    with pytest.raises(ModelError, match="positions count otherwise beyond 40 tokens"):
        list(made.predict([text]))


def test_positions_that_a_model_counts_itself_are_left_to_it(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """RoBERTa counts from its padding token on: its texts are read anew for every token."""
    torch.manual_seed(13)
    config = hf.RobertaConfig(
        vocab_size=len(tokenizer),
        is_decoder=True,
        max_position_embeddings=99,
        **SMALL,
    )
    made = engine(saved(hf.RobertaForCausalLM(config), tokenizer, tmp_path))
    asked = [GenerationRequest(t, t, decoding=Decoding(max_new_tokens=6)) for t in TEXTS]
    got = {prediction.id: prediction.text for prediction in predicted(made, asked)}
    assert got == {text: greedy(made, text, 6) for text in TEXTS}
    assert any("reads all of a text for every token" in note for note in made.notes)


def test_trees_are_given_up_from_where_they_are_wrong(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """Local attention by column spoils large trees only: short questions do not show it."""
    torch.manual_seed(14)
    config = hf.GPTNeoConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=64,
        max_position_embeddings=800,
        initializer_range=0.3,
    )
    made = engine(saved(hf.GPTNeoForCausalLM(config), tokenizer, tmp_path))
    short = [ChoiceRequest(str(n), CORPUS[n : n + 9].strip(), (" Paris", " a b")) for n in range(4)]
    long = [
        ChoiceRequest(str(n), (CORPUS[n:] + CORPUS).strip(), (CORPUS, CORPUS[9:60], " Paris"))
        for n in range(4)
    ]
    predicted(made, short)
    assert made.notes == []
    got = {prediction.id: prediction.loglikelihoods for prediction in predicted(made, long)}
    for request in long:
        assert got[request.id] == pytest.approx(scored(made, request), abs=1e-3)
    (note,) = made.notes
    assert "scores choices of more than" in note


def test_what_a_model_changes_in_itself_is_told(
    engine: Make, tmp_path: Path, tokenizer: Any
) -> None:
    """BigBird reads all texts with full attention once it has read a short one."""
    config = hf.BigBirdConfig(vocab_size=len(tokenizer), attention_type="block_sparse", **SMALL)
    made = engine(saved(hf.BigBirdForSequenceClassification(config), tokenizer, tmp_path))
    made._prepare(made._load())
    (note,) = made.notes
    assert "changes itself when it reads a short text: attention_type" in note
    assert "'block_sparse'" in note


def test_a_model_s_cache_is_found_by_trying(engine: Make, causal_folder: Path) -> None:
    """The name that `forward` takes it by is one that fills it, not one that is only accepted."""
    made = engine(causal_folder)
    loaded = made._load()
    name = cache_name(loaded)
    assert name in ("cache", "past_key_values")
    inner = made.model.forward

    def deaf(*args: Any, **keywords: Any) -> Any:
        for one in ("cache", "past_key_values"):  # the newest transformers still takes both
            keywords.pop(one, None)
        return inner(*args, **keywords)

    loaded.findings.cache_name = None
    made.model.forward = deaf
    try:
        assert cache_name(loaded) is None
    finally:
        made.model.forward = inner


LENGTHS = [9, 4, 4, 7, 2, 9, 5]


def _run(
    loaded: Any, neighbours: Neighbours, answer: Callable[[int, list[int]], float]
) -> tuple[dict[int, float], list[list[int]]]:
    """Return every row's result, and the batches that were yielded."""

    def forward(batch: list[int]) -> list[float]:
        return [answer(index, batch) for index in batch]

    def difference(_: int, got: float, alone: float) -> str | None:
        return None if got == alone else f"{got} and then {alone}"

    found: dict[int, float] = {}
    used = []
    wrong = unlike_alone(loaded, forward, difference)
    for batch, results in in_company(loaded, Budget(100), neighbours, LENGTHS, forward, wrong):
        used.append(batch)
        found.update(zip(batch, results, strict=True))
    return found, used


@pytest.mark.parametrize(
    ("company", "answer"),
    [
        (Company.PADDED, lambda index, _batch: index),
        (Company.EQUAL, lambda index, batch: index + (len({LENGTHS[i] for i in batch}) > 1)),
        (Company.ALONE, lambda index, batch: index + (len(batch) > 1)),
    ],
)
def test_rows_have_the_company_that_changes_nothing(
    engine: Make, causal_folder: Path, company: Company, answer: Callable[[int, list[int]], float]
) -> None:
    """Every row comes once and as if alone: in padded batches, in such of one length, or alone."""
    loaded = engine(causal_folder)._load()
    neighbours = Neighbours()
    found, used = _run(loaded, neighbours, answer)
    assert found == {index: index for index in range(len(LENGTHS))}
    assert sorted(index for batch in used for index in batch) == list(range(len(LENGTHS)))
    assert neighbours.company is company
    told = {
        Company.PADDED: [],
        Company.EQUAL: ["of the same length only"],
        Company.ALONE: ["one at a time"],
    }[company]
    assert len(loaded.notes) == len(told)
    assert all(text in note for text, note in zip(told, loaded.notes, strict=True))


def test_a_batch_that_a_model_refuses_is_read_one_by_one(engine: Make, causal_folder: Path) -> None:
    """What a model raises for several texts only is a reason to give it one at a time."""

    def answer(index: int, batch: list[int]) -> float:
        if len(batch) > 1:
            raise ValueError("All examples must have the same number of <eos> tokens.")
        return index

    loaded = engine(causal_folder)._load()
    found, _ = _run(loaded, Neighbours(), answer)
    assert found == {index: index for index in range(len(LENGTHS))}
    (note,) = loaded.notes
    assert "All examples must have the same number of <eos> tokens." in note


def test_a_model_that_says_another_thing_each_time_is_told(
    engine: Make, causal_folder: Path
) -> None:
    """A difference that is also there without company is no fault of the batch."""
    drawn = iter(range(1000))
    loaded = engine(causal_folder)._load()
    neighbours = Neighbours()
    _run(loaded, neighbours, lambda _index, _batch: next(drawn))
    assert neighbours.company is Company.PADDED
    assert all("is not deterministic" in note for note in loaded.notes)
    assert loaded.notes


def test_what_was_looked_at_is_not_looked_at_again(engine: Make, causal_folder: Path) -> None:
    """Shorter and less padded batches are believed; longer ones are read once more."""
    loaded = engine(causal_folder)._load()
    neighbours = Neighbours()
    calls: list[int] = []

    def answer(index: int, batch: list[int]) -> float:
        calls.append(len(batch))
        return index

    _run(loaded, neighbours, answer)
    first = len(calls)
    assert first > len(LENGTHS)
    _run(loaded, neighbours, answer)
    assert len(calls) == first + len(LENGTHS)
    assert not neighbours.reaches(max(LENGTHS) + 1, 1, 2)


def test_plans_keep_apart_what_must_not_meet() -> None:
    """Without borders and in any company a plan is that of padded batches; else rows are parted."""
    lengths = [n * 37 % 90 + 1 for n in range(200)]
    assert list(plan(Company.PADDED, ())(lengths, 500)) == list(batches(lengths, 500))
    parted = list(plan(Company.PADDED, (30, 60))(lengths, 500))
    for batch in parted:
        assert len({(lengths[i] > 30, lengths[i] > 60) for i in batch}) == 1
    for batch in plan(Company.EQUAL, ())(lengths, 500):
        assert len({lengths[i] for i in batch}) == 1
    assert [len(batch) for batch in plan(Company.ALONE, ())(lengths, 500)] == [1] * 200
    assert sorted(i for batch in parted for i in batch) == list(range(200))
