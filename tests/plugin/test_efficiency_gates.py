"""Gates on size, speed and memory, and what the report says of them."""

from __future__ import annotations

import pytest

from .project import (
    Project,
    Run,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    report_of,
    rows_of,
    said,
    write_gates,
)

JSON = ("--distill-report", "--distill-json", "out.json")

SLOW = '''
import time

from own import Counting


class Slow(Counting):
    """Takes as many seconds for an example as the option `seconds` says, one after the other."""

    def predict(self, requests):
        for prediction in super().predict(requests):
            time.sleep(self.spec.options["seconds"])
            yield prediction
'''

MOODY = '''
import time

from own import Counting


class Moody(Counting):
    """Takes 1 ms for ten examples, then 5 ms for ten more, and so on."""

    asked = 0

    def predict(self, requests):
        for prediction in super().predict(requests):
            time.sleep(0.005 if self.asked // 10 % 2 else 0.001)
            self.asked += 1
            yield prediction
'''

SMALL = "from pytest_distill import *\n"


@pytest.fixture
def slow(project: Project) -> Project:
    """Return a project whose teacher takes ten times as long as its student."""
    project.use_own_engine()
    project.file("slow.py", SLOW)
    for name, seconds in (("teacher", 0.02), ("student", 0.002), ("sft", 0.002)):
        project.models[name] |= {"engine": "slow:Slow", "seconds": seconds}
    project.save()
    return project


def test_sizes_are_compared_exactly(project: Project, run_both: Run) -> None:
    """100 of 1000 parameters are just 0.1 of them; what is declared is marked so."""
    write_gates(
        project,
        just="assert_smaller(max_ratio=0.1)",
        bigger="assert_smaller(max_ratio=0.0999)",
        fits="assert_size(max_parameters=100)",
        misfits="assert_size(max_parameters='0.099k')",
    )
    result = run_both(*JSON)
    assert outcomes_of(project) == {
        "just": "PASSED",
        "bigger": "FAILED",
        "fits": "PASSED",
        "misfits": "FAILED",
    }
    assert "assert 0.1000 <= 0.0999 of the parameters of teacher" in failing_lines(result)
    assert "assert 100 <= 99 parameters of student" in failing_lines(result)
    assert gates_of(project)["just"]["notes"] == [
        "parameters declared, not measured: teacher, student"
    ]


def test_a_size_is_told_alike_everywhere(project: Project, run: Run) -> None:
    """20.04 MB are not 20.0 MB in the table above the gate that they fail; 1 GB is not 1000 MB."""
    project.models["student"]["bytes"] = 20_040_000
    project.models["teacher"]["bytes"] = 999_996_000
    project.save()
    write_gates(
        project,
        keeps="assert_quality_retained(min=0.5)",
        small="assert_size(max_bytes='20 MB')",
    )
    result = run("--distill-report")
    assert failing_lines(result)[0] == "assert 20.04 MB <= 20 MB bytes of student"
    told = report_of(result)
    assert any(line.split()[:4] == ["FAILED", "20.04", "MB", "<="] for line in told)
    sizes = {name: rows_of(result, name)[0][2:4] for name in ("student", "teacher")}
    assert sizes == {"student": ["20.04", "MB*"], "teacher": ["1", "GB*"]}


def test_a_size_needs_no_eval(project: Project, run: Run) -> None:
    """With several evals and none named, a gate that looks at no example just answers."""
    project.evals["more"] = project.evals["reviews"]
    project.save()
    project.file("test_ship.py", SMALL + "def test_small(): assert_smaller(max_ratio=0.2)\n")
    assert decision_of(run("--distill-report")) == ("SHIP", "")


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ("assert_smaller(0.1, by='bytes')", "the bytes of model 'student' are not known; declare"),
        ("assert_smaller(0.1, by='paramters')", "did you mean 'parameters'?"),
        ("assert_smaller(0)", "a share of the teacher's, above 0 and at most 1"),
        ("assert_size()", "give max_bytes=, max_parameters= or both"),
        ("assert_size(max_bytes='3 Mb')", "unknown unit 'Mb'"),
        ("assert_latency(p95='50 ms')", "'student' does not run here"),
        ("assert_latency()", "give p50=, p95= or p99="),
        ("assert_latency(p95='50')", "unknown unit ''"),
        ("assert_latency(p95=1, of='word')", "of='word'"),
        ("assert_faster(2, examples=0)", "examples=0: must be a number of at least 1"),
        ("assert_throughput(0)", "min=0: must be above 0"),
        ("assert_memory('1 GB')", "'student' does not run here"),
    ],
)
def test_what_cannot_be_asked_is_an_error(
    project: Project, run: Run, gate: str, problem: str
) -> None:
    """The error says what is wrong, and the gate did not run."""
    if "examples=0" in gate:
        project.use_own_engine()
    write_gates(project, asks=gate)
    result = run("--distill-report")
    assert problem in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"


