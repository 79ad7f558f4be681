"""``distill.yaml``: what it may say, and what is said of a mistake in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, field_validator

from pytest_distill.config import Config, Extensions, load_config
from pytest_distill.config.evals import MeasuredEval
from pytest_distill.config.schema import EngineModel, PlacedModel
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

MODELS = """\
models:
  teacher: {path: models/teacher}
  student: {path: models/student}
"""
EVALS = """\
evals:
  reviews:
    task: classification
    data: gold.jsonl
"""


def load(folder: Path, text: str, extensions: Extensions | None = None) -> Config:
    """Load `text` as a distill.yaml."""
    path = folder / "distill.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, extensions)


def test_defaults(tmp_path: Path) -> None:
    """An entry named like a role has it; the engine is transformers, the metric the first."""
    config = load(tmp_path, MODELS + EVALS)
    teacher = config.models["teacher"]
    assert isinstance(teacher, PlacedModel)
    assert (teacher.role, teacher.engine, teacher.device, teacher.options.dtype) == (
        *("teacher", "transformers"),
        *("auto", "auto"),
    )
    assert not teacher.options.trust_remote_code
    assert [m.name for m in config.metrics["reviews"]] == ["accuracy"]
    assert config.settings.sft_size_tolerance == 0.05


def test_paths_start_from_the_file(tmp_path: Path) -> None:
    """A folder beside distill.yaml becomes an absolute path; a hub id stays what it is."""
    (tmp_path / "models" / "teacher").mkdir(parents=True)
    config = load(
        tmp_path,
        "models:\n"
        "  teacher: {path: models/teacher, adapter: ./lora}\n"
        "  student: {path: some-org/some-model, revision: abc}\n" + EVALS,
    )
    specs = {
        name: model.spec(name, tmp_path, threads=2)
        for name, model in config.models.items()
        if isinstance(model, EngineModel)
    }
    assert specs["teacher"].path == str(tmp_path / "models" / "teacher")
    assert Spec.of(specs["teacher"]).options.adapter == str(tmp_path / "lora")
    student = specs["student"]
    assert (student.path, student.options.revision) == ("some-org/some-model", "abc")
    assert specs["student"].threads == 2


@pytest.mark.parametrize("engine", ["transformers", "my.module:Engine"])
def test_latency_and_cost_are_declared_of_any_model(tmp_path: Path, engine: str) -> None:
    """They are said of the model, and are no setting of what runs it."""
    entry = f"engine: '{engine}', path: models/t, latency_ms: 40, cost_per_1k: 0.5"
    config = load(tmp_path, f"models:\n  teacher: {{{entry}}}\n" + EVALS)
    teacher = config.models["teacher"]
    assert teacher.declared == {"latency_ms": 40.0, "cost_per_1k": 0.5}
    assert isinstance(teacher, EngineModel)
    options = dict(teacher.spec("teacher", tmp_path).options)
    assert not options.keys() & teacher.declared.keys()


@pytest.mark.parametrize("wrong", ["latency_ms: 0", "latency_ms: .inf", "cost_per_1k: -0.1"])
def test_an_impossible_latency_or_cost_is_refused(tmp_path: Path, wrong: str) -> None:
    """No request takes no time, and none is paid for being asked."""
    key = wrong.partition(":")[0]
    with pytest.raises(ConfigError, match=f"models.teacher.{key}"):
        load(tmp_path, f"models:\n  teacher: {{path: models/t, {wrong}}}\n" + EVALS)


def test_keys_of_an_own_engine_are_its_options(tmp_path: Path) -> None:
    """What the schema does not know reaches a class of one's own unchanged."""
    config = load(
        tmp_path, "models:\n  teacher: {engine: my.module:Engine, url: here, tries: 3}\n" + EVALS
    )
    teacher = config.models["teacher"]
    assert isinstance(teacher, EngineModel)
    assert teacher.spec("teacher", tmp_path).options == {"url": "here", "tries": 3}


class Rules:
    """An engine of one's own that declares its options; nothing is asked of it here."""

    class Options(BaseModel):
        """Its keys: `within` may be given as text, as pydantic takes it by itself."""

        words: list[str]
        within: Path = Path("rules")
        tries: Annotated[int, Field(ge=1)] = 3

        @field_validator("words")
        @classmethod
        def _some(cls, words: list[str]) -> list[str]:
            if not words:
                raise ValueError("needs a word")
            return words

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec


