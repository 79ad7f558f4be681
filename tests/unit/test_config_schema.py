"""The schema that editors read is made of what validates ``distill.yaml``, and refuses the same."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import pytest_distill
from pytest_distill.cli import main
from pytest_distill.config import load_config
from pytest_distill.config.json_schema import schema, shipped
from pytest_distill.engines.lookup import DEFAULT, ENGINES
from pytest_distill.errors import ConfigError
from pytest_distill.evals.built_in import BUILT_IN
from tests.docs.pages import ROOT, blocks, pages_with_examples

SUITES = ("example_suite/distill.yaml", "example_suite/failing/distill.yaml")
MODELS = {"teacher": {"path": "models/teacher"}, "student": {"path": "models/student"}}
EVAL = {"task": "classification", "data": "gold.jsonl"}
REPORTED = {"engine": "reported", "scores": {"e": {"accuracy": 0.5}}}


@cache
def validator() -> Any:
    """Return what holds a file against the schema."""
    return jsonschema.Draft7Validator(json.loads(schema()))


def as_an_editor_reads(value: Any) -> Any:
    """Return what YAML 1.2 has for a value: its keys are text, and so are dates."""
    if isinstance(value, dict):
        return {str(key): as_an_editor_reads(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [as_an_editor_reads(inside) for inside in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def refused(content: Any) -> list[str]:
    """Return what the schema has against a file, by the paths of it."""
    found = validator().iter_errors(as_an_editor_reads(content))
    return [f"{each.json_path}: {each.message}" for each in found]


def loads(content: Any, folder: Path) -> bool:
    """Return whether the same is a distill.yaml that a run would take."""
    path = folder / "distill.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    try:
        load_config(path)
    except ConfigError:
        return False
    return True


def test_the_schema_is_that_of_the_types() -> None:
    """Who changes a key, or what is said of it: ``python -m tests.docs.generated``."""
    file = Path(pytest_distill.__file__).parent / "config" / "distill.schema.json"
    assert file.read_text(encoding="utf-8") == schema()
    jsonschema.Draft7Validator.check_schema(json.loads(schema()))


def test_every_key_is_described() -> None:
    """An editor shows help for each: none is without a text of its own."""
    whole = json.loads(schema())
    parts = {"the file": whole, **whole["definitions"]}
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        for key, about in part.get("properties", {}).items()
        if not about.get("description")
    ]
    assert bare == []


def examples() -> Iterator[Any]:
    """Yield every distill.yaml of the documentation and of the example suite."""
    for page in pages_with_examples():
        for block in blocks(page):
            content = yaml.safe_load(block.text) if block.language == "yaml" else None
            if isinstance(content, dict) and {"models", "evals"} <= content.keys():
                yield pytest.param(content, id=block.place)
    for name in SUITES:
        yield pytest.param(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")), id=name)


def names_others(content: Any) -> bool:
    """Return whether a file names what stands elsewhere: code of a project, another's tasks."""
    evals = [entry or {} for entry in content["evals"].values()]
    metrics = [metric for entry in evals for metric in entry.get("metrics", ())]
    engines = {entry.get("engine", DEFAULT) for entry in content["models"].values()}
    own = {metric for metric in metrics if isinstance(metric, str)} - BUILT_IN.keys()
    harness = any(str(entry.get("task")).startswith("lm_eval:") for entry in evals)
    return harness or bool(own or engines - ENGINES.keys())


@pytest.mark.parametrize("content", [*examples()])
def test_an_example_is_taken_where_a_run_takes_it(content: Any, tmp_path: Path) -> None:
    """No example of a page has an editor complain, but the ones that show a mistake."""
    taken = names_others(content) or loads(content, tmp_path)
    assert (not refused(content)) == taken, refused(content)


def file_with(**changed: Any) -> dict[str, Any]:
    """Return a file that loads, with other keys."""
    return {"models": MODELS, "evals": {"e": EVAL}, **changed}


def model(**keys: Any) -> dict[str, Any]:
    """Return a file with an entry of a model."""
    return file_with(models={**MODELS, "student": keys})


