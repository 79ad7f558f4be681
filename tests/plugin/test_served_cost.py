"""A run that would cost too much stops, and goes on later where it stopped."""

from __future__ import annotations

from collections import Counter
from itertools import count

from tests.servers.served import Asked, Reply, chat_answer, served

from .project import HEAD, Project, Run, decision_of, refuse_package_frames, said, write_gates

PRICES = {"input": 0, "output": 1_000_000}
QUESTIONS = [f"question {n}" for n in range(10)]


def test_what_was_paid_for_before_the_limit_is_not_paid_for_again(
    project: Project, run: Run
) -> None:
    """The error says what is spent and how to go on; then each example was asked once."""
    numbers = count()

    def handle(asked: Asked) -> Reply:
        text = asked.body["messages"][-1]["content"]
        usage = {"prompt_tokens": 1, "completion_tokens": 10}
        return Reply(chat_answer(text, next(numbers), usage=usage))

    project.rows("gold.jsonl", ({"id": q, "input": q, "target": q} for q in QUESTIONS))
    project.rows("student.jsonl", ({"id": q, "text": q} for q in QUESTIONS))
    project.models.pop("sft")
    project.evals.clear()
    project.evals["qa"] = {
        "task": "generation",
        "data": "gold.jsonl",
        "chat": True,
        "max_new_tokens": 20,
    }
    write_gates(project, head=HEAD.replace('"reviews"', '"qa"'), it="assert_quality_retained(1)")
    with served(handle) as server:
        entry = {"engine": "openai", "base_url": server.url, "model": "m", "max_concurrency": 3}
        for limit in (70, 1000):
            project.models["teacher"] = {**entry, "prices": PRICES, "max_cost": limit}
            project.save()
            result = run("--distill-report")
            refuse_package_frames(result)
            told = " ".join(said(result).split())
            if limit == 70:
                # two trials of one token each, and 20 held back for an answer of 10
                assert "max_cost 70.00 is not exceeded: 52.00 is spent" in told
                assert "may cost up to 20.00; 7 answers came in this run" in told
                assert decision_of(result)[0] == "INCOMPLETE"
    assert decision_of(result)[0] == "SHIP"
    assert "(predictions: 5 made in this run, 5 from the store)" in told
    assert "teacher: 7 requests, 11 tokens read and 52 written, 52.00 spent (max_cost" in told
    assert Counter(a.body["messages"][-1]["content"] for a in server.asked) == Counter(QUESTIONS)
