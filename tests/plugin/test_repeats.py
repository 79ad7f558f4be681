"""Several samples of each example: what the engine is asked, and what the scores are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

from .project import Project, Run, gates_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
SEED = 7
STEP = 0x9E3779B1
N = 6

ENGINE = '''
import hashlib
import json
import os
import time
from pathlib import Path

from pytest_distill import ModelInfo, Prediction

LOG = Path(__file__).with_name("asked.jsonl")


class Sampling:
    """Answers with the number in the prompt where the digest of prompt and seed is small."""

    def __init__(self, spec):
        self.spec = spec
        self.info = ModelInfo(spec.name, spec.role, parameters=100)
        self.identity = {"model": spec.name}

    def predict(self, requests):
        for request in requests:
            with LOG.open("a") as file:
                asked = {"model": self.spec.name, "id": request.id, "seed": request.decoding.seed}
                file.write(json.dumps(asked) + "\\n")
            time.sleep(float(os.environ.get("SLOW", 0)))
            text = f"{request.prompt} {request.decoding.seed}".encode()
            lucky = hashlib.sha256(text).digest()[0] < self.spec.options["luck"]
            said = request.prompt.split()[-1] if lucky else "no"
            yield Prediction(request.id, text=said)

    def close(self):
        pass
'''


def use_samples(project: Project, *, ids: Iterable[str] | None = None, **keys: Any) -> None:
    """Let two models of different luck answer six sums, several times each."""
    names = [f"q{i}" for i in range(N)] if ids is None else list(ids)
    rows = [{"id": id, "input": f"say {i}", "target": str(i)} for i, id in enumerate(names)]
    project.rows("gold.jsonl", rows)
    project.file("own.py", ENGINE)
    project.file("pytest.ini", "[pytest]\npythonpath = .\n")
    project.models.clear()
    for name, luck in (("teacher", 200), ("student", 150)):
        project.models[name] = {"engine": "own:Sampling", "luck": luck}
    sampled = {"do_sample": True, "seed": SEED, "repeats": 8}
    project.evals.clear()
    project.evals["sums"] = {"task": "generation", "data": "gold.jsonl", **sampled, **keys}
    project.save()
    write_gates(
        project,
        head="from pytest_distill import *\n",
        keeps="assert_quality_retained(min=0.1)",
    )


def with_repeats(project: Project, repeats: int) -> None:
    """Ask for another number of samples."""
    project.evals["sums"]["repeats"] = repeats
    project.save()


def asked(project: Project, model: str = "student") -> list[tuple[str, int]]:
    """Return id and seed of everything that a model was asked."""
    log = project.path / "asked.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(row["id"], row["seed"]) for row in rows if row["model"] == model]


def counts(project: Project) -> dict[str, tuple[int, int]]:
    """Return of each model how many predictions were made and how many were stored."""
    rows = project.json()["evaluations"]
    return {row["model"]: (row["evaluated"], row["from_store"]) for row in rows}


def test_every_sample_has_a_seed_of_its_own(project: Project, run: Run) -> None:
    """Sample 0 is the request of an eval without repeats; sample k has the seed + k steps."""
    use_samples(project)
    run(*REPORTS).assert_outcomes(passed=1)
    found = asked(project)
    assert len(found) == len(set(found)) == 8 * N
    seeds = [(SEED + k * STEP) % 2**31 for k in range(8)]
    named = ["q3", *(f"q3 (sample {k})" for k in range(1, 8))]
    assert [pair for pair in found if pair[0].split()[0] == "q3"] == list(
        zip(named, seeds, strict=True)
    )


def test_raising_the_repeats_asks_for_the_new_samples_alone(project: Project, run: Run) -> None:
    """From 1 to 8 seven more an example, from 8 to 16 eight more; lowering asks nothing."""
    use_samples(project, repeats=1)
    for repeats, new in ((1, 1), (8, 7), (16, 8), (8, 0), (1, 0)):
        with_repeats(project, repeats)
        before = len(asked(project))
        run(*REPORTS).assert_outcomes(passed=1)
        assert len(asked(project)) - before == new * N
        assert counts(project)["student"] == (new * N, (repeats - new) * N)


def test_the_score_is_the_mean_over_the_samples(project: Project, run: Run) -> None:
    """The examples stay six; every sample counts alike."""
    import hashlib

    use_samples(project)
    run(*REPORTS)
    seeds = [(SEED + k * STEP) % 2**31 for k in range(8)]
    lucky = [
        hashlib.sha256(f"say {i} {seed}".encode()).digest()[0] < 150
        for i in range(N)
        for seed in seeds
    ]
    (row,) = [r for r in project.json()["comparisons"] if r["metric"] == "exact_match"]
    assert row["scores"]["student"] == sum(lucky) / len(lucky)
    assert gates_of(project)["keeps"]["n"] == N


@pytest.mark.parametrize("arguments", [(), ("-n", "2")])
def test_workers_share_the_samples(project: Project, run: Run, arguments: tuple[str, ...]) -> None:
    """Of two processes one asks and the other finds it in the store."""
    use_samples(project)
    write_gates(
        project,
        head="from pytest_distill import *\n",
        keeps="assert_quality_retained(min=0.1)",
        scores="assert_score(min=0.1)",
    )
    run(*arguments, *REPORTS).assert_outcomes(passed=2)
    assert len(asked(project)) == len(asked(project, "teacher")) == 8 * N
    assert counts(project)["student"] == (8 * N, 0)


def test_what_was_answered_before_a_kill_is_not_asked_again(project: Project, run: Run) -> None:
    """`kill -9` amid the samples: the next run asks the rest."""
    use_samples(project)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", "."]
    slow = {**os.environ, "SLOW": "0.05"}
    process = subprocess.Popen(
        command, cwd=project.path, env=slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(asked(project)) < 11 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = asked(project)
    assert 11 <= len(before) < 8 * N
    run(*REPORTS).assert_outcomes(passed=1)
    again = set(before) & set(asked(project)[len(before) :])
    assert len(again) <= 2  # the one that was being answered, and one not yet on disk
    assert {pair[0].split()[0] for pair in asked(project)} == {f"q{i}" for i in range(N)}


def test_refresh_asks_for_every_sample_again(project: Project, run: Run) -> None:
    """`--distill-refresh` believes none of them."""
    use_samples(project)
    run(*REPORTS)
    run("--distill-refresh", *REPORTS)
    assert counts(project)["student"] == (8 * N, 0)


def test_samples_meet_no_example_of_such_an_id(project: Project, run: Run) -> None:
    """An id of the gold set may look like a sample's."""
    ids = ["q", "q (sample 1)", "q (sample 2)", "q (sample' 1)", "r", "s"]
    use_samples(project, ids=ids, repeats=3)
    run(*REPORTS).assert_outcomes(passed=1)
    found = [id for id, _ in asked(project)]
    assert len(found) == len(set(found)) == 3 * N
    assert "q (sample'' 1)" in found