def test_speed_is_measured_and_told(slow: Project, run_both: Run) -> None:
    """A student that takes a tenth of the time is between 5 and 15 times as fast."""
    write_gates(
        slow,
        faster="assert_faster(min_speedup=5, examples=20)",
        not_that_fast="assert_faster(min_speedup=15, examples=20)",
        quick="assert_latency(p50='15 ms', examples=20)",
        slow="assert_latency(p50='1 ms', examples=20)",
        too_few="assert_latency(p95='15 s', examples=20)",
        many="assert_throughput(min=50)",
        too_many="assert_throughput(min='500 /s')",
    )
    result = run_both(*JSON, "-v")
    assert outcomes_of(slow) == {
        "faster": "PASSED",
        "not_that_fast": "FAILED",
        "quick": "PASSED",
        "slow": "FAILED",
        "too_few": "INCONCLUSIVE",
        "many": "PASSED",
        "too_many": "FAILED",
    }
    assert (
        "the gold set has only 20 examples, and an upper bound of p95 needs 59: an example that is "
        "timed again is no further one"
    ) in failing_lines(result)
    header = next(line.split() for line in report_of(result) if " p50 " in line)
    assert header[:4] == ["p50", "p95", "in", "batches"]
    assert "student: measured on auto" in " ".join(report_of(result))
    figures = {row["model"]: row for row in slow.json()["figures"]}
    assert 0.02 < figures["teacher"]["latency"]["example"]["p50"]["estimate"] < 0.1
    assert figures["student"]["throughput"]["n"] == 20
    assert gates_of(slow)["faster"]["details"]["speedup"]["n"] == 20
    assert 5 <= gates_of(slow)["faster"]["observed"] <= 15


def test_examples_that_come_round_again_count_once(slow: Project, run_both: Run) -> None:
    """However often twenty examples are timed, n is 20, and there is no bound of p95."""
    write_gates(
        slow,
        faster="assert_faster(min_speedup=5, examples=60)",
        median="assert_latency(p50='15 s', examples=60)",
        tail="assert_latency(p95='15 s', examples=60)",
    )
    result = run_both(*JSON)
    assert outcomes_of(slow) == {"faster": "PASSED", "median": "PASSED", "tail": "INCONCLUSIVE"}
    assert "gold set has only 20 examples" in said(result)
    gates = gates_of(slow)
    assert {name: row["n"] for name, row in gates.items()} == dict.fromkeys(gates, 20)
    assert gates["faster"]["basis"].startswith("median ratio of 20 examples in 60 pairs, ")
    assert "n = 20 examples, timed 60 times, of an example" in gates["median"]["basis"]
    assert gates["faster"]["details"]["speedup"]["n"] == 20
    assert gates["tail"]["details"]["quantiles"]["p95"]["n"] == 20
    (student,) = (row for row in slow.json()["figures"] if row["model"] == "student")
    assert {row["n"] for row in student["latency"]["example"].values()} == {20}


