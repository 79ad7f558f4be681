from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_distill import ModelError
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .tiny import TEXTS, Make, hf, predicted

pytestmark = pytest.mark.filterwarnings("ignore")  # of peft, when the tests save adapters


def _save_lora(model: Any, folder: Path, **config: Any) -> Any:
    """Save a LoRA adapter with random weights and return the adapted model."""
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=4, **config))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(str(folder))
    return adapted.eval()


@pytest.fixture
def lora(causal_folder: Path, tmp_path: Path) -> tuple[Path, Any]:
    """Return the folder of an adapter of the causal model, and the adapted model."""
    base = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    folder = tmp_path / "adapter"
    adapted = _save_lora(base, folder, target_modules=["q_proj"], task_type="CAUSAL_LM")
    return folder, adapted


def test_an_adapter_answers_as_in_peft_and_is_counted(
    engine: Make, causal_folder: Path, lora: tuple[Path, Any]
) -> None:
    """Answers are peft's own; parameters, bytes and digest cover base and adapter."""
    folder, adapted = lora
    made, base = engine(causal_folder, adapter=str(folder)), engine(causal_folder)
    (prediction,) = predicted(made, [ChoiceRequest("1", "one, two,", (" three",))])
    context = made.tokenizer("one, two,")["input_ids"]
    whole = made.tokenizer("one, two, three")["input_ids"]
    with torch.no_grad():
        steps = adapted(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    expected = sum(float(steps[at - 1, whole[at]]) for at in range(len(context), len(whole)))
    assert prediction.loglikelihoods == pytest.approx([expected], abs=1e-5)
    (unadapted,) = predicted(base, [ChoiceRequest("1", "one, two,", (" three",))])
    assert unadapted.loglikelihoods != pytest.approx([expected], abs=1e-2)
    assert type(made.model) is hf.LlamaForCausalLM
    assert base.info.parameters is not None
    assert base.info.bytes is not None
    assert made.info.parameters == base.info.parameters + 2 * (4 * 64 + 64 * 4)
    weights = (folder / "adapter_model.safetensors").stat().st_size
    assert made.info.bytes == base.info.bytes + weights
    assert made.info.digest != base.info.digest


def test_an_adapter_that_does_not_fit_is_refused(
    engine: Make, causal_folder: Path, lora: tuple[Path, Any]
) -> None:
    """Layers that the adapter's config names and its weights lack are an error, no warning."""
    folder, _ = lora
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"] = ["q_proj", "k_proj"]
    (folder / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"doesn't fit the base model .*k_proj.* not in the adapt"):
        _ = engine(causal_folder, adapter=str(folder)).model


def test_an_adapter_of_another_architecture_is_refused(
    engine: Make, classifier_folder: Path, lora: tuple[Path, Any]
) -> None:
    """A Llama's adapter on a BERT is an error that names the model."""
    with pytest.raises(ModelError, match="model 'student'"):
        _ = engine(classifier_folder, adapter=str(lora[0])).model


def test_a_classifier_head_that_the_adapter_brings_counts_as_trained(
    engine: Make, classifier_folder: Path, tmp_path: Path
) -> None:
    """A backbone with an adapter for classification is a classifier, head included."""
    model = hf.AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    backbone = tmp_path / "backbone"
    model.bert.save_pretrained(backbone)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(classifier_folder / file, backbone)
    adapted = _save_lora(model, tmp_path / "adapter", target_modules=["query"], task_type="SEQ_CLS")
    made = engine(backbone, adapter=str(tmp_path / "adapter"), load={"num_labels": 3})
    for prediction in predicted(made, [ClassificationRequest(t, t) for t in TEXTS]):
        inputs = made.tokenizer(prediction.id, return_tensors="pt").to(made.model.device)
        with torch.no_grad():
            expected = adapted(**inputs).logits[0].double().softmax(-1).tolist()
        assert prediction.probabilities == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ModelError, match="is a BertModel, which neither"):
        _ = engine(backbone).model


def test_prompt_learning_is_refused(engine: Make, causal_folder: Path, tmp_path: Path) -> None:
    """Virtual tokens are no layers of the model; the error says what is supported."""
    base = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    peft.get_peft_model(base, config).save_pretrained(str(tmp_path))
    with pytest.raises(ModelError, match="PROMPT_TUNING adds virtual tokens"):
        _ = engine(causal_folder, adapter=str(tmp_path)).model


