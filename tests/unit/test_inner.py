"""A model that one engine has another one run: its entry under ``of:``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from pytest_distill._util.strict import STRICT
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.config import Config, Extensions, load_config
from pytest_distill.config.schema import EngineModel
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.inner import Inner
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.project.project import Project

EVALS = "evals:\n  e: {task: perplexity, data: gold.jsonl}\n"


class Outer:
    """An engine that has another one answer."""

    class Options(BaseModel):
        """Its keys."""

        model_config = STRICT

        of: Inner
        hosts: int = Field(default=1, exclude=True)

    asked_at = "here"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec


class Rules:
    """An engine that declares its options; nothing is asked of it here."""

    class Options(BaseModel):
        """Its keys."""

        words: list[str]
        tries: Annotated[int, Field(ge=1)] = 3
        limits: Limits | None = None

        @field_validator("words")
        @classmethod
        def _some(cls, words: list[str]) -> list[str]:
            if not words:
                raise ValueError("needs a word")
            return words

    @staticmethod
    def weights_named(spec: ModelSpec) -> tuple[object, ...]:
        """Return what its rules are."""
        return (spec.path, *spec.options.words)


class Limits(BaseModel):
    """A mapping inside of the options."""

    model_config = STRICT

    most: int = 1


Rules.Options.model_rebuild()


class Odd:
    """An engine whose options are no pydantic model."""

    Options = dict


class Rude:
    """An engine whose options raise what pydantic does not catch."""

    class Options(BaseModel):
        """Its key."""

        word: str

        @field_validator("word")
        @classmethod
        def _never(cls, word: str) -> str:
            raise LookupError(word)


ADDED = {"outer": Outer, "rules": Rules, "odd": Odd, "rude": Rude}


def load(folder: Path, models: str) -> Config:
    """Load a distill.yaml with these models."""
    path = folder / "distill.yaml"
    path.write_text(f"models:\n{models}{EVALS}", encoding="utf-8")
    return load_config(path, Extensions(engines=ADDED))


def entry(folder: Path, of: str, more: str = "") -> EngineModel:
    """Return the entry of a teacher that the outer engine has run."""
    config = load(folder, f"  teacher:\n    engine: outer\n    of: {{{of}}}\n{more}")
    found = config.models["teacher"]
    assert isinstance(found, EngineModel)
    return found


def inner(model: EngineModel) -> Inner:
    """Return what an entry has run."""
    found = model.options.of
    assert isinstance(found, Inner)
    return found


def test_it_is_what_its_engine_says_it_is(tmp_path: Path) -> None:
    """Its keys become its own engine's options, and its path starts from the file's folder."""
    (tmp_path / "models").mkdir()
    model = entry(tmp_path, "path: models, dtype: bfloat16, device: cpu", "    hosts: 3\n")
    made = inner(model)
    assert (made.engine, made.kind) == ("transformers", TransformersEngine)
    outer = model.spec("teacher", tmp_path, threads=2, worker=1, workers=2)
    assert outer.path == ""
    spec = made.spec(outer)
    assert (spec.path, spec.device) == (str(tmp_path / "models"), "cpu")
    assert spec.options.dtype == "bfloat16"
    assert (spec.name, spec.role, spec.threads, spec.worker) == ("teacher", "teacher", 2, 1)
    assert spec.hash_file is outer.hash_file
    assert spec.kept is outer.kept
    assert spec.began == outer.began


def test_engines_of_hooks_and_dotted_paths_are_found(tmp_path: Path) -> None:
    """By name and by path, with their own options; one without any gets all further keys."""
    assert inner(entry(tmp_path, "engine: rules, words: [a]")).kind is Rules
    made = inner(entry(tmp_path, f"engine: '{__name__}:Rules', words: [a]"))
    assert isinstance(made.options, Rules.Options)
    model = entry(tmp_path, "engine: 'not.here:Engine', url: x")
    assert inner(model).spec(model.spec("teacher", tmp_path)).options == {"url": "x"}
    with pytest.raises(ConfigError, match=r"engine 'not.here:Engine': cannot import 'not.here'"):
        _ = inner(model).kind


def test_a_plain_mapping_is_enough() -> None:
    """As for every engine that is made in Python."""
    made = Outer.Options.model_validate({"of": {"path": "org/model", "revision": "main"}}).of
    assert (made.kind, made.options.revision) == (TransformersEngine, "main")
    assert Outer.Options(of=made).of is made
    with pytest.raises(ValidationError, match=r"of\.dtype\n.*should be 'auto'"):
        Outer.Options.model_validate({"of": {"path": "x", "dtype": "int3"}})


WRONG = {
    "dtpye: float16, path: x": "of.dtpye: unknown key; did you mean 'dtype'?",
    "paht: x": "of.path: is missing",
    "pth: x": "of.pth: unknown key; did you mean 'path'?",
    "path: ''": "of.path: must not be empty",
    "path: 3": "of.path: should be a valid string, not 3",
    "path: x, device: gpu": "of.device: should be 'auto', 'cpu', 'cuda' or 'cuda:N', not 'gpu'",
    "path: x, hosts: 3": "of.hosts: belongs to the engine around this one: write it beside 'of'",
    "path: x, of: 3": "of.of: unknown key; known: adapter, batch_tokens",
    "path: x, dtype: int3": "of.dtype: should be 'auto', 'float32', 'bfloat16' or 'float16'",
    "path: x, engine: 5": "of.engine: should be a valid string, not 5",
    "path: x, engine: transformer": "of.engine: unknown engine 'transformer'; did you mean 't",
    "engine: openia": "of.engine: unknown engine 'openia'; known: odd, rude, rules, transf",
    "engine: recorded, predictions: p": "of.engine: 'recorded' runs no model",
    "engine: reported, scores: {}": "of.engine: 'reported' runs no model",
    "engine: openai, base_url: x, model: m": "of.engine: 'openai' asks a model that runs elsewhere",
    "engine: outer, of: {path: x}": "of.engine: 'outer' has another engine run a model",
    "path: x, role: student": "of.role: is said of the model whatever runs it: write it one level",
    "path: x, trained: {labels: 3}": "of.trained: is said of the model",
    "path: x, latency_ms: 3": "of.latency_ms: is said of the model",
    "path: x, cost_per_1k: 3": "of.cost_per_1k: is said of the model",
    "path: x, parameters: 3": "of.parameters: is said of the model",
    "engine: 'a.b:C', bytes: 3": "of.bytes: is said of the model",
    "engine: rules, words: []": "of.words: needs a word",
    "engine: rules": "of.words: is missing",
    "engine: rules, words: [3]": "of.words[0]: should be a valid string, not 3",
    "engine: rules, words: [a], limits: {mst: 3}": "of.limits.mst: unknown key; did you mean",
    "engine: rules, words: [a], wrds: b": "of.wrds: unknown key; did you mean 'words'?",
    "engine: odd": "of.engine: Options of Odd must be derived from pydantic.BaseModel",
    "engine: rude, word: x": "of.engine: Options raised LookupError: x",
}


@pytest.mark.parametrize("of", WRONG)
def test_a_mistake_in_it_is_told_by_line_and_key(tmp_path: Path, of: str) -> None:
    """Each as in an entry that stands alone."""
    with pytest.raises(ConfigError) as error:
        entry(tmp_path, of)
    assert f"distill.yaml:4: models.teacher.{WRONG[of]}" in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Of the engine's own keys, of those that all have, and of what stands beside."""
    with pytest.raises(ConfigError) as error:
        entry(tmp_path, "path: 3, dtype: x, adaptor: y, role: sft", "    hsts: 3\n")
    lines = str(error.value).split("\n")
    keys = ["hsts", "of.adaptor", "of.role", "of.dtype", "of.path"]
    assert sorted(line.split(": ")[1] for line in lines) == sorted(
        f"models.teacher.{k}" for k in keys
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("engine: outer", "models.teacher.of: is missing"),
        ("engine: outer, of: models/teacher", "models.teacher.of: should be a mapping, not"),
        (
            "engine: outer, path: x",
            "models.teacher.path: belongs to the engine that answers: write",
        ),
        (
            "engine: outer, of: {path: x}, dtype: auto",
            "models.teacher.dtype: belongs to the engine",
        ),
        (
            "engine: outer, of: {path: x}, host: 1",
            "models.teacher.host: unknown key; did you mean 'h",
        ),
        (
            "engine: outer, of: {path: x}, bytes: 1",
            "models.teacher.bytes: is measured of a checkpoi",
        ),
        (
            "engine: outer, of: {engine: rules, words: [a]}, tries: 1",
            "models.teacher.tries: belongs",
        ),
    ],
)
def test_what_stands_beside_it_is_held_against_it(
    tmp_path: Path, entry: str, expected: str
) -> None:
    """A key that was written among those of the other engine is told where it belongs."""
    with pytest.raises(ConfigError, match=r"distill\.yaml:2: ") as error:
        load(tmp_path, f"  teacher: {{{entry}}}\n")
    assert expected in str(error.value)


