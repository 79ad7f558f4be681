from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers.likelihood import top_tokens
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

from .tiny import TEXTS, Make, plain, predicted

REQUESTS = [
    ChoiceRequest(
        "capital", "Question: what is the capital?\nAnswer:", (" Paris", " a worm", " x")
    ),
    ChoiceRequest("trailing", "Question: what gets the worm? ", ("the early bird", "nine")),
    ChoiceRequest("digits", "Pick one:", (" 1", " 2", " 3", " 4")),
    ChoiceRequest("empty", "", ("The quick brown fox", "one, two, three")),
    ChoiceRequest("begun", "<s>one, two,", (" three", " nine")),
]


def _alone(engine: Any, context: list[int], continuation: list[int]) -> float:
    """Return the log-likelihood of a continuation: one row, all logits, float64."""
    with torch.no_grad():
        logits = (
            engine.model(torch.tensor([context + continuation], device=engine.model.device))
            .logits[0]
            .double()
            .cpu()
        )
    steps = logits.log_softmax(-1)[len(context) - 1 : -1]
    return float(steps.gather(-1, torch.tensor(continuation).unsqueeze(-1)).sum())


@pytest.mark.parametrize("batch_tokens", [1, 30, 4096])
def test_batched_loglikelihoods_equal_those_of_each_choice_alone(
    engine: Make, causal_folder: Path, batch_tokens: int
) -> None:
    """Log-likelihoods don't depend on the batch and stand in the order of the choices."""
    made = engine(causal_folder, batch_tokens=batch_tokens)
    got = {prediction.id: prediction.loglikelihoods for prediction in predicted(made, REQUESTS)}
    assert set(got) == {request.id for request in REQUESTS}
    tokenizer = made.tokenizer
    for request in REQUESTS:
        context = tokenizer(request.context or "<s>", add_special_tokens=False)["input_ids"]
        if request.id == "trailing":  # the space belongs to the choice
            context = tokenizer(request.context.rstrip())["input_ids"]
        expected = []
        for continuation in request.continuations:
            whole = tokenizer((request.context or "<s>") + continuation)["input_ids"]
            expected.append(_alone(made, whole[: len(context)], whole[len(context) :]))
        assert got[request.id] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("batch_tokens", [1, 30, 4096])
@pytest.mark.parametrize("way", ["trees", "rows"])
def test_a_choice_is_greedy_where_each_of_its_tokens_is_the_most_likely(
    engine: Make, causal_folder: Path, way: str, batch_tokens: int
) -> None:
    """In trees and in rows; beside it stand what differs in the first, or the last token."""
    made = engine(causal_folder, batch_tokens=batch_tokens)
    if way == "rows":
        made._load().findings.largest_tree = 0
    tokenizer, requests, expected = made.tokenizer, [], []
    for text in TEXTS[:3]:
        asked = GenerationRequest(text, text, decoding=Decoding(max_new_tokens=4))
        (said,) = predicted(made, [asked])
        choices = (said.text or "?", f"{said.text}?", "?", f"?{said.text}", (said.text or "?")[:2])
        requests.append(ChoiceRequest(text, text, choices))
        context, own = tokenizer(text)["input_ids"], []
        for choice in choices:
            whole = tokenizer(text + choice)["input_ids"]
            best = plain(made, whole[:-1]).argmax(-1)[len(context) - 1 :]
            own.append(best.tolist() == whole[len(context) :])
        expected.append(tuple(own))
    assert [prediction.greedy for prediction in predicted(made, requests)] == expected
    assert {True, False} <= {greedy for own in expected for greedy in own}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_of_tokens_that_are_as_likely_the_one_that_argmax_names_is_greedy(
    engine: Make, causal_folder: Path, dtype: str
) -> None:
    """One token at most, also where all have the same logit."""
    made = engine(causal_folder, dtype=dtype)
    vocabulary = made.tokenizer.get_vocab()
    choices = tuple(text for text in sorted(vocabulary) if text.isalnum() and text.isascii())
    request = ChoiceRequest("1", "one, two", choices)
    (before,) = predicted(made, [request])
    best = (before.loglikelihoods or ()).index(max(before.loglikelihoods or ()))
    head = made.model.get_output_embeddings().weight
    with torch.no_grad():
        likeliest = head[vocabulary[choices[best]]].clone()
        twins = [at for at in range(len(choices)) if at != best][:3]
        for at in (*twins, best):
            head[vocabulary[choices[at]]] = likeliest * 9
    made._load().findings.short_text = None  # it is another model now
    (got,) = predicted(made, [request])
    ids = torch.tensor([made.tokenizer("one, two")["input_ids"]], device=made.model.device)
    named = int(made.model(ids).logits[0, -1].argmax())
    assert got.greedy == tuple(vocabulary[choice] == named for choice in choices)
    assert sum(got.greedy) == 1
    values = got.loglikelihoods or ()
    assert len({values[at] for at in (*twins, best)}) == 1


