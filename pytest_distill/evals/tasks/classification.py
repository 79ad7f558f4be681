"""Classification: which label fits a text, or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError, did_you_mean
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import ClassificationRequest, Prediction
from pytest_distill.evals.tasks import fields, prompts
from pytest_distill.evals.tasks.base import dataclass_settings
from pytest_distill.evals.tasks.predictions import check_probabilities, no_answer


@dataclass(frozen=True)
class Classification:
    """Which label fits a text. Gold and predicted labels are compared as text: 1 is ``'1'``.

    Parameters
    ----------
    input : str or tuple of str
        The field that holds the text, or the two fields of a sentence pair.
    target : str
        The field that holds the gold label.
    labels : mapping of str to int, optional
        Gold label -> index of the model's output; every output once. Without it the gold labels
        must be the model's own names of its outputs.
    prompt : str, optional
        A jinja2 template that gives the text, in place of `input`.
    truncate : {"left", "right"}, optional
        Which end of a text longer than the model's context may be cut off.
    """

    name: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "matthews")

    input: str | tuple[str, str] = "input"
    target: str = "target"
    labels: Mapping[str, int] | None = None
    prompt: str | None = None
    truncate: Literal["left", "right"] | None = None

    def __post_init__(self) -> None:
        prompts.check_prompt(self.prompt)
        if self.prompt is not None and not isinstance(self.input, str):
            raise ConfigError(
                "prompt: gives one text, but input names two fields; drop one of them"
            )
        if self.labels is not None:
            # In yaml an unquoted 1 or true is no text.
            object.__setattr__(self, "labels", {str(k): v for k, v in self.labels.items()})
            indices = sorted(self.labels.values())
            if not indices or indices != list(range(len(indices))):
                raise ConfigError(
                    "labels: must give each output of the model one label, counted from 0; "
                    f"got the outputs {indices}"
                )

    def request(self, example: Example) -> ClassificationRequest:
        """Return the text to classify; the gold label is checked as well, before any model runs."""
        self._gold(example)
        if isinstance(self.input, str):
            text, pair = prompts.render(self.prompt, example, input=self.input), None
        else:
            text, pair = (fields.text(example, name) for name in self.input)
        return ClassificationRequest(example.id, text, pair, self.truncate)

    def answer(self, example: Example, prediction: Prediction) -> Answer:
        """Return the stated label, else the most probable one (the first of equal ones)."""
        gold = self._gold(example)
        predicted = self._predicted(example, prediction, gold)
        return Answer(example, prediction, predicted, (gold,), correct=predicted == gold)

    def settings(self) -> Mapping[str, Any]:
        """Return the fields of this task."""
        return dataclass_settings(self)

    def _gold(self, example: Example) -> str:
        gold = fields.label(example, self.target)
        if self.labels is not None and gold not in self.labels:
            raise GoldSetError(
                f"{example.place}: the label '{gold}' is not in labels; "
                f"{did_you_mean(gold, self.labels)}"
            )
        return gold

    def _predicted(self, example: Example, prediction: Prediction, gold: str) -> str:
        if prediction.prediction is not None:
            return self._stated(example, prediction.prediction)
        if prediction.probabilities is None:
            raise no_answer(example, "'prediction' or 'probabilities'")
        names = self._output_names(example, prediction, gold)
        check_probabilities(example, prediction.probabilities, len(names))
        most_probable = max(range(len(names)), key=prediction.probabilities.__getitem__)
        return names[most_probable]

    def _stated(self, example: Example, label: str) -> str:
        if self.labels is not None and label not in self.labels:
            raise EvaluationError(
                f"{example.place}: the predicted label '{label}' is not in labels; "
                f"{did_you_mean(label, self.labels)}"
            )
        return label

    def _output_names(self, example: Example, prediction: Prediction, gold: str) -> Sequence[str]:
        if self.labels is not None:
            return sorted(self.labels, key=self.labels.__getitem__)
        if prediction.labels is None:
            raise EvaluationError(
                f"{example.place}: probabilities, but no names for them; set labels: in the eval"
            )
        if gold not in prediction.labels:
            raise EvaluationError(
                f"{example.place}: the gold label '{gold}' is none of the model's labels "
                f"({', '.join(prediction.labels)}); set labels: in the eval, to map the gold "
                "labels to the model's outputs"
            )
        return prediction.labels
