from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

from .tiny import TEXTS, Make, hf, predicted, saved


def _alone(engine: Any, text: str, pair: str | None = None) -> list[float]:
    """Return the probabilities of one text, without a batch and without the engine."""
    inputs = engine.tokenizer(text, pair, return_tensors="pt").to(engine.model.device)
    with torch.no_grad():
        logits = engine.model(**inputs).logits[0]
    return [float(value) for value in logits.double().softmax(-1)]


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
def test_batched_probabilities_equal_those_of_each_text_alone(
    engine: Make, classifier_folder: Path, batch_tokens: int
) -> None:
    """Probabilities don't depend on the batch, and come with the labels' names in output order."""
    made = engine(classifier_folder, batch_tokens=batch_tokens)
    requests = [ClassificationRequest(str(i), text) for i, text in enumerate(TEXTS)]
    for request, prediction in zip(requests, predicted(made, requests), strict=True):
        assert prediction.labels == ("negative", "neutral", "positive")
        assert prediction.probabilities == pytest.approx(_alone(made, request.text), abs=1e-6)


def test_pairs_are_encoded_as_pairs(engine: Make, classifier_folder: Path) -> None:
    """The second text is the second segment: exchanging the two gives another answer."""
    made = engine(classifier_folder)
    requests = [
        ClassificationRequest("ab", "a stitch in time", text_pair="saves nine"),
        ClassificationRequest("ba", "saves nine", text_pair="a stitch in time"),
        ClassificationRequest("a", "a stitch in time"),
    ]
    got = {prediction.id: prediction.probabilities for prediction in predicted(made, requests)}
    assert got["ab"] == pytest.approx(_alone(made, "a stitch in time", "saves nine"), abs=1e-6)
    assert got["ab"] != pytest.approx(got["ba"], abs=1e-4)


def test_a_text_beyond_the_context_is_an_error_with_its_id(
    engine: Make, classifier_folder: Path
) -> None:
    """The error names the example, its number of tokens and the model's context."""
    requests = [ClassificationRequest("ok", "good"), ClassificationRequest("r7", "nine " * 70)]
    message = r"model 'student', example 'r7': the text has 72 tokens, .* context is 64"
    with pytest.raises(ModelError, match=message):
        list(engine(classifier_folder).predict(requests))


@pytest.mark.parametrize(("side", "kept"), [("right", "one " * 62), ("left", "two " * 62)])
def test_truncation_keeps_the_other_end(
    engine: Make, classifier_folder: Path, side: Any, kept: str
) -> None:
    """Cut from the right, the text's start answers; cut from the left, its end does."""
    made = engine(classifier_folder)
    request = ClassificationRequest("long", "one " * 62 + "two " * 62, truncate=side)
    (prediction,) = predicted(made, [request])
    assert prediction.probabilities == pytest.approx(_alone(made, kept.strip()), abs=1e-6)
    assert made.tokenizer.truncation_side == "right"


def test_position_tables_that_start_after_the_padding_index_are_shorter(
    engine: Make, tmp_path: Path, tokenizer: Any
) -> None:
    """RoBERTa's 66 positions hold 63 tokens with padding index 2: 64 are refused, 63 work."""
    config = hf.RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=66,
        pad_token_id=2,
    )
    made = engine(saved(hf.RobertaForSequenceClassification(config), tokenizer, tmp_path))
    assert len(tokenizer("@" * 63)["input_ids"]) == 63
    (prediction,) = predicted(made, [ClassificationRequest("fits", "@" * 63)])
    assert prediction.probabilities is not None
    with pytest.raises(ModelError, match="64 tokens, and the model's context is 63"):
        list(made.predict([ClassificationRequest("long", "@" * 64)]))


@pytest.mark.parametrize("pad_token_id", [None, 2])
def test_decoder_classifiers_read_the_last_token_with_and_without_padding_token(
    engine: Make, tmp_path: Path, tokenizer: Any, pad_token_id: int | None
) -> None:
    """A causal classifier pools the last token that is no padding; without one it runs alone."""
    torch.manual_seed(5)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=pad_token_id,
        initializer_range=0.3,
    )
    made = engine(saved(hf.LlamaForSequenceClassification(config), tokenizer, tmp_path))
    requests = [ClassificationRequest(str(i), text) for i, text in enumerate(TEXTS)]
    for prediction in predicted(made, requests):
        alone = _alone(made, TEXTS[int(prediction.id)])
        assert prediction.labels == ("LABEL_0", "LABEL_1")
        assert prediction.probabilities == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"problem_type": "regression"}, "has outputs that are numbers, a regression"),
        ({"problem_type": "multi_label_classification"}, "labels don't exclude each other"),
    ],
)
def test_models_that_choose_no_single_label_are_refused(
    engine: Make,
    classifier_folder: Path,
    changed: Callable[..., Path],
    keys: dict[str, Any],
    message: str,
) -> None:
    """A regression and a multi-label model have no probabilities that sum to one."""
    made = engine(changed(classifier_folder, **keys))
    with pytest.raises(ModelError, match=message):
        list(made.predict([ClassificationRequest("1", "good")]))


def test_probabilities_that_are_not_finite_come_through(
    engine: Make, classifier_folder: Path
) -> None:
    """A NaN is handed on for the evaluator to refuse, and never turned into a label."""
    made = engine(classifier_folder)
    with torch.no_grad():
        made.model.classifier.bias[1] = float("nan")
    (prediction,) = predicted(made, [ClassificationRequest("1", "good")])
    assert prediction.probabilities is not None
    assert all(value != value for value in prediction.probabilities)


def test_a_tokenizer_of_another_model_is_refused(
    engine: Make, classifier_folder: Path, causal_folder: Path
) -> None:
    """Token ids beyond the embeddings are an error, not a crash on the device."""
    made = engine(causal_folder, tokenizer=str(classifier_folder))
    with pytest.raises(ModelError, match="example 'q1': the tokenizer gives token"):
        list(made.predict([ChoiceRequest("q1", "a stitch", (" in time",))]))


def test_inputs_that_the_model_does_not_take_are_left_out(
    engine: Make, classifier_folder: Path, tmp_path: Path
) -> None:
    """A DistilBERT student with its teacher's BERT tokenizer has no use for segments."""
    words = hf.AutoTokenizer.from_pretrained(classifier_folder)
    assert "token_type_ids" in words("good")
    size = {"vocab_size": len(words), "dim": 32, "hidden_dim": 32, "n_layers": 1, "n_heads": 2}
    made = engine(
        saved(hf.DistilBertForSequenceClassification(hf.DistilBertConfig(**size)), words, tmp_path)
    )
    for prediction in predicted(made, [ClassificationRequest(t, t) for t in TEXTS]):
        inputs = made.tokenizer(prediction.id, return_tensors="pt", return_token_type_ids=False).to(
            made.model.device
        )
        with torch.no_grad():
            expected = made.model(**inputs).logits[0].double().softmax(-1).tolist()
        assert prediction.probabilities == pytest.approx(expected, abs=1e-6)