@pytest.mark.parametrize("kind", ["one question under several ids", "one passage"])
def test_examples_of_one_cluster_count_once(slow: Project, run: Run, kind: str) -> None:
    """Eighty ids that ask five things, or are about five passages, are five values."""
    rows = [
        {**row, "id": f"{row['id']}-{i}", "passage": position}
        | ({} if kind == "one passage" else {"text": f"text {position}"})
        for position, row in enumerate(gold()[:5])
        for i in range(16)
    ]
    if kind == "one passage":
        rows = [{**row, "text": f"text {row['id']}"} for row in rows]
        slow.evals["reviews"]["cluster"] = "passage"
    slow.rows("gold.jsonl", rows)
    slow.save()
    write_gates(
        slow,
        median="assert_latency(p50='15 s', examples=80)",
        tail="assert_latency(p95='15 s', examples=80)",
        less="assert_faster(5, examples=4)",
    )
    result = run(*JSON)
    gates = gates_of(slow)
    assert {name: row["n"] for name, row in gates.items()} == {"median": 5, "tail": 5, "less": 4}
    counted = "5 clusters (passage)" if kind == "one passage" else "5 distinct examples"
    assert f"the gold set has only {counted}, and an upper bound of p95 needs 59" in said(result)
    assert "4 examples give no lower bound of the median: examples=5 do" in said(result)


def test_a_machine_that_slows_down_and_recovers_is_noted(project: Project, run: Run) -> None:
    """Times that hang on the time before are named in the report, and decide nothing."""
    project.use_own_engine()
    project.file("moody.py", MOODY)
    for name in ("teacher", "student", "sft"):
        project.models[name] |= {
            "engine": "moody:Moody",
        }
    project.save()
    write_gates(project, latency="assert_latency(p50='15 s', examples=60)")
    result = run(*JSON)
    row = gates_of(project)["latency"]
    (note,) = row["notes"]
    assert note.startswith("what was measured depends on what was measured just before")
    assert "measure on an idle machine, with --distill-refresh" in note
    assert row["details"]["serial"]["lag_one"] > row["details"]["serial"]["bound"]
    assert row["outcome"] == "PASSED"
    assert decision_of(result)[0] == "SHIP"


def test_one_measured_example_is_no_evidence(slow: Project, run: Run) -> None:
    """A single time is not a declared one: no bound exists, and nothing is passed on it."""
    write_gates(
        slow,
        faster="assert_faster(min_speedup=0.1, examples=1)",
        quick="assert_latency(p50='15 s', examples=1)",
        observed="assert_latency(p50='15 s', examples=1, confidence=None)",
    )
    run(*JSON)
    assert outcomes_of(slow) == {
        "faster": "INCONCLUSIVE",
        "quick": "INCONCLUSIVE",
        "observed": "PASSED",
    }


def test_a_declared_latency_is_marked_so(slow: Project, run: Run) -> None:
    """A teacher behind an API is as fast as is declared, and the report says who says so."""
    slow.models["teacher"] = {
        "engine": "recorded",
        "predictions": "teacher.jsonl",
        "latency_ms": 200,
        "cost_per_1k": 1.5,
    }
    slow.save()
    write_gates(slow, faster="assert_faster(min_speedup=10, examples=20)")
    result = run(*JSON)
    assert decision_of(result) == ("SHIP", "")
    told = " ".join(" ".join(report_of(result)).split())
    assert "latency declared, not measured: teacher" in told
    assert gates_of(slow)["faster"]["details"]["settings"]["teacher"] == "declared"


def test_figures_of_different_devices_are_not_compared(slow: Project, run: Run) -> None:
    """A teacher on one device and a student on another have no speedup."""
    slow.models["teacher"]["device"] = "cuda:0"
    slow.models["student"]["device"] = "cpu"
    slow.save()
    write_gates(slow, faster="assert_faster(min_speedup=2, examples=4)")
    result = run("--distill-report")
    assert "figures of different devices are not compared" in said(result)
    assert "'teacher' on cuda" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"


def test_memory_is_not_known_of_every_engine(slow: Project, run: Run) -> None:
    """An engine that cannot tell what it holds gives no verdict."""
    write_gates(slow, fits="assert_memory(max='1 GB')")
    result = run("--distill-report")
    assert "engine of model 'student' cannot tell what it holds in memory" in said(result)


def test_a_waived_size_ships(project: Project, run: Run) -> None:
    """A known shortfall is waived by the gate's name, down to its floor."""
    project.config["waivers"] = [
        {
            "gate": "smaller",
            "floor": 0.2,
            "owner": "us",
            "reason": "next quarter",
            "expires": "2999-01-01",
        }
    ]
    path = project.save()
    path.write_text(path.read_text().replace("'2999-01-01'", "2999-01-01"))
    write_gates(project, small="assert_smaller(max_ratio=0.05)")
    assert decision_of(run("--distill-report")) == ("SHIP", "1 waived")
