"""Answers of servers in the store, and judged where nobody can ask for them."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path

import pytest

from pytest_distill.cli import main
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.config.reading import load_config
from pytest_distill.errors import ConfigError, EvaluationError, ModelError
from pytest_distill.evaluation.answered import fingerprints_of
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.exported import ExportedModel
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.project.project import Project
from tests.servers.served import Asked, Reply, Served, chat_answer, completion, served

KEY = "sk-very-secret-key-of-a-test"
N = 6


class Server:
    """A server whose answers have the fingerprint that it has at the time."""

    def __init__(self) -> None:
        self.fingerprint: str | None = "fp_a"
        self.numbers = count()

    def __call__(self, asked: Asked) -> Reply:
        """Answer with what stands in the prompt."""
        said = asked.body["prompt"]
        number = next(self.numbers)
        return Reply(completion(said, number, system_fingerprint=self.fingerprint))


def write(folder: Path, at: Served, **keys: object) -> Path:
    """Write a project whose teacher is asked at a server."""
    rows = [{"id": f"e{n}", "q": f"question {n}", "a": f"question {n}"} for n in range(N)]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    teacher = {"engine": "openai", "base_url": at.url, "model": "m", **keys}
    said = ", ".join(f"{key}: {json.dumps(value)}" for key, value in teacher.items())
    path = folder / "distill.yaml"
    path.write_text(
        f"models:\n  teacher: {{{said}}}\n"
        "evals:\n  qa: {task: generation, data: gold.jsonl, input: q, target: a}\n"
    )
    return path


def evaluated(path: Path, predictions: Path | None = None) -> MeasuredEvaluation:
    """Return the teacher's evaluation, in a run of its own."""
    keeper = Keeper(path.parent / ".distill", warn=pytest.fail, tell=pytest.fail)
    project = Project(load_config(path), keeper=keeper, predictions=predictions)
    try:
        found = project.comparison(kind=Comparison).evaluation("teacher")
    finally:
        project.close()
    assert isinstance(found, MeasuredEvaluation)
    return found


def test_a_pin_uses_no_answer_of_another_fingerprint(tmp_path: Path) -> None:
    """Stored ones neither; without a pin old and new ones are counted."""
    answering = Server()
    with served(answering) as at:
        plain = write(tmp_path, at)
        assert fingerprints_of(evaluated(plain)) == {"fp_a": N}
        asked = len(at.asked)
        answering.fingerprint = "fp_b"
        assert fingerprints_of(evaluated(plain)) == {"fp_a": N}
        assert len(at.asked) == asked
        rows = (tmp_path / "gold.jsonl").read_text()
        (tmp_path / "gold.jsonl").write_text(rows + '{"id": "new", "q": "new", "a": "new"}\n')
        assert fingerprints_of(evaluated(plain)) == {"fp_a": N, "fp_b": 1}
        with pytest.raises(ModelError, match=r"has system_fingerprint fp_b, .* has pin: fp_a"):
            evaluated(write(tmp_path, at, pin="fp_a"))
        assert fingerprints_of(evaluated(write(tmp_path, at, pin="fp_b"))) == {"fp_b": N}


