"""Multiple choice: which continuation of the prompt is the most likely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import ClassVar, Literal

from pytest_distill.errors import did_you_mean
from pytest_distill.evals.cells import MOST_DIGITS
from pytest_distill.evals.distributions import by_choice
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.labels import ACCURACY, ACCURACY_NORM
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.requests import CAUSAL, LATER, Head, Prediction, Request
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.predictions import check_loglikelihoods, likeliest, no_answer
from pytest_distill.evals.tasks.prompts import FewShot


@dataclass(frozen=True, slots=True)
class ChoiceRequest(Request):
    """Ask for the log-likelihood of each continuation after the context.

    Parameters
    ----------
    id : str
        The example's id.
    context : str
        The rendered prompt; may be empty.
    continuations : tuple of str
        What could follow, each with its leading delimiter (``" Paris"``).
    truncate : {"left"}, optional
        Whether the start of the context may be cut off. None: a too long prompt is an error.
    contexts : tuple of str
        The context of each continuation where they have not the same one; `context` is empty then.
    """

    task: ClassVar[str] = "multiple_choice"
    heads: ClassVar[tuple[Head, ...]] = (CAUSAL,)

    context: str
    continuations: tuple[str, ...]
    truncate: Literal["left"] | None = None
    contexts: tuple[str, ...] = field(default=(), metadata=LATER)

    @property
    def asked(self) -> list[tuple[str, tuple[str, ...]]]:
        """Each context and the continuations after it, in the order of the continuations."""
        if not self.contexts:
            return [(self.context, self.continuations)]
        pairs = zip(self.contexts, self.continuations, strict=True)
        return [
            (context, tuple(continuation for _, continuation in same))
            for context, same in groupby(pairs, key=lambda pair: pair[0])
        ]


@dataclass(frozen=True)
class MultipleChoice(FewShot):
    """Which of several continuations is the most likely, asked as lm-evaluation-harness asks it.

    The context is each solved example (prompt, delimiter, right choice, blank line), then the
    prompt; each continuation is the delimiter and a choice (lm-evaluation-harness 0.4.13,
    ``lm_eval/api/task.py``, ``fewshot_context`` and ``construct_requests``).

    Parameters
    ----------
    input : str
        The field that is the prompt where there is no template.
    target : str
        The field that holds the right choice: its index from 0, or its text.
    choices : str
        The field that holds the choices, a list of texts.
    prompt : str, optional
        A jinja2 template over the example's fields.
    shots : tuple of Example
        Solved examples that stand before the prompt.
    delimiter : str
        What stands between a prompt and a choice.
    truncate : {"left"}, optional
        Whether the start of a context longer than the model's may be cut off.
    """

    name: ClassVar[str] = ChoiceRequest.task
    metrics: ClassVar[tuple[Metric, ...]] = (ACCURACY, ACCURACY_NORM)
    confidence: ClassVar[str | None] = "max_probability"
    guess: ClassVar[Literal["label", "choice"] | None] = "choice"
    answered_by: ClassVar[tuple[str, ...]] = ("loglikelihoods", "prediction")
    needs: ClassVar[str] = "'loglikelihoods' or 'prediction'"

    choices: str = "choices"
    delimiter: str = " "
    truncate: Literal["left"] | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Also the choices."""
        return (*super().reads, self.choices)

    def request(self, example: Example) -> ChoiceRequest:
        """Return context and continuations; the target is checked too, before any model runs."""
        choices = self._choices(example)
        self._target_index(example, choices)
        context = self.solved + self.prompt_of(example)
        continuations = tuple(self.delimiter + choice for choice in choices)
        return ChoiceRequest(example.id, context, continuations, self.truncate)

    def expected(self, example: Example) -> int:
        """Return the index of the right choice."""
        return self._target_index(example, self._choices(example))

    def answer(self, example: Example, prediction: Prediction) -> Answer:
        """Return the stated choice, else the most likely one (the first of equal ones)."""
        choices = self._choices(example)
        target = self._target_index(example, choices)
        predicted, tied = _predicted_index(example, prediction, choices)
        return Answer(
            example,
            prediction,
            choices[predicted],
            (choices[target],),
            choices=choices,
            target_index=target,
            correct=predicted == target,
            tied=tied,
        )

    def distribution(
        self,
        example: Example,  # noqa: ARG002
        prediction: Prediction,
    ) -> Mapping[str, float] | None:
        """Return choice -> probability, of the choices' likelihoods alone."""
        return by_choice(prediction.loglikelihoods)

    def chance(self, example: Example) -> Fraction:
        """Return 1 / number of choices."""
        return Fraction(1, len(self._choices(example)))

    def solution(self, shot: Example) -> str:
        """Return the delimiter and the right choice."""
        choices = self._choices(shot)
        return self.delimiter + choices[self._target_index(shot, choices)]

    def _choices(self, example: Example) -> tuple[str, ...]:
        choices = fields.texts(example, self.choices)
        if len(choices) < 2:
            raise example.gold_error(f"'{self.choices}' must hold two choices or more")
        if "" in choices:
            raise example.gold_error(f"'{self.choices}' holds an empty choice")
        return choices

    def _target_index(self, example: Example, choices: Sequence[str]) -> int:
        target = fields.field(example, self.target)
        index = _index_in(target) if isinstance(target, str) else target
        if isinstance(target, str) and (index is None or composed(target) in _composed(choices)):
            return self._index_of(example, target, choices)
        if isinstance(index, bool) or not isinstance(index, int):
            raise fields.wrong_type(example, self.target, "a choice's index or text", target)
        if not 0 <= index < len(choices):
            raise example.gold_error(
                f"'{self.target}' is {index}, but the choices are 0 to {len(choices) - 1}"
            )
        return index

    def _index_of(self, example: Example, target: str, choices: Sequence[str]) -> int:
        target, choices = composed(target), _composed(choices)
        if target not in choices:
            raise example.gold_error(
                f"'{self.target}' is '{target}', which is none of the choices; "
                f"{did_you_mean(target, choices)}"
            )
        if choices.count(target) > 1:
            raise example.gold_error(
                f"'{self.target}' is '{target}', and several choices read so; give its index"
            )
        return choices.index(target)


