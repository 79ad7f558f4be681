"""A model behind a server in a whole run: what the report says of who answered."""

from __future__ import annotations

from collections import Counter
from itertools import count

from tests.servers.served import Asked, Reply, completion, served

from .project import Project, Run, answers, report_of


def test_the_report_says_where_a_model_is_asked_and_how_far_it_is_from_itself(
    project: Project, run: Run
) -> None:
    """On the terminal and in the JSON report; nothing is asked more than twice."""
    asked: Counter[str] = Counter()
    numbers = count()

    def handle(request: Asked) -> Reply:
        prompt = request.body["prompt"]
        if not prompt.startswith("text "):  # a trial of the server
            return Reply(completion("pos", next(numbers), system_fingerprint="fp_a"))
        asked[prompt] += 1
        number = int(prompt.removeprefix("text "))
        right = number < 18 and (asked[prompt] == 1 or number > 1)
        said = ("pos", "neg")[(number + (not right)) % 2]
        return Reply(completion(said, next(numbers), system_fingerprint="fp_a", model="m-2"))

    rows = [{"id": row["id"], "text": row["prediction"]} for row in answers(range(3, 20))]
    project.rows("student.jsonl", rows)
    del project.models["sft"]
    project.config["evals"]["reviews"] = {
        "task": "generation",
        "data": "gold.jsonl",
        "input": "text",
        "target": "label",
    }
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_quality_retained

        def test_keeps(teacher):
            assert teacher.evaluate("reviews").score() == 0.9
            assert teacher.info.path.startswith("m at 127.0.0.1:")
            assert_quality_retained(min=0.94, eval="reviews")

        def test_again():
            assert_quality_retained(min=0.5, eval="reviews")
        """,
    )
    with served(handle) as server:
        teacher = {"engine": "openai", "base_url": server.url, "model": "m", "noise_check": 20}
        project.models["teacher"] = teacher
        project.save()
        result = run("-v", "--distill-report", "--distill-json=report.json")
    result.assert_outcomes(passed=2)
    at = f"m at 127.0.0.1:{server.port}"
    told = " ".join(" ".join(report_of(result)).split())
    assert f"run under another engine: teacher openai ({at}), student recorded" in told
    assert "its weights cannot be digested" in told
    assert "teacher: every answer has the system_fingerprint fp_a" in told
    assert "teacher: the server says that another name answered: m-2 (20)" in told
    noise = "teacher asked twice on 20 examples of reviews: retains 0.8888 of itself by exact_match"
    assert noise in told
    assert "the floor 0.94 lies above what teacher retains of itself, 0.8888" in told
    assert set(asked.values()) == {2}
    report = project.json("report.json")
    (model,) = (row for row in report["models"] if row["name"] == "teacher")
    assert model["asked_at"] == at
    (row,) = (row for row in report["evaluations"] if row["model"] == "teacher")
    assert row["fingerprints"] == {"fp_a": 20}
    (itself,) = row["itself"]
    assert (itself["n"], itself["lost"], itself["won"]) == (20, 2, 0)
    assert (itself["first"], itself["second"]) == (0.9, 0.8)
