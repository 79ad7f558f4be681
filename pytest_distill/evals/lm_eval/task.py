"""A task of lm-evaluation-harness as a task of ours: ``task: lm_eval:arc_easy``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal

from pytest_distill.errors import ConfigError
from pytest_distill.evals.distributions import by_choice
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.lm_eval.answers import answer_of, scored
from pytest_distill.evals.lm_eval.declared import FEWSHOT_SEED, DeclaredTask, declared, with_shots
from pytest_distill.evals.lm_eval.documents import Documents, own_shots, read_documents
from pytest_distill.evals.lm_eval.harness import PREFIX
from pytest_distill.evals.lm_eval.metrics import Refused, judged, metric_of
from pytest_distill.evals.lm_eval.requests import LONGEST, decoding_of, request_of
from pytest_distill.evals.lm_eval.targets import check_targets, choices_of, target_of
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.texts import FINISHED
from pytest_distill.evals.requests import GoldText, Prediction, Request
from pytest_distill.evals.tasks.base import Task
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest, sample_of
from pytest_distill.evals.tasks.repeats import refuse_budgets


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
    by_group : mapping
        What the group says otherwise by which it was named.
    include_path : Path, optional
        A folder with tasks of the user's own.
    trust_remote_code : bool
        Whether Python that comes with the task may run.
    at_tokens : tuple of int
        Budgets of tokens, each at most ``max_gen_toks``: what a run with that limit answers.
    """

    metrics: ClassVar[tuple[Metric, ...]] = ()

    input: str | tuple[str, str] = ()  # type: ignore[assignment]  # the documents' own fields
    of: str = ""
    num_fewshot: int | None = None
    fewshot_seed: int = FEWSHOT_SEED
    data: Mapping[str, Path] = field(default_factory=dict)
    override: Mapping[str, Any] = field(default_factory=dict)
    by_group: Mapping[str, Any] = field(default_factory=dict)
    include_path: Path | None = None
    trust_remote_code: bool = False
    at_tokens: tuple[int, ...] = ()

    @property
    def name(self) -> str:  # type: ignore[override]
        """What ``task:`` says."""
        return f"{PREFIX}{self.of}"

    @cached_property
    def declared(self) -> DeclaredTask:
        """What the task's file says; no document is read."""
        otherwise = {**self.by_group, **self.override}
        found = declared(self.of, folder=self.include_path, otherwise=otherwise)
        return found if self.num_fewshot is None else with_shots(found, self.num_fewshot)

    @cached_property
    def suited(self) -> tuple[Metric, ...]:
        """The numbers of the task, those that are not judged here too: asked for, they say why.

        Of texts also whether they ended by themselves.
        """
        own = tuple(metric_of(self.declared, metric) for metric in self.declared.metrics)
        if self._kind != "generate_until":
            if self.at_tokens:
                raise ConfigError(f"at_tokens: task '{self.of}' has no model write a text")
            return own
        refuse_budgets(self.at_tokens, self._decoding.max_new_tokens)
        return (*own, FINISHED)

    @property
    def usual(self) -> tuple[Metric, ...]:
        """The numbers that lm-evaluation-harness prints, but for those that are not judged here.

        Raises
        ------
        ConfigError
            Where none is.
        """
        return judged(metric for metric in self.suited if metric is not FINISHED)

    def misfit(self, metric: Metric) -> str | None:
        """Return why a number of the task is not judged here."""
        return metric.reason if isinstance(metric, Refused) else None

    @property
    def answered_by(self) -> tuple[str, ...]:  # type: ignore[override]
        """The field of a recorded row that answers."""
        return ("text",) if self._kind == "generate_until" else ("loglikelihoods",)

    @property
    def needs(self) -> str:  # type: ignore[override]
        """What an answer consists of, in words."""
        if self._kind == "generate_until":
            return "'text'"
        return "'loglikelihoods' (of each text that is asked about, and 'greedy' where that counts)"

    @property
    def _kind(self) -> str:
        return self.declared.output_type

    @property
    def _goes_by_likeliest(self) -> bool:
        """Whether the likeliest of some choices is the answer, right or wrong."""
        return self._kind == "multiple_choice" and not self.declared.scores_itself

    @property
    def guess(self) -> Literal["choice"] | None:  # type: ignore[override]
        """What a model that knows nothing could guess."""
        return "choice" if self._goes_by_likeliest else None

    @property
    def confidence(self) -> str | None:  # type: ignore[override]
        """How sure a model is; None where likelihoods of more than the choices are asked for."""
        if self._kind == "generate_until":
            return "mean_log_probability"
        also_alone = any(m.own == "acc_mutual_info" for m in self.declared.metrics)
        return "max_probability" if self._kind == "multiple_choice" and not also_alone else None

    @property
    def only_rates(self) -> bool:  # type: ignore[override]
        """Whether a model rates a text and answers nothing."""
        return self._kind in ("loglikelihood", "loglikelihood_rolling")

    @property
    def tells_answers(self) -> bool:  # type: ignore[override]
        """Whether what is scored is what is shown: not where filters or code take it out."""
        if self._kind != "generate_until":
            return not self.only_rates
        return not (self.declared.said.get("filter_list") or self.declared.scores_itself)

    @property
    def by_token(self) -> bool:  # type: ignore[override]
        """Whether two models are compared token by token."""
        return self._kind in ("generate_until", "loglikelihood_rolling")

    def gold_text(self, example: Example) -> GoldText:
        """Return the text that is rated, or the prompt and the first of its targets."""
        request = self.request(example)
        if not isinstance(request, GenerationRequest):
            return GoldText(request)
        target = self.expected(example)
        first = target[0] if isinstance(target, list) else target
        return GoldText(request, f"{self.documents.task.config.target_delimiter}{first}")

    def chance(self, example: Example) -> Fraction | None:
        """Return how likely a guess among a document's choices is right."""
        if not self._goes_by_likeliest:
            return None
        doc = self.documents.instances[example.id][0].doc
        choices = choices_of(self.documents.task, example, doc)
        return Fraction(len(set(choices.right)), len(choices.texts))

    def distribution(
        self,
        example: Example,  # noqa: ARG002 (the choices stand in the order of the likelihoods)
        prediction: Prediction,
    ) -> Mapping[str, float] | None:
        """Return choice -> probability, of the choices' likelihoods alone."""
        alone = self.confidence == "max_probability"
        return by_choice(prediction.loglikelihoods) if alone else None

    @cached_property
    def _decoding(self) -> Decoding:
        return decoding_of(self.declared.said.get("generation_kwargs"))

    @property
    def longest(self) -> int | None:
        """The greatest number of tokens of a text; None where none is generated."""
        return self._decoding.max_new_tokens if self._kind == "generate_until" else None

    def within(self, tokens: int) -> LmEval:
        """Return the task with texts of at most so many tokens."""
        kwargs = dict(self.declared.said.get("generation_kwargs") or {})
        said = {**self.override, "generation_kwargs": {**kwargs, LONGEST: tokens}}
        found = replace(self, override=said, at_tokens=())
        vars(found)["documents"] = self.documents  # the same ones, read once
        return found

    @cached_property
    def documents(self) -> Documents:
        """The task with its documents, read and looked at at the first call.

        Raises
        ------
        GoldSetError
            Naming a document whose target cannot be right.
        """
        seed, trusted = self.fewshot_seed, self.trust_remote_code
        found = read_documents(self.declared, fewshot_seed=seed, data=self.data, trusted=trusted)
        check_targets(found)
        return found

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
        sampled = self._kind == "generate_until" and self._decoding.do_sample
        return int(self.declared.said.get("repeats") or 1) if sampled else 1

    def notes(self, gold: GoldSet) -> Iterator[str]:
        """Yield a note where prompts tell their answers."""
        if told := own_shots(self.documents, gold):
            yield (
                f"{told:,} of {len(gold):,} prompts hold their own document among the solved "
                "examples, which lm-evaluation-harness draws from the documents that are asked: "
                "these tell the answer"
            )

    def settings(self) -> dict[str, Any]:
        """Return what decides what is asked and what counts as right, beside the documents."""
        return {
            "lm_eval": self.of,
            "version": version("lm_eval"),
            "num_fewshot": self.num_fewshot,
            "fewshot_seed": self.fewshot_seed,
            "override": {**self.by_group, **self.override},
        }

    def request(self, example: Example) -> Request:
        """Return all that is asked about a document as one request."""
        return request_of(example.id, self.documents.instances[example.id], self.longest)

    def sample(self, request: Request, number: int, id: str) -> Request:
        """Return the request with the seed of a further sample."""
        return sample_of(request, number, id)

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
            answer_of(self.documents, example, given, own, self.longest)
            for example, given, own in zip(examples, samples, values, strict=True)
        )

    def expected(self, example: Example) -> Any:
        """Return the task's target of a document."""
        doc = self.documents.instances[example.id][0].doc
        return target_of(self.documents.task, example, doc)