@pytest.mark.parametrize("size", [1, 255, 256, 511, 512, 513, 1000, 32_003])
def test_the_top_token_is_what_argmax_names(size: int) -> None:
    """Also where several are as high, in one block or in different ones, and at the very end."""
    draw = torch.Generator().manual_seed(size)
    few = torch.randint(0, 3, (40, size), generator=draw).float()  # nothing but ties
    many = torch.randn(40, size, generator=draw)
    last, odd = many.clone(), many.clone()
    last[:, -1] = 99
    odd[::2], odd[1::2, size // 2] = -torch.inf, torch.nan
    for scores in (few, many, many.bfloat16().float(), last, odd):
        assert torch.equal(top_tokens(scores), scores.argmax(-1))


def test_choices_that_differ_in_their_last_token_share_one_row(
    engine: Make, causal_folder: Path
) -> None:
    """Four digits as choices cost one row of the model, not four."""
    made = engine(causal_folder)
    predicted(made, [REQUESTS[2]])  # with its trials
    rows = []
    hook = made.model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: rows.append(len(inputs[0]))
    )
    prediction = next(made.predict([REQUESTS[2]]))
    hook.remove()  # once all is answered, a short text is read again
    assert rows == [1]
    assert prediction.loglikelihoods is not None
    assert len(set(prediction.loglikelihoods)) == 4


def test_the_vocabulary_projection_runs_for_scored_positions_only(
    engine: Make, causal_folder: Path
) -> None:
    """Of a long prompt only the positions that predict the choice reach the projection."""
    made = engine(causal_folder)
    predicted(made, [REQUESTS[2]])  # with its trials
    widths = []
    hook = made.model.get_output_embeddings().register_forward_hook(
        lambda _module, inputs, _output: widths.append(inputs[0].shape[1])
    )
    next(made.predict([ChoiceRequest("1", "one, two, three, four, five," * 2, (" six", " nine"))]))
    hook.remove()  # once all is answered, a short text is read again
    assert widths
    assert max(widths) <= 8


def test_a_prompt_beyond_the_context_is_an_error_with_its_id(
    engine: Make, causal_folder: Path
) -> None:
    """The error names the example, the number of tokens and the context."""
    request = ChoiceRequest("q9", "one two " * 90, (" nine",))
    message = r"example 'q9': prompt and choice 0 have \d+ tokens, and the model's context is 96"
    with pytest.raises(ModelError, match=message):
        list(engine(causal_folder).predict([request]))


def test_truncation_cuts_the_start_of_the_context(engine: Make, causal_folder: Path) -> None:
    """With truncate the last tokens that fit are what the choice is scored after."""
    made = engine(causal_folder)
    request = ChoiceRequest("q9", "one two " * 90 + "three:", (" nine",), truncate="left")
    (prediction,) = predicted(made, [request])
    context = made.tokenizer(request.context)["input_ids"]
    choice = made.tokenizer(" nine")["input_ids"]
    kept = context[-(97 - len(choice)) :]
    expected = [_alone(made, kept, choice)]
    assert prediction.loglikelihoods == pytest.approx(expected, abs=2e-5)
    too_long = ChoiceRequest("q9", "one", (" two" * 99,), truncate="left")
    with pytest.raises(ModelError, match="example 'q9': prompt and choice 0"):
        list(made.predict([too_long]))


def test_a_choice_without_tokens_is_an_error(engine: Make, causal_folder: Path) -> None:
    """An empty choice has no likelihood; the error names it."""
    with pytest.raises(ModelError, match=r"example 'q1': choice 1 \(''\) adds no token"):
        list(engine(causal_folder).predict([ChoiceRequest("q1", "one", (" two", ""))]))


def test_loglikelihoods_that_are_not_finite_come_through(engine: Make, causal_folder: Path) -> None:
    """A NaN from the model is handed on for the evaluator to refuse."""
    made = engine(causal_folder)
    with torch.no_grad():
        made.model.model.norm.weight[0] = float("nan")
    (prediction,) = predicted(made, [REQUESTS[0]])
    assert prediction.loglikelihoods is not None
    assert all(value != value for value in prediction.loglikelihoods)
