"""Classification: which label fits a text, or a pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Literal

from pytest_distill.errors import ConfigError, EvaluationError, did_you_mean, some_of
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.labels import ACCURACY, MACRO_F1, MATTHEWS
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.requests import ASIDE, Head, Prediction, Request
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.labels import Labels, UnknownLabelError, listed, read_labels
from pytest_distill.evals.tasks.predictions import (
    check_outputs,
    check_probabilities,
    likeliest,
    no_answer,
)
from pytest_distill.evals.tasks.prompts import Prompted


@dataclass(frozen=True, slots=True)
class ClassificationRequest(Request):
    """Ask for the probability of every label.

    Parameters
    ----------
    id : str
        The example's id.
    text, text_pair : str
        What the model reads; `text_pair` is the second segment of a sentence-pair task.
    truncate : {"left", "right"}, optional
        Which end to cut off where the text is longer than the model's context; None: an error.
    labels : tuple of str
        All classes, for models that have no outputs of their own.
    """

    task: ClassVar[str] = "classification"
    heads: ClassVar[tuple[Head, ...]] = (
        Head(
            name="classification",
            words="sequence-classification",
            suffix="ForSequenceClassification",
            auto="ForSequenceClassification",
            adapter="SEQ_CLS",
        ),
    )

    text: str
    text_pair: str | None = None
    truncate: Literal["left", "right"] | None = None
    labels: tuple[str, ...] = field(default=(), hash=False, metadata=ASIDE)


@dataclass(frozen=True)
class Classification(Prompted):
    """Which label fits a text. Gold and predicted labels are compared as text: 1 is ``'1'``.

    Letter by letter, in Unicode's form NFC: case and blanks count, how an accent is encoded not.

    Parameters
    ----------
    input : str or tuple of str
        The field that holds the text, or the two fields of a sentence pair.
    target : str
        The field that holds the gold label.
    labels : mapping or tuple of str, optional
        Gold label -> index of the model's output, every output once; or all classes, some of which
        the gold set may lack; or what a model says -> the gold label that it means. Without it the
        gold labels must be the model's own names of its outputs.
    prompt : str, optional
        A jinja2 template that gives the text, in place of `input`.
    truncate : {"left", "right"}, optional
        Which end of a text longer than the model's context may be cut off.
    """

    name: ClassVar[str] = ClassificationRequest.task
    metrics: ClassVar[tuple[Metric, ...]] = (ACCURACY, MACRO_F1, MATTHEWS)
    confidence: ClassVar[str | None] = "max_probability"
    guess: ClassVar[Literal["label", "choice"] | None] = "label"
    answered_by: ClassVar[tuple[str, ...]] = ("prediction", "probabilities")
    needs: ClassVar[str] = "'prediction' or 'probabilities'"

    labels: Mapping[str, int] | Mapping[str, str] | tuple[str, ...] | None = None
    truncate: Literal["left", "right"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt is not None and not isinstance(self.input, str):
            raise ConfigError(
                "prompt: gives one text, but input names two fields; drop one of them"
            )
        object.__setattr__(self, "labels", self._labels.written)

    def request(self, example: Example) -> ClassificationRequest:
        """Return the text to classify; the gold label is checked as well, before any model runs."""
        self._gold(example)
        if isinstance(self.input, str):
            text, pair = self.prompt_of(example), None
        else:
            text, pair = (fields.text(example, name) for name in self.input)
        return ClassificationRequest(example.id, text, pair, self.truncate)

    def requests(self, gold: GoldSet) -> list[Request]:
        """Return the texts to classify, each with all classes.

        They are those that the eval declares, in its order, or else those of the whole gold set.
        """
        classes = self._labels.in_order or tuple(sorted(set(map(self._gold, gold.whole))))
        return [replace(self.request(example), labels=classes) for example in gold]

    def expected(self, example: Example) -> str:
        """Return the gold label."""
        return self._gold(example)

    def answer(self, example: Example, prediction: Prediction) -> Answer:
        """Return the stated label, else the most probable one.

        Equal ones go to the first in the order of their names: which one a model names first may
        depend on the example.
        """
        gold = self._gold(example)
        predicted, tied = self._predicted(example, prediction, gold)
        return Answer(example, prediction, predicted, (gold,), correct=predicted == gold, tied=tied)

    def answers(self, gold: GoldSet, predictions: Sequence[Prediction]) -> tuple[Answer, ...]:
        """Return all predictions as labels.

        Raises
        ------
        EvaluationError
            Also where a model predicts what is no class: it can never be right.
        """
        counts = Counter(map(self._gold, gold.whole))
        named = gold.class_names.get(self.target, ())
        try:
            found = super().answers(gold, predictions)
        except UnknownLabelError as error:
            known = listed(counts, named)
            raise EvaluationError(f"{error}; the gold labels: {known}") from None
        self._labels.refuse_unknown(found, counts, named)
        return found

    @property
    def outputs(self) -> tuple[str, ...] | None:
        """The class of each output of a model, where the eval numbers them."""
        return self._labels.outputs

    def class_named(self, said: str) -> str:
        """Return the class that a model's name of an output means.

        Where the eval numbers the outputs, its number does too: ``LABEL_1`` or ``1``.
        """
        label, outputs = self._labels.class_of(said), self._labels.outputs
        if outputs is None or label in outputs:
            return label
        number = label.removeprefix("LABEL_")
        index = int(number) if number.isascii() and number.isdigit() else len(outputs)
        return outputs[index] if index < len(outputs) else label

    def label_counts(self, examples: Iterable[Example]) -> Counter[str]:
        """Return how many examples have each label, also 0 where the eval lists a class."""
        counts = Counter(dict.fromkeys(self._labels.classes or (), 0))
        counts.update(map(self._gold, examples))
        return counts

    def distribution(self, example: Example, prediction: Prediction) -> Mapping[str, float] | None:
        """Return label -> probability, where a model gave probabilities."""
        if prediction.probabilities is None:
            return None
        names = self._named_outputs(example, prediction)
        check_probabilities(example, prediction.probabilities, len(names))
        return dict(zip(names, prediction.probabilities, strict=True))

    def _named_outputs(self, example: Example, prediction: Prediction) -> Sequence[str]:
        """Return the class of each of a model's outputs; EvaluationError where it is not known."""
        names = self._output_names(example, prediction)
        if names is None:
            told = (
                "" if self._labels.classes is None else " to label -> output (a list is no order)"
            )
            raise example.answer_error(
                "probabilities, but no names for them; set labels: in the eval"
                + (self._labels.turned or told)
            )
        return names

    def _output_names(self, example: Example, prediction: Prediction) -> Sequence[str] | None:
        """Return the class of each of a model's outputs; None where they have no names."""
        if self._labels.outputs is not None:
            return self._labels.outputs
        if prediction.labels is None:
            return None
        names = tuple(map(self._labels.class_of, prediction.labels))
        if len(set(names)) < len(names):
            raise example.answer_error(
                f"two of the outputs ({some_of(prediction.labels)}) are one "
                "label; correct labels: in the eval, or the names of the outputs"
            )
        return names

    @cached_property
    def _labels(self) -> Labels:
        return read_labels(self.labels)

    def _gold(self, example: Example) -> str:
        gold = composed(fields.label(example, self.target))
        classes = self._labels.classes
        if classes is not None and gold not in classes:
            raise example.gold_error(
                f"the label '{gold}' is not in labels; {did_you_mean(gold, classes)}"
                + self._numbered(gold)
            )
        return gold

    def _numbered(self, gold: str) -> str:
        """Return what to say where the gold labels are the numbers of the outputs themselves."""
        numbers = [str(number) for number in range(len(self.outputs or ()))]
        if gold not in numbers:
            return ""
        own = ", ".join(f"'{number}': {number}" for number in numbers)
        return f" (where gold labels are the numbers of a model's outputs: 'labels: {{{own}}}')"

    def _predicted(self, example: Example, prediction: Prediction, gold: str) -> tuple[str, bool]:
        """Return the predicted label, and whether others are as probable."""
        probabilities = prediction.probabilities
        stated = prediction.prediction
        if stated is not None:
            label = self._stated(example, stated)
            return label, self._is_tied(example, prediction, label)
        if probabilities is None:
            raise no_answer(example, self.needs)
        names = self._named_outputs(example, prediction)
        if gold not in names:
            raise UnknownLabelError(
                f"{example.place}: the gold label '{gold}' is none of the model's labels "
                f"({some_of(names)}); set labels: in the eval, to map the gold "
                f"labels to the model's outputs{self._labels.turned}"
            )
        check_probabilities(example, probabilities, len(names))
        best = [names[index] for index in likeliest(probabilities)]
        return min(best), len(best) > 1

    def _stated(self, example: Example, said: str) -> str:
        label, classes = self._labels.class_of(said), self._labels.classes
        if classes is not None and label not in classes:
            raise example.answer_error(
                f"the predicted label '{label}' is not in labels; {did_you_mean(label, classes)}"
            )
        return label

    def _is_tied(self, example: Example, prediction: Prediction, label: str) -> bool:
        """Return whether other labels are as probable as the one that is stated.

        Raises
        ------
        EvaluationError
            Where another one is more probable. That is all that is asked of the numbers here: they
            may be rounded, or scores of labels that do not exclude each other.
        """
        probabilities = prediction.probabilities
        if probabilities is None:
            return False
        names = self._output_names(example, prediction)
        if names is None:  # numbers without names contradict nothing
            return bool(probabilities) and len(likeliest(probabilities)) > 1
        check_outputs(example, probabilities, len(names))
        best = [names[index] for index in likeliest(probabilities)]
        if label not in best:
            raise example.answer_error(
                f"'prediction' is '{label}', but 'probabilities' are greatest for "
                f"'{min(best)}' ({max(probabilities):g}): record what the model gave, or one "
                "of them alone"
            )
        return len(best) > 1
