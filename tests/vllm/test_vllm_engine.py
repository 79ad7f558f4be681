"""The engine vllm beside the engine transformers, on the same files: `run.sh` runs these."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.vllm import VLLMEngine
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.testing import engine_contract
from tests.engines.tiny import TEXTS as SOME_TEXTS
from tests.engines.tiny import predicted
from tests.smollm2 import smollm2, without_layer

from .recording import CHOICES, LONG, TEXTS

pytestmark = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed: tests/vllm/run.sh does that"
)

QUICK: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "kv_cache_gib": 0.5}
FEW_AT_ONCE = {"max_model_len": 512, "engine_args": {"max_num_seqs": 2}}
SAME = 1e-3
WRITTEN = [
    GenerationRequest("plain", "The capital of France is", decoding=Decoding(max_new_tokens=12)),
    GenerationRequest(
        "stop", "one, two, three,", decoding=Decoding(max_new_tokens=12, stop=(" six", "x"))
    ),
    GenerationRequest(
        "special stop",
        "What is the capital of Italy?",
        chat=True,
        decoding=Decoding(max_new_tokens=40, stop=("<|im_end|>",)),
    ),
    GenerationRequest(
        "end", "What is the capital of Spain?", chat=True, decoding=Decoding(max_new_tokens=60)
    ),
    GenerationRequest(
        "talk",
        "",
        decoding=Decoding(max_new_tokens=8),
        conversation=Conversation(
            [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hello!"}]
        ),
    ),
    GenerationRequest(
        "thinking",
        "<|im_start|>",
        decoding=Decoding(max_new_tokens=10),
        thinking=("<|im_start|>", "<|im_end|>"),
    ),
    GenerationRequest("less", "The capital of France is", decoding=Decoding(max_new_tokens=5)),
    GenerationRequest("empty", "", decoding=Decoding(max_new_tokens=4)),
]


def made(path: Path, **options: Any) -> VLLMEngine:
    """Return the engine of a model, which is not loaded."""
    return VLLMEngine(ModelSpec("teacher", "teacher", path=str(path), options={**QUICK, **options}))


def beside(path: Path) -> TransformersEngine:
    """Return the other engine of the same model."""
    options = {"dtype": "float32"}
    return TransformersEngine(ModelSpec("student", "student", path=str(path), options=options))


@pytest.fixture(scope="module")
def there() -> Iterator[VLLMEngine]:
    """Return SmolLM2 in vLLM, which every test finds as it was."""
    engine = made(smollm2(), max_model_len=1024)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def here() -> TransformersEngine:
    """Return SmolLM2 in transformers."""
    return beside(smollm2())


@pytest.fixture(scope="module")
def tiny(causal_folder: Path) -> Iterator[VLLMEngine]:
    """Return a model that reads 96 tokens."""
    engine = made(causal_folder)
    yield engine
    engine.close()


def alike(
    one: VLLMEngine, other: TransformersEngine, requests: Sequence[Request]
) -> list[tuple[Prediction, Prediction]]:
    """Return the answers of both, whose log-likelihoods are the same and all else equal."""
    pairs = list(zip(predicted(one, requests), predicted(other, requests), strict=True))
    for got, expected in pairs:
        assert got.loglikelihoods == pytest.approx(expected.loglikelihoods, abs=SAME)
        assert replace(got, loglikelihoods=None) == replace(expected, loglikelihoods=None)
    return pairs


@pytest.mark.parametrize("requests", [CHOICES, TEXTS, WRITTEN], ids=["choices", "texts", "written"])
def test_it_answers_as_transformers_does(
    there: VLLMEngine, here: TransformersEngine, requests: list[Request]
) -> None:
    """Log-likelihoods, which choice is greedy, texts, ends and numbers of tokens."""
    alike(there, here, requests)
    assert there.notes == []


def test_texts_end_in_every_way(there: VLLMEngine) -> None:
    """At a stop string, which is cut off, at an end token, and where they are long enough."""
    found = {one.id: one for one in predicted(there, WRITTEN)}
    assert found["stop"].finish == "stop"
    assert " six" not in (found["stop"].text or "")
    assert found["end"].finish == "end"
    assert found["special stop"].finish in ("end", "stop")
    assert (found["plain"].finish, found["plain"].tokens) == ("length", 12)
    assert (found["plain"].text or "").startswith(found["less"].text or "-")
    assert found["less"].tokens == 5


def drawn(seed: int, temperature: float = 0.8, tokens: int = 8) -> GenerationRequest:
    """Return a request for a sampled text."""
    decoding = Decoding(
        max_new_tokens=tokens, do_sample=True, seed=seed, temperature=temperature, top_p=0.9
    )
    return GenerationRequest(f"s{seed}", "Once upon a time", decoding=decoding)


def test_a_sampled_text_follows_from_its_seed_alone(there: VLLMEngine) -> None:
    """Alone or among others, it is the same; other seeds give others."""
    company = predicted(there, [drawn(seed) for seed in range(6)])
    (alone,) = predicted(there, [drawn(4)])
    assert alone.text == company[4].text
    assert len({one.text for one in company}) > 3
    (longer,) = predicted(there, [drawn(4, tokens=12)])
    assert (longer.text or "").startswith(alone.text or "-")


def test_cold_samples_are_refused(there: VLLMEngine) -> None:
    """VLLM would take another temperature without a word."""
    with pytest.raises(ModelError, match=r"example 's1': temperature is 0\.001, and vLLM"):
        predicted(there, [drawn(1, temperature=0.001)])


def test_each_answer_comes_as_soon_as_it_is_finished(there: VLLMEngine) -> None:
    """A short text does not wait for a long one; who stops listening ends what is left."""
    long = GenerationRequest("long", "Count: 1, 2, 3,", decoding=Decoding(max_new_tokens=800))
    short = GenerationRequest(
        "short", "Count: 1, 2, 3,", decoding=Decoding(max_new_tokens=2, stop=("z",))
    )
    begun = time.monotonic()
    coming: Any = there.predict([long, short])  # any: a generator, which the port need not say
    assert next(coming).id == "short"
    coming.close()
    assert predicted(there, [short])[0].tokens == 2
    assert time.monotonic() - begun < 20  # the long one takes more
    alone = predicted(there, CHOICES[:1])
    assert alone[0].loglikelihoods is not None


def test_a_classification_names_the_engine_that_does_it(there: VLLMEngine) -> None:
    """In one line."""
    with pytest.raises(ModelError, match=r"task classification.*set 'engine: transformers'$"):
        predicted(there, [ClassificationRequest("c", "text", labels=("a", "b"))])


def words(count: int) -> str:
    """Return a text of so many tokens of the tiny model, or of about as many."""
    return (SOME_TEXTS[3] * 9)[:count]


def test_texts_as_long_as_the_context_are_read_whole(tiny: VLLMEngine, causal_folder: Path) -> None:
    """And one that is longer in windows, as by transformers; prompts are cut where they may be."""
    other = beside(causal_folder)
    size = len(other.tokenizer(words(300))["input_ids"])
    assert size > 96
    alike(tiny, other, [PerplexityRequest("long", words(300)), PerplexityRequest("w", LONG, 20, 7)])
    cut = ChoiceRequest("cut", words(300), (" nine", " ten"), truncate="left")
    alike(tiny, other, [cut])
    decoding = Decoding(max_new_tokens=6)
    alike(tiny, other, [GenerationRequest("g", words(300), decoding=decoding, truncate="left")])


@pytest.mark.parametrize(
    "request_",
    [
        ChoiceRequest("e7", words(300), (" nine", " ten")),
        GenerationRequest("e7", words(300), decoding=Decoding(max_new_tokens=6)),
        GenerationRequest("e7", "one", decoding=Decoding(max_new_tokens=96)),
        PerplexityRequest("e7", "one", 200),
        ChoiceRequest("e7", "one", ("", " ten")),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_id(tiny: VLLMEngine, request_: Request) -> None:
    """The same as of transformers; the model goes on afterwards."""
    with pytest.raises(ModelError, match=r"example 'e7'"):
        predicted(tiny, [request_])
    assert predicted(tiny, [PerplexityRequest("p", "one")])[0].tokens


def test_the_contract_is_kept(causal_folder: Path) -> None:
    """All that the port promises, with the answers of transformers as reference."""
    report = engine_contract(
        "vllm",
        {"path": str(causal_folder), **QUICK},
        requests=[
            *(replace(CHOICES[at], id=f"c{at}") for at in (0, 4)),
            *(PerplexityRequest(f"p{at}", text) for at, text in enumerate(SOME_TEXTS[:2])),
            *(replace(drawn(seed), prompt=SOME_TEXTS[seed]) for seed in range(2)),
        ],
        impossible=ChoiceRequest("long", words(300), (" nine", " ten")),
        reference={"path": str(causal_folder), "engine": "transformers", "dtype": "float32"},
    )
    kept = {point.point for point in report.kept}
    assert {"seeds", "resume", "identity elsewhere", "close", "reference", "cancel"} <= kept


def test_a_process_that_is_killed_is_an_error_and_the_next_answer_starts_another() -> None:
    """With the example that it was at; and closing leaves none."""
    engine = made(smollm2(), max_model_len=1024)
    requests = [
        GenerationRequest(
            f"g{n}", "Count: 1, 2, 3,", decoding=Decoding(max_new_tokens=most, stop=(f"{n}z",))
        )
        for n, most in enumerate((1, 900))
    ]
    others = processes_of(os.getpid())
    try:
        coming = engine.predict(requests)
        assert next(coming).id == "g0"
        (pid,) = processes_of(os.getpid()) - others
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelError, match=r"example 'g1'.*SIGKILL: memory ran out"):
            next(coming)
        assert predicted(engine, requests[:1])[0].tokens == 1
    finally:
        engine.close()
    assert processes_of(os.getpid()) == others


def processes_of(parent: int) -> set[int]:
    """Return the processes that run vLLM for another one."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if int(fields[1]) == parent and b"vllm.inside" in command and fields[0] != "Z":
                found.add(int(entry.name))
    return found


