"""The contract of the port: an engine that keeps it passes, and each that does not is told why."""

from __future__ import annotations

import queue
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_distill import (
    ChoiceRequest,
    ClassificationRequest,
    ConfigError,
    ModelSpec,
    PerplexityRequest,
    Prediction,
)
from pytest_distill.testing import ContractReport, engine_contract, held

from . import engines
from .engines import WEIGHTS, Good

OF_THREE = ("classification", "multiple_choice", "generation", "generation, sampled")
CHAT = "generation, chat"
OF_ALL = (*OF_THREE, CHAT)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of numbers."""
    path = tmp_path_factory.mktemp("model") / "weights.bin"
    path.write_bytes(np.arange(WEIGHTS, dtype=np.float64).tobytes())
    return path


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """End what the engines here leave running on purpose."""
    yield
    while engines.KeepsProcess.started:
        engines.KeepsProcess.started.pop().communicate()
    while engines.LeavesSocket.kept:
        engines.LeavesSocket.kept.pop().close()
    while engines.LeavesThread.started:
        thread, waiting = engines.LeavesThread.started.pop()
        while thread.is_alive():
            with suppress(queue.Empty):
                waiting.get(timeout=0.01)
    engines.Remembers.begun.clear()


def contract(kind: Any, weights: Path, **more: Any) -> ContractReport:
    """Check an engine, in this process alone."""
    return engine_contract(kind, {"path": str(weights)}, **{"elsewhere": False, **more})


def broken(kind: Any, weights: Path, **more: Any) -> dict[str, str]:
    """Return the points that an engine does not keep, with what came."""
    with pytest.raises(AssertionError) as failure:
        contract(kind, weights, **more)
    said = str(failure.value)
    found = re.findall(
        r"^- (.*?)(?: \(.*\))?\n  asked: .*\n  came: +(.*)\n  the port: .+", said, re.M
    )
    assert found, said
    points: dict[str, str] = {}
    for point, came in found:
        points[point] = f"{points.get(point, '')}{came} "
    return points


def test_a_good_engine_keeps_every_point(weights: Path) -> None:
    """And what could not be checked is said, with the reason."""
    model = {"path": str(weights)}
    reference = Good(ModelSpec("other", "teacher", path=str(weights), options=Good.Options()))
    report = engine_contract(Good, model, other={"salt": "s"}, reference=reference.predict)
    kept = {each.point: each.of for each in report.kept}
    assert {point: of for point, of in kept.items() if not of} == dict.fromkeys(
        [
            *("identity", "info", "identity unloaded", "close", "dated prompts", "options"),
            *("identity elsewhere", "identity of another", "identity of bytes", "made"),
        ],
        (),
    )
    assert {point: of for point, of in kept.items() if of} == {
        **dict.fromkeys(
            [
                *("tasks", "predictions", "once each", "alike", "no requests", "asked again"),
                *("requests as they are", "batches", "cancel", "another object", "resume"),
            ],
            OF_ALL,
        ),
        "seeds": ("generation, sampled",),
        "whole requests": OF_THREE[:2],
        "stop strings": ("generation", CHAT),
        "max_new_tokens": ("generation", CHAT),
        "many": OF_THREE[:3],
        "impossible requests": OF_THREE[:3],
        "reference": OF_THREE[:2],
    }
    assert [str(each) for each in report.unchecked] == [
        "tasks (perplexity): not offered: model 'student' cannot do PerplexityRequest",
        "tasks (generation, conversation): not offered: model 'student' cannot do "
        "GenerationRequest",
        "whole requests (generation; generation, sampled): these requests have no other form",
        "whole requests (generation, chat): a conversation in place of chat is refused: model "
        "'student' cannot do GenerationRequest",
        "notes: it has no notes",
    ]
    told = str(report).splitlines()
    assert told[:3] == [
        "engine tests.testing.engines:Good",
        "kept",
        f"  tasks: {'; '.join(OF_ALL)}",
    ]
    assert "  once each" in told
    assert "  seeds: generation, sampled" in told


ONE = "classification"
TEXT = "generation"

BROKEN: list[tuple[Any, str, str, str]] = [
    (engines.Drops, ONE, "once each", "no answer to '7'"),
    (engines.Twice, ONE, "once each", "two answers to '7'"),
    (engines.Strips, ONE, "once each", "no answer to '07'; two answers to '7'"),
    (engines.Endless, ONE, "tasks", "15 answers, and more to come"),
    (engines.OneOfAlike, ONE, "once each", "no answer to '7'"),
    (engines.ById, TEXT, "alike", "for '7': text .*twin' .*before .*7'"),
    (engines.NotFinite, "multiple_choice", "predictions", "log-likelihood nan is not a finite"),
    (engines.TooFew, "multiple_choice", "predictions", "1 log-likelihoods for 2 choices"),
    (engines.Positive, "multiple_choice", "predictions", "is not a finite number up to 0"),
    (engines.Unlikely, ONE, "predictions", "the probability -1.0 is not between 0 and 1"),
    (engines.Speechless, ONE, "predictions", "the task needs probabilities, or prediction"),
    (engines.Pairs, ONE, "predictions", r"\(tuple\), which is no Prediction"),
    (engines.FirstText, ONE, "whole requests", "the same probabilities as without"),
    (engines.OneContext, "multiple_choice", "whole requests", "loglikelihoods .* before"),
    (engines.PromptAlone, TEXT, "whole requests", "without a look at request.conversation"),
    (engines.NeedsSome, ONE, "no requests", r"raised IndexError: .*engines\.py:\d+, in predict"),
    (engines.Counts, TEXT, "asked again", "for .*: text"),
    (engines.Padded, ONE, "batches", "probabilities .* before"),
    (engines.Positional, TEXT, "batches", "text .* before"),
    (engines.Unstopped, TEXT, "stop strings", "text '0.*, without the stop string '0"),
    (engines.StopIncluded, TEXT, "stop strings", "text '0.*, without the stop string '0"),
    (engines.Unlimited, TEXT, "max_new_tokens", "6 tokens: '0"),
    (engines.Sixteen, ONE, "many", "no answer to 'n16', 'n17', 'n18', 'n19'"),
    (engines.FirstBatch, ONE, "many", "no answer to 'n32'"),
    (engines.SwapsInBatches, ONE, "many", "for 'n40': probabilities"),
    (engines.Takes, ONE, "requests as they are", "other requests in the list"),
    (engines.EndsEarly, ONE, "impossible requests", "no answer to 'too long'"),
    (engines.LeavesFile, ONE, "close", "still there: open file .*weights"),
    (engines.LeavesThread, ONE, "cancel", "still there: thread 'worker'"),
    (engines.LeavesSocket, ONE, "cancel", "still there: 1 open socket"),
    (engines.KeepsQueue, ONE, "cancel", "an answer that nobody asked for, to 'É'"),
    (engines.OnlyOnce, ONE, "cancel", "raised RuntimeError: already in use"),
    (engines.NoModelError, ONE, "impossible requests", "raised ValueError: too long"),
    (engines.Nameless, ONE, "impossible requests", "ModelError: a text is too long"),
    (engines.AnyWords, ONE, "options", "ModelError: .*raised TypeError: .*"),
    (engines.IdentityOfObjects, ONE, "identity", "must be text, numbers, lists or mappings"),
    (engines.IdentityByObject, ONE, "identity", "'object' is"),
    (engines.IdentityByTime, ONE, "identity", "'now' is"),
    (engines.IdentityByRole, ONE, "identity", "'role' is 'teacher'.*, before 'student'"),
    (engines.IdentityByWorker, ONE, "identity", r"'worker' is 1 .*, before 0"),
    (engines.IdentityByPath, ONE, "identity of bytes", "'path' is"),
    (engines.IdentityBySize, ONE, "identity of bytes", "the same"),
    (engines.IdentityLoads, ONE, "identity unloaded", "holds 65,.* bytes of arrays"),
    (engines.Silent, TEXT, "another object", "for 'É': text"),
    (engines.ByObject, ONE, "another object", "probabilities"),
    (engines.Clock, TEXT, "dated prompts", "for '.*' '.*before"),
    (engines.InfoMapping, ONE, "info", r"\(dict\), which is no ModelInfo"),
    (engines.InfoLater, ONE, "info", "parameters=8192.*before.*parameters=None"),
    (engines.Remembers, ONE, "resume", "no answer to"),
    (engines.Single, ONE, "made", "raised RuntimeError: there is one"),
    (engines.NotesByKey, ONE, "notes", r"\(dict\)"),
    (engines.ClosedUsed, ONE, "close", "raised AttributeError: asked"),
    (engines.ClosedOnce, ONE, "close", "raised AttributeError"),
    (engines.KeepsWeights, ONE, "close", "still holds 65,.* bytes of arrays"),
    (engines.KeepsProcess, ONE, "close", r"still there: process \d+"),
]


@pytest.mark.parametrize(
    ("kind", "task", "point", "came"), BROKEN, ids=[kind.__name__ for kind, *_ in BROKEN]
)
def test_what_an_engine_does_not_keep_is_told(
    kind: Any,
    task: str,
    point: str,
    came: str,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what came; the other points are checked as far as that makes sense."""
    monkeypatch.setattr(held, "PATIENCE", 0.3)
    assert re.search(came, broken(kind, weights, tasks=[task])[point])


