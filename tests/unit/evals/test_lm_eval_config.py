"""What distill.yaml may say of lm-evaluation-harness's tasks, and what each mistake is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_distill.config import Config, load_config
from pytest_distill.errors import ConfigError, DistillError
from pytest_distill.evals.lm_eval import harness
from pytest_distill.project.evals import read_eval

pytest.importorskip("lm_eval")

OWN = {
    "plain.yaml": "task: plain\n{TASK}",
    "function.yaml": "task: function\n{TASK}doc_to_text: !function code.text\n",
    "including.yaml": "include: function.yaml\ntask: including\n",
    "class.yaml": "task: classy\nclass: !function code.Task\n",
    "mixed.yaml": "group: mixed\ntask: [plain, function, humaneval]\n",
    "grouped.yaml": "group: grouped\ndoc_to_text: !function code.text\ntask: [plain]\n",
    "code.py": "raise SystemExit('it ran')\n",
}
TASK = """dataset_path: json
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: answer
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
MMLU = {"task": "lm_eval:mmlu_anatomy"}
OF_OWN = {"include_path": "own", "data": {"test": "mmlu.jsonl"}}
NOT_RUN = "where you trust it, 'trust_remote_code: true'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with files of data and tasks of its own."""
    rows = [
        {
            "question": f"q{i}",
            "choices": ["a", "b", "c", "d"],
            "answer": i % 4,
            "subject": "anatomy",
        }
        for i in range(6)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "mmlu.jsonl").write_text(text)
    (tmp_path / "unlabelled.jsonl").write_text(text.replace('"answer"', '"solution"'))
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "broken.jsonl").write_text("{no json\n")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "own").mkdir()
    for name, said in OWN.items():
        (tmp_path / "own" / name).write_text(said.replace("{TASK}", TASK))
    return tmp_path