def test_a_missing_peft_is_named_with_its_extra(
    engine: Make, causal_folder: Path, lora: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without peft the error says what to install."""
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModelError, match=r"peft: pip install 'pytest-distill\[adapter\]'"):
        _ = engine(causal_folder, adapter=str(lora[0])).model


def _likelihood(model: Any, tokens: list[int]) -> float:
    with torch.no_grad():
        steps = (
            model(torch.tensor([tokens], device=model.device)).logits[0].double().log_softmax(-1)
        )
    return sum(float(steps[at - 1, tokens[at]]) for at in range(1, len(tokens)))


def _dora() -> Any:
    return peft.LoraConfig(
        r=4,
        target_modules=["q_proj"],
        use_dora=True,
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )


def _ia3() -> Any:
    return peft.IA3Config(
        target_modules=["k_proj", "down_proj"],
        feedforward_modules=["down_proj"],
        init_ia3_weights=False,
        task_type="CAUSAL_LM",
    )


@pytest.mark.parametrize("config", [_dora, _ia3])
def test_kin_of_lora_answer_as_in_peft(
    engine: Make, causal_folder: Path, tmp_path: Path, config: Callable[[], Any]
) -> None:
    """DoRA's magnitudes and the vectors of (IA)3 are loaded, counted and used; none may lack."""
    torch.manual_seed(8)
    base = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    plain = sum(parameter.numel() for parameter in base.parameters())
    adapted = peft.get_peft_model(base, config())
    adapted.save_pretrained(tmp_path)
    made = engine(causal_folder, adapter=str(tmp_path))
    (got,) = predicted(made, [PerplexityRequest("1", "one, two, three")])
    tokens = [0, *made.tokenizer("one, two, three")["input_ids"]]
    expected = _likelihood(adapted.eval(), tokens)
    assert got.loglikelihoods == pytest.approx([expected], abs=1e-4)
    unadapted = _likelihood(engine(causal_folder).model, tokens)
    assert got.loglikelihoods != pytest.approx([unadapted], abs=1e-2)
    file = tmp_path / "adapter_model.safetensors"
    weights = load_file(file)
    assert made.info.parameters == plain + sum(weight.numel() for weight in weights.values())
    assert made.notes == []
    del weights[next(reversed(weights))]
    save_file(weights, file, {"format": "pt"})
    with pytest.raises(ModelError, match=r"doesn't fit the base model .* is not in the adapter"):
        _ = engine(causal_folder, adapter=str(tmp_path)).model


def test_a_head_that_the_adapter_brings_is_counted_once(
    engine: Make, classifier_folder: Path, tmp_path: Path
) -> None:
    """`modules_to_save` stand in the place of the base model's own."""
    model = hf.AutoModelForSequenceClassification.from_pretrained(classifier_folder)
    plain = sum(parameter.numel() for parameter in model.parameters())
    adapted = _save_lora(model, tmp_path, target_modules=["query"], task_type="SEQ_CLS")
    lora = sum(p.numel() for name, p in adapted.named_parameters() if "lora_" in name)
    assert engine(classifier_folder, adapter=str(tmp_path)).info.parameters == plain + lora


@pytest.mark.parametrize("kind", ["LoRA", "IA3"])
def test_an_adapter_that_changes_nothing_is_told(
    engine: Make, causal_folder: Path, tmp_path: Path, kind: str
) -> None:
    """As it was before training an adapter has no effect; a note says so without loading it."""
    makers: dict[str, Callable[[], Any]] = {
        "LoRA": lambda: peft.LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"),
        "IA3": lambda: peft.IA3Config(
            target_modules=["k_proj"], feedforward_modules=[], task_type="CAUSAL_LM"
        ),
    }
    base = hf.LlamaForCausalLM.from_pretrained(causal_folder)
    peft.get_peft_model(base, makers[kind]()).save_pretrained(str(tmp_path))
    made, plain = engine(causal_folder, adapter=str(tmp_path)), engine(causal_folder)
    assert made.info.digest != plain.info.digest
    assert made._loaded is None
    (note,) = made.notes
    assert "changes nothing" in note
    assert str(tmp_path) in note
    texts = [PerplexityRequest("1", "one, two, three")]
    (got,), (expected,) = predicted(made, texts), predicted(plain, texts)
    assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-5)


def test_an_adapter_that_changes_something_has_no_such_note(
    engine: Make, causal_folder: Path, lora: tuple[Path, Any]
) -> None:
    """One matrix B that is not zero is enough."""
    folder, _ = lora
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    for name in [name for name in weights if ".lora_B." in name][1:]:
        weights[name] = torch.zeros_like(weights[name])
    save_file(weights, file, {"format": "pt"})
    made = engine(causal_folder, adapter=str(folder))
    assert made.info.parameters is not None
    assert made.notes == []
