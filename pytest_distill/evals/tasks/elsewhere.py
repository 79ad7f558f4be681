"""What users ask for beside the tasks that are here: what to say of a task that nobody knows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from pytest_distill.errors import did_you_mean

OTHER_TASKS = 'any other task is judged by its scores: docs/other-tasks.md, "Your task is not here"'
"""Where it stands how a task that is not here is judged: what every error about one ends in."""

HERE: Mapping[str, str] = {
    "chat": "generation",
    "language_modeling": "perplexity",
    "question_answering": "generation",
    "sentiment_analysis": "classification",
    "summarisation": "generation",
    "summarization": "generation",
    "text2text_generation": "generation",
    "text_classification": "classification",
    "text_generation": "generation",
    "tool_calling": "generation",
    "translation": "generation",
}
"""What others call the tasks that are here."""

ELSEWHERE = (
    *("regression", "multi_label", "multilabel", "similarity", "sts", "pair_scoring"),
    *("token", "ner", "entity", "entities", "tagging", "pos", "chunking", "span"),
    *("embedding", "embeddings", "feature_extraction", "retrieval", "search", "clustering"),
    *("rerank", "reranking", "reranker", "ranking", "rank"),
    *("asr", "speech", "audio", "transcription", "automatic_speech_recognition"),
    *("image", "vision", "visual", "video", "object_detection", "segmentation", "ocr"),
    *("fill_mask", "masked_lm", "tabular", "time_series", "forecasting"),
)
"""Words, one of which the name of a task has that is not here: no near name is meant then."""


def unknown_task(name: str, known: Collection[str]) -> str:
    """Return what is wrong with a task that nobody knows, what was meant, and what to do.

    Parameters
    ----------
    name : str
        What stands as ``task:``.
    known : collection of str
        The tasks that there are.
    """
    plain = re.sub(r"[\W_]+", "_", name.casefold()).strip("_")
    if plain in HERE:
        meant = did_you_mean(HERE[plain], known)
    elif any(f"_{word}_" in f"_{plain}_" for word in ELSEWHERE):
        meant = f"known: {', '.join(known)}"
    else:
        meant = did_you_mean(name, known)
    return f"unknown task '{name}'; {meant} ({OTHER_TASKS})"
