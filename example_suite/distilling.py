"""The training itself: a fine-tuned teacher, and one small student trained in two ways."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from _artifacts import log_style
from reviews import Review
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # would hide ours
logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # a fresh classifier is meant

LABELS = ["negative", "positive"]
UNLABELLED = -100  # what cross_entropy ignores

Loss = Callable[[Tensor, list[int]], Tensor]
"""From the logits (batch x labels) and the batch's places among the texts to a number."""


def load_model(folder: Path) -> PreTrainedModel:
    """Load a classifier that was saved earlier."""
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True
    )
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer that all three models share."""
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def pretrained_classifier(encoder: Path, seed: int) -> PreTrainedModel:
    """Load the pretrained encoder with a fresh classifier on top."""
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
        encoder, local_files_only=True, **_label_names()
    )
    return model


def small_student(encoder: Path, *, hidden_size: int, layers: int, seed: int) -> PreTrainedModel:
    """Build a small BERT with the encoder's vocabulary.

    Its word embeddings start as the principal components of the pretrained ones: the words' meaning
    is most of what sentiment needs, and 3,000 sentences are too few to learn it from. Everything
    else is random, and the same for the same seed.
    """
    words = AutoModel.from_pretrained(encoder, local_files_only=True).get_input_embeddings().weight
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 32,
        intermediate_size=4 * hidden_size,
        **_label_names(),
    )
    student = BertForSequenceClassification(config)
    centred = (words - words.mean(dim=0)).detach()
    _, directions = torch.linalg.eigh(centred.T @ centred)  # ascending: the last hold the most
    components = centred @ directions[:, -hidden_size:]
    start = 0.05 * components / components.std()
    student.set_input_embeddings(torch.nn.Embedding(len(words), hidden_size, _weight=start))
    return student


def tokenize(
    tokenizer: PreTrainedTokenizerBase, reviews: list[Review], longest: int
) -> list[Tensor]:
    """Turn each sentence into token ids, cut at `longest`."""
    texts = [review.text for review in reviews]
    encoded = tokenizer(texts, truncation=True, max_length=longest)["input_ids"]
    return [torch.tensor(ids) for ids in encoded]


def targets(reviews: list[Review], unlabelled: int = 0) -> Tensor:
    """Give the labels as indices, then `UNLABELLED` for texts that have none."""
    labels = [LABELS.index(review.label) for review in reviews]
    return torch.tensor(labels + [UNLABELLED] * unlabelled)


def sft_loss(labels: Tensor) -> Loss:
    """Plain fine-tuning: cross-entropy against the labels."""
    return lambda logits, batch: functional.cross_entropy(logits, labels[batch])


def kd_loss(labels: Tensor, answers: Tensor, *, alpha: float, temperature: float) -> Loss:
    """Knowledge distillation: `alpha*CE + (1-alpha)*T^2*KL(teacher_T || student_T)`.

    A text without a label adds nothing to CE. `T^2` keeps the gradient of the second term
    at the size of the first one's (Hinton et al. 2015, section 2).

    Parameters
    ----------
    labels : Tensor, (texts,)
        Indices, or `UNLABELLED`.
    answers : Tensor, (texts, labels)
        The teacher's logits.
    """

    def loss(logits: Tensor, batch: list[int]) -> Tensor:
        hard = functional.cross_entropy(logits, labels[batch], reduction="sum") / len(batch)
        soft = functional.kl_div(
            functional.log_softmax(logits / temperature, dim=-1),
            functional.softmax(answers[batch] / temperature, dim=-1),
            reduction="batchmean",
        )
        return alpha * hard + (1 - alpha) * temperature**2 * soft

    return loss


def train(
    model: PreTrainedModel,
    texts: list[Tensor],
    loss: Loss,
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    title: str,
) -> None:
    """Take exactly `steps` optimiser steps, with a short warm-up and a linear decay to zero."""
    torch.manual_seed(seed)  # dropout
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.01, fused=True)
    warm_up = 0.06 * steps
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, (steps - step) / steps)
    )
    model.train()
    order = _endless_batches(texts, batch_size, random.Random(seed))
    for _, batch in zip(_progress(steps, title), order, strict=False):
        loss(_logits(model, texts, batch), batch).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    model.train(mode=False)


@torch.no_grad()
def answers(model: PreTrainedModel, texts: list[Tensor], title: str) -> Tensor:
    """Give the model's logits for every text, texts x labels."""
    model.train(mode=False)
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    batches = [by_length[start : start + 64] for start in range(0, len(by_length), 64)]
    logits = torch.empty(len(texts), len(LABELS))
    for _, batch in zip(_progress(len(batches), title), batches, strict=True):
        logits[batch] = _logits(model, texts, batch)
    return logits


def _endless_batches(
    texts: list[Tensor], batch_size: int, rng: random.Random
) -> Iterator[list[int]]:
    """Shuffle anew each epoch, yet keep texts of like length together: less padding to compute."""
    places = list(range(len(texts)))
    while True:
        rng.shuffle(places)
        batches: list[list[int]] = []
        stretch = 20 * batch_size
        for start in range(0, len(places), stretch):
            near = sorted(places[start : start + stretch], key=lambda place: len(texts[place]))
            batches += [near[at : at + batch_size] for at in range(0, len(near), batch_size)]
        rng.shuffle(batches)
        yield from batches


def _logits(model: PreTrainedModel, texts: list[Tensor], batch: list[int]) -> Tensor:
    chosen = [texts[place] for place in batch]
    ids = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=0)
    lengths = torch.tensor([len(text) for text in chosen])
    mask = torch.arange(ids.shape[1])[None, :] < lengths[:, None]
    logits: Tensor = model(input_ids=ids, attention_mask=mask.long()).logits
    return logits


def _label_names() -> dict[str, Any]:
    return {
        "id2label": dict(enumerate(LABELS)),
        "label2id": {name: index for index, name in enumerate(LABELS)},
    }


def _progress(total: int, title: str) -> Iterator[int]:
    yield from tqdm(range(total), title, **log_style())
