"""What an entry, or a file of one's own, says of a task: looked at before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_distill.config import load_config
from pytest_distill.errors import ConfigError

pytestmark = pytest.mark.lm_eval


def _loaded(folder: Path, entry: str) -> None:
    (folder / "distill.yaml").write_text(
        f"models: {{teacher: {{path: a}}, student: {{path: b}}}}\nevals:\n  it: {entry}\n"
    )
    load_config(folder / "distill.yaml")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("nix: 1", r"nix: unknown key; known: custom_dataset"),
        ("doc_to_txt: a", r"doc_to_txt: unknown key; did you mean 'doc_to_text'"),
        ("metric_list: acc", r"metric_list: should be a valid list, not 'acc'$"),
        ("metric_list: [acc]", r"metric_list\[0\]: should be a mapping"),
        ("metric_list: [{aggregation: mean}]", r"metric_list\[0\].metric: is missing"),
        ("output_type: choice", r"output_type: should be 'generate_until', "),
        ("generation_kwargs: [1]", r"generation_kwargs: should be a mapping, not \[1\]"),
        ("num_fewshot: -1", r"num_fewshot: should be greater"),
        ("fewshot_config: {sample: 3}", r"fewshot_config.sample: unknown key; did you mean 'samp"),
        ("filter_list: [{name: a, filter: regex}]", r"filter_list\[0\].filter: should be a valid"),
        (
            "filter_list: [{name: a, filter: [{function: regexp}]}]",
            r"filter_list\[0\].filter\[0\].function: no such step of a filter; did you mean",
        ),
        ("doc_to_text: '{{question'", r"doc_to_text: is no template of Jinja: unexpected end"),
        ("doc_to_choice: ['{{a|nix}}']", r"doc_to_choice: is no template of Jinja: No filter"),
    ],
)
def test_an_override_that_no_task_can_say_is_refused_by_its_key(
    tmp_path: Path, said: str, problem: str
) -> None:
    """And not as rows that do not fit the task."""
    with pytest.raises(ConfigError, match=rf"distill.yaml:3: evals.it.override.{problem}"):
        _loaded(tmp_path, f"{{task: 'lm_eval:arc_easy', override: {{{said}}}}}")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("num_fewshots: 3", r"mine.yaml: num_fewshots: unknown key; did you mean 'num_fewshot'"),
        ("metric_list: acc", r"mine.yaml: metric_list: should be a valid list"),
        ("doc_to_text: '{{question'", r"mine.yaml: doc_to_text: is no template of Jinja"),
    ],
)
def test_a_file_of_ones_own_is_looked_at_in_the_same_way(
    tmp_path: Path, said: str, problem: str
) -> None:
    """By the file and its key."""
    (tmp_path / "own").mkdir()
    text = f"task: mine\noutput_type: multiple_choice\ntest_split: test\n{said}\n"
    (tmp_path / "own" / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"distill.yaml:3: evals.it.task: .*{problem}"):
        _loaded(tmp_path, "{task: 'lm_eval:mine', include_path: own}")


def test_one_file_is_of_one_split(tmp_path: Path) -> None:
    """The error says how it is named."""
    with pytest.raises(ConfigError, match=r"data: names a file for each .*: \{test: a.jsonl\}"):
        _loaded(tmp_path, "{task: 'lm_eval:arc_easy', data: a.jsonl}")


def test_a_file_that_is_no_yaml_is_named_where_the_task_is_looked_for(tmp_path: Path) -> None:
    """Its tasks are not known, and lm-evaluation-harness says nothing of it."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("task: mine\ndoc_to_choice: [a, b\n")
    problem = r"no task or group 'mine' is known, and .*mine.yaml cannot be read: .*line 3"
    with pytest.raises(ConfigError, match=rf"distill.yaml:3: evals.it.task: {problem}"):
        _loaded(tmp_path, "{task: 'lm_eval:mine', include_path: own}")