def test_a_size_may_be_declared_where_none_is_measured(tmp_path: Path) -> None:
    """As of any engine of one's own."""
    model = entry(tmp_path, "engine: rules, words: [a]", "    parameters: 7\n    latency_ms: 3\n")
    assert model.declared == {"parameters": 7, "latency_ms": 3.0}


def test_an_export_knows_the_model_by_what_answers(tmp_path: Path) -> None:
    """What one process answered stands for what many do, and the other way round."""
    of = "path: models/t, dtype: float32, revision: 2031-12-31"
    many = entry(tmp_path, of.replace("2031-12-31", "'1'"), "    hosts: 4\n")
    one = load(tmp_path, f"  teacher: {{{of.replace('2031-12-31', repr('1'))}}}\n").models[
        "teacher"
    ]
    assert isinstance(one, EngineModel)
    assert many.written == one.written
    assert many.where_it_lies == "models/t"
    assert many.answerer.engine == one.answerer.engine == "transformers"


BOTH = """\
  teacher: {engine: outer, of: {path: models/t, dtype: float32}}
  student: {path: models/s}
"""


def test_a_run_points_at_the_model_inside(tmp_path: Path) -> None:
    """Path and device of the command line are those of the engine that answers."""
    config = load(tmp_path, BOTH)
    project = Project(config, device="cpu", paths={"teacher": "./new"})
    engine: Any = project.models["teacher"]
    runner = engine.runner
    assert isinstance(runner, Outer)
    options: Any = runner.spec.options
    spec = options.of.spec(runner.spec)
    assert (spec.path, spec.device, options.of.kind) == (
        *(str(tmp_path / "new"), "cpu"),
        TransformersEngine,
    )
    assert spec.options.dtype == "float32"
    assert options.hosts == 1


