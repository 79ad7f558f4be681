"""Log-likelihoods from a server: those of the same model in this process, or an error."""

from __future__ import annotations

import asyncio
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from pytest_distill import ModelError
from pytest_distill.engines import Engine, ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.engines.openai.calls import Call
from pytest_distill.engines.openai.echoes import Echo, Manner, echoes
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from tests.servers.scoring import Lies, Scored, scoring
from tests.servers.served import Served

from .test_engine_choices import REQUESTS
from .tiny import CORPUS, Make, predicted

CHOICES = [
    *REQUESTS,
    ChoiceRequest("inside", "Question: what is the cap", ("tain", "ital? Answer: Paris")),
    ChoiceRequest("accents", "Café né", ("e à Paris", "gation 👍🏽", "é")),
    ChoiceRequest("half", "👍", ("🏽", "🏾")),
    ChoiceRequest("spaces", "The early  \n", (" bird", "bird", "\tbird")),
    ChoiceRequest(
        "contexts", "", (" nine", " worm", " nine"), contexts=("saves", "gets the", "gets the")
    ),
    ChoiceRequest("prefix itself", "<s>", ("The quick", "x")),
    ChoiceRequest("alike", "A stitch", (" in time", " in time")),
]
TEXTS = [
    PerplexityRequest("short", "good"),
    PerplexityRequest("accents", "Café né à 👍🏽 ¡olé!"),
    PerplexityRequest("begun", "<s>one, two, three"),
    PerplexityRequest("windows", CORPUS + " é👍", 16),
    PerplexityRequest("strides", CORPUS, 20, 7),
    PerplexityRequest("one window", "one, two", 50, 10),
    PerplexityRequest("wide", CORPUS[:60], 30, 1, share_cache=False),
]


def asked(server: Served, **options: object) -> OpenAIEngine:
    """Return an engine for a server's model."""
    said = {"base_url": server.url, "model": "m", "bos": "<s>", **options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=said))


def same(engine: OpenAIEngine, made: Engine, requests: list[Any]) -> None:
    """Assert that both say the same of all requests."""
    for got, expected in zip(predicted(engine, requests), predicted(made, requests), strict=True):
        assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=1e-4), got.id
        assert (got.greedy, got.tokens) == (expected.greedy, expected.tokens), got.id


@pytest.mark.parametrize("requests", [CHOICES, TEXTS], ids=["choices", "texts"])
def test_a_server_says_what_the_same_model_says_here(
    server: Served, engine: Make, causal_folder: Path, requests: list[Any]
) -> None:
    """Seams within tokens, empty contexts, parts of characters, windows and strides."""
    same(asked(server), engine(causal_folder), requests)