def test_exported_answers_stand_in_where_there_is_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are of the server and the name in distill.yaml, and no file has the key."""
    monkeypatch.setenv("KEY_OF_A_TEST", KEY)
    exported = tmp_path / "predictions"
    with served(Server()) as at:
        path = write(tmp_path, at, api_key_env="KEY_OF_A_TEST")
        here = evaluated(path)
        assert at.asked[-1].headers["authorization"] == f"Bearer {KEY}"
        monkeypatch.delenv("KEY_OF_A_TEST")
        asked = len(at.asked)
        store = ["store", "export", "--config", str(path), str(exported)]
        assert main(store) == 0, capsys.readouterr().err
        there = evaluated(path, exported)
        other = write(tmp_path, at, api_key_env="KEY_OF_A_TEST", pin="fp_a")
        with pytest.raises(ConfigError, match=r"pin: exported was None, .* says 'fp_a'"):
            evaluated(other, exported)
        assert len(at.asked) == asked
    assert there.predictions == here.predictions
    assert fingerprints_of(there) == {"fp_a": N}
    manifest = json.loads((exported / "models.json").read_text())["teacher"]
    assert manifest["model"]["base_url"] == at.url
    assert manifest["identity"]["server"] == at.url.removeprefix("http://")
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


def test_exported_answers_stand_in_where_nobody_listens(tmp_path: Path) -> None:
    """A server without a key is asked as long as it takes connections."""
    exported = tmp_path / "predictions"
    with served(Server()) as at:
        path = write(tmp_path, at)
        evaluated(path)
        assert main(["store", "export", "--config", str(path), str(exported)]) == 0
        assert not isinstance(teacher(path, exported), ExportedModel)
    assert isinstance(teacher(path, exported), ExportedModel)


def test_exported_answers_to_other_labels_are_refused(tmp_path: Path) -> None:
    """What the model is told beside its requests is compared, and the report says who it was."""
    numbers = count()

    def first_label(asked: Asked) -> Reply:
        return Reply(chat_answer(asked.body["structured_outputs"]["choice"][0], next(numbers)))

    exported = tmp_path / "predictions"
    with served(first_label) as at:
        path = write(tmp_path, at, classify_by="structured_outputs")
        as_labels = (
            "data: gold.jsonl, task: classification, labels: [bad, good], input: q, target: a"
        )
        said = path.read_text()
        path.write_text(said[: said.index("  qa:")] + f"  qa: {{{as_labels}}}\n")
        gold = (tmp_path / "gold.jsonl").read_text()
        (tmp_path / "gold.jsonl").write_text(gold.replace('"a": "question', '"a": "good", "b": "'))
        evaluated(path)
        assert main(["store", "export", "--config", str(path), str(exported)]) == 0
    there = evaluated(path, exported)
    assert there.info.path == f"m at 127.0.0.1:{at.port}"
    path.write_text(path.read_text().replace("[bad, good]", "[good, bad]"))
    with pytest.raises(EvaluationError, match=r"qa\.teacher\.jsonl:1 .*asked something else"):
        evaluated(path, exported)


def teacher(path: Path, predictions: Path) -> object:
    """Return what stands for the teacher."""
    return Project(load_config(path), predictions=predictions).models["teacher"]


def test_the_store_lists_where_it_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First and second answers are told apart, and what is used is not pruned."""
    with served(Server()) as at:
        path = write(tmp_path, at, noise_check=3)
        assert evaluated(path).again is not None
        asked = len(at.asked)
        store = ["--config", str(path)]
        assert main(["store", "prune", *store]) == 0
        assert main(["store", "list", *store]) == 0
        assert evaluated(path).again is not None
        assert len(at.asked) == asked
    told = capsys.readouterr().out
    where = f"openai, {at.url.removeprefix('http://')}"
    assert "0 models and 0 predictions dropped" in told
    assert f"teacher  m  {N} predictions  {where}  " in told
    assert f"teacher  m  3 predictions  {where}, asked again  " in told


def test_only_what_is_asked_for_is_paid_for(tmp_path: Path) -> None:
    """A model here runs all selected evals while it is loaded; one elsewhere those alone."""
    with served(Server()) as at:
        path = write(tmp_path, at)
        path.write_text(path.read_text() + "  other: {task: generation, data: gold.jsonl, "
                        "input: q, target: a, prompt: 'other: {{ q }}'}\n")  # fmt: skip
        project = Project(load_config(path))
        project.selected.update(("qa", "other"))
        project.comparison("qa", kind=Comparison).evaluation("teacher")
        project.close()
    assert not [asked for asked in at.asked if asked.body["prompt"].startswith("other: ")]