@pytest.mark.parametrize("engine", ["rules", f"{__name__}:Rules"])
def test_an_own_engine_gets_the_options_that_it_declares(tmp_path: Path, engine: str) -> None:
    """By hook and by dotted path: an object of its own class, with its defaults."""
    text = f"models:\n  teacher: {{engine: '{engine}', words: [good], within: here}}\n"
    config = load(tmp_path, text + EVALS, Extensions(engines={"rules": Rules}))
    teacher = config.models["teacher"]
    assert isinstance(teacher, EngineModel)
    options = teacher.spec("teacher", tmp_path).options
    assert options == Rules.Options(words=["good"], within=Path("here"), tries=3)
    assert config.engine_class("teacher") is Rules


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("wrds: [a], words: [b]", "models.teacher.wrds: unknown key; did you mean 'words'?"),
        ("words: [b], paht: x", "models.teacher.paht: unknown key; did you mean 'path'?"),
        ("tries: 2", "models.teacher.words: is missing"),
        ("words: []", "models.teacher.words: needs a word"),
        ("words: [b], tries: 0", "models.teacher.tries: should be greater than or equal to 1, not"),
    ],
)
def test_a_mistake_in_an_own_engines_options_is_told_by_line_and_key(
    tmp_path: Path, entry: str, expected: str
) -> None:
    """As for a built-in engine, and before anything runs."""
    with pytest.raises(ConfigError) as error:
        load(
            tmp_path,
            f"models:\n  teacher: {{engine: rules, {entry}}}\n" + EVALS,
            Extensions(engines={"rules": Rules}),
        )
    assert f"distill.yaml:2: {expected}" in str(error.value)


class Odd:
    """An engine whose options are no pydantic model."""

    Options = dict


class Shadowing:
    """An engine that declares what every model has."""

    class Options(BaseModel):
        """One of its keys is taken."""

        device: int


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        (Odd, "Options of Odd must be derived from pydantic.BaseModel"),
        (Shadowing, "Options of Shadowing has 'device', which is a key of every model"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, engine: object, expected: str) -> None:
    """The author of the engine is told what it must be."""
    with pytest.raises(ConfigError, match=expected):
        load(
            tmp_path,
            "models:\n  teacher: {engine: odd}\n" + EVALS,
            Extensions(engines={"odd": engine}),
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            MODELS + EVALS + "    metrcs: [accuracy]\n",
            "distill.yaml:8: evals.reviews.metrcs: unknown key; did you mean 'metrics'?",
            id="unknown-key-of-an-eval",
        ),
        pytest.param(
            "models:\n  teacher: {pth: x}\n" + EVALS,
            "distill.yaml:2: models.teacher.pth: unknown key; did you mean 'path'?",
            id="unknown-key-of-a-model",
        ),
        pytest.param(
            MODELS + EVALS + "evls: {}\n",
            "distill.yaml:8: evls: unknown key; did you mean 'evals'?",
            id="unknown-key-at-the-top",
        ),
        pytest.param(
            MODELS + "  small: {path: models/small}\n" + EVALS,
            "distill.yaml:4: models.small: needs a role: teacher, student or sft",
            id="no-role",
        ),
        pytest.param(
            MODELS + "  other: {path: x, role: teacher}\n" + EVALS,
            "distill.yaml:4: models.other: a second teacher; the first is 'teacher'",
            id="two-teachers",
        ),
        pytest.param(
            "models:\n  teacher: {engine: recordd}\n" + EVALS,
            "distill.yaml:2: models.teacher.engine: unknown engine 'recordd'; "
            "did you mean 'recorded'?",
            id="unknown-engine",
        ),
        pytest.param(
            MODELS + "evals:\n  reviews: {task: clasification, data: x.jsonl}\n",
            "distill.yaml:5: evals.reviews.task: unknown task 'clasification'; "
            "did you mean 'classification'?",
            id="unknown-task",
        ),
        pytest.param(
            MODELS + "evals:\n  reviews: {data: x.jsonl}\n",
            "distill.yaml:5: evals.reviews: needs a task",
            id="no-task",
        ),
        pytest.param(
            MODELS + EVALS + "    metrics: [acuracy]\n",
            "distill.yaml:8: evals.reviews.metrics[0]: unknown metric 'acuracy'; "
            "did you mean 'accuracy'?",
            id="unknown-metric",
        ),
        pytest.param(
            MODELS + EVALS + "    metrics: [accuracy, bleu]\n",
            "distill.yaml:8: evals.reviews.metrics[1]: 'bleu' does not suit task classification",
            id="unsuited-metric",
        ),
        pytest.param(
            MODELS + EVALS + "    metrics: [accuracy, accuracy]\n",
            "distill.yaml:8: evals.reviews.metrics[1]: 'accuracy' is given twice",
            id="metric-twice",
        ),
        pytest.param(
            MODELS + EVALS + "    metrics: [nowhere.to_be_found:metric]\n",
            "distill.yaml: evals.reviews.metrics.0: cannot import 'nowhere.to_be_found'",
            id="no-such-module",
        ),
        pytest.param(
            MODELS + EVALS + "    max_new_tokens: 5\n",
            "distill.yaml:8: evals.reviews.max_new_tokens: unknown key",
            id="key-of-another-task",
        ),
        pytest.param(
            "models:\n  teacher: {path: x, trained: {step: 3}}\n" + EVALS,
            "distill.yaml:2: models.teacher.trained.step: unknown key; did you mean 'steps'?",
            id="unknown-key-inside",
        ),
        pytest.param(
            "models:\n  teacher: {path: x, device: gpu}\n" + EVALS,
            "distill.yaml:2: models.teacher.device:",
            id="device",
        ),
        pytest.param(
            "models:\n  teacher: {path: x, dtype: int4}\n" + EVALS,
            "distill.yaml:2: models.teacher.dtype:",
            id="dtype",
        ),
        pytest.param(
            "models:\n  teacher: {path: x, trust_remote_code: 'yes'}\n" + EVALS,
            "distill.yaml:2: models.teacher.trust_remote_code:",
            id="text-for-a-boolean",
        ),
        pytest.param(
            MODELS + "  teacher: {path: x}\n" + EVALS,
            "distill.yaml:4: models.teacher: is given twice, first in line 2",
            id="key-twice",
        ),
        pytest.param("models: [a\n", "distill.yaml:2: is not valid YAML", id="no-yaml"),
        pytest.param("", "distill.yaml: must be a mapping", id="empty"),
        pytest.param("models: {}\n" + EVALS, "distill.yaml:1: models: must have", id="no-model"),
        pytest.param(MODELS, "distill.yaml: evals: is missing", id="no-evals"),
        pytest.param(
            "models:\n  teacher: {engine: reported, scores: {cola: {matthews: 50}}}\n"
            "evals:\n  colla:\n",
            "distill.yaml:2: models.teacher.scores.cola: no such eval; did you mean 'colla'?",
            id="score-of-no-eval",
        ),
        pytest.param(
            MODELS + "evals:\n  chat: {task: generation, data: x.jsonl, do_sample: true}\n",
            "distill.yaml:5: evals.chat.do_sample: needs a seed, so that a second run",
            id="sampling-without-seed",
        ),
    ],
)
def test_a_mistake_is_one_clear_error(tmp_path: Path, text: str, expected: str) -> None:
    """The error names file, line and key, and what to do."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert expected in str(caught.value)


def test_all_mistakes_of_an_entry_are_told_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one run at a time."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "models:\n  teacher: {pth: x, dtype: int4}\n" + EVALS)
    assert len(str(caught.value).splitlines()) == 3  # pth, dtype, and path is missing


def test_a_yaml_tag_runs_nothing(tmp_path: Path) -> None:
    """The file is read safely: a tag that would build a Python object is an error."""
    with pytest.raises(ConfigError, match="is not valid YAML"):
        load(tmp_path, "models: !!python/object/apply:os.system ['echo']\n")


def test_a_merge_key_is_no_duplicate(tmp_path: Path) -> None:
    """YAML's own way of sharing keys between entries works."""
    config = load(
        tmp_path,
        "models:\n"
        "  teacher: &base {path: a, dtype: float32}\n"
        "  student:\n    <<: *base\n    path: b\n" + EVALS,
    )
    student = config.models["student"]
    assert isinstance(student, PlacedModel)
    assert (student.path, student.options.dtype) == ("b", "float32")