def test_a_model_without_a_path_cannot_be_pointed_at(tmp_path: Path) -> None:
    """Pointing it somewhere would silently do nothing."""
    config = load(
        tmp_path, "  teacher: {engine: openai, base_url: 'http://127.0.0.1:1', model: m}\n"
    )
    with pytest.raises(ConfigError, match="--distill-model teacher=x: 'teacher' is openai, whose"):
        Project(config, paths={"teacher": "x"})


SAME = {
    "one is inside": BOTH.replace("models/s", "./models/t"),
    "both are inside": BOTH.replace("{path: models/s}", "{engine: outer, of: {path: models/t}}"),
    "an engine of one's own": "  teacher: {engine: outer, of: {engine: rules, words: [a]}}\n"
    "  student: {engine: rules, words: [a], tries: 1}\n",
}


@pytest.mark.parametrize("models", SAME.values(), ids=SAME)
def test_two_roles_with_one_checkpoint_are_refused(tmp_path: Path, models: str) -> None:
    """However each of them is run."""
    (tmp_path / "models" / "t").mkdir(parents=True)
    (tmp_path / "gold.jsonl").write_text('{"text": "a"}\n', encoding="utf-8")
    project = Project(load(tmp_path, models))
    with pytest.raises(ComparisonError, match="'teacher' and 'student' have the same weights"):
        project.comparison("e", kind=Comparison)
    other = Project(load(tmp_path, models.replace("t,", "u,").replace("[a]}}", "[b]}}")))
    assert other.comparison("e", kind=Comparison) is not None
