"""What was stored and accepted before a task had further keys is found again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.tasks import Classification, Generation, MultipleChoice, Perplexity, Task

ROWS = (
    Example("1", {"input": "one", "target": "1"}, "g:1"),
    Example("2", {"input": "zwei\né", "target": ["2", "two"]}, "g:2"),
)
# The first 16 hex digits, as commit c0b3459 gave them: of the requests, eval, settings, gold set.
BEFORE = [
    (
        Generation(),
        ["241d617d1729e28b", "c2cb6a14fca8df48"],
        ("d18ce288e91fbf10", "b259c484d2d22af4", "38327de4e8839ae6"),
    ),
    (
        Generation(chat=True),
        ["46e313321f013825", "e268ee78df5e96fd"],
        ("6ed342b92d9c77d9", "c9cc448fa280bda0", "38327de4e8839ae6"),
    ),
    (
        Generation(prompt="{{ input }}?", stop=("\n",), max_new_tokens=5, truncate="left"),
        ["9afb6e35144a5655", "7d531ef4af7a4001"],
        ("2b52d4cbae32012b", "bdf694592103f7f4", "38327de4e8839ae6"),
    ),
    (
        Generation(chat=True, shots=(ROWS[1],)),
        ["9bbd7bcedaf3b5eb", "0de21384327f0225"],
        ("b8d4e1c1d35c181b", "9350440663cab2cb", "38327de4e8839ae6"),
    ),
    (
        Generation(do_sample=True, temperature=0.7, top_p=0.9, seed=3, extract="a(b)"),
        ["49c29896fde24a6b", "2ac45fee786e94d1"],
        ("6e30a3860720fd6b", "020435fc93363f9a", "38327de4e8839ae6"),
    ),
]
CHOICES = tuple(
    Example(row.id, {**row.fields, "target": row.id, "choices": ["1", "2"]}, row.place)
    for row in ROWS
)
# The same of the other tasks, as commit a258bdf gave them.
BEFORE_OF_OTHERS = [
    (
        Classification(),
        ["3b228742e8b9ff58", "d2ecc91d8040fa60"],
        ("493f7a1967eff85f", "9c6f159b02b6c95f", "90c1d74a79be1785"),
    ),
    (
        MultipleChoice(),
        ["748c60544f147aef", "b1bbbfe05aec4235"],
        ("e330e776e9355339", "5b2caad24d99d6cb", "3b8dc1e25dcd40ab"),
    ),
    (
        Perplexity(),
        ["3adad3adb2c2412c", "82943a68f541b07c"],
        ("c1871223eaa6b4a0", "5e8bfe0220203402", "6ac7f6ceb2075214"),
    ),
]


@pytest.mark.parametrize(
    ("task", "requests", "digests"), BEFORE, ids=["plain", "chat", "prompt", "shots", "sampled"]
)
def test_plain_prompts_keep_their_digests(
    task: Generation, requests: list[str], digests: tuple[str, str, str]
) -> None:
    """Requests are found in stores, and evals in baselines, that were written before."""
    check_digests(task, ROWS, requests, digests)


@pytest.mark.parametrize(
    ("task", "requests", "digests"), BEFORE_OF_OTHERS, ids=lambda given: getattr(given, "name", "")
)
def test_other_tasks_keep_their_digests(
    task: Task, requests: list[str], digests: tuple[str, str, str]
) -> None:
    """A key that a task is given later says nothing where it is not set."""
    check_digests(task, CHOICES, requests, digests)


def check_digests(
    task: Task, rows: Sequence[Example], requests: list[str], digests: tuple[str, str, str]
) -> None:
    """Hold what is kept of an eval's requests, of itself, its settings and its gold set."""
    on = Eval("e", task, GoldSet("g", tuple(rows)), (task.metrics[0],))
    assert [request_key(request).hex()[:16] for request in on.requests()] == requests
    found = (on.digest[:16], on.settings_digest[:16], on.gold_digest[:16])
    assert found == digests