@pytest.fixture(scope="module")
def with_bos(causal_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same model, whose tokenizer puts ``<s>`` before every text."""
    folder = Path(shutil.copytree(causal_folder, tmp_path_factory.mktemp("bos") / "model"))
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(file))
    return folder


def test_a_server_may_put_a_token_before_every_text(engine: Make, with_bos: Path) -> None:
    """Then nobody has to say which; that of a text that begins with it is its own."""
    with scoring(Scored(with_bos)) as server:
        for requests in (CHOICES, TEXTS):
            same(asked(server, bos=None), engine(with_bos), requests)


@pytest.mark.parametrize("lies", [Lies(no_ids=True, longest_list=2), Lies(first_of_list=True)])
def test_what_a_server_cannot_do_is_done_without(
    server: Served, model: Scored, engine: Make, lies: Lies
) -> None:
    """It refuses long lists of prompts and ids of tokens, or answers of a list the first alone."""
    model.lies = lies
    asking, made = asked(server), engine(model.folder)
    same(asking, made, [request for request in CHOICES if request.id != "inside"])
    same(asking, made, [request for request in TEXTS if request.window is None])


CHOICE = [ChoiceRequest("e1", "Question: what is the capital?\nAnswer:", (" Paris", " a worm"))]
INSIDE = [ChoiceRequest("e1", "Question: what is the cap", ("tain", "ital? Answer: Paris"))]
LONG_CHOICE = [ChoiceRequest("e1", CORPUS, (" x",))]
LONG = [PerplexityRequest("e1", CORPUS, 16)]


@pytest.mark.parametrize(
    ("lies", "requests", "message"),
    [
        (Lies(shifted=1), CHOICE, "written: each token has its neighbour's"),
        (Lies(shifted=-1), CHOICE, "written: each token has its neighbour's"),
        (Lies(late=True), CHOICE, "not those that the same tokens have when they are written"),
        (Lies(no_logprobs=True), CHOICE, "has no logprobs, though they were asked for"),
        (Lies(top_only=True), CHOICE, "leaves out the log-probabilities of some tokens"),
        (Lies(rounded=True), CHOICE, "the server rounds log-probabilities"),
        (Lies(probabilities=True), CHOICE, "no natural logarithms"),
        (Lies(scale=0.05), CHOICE, "no natural logarithms: two tokens"),
        (Lies(no_echo=True), CHOICE, "could not be tried"),
        (Lies(no_completions=True), CHOICE, "404.*multiple_choice needs a server"),
        (Lies(no_usage=True), CHOICE, "does not say in usage how many tokens were written"),
        (Lies(cuts=30), LONG_CHOICE, "cuts what is too"),
        (Lies(cuts=30), [PerplexityRequest("e1", CORPUS)], "'e1': the answer has not the beginn"),
        (Lies(cuts=30), [ChoiceRequest("e1", "", (CORPUS, " x"))], "server cuts what is too"),
        (Lies(longest=40), LONG_CHOICE, "'e1'.*context length is 40, not.*shorten it"),
        (Lies(no_ids=True), INSIDE, "example 'e1': the prompt's last token and the first one"),
        (Lies(no_ids=True), LONG, "example 'e1': a text is read in windows"),
        (Lies(no_tokenize=True), LONG, "404"),
        (Lies(), [ChoiceRequest("e1", "Hello", ("",))], r"choice 0 \(''\) adds no token"),
        (Lies(), [ChoiceRequest("e1", "  ", ("x",))], r"choice 0 \('x'\) adds no token"),
    ],
)
def test_what_a_server_does_not_honour_is_refused(
    server: Served, model: Scored, lies: Lies, requests: list[Any], message: str
) -> None:
    """One error each, whatever status it was answered with; nothing is scored."""
    model.lies = lies
    with pytest.raises(ModelError, match=message):
        list(asked(server).predict(requests))


@pytest.mark.parametrize("index", [[], {}, True, "0", 1, -1])
def test_a_choice_is_that_of_the_prompt_that_it_names(index: object) -> None:
    """Else it is no answer; where it names none, its place tells."""
    logprobs = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0]}
    choice = {"text": "ab", "logprobs": logprobs}

    def found(said: object) -> list[Echo]:
        async def send(_: Call) -> dict[str, Any]:
            choices = [{**choice, "index": said}]
            return {"choices": choices, "usage": {"completion_tokens": 1}}

        return asyncio.run(echoes(send, "e1", ["a"], Manner(), "m"))

    assert found(None) == found(0) == [Echo(("a",), (None,), (None,))]
    with pytest.raises(ModelError, match="example 'e1': the answer has 1 choices for 1 prompt"):
        found(index)


def test_a_first_token_needs_one_before_it(server: Served) -> None:
    """An empty context is refused where nothing says what a text begins with."""
    for bos, message in ((None, "say which"), ("<t>", "not one token of this model")):
        with pytest.raises(ModelError, match=message):
            list(asked(server, bos=bos).predict([ChoiceRequest("e1", "", ("x", "y"))]))


def test_without_the_likeliest_tokens_nothing_is_said_of_them(
    server: Served, model: Scored
) -> None:
    """Log-likelihoods are known then, and whether a choice is greedy is not."""
    model.lies = Lies(no_tops=True)
    (prediction,) = asked(server).predict(CHOICE)
    assert prediction.greedy is None
    assert prediction.loglikelihoods is not None
    assert all(math.isfinite(value) for value in prediction.loglikelihoods)


def test_an_answer_is_found_again_by_the_token_before_it() -> None:
    """Where there is one; what was asked without it does not depend on it."""
    requests = [*CHOICES, *TEXTS]
    nowhere = Served(1)
    first, second = (asked(nowhere, bos=bos).dated_prompts(requests) for bos in ("<s>", "</s>"))
    assert first.keys() == {"empty", *(request.id for request in TEXTS)}
    assert set(second.values()) == {"</s>"}
    assert asked(nowhere, bos=None).dated_prompts(requests) == {}
    assert asked(nowhere).identity == asked(nowhere, bos=None).identity


def test_a_server_is_tried_once(server: Served) -> None:
    """Before the first example of an engine, whatever is asked afterwards."""
    asking = asked(server)
    list(asking.predict(CHOICE))
    before = len(server.asked)
    list(asking.predict([PerplexityRequest("e1", "good")]))
    list(asking.predict(CHOICE))
    assert len(server.asked) - before == 2


def test_a_texts_tokens_cost_nothing_and_have_no_fingerprint(server: Served, model: Scored) -> None:
    """They are none of the model's answers."""
    model.lies = Lies(fingerprint="fp_1")
    asking = asked(server, pin="fp_1", prices={"input": 1, "output": 1})
    (prediction,) = asking.predict(LONG)
    assert prediction.fingerprint == "fp_1"
    assert (
        asking.purse.asked
        == asking.purse.answers
        == sum(one.path == "/v1/completions" for one in server.asked)
    )
    assert asking.purse.unsure == 0
