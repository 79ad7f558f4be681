"""``python -m pytest_distill init``: what it finds out of paths, and what it leaves to the user."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pytest_distill.cli import main
from pytest_distill.config import load_config
from pytest_distill.config.json_schema import shipped

LABELS = ("bad", "good")
N = 12
GOLD = [{"id": f"r{i}", "text": f"text {i}", "label": LABELS[i % 2]} for i in range(N)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an empty folder the current one."""
    monkeypatch.chdir(tmp_path)


def write(name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, or as a table."""
    rows = [*rows]
    with Path(name).open("w", encoding="utf-8", newline="") as file:
        if name.endswith(".csv"):
            table = csv.DictWriter(file, [*rows[0]])
            table.writeheader()
            table.writerows(rows)
        else:
            file.writelines(f"{json.dumps(row)}\n" for row in rows)


def predictions(*names: str, **further: Any) -> None:
    """Write files of predictions, all of them right."""
    for name in names:
        write(name, ({"id": row["id"], "prediction": row["label"], **further} for row in GOLD))


def checkpoint(name: str, architecture: str, **config: Any) -> None:
    """Write what tells of a checkpoint what it is."""
    Path(name).mkdir(parents=True)
    text = json.dumps({"architectures": [architecture], **config})
    Path(name, "config.json").write_text(text, encoding="utf-8")


def classifiers(*names: str, **config: Any) -> None:
    """Write what tells of checkpoints that they classify."""
    for name in names:
        checkpoint(name, "BertForSequenceClassification", **config)


def init(*arguments: str) -> dict[str, Any]:
    """Run the command; return what the ``distill.yaml`` says, which loads and fits the schema."""
    assert main(["init", *arguments]) == 0
    load_config(Path("distill.yaml").resolve())
    said: dict[str, Any] = yaml.safe_load(Path("distill.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(said, json.loads(shipped()), jsonschema.Draft7Validator)
    compile(Path("test_ship.py").read_text(encoding="utf-8"), "test_ship.py", "exec")
    return said


def the_eval(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only eval of a file."""
    (entry,) = said["evals"].values()
    found: dict[str, Any] = entry
    return found


def gates() -> list[str]:
    """Return the gates that the tests ask."""
    text = Path("test_ship.py").read_text(encoding="utf-8")
    return [line.strip().partition("(")[0] for line in text.splitlines() if line[4:10] == "assert"]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return what the command says where it writes nothing."""
    before = sorted(Path().rglob("*"))
    assert main(["init", *arguments]) == 1
    assert sorted(Path().rglob("*")) == before
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert len(told.splitlines()) == 1
    return told


def test_predictions_and_a_gold_set(capsys: pytest.CaptureFixture[str]) -> None:
    """Roles and fields follow from names, the task from what the rows and the gold set hold."""
    write("reviews.jsonl", GOLD)
    predictions("student.jsonl", "teacher.jsonl", "sft.jsonl")
    said = init("student.jsonl", "teacher.jsonl", "sft.jsonl", "--gold", "reviews.jsonl")
    assert said["models"] == {
        role: {"engine": "recorded", "predictions": f"{role}.jsonl"}
        for role in ("teacher", "student", "sft")
    }
    assert said["evals"] == {
        "reviews": {
            "task": "classification",
            "data": "reviews.jsonl",
            "input": "text",
            "target": "label",
            "metrics": ["accuracy"],
        }
    }
    assert gates() == ["assert_quality_retained", "assert_beats_sft"]
    *_, last = capsys.readouterr().out.splitlines()
    assert last == "next: pytest --distill-report"


def test_the_first_line_names_the_schema_that_is_written_beside() -> None:
    """An editor finds it from the file's own folder; one that is there already is kept."""
    predictions("teacher.jsonl", "student.jsonl")
    init("teacher.jsonl", "student.jsonl")
    first = Path("distill.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=distill.schema.json"
    assert Path("distill.schema.json").read_text(encoding="utf-8") == shipped()
    Path("distill.yaml").unlink()
    Path("test_ship.py").unlink()
    Path("distill.schema.json").write_text("{}", encoding="utf-8")
    init("teacher.jsonl", "student.jsonl")
    assert Path("distill.schema.json").read_text(encoding="utf-8") == "{}"


def test_the_gold_labels_may_stand_beside_the_predictions() -> None:
    """A table of both needs no other file, and no text: nothing is asked of recorded models."""
    rows = [{"key": row["id"], "label": row["label"], "prediction": "good"} for row in GOLD]
    write("teacher.csv", rows)
    write("student.csv", rows)
    entry = the_eval(init("teacher.csv", "student.csv"))
    assert {key: entry[key] for key in ("data", "id", "input", "target")} == {
        "data": "teacher.csv",
        "id": "key",
        "input": "key",
        "target": "label",
    }


def test_gold_labels_that_contradict_each_other_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which of the two files is right nobody knows."""
    for name, label in (("teacher.csv", "good"), ("student.csv", "bad")):
        write(name, ({"id": row["id"], "label": label, "prediction": "good"} for row in GOLD))
    told = refusal(capsys, "teacher.csv", "student.csv")
    assert "student.csv: the label of 'r0' is 'bad', and in teacher.csv 'good': name" in told


@pytest.mark.parametrize(
    ("row", "gold", "expected"),
    [
        ({"probabilities": {"bad": 0.2, "good": 0.8}}, {"label": "good"}, "classification"),
        ({"prob_bad": 0.2, "prob_good": 0.8}, {"label": "good"}, "classification"),
        ({"label": "good", "score": 0.8}, {"target": "good"}, "classification"),
        ({"output": [{"label": "good", "score": 0.8}]}, {"label": "good"}, "classification"),
        ({"output": [[{"label": "good", "score": 0.8}]]}, {"label": "good"}, "classification"),
        ({"output": {"label": "good", "score": 0.8}}, {"label": "good"}, "classification"),
        ({"loglikelihoods": [-1, -2]}, {"choices": ["a", "b"], "answer": 1}, "multiple_choice"),
        ({"prediction": 1}, {"options": ["a", "b"], "answer": 1}, "multiple_choice"),
        ({"text": "42"}, {"answer": "42"}, "generation"),
        ({"generated_text": "42"}, {"answers": ["42", "forty-two"]}, "generation"),
        (
            {"prediction": "a long answer"},
            {"answer": "{i} long answers, all different"},
            "generation",
        ),
        ({"loglikelihoods": [-3.5], "tokens": 4}, {}, "perplexity"),
    ],
)
def test_the_task_follows_from_the_rows(
    row: dict[str, Any], gold: dict[str, Any], expected: str
) -> None:
    """What the models answered, and what counts as right."""
    write("teacher.jsonl", ({"id": i, **row} for i in range(N)))
    write("student.jsonl", ({"id": i, **row} for i in range(N)))
    told = [
        {"id": i, "question": f"text {i}"}
        | {k: v.format(i=i) if isinstance(v, str) else v for k, v in gold.items()}
        for i in range(N)
    ]
    write("asked.jsonl", told)
    entry = the_eval(init("teacher.jsonl", "student.jsonl", "--gold", "asked.jsonl"))
    assert (entry["task"], entry["input"]) == (expected, "question")


def test_a_pair_of_texts_is_one_input() -> None:
    """As in data sets of sentence pairs."""
    write(
        "pairs.jsonl",
        ({"idx": i, "premise": "a", "hypothesis": f"b {i}", "label": i % 3} for i in range(N)),
    )
    for name in ("teacher.jsonl", "student.jsonl"):
        write(name, ({"idx": i, "prediction": i % 3} for i in range(N)))
    entry = the_eval(init("teacher.jsonl", "student.jsonl", "--gold", "pairs.jsonl"))
    assert (entry["id"], entry["input"]) == ("idx", ["premise", "hypothesis"])


def test_values_tell_where_names_do_not() -> None:
    """A field that has all predicted labels, and the one text that is another in every row."""
    gold = [
        {"id": i, "ticket": f"text {i}", "lang": ("de", "en")[i % 2], "team": "abc"[i % 3]}
        for i in range(N)
    ]
    write("tickets.jsonl", gold)
    for name in ("teacher.jsonl", "student.jsonl"):
        write(name, ({"id": i, "prediction": "cab"[i % 3]} for i in range(N)))
    entry = the_eval(init("teacher.jsonl", "student.jsonl", "--gold", "tickets.jsonl"))
    assert (entry["task"], entry["input"], entry["target"]) == ("classification", "ticket", "team")


def test_fields_may_be_said() -> None:
    """Where names do not tell, or tell something else."""
    rows = [{"nr": i, "a": f"text {i}", "b": "x", "c": f"y {i % 2}"} for i in range(N)]
    write("gold.jsonl", rows)
    for name in ("teacher.jsonl", "student.jsonl"):
        write(name, ({"nr": i, "prediction": "y 0"} for i in range(N)))
    said = init(
        *("teacher.jsonl", "student.jsonl", "--gold", "gold.jsonl", "--id", "nr"),
        *("--input", "a", "--target", "c", "--task", "generation"),
    )
    assert the_eval(said) == {
        "task": "generation",
        "data": "gold.jsonl",
        "id": "nr",
        "input": "a",
        "target": "c",
        "metrics": ["exact_match"],
    }


def test_checkpoints_that_classify() -> None:
    """Their names of labels become the classes; a smaller student can be shown to be smaller."""
    classifiers("models/teacher", "models/student", id2label={"1": "good", "0": "bad"})
    write("gold.jsonl", GOLD)
    said = init("models/teacher", "models/student", "--gold", "gold.jsonl")
    assert said["models"] == {
        "teacher": {"path": "models/teacher"},
        "student": {"path": "models/student"},
    }
    assert the_eval(said)["labels"] == ["bad", "good"]
    assert gates() == ["assert_quality_retained", "assert_smaller"]
    assert "sft" in Path("distill.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("named", "gold", "expected"),
    [
        (["BAD", "GOOD"], ["bad", "good"], {"BAD": "bad", "GOOD": "good"}),
        (["bad", "good"], [0, 1], {"0": 0, "1": 1}),
        (None, [1, 0], {"0": 0, "1": 1}),
        (["bad", "good", "so so"], ["bad", "good"], ["bad", "good", "so so"]),
    ],
)
def test_labels_in_other_words(named: Any, gold: list[Any], expected: Any) -> None:
    """Numbers are those of outputs, other letters are mapped; a class may have no example."""
    names = {} if named is None else {"id2label": dict(enumerate(named))}
    classifiers("teacher", "student", **names)
    write("gold.jsonl", ({"text": f"text {i}", "label": gold[i % 2]} for i in range(N)))
    assert the_eval(init("teacher", "student", "--gold", "gold.jsonl"))["labels"] == expected


def test_labels_that_nobody_can_match_are_left_to_the_user(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Guessed, they might be the other way round: the file and the command say what to write."""
    classifiers("teacher", "student", id2label={"0": "LABEL_0", "1": "LABEL_1\u2028x: y"})
    write("gold.jsonl", GOLD)
    entry = the_eval(init("teacher", "student", "--gold", "gold.jsonl"))
    assert "labels" not in entry
    assert "to do in distill.yaml: the models say LABEL_0, LABEL_1" in capsys.readouterr().out
    assert "# TODO: the models say LABEL_0" in Path("distill.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("LlamaForCausalLM", "generation"),
        ("GPT2LMHeadModel", "generation"),
        ("T5ForConditionalGeneration", "generation"),
        ("EncoderDecoderModel", "generation"),
        ("BertForSequenceClassification", "classification"),
    ],
)
def test_without_a_gold_set_the_run_is_left_to_fail(
    architecture: str, task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is made up: the file names one that is not there, and shows what a row holds."""
    checkpoint("teacher", architecture)
    checkpoint("student", architecture)
    entry = the_eval(init("teacher", "student"))
    assert (entry["task"], entry["data"]) == (task, "TODO-gold-set.jsonl")
    assert not Path(entry["data"]).exists()
    assert "# TODO: there is no gold set yet" in Path("distill.yaml").read_text(encoding="utf-8")
    assert "to do: there is no gold set: put labelled examples" in capsys.readouterr().out


def test_a_causal_model_is_asked_what_the_gold_set_holds() -> None:
    """Choices are chosen among, plain texts are rated."""
    checkpoint("teacher", "LlamaForCausalLM")
    checkpoint("student", "LlamaForCausalLM")
    rows = [{"question": f"q {i}", "choices": ["a", "b"], "answer": i % 2} for i in range(N)]
    write("asked.jsonl", rows)
    assert the_eval(init("teacher", "student", "--gold", "asked.jsonl"))["task"] == (
        "multiple_choice"
    )
    checkpoint("sees", "Gemma3ForConditionalGeneration")  # a decoder that reads pictures too
    assert main(["init", "sees", "--gold", "asked.jsonl", "-o", "seen"]) == 0
    assert load_config(Path("seen/distill.yaml").resolve()).evals["asked"].task == "multiple_choice"
    write("texts.jsonl", ({"text": f"text {i}"} for i in range(N)))
    assert main(["init", "teacher", "student", "--gold", "texts.jsonl", "-o", "rated"]) == 0
    config = load_config(Path("rated/distill.yaml").resolve())
    assert getattr(config.evals["texts"], "data", None) == "../texts.jsonl"
    assert config.evals["texts"].task == "perplexity"


@pytest.mark.parametrize("base", ["models/teacher", "example-org/big"])
def test_an_adapter_has_its_base_model_beside_it(base: str) -> None:
    """A folder as seen from the file, or a hub id as it is."""
    checkpoint("models/teacher", "LlamaForCausalLM")
    Path("lora/student").mkdir(parents=True)
    said = json.dumps({"base_model_name_or_path": base, "task_type": "CAUSAL_LM"})
    Path("lora/student/adapter_config.json").write_text(said, encoding="utf-8")
    models = init("models/teacher", "lora/student")["models"]
    assert models["student"] == {"path": base, "adapter": "lora/student"}


def test_a_gguf_file_is_named_beside_its_folder() -> None:
    """As the engine wants it."""
    checkpoint("teacher", "LlamaForCausalLM")
    Path("student").mkdir()
    Path("student/q4.gguf").touch()
    said = init("teacher", "student")
    assert said["models"]["student"] == {"path": "student", "gguf_file": "q4.gguf"}
    assert main(["init", "teacher", "student/q4.gguf", "-o", "again"]) == 0
    again = load_config(Path("again/distill.yaml").resolve()).models["student"]
    assert again.model_dump()["path"] == "../student"
    assert the_eval(said)["task"] == "generation"


def test_a_student_alone_has_a_score() -> None:
    """Without a teacher nothing can be said of what was kept; an SFT student can be beaten."""
    write("gold.jsonl", GOLD)
    predictions("small.jsonl", "sft.jsonl")
    init("small.jsonl", "--gold", "gold.jsonl")
    assert gates() == ["assert_score"]
    Path("distill.yaml").unlink()
    Path("test_ship.py").unlink()
    init("student=small.jsonl", "sft.jsonl", "--gold", "gold.jsonl")
    assert gates() == ["assert_score", "assert_beats_sft"]
    assert "'parameters: 66_000_000' beside" in Path("distill.yaml").read_text(encoding="utf-8")


def test_a_model_may_run_where_another_is_recorded() -> None:
    """The sizes of both are not known then."""
    write("gold.jsonl", GOLD)
    predictions("teacher.jsonl")
    classifiers("student", id2label={"0": "bad", "1": "good"})
    said = init("teacher.jsonl", "student", "--gold", "gold.jsonl")
    assert said["models"]["teacher"] == {"engine": "recorded", "predictions": "teacher.jsonl"}
    assert said["models"]["student"] == {"path": "student"}
    assert gates() == ["assert_quality_retained"]


def test_without_names_the_order_says_the_roles() -> None:
    """The teacher first; a role that is said goes before all names."""
    predictions("a.jsonl", "b.jsonl", "teacher.jsonl")
    models = init("a.jsonl", "b.jsonl")["models"]
    assert [models[role]["predictions"] for role in ("teacher", "student")] == [
        "a.jsonl",
        "b.jsonl",
    ]
    Path("distill.yaml").unlink()
    Path("test_ship.py").unlink()
    models = init("student=teacher.jsonl", "a.jsonl")["models"]
    assert [models[role]["predictions"] for role in ("teacher", "student")] == [
        "a.jsonl",
        "teacher.jsonl",
    ]


@pytest.mark.parametrize("name", ["distill.yaml", "distill.yml", "test_ship.py"])
def test_no_file_is_written_over(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named, and stays as it is; nothing else is written."""
    predictions("teacher.jsonl", "student.jsonl")
    Path(name).write_text("mine", encoding="utf-8")
    told = refusal(capsys, "teacher.jsonl", "student.jsonl")
    assert f"error: {name}: there already, and nothing is written over" in told
    assert Path(name).read_text(encoding="utf-8") == "mine"


def prepare() -> None:
    """Write what the mistakes below are made with."""
    predictions("teacher.jsonl", "student.jsonl", "small.jsonl")
    write("gold.jsonl", GOLD)
    write("both.csv", [{"id": 1, "label": "a", "teacher": "a", "student": "b"}])
    write("no-ids.jsonl", ({"prediction": row["label"]} for row in GOLD))
    write("texts.jsonl", ({"id": i, "text": "42"} for i in range(N)))
    write("bare.jsonl", ({"id": i, "x": f"t {i}", "z": "a"} for i in range(N)))
    write("squad.jsonl", ({"id": i, "answers": {"text": ["a"]}} for i in range(N)))
    write("judged.jsonl", ({"id": i, "scores": {"grade": 4}} for i in range(N)))
    write("unlabelled.jsonl", [*GOLD[:-1], {**GOLD[-1], "label": None}])
    write("rated.jsonl", ({**row, "label": i / 10} for i, row in enumerate(GOLD)))
    Path("empty.jsonl").write_text("", encoding="utf-8")
    Path("notes.txt").write_text("x", encoding="utf-8")
    checkpoint("tagger", "BertForTokenClassification")
    classifiers("classifier")
    classifiers("scorer", id2label={"0": "LABEL_0"})
    classifiers("tags", problem_type="multi_label_classification")
    write("samples_arc_easy_2025-01-01T00-00-00.000000.jsonl", GOLD)
    Path("tagger/model.safetensors").touch()
    classifiers("misnamed", id2label=["bad", "good"])
    for split in ("train", "test"):
        Path("saved", split).mkdir(parents=True)
        Path("saved", split, "state.json").touch()
    Path("results/small").mkdir(parents=True)
    Path("results/small/samples_arc_easy_2025-01-01T00-00-00.000000.jsonl").touch()
    Path("loop").symlink_to("loop")
    Path("tag-lora").mkdir()
    Path("tag-lora/adapter_config.json").write_text('{"task_type": "TOKEN_CLS"}', encoding="utf-8")
    Path("hub/snapshot").mkdir(parents=True)
    Path("hub/snapshot/config.json").write_text("{}", encoding="utf-8")
    Path("packed").mkdir()
    Path("packed/a.gguf").touch()
    Path("packed/b.gguf").touch()
    Path("lora").mkdir()
    Path("lora/adapter_config.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            "teacher.jsonl studnt.jsonl",
            "studnt.jsonl: no such file or folder; did you mean 'student",
        ),
        (
            "techer=teacher.jsonl student.jsonl",
            "no role is called 'techer'; did you mean 'teacher'?",
        ),
        ("teacher.jsonl", "teacher.jsonl: is the teacher's, and a student is what gates judge"),
        (
            "student.jsonl student=small.jsonl",
            "small.jsonl: a second student; the first is student",
        ),
        ("teacher.jsonl both.csv", "both.csv: has the answers of teacher and student in columns"),
        ("teacher.jsonl gold.jsonl", "gold.jsonl: no field of it is an answer of a model"),
        ("teacher.jsonl empty.jsonl", "empty.jsonl: has no rows"),
        ("teacher.jsonl notes.txt", "notes.txt: is neither a folder with a model nor a file"),
        ("tagger", "tagger: is a BertForTokenClassification, which no task asks"),
        (
            "hub",
            "hub: has no config.json, and so is no checkpoint of transformers; did you mean one",
        ),
        ("scorer", "scorer: is a BertForSequenceClassification of one output, which no task asks"),
        ("tags", "tags: is a BertForSequenceClassification of several labels at once, which no"),
        (
            "samples_arc_easy_2025-01-01T00-00-00.000000.jsonl",
            "lm-eval wrote this: python -m pytest_distill import lm-eval samples_arc_easy_2025",
        ),
        ("results", "lm-eval wrote this: python -m pytest_distill import lm-eval results makes"),
        ("hub/snapshot", "hub/snapshot/config.json: names no architecture: save the model with"),
        (
            "lora",
            "lora: is an adapter, and its adapter_config.json does not say of what base",
        ),
        ("packed", "packed: has several GGUF files: name one of them (a.gguf, b.gguf)"),
        ("classifier texts.jsonl", "no task suits all models (classifier: classification; texts"),
        ("student.jsonl --task chat", "--task: no task is called 'chat'"),
        ("classifier --task generation", "--task generation: does not suit all (classifier: class"),
        ("student.jsonl --gold gld.jsonl", "gld.jsonl: no such file; did you mean 'gold.jsonl'?"),
        (
            "student.jsonl --gold bare.jsonl",
            "bare.jsonl: which field is the target? Of id, x, z no",
        ),
        (
            "student.jsonl --gold bare.jsonl --target w",
            "bare.jsonl: --target: no field 'w' in every",
        ),
        (
            "no-ids.jsonl --gold no-ids.jsonl --target prediction",
            "no field 'prediction' in every row",
        ),
        ("student.jsonl -o notes.txt", "notes.txt: is a file; name a folder with -o"),
        ("org/small", "org/small: no such file or folder; a model of the hub is named in distill"),
        ("teacher=small.jsonl student=./small.jsonl", "small.jsonl: is teacher and student at"),
        (
            "student.jsonl --gold unlabelled.jsonl",
            "no name tells ('label' is not in every row: row 12 has none): say it with --target",
        ),
        (
            "student.jsonl --gold rated.jsonl",
            "('label' has numbers that are no labels; any other task is judged by its scores",
        ),
        ("student.jsonl --gold squad.jsonl", "('answers' has mappings in it, and no texts): say"),
        ("tagger/model.safetensors", "model.safetensors: is a file of weights: name its folder"),
        ("tag-lora", "tag-lora: is an adapter for TOKEN_CLS, which no task asks (any other task"),
        ("misnamed", "misnamed/config.json: id2label must give each output, by its number, a name"),
        ("student.jsonl --gold saved", "saved: has several splits (test, train): name the folder"),
        ("student=loop", "loop: no such file or folder"),
        ("judged.jsonl", "judged.jsonl: has scores that were given elsewhere, and no answers"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file and what to do, and nothing is written."""
    prepare()
    assert expected in refusal(capsys, *arguments.split())


def test_names_of_all_kinds_stay_what_they_are() -> None:
    """Fields and files may be called what YAML would read otherwise."""
    rows = [{"id": i, "yes": f"text {i}", "007: x #1": LABELS[i % 2]} for i in range(N)]
    write("on, off.jsonl", rows)
    for name in ("the teacher.jsonl", "student #2.jsonl"):
        write(name, ({"id": i, "prediction": "good"} for i in range(N)))
    said = init(
        *("the teacher.jsonl", "student #2.jsonl", "--gold", "on, off.jsonl"),
        *("--input", "yes", "--target", "007: x #1"),
    )
    assert said["models"]["student"]["predictions"] == "student #2.jsonl"
    (name, entry), *_ = said["evals"].items()
    assert (name, entry["data"]) == ("on_off", "on, off.jsonl")
    assert (entry["input"], entry["target"]) == ("yes", "007: x #1")


@pytest.mark.parametrize("name", ["yes", "on", "null", "0x1F", "1_000", "1e3", "2031-01-02", "é"])
def test_an_eval_is_called_as_its_file_is(name: str) -> None:
    """Also where YAML, or an editor's YAML 1.2, reads something else than a text."""
    write(f"{name}.jsonl", ({"id": row["id"], "text": "x", name: row["label"]} for row in GOLD))
    predictions("teacher.jsonl", "student.jsonl")
    said = init("teacher.jsonl", "student.jsonl", "--gold", f"{name}.jsonl", "--target", name)
    assert [*said["evals"]] == [name]
    assert the_eval(said)["target"] == name
    text = Path("distill.yaml").read_text(encoding="utf-8")
    assert ("target: '1e3'" in text) == (name == "1e3")
    assert f'eval="{name}"' in Path("test_ship.py").read_text(encoding="utf-8")


def test_messages_are_named_though_they_are_called_so() -> None:
    """A task reads them only where the eval names them."""
    asked = {"messages": [{"role": "user", "content": "2 + 2?"}], "answer": "4"}
    write("asked.jsonl", ({"id": i, **asked} for i in range(N)))
    for name in ("teacher.jsonl", "student.jsonl"):
        write(name, ({"id": i, "text": "4"} for i in range(N)))
    entry = the_eval(init("teacher.jsonl", "student.jsonl", "--gold", "asked.jsonl"))
    assert (entry["messages"], entry["target"]) == ("messages", "answer")


@pytest.mark.parametrize(
    ("row", "asked", "expected"),
    [
        ({"label": "good", "score": 0.8}, {}, "small.jsonl:1: no 'id', which would say of which"),
        ({"id": "x{i}", "prediction": "good"}, {}, "small.jsonl: none of its ids (x0, x1"),
        (
            {"id": "r{i}", "prediction": "GOOD"},
            {},
            "small.jsonl: gold.jsonl:1 (id 'r0'): predicted labels that no gold example has",
        ),
        (
            {"id": "r{i}", "prediction": "good"},
            {"options": ["a", "b"], "label": "A"},
            "gold.jsonl:1 (id 'r0'): 'label' is 'A', which is none of the choices",
        ),
    ],
)
def test_what_a_run_would_refuse_is_told_at_once(
    row: dict[str, Any], asked: dict[str, Any], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files are written, and may be mended by hand; no run is needed to learn of it."""
    write("gold.jsonl", (gold | asked for gold in GOLD))
    rows = [
        {k: v.format(i=i) if isinstance(v, str) else v for k, v in row.items()} for i in range(N)
    ]
    write("small.jsonl", rows)
    assert main(["init", "small.jsonl", "--gold", "gold.jsonl"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("to do")]
    assert [line.partition(expected)[0] for line in told] == ["to do: "]


def test_a_folder_that_cannot_be_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do, and nothing is written; a link that leads nowhere is somebody's file."""
    prepare()
    told = refusal(capsys, "student.jsonl", "-o", "notes.txt/first")
    assert "notes.txt/first: the folder can't be made (Not a directory): name another with" in told
    Path("test_ship.py").symlink_to("nowhere.py")
    assert "test_ship.py: there already" in refusal(capsys, "student.jsonl")


def test_a_path_stays_what_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to the latest checkpoint is followed at each run; ``~`` behind a role is home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint("größe/step 500", "LlamaForCausalLM")
    checkpoint("big", "LlamaForCausalLM")
    Path("latest").symlink_to("größe/step 500")
    Path("sub").mkdir()
    monkeypatch.chdir("sub")
    models = init("teacher=~/big", "student=../latest/")["models"]
    assert models == {"teacher": {"path": "../big"}, "student": {"path": "../latest"}}


def test_long_answers_are_held_by_the_words_they_share() -> None:
    """No model repeats a summary letter by letter: a teacher that scores 0 has nothing to keep."""
    summary = "A film about a dog that finds its way home over three mountains and a river."
    write("news.jsonl", ({"id": i, "article": "x", "summary": f"{i}: {summary}"} for i in range(N)))
    write("small.jsonl", ({"id": i, "text": summary} for i in range(N)))
    assert the_eval(init("small.jsonl", "--gold", "news.jsonl"))["metrics"] == ["rouge_l"]
