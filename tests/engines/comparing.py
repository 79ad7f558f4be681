"""The engine's answers beside those of plain passes, for one family and head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.loaded import Company
from pytest_distill.errors import DistillError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

from .families import CONTEXT, TOKENIZER, WORDS, Family, Head
from .plain_passes import TIE, PlainModel
from .tiny import one_each, spec_of

_NEW = 8  # tokens of a generated text
_SMALL = 96  # batch_tokens of an engine that must make many batches


@dataclass
class Outcome:
    """What came of one task of a family.

    Parameters
    ----------
    task : str
        What was asked.
    difference : float
        The largest one of a log-likelihood or a probability; of generated texts that of their
        log-likelihoods.
    differing : list of str
        Which generated texts are others.
    paths : list of str
        How the engine ran it, for each time that it was asked.
    notes : list of str
        The engine's own.
    error : str
        Why it gave no answer.
    refused : bool
        Whether that is an error of ours.
    foresees : bool
        Whether the model says something else of a token when what follows is another.
    """

    task: str
    difference: float = 0.0
    differing: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    refused: bool = False
    foresees: bool = False

    @property
    def path(self) -> str:
        """How the engine ran short requests, and long ones where that differs."""
        if self.error:
            return "refused" if self.refused else "crashed"
        return ", then ".join(dict.fromkeys(self.paths[:2]))


def _say(draw: np.random.Generator, words: int) -> str:
    return " ".join(draw.choice(WORDS, words))


def _choices(family: Family) -> tuple[list[ChoiceRequest], list[ChoiceRequest]]:
    """Return short ones, and long ones that begin with the same five shots."""
    draw, scale = np.random.default_rng(4), family.context // CONTEXT
    alike = _say(draw, 3)
    short = [
        ChoiceRequest(
            f"z{words}",
            _say(draw, words),
            (f" {alike} {_say(draw, 2)}", f" {alike} {_say(draw, 1)}", f" {_say(draw, 1)}"),
        )
        for words in (3, 5, 12, 15)
    ]
    shots = " ".join(_say(draw, 10 * scale) for _ in range(5))
    long = [
        ChoiceRequest(
            f"f{words}",
            f"{shots} {_say(draw, words * scale)}",
            (f" {_say(draw, 2)}", f" {alike} {_say(draw, 9 * scale)}", f" {_say(draw, 1)}"),
        )
        for words in (1, 9, 13, 40)
    ]
    return short, long


def _texts(family: Family) -> tuple[list[PerplexityRequest], list[PerplexityRequest]]:
    """Return texts that are shorter than the window and, the last two, longer."""
    draw, scale = np.random.default_rng(5), family.context // CONTEXT
    window = 120 * scale
    short = [PerplexityRequest(f"t{n}", _say(draw, n), window) for n in (4, 12, 15)]
    long = [
        PerplexityRequest(f"t{n}", _say(draw, n * scale), window) for n in (20, 45, 64, 66, 230)
    ]
    strides = PerplexityRequest("strides", _say(draw, 150 * scale), window, 50 * scale)
    return short, [*long, strides]


def _prompts(family: Family) -> tuple[list[GenerationRequest], list[GenerationRequest]]:
    draw, scale = np.random.default_rng(6), family.context // CONTEXT
    lengths = (2, 5, 8), (22, 60, 75, 110)
    short, long = (
        [
            GenerationRequest(
                f"g{words}",
                _say(draw, words * (scale if words > 20 else 1)),
                decoding=Decoding(max_new_tokens=_NEW),
            )
            for words in own
        ]
        for own in lengths
    )
    return short, long


def _sentences(_family: Family) -> tuple[list[ClassificationRequest], list[ClassificationRequest]]:
    draw = np.random.default_rng(7)
    lengths = (1, 3, 4, 9, 14), (17, 23, 36, 48, 64, 90, 130)
    short, long = (
        [ClassificationRequest(f"c{words}", _say(draw, words)) for words in own] for own in lengths
    )
    pair = ClassificationRequest("pair", _say(draw, 5), _say(draw, 7))
    return [*short, pair], long


_TASKS: dict[Head, dict[str, Any]] = {
    "causal": {"multiple_choice": _choices, "generation": _prompts, "perplexity": _texts},
    "seq2seq": {"generation": _prompts},
    "classification": {"classification": _sentences},
}


def compare(family: Family, head: Head, folder: Path, *, again: bool = True) -> list[Outcome]:
    """Return what comes of every task of a head.

    An engine answers short requests of all tasks and then long ones, so that what it takes for
    granted after the first must hold for the second. With `again` another one is asked all at once
    in small batches.
    """
    family.save(head, folder)
    plain = PlainModel(family.class_of(head), folder, family.tokenizer(head), family.stateful)
    tasks = {task: make(family) for task, make in _TASKS[head].items()}
    foresees = head == "causal" and plain.foresees()
    outcomes = {task: Outcome(task, foresees=foresees) for task in tasks}
    engine = _engine(folder)
    for part in (0, 1):
        for task, requests in tasks.items():
            _run(engine, plain, outcomes[task], requests[part])
    if again:
        small = _engine(folder, _SMALL)
        for task, requests in reversed(tasks.items()):
            _run(small, plain, outcomes[task], [*requests[0], *requests[1]])
    return list(outcomes.values())


def _engine(folder: Path, batch_tokens: int | None = None) -> TransformersEngine:
    return TransformersEngine(
        spec_of(folder, tokenizer=str(folder / TOKENIZER), device="cpu", batch_tokens=batch_tokens)
    )


def _run(
    engine: TransformersEngine, plain: PlainModel, outcome: Outcome, requests: Sequence[Request]
) -> None:
    """Compare the answers to some requests, and put what was found into the outcome."""
    try:
        with watching(engine.model, watch := Watch()):
            answers = list(engine.predict(requests))
    except DistillError as error:
        outcome.error, outcome.refused = str(error), True
        return
    except Exception as error:  # noqa: BLE001  # whatever is raised is what came of it
        outcome.error = f"{type(error).__name__}: {error}"
        return
    for request, answer in zip(requests, one_each(requests, answers), strict=True):
        difference, differs = _difference(plain, request, answer)
        outcome.difference = max(outcome.difference, difference)
        outcome.differing += [answer.id] if differs else []
    outcome.notes += [note for note in engine.notes if note not in outcome.notes]
    outcome.paths.append(watch.path(engine, outcome.task))


def _difference(plain: PlainModel, request: Request, answer: Prediction) -> tuple[float, bool]:
    """Return how far an answer is from the plain one, and whether its text is another."""
    if isinstance(request, ChoiceRequest):
        expected = plain.choices(request.context, request.continuations)
        return _largest(answer.loglikelihoods or (), expected), False
    if isinstance(request, PerplexityRequest):
        window = request.window or 0
        expected = [plain.text(request.text, window, request.stride or window)]
        return _largest(answer.loglikelihoods or (), expected), False
    if isinstance(request, ClassificationRequest):
        expected = plain.probabilities(request.text, request.text_pair)
        return _largest(answer.probabilities or (), expected), False
    assert isinstance(request, GenerationRequest)
    return _of_texts(plain, request, answer)


def _largest(got: Sequence[float], expected: Sequence[float]) -> float:
    pairs = zip(got, expected, strict=True)
    gaps = [abs(one - other) for one, other in pairs]
    return max((float("inf") if gap != gap else gap) for gap in gaps)


def _of_texts(
    plain: PlainModel, request: GenerationRequest, answer: Prediction
) -> tuple[float, bool]:
    """Compare token by token; from a tie on nothing can be said."""
    steps = plain.greedy(request.prompt, request.decoding.max_new_tokens)
    made = [int(step.argmax()) for step in steps]
    likely = [float(step.log_softmax(-1).max()) for step in steps]
    text = [token for token in made if token != plain.end]
    got = plain.tokenizer.convert_tokens_to_ids((answer.text or "").split())
    shown = [token for token in text if token not in plain.tokenizer.all_special_ids]
    if got == shown:
        return _largest(answer.loglikelihoods or (), [sum(likely)]), False
    # Special tokens are not shown: a tie anywhere up to the difference may have led to another.
    tie = any(float(two[0] - two[1]) < TIE for two in (step.topk(2).values for step in steps))
    return 0.0, not tie


@dataclass
class Watch:
    """What a model was given while it answered some requests."""

    trees: bool = False
    steps: bool = False
    generate: bool = False

    def see(self, _module: Any, args: tuple[Any, ...], inputs: dict[str, Any]) -> None:
        """Note what one pass reads."""
        ids = args[0] if args else inputs.get("input_ids")
        mask = inputs.get("attention_mask")
        self.trees |= isinstance(mask, torch.Tensor) and mask.dim() == 4
        self.steps |= isinstance(ids, torch.Tensor) and ids.shape[1] == 1

    def path(self, engine: TransformersEngine, task: str) -> str:
        """Return the way that the engine took, and what it had to keep apart."""
        findings = engine._load().findings
        if task == "generation":
            way = findings.way
            if self.generate and way != "recompute":
                return _COMPANY[findings.texts.company].format("generate")
            return "own loop" if self.steps and way == "loop" else "recomputed"
        if self.trees and findings.largest_tree != 0:
            return "trees"
        return _COMPANY[findings.rows.company].format("rows")


# With which others a row is read.
_COMPANY = {
    Company.PADDED: "{}",
    Company.EQUAL: "{} of equal length",
    Company.ALONE: "{} alone",
}


@contextmanager
def watching(model: Any, watch: Watch) -> Iterator[None]:
    """Note what a model is given."""
    own = getattr(model, "generate", None)

    def generate(*args: Any, **kwargs: Any) -> Any:
        watch.generate = True
        return own(*args, **kwargs)  # type: ignore[misc]  # only generating models are asked

    handle = model.register_forward_pre_hook(watch.see, with_kwargs=True)
    if own is not None:
        model.generate = generate
    try:
        yield
    finally:
        handle.remove()
        if own is not None:
            del model.generate