def test_examples_that_ask_the_same_are_sampled_once(project: Project, run: Run) -> None:
    """Two ids with one prompt share all their samples, and are one cluster."""
    use_samples(project)
    rows = [{"id": f"q{i}", "input": f"say {i // 2}", "target": str(i // 2)} for i in range(N)]
    project.rows("gold.jsonl", rows)
    result = run(*REPORTS)
    assert len(asked(project)) == 8 * N // 2
    assert counts(project)["student"] == (8 * N, 0)
    assert "6 of 6 gold examples ask only 3 things" in " ".join(said(result).split())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"do_sample": False}, "evals.sums.repeats: needs do_sample: true (and a seed): greedy"),
        ({"repeats": 0}, "evals.sums.repeats: must be at least 1, not 0"),
        ({"repeats": -3}, "evals.sums.repeats: must be at least 1, not -3"),
        ({"repeats": 10**9}, "evals.sums.repeats: must be at most 10,000, not 1,000,000,000"),
        ({"repeats": True}, "evals.sums.repeats: should be a valid integer, not True"),
        ({"repeats": "8"}, "evals.sums.repeats: should be a valid integer, not '8'"),
        ({"repeats": 2.5}, "evals.sums.repeats: should be a valid integer, not 2.5"),
        ({"repeats": None}, "evals.sums.repeats: should be a valid integer, not None"),
        ({"seed": None}, "evals.sums.do_sample: needs a seed"),
    ],
)
def test_what_cannot_be_repeated(
    project: Project, run: Run, keys: dict[str, Any], message: str
) -> None:
    """An error at the key that says what is wrong."""
    use_samples(project, **keys)
    assert message in said(run())


def test_a_task_without_samples_has_no_such_key(project: Project, run: Run) -> None:
    """A label has one answer."""
    project.evals["reviews"]["repeats"] = 3
    project.save()
    project.file("test_ship.py", "def test_keeps(comparison):\n    pass\n")
    assert "evals.reviews.repeats: unknown key" in said(run())


def of_samples(project: Project, *metrics: Any, **keys: Any) -> None:
    """Ask for these metrics beside `exact_match`."""
    use_samples(project, metrics=["exact_match", *metrics], **keys)


def test_metrics_of_samples_are_metrics(project: Project, run: Run) -> None:
    """By their names in assertions and criteria, and in every file of the report."""
    of_samples(
        project,
        {"pass_at": 4, "of": "exact_match"},
        {"majority": 5, "of": "exact_match"},
        {"pass_at": 1, "of": "exact_match"},
    )
    project.config["criteria"] = {"edge": {"quality_retained": {"min": 0.1, "metric": "pass@4"}}}
    project.save()
    write_gates(
        project,
        head="from pytest_distill import *\n",
        keeps='assert_quality_retained(min=0.1, metric="pass@4")',
        votes='assert_score(min=0.1, metric="majority@5", confidence=0.6)',
        meets='assert_meets("edge")',
        one='assert_score(min=0.1, metric="pass@1")',
        flips="assert_flips(max_lost=0.9, metric='majority@5')",
    )
    result = run(*REPORTS, "-v", "--distill-markdown", "out.md")
    result.assert_outcomes(passed=5)
    rows = {row["metric"]: row["scores"] for row in project.json()["comparisons"]}
    assert set(rows) == {"exact_match", "pass@4", "majority@5", "pass@1"}
    assert rows["pass@1"] == pytest.approx(rows["exact_match"])
    assert all(row["student"] > 0 for row in rows.values())
    for text in (said(result), (project.path / "out.md").read_text()):
        assert "pass@4" in text
        assert "majority@5" in text