@pytest.mark.parametrize("kind", [engines.Numpy, engines.Pool])
def test_an_engine_may_be_made_otherwise(kind: Any, weights: Path) -> None:
    """What the port leaves open is no fault."""
    assert contract(kind, weights, tasks=[ONE]).kept


def test_what_an_engine_cannot_do_is_a_model_error(weights: Path) -> None:
    """Any other error is told; what it does is checked."""
    found = broken(engines.RaisesOtherwise, weights)
    assert found.keys() == {"tasks", "impossible requests", "whole requests"}
    assert re.search(r"raised KeyError: .*cannot do .*engines\.py:\d+", found["tasks"])


def test_a_task_that_the_test_names_must_be_done(weights: Path) -> None:
    """Else a misspelt model would pass by doing nothing; so it is where nothing is done at all."""
    assert "cannot do PerplexityRequest" in broken(Good, weights, tasks=["perplexity"])["tasks"]
    asked = [PerplexityRequest("e1", "a text")]
    assert "cannot do PerplexityRequest" in broken(Good, weights, requests=asked)["tasks"]


def test_the_user_s_own_requests_are_asked(weights: Path) -> None:
    """By kind; of one that cannot be answered an error is wanted."""
    first = ClassificationRequest("a", "x")
    asked = [first, ChoiceRequest("b", "", (" y", " z"))]
    long = replace(first, id="c", text="x" * 1_001)
    report = contract(Good, weights, requests=asked, impossible=long)
    kept = {each.point: each.of for each in report.kept}
    assert kept["once each"] == ("classification", "multiple_choice")
    found = broken(engines.Cuts, weights, requests=asked[:1], impossible=long)
    assert found == {"impossible requests": "an answer, and no error "}
    report = contract(engines.Cuts, weights, requests=asked[:1])
    assert "impossible requests" not in {each.point for each in report.kept}


