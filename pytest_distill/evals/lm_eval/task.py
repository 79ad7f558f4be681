"""A task of lm-evaluation-harness as a task of ours: ``task: lm_eval:arc_easy``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.lm_eval.declared import DeclaredTask, declared
from pytest_distill.evals.lm_eval.documents import Documents, read_documents
from pytest_distill.evals.lm_eval.metrics import metric_of
from pytest_distill.evals.lm_eval.scoring import scored
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.base import Task
from pytest_distill.evals.tasks.generation import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.evals.tasks.predictions import likeliest
from pytest_distill.evals.tasks.repeats import seed_of

FEWSHOT_SEED = 1234
"""What lm-evaluation-harness draws few-shot examples by where nothing else is said."""

_MOST_TOKENS = 256
"""Of an answer whose task states no ``max_gen_toks``: of lm-evaluation-harness's models."""


@dataclass(frozen=True)
class LmEval(Task):
    """A task of lm-evaluation-harness: its prompts, filters and scores.

    Parameters
    ----------
    of : str
        Its name there.
    num_fewshot : int, optional
        How many solved examples stand before a prompt; as the task says by default.
    fewshot_seed : int
        What they are drawn by.
    data : mapping
        Split -> the file that takes the place of the task's data set.
    override : mapping
        What the task's file is to say otherwise.
    """

    name: ClassVar[str] = "lm_eval"
    metrics: ClassVar[tuple[Metric, ...]] = ()

    input: str | tuple[str, str] = ()  # type: ignore[assignment]  # the documents' own fields
    of: str = ""
    num_fewshot: int | None = None
    fewshot_seed: int = FEWSHOT_SEED
    data: Mapping[str, Path] = field(default_factory=dict)
    override: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def declared(self) -> DeclaredTask:
        """What the task's file says; no document is read."""
        return declared(self.of)

    @cached_property
    def suited(self) -> tuple[Metric, ...]:
        """The numbers of the task."""
        return tuple(map(metric_of, self.declared.metrics))

    @property
    def usual(self) -> tuple[Metric, ...]:
        """All of them, as lm-evaluation-harness prints them."""
        return self.suited

    @cached_property
    def documents(self) -> Documents:
        """The task with its documents, read at the first call."""
        return read_documents(
            self.declared,
            num_fewshot=self.num_fewshot,
            fewshot_seed=self.fewshot_seed,
            data=self.data,
            override=self.override,
        )

    @property
    def gold(self) -> GoldSet:
        """The documents."""
        return self.documents.gold

    @property
    def reads(self) -> tuple[str, ...]:
        """All fields of the documents."""
        return tuple(dict.fromkeys(name for example in self.gold for name in example.fields))

    @property
    def repeats(self) -> int:
        """How many texts are sampled for each document; one where all of them would be the same."""
        kwargs = self.documents.task.config.generation_kwargs or {}
        sampled = self.declared.output_type == "generate_until" and _decoding(kwargs, 0).do_sample
        return int(self.documents.task.config.repeats) if sampled else 1

    def settings(self) -> dict[str, Any]:
        """Return what decides what is asked and what counts as right, beside the documents."""
        return {
            "lm_eval": self.of,
            "version": version("lm_eval"),
            "num_fewshot": self.num_fewshot,
            "fewshot_seed": self.fewshot_seed,
            "override": dict(self.override),
        }

    def request(self, example: Example) -> Request:
        """Return all that is asked about a document as one request."""
        instances = self.documents.instances[example.id]
        kind = instances[0].request_type
        if kind == "loglikelihood":
            contexts, continuations = zip(*(instance.args for instance in instances), strict=True)
            if len(set(contexts)) == 1:
                return ChoiceRequest(example.id, contexts[0], continuations, "left")
            return ChoiceRequest(example.id, "", continuations, "left", contexts)
        (instance,) = instances
        if kind == "loglikelihood_rolling":
            return PerplexityRequest(example.id, instance.args[0])
        prompt, kwargs = instance.args
        return GenerationRequest(example.id, prompt, False, _decoding(kwargs, 0), "left")

    def sample(self, request: Request, number: int, id: str) -> Request:
        """Return the request with the seed of a further sample."""
        assert isinstance(request, GenerationRequest)  # noqa: S101 (for mypy)
        seed = seed_of(request.decoding.seed or 0, number)
        return replace(request, id=id, decoding=replace(request.decoding, seed=seed))

    def answer(self, example: Example, prediction: Prediction) -> Answer[Any]:
        """Return one document's answer; see `answers`."""
        return self._answers([example], [(prediction,)])[0]

    def answers(self, gold: GoldSet, predictions: Sequence[Prediction]) -> tuple[Answer[Any], ...]:
        """Return all answers with the values that the task's own filters and scores give."""
        return self._answers(gold.examples, [(prediction,) for prediction in predictions])

    def sampled_answers(
        self, gold: GoldSet, samples: Sequence[Sequence[Prediction]]
    ) -> tuple[Answer[Any], ...]:
        """Return one answer a document, which its filters make of all of its samples."""
        found = self._answers(gold.examples, samples)
        return tuple(
            replace(answer, samples=(answer,) * len(own))
            for answer, own in zip(found, samples, strict=True)
        )

    def _answers(
        self, examples: Sequence[Example], samples: Sequence[Sequence[Prediction]]
    ) -> tuple[Answer[Any], ...]:
        values = scored(self.documents, examples, samples)
        return tuple(
            Answer(
                example,
                given[0],
                self._predicted(example, given[0]),
                self._targets(example),
                values=own,
            )
            for example, given, own in zip(examples, samples, values, strict=True)
        )

    def _predicted(self, example: Example, prediction: Prediction) -> str:
        if prediction.text is not None:
            return prediction.text
        request = self.request(example)
        if isinstance(request, ChoiceRequest) and prediction.loglikelihoods:
            return request.continuations[likeliest(prediction.loglikelihoods)[0]].strip()
        return ""

    def _targets(self, example: Example) -> tuple[str, ...]:
        expected = self.expected(example)
        return tuple(map(str, expected)) if isinstance(expected, list) else (str(expected),)

    def expected(self, example: Example) -> Any:
        """Return the task's target of a document."""
        return self.documents.task.doc_to_target(self.documents.instances[example.id][0].doc)


def _decoding(kwargs: Mapping[str, Any], seed: int) -> Decoding:
    """Return how a text is generated, of the ``generation_kwargs`` of a task."""
    said = dict(kwargs)
    until = said.pop("until", None) or []
    until = [until] if isinstance(until, str) else list(until)
    most = int(said.pop("max_gen_toks", _MOST_TOKENS))
    temperature, top_p = said.pop("temperature", None), said.pop("top_p", 1.0)
    do_sample = bool(said.pop("do_sample", bool(temperature)))
    if said:
        raise ConfigError(f"generation_kwargs: {', '.join(said)}: not known here")
    stop = tuple(text for text in until if text)
    if not do_sample or temperature == 0:
        return Decoding(most, stop)
    return Decoding(most, stop, True, float(temperature or 1.0), float(top_p), seed)
