from __future__ import annotations

from typing import Any

import pytest

from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.tasks import Classification, Generation, MultipleChoice, Perplexity, Task


def example(i: int, **fields: Any) -> Example:
    """Return an example of its own id."""
    return Example(f"e{i}", {"target": "a", **fields}, f"gold.jsonl:{i + 1}")


def asking(*texts: str, task: Task | None = None, cluster: str | None = None, **more: Any) -> Eval:
    """Return an eval of these texts; `more` has a list of values for each further field."""
    examples = tuple(
        example(i, input=text, **{name: values[i] for name, values in more.items()})
        for i, text in enumerate(texts)
    )
    gold = GoldSet("gold.jsonl", examples)
    metric = (task or Classification()).metrics[0]
    return Eval("e", task or Classification(), gold, (metric,), cluster=cluster)


def parts(on: Eval) -> list[set[int]] | None:
    """Return the clusters as sets of positions, the one with the first example first."""
    clusters = on.clusters
    if clusters is None:
        return None
    return [
        {i for i, name in enumerate(clusters) if name == wanted}
        for wanted in dict.fromkeys(clusters)
    ]


def test_examples_that_ask_the_same_are_one_cluster() -> None:
    """Under several ids too; an example that asks its own thing is a cluster of one."""
    on = asking("x", "y", "x", "z", "x")
    assert on.repeated == [[0, 2, 4]]
    assert parts(on) == [{0, 2, 4}, {1}, {3}]
    assert on.notes == (
        "3 of 5 gold examples ask only 1 thing, under several ids: those that ask the "
        "same are one cluster",
    )


def test_the_request_alone_decides() -> None:
    """Other fields, the target included, make no other question; a blank does."""
    assert asking("x", "x", target=["a", "b"]).repeated == [[0, 1]]
    assert asking("x", "x ").repeated == []
    prompt = Classification(prompt="{{ input }}, {{ lang }}")
    assert asking("x", "x", task=prompt, lang=["de", "en"]).repeated == []


def test_different_questions_are_no_clusters() -> None:
    """Then examples are independent, and the exact tests hold."""
    assert parts(asking("x", "y", "z")) is None
    assert asking("x", "y", "z").notes == ()


def test_the_same_question_joins_clusters() -> None:
    """Passages that share a question are not independent, nor are their own neighbours."""
    passages = ["p", "p", "q", "q", "r", "r", "s"]
    on = asking("1", "2", "2", "3", "3", "4", "5", cluster="passage", passage=passages)
    assert parts(on) == [{0, 1, 2, 3, 4, 5}, {6}]


def test_a_long_chain_of_clusters_is_one() -> None:
    """Each passage shares a question with the next."""
    n = 2000
    texts = [str((i + 1) // 2) for i in range(n)]
    on = asking(*texts, cluster="passage", passage=[str(i // 2) for i in range(n)])
    assert parts(on) == [set(range(n))]


@pytest.mark.parametrize(
    "task", [Generation(), Perplexity(), MultipleChoice(), Classification()], ids=lambda t: t.name
)
def test_every_task_is_told_apart_by_its_request(task: Task) -> None:
    """Choices and decoding are part of what is asked."""
    on = asking("x", "y", "x", task=task, choices=[["a", "b"], ["a", "b"], ["a", "b"]])
    assert on.repeated == [[0, 2]]
    others = asking("x", "x", task=task, choices=[["a", "b"], ["b", "a"]])
    assert others.repeated == ([] if task.name == "multiple_choice" else [[0, 1]])


def test_what_models_are_asked_is_looked_at_once() -> None:
    """The requests that a model gets tell which are the same."""
    on = asking("x", "x")
    requests = on.requests()
    assert [r.id for r in requests] == ["e0", "e1"]
    assert vars(on)["repeated"] == [[0, 1]]


@pytest.mark.parametrize(
    ("task", "note"),
    [
        (Classification(prompt="{{ input }} {{ target }}"), "the prompt reads the target field"),
        (
            Classification(prompt="{{ input }}{% if target == 'a' %}!{% endif %}"),
            "the prompt reads the target",
        ),
        (Generation(prompt="{{ input }} {{ target | upper }}"), "the prompt reads the target"),
        (Generation(input="target"), "the input is the target field 'target'"),
        (Classification(input=("input", "target")), "the input is the target field"),
    ],
)
def test_a_model_that_is_told_the_answer_is_noted(task: Task, note: str) -> None:
    """Whatever it then scores is no evidence."""
    (found,) = asking("x", "y", task=task, target=["a", "b"]).notes
    assert found.startswith(note)


def test_a_prompt_without_the_target_is_not_noted() -> None:
    """A perplexity text is its own target."""
    assert asking("x", "y", task=Classification(prompt="{{ input }} target")).notes == ()
    assert asking("x", "y", task=Perplexity()).notes == ()


def test_shots_from_the_gold_set_are_noted() -> None:
    """The prompt then has the answer of an example that is asked."""
    shots = (example(7, input="y"), example(8, input="w"))
    (note,) = asking("x", "y", task=Generation(shots=shots)).notes
    assert note.startswith("1 of the few-shot examples are gold examples too")
