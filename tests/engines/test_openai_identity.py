"""A model behind a server: what tells it from others, and what its answers say of it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.config.reading import load_config
from pytest_distill.engines import Elsewhere, ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.errors import ComparisonError, ConfigError, ModelError
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest
from pytest_distill.project.project import Project
from tests.servers.served import Asked, Reply, completion, served

EVAL = "evals:\n  qa: {task: generation, data: gold.jsonl, input: q, target: a}\n"


def answers(*fingerprints: str | None, pin: str | None = None, **more: Any) -> list[Prediction]:
    """Return the predictions of a server whose answers have these fingerprints, one by one."""
    numbers = count()

    def handle(_: Asked) -> Reply:
        number = next(numbers)
        return Reply(completion("yes", number, system_fingerprint=fingerprints[number], **more))

    with served(handle) as server:
        options = {"base_url": server.url, "model": "m", "pin": pin, "max_concurrency": 1}
        engine = OpenAIEngine(ModelSpec("teacher", "teacher", options=options))
        requests = [
            GenerationRequest(f"e{n}", f"question {n}", False, Decoding(max_new_tokens=5))
            for n in range(len(fingerprints))
        ]
        return sorted(engine.predict(requests), key=lambda p: p.id)


def test_each_prediction_has_the_fingerprint_of_its_answer() -> None:
    """None where the server gives none, or what is no text."""
    found = answers("fp_a", None, "fp_b", "  ")
    assert [p.fingerprint for p in found] == ["fp_a", None, "fp_b", None]


def test_another_model_that_answers_is_named() -> None:
    """The name that the server gives is kept where it is not the one that was asked for."""
    assert [p.answered_as for p in answers("fp", model="m")] == [None]
    assert [p.answered_as for p in answers("fp", model="m-2026-11-20")] == ["m-2026-11-20"]


@pytest.mark.parametrize(
    ("met", "said"),
    [("fp_b", "has system_fingerprint fp_b,"), (None, "has no system_fingerprint,")],
)
def test_an_answer_without_the_pinned_fingerprint_is_refused(met: str | None, said: str) -> None:
    """The error names the example, what was met, what is pinned and what to do."""
    assert len(answers("fp_a", "fp_a", pin="fp_a")) == 2
    with pytest.raises(ModelError) as caught:
        answers("fp_a", met, pin="fp_a")
    told = str(caught.value)
    assert "example 'e1'" in told
    assert f"{said} and distill.yaml has pin: fp_a" in told
    assert "pin" in told.rpartition(";")[2]


def engine_at(base_url: str, **options: Any) -> OpenAIEngine:
    """Return the engine of a model ``m`` that is asked nothing."""
    said = {"base_url": base_url, "model": "m", **options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=said))


def test_the_identity_is_the_server_and_the_name_however_the_url_is_written() -> None:
    """Case of the host, the port that a scheme has anyway and a last slash make no other model."""
    one = engine_at("https://API.example.com:443/v1/").identity
    assert one == engine_at("https://api.example.com/v1").identity
    others: list[Mapping[str, Any]] = [
        engine_at("https://api.example.com/v2").identity,
        engine_at("https://api.example.com:8443/v1").identity,
        engine_at("https://api.example.com/v1", model="other").identity,
        engine_at("https://api.example.com/v1", pin="fp_a").identity,
    ]
    assert all(other != one for other in others)


def project(folder: Path, teacher: str, student: str) -> Project:
    """Return a project of two models behind servers."""
    path = folder / "distill.yaml"
    (folder / "gold.jsonl").write_text('{"id": "e0", "q": "1 + 1?", "a": "2"}\n')
    entries = f"models:\n  teacher: {{engine: openai, {teacher}}}\n"
    entries += f"  student: {{engine: openai, {student}}}\n"
    path.write_text(entries + EVAL)
    return Project(load_config(path))


def test_one_model_under_two_names_is_refused(tmp_path: Path) -> None:
    """Also where the host is written in two ways; another model of the same server is fine."""
    from pytest_distill.comparison.comparison import Comparison

    one = "base_url: 'http://localhost:9/v1', model: m"
    same = "base_url: 'http://127.0.0.1:9/v1/', model: m"
    with pytest.raises(ComparisonError, match=r"'teacher' and 'student' have the same weights"):
        project(tmp_path, one, same).comparison(kind=Comparison)
    other = same.replace("model: m", "model: small")
    assert project(tmp_path, one, other).comparison(kind=Comparison).eval == "qa"


@pytest.mark.parametrize("key", ["path: models/teacher", "device: cuda"])
def test_keys_of_files_are_refused(tmp_path: Path, key: str) -> None:
    """With file, line and key: nothing of the model lies here."""
    with pytest.raises(
        ConfigError, match=rf"distill\.yaml:2: models\.teacher\.{key.split(':')[0]}"
    ):
        project(tmp_path, f"base_url: 'http://localhost:9/v1', model: m, {key}", "path: x")


def test_a_path_for_this_run_is_refused(tmp_path: Path) -> None:
    """`--distill-model` has nothing to point at; `--distill-device` changes nothing."""
    config = project(
        tmp_path,
        "base_url: 'http://localhost:9/v1', model: m",
        "base_url: 'http://localhost:9/v1', model: small",
    ).config
    assert Project(config, device="cpu").models.keys() == {"teacher", "student"}
    with pytest.raises(ConfigError, match="--distill-model teacher=x: 'teacher' is openai"):
        Project(config, paths={"teacher": "x"})


def test_where_it_is_asked_is_what_is_known_of_it(tmp_path: Path) -> None:
    """Its size is not known, and can be declared."""
    made = project(
        tmp_path,
        "base_url: 'http://localhost:9/v1', model: m, parameters: 7000000000",
        "base_url: 'http://localhost:9/v1', model: small",
    )
    info = made.models["teacher"].info
    assert (info.path, info.parameters, info.declared) == (
        *("m at localhost:9", 7_000_000_000),
        ("parameters",),
    )
    assert isinstance(engine_at("http://localhost:9/v1"), Elsewhere)


def test_whether_it_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key it is whether that is given; without one, whether somebody listens."""

    def here(base_url: str, **more: Any) -> bool:
        options = OpenAIOptions(base_url=base_url, model="m", **more)
        return OpenAIEngine.is_here(ModelSpec("teacher", "teacher", options=options))

    monkeypatch.delenv("KEY_OF_A_TEST", raising=False)
    with served(lambda _: Reply({})) as server:
        assert here(server.url)
        assert not here(server.url, api_key_env="KEY_OF_A_TEST")
        asked = len(server.asked)
    assert asked == 0
    assert not here(server.url)
    monkeypatch.setenv("KEY_OF_A_TEST", "secret")
    assert here(server.url, api_key_env="KEY_OF_A_TEST")
