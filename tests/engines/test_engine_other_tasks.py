"""Models that do what no task is here: refused with the page that says how they are judged."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

from .tiny import SMALL, Make, hf, predicted, saved

PAGE = r"any other task is judged by its scores: docs/other-tasks\.md"
ASKED = (ClassificationRequest("1", "good"), GenerationRequest("1", "good"))

TINY = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
PICTURE = {**TINY, "image_size": 32, "patch_size": 16}
SOUND = {
    **TINY,
    "vocab_size": 40,
    "num_labels": 2,
    "conv_dim": (16,),
    "conv_stride": (5,),
    "conv_kernel": (10,),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


def bert(**keys: Any) -> Any:
    """Return the config of a tiny BERT."""
    return hf.BertConfig(vocab_size=400, **SMALL, **keys)


def whisper() -> Any:
    """Return what hears and writes."""
    config = hf.WhisperConfig(
        vocab_size=400,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        max_source_positions=50,
        max_target_positions=50,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        decoder_start_token_id=0,
    )
    return hf.WhisperForConditionalGeneration(config)


def picture_to_text() -> Any:
    """Return what sees and writes."""
    text = bert(is_decoder=True, add_cross_attention=True)
    both = hf.VisionEncoderDecoderConfig.from_encoder_decoder_configs
    return hf.VisionEncoderDecoderModel(both(hf.ViTConfig(**PICTURE), text))


def picture_and_text() -> Any:
    """Return what reads text, and must see a picture beside it."""
    text = {**TINY, "encoder_hidden_size": 32, "vocab_size": 400}
    config = hf.BlipConfig(text_config=text, vision_config=PICTURE, projection_dim=16)
    return hf.BlipForConditionalGeneration(config)


NEITHER = {
    "token classification": lambda: hf.BertForTokenClassification(bert(num_labels=5)),
    "an encoder without a head": lambda: hf.BertModel(bert()),
    "question answering by span": lambda: hf.BertForQuestionAnswering(bert()),
    "masked language model": lambda: hf.BertForMaskedLM(bert()),
    "image classification": lambda: hf.ViTForImageClassification(hf.ViTConfig(**PICTURE)),
    "speech recognition by CTC": lambda: hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**SOUND)),
}
NOT_TEXT = {
    "input_features": whisper,
    "input_values": lambda: hf.Wav2Vec2ForSequenceClassification(hf.Wav2Vec2Config(**SOUND)),
    "pixel_values": picture_to_text,
    "pixel_values and text": picture_and_text,
}


@pytest.mark.parametrize("request_", ASKED, ids=lambda asked: str(asked.task))
@pytest.mark.parametrize("head", NEITHER)
def test_a_head_that_no_task_has_is_refused_with_the_page(
    engine: Make, tokenizer: Any, tmp_path: Path, head: str, request_: Request
) -> None:
    """The error names the class, and where it stands how such a model is judged."""
    model = NEITHER[head]()
    made = engine(saved(model, tokenizer, tmp_path))
    says = f"is a {type(model).__name__}, which neither classifies texts nor generates .*{PAGE}"
    with pytest.raises(ModelError, match=says):
        list(made.predict([request_]))


@pytest.mark.parametrize("request_", ASKED, ids=lambda asked: str(asked.task))
@pytest.mark.parametrize("reads", NOT_TEXT)
def test_a_model_that_reads_no_text_is_refused_before_it_is_loaded(
    engine: Make, tokenizer: Any, tmp_path: Path, reads: str, request_: Request
) -> None:
    """Speech and pictures end in ForConditionalGeneration too; what they read is said."""
    model = NOT_TEXT[reads]()
    made = engine(saved(model, tokenizer, tmp_path))
    says = f"is a {type(model).__name__}, which reads {reads.split()[0]}, not text alone .*{PAGE}"
    with pytest.raises(ModelError, match=says):
        list(made.predict([request_]))
    assert made._loaded is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"num_labels": 1}, "has one output, a regression or a reranker"),
        ({"num_labels": 3, "problem_type": "regression"}, "has outputs that are numbers"),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, "don't exclude each"),
    ],
    ids=["one output", "regression", "multi-label"],
)
def test_a_classifier_that_chooses_no_single_label_is_refused_with_the_page(
    engine: Make, tokenizer: Any, tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    """Regression, reranking and several labels at once have no probabilities that sum to one."""
    made = engine(saved(hf.BertForSequenceClassification(bert(**keys)), tokenizer, tmp_path))
    with pytest.raises(ModelError, match=f"{message}.*{PAGE}"):
        list(made.predict([ClassificationRequest("1", "good")]))


def test_a_model_of_text_and_pictures_that_answers_text_alone_is_none_of_them(
    engine: Make, tokenizer: Any, tmp_path: Path
) -> None:
    """What can be asked by text alone is asked."""
    config = hf.LlavaConfig(
        text_config=hf.LlamaConfig(vocab_size=len(tokenizer), **SMALL),
        vision_config=hf.CLIPVisionConfig(**PICTURE),
        image_token_index=3,
    )
    made = engine(saved(hf.LlavaForConditionalGeneration(config), tokenizer, tmp_path))
    (prediction,) = predicted(made, [GenerationRequest("1", "good", decoding=Decoding(4))])
    assert prediction.text is not None


@pytest.mark.filterwarnings("ignore")  # of peft, when the test saves an adapter
@pytest.mark.parametrize("task", ["TOKEN_CLS", "QUESTION_ANS"])
def test_an_adapter_for_another_task_is_refused_with_the_page(
    engine: Make, causal_folder: Path, tmp_path: Path, task: str
) -> None:
    """Over a base that could be asked, it is not the adapter's weights that are told not to fit."""
    peft: Any = importlib.import_module("peft")
    auto = {"TOKEN_CLS": "TokenClassification", "QUESTION_ANS": "QuestionAnswering"}[task]
    base = getattr(hf, f"AutoModelFor{auto}").from_pretrained(causal_folder)
    adapter = peft.LoraConfig(task_type=task, target_modules=["q_proj"])
    peft.get_peft_model(base, adapter).save_pretrained(tmp_path)
    made = engine(causal_folder, adapter=str(tmp_path))
    with pytest.raises(ModelError, match=f"its adapter was trained for .* \\({task}\\).*{PAGE}"):
        _ = made.info
