"""Perplexity: how likely a model finds a plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from pytest_distill._util.strict import PositiveCount
from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.perplexities import BITS_PER_BYTE, PERPLEXITY, WORD_PERPLEXITY
from pytest_distill.evals.requests import CAUSAL, GoldText, Head, Prediction, Request
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.base import Task
from pytest_distill.evals.tasks.bounds import refuse_out_of_bounds
from pytest_distill.evals.tasks.predictions import check_loglikelihoods, no_answer


@dataclass(frozen=True, slots=True)
class PerplexityRequest(Request):
    """Ask for the log-likelihood of a text and the number of tokens that it was taken over.

    Texts longer than the model's context (or than `window`) are scored with a sliding window that
    moves `stride` tokens a step; every token is scored once. With `share_cache` a window that has
    moved reads its new tokens alone, after what the model kept of the others.
    """

    task: ClassVar[str] = "perplexity"
    heads: ClassVar[tuple[Head, ...]] = (CAUSAL,)

    text: str
    window: int | None = None
    stride: int | None = None
    share_cache: bool = False


@dataclass(frozen=True)
class Perplexity(Task):
    """How likely a model finds a plain text; there is no target.

    Parameters
    ----------
    input : str
        The field that holds the text.
    window : int, optional
        Most tokens that are read at once; the model's context where it is not given.
    stride : int, optional
        By how many tokens the window moves.
    share_cache : bool
        Whether a window that has moved goes on with what the model kept of the last one; quicker,
        and a little different.
    """

    name: ClassVar[str] = PerplexityRequest.task
    metrics: ClassVar[tuple[Metric, ...]] = (PERPLEXITY, WORD_PERPLEXITY, BITS_PER_BYTE)
    only_rates: ClassVar[bool] = True
    by_token: ClassVar[bool] = True
    answered_by: ClassVar[tuple[str, ...]] = ("loglikelihoods",)
    needs: ClassVar[str] = "'loglikelihoods' (and 'tokens' for the metric perplexity)"

    input: str = "input"
    window: Annotated[int, Field(ge=2)] | None = None
    stride: PositiveCount | None = None
    share_cache: bool = False

    def __post_init__(self) -> None:
        refuse_out_of_bounds(self)
        if self.window is not None and self.stride is not None and self.stride > self.window:
            raise ConfigError(
                f"stride: {self.stride} would skip tokens of a window of {self.window}"
            )
        if self.share_cache and (self.window is None or self.stride in (None, self.window)):
            raise ConfigError(
                "share_cache: windows share what they have in common, for all models alike: set "
                "'window', and a 'stride' below it"
            )

    def request(self, example: Example) -> PerplexityRequest:
        """Return the text to score."""
        return PerplexityRequest(
            example.id, self._text(example), self.window, self.stride, self.share_cache
        )

    def gold_text(self, example: Example) -> GoldText:
        """Return the text, on whose tokens two models can be compared."""
        return GoldText(self.request(example))

    def answer(self, example: Example, prediction: Prediction) -> Answer:
        """Return the text beside its log-likelihood; nothing is predicted."""
        text = self._text(example)
        loglikelihoods, tokens = prediction.loglikelihoods, prediction.tokens
        if loglikelihoods is None:
            raise no_answer(example, self.needs)
        if len(loglikelihoods) != 1:
            raise example.answer_error(f"{len(loglikelihoods)} log-likelihoods for one text")
        check_loglikelihoods(example, loglikelihoods)
        if tokens is not None and tokens < 1:
            raise example.answer_error(f"'tokens' must be at least 1, not {tokens}")
        return Answer(example, prediction, "", (text,))

    def _text(self, example: Example) -> str:
        text = fields.text(example, self.input)
        if not text:
            raise example.gold_error(f"'{self.input}' is empty")
        return text
