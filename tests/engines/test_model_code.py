"""What a model's own code raises becomes one error that says where; ours goes through."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_distill import ModelError
from pytest_distill.engines.transformers import classification
from pytest_distill.engines.transformers.failures import raised_here
from pytest_distill.engines.transformers.fast.onednn import OneDNN
from pytest_distill.evals.requests import GoldText, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import Make, hf, predicted, saved

HERE = Path(__file__).name
NAMES = {"0": "a", "1": "b", "2": "c"}
TEXT = [ClassificationRequest(str(n), "one, two" + " three" * n) for n in range(3)]
SHORT = Decoding(max_new_tokens=2)
Change = Callable[..., Path]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            {"1": "a", "2": "b", "3": "c"},
            "id2label must number the 3 outputs from 0; it has 1, 2, 3",
        ),
        ({"0": "a", "1": "b"}, "id2label names 2 outputs of 3"),
        ({"0": "a", "1": "b", "2": "a"}, "id2label calls several outputs 'a'"),
        ({"a": "0", "b": "1", "c": "2"}, "config.json: id2label must give each output, by its"),
        ({"0": "a", "1": "b", "2": None}, "id2label"),  # older transformers say it themselves
        (["a", "b", "c"], "config.json: id2label must give each output, by its number from 0"),
    ],
)
def test_names_that_are_not_those_of_the_outputs_are_an_error(
    engine: Make, classifier_folder: Path, changed: Change, names: Any, message: str
) -> None:
    """Numbered from 1, too few, the same twice, or no mapping: the model and the key are named."""
    copy = changed(classifier_folder, id2label=names, label2id={})
    with pytest.raises(ModelError, match=f"^model 'student'.*{re.escape(message)}"):
        predicted(engine(copy), TEXT)


def test_a_padding_token_that_the_model_does_not_know_is_an_error(
    engine: Make, causal_folder: Path, changed: Change
) -> None:
    """Before anything is loaded, with the key."""
    copy = changed(causal_folder, pad_token_id=400_000)
    with pytest.raises(
        ModelError, match=r"config\.json: pad_token_id is 400000, but the model knows"
    ):
        predicted(engine(copy), [GenerationRequest("1", "one", decoding=SHORT)])
    with pytest.raises(
        ModelError, match=r"config\.json: pad_token_id is 400000, but the model knows"
    ):
        _ = engine(copy).info


@pytest.mark.parametrize("padding", [-1, None])
def test_without_a_padding_token_texts_are_classified_one_by_one(
    engine: Make, tmp_path: Path, tokenizer: Any, padding: int | None
) -> None:
    """A decoder that has none, also one that writes -1 for it, answers as it does alone."""
    torch.manual_seed(7)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    config = hf.LlamaConfig(vocab_size=len(tokenizer), num_attention_heads=2, **size)
    config.pad_token_id = padding
    made = engine(saved(hf.LlamaForSequenceClassification(config), tokenizer, tmp_path))
    together = {p.id: p.probabilities for p in predicted(made, TEXT)}
    for request in TEXT:
        (alone,) = predicted(made, [request])
        assert together[request.id] == alone.probabilities


def test_a_padding_token_of_the_generation_config_alone_is_checked(
    engine: Make, seq2seq_folder: Path, tmp_path: Path
) -> None:
    """It fills up the rows that transformers generates."""
    copy = Path(shutil.copytree(seq2seq_folder, tmp_path / "copy"))
    file = copy / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token_id": 9_999}))
    message = "generation_config.json: pad_token_id is 9999, but the model knows only the tokens 0"
    with pytest.raises(ModelError, match=message):
        predicted(engine(copy), [GenerationRequest("1", "one", decoding=SHORT)])


def test_position_tables_of_any_class_are_measured(
    engine: Make, tmp_path: Path, tokenizer: Any
) -> None:
    """I-BERT's table is no Embedding of torch; with padding index 2 it holds 63 of 66 tokens."""
    config = hf.IBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=66,
        pad_token_id=2,
    )
    made = engine(saved(hf.IBertForSequenceClassification(config), tokenizer, tmp_path))
    predicted(made, TEXT)
    long = ClassificationRequest("long", "x" * 200)
    with pytest.raises(ModelError, match=r"context is 63; shorten it"):
        predicted(made, [long])


RAISED: tuple[BaseException, ...] = (
    IndexError("index out of range in self"),
    KeyError("missing"),
    TypeError("forward() got an unexpected keyword argument 'attention_mask'"),
    AttributeError("no such thing"),
    NotImplementedError(),
    RuntimeError("shapes cannot be multiplied"),
    AssertionError("heads must divide the width"),
    ZeroDivisionError("division by zero"),
    RecursionError("too deep"),
)


