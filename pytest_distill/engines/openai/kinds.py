"""The kinds of requests that a server can be asked: how, and what it must honour for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pytest_distill.engines.openai import text_trials
from pytest_distill.engines.openai.calls import Send
from pytest_distill.engines.openai.checks import Dialect, Learnt, ServerChecks, Trial
from pytest_distill.engines.openai.classes import Classifier, whole_prompt
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.engines.openai.score_trials import PromptScoring
from pytest_distill.engines.openai.scores import needs_prefix, score_choices, score_text
from pytest_distill.engines.openai.texts import Texts
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest


@dataclass(frozen=True)
class Kind:
    """A kind of request: how one is asked, and what a server must honour for it."""

    ask: Callable[[Send, Any], Awaitable[Prediction]]
    trials: Callable[[Sequence[Any]], Mapping[Hashable, Trial]]


def kind_of(
    kind: type[Request], who: str, checks: ServerChecks, kept: MutableMapping[str, Any]
) -> Kind:
    """Return how a kind of request is asked.

    Parameters
    ----------
    kind : type
        The request's.
    who : str
        The model and where it is asked, for messages.
    checks : ServerChecks
        How it is asked, and what its server need not honour.
    kept : mapping
        What was found out of its server so far, which is added to.
    """
    dialect = Dialect(checks, kept.setdefault("learnt", Learnt()))
    if kind is GenerationRequest:
        texts = Texts(dialect)
        return Kind(texts.predict, partial(text_trials.trials, texts))
    scoring: PromptScoring = kept.setdefault("scoring", PromptScoring(who, checks.options.bos))
    if kind is ChoiceRequest:
        return Kind(partial(score_choices, scoring), partial(_scores, scoring))
    if kind is PerplexityRequest:
        return Kind(partial(score_text, scoring), partial(_scores, scoring))
    if kind is ClassificationRequest:
        classifier = Classifier(who, checks.options, scoring, dialect)
        return Kind(classifier.classify, classifier.trials)
    raise ModelError(f"{who}: engine openai cannot do the task {kind.task}")


def _scores(scoring: PromptScoring, requests: Sequence[Request]) -> Mapping[Hashable, Trial]:
    """Return what is tried before prompts are scored."""

    async def trial(send: Send) -> None:
        await scoring.find_out(send, type(requests[0]).task)

    return {"scores": trial}


def whole_prompts(requests: Sequence[Request], options: OpenAIOptions) -> dict[str, str]:
    """Return by id all that is asked, of requests that do not say it: they need keys of the model.

    Those are the labels and how they are asked for, and the token before a text.
    """
    found = {}
    for request in requests:
        if isinstance(request, ClassificationRequest):
            found[request.id] = whole_prompt(options, request)
        elif options.bos is not None and needs_prefix(request):
            found[request.id] = options.bos
    return found
