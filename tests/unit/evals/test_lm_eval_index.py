"""What lm-evaluation-harness has under a name, found without its scan of all files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.groups import members_of
from pytest_distill.evals.lm_eval.index import all_names, entries_of

pytest.importorskip("lm_eval")


def theirs(folder: str) -> dict[str, Any]:
    """Return lm-evaluation-harness's own index of one folder of its tasks."""
    index: dict[str, Any] = harness.module("tasks._index").TaskIndex.build(
        [harness.tasks_folder() / folder]
    )
    return index


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("arc_easy", "arc"),  # a task
        ("ai2_arc", "arc"),  # a tag
        ("mmlu_stem", "mmlu/default"),  # a group of a tag
        ("acp_bench", "acpbench"),  # a tag that only templates without a suffix have
        ("fda", "fda"),  # a Python class
        ("mnli", "glue"),  # quoted names, one file includes another
        ("blimp_nl", "blimp_nl"),  # groups defined within a group
        ("ulut", "ulqa"),  # a group and a tag of one name
        ("metabench_arc", "metabench"),  # included by others
    ],
)
def test_an_entry_is_that_of_its_own_index(name: str, folder: str) -> None:
    """Kind, file, tags and all that is said of a name are as lm-evaluation-harness finds them."""
    assert entries_of(name)[name] == theirs(folder)[name]


def test_a_tag_has_its_tasks_of_all_folders() -> None:
    """A tag that tasks of several folders have names all of them."""
    folders = ("darijahellaswag", "egyhellaswag", "hellaswag")
    tagged = [theirs(folder)["multiple_choice"].tags for folder in folders]
    assert entries_of("multiple_choice")["multiple_choice"].tags == set().union(*tagged)
    assert len(set().union(*tagged)) == 3


def test_of_two_files_the_first_one_wins(tmp_path: Path) -> None:
    """A name that stands in two files of a folder is the one that comes first in its scan."""
    for number, path in enumerate(("b/z.yaml", "b/a.yaml", "a-b.yaml", "a/c.yaml")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"task: twice\ndataset_path: d{number}\ntag: t{number}\n")
    index = harness.module("tasks._index").TaskIndex.build([tmp_path])
    assert entries_of("twice", tmp_path)["twice"] == index["twice"]
    assert "t0" not in all_names(tmp_path)


def test_tasks_of_ones_own_take_the_place_of_others(tmp_path: Path) -> None:
    """A folder of the user's is read after the tasks that come along, and by the same rules."""
    (tmp_path / "own.yaml").write_text("task: arc_easy\ndataset_path: mine\n")
    assert entries_of("arc_easy", tmp_path)["arc_easy"].cfg["dataset_path"] == "mine"
    assert entries_of("arc_easy")["arc_easy"].cfg["dataset_path"] == "allenai/ai2_arc"
    with pytest.raises(ConfigError, match=r"include_path: '.*nowhere' is no folder"):
        entries_of("arc_easy", tmp_path / "nowhere")


def built(name: str, monkeypatch: pytest.MonkeyPatch, folder: Path | None = None) -> list[Any]:
    """Return (task, num_fewshot) of all tasks that lm-evaluation-harness builds of a group.

    No data set is opened: what a task is built of is written down in its place.
    """
    tasks, factory = harness.module("tasks"), harness.module("tasks._factory")
    group = harness.module("api.group")

    class Built(harness.module("api.task").Task):  # type: ignore[misc]
        def __init__(self, config: dict[str, Any]) -> None:
            self.said = config

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

        task_name = property(lambda self: self.said["task"])
        doc_to_text = doc_to_target = construct_requests = process_results = aggregation = None
        higher_is_better = None

    Built.__abstractmethods__ = frozenset()
    monkeypatch.setattr(factory, "ConfigurableTask", Built)
    known = tasks.TaskManager(include_defaults=False)
    known._index = dict(entries_of(name, folder))
    found = known.load([name])
    of = found["groups"][name] if name in found.get("groups", {}) else None
    assert of is None or isinstance(of, group.Group)
    leaves = list(found["tasks"].values()) if of is None else of.get_all_tasks()
    return [(task.said["task"], task.said.get("num_fewshot")) for task in leaves]


def ours(name: str, folder: Path | None = None) -> list[Any]:
    """Return (task, num_fewshot) of each member."""
    entries = entries_of(name, folder)
    return [
        (member.name, {**entries[member.name].cfg, **member.by_group}.get("num_fewshot"))
        for member in members_of(name, entries)
    ]


OWN_GROUP = """
group: own
num_fewshot: 1
task:
  - {task: arc_easy, num_fewshot: 3, task_alias: easy}
  - {group: inner, num_fewshot: 2, task: [sciq, {task: piqa, num_fewshot: 4}]}
  - ai2_arc
"""


@pytest.mark.parametrize("name", ["mmlu_stem", "ai2_arc", "blimp_nl", "mela", "own"])
def test_a_group_has_the_tasks_that_lm_eval_builds(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Groups of groups, tags, inline groups, members with a number of shots: in their order."""
    (tmp_path / "own.yaml").write_text(OWN_GROUP)
    assert ours(name, tmp_path) == built(name, monkeypatch, tmp_path)


def test_a_group_may_set_the_shots_of_a_group_in_it() -> None:
    """What a group says of a group within it holds for each task of that, which keeps its name.

    lm-evaluation-harness 0.4.13 calls all of them as the group is called, so that one is left.
    """
    found = dict(ours("openllm"))
    assert (found["mmlu_anatomy"], found["hellaswag"], found["truthfulqa_mc2"]) == (5, 10, 0)
    assert len([name for name in found if name.startswith("mmlu_")]) == 57


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ("[arc_esay]", "the group 'own' names 'arc_esay', which it has no file for"),
        ("[own]", "the group 'own' names itself"),
        ("[{task: new, dataset_path: x}]", r"defines a task within itself \(new\)"),
        ("[{dataset_path: x}]", "the group 'own' defines a task within itself, which"),
    ],
)
def test_a_group_that_is_not_whole_is_refused(tmp_path: Path, members: str, message: str) -> None:
    """A member that is not there, or has no file, would be missing from the suite."""
    (tmp_path / "own.yaml").write_text(f"group: own\ntask: {members}\n")
    with pytest.raises(ConfigError, match=message):
        members_of("own", entries_of("own", tmp_path))
