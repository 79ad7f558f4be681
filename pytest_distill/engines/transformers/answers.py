"""What is said of a generated text: its words, why it ended, and how long it is."""

from __future__ import annotations

import math

from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.texts import Text
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Finish, Prediction
from pytest_distill.evals.tasks.generation import GenerationRequest


def prediction(loaded: Loaded, request: GenerationRequest, text: Text) -> Prediction:
    """Return the answer to a request, of a text that is finished.

    Raises
    ------
    ModelError
        When the model's logits were no numbers.
    """
    if any(map(math.isnan, text.log_probabilities)):
        raise ModelError(
            f"{loaded.who}, example '{request.id}': its logits are no numbers (NaN), so that no "
            "token follows from them; use another dtype, or save it again"
        )
    said, finish = _said(loaded, text)
    return Prediction(
        id=request.id,
        text=said,
        loglikelihoods=(math.fsum(text.log_probabilities),),
        tokens=len(text.tokens),
        finish=finish,
    )


def _said(loaded: Loaded, text: Text) -> tuple[str, Finish | None]:
    """Return what was generated up to an end token or a stop string, and why it ended."""
    end = next((at for at, token in enumerate(text.tokens) if token in text.ends), None)
    told: str = loaded.tokenizer.decode(text.tokens[:end], skip_special_tokens=True)
    found = [at for at in map(told.find, text.decoding.stop) if at >= 0]
    if found:
        return told[: min(found)], "stop"
    return told, text.ending(loaded)