def _predicted_index(
    example: Example, prediction: Prediction, choices: Sequence[str]
) -> tuple[int, bool]:
    """Return the index of the predicted choice, and whether others are as likely."""
    best = _likeliest(example, prediction, choices)
    if prediction.prediction is None:
        if not best:
            raise no_answer(example, MultipleChoice.needs)
        return best[0], len(best) > 1
    stated = _stated_index(example, prediction.prediction, choices)
    if best and stated not in best:
        raise example.answer_error(
            f"'prediction' is choice {stated} ('{choices[stated]}'), but "
            f"'loglikelihoods' are greatest for choice {best[0]} ('{choices[best[0]]}'): "
            "record what the model gave, or one of them alone (accuracy_norm divides by the "
            "choices' lengths itself)"
        )
    return stated, len(best) > 1


def _likeliest(example: Example, prediction: Prediction, choices: Sequence[str]) -> list[int]:
    """Return the indices of the most likely choices; none where no log-likelihoods are known."""
    loglikelihoods = prediction.loglikelihoods
    if loglikelihoods is None:
        return []
    if len(loglikelihoods) != len(choices):
        raise example.answer_error(
            f"{len(loglikelihoods)} log-likelihoods for {len(choices)} choices"
        )
    check_loglikelihoods(example, loglikelihoods)
    return likeliest(loglikelihoods)


def _stated_index(example: Example, stated: str, choices: Sequence[str]) -> int:
    """Return the index of a choice given by its text or, where no choice reads so, its index."""
    stated, choices = composed(stated), _composed(choices)
    if choices.count(stated) == 1:
        return choices.index(stated)
    if stated in choices:
        raise example.answer_error(
            f"the prediction '{stated}' is the text of several choices; record the index"
        )
    index = _index_in(stated)
    if index is not None and index < len(choices):
        return index
    raise example.answer_error(
        f"the prediction '{stated}' is no choice's text or index; {did_you_mean(stated, choices)}"
    )


def _index_in(text: str) -> int | None:
    """Return the index that a text is, as in a table; None where it is none."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def _composed(choices: Sequence[str]) -> list[str]:
    return [*map(composed, choices)]
