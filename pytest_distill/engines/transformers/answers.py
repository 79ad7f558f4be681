"""What is said of a generated text: its words, why it ended, and how long it is."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from pytest_distill.engines.transformers.reader import Reader
from pytest_distill.engines.transformers.texts import Text
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Finish, Prediction
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.thinking import answer_in
from pytest_distill.evals.tasks.tool_calls import MARKERS, calls_of

_BY_ITSELF = ("end", "stop")


def prediction(reader: Reader, request: GenerationRequest, prompt: str, text: Text) -> Prediction:
    """Return the answer to a request.

    Parameters
    ----------
    prompt : str
        What was asked, as the chat template writes it.
    text : Text
        What was generated, finished.

    Raises
    ------
    ModelError
        When the model's logits were no numbers.
    """
    if any(map(math.isnan, text.log_probabilities)):
        raise ModelError(
            f"{reader.who}, example '{request.id}': its logits are no numbers (NaN), so that no "
            "token follows from them; use another dtype, or save it again"
        )
    kept = _kept(request)
    said, finish = _said(reader, text, kept)
    if request.thinking is not None and prompt.rstrip().endswith(request.thinking[0].rstrip()):
        said = request.thinking[0] + said
    return Prediction(
        id=request.id,
        text=said,
        loglikelihoods=(math.fsum(text.log_probabilities),),
        tokens=len(text.tokens),
        finish="tool_call" if finish in _BY_ITSELF and _calls(request, said) else finish,
        thinking_tokens=_thinking_tokens(reader, text, kept, request.thinking, said),
    )


def _said(reader: Reader, text: Text, kept: Sequence[str]) -> tuple[str, Finish | None]:
    """Return what was generated up to an end token or a stop string, and why it ended."""
    end = next((at for at, token in enumerate(text.tokens) if token in text.ends), None)
    told = _decoded(reader, text.tokens[:end], kept)
    found = [at for at in map(told.find, text.decoding.stop) if at >= 0]
    if found:
        return told[: min(found)], "stop"
    return told, text.ending(reader)


def _kept(request: GenerationRequest) -> tuple[str, ...]:
    """Return the markers of which an answer is read, so that they stay in its text."""
    tools = request.conversation is not None and request.conversation.tools
    return (*(request.thinking or ()), *(MARKERS if tools else ()))


def _decoded(reader: Reader, tokens: Sequence[int], kept: Sequence[str]) -> str:
    """Return tokens as text without special tokens, but for those that make up a marker."""
    special = reader.special_tokens if kept else {}
    staying = {at for at in special.keys() & set(tokens) if _is_of(special[at], kept)}
    if not staying:
        return str(reader.tokenizer.decode(tokens, skip_special_tokens=True))
    shown = [token for token in tokens if token not in special or token in staying]
    return str(reader.tokenizer.decode(shown, skip_special_tokens=False))


def _is_of(name: str, kept: Sequence[str]) -> bool:
    return bool(name) and any(name in marker for marker in kept)


def _calls(request: GenerationRequest, said: str) -> bool:
    """Return whether a text calls a tool that it was told of, after its thinking."""
    if request.conversation is None or not request.conversation.tools:
        return False
    return bool(calls_of(answer_in(said, request.thinking) if request.thinking else said))


def _thinking_tokens(
    reader: Reader, text: Text, kept: Sequence[str], thinking: tuple[str, str] | None, said: str
) -> int | None:
    """Return how many tokens were generated until the thinking's end stood there.

    All of them where it began and did not end; see `answer_in`.
    """
    if thinking is None:
        return None
    start, end = thinking
    if end not in said:
        return len(text.tokens) if start in said else 0
    return bisect_left(
        range(len(text.tokens)),
        True,
        key=lambda count: end in _decoded(reader, text.tokens[:count], kept),
    )