def load(folder: Path, said: dict[str, Any], **file: Any) -> Config:
    """Read a distill.yaml with one eval ``e``."""
    recorded = {"engine": "recorded", "predictions": "x.jsonl"}
    models = {"teacher": recorded, "student": recorded}
    content = {"models": models, "evals": {"e": said}, **file}
    (folder / "distill.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return load_config(folder / "distill.yaml")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"task": "arc_easy"}, "evals.e.task: unknown task 'arc_easy'; did you mean 'lm_eval:arc_"),
        ({"task": "lm-eval:arc_easy"}, "did you mean 'lm_eval:arc_easy'?"),
        ({"task": "lm_eval/arc_esay"}, "did you mean 'lm_eval:arc_easy'?"),
        ({"task": "clasification"}, "did you mean 'classification'?"),
        (
            {"task": "lm_eval:arc_esay"},
            "has no task or group 'arc_esay'; did you mean 'lm_eval:arc",
        ),
        ({"task": "lm_eval:mmlu_stemm"}, "did you mean 'lm_eval:mmlu_stem'?"),
        ({"task": "lm_eval:ai2_arcc"}, "did you mean 'lm_eval:ai2_arc'?"),
        ({"task": "lm_eval:!!!!"}, "`lm-eval ls tasks` lists what it has"),
        ({"task": "lm_eval:squadv2"}, "is a Python class of its own"),
        ({"task": "lm_eval:humaneval"}, "runs code that the model writes (unsafe_code)"),
        ({"task": "lm_eval:chartqa"}, "shows images to a model (doc_to_image)"),
        ({"task": "lm_eval:ruler_vt"}, "makes its documents by Python of its own"),
        (
            {"task": "lm_eval:polemo2_in"},
            f"scores by 'f1', whose Python comes from a hub: {NOT_RUN}",
        ),
        ({"task": "lm_eval:flan_held_in"}, "defines a task within itself (anli_r1_prompt-0)"),
        ({"task": "lm_eval:truthfulqa_mc1", "num_fewshot": 2}, "num_fewshot: 0 in its file"),
        ({"task": "lm_eval:pile_10k", "num_fewshot": 2}, "rates whole texts"),
        (
            {**MMLU, "shots": {"data": "x", "n": 1}},
            "evals.e.shots: unknown key; known: at_tokens, ",
        ),
        ({**MMLU, "prompt": "x"}, "evals.e.prompt: unknown key; known: at_tokens, "),
        (
            {"task": "lm_eval:arc_easy", "metrics": "acc_nrom"},
            "metrics[0]: unknown metric 'acc_nrom'; did you mean 'acc",
        ),
        ({**MMLU, "metrics": {"pass_at": 1, "of": "acc"}}, "pass_at: is not for tasks of lm-eval"),
        (
            {**MMLU, "metrics": {"majority": 3, "of": "acc"}},
            "majority: is not for tasks of lm-eval",
        ),
        ({**MMLU, "data": {"tset": "x"}}, "has no split 'tset'; did you mean 'test'?"),
        ({**MMLU, "data": {"dev": "x"}}, "no file for the split 'test' of task 'mmlu_anatomy', of"),
        (
            {**MMLU, "num_fewshot": 1, "data": {"test": "x"}},
            "no file for the split 'dev' of task 'mmlu_anatomy', of which its solved examples",
        ),
        ({**MMLU, "leave_out": "x"}, "leave_out: 'mmlu_anatomy' is a task; only a group has tasks"),
        ({"task": "lm_eval:mmlu_stem", "leave_out": "mmlu_anatmy"}, "did you mean 'mmlu_anatomy'?"),
        ({"task": "lm_eval:mmlu_stem", "must_keep": "a"}, "an entry of its own"),
        (
            {"task": "lm_eval:mmlu_stem", "data": {"mmlu_anatomy": {"test": "x"}}},
            "names no file for task 'mmlu_abstract_algebra': add 'mmlu_abstract_algebra: {test",
        ),
        ({"task": "lm_eval:function", **OF_OWN}, f"(function.yaml, line 8: !function): {NOT_RUN}"),
        ({"task": "lm_eval:including", **OF_OWN}, f"(function.yaml, line 8: !function): {NOT_RUN}"),
        ({"task": "lm_eval:classy", **OF_OWN}, "is a Python class of its own"),
        ({"task": "lm_eval:grouped", **OF_OWN}, "runs Python that stands beside it (code.py)"),
        ({"task": "lm_eval:plain", "include_path": "nowhere"}, "include_path: '"),
        ({"task": "lm_eval:plian", **OF_OWN}, "did you mean 'lm_eval:plain'?"),
        (
            {"task": "lm_eval:plain", **OF_OWN, "override": {"unsafe_code": True}},
            "runs code that the model writes",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_mistake_is_told_where_it_stands(
    folder: Path, said: dict[str, Any], message: str
) -> None:
    """Each names file, line and key, and what was meant or what to do; no Python is run."""
    with pytest.raises(ConfigError) as told:
        load(folder, said)
    text = str(told.value)
    assert message in text
    assert re.match(r"distill.yaml:\d+: evals\.e", text)
    assert len(text) < 1000


def test_a_group_with_tasks_that_are_not_asked_names_all_of_them(folder: Path) -> None:
    """It is refused with the reasons and what would leave them out, never silently smaller."""
    said = {"task": "lm_eval:mixed", **OF_OWN}
    with pytest.raises(ConfigError) as told:
        load(folder, said)
    assert "2 of the 3 tasks of 'mixed' are not asked here" in str(told.value)
    assert "'humaneval': runs code that the model writes" in str(told.value)
    assert "'leave_out: [function, humaneval]'" in str(told.value)
    config = load(folder, {**said, "leave_out": ["function", "humaneval"]})
    assert list(config.evals) == ["e.plain"]


def test_python_of_ones_own_runs_where_it_is_trusted(folder: Path) -> None:
    """With the key the function of a task is imported, when its documents are read."""
    config = load(folder, {"task": "lm_eval:including", **OF_OWN, "trust_remote_code": True})
    with pytest.raises(DistillError, match="raised SystemExit"):
        read_eval(config, "e")
    (folder / "own" / "code.py").write_text("def text(doc):\n    return doc['question'] + '!'\n")
    assert read_eval(config, "e").requests()[0].prompt == "q0!"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"data": {"test": "empty.jsonl"}}, "empty.jsonl: has no rows"),
        ({"data": {"test": "broken.jsonl"}}, "broken.jsonl: cannot be read: JSON parse error"),
        ({"data": {"test": "mmlu.json"}}, "no such file; did you mean 'mmlu.jsonl'?"),
        ({"data": {"test": "notes.txt"}}, "is none of .json, .jsonl"),
        ({"data": {"test": "own"}}, "is no data set that datasets saved"),
        (
            {"data": {"test": "unlabelled.jsonl"}},
            "unlabelled.jsonl: has no column 'answer', which the task reads (doc_to_target)",
        ),
        (
            {"data": {"test": "mmlu.jsonl"}, "override": {"doc_to_text": "{{query}}"}},
            "mmlu.jsonl: has no field 'query', which the task reads, but question, choices",
        ),
        (
            {"data": {"test": "mmlu.jsonl", "dev": "mmlu.jsonl"}, "num_fewshot": 7},
            "num_fewshot: 7 is more than the split 'dev' of task 'mmlu_anatomy' gives: 6",
        ),
        (
            {"data": {"test": "mmlu.jsonl"}, "slices": "choices"},
            "'choices' must be one value to slice by, not the list",
        ),
        ({"data": {"test": "mmlu.jsonl"}, "must_keep": "x"}, "must_keep: no example 'x'; known"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_data_that_does_not_fit_is_told(folder: Path, said: dict[str, Any], message: str) -> None:
    """What is wrong with a file is told by the eval, the file, and what to do about it."""
    config = load(folder, {**MMLU, **said})
    with pytest.raises(DistillError) as told:
        read_eval(config, "e")
    assert message in str(told.value)
    assert "Traceback" not in str(told.value)
    assert len(str(told.value)) < 1000


def test_a_data_set_that_is_not_to_be_had(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a hub the message names the data set and the key that takes its place, at once."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    config = load(folder, {**MMLU, "num_fewshot": 1})
    with pytest.raises(DistillError) as told:
        read_eval(config, "e")
    assert "distill.yaml: evals.e: lm_eval:mmlu_anatomy: its data set 'cais/mmlu' (anatomy)" in str(
        told.value
    )
    assert "HF_DATASETS_OFFLINE is set" in str(told.value)
    assert "'data: {test: FILE, dev: FILE}'" in str(told.value)


def test_a_group_says_of_each_task_what_the_entry_says(folder: Path) -> None:
    """Names, metrics, shots, files by a pattern or by task, and a criterion on the whole group."""
    data = {
        "test": "{dataset_name}.jsonl",
        "dev": "mmlu.jsonl",
        "mmlu_anatomy": {"test": "mmlu.jsonl"},
    }
    said = {"task": "lm_eval:mmlu_stem", "num_fewshot": 2, "data": data, "slices": ["subject"]}
    criteria = {"ok": {"suite_retained": {"min": 0.9, "evals": ["e"]}}}
    config = load(folder, said, criteria=criteria)
    assert len(config.evals) == 19
    assert config.groups["e"].evals == tuple(config.evals)
    assert {m.name for metrics in config.metrics.values() for m in metrics} == {"acc"}
    on = read_eval(config, "e.mmlu_anatomy")
    assert on.requests()[0].context.count("Answer:") == 3  # type: ignore[union-attr]
    with pytest.raises(DistillError, match=r"abstract_algebra\.jsonl: no such file"):
        read_eval(config, "e.mmlu_abstract_algebra")


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        ({"quality_retained": {"min": 0.9, "eval": "e"}}, "'e' is a group of 19 evals: name one"),
        ({"suite_retained": {"min": 0.9, "evals": ["f"]}}, "evals[0]: no eval is called 'f'"),
    ],
    ids=["one", "unknown"],
)
def test_a_gate_on_one_eval_is_not_asked_of_a_group(
    folder: Path, criterion: dict[str, Any], message: str
) -> None:
    """A criterion that names the group for one eval is told which there are."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(folder, {"task": "lm_eval:mmlu_stem"}, criteria={"ok": criterion})


def test_scores_are_not_reported_of_a_group(folder: Path) -> None:
    """A score of the group is no eval's: it is told whose are needed."""
    scores = {"e": {"acc": 0.5}}
    models = {name: {"engine": "reported", "scores": scores} for name in ("teacher", "student")}
    with pytest.raises(ConfigError, match="'e' is a group of 19 evals: name one of them"):
        load(folder, {"task": "lm_eval:mmlu_stem"}, models=models)