def cluster(**keys: Any) -> dict[str, Any]:
    """Return a file with an entry of a model that a cluster runs."""
    return model(engine="ray", of=keys)


def eval_of(task: str = "classification", **keys: Any) -> dict[str, Any]:
    """Return a file with an entry of an eval."""
    return file_with(evals={"e": {"task": task, "data": "gold.jsonl", **keys}})


def criterion(**gates: Any) -> dict[str, Any]:
    """Return a file with a criterion."""
    return file_with(criteria={"c": gates})


WRONG: dict[str, dict[str, Any]] = {
    "no models": {"evals": {"e": EVAL}},
    "empty models": file_with(models={}),
    "empty evals": file_with(evals={}),
    "unknown key": file_with(wavers=[]),
    "unknown key of a model": model(path="x", paht="y"),
    "another engine's key": model(engine="recorded", predictions="p.jsonl", dtype="float32"),
    "parameters of a checkpoint": model(path="x", parameters=3),
    "no path": model(device="cpu"),
    "another engine's key for vLLM": model(path="x", engine="vllm", batch_tokens=3),
    "unknown dtype": model(path="x", dtype="float8"),
    "unknown device": model(path="x", device="gpu"),
    "no predictions": model(engine="recorded"),
    "unknown format": model(engine="recorded", predictions="p", format="lm_eval"),
    "no role": file_with(models={**MODELS, "small": {"path": "x"}}),
    "unknown role": file_with(models={**MODELS, "small": {"path": "x", "role": "pupil"}}),
    "a score that is text": model(engine="reported", scores={"e": {"accuracy": "0.9"}}),
    "no mapping": model() | {"models": {**MODELS, "student": "models/student"}},
    "unknown key of trained": model(path="x", trained={"epochs": 3}),
    "nothing to run in a cluster": model(engine="ray"),
    "a cluster's model by its path": model(engine="ray", of="x"),
    "a path beside a cluster's model": model(engine="ray", of={"path": "x"}, path="x"),
    "a cluster's model without a path": cluster(dtype="float32"),
    "unknown key of a cluster's model": cluster(path="x", paht="y"),
    "unknown dtype in a cluster": cluster(engine="transformers", path="x", dtype="float8"),
    "unknown device in a cluster": cluster(path="x", device="gpu"),
    "a server in a cluster": cluster(engine="openai", base_url="http://127.0.0.1:1", model="m"),
    "a cluster in a cluster": cluster(engine="ray", of={"path": "x"}),
    "a file in a cluster": cluster(engine="recorded", predictions="p"),
    "an engine without a name in a cluster": cluster(engine=""),
    "a role in a cluster": cluster(path="x", role="student"),
    "a latency in a cluster, of one's own engine": cluster(engine="a.b:C", latency_ms=3),
    "parameters of a cluster's checkpoint": model(engine="ray", of={"path": "x"}, parameters=3),
    "no actor": model(engine="ray", of={"path": "x"}, actors=0),
    "actors without a most": model(engine="ray", of={"path": "x"}, actors={"min": 1}),
    "unknown task": eval_of("clasification"),
    "no task": file_with(evals={"e": {"metrics": ["accuracy"]}}),
    "no data": file_with(evals={"e": {"task": "classification"}}),
    "unknown key of an eval": eval_of(metric="accuracy"),
    "another task's key": eval_of("perplexity", target="label"),
    "another task's metric": eval_of(metrics=["bleu"]),
    "samples of one answer": eval_of(metrics={"pass_at": 2, "of": "accuracy"}),
    "uniform chance among texts": eval_of("generation", chance="uniform"),
    "chance above 1": eval_of(chance=2),
    "input of three fields": eval_of(input=["a", "b", "c"]),
    "two keys that say one text": eval_of("generation", input=["a", "b"]),
    "a temperature of nothing": eval_of("generation", temperature=0),
    "too many samples": eval_of("generation", do_sample=True, seed=1, repeats=20_000),
    "a budget of no token": eval_of("generation", at_tokens=[0]),
    "a window of one token": eval_of("perplexity", window=1),
    "labels that are text": eval_of(labels="a, b"),
    "one class": eval_of(labels=["good"]),
    "a class twice": eval_of(labels=["good", "bad", "good"]),
    "no outputs": eval_of(labels={}),
    "an output below 0": eval_of(labels={"good": -1}),
    "a label that is no name": eval_of(labels=[0.5, "good"]),
    "a metric twice": eval_of(metrics=["accuracy", "accuracy"]),
    "an end that is always there": eval_of("generation", stop=["END", ""]),
    "sampling without a seed": eval_of("generation", do_sample=True),
    "samples of what is not sampled": eval_of("generation", repeats=4),
    "a budget twice": eval_of("generation", at_tokens=[8, 8]),
    "thinking that does not end": eval_of("generation", thinking={"start": "<think>"}),
    "tools without one": eval_of("generation", tools=[]),
    "tools by their names": eval_of("generation", tools=["search"]),
    "a task of lm-eval without a name": eval_of("lm_eval:"),
    "an engine without a name": model(path="x", engine=""),
    "a baseline without a path": file_with(baseline=""),
    "unknown key of shots": eval_of("generation", shots={"data": "s.jsonl", "number": 3}),
    "a split's file alone": eval_of("lm_eval:arc_easy", data="gold.jsonl"),
    "unknown key of override": eval_of("lm_eval:arc_easy")
    | {"evals": {"e": {"task": "lm_eval:arc_easy", "override": {"doc_to_txt": "x"}}}},
    "a confidence in per cent": file_with(confidence=95),
    "unknown required gate": file_with(required_gates=["quality_retain"]),
    "a budget of what has none": file_with(required_gates="smaller at 512 tokens"),
    "a waiver without an owner": file_with(
        waivers=[{"gate": "flips", "floor": 0.9, "reason": "x", "expires": "2031-12-31"}]
    ),
    "files from the root": file_with(allow_skipped="/test_*.py"),
    "unknown key of the baseline": file_with(baseline={"path": "b.json", "need": True}),
    "unknown gate": criterion(quality=0.9),
    "unknown argument": criterion(quality_retained={"min": 0.9, "minimum": 1}),
    "no floor": criterion(quality_retained=None),
    "a floor that is text": criterion(quality_retained={"min": "95 %"}),
    "an empty criterion": criterion(),
    "a name with a slash": file_with(evals={"a/b": EVAL}),
    "a name that begins with a dot": file_with(models={**MODELS, ".x": {"role": "student"}}),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_mistake_is_refused_by_both(content: dict[str, Any], tmp_path: Path) -> None:
    """What an editor underlines is what a run would refuse."""
    assert not loads(content, tmp_path)
    assert refused(content)


RIGHT: dict[str, dict[str, Any]] = {
    "an engine of one's own": model(engine="my.module:Engine", url="x", tries=3),
    "a cluster's engine of one's own": cluster(engine="my.module:Engine", url="x", tries=3),
    "a cluster's size": model(engine="ray", of={"engine": "a.b:C"}, parameters=3, latency_ms=2),
    "a cluster's actors": model(
        engine="ray", of={"path": "x", "dtype": "float32"}, actors={"min": 1, "max": 3}
    ),
    "one name for a list": eval_of(slices="lang", metrics="accuracy", must_keep=7),
    "labels of three kinds": eval_of(labels={"good": 1, "bad": 0}),
    "labels that are numbers": eval_of(labels=[0, 1]),
    "samples with a seed": eval_of("generation", do_sample=True, seed=1, repeats=4),
    "sampling switched off": eval_of("generation", do_sample=False, repeats=1),
    "budgets and ends": eval_of("generation", at_tokens=[8, 16], stop=["END", "END"]),
    "a metric scored elsewhere": eval_of(metrics=[{"name": "judge", "range": [1, 5]}]),
    "reported alone": {"models": dict.fromkeys(MODELS, REPORTED), "evals": {"e": None}},
    "a baseline by its path": file_with(baseline="accepted/run.json"),
    "gates, tests and budgets": file_with(
        required_gates=["flips", "test_ship.py::test_x", "score at 512 tokens"], allow_reruns=True
    ),
    "a gate asked twice": criterion(
        quality_retained=[{"min": 0.9}, {"min": 0.8, "slice": {"lang": "de"}}], size={}
    ),
    "a gate without arguments": criterion(flips=None),
    "a name with blanks": file_with(evals={"my reviews": EVAL}),
}


@pytest.mark.parametrize("content", RIGHT.values(), ids=RIGHT)
def test_what_a_run_takes_is_taken(content: dict[str, Any], tmp_path: Path) -> None:
    """Forms that are told apart by more than types, and names that only a project knows."""
    assert loads(content, tmp_path)
    assert refused(content) == []


VALUES: tuple[Any, ...] = (
    *(None, True, 3, -1, 0, 0.5, 1.5, "x", "", "::a", [], ["x"], ["x", "y"], [3], [None]),
    *({}, {"x": "y"}, {"x": 1}, {"x": None}, [0.0, 1.0]),
)


def with_any_value() -> Iterator[dict[str, Any]]:
    """Yield files in which one key of each entry has one of many values."""
    parts = json.loads(schema())["definitions"]
    models: dict[str, dict[str, Any]] = {
        "transformers": {"path": "x"},
        "vllm": {"path": "x"},
        "openai": {"base_url": "http://127.0.0.1:1/v1", "model": "m"},
        "ray": {"of": {"path": "x"}},
        "recorded": {"predictions": "p"},
        "reported": {"scores": {}},
        "a.b:C": {},
    }
    for engine, needed in models.items():
        for key in parts.get(f"engine.{engine}", parts["engine.other"])["properties"]:
            yield from (model(**{"engine": engine, **needed, key: value}) for value in VALUES)
    for engine, needed in models.items():
        for key in parts.get(f"inner.{engine}", parts["inner.other"])["properties"]:
            yield from (cluster(**{"engine": engine, **needed, key: value}) for value in VALUES)
    for task in ("classification", "multiple_choice", "generation", "perplexity"):
        keys = [key for key in parts[f"task.{task}"]["properties"] if key != "task"]
        yield from (eval_of(task, **{key: value}) for key in keys for value in VALUES)
    for name, part in parts.items():
        needed = {key: "x" if key == "train" else 0.9 for key in part.get("required", ())}
        for key in part["properties"] if name.startswith("gate.") else ():
            yield from (criterion(**{name[5:]: {**needed, key: value}}) for value in VALUES)


def test_whatever_a_key_holds_is_taken_where_a_run_takes_it(tmp_path: Path) -> None:
    """No key has a right value that the schema refuses."""
    some = [*with_any_value()][::19]  # no divisor of the number of values: every key has another
    taken = [content for content in some if loads(content, tmp_path)]
    assert len(taken) > len(some) / 9
    assert [(content, refused(content)) for content in taken if refused(content)] == []


def test_the_command_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """As the package has it, for a pipe or a look."""
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == shipped()


def test_the_command_writes_the_schema_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That of another version gives way; what is no schema of distill.yaml stays."""
    path = tmp_path / "distill.schema.json"
    path.write_text('{"title": "distill.yaml", "old": true}', encoding="utf-8")
    assert main(["schema", "-o", str(path)]) == 0
    assert path.read_text(encoding="utf-8") == shipped()
    for other in ('{"title": "my data"}', "notes"):
        path.write_text(other, encoding="utf-8")
        assert main(["schema", "-o", str(path)]) == 1
        assert "is no schema of distill.yaml: delete it" in capsys.readouterr().err
        assert path.read_text(encoding="utf-8") == other


def test_where_no_file_can_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what to write in its place: nobody is told to delete a folder."""
    assert main(["schema", "-o", str(tmp_path)]) == 1
    name = tmp_path / "distill.schema.json"
    assert capsys.readouterr().err == f"error: {tmp_path}: is a folder; name a file: -o {name}\n"
    name.write_text(shipped(), encoding="utf-8")
    assert main(["schema", "-o", str(name / "x.json")]) == 1
    assert "x.json: can't be written (" in capsys.readouterr().err