def test_reported_scores_name_the_metrics(tmp_path: Path) -> None:
    """An eval whose models are all reported needs neither data nor task nor metrics."""
    config = load(
        tmp_path,
        "models:\n  teacher: {engine: reported, scores: {cola: {matthews: 56.3}}}\n"
        "evals:\n  cola:\n",
    )
    assert [m.name for m in config.metrics["cola"]] == ["matthews"]


def test_metrics_of_a_hook_may_be_named(tmp_path: Path) -> None:
    """What the project's hook adds counts as known."""
    own = MeanMetric("shortness", lambda answer: 1 / (1 + len(answer.predicted)))
    config = load(
        tmp_path, MODELS + EVALS + "    metrics: shortness\n", Extensions({"shortness": own})
    )
    assert config.metrics["reviews"] == (own,)


def test_a_delimiter_stands_between_prompt_and_choice(tmp_path: Path) -> None:
    """What a multiple choice puts before each choice is a key of the eval."""
    entry = "  qa: {task: multiple_choice, data: x.jsonl, delimiter: ' -> '}\n"
    on = load(tmp_path, MODELS + "evals:\n" + entry).evals["qa"]
    assert isinstance(on, MeasuredEval)
    example = Example("a", {"input": "x", "target": 0, "choices": ["b", "c"]}, "x.jsonl:1")
    request = on.asks(lambda _: (), tmp_path).request(example)
    assert isinstance(request, ChoiceRequest)
    assert request.continuations == (" -> b", " -> c")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("extra_body: {max_tokens: -1}", "extra_body: 'max_tokens' must be a whole number"),
        ("extra_body: {max_tokens: true}", "extra_body: 'max_tokens' must be a whole number"),
        ("extra_body: {a: [2024-01-01]}", "extra_body: 'a[0]' is a date, which JSON has not"),
        ("extra_body: {a: {b: .nan}}", "extra_body: 'a.b' must be a finite number"),
        ("extra_body: {a: {1: 2}}", "extra_body: 'a.1' must be a text"),
        ("extra_body: {h: {API-Key: s3}}", "extra_body: 'h.API-Key' would be stored with every"),
        (
            "prices: {input: 1e-7, output: 1}",
            "prices.input: should be a valid number, not '1e-7'; write 0.0000001",
        ),
    ],
)
def test_a_served_model_says_what_is_wrong_with_its_keys(
    tmp_path: Path, keys: str, problem: str
) -> None:
    """What no server could be sent is told where it is written, and never what may be a key."""
    said = "engine: openai, base_url: 'http://127.0.0.1:9/v1', model: m"
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f"models:\n  teacher: {{{said}, {keys}}}\n" + EVALS)
    assert f"distill.yaml:2: models.teacher.{problem}" in str(raised.value)
    assert "s3" not in str(raised.value)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("task: generation, max_new_tokens: 0", "max_new_tokens: must be at least 1, not 0"),
        ("task: generation, max_new_tokens: '5'", "max_new_tokens: should be a valid integer"),
        ("task: generation, stop: [1]", "stop[0]: should be a valid string, not 1"),
        ("task: generation, top_p: 2.0", "top_p: must be above 0 and at most 1, not 2.0"),
        ("task: generation, temperature: .inf", "temperature: must be a number above 0, not inf"),
        ("task: classification, input: [a]", "input: list should have at least 2 items, not ['a']"),
        ("task: classification, labels: [a, yes]", "labels[1]: write 'yes' in quotes"),
        ("task: multiple_choice, shots: {data: x}", "shots.n: is missing"),
        ("task: perplexity, window: 1", "window: must be at least 2, not 1"),
        ("task: perplexity, share_cache: 1", "share_cache: should be a valid boolean, not 1"),
    ],
)
def test_a_task_says_what_is_wrong_with_its_keys(tmp_path: Path, keys: str, problem: str) -> None:
    """The file, the line and the key of a task are named, whoever looks at the value."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, MODELS + f"evals:\n  e: {{data: x.jsonl, {keys}}}\n")
    assert f"distill.yaml:5: evals.e.{problem}" in str(raised.value)


ACTORS = "actors: should be a valid integer or a mapping with min, max, not "


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("actors: four", f"{ACTORS}'four'"),
        ("actors: [1, 2]", f"{ACTORS}[1, 2]"),
        ("actors: 0", "actors: should be greater than or equal to 1, not 0"),
        ("actors: {min: 3, max: 2}", "actors: min: 3 is more than max: 2"),
        ("actors: {min: 3}", "actors.max: is missing"),
        ("actors: 4k", "actors: should be a valid integer, not '4k'; write 4000"),
    ],
)
def test_of_a_value_of_several_types_one_sentence_tells(
    tmp_path: Path, keys: str, problem: str
) -> None:
    """Of the type that is meant; where none is, of all that may be written."""
    entry = f"{{engine: ray, of: {{path: m}}, {keys}}}"
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, f"models:\n  teacher: {entry}\n" + EVALS)
    assert str(raised.value) == f"distill.yaml:2: models.teacher.{problem}"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            "task: multiple_choice, chance: maybe",
            "chance: should be a valid number or 'uniform', not",
        ),
        ("task: multiple_choice, chance: 2", "chance: should be less than 1, not 2"),
        (
            "task: classification, must_keep: [[a]]",
            "must_keep[0]: should be a valid string or a valid",
        ),
    ],
)
def test_so_it_does_of_a_task(tmp_path: Path, keys: str, problem: str) -> None:
    """Also inside of a list."""
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, MODELS + f"evals:\n  e: {{data: x.jsonl, {keys}}}\n")
    assert str(raised.value).startswith(f"distill.yaml:5: evals.e.{problem}")
    assert "\n" not in str(raised.value)


def test_no_message_shows_a_pattern(tmp_path: Path) -> None:
    """But what may be written; a text with a line break behind it is another one."""
    for device in ("gpu", "CUDA", '"cpu\\n"', "cuda:x"):
        with pytest.raises(ConfigError) as raised:
            load(tmp_path, f"models:\n  teacher: {{path: m, device: {device}}}\n" + EVALS)
        told = "models.teacher.device: should be 'auto', 'cpu', 'cuda' or 'cuda:N', not '"
        assert str(raised.value).startswith(f"distill.yaml:2: {told}")