def test_a_cache_that_is_too_small_says_which_keys_help(causal_folder: Path) -> None:
    """Not vLLM's flags alone."""
    engine = made(causal_folder, kv_cache_gib=0.00001)
    with pytest.raises(ModelError, match=r"'max_model_len'.*'kv_cache_gib'"):
        predicted(engine, [PerplexityRequest("p", "one")])


def test_an_argument_that_vllm_does_not_know_is_told_with_its_key(causal_folder: Path) -> None:
    """What is handed on as it is stands in the message, beside what vLLM says of it."""
    engine = made(causal_folder, engine_args={"max_nun_seqs": 2})
    with pytest.raises(ModelError, match=r"max_nun_seqs.*; engine_args \(max_nun_seqs\) went to"):
        list(engine.predict([GenerationRequest("g", "one,", decoding=Decoding(max_new_tokens=1))]))
    engine.close()


def test_a_run_that_is_killed_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    """The teacher in vLLM, the student in transformers; nothing that was stored is asked again."""
    rows = [{"id": f"e{n}", "q": f"{n}, {n + 1},", "a": f"{n + 2}"} for n in range(60)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "test_gate.py").write_text(
        "import pytest\nfrom pytest_distill import assert_quality_retained\n"
        "@pytest.mark.distill(eval='numbers')\n"
        "def test_keeps():\n    assert_quality_retained(min=0.99)\n"
    )
    model = str(smollm2())
    whole = {
        "models": {
            "teacher": {"engine": "vllm", "path": model, **QUICK, **FEW_AT_ONCE},
            "student": {"path": str(without_layer(10)), "dtype": "float32"},
        },
        "evals": {
            "numbers": {
                "task": "generation",
                "data": "gold.jsonl",
                "input": "q",
                "target": "a",
                "max_new_tokens": 24,
                "metrics": ["token_f1"],
            }
        },
    }
    (tmp_path / "distill.yaml").write_text(yaml.safe_dump(whole))
    (tmp_path / "test_teacher.py").write_text("def test_it(teacher): teacher.evaluate('numbers')\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--distill-report"]
    run = subprocess.Popen([*command, "test_teacher.py"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    store = tmp_path / ".distill" / "predictions.sqlite3"
    until = time.monotonic() + 200
    while stored(store) < 4 and run.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    left = processes_of(run.pid)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    before, killed = stored(store), time.time()
    assert 4 <= before < 60
    until = time.monotonic() + 40
    while any(Path(f"/proc/{pid}").exists() for pid in left) and time.monotonic() < until:
        time.sleep(0.2)
    assert left
    assert not any(Path(f"/proc/{pid}").exists() for pid in left)
    done = subprocess.run(
        [*command, "--distill-json", "r.json", "test_gate.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "quality_retained" in said, said
    assert "Traceback" not in said
    assert "INFO" not in said
    assert "Loading" not in said
    assert stored(store) == 120
    assert stored(store, killed) == before
    assert json.loads((tmp_path / "r.json").read_text())["outcome"] in ("SHIP", "DO NOT SHIP")


def stored(store: Path, until: float = math.inf) -> int:
    """Return how many predictions a store has that were made before some time."""
    if not store.is_file():
        return 0
    counting = "select count(*) from predictions where made < ?"
    try:
        with sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=5) as found:
            return int(found.execute(counting, (until,)).fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