def test_a_file_that_identity_does_not_go_by_is_named(tmp_path: Path) -> None:
    """What lies beside a model need be none of it; the weights may be, though."""

    class OfFolder(Good):
        """Has its weights in a folder."""

        def __init__(self, spec: ModelSpec) -> None:
            super().__init__(replace(spec, path=str(Path(spec.path) / "weights.bin")))

    (tmp_path / "weights.bin").write_bytes(bytes(8 * WEIGHTS))
    (tmp_path / "optimizer.bin").write_bytes(bytes(9 * WEIGHTS))
    report = contract(OfFolder, tmp_path, tasks=[ONE])
    (told,) = [each.why for each in report.unchecked if each.point == "identity of bytes"]
    assert "a byte of weights.bin was changed, but not of optimizer.bin, the largest" in told


def test_one_request_cannot_be_broken_off(weights: Path) -> None:
    """So that nothing is said of what comes after."""
    report = contract(Good, weights, requests=[ClassificationRequest("a", "x")])
    told = {each.point: each.why for each in report.unchecked}
    assert told["resume"] == "too few requests to break off among them"
    assert told["many"] == "only 2 requests are given"


def test_an_identity_is_the_same_in_another_process(weights: Path) -> None:
    """Where texts have other hashes; a class that cannot be imported there is not checked."""
    found = broken(engines.IdentityByHash, weights, tasks=[ONE], elsewhere=True)
    assert [*found] == ["identity elsewhere"]

    class Local(Good):
        """Is in no module."""

    report = contract(Local, weights, tasks=[ONE], elsewhere=True)
    (told,) = [each.why for each in report.unchecked if each.point == "identity elsewhere"]
    assert told.endswith("Local cannot be imported in another process")