@pytest.mark.parametrize("installed", ["0.4.11", "0.5.0"])
def test_another_version_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, installed: str
) -> None:
    """Of another version the inside is not known: which one is needed is said."""
    monkeypatch.setattr(metadata, "version", lambda _: installed)
    harness._check_version.cache_clear()
    try:
        with pytest.raises(
            ConfigError, match=r"needs lm-eval from 0\.4\.12 on and before 0\.5, an"
        ):
            load(folder, MMLU)
    finally:
        harness._check_version.cache_clear()


def test_without_the_package_the_extra_is_named(folder: Path) -> None:
    """Where lm-eval is not installed, the error names what to install and is no traceback."""
    (folder / "distill.yaml").write_text(
        "models: {}\nevals:\n  e: {task: lm_eval:arc_easy}\n".replace(
            "models: {}", "models: {t: {role: teacher, engine: recorded, predictions: x}}"
        )
    )
    code = (
        "import sys, pathlib; sys.modules['lm_eval'] = None\n"
        "from pytest_distill.config import load_config\n"
        "load_config(pathlib.Path('distill.yaml'))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert found.stderr.splitlines()[-1] == (
        "pytest_distill.ConfigError: distill.yaml:3: evals.e.task: lm_eval:... needs the package "
        "lm-eval: pip install 'pytest-distill[lm-eval]'"
    )