def _raising(error: BaseException) -> Callable[..., Any]:
    def forward(*_: Any, **__: Any) -> Any:
        raise error

    return forward


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_model_raises_is_one_line_with_its_class_and_place(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The original is its cause, for who wants all of it."""
    made = engine(classifier_folder)
    monkeypatch.setattr(made.model, "forward", _raising(error))
    with pytest.raises(ModelError) as caught:
        predicted(made, TEXT)
    told = str(caught.value)
    begin = "model 'student' (BertForSequenceClassification) fails while it answers classification"
    assert told.startswith(f"{begin}: raised {type(error).__name__}")
    assert re.search(rf"{HERE}:\d+ in forward", told)
    assert "\n" not in told
    assert caught.value.__cause__ is error


def _wrong_ids(*_: Any, **__: Any) -> Any:
    return torch.nn.functional.embedding(torch.tensor([9]), torch.zeros(2, 2))


def test_where_torch_raises_its_caller_is_named_too(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The innermost line is torch's; the one that called it is the model's."""
    made = engine(classifier_folder)
    monkeypatch.setattr(made.model, "forward", _wrong_ids)
    where = rf"\(torch/nn/functional\.py:\d+ in embedding, called from \S*{HERE}:\d+ in _wrong_ids"
    with pytest.raises(ModelError, match=where):
        predicted(made, TEXT)


@pytest.mark.parametrize(
    "request_",
    [
        ChoiceRequest("1", "one", (" two", " three")),
        PerplexityRequest("1", "one, two"),
        GenerationRequest("1", "one", decoding=SHORT),
    ],
    ids=lambda request: type(request).__name__,
)
def test_every_task_says_what_the_model_raised(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch, request_: Request
) -> None:
    """Whichever way the engine runs it."""
    made = engine(causal_folder)
    monkeypatch.setattr(made.model, "forward", _raising(IndexError("out of range")))
    with pytest.raises(
        ModelError, match=r"fails while it answers .*: raised IndexError: out of ran"
    ):
        predicted(made, [request_])


def test_what_is_measured_and_compared_is_held_to_it_too(
    engine: Make, causal_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times, memory and the comparison of tokens run the same code of the model's."""
    made, teacher = engine(causal_folder), engine(causal_folder)
    request = PerplexityRequest("1", "one, two")
    monkeypatch.setattr(made.model, "forward", _raising(KeyError("k")))
    for act in (
        lambda: made.time_one(request),
        lambda: made.time_all([request], 64),
        lambda: made.memory_here([request]),
        lambda: list(made.token_likeness(teacher, [GoldText(request)])),
    ):
        with pytest.raises(ModelError, match=r"\(LlamaForCausalLM\) fails while .* KeyErr"):
            act()


def test_a_tokenizer_that_fails_is_the_models_too(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its code comes with the checkpoint."""
    made = engine(classifier_folder)
    kind = type(made.tokenizer)
    monkeypatch.setattr(kind, "__call__", _raising(KeyError("▁")))
    with pytest.raises(ModelError, match=f"raised KeyError: '▁' .*{HERE}"):
        predicted(made, TEXT)


def test_an_output_without_logits_is_the_models(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attribute that lacks is one of the model's own object, though the line is ours."""
    made = engine(classifier_folder)

    class Output:
        pass

    for output in (Output(), (torch.zeros(3, 3),)):
        monkeypatch.setattr(made.model, "forward", lambda *_, output=output, **__: output)
        kind = type(output).__name__
        with pytest.raises(ModelError, match=f"'{kind}' object has no attribute 'logits'"):
            predicted(made, TEXT)


def test_a_config_that_asks_for_tuples_changes_nothing(
    engine: Make, classifier_folder: Path, causal_folder: Path, changed: Change
) -> None:
    """In which form a model gives its output says nothing of what it answers."""
    for folder, request in (
        (classifier_folder, TEXT[0]),
        (causal_folder, PerplexityRequest("1", "one, two")),
        (causal_folder, GenerationRequest("1", "one", decoding=SHORT)),
    ):
        copy = changed(folder, return_dict=False)
        assert predicted(engine(copy), [request]) == predicted(engine(folder), [request])


def test_a_class_that_cannot_be_built_is_an_error_when_it_is_loaded(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its size is asked for, and no weight is read."""
    monkeypatch.setattr(
        hf.BertForSequenceClassification, "__init__", _raising(AssertionError("no"))
    )
    begin = r"model 'student' \(BertForSequenceClassification\) fails while "
    with pytest.raises(ModelError, match=f"{begin}it is loaded: raised AssertionError: no"):
        predicted(engine(classifier_folder), TEXT)
    with pytest.raises(ModelError, match=f"{begin}its size is counted: raised AssertionError: no"):
        _ = engine(classifier_folder).info


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no more"), ModelError("ours")])
def test_what_has_its_own_handling_goes_through(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Ctrl-C, memory that ran out, and an error that says enough."""
    made = engine(classifier_folder)
    monkeypatch.setattr(classification, "classify", _raising(error))
    with pytest.raises(type(error)) as caught:
        predicted(made, TEXT)
    assert caught.value is error


def test_a_defect_of_ours_is_not_blamed_on_the_model(
    engine: Make, classifier_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is raised in a line of this package stays what it is."""
    made = engine(classifier_folder)
    _ = made.model
    # `_encode` then fails in its own line: None is no list of rows.
    monkeypatch.setattr(classification, "_encode", lambda *_: None)
    with pytest.raises(TypeError):
        predicted(made, TEXT)


def test_an_operation_that_passes_through_our_products_is_the_models() -> None:
    """What torch raises in a model's call is the model's fault, also where oneDNN multiplies."""
    with pytest.raises(IndexError) as error, OneDNN():
        exec(compile("import torch; torch.ones(2, 2)[0, 0, 0]", "modeling_own.py", "exec"), {})  # noqa: S102
    assert not raised_here(error.value)