def test_an_option_that_identity_lacks_is_told(weights: Path) -> None:
    """Where the test says which one matters."""
    found = broken(engines.IdentityLacks, weights, tasks=[ONE], other={"salt": "s"})
    assert found == {"identity of another": "that of the entry without "}


def test_seeds_that_change_nothing_are_no_pass(weights: Path) -> None:
    """A model may be sure, so it is no fault either."""
    report = contract(engines.Seedless, weights, tasks=[TEXT])
    assert "seeds" not in {each.point for each in report.kept}
    assert "seeds (generation, sampled): 6 seeds gave one text" in str(report)


def test_log_likelihoods_are_held_against_a_reference(weights: Path) -> None:
    """Within the tolerance; what the reference cannot do is not checked."""
    entry = {"engine": f"{__package__}.engines:Good", "path": str(weights), "salt": "s"}
    found = broken(Good, weights, tasks=["multiple_choice"], reference=entry)
    assert re.match(r"loglikelihoods \(.*\), the reference \(.*\)", found["reference"])
    report = contract(Good, weights, tasks=["multiple_choice"], reference=entry, tolerance=1e3)
    assert "reference" in {each.point for each in report.kept}
    report = contract(Good, weights, tasks=[ONE], reference=lambda _: [])
    assert "reference (classification): the reference has no such numbers" in str(report)


def test_tokens_of_a_perplexity_are_held_against_a_reference(weights: Path) -> None:
    """Each token that is counted makes it another one."""

    class Counting(Good):
        """Counts the words of a text as its tokens."""

        def answer(self, request: Any) -> Any:
            """Answer one request."""
            if not isinstance(request, PerplexityRequest):
                return super().answer(request)
            return Prediction(request.id, loglikelihoods=(-1.0,), tokens=len(request.text.split()))

    def one_more(requests: Sequence[Any]) -> Iterator[Prediction]:
        for request in requests:
            count = len(request.text.split()) + 1
            yield Prediction(request.id, loglikelihoods=(-1.0,), tokens=count)

    found = broken(Counting, weights, tasks=["perplexity"], reference=one_more)
    assert found.keys() == {"reference"}
    assert found["reference"].strip() == "tokens 1, the reference 2"


def test_an_engine_without_identity_is_stored_nowhere(weights: Path) -> None:
    """So that neither resume nor other objects can be checked."""

    class Plain(Good):
        """Hides what makes its answers."""

        @property
        def identity(self) -> Any:
            """Have none."""
            raise AttributeError("identity")

    report = contract(Plain, weights, tasks=[ONE])
    lacks = {each.point for each in report.unchecked}
    assert lacks >= {"identity", "identity unloaded", "another object", "resume"}
    assert not lacks & {each.point for each in report.kept}


@pytest.mark.parametrize(
    ("engine", "model", "more", "said"),
    [
        (Good, {"slat": "s"}, {}, "models.student.slat: unknown key; did you mean 'salt'?"),
        (Good(ModelSpec("a", "student")), {}, {}, "engine must be a class, its dotted path or"),
        (Good, {"engine": "openai"}, {}, "model has engine: openai, and the engine is tests."),
        (Good, ["path"], {}, "model must be a mapping, an entry as under models:"),
        ("recorded", {"predictions": {"e": "e.jsonl"}}, {}, "'recorded' runs no model"),
        ("reported", {"scores": {"e": {"accuracy": 1}}}, {}, "'reported' runs no model"),
        ("transformer", {}, {}, "unknown engine 'transformer'; did you mean 'transformers'?"),
        ("no.such:Engine", {}, {}, "cannot import 'no.such'"),
        (Good, {}, {"tasks": ["clasification"]}, "did you mean 'classification'?"),
        (Good, {}, {"requests": []}, "requests: must have some"),
        (Good, {}, {"requests": ["good"]}, "requests: 'good' is no request"),
    ],
)
def test_a_mistake_of_the_test_is_told_as_in_distill_yaml(
    engine: Any, model: Any, more: dict[str, Any], said: str
) -> None:
    """It is no fault of the engine."""
    with pytest.raises(ConfigError, match=re.escape(said)):
        engine_contract(engine, model, **more)
