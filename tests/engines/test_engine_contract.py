"""The engines of this package keep the contract of the port, as those of users are asked to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.testing import ContractReport, engine_contract
from tests.servers.scoring import Scored, scoring

from .tiny import CHAT_TEMPLATE, Make, Template, scored

CHOICES = [
    ChoiceRequest("c1", "A stitch in time", (" saves", " nine", " saves nine, and the early")),
    ChoiceRequest("c2", "one, two", (", three", ".")),
]
TEXTS = [PerplexityRequest("p1", "the early bird"), PerplexityRequest("p2", "one, two, three")]
DRAWN = [
    GenerationRequest(
        f"g{seed}",
        prompt,
        decoding=Decoding(max_new_tokens=6, do_sample=True, seed=seed),
    )
    for seed, prompt in enumerate(["the lazy dog", "Question: what is"])
]
CHATS = [
    GenerationRequest(
        f"t{number}",
        "",
        decoding=Decoding(max_new_tokens=6),
        conversation=Conversation([{"role": "user", "content": text}]),
    )
    for number, text in enumerate(["the quick brown fox", "Paris"])
]
LABELS = [
    ClassificationRequest("l1", "a great film", labels=("no", "yes")),
    ClassificationRequest("l2", "good, bad", labels=("no", "yes")),
]


def kept(report: ContractReport) -> dict[str, tuple[str, ...]]:
    """Return the points that were checked, and on which kinds of requests."""
    return {each.point: each.of for each in report.kept}


def unchecked(report: ContractReport) -> set[str]:
    """Return the points that were not, or not on all kinds."""
    return {each.point for each in report.unchecked}


def test_causal_models_are_run_as_the_port_says(causal_folder: Path, engine: Make) -> None:
    """Log-likelihoods are those of a model that reads one text at a time."""
    made = engine(causal_folder)

    def alone(requests: Sequence[Request]) -> list[Prediction]:
        choices = [request for request in requests if isinstance(request, ChoiceRequest)]
        return [Prediction(r.id, loglikelihoods=tuple(scored(made, r))) for r in choices]

    report = engine_contract(
        "transformers",
        {"path": str(causal_folder)},
        requests=[*CHOICES, *TEXTS, *DRAWN],
        impossible=replace(CHOICES[0], id="long", context="word " * 200),
        other={"dtype": "float16"},
        reference=alone,
    )
    found = kept(report)
    assert found["tasks"] == ("multiple_choice", "perplexity", "generation")
    assert found["reference"] == ("multiple_choice",)
    assert {"seeds", "resume", "identity elsewhere", "identity of bytes", "close"} <= found.keys()
    assert unchecked(report) == {"many", "whole requests", "impossible requests", "reference"}


def test_a_template_s_date_is_told(template: Template) -> None:
    """Chats of another day are other answers: the prompts say so, and the store asks again."""
    dated = "{{ strftime_now('%d %B %Y') }}" + CHAT_TEMPLATE
    report = engine_contract(
        "transformers",
        {"path": str(template(dated))},
        requests=CHATS,
        elsewhere=False,
    )
    assert {"dated prompts", "another object", "resume", "stop strings"} <= kept(report).keys()


def test_seq2seq_models_are_run_as_the_port_says(seq2seq_folder: Path) -> None:
    """Texts are those of each prompt alone."""
    report = engine_contract(
        "transformers", {"path": str(seq2seq_folder)}, requests=DRAWN, elsewhere=False
    )
    assert kept(report)["batches"] == ("generation",)


def test_classifiers_are_run_as_the_port_says(classifier_folder: Path) -> None:
    """Both texts of a pair are read."""
    report = engine_contract(
        "transformers", {"path": str(classifier_folder)}, requests=LABELS, elsewhere=False
    )
    assert {"impossible requests", "whole requests"} <= kept(report).keys()


def test_servers_are_asked_as_the_port_says(causal_folder: Path) -> None:
    """Log-likelihoods are those that the transformers engine has of the same model."""
    with scoring(Scored(causal_folder)) as server:
        report = engine_contract(
            "openai",
            {"base_url": server.url, "model": "tiny", "bos": "<s>"},
            requests=[*CHOICES, *TEXTS, *CHATS, *LABELS],
            other={"model": "another"},
            reference={"path": str(causal_folder)},
            elsewhere=False,
        )
    found = kept(report)
    assert found["reference"] == ("multiple_choice", "perplexity")
    assert found["cancel"] == ("multiple_choice", "perplexity", "generation", "classification")
    assert {"identity of another", "resume", "close"} <= found.keys()