def test_two_metrics_of_one_name_say_what_they_are_of(project: Project, run: Run) -> None:
    """pass@4 of two metrics; the short name is unknown then, and the error has the long ones."""
    own = "import numpy as np\nfrom pytest_distill import MeanMetric\n\n"
    own += "def is_number(answer):\n    return float(answer.predicted.isdigit())\n\n"
    own += 'NUMBER = MeanMetric("number", is_number)\n'
    project.file("mine.py", own)
    metrics = [{"pass_at": 4, "of": "exact_match"}, {"pass_at": 4, "of": "mine.NUMBER"}]
    of_samples(project, *metrics)
    write_gates(
        project,
        head="from pytest_distill import *\n",
        keeps='assert_quality_retained(min=0.1, metric="pass@4(number)")',
        other='assert_quality_retained(min=0.1, metric="pass@4")',
    )
    result = run(*REPORTS)
    result.assert_outcomes(passed=1, failed=1)
    assert "eval 'sums' has no metric 'pass@4'; did you mean 'pass@4(number)'" in said(result)


@pytest.mark.parametrize(
    ("metric", "keys", "message"),
    [
        ({"pass_at": 9, "of": "exact_match"}, {}, "[1].pass_at: 9 is more than there are samples"),
        ({"majority": 9, "of": "exact_match"}, {}, "[1].majority: 9 is more than there are"),
        ({"pass_at": 1, "of": "exact_match"}, {"repeats": 1}, "[1].pass_at: needs several samples"),
        ({"majority": 0, "of": "exact_match"}, {}, "[1].majority: should be greater than or equal"),
        ({"pass_at": True, "of": "exact_match"}, {}, "[1].pass_at: should be a valid integer"),
        ({"pass_at": "4", "of": "exact_match"}, {}, "[1].pass_at: should be a valid integer"),
        ({"pass_at": 4}, {}, "[1].of: is missing"),
        ({"pass_at": 4, "of": 7}, {}, "[1].of: should be a valid string, not 7"),
        ({"pass_at": 4, "of": "token_f1"}, {}, "[1].of: 'token_f1' does not say right or wrong"),
        ({"pass_at": 4, "of": "exact_mach"}, {}, "[1].of: unknown metric 'exact_mach'; did you"),
        ({"pass_at": 4, "of": "accuracy"}, {}, "[1].of: 'accuracy' does not suit task generation"),
        ({"pass_at": 4, "of": "nowhere.at_all"}, {}, "evals.sums.metrics.1.of"),
        ({"pass_at": 4, "majority": 4, "of": "exact_match"}, {}, "[1].majority: unknown key"),
        ({"pass_at": 4, "of": "exact_match", "k": 1}, {}, "[1].k: unknown key"),
        ({"of": "exact_match"}, {}, "[1].name: is missing"),
    ],
)
def test_what_is_no_metric_of_samples(
    project: Project, run: Run, metric: dict[str, Any], keys: dict[str, Any], message: str
) -> None:
    """An error at the key."""
    of_samples(project, metric, **keys)
    assert message in said(run())


def test_a_metric_of_samples_twice_is_refused(project: Project, run: Run) -> None:
    """The same one twice is a slip."""
    of_samples(project, *[{"pass_at": 4, "of": "exact_match"}] * 2)
    assert "evals.sums.metrics[2]: 'pass@4' is given twice" in said(run())


def test_no_other_task_has_samples(project: Project, run: Run) -> None:
    """A label is not sampled."""
    project.evals["reviews"]["metrics"] = [{"pass_at": 2, "of": "accuracy"}]
    project.save()
    project.file("test_ship.py", "def test_keeps(comparison):\n    pass\n")
    assert "evals.reviews.metrics[0].pass_at: needs several samples" in said(run())


def test_a_prompt_with_a_date_holds_it_in_every_sample(project: Project, run: Run) -> None:
    """What an engine says of its whole prompts is asked about all of them, and kept by them."""
    use_samples(project, repeats=2)
    dated = ENGINE + (
        "\n    def dated_prompts(self, requests):\n"
        "        day = os.environ['DAY']\n"
        "        return {request.id: day + request.prompt for request in requests}\n"
    )
    project.file("own.py", dated)
    for day, new in (("1", 2 * N), ("1", 0), ("2", 2 * N)):
        before = len(asked(project))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DAY", day)
            run(*REPORTS).assert_outcomes(passed=1)
        assert len(asked(project)) - before == new


def test_a_limit_takes_all_samples_of_some_examples(project: Project, run: Run) -> None:
    """`--distill-limit 2` asks for eight answers to each of two."""
    use_samples(project)
    run("--distill-limit", "2", *REPORTS)
    assert len(asked(project)) == 2 * 8
