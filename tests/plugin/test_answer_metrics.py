"""Metrics of answers in mathematics, in JSON, of calls of tools and of speech, in real runs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from .project import (
    Project,
    Run,
    blocks_of,
    decision_of,
    gates_of,
    outcomes_of,
    refuse_package_frames,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
TOWER = "$10^{10^{10}}$"
TOOL = {
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def given(
    project: Project,
    targets: list[Any],
    teacher: list[Any],
    student: list[Any],
    *metrics: str,
    more: dict[str, Any] | None = None,
    **keys: Any,
) -> None:
    """Write a generation eval with these targets, and what two models answered.

    An answer is a text, or the fields of a row.
    """
    rows = [{"id": f"e{i}", "input": f"q{i}", "target": t} for i, t in enumerate(targets)]
    project.rows("gold.jsonl", [row | (more or {}) for row in rows])
    project.models.clear()
    for name, answers in (("teacher", teacher), ("student", student)):
        project.models[name] = {"engine": "recorded", "predictions": f"{name}.jsonl"}
        told = [a if isinstance(a, dict) else {"text": a} for a in answers]
        project.rows(f"{name}.jsonl", [{"id": f"e{i}", **row} for i, row in enumerate(told)])
    entry = {"task": "generation", "data": "gold.jsonl", "metrics": list(metrics)}
    project.evals["reviews"] = {**entry, **keys}
    project.save()


def hermes(**arguments: Any) -> str:
    """Return a text that calls the tool."""
    call = json.dumps({"name": "weather", "arguments": arguments})
    return f"<tool_call>\n{call}\n</tool_call>"


def test_math_equal(project: Project, run_both: Run) -> None:
    """The share of answers that are equal as mathematics, after `extract` and the thinking."""
    given(
        project,
        ["72", r"\frac{1}{2}", "$x+1$", "42"],
        ["<think>70?</think>Answer: 72.0", "Answer: 1/2", "Answer: 1 + x", "Answer: 42"],
        ["Answer: 72", "Answer: 0.5", "<think>x+1", "no answer"],
        "math_equal",
        extract="Answer: (.*)",
        thinking={"start": "<think>", "end": "</think>"},
    )
    write_gates(project, kept="assert_quality_retained(0.5)", flips="assert_flips(0.4)")
    run_both(*REPORTS)
    assert outcomes_of(project) == {"kept": "PASSED", "flips": "FAILED"}
    gates = gates_of(project)
    assert gates["kept"]["observed"] == 0.5
    assert gates["flips"]["observed"] == 0.5


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_an_answer_that_takes_too_long(project: Project, run: Run, who: str) -> None:
    """It counts as wrong, the report says so, and no verdict on it is firm; the run goes on."""
    gold = [str(i) for i in range(40)]
    fine = [{"text": text, "finish": "end", "tokens": 1} for text in gold]
    late = [fine[0] | {"text": TOWER}, *fine[1:]]
    given(
        project,
        gold,
        late if who == "teacher" else fine,
        late if who == "student" else fine,
        "math_equal",
        "exact_match",
    )
    write_gates(
        project,
        kept="assert_quality_retained(0.5)",
        score="assert_score(0.5)",
        other="assert_quality_retained(0.5, metric='exact_match')",
        ended="assert_finished(0.5)",
    )
    begun = time.monotonic()
    result = run(*REPORTS)
    assert time.monotonic() - begun < 60
    assert decision_of(result)[0] == "SHIP"
    gates = gates_of(project)
    for name in ("kept", "score"):
        (note,) = [note for note in gates[name]["notes"] if "took longer" in note]
        assert note == (
            f"suspicious: 1 answer of {who} took longer than 5 s to compare and counts as wrong "
            "(math_equal)"
        )
        assert gates[name]["firm"] is not True
        assert "firm" not in gates[name]["basis"].split("; ")
    for name in ("other", "ended"):
        assert not [note for note in gates[name]["notes"] if "took longer" in note]
    assert any(f"1 answer of {who} took longer than 5 s" in block for block in blocks_of(result))


def test_a_gold_answer_that_is_no_mathematics(project: Project, run: Run) -> None:
    """No gate is judged; the error names the file, the line and the id."""
    given(project, ["72", "seventy-three"], ["72", "73"], ["72", "73"], "math_equal")
    write_gates(project, kept="assert_quality_retained(0.5)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"kept": "NOT RUN"}
    assert "gold.jsonl:2 (id 'e1'): math-verify reads nothing mathematical in" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("how", ["pytest", "module", "unguarded", "two workers"])
def test_however_pytest_is_started(project: Project, how: str) -> None:
    """The process of math-verify is none of pytest's modules, and ends with it."""
    given(project, ["72", "0.5"], ["72.0", "1/2"], ["72.0", "1/2"], "math_equal")
    write_gates(project, kept="assert_quality_retained(1)")
    project.file(
        "unguarded.py",
        """
        import pytest, sys
        print("main runs")
        sys.exit(pytest.main(sys.argv[1:]))
        """,
    )
    command = {
        "pytest": ["-c", "import sys, pytest; sys.exit(pytest.main())"],
        "module": ["-m", "pytest"],
        "unguarded": ["unguarded.py"],
        "two workers": ["-m", "pytest", "-n", "2"],
    }[how]
    done = subprocess.run(
        [sys.executable, *command, "-W", "error", *REPORTS],
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert done.stdout.count("main runs") == (how == "unguarded")
    assert outcomes_of(project) == {"kept": "PASSED"}


def test_json_and_a_schema(project: Project, run: Run) -> None:
    """Answers are JSON, and fit the schema of the eval, or of each example."""
    for schema in (CITY, "form"):
        given(
            project,
            ["", "", "", ""],
            ['{"city": "Rome"}'] * 4,
            ['{"city": "Rome"}', '{"city": 5}', '{"city": NaN}', "Rome"],
            "valid_json",
            "matches_schema",
            schema=schema,
            more={"form": CITY},
        )
        write_gates(
            project,
            json="assert_quality_retained(0.5)",
            schema="assert_quality_retained(0.5, metric='matches_schema')",
        )
        run(*REPORTS)
        assert {n: row["observed"] for n, row in gates_of(project).items()} == {
            "json": 0.5,
            "schema": 0.25,
        }


@pytest.mark.parametrize("table", [False, True])
def test_calls_of_tools(project: Project, run_both: Run, table: bool) -> None:
    """One sees which part broke; calls come in a text or apart from it, targets also as JSON."""
    rome, own = hermes(city="Rome"), [{"function": {"name": "weather", "arguments": "{oh"}}]
    targets: list[Any] = [{"name": "weather", "arguments": {"city": "Rome"}}] * 3 + [[]]
    given(
        project,
        targets,
        [rome, rome, rome, "Hello!"],
        [hermes(city="Oslo"), hermes(town=1, city=2), {"tool_calls": own}, "Hello!"],
        "tool_name",
        "tool_arguments",
        "valid_json",
        "matches_schema",
        tools=[TOOL],
    )
    if table:
        with (project.path / "gold.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "input", "target"])
            rows.writerows([f"e{i}", f"q{i}", json.dumps(t)] for i, t in enumerate(targets))
        project.evals["reviews"]["data"] = "gold.csv"
        project.save()
    names = project.evals["reviews"]["metrics"]
    gates = {name: f"assert_quality_retained(0.2, metric='{name}')" for name in names}
    write_gates(project, **gates)
    run_both(*REPORTS)
    observed = {name: row["observed"] for name, row in gates_of(project).items()}
    assert observed == {
        "tool_name": 1,
        "tool_arguments": 0.25,
        "valid_json": 0.75,
        "matches_schema": 0.5,
    }


def test_a_lost_example_shows_the_calls(project: Project, run: Run) -> None:
    """Also where they stand beside a text, and as they were written where they are no JSON."""
    own = [{"function": {"name": "weather", "arguments": "{oh"}}]
    target = {"name": "weather", "arguments": {"city": "Rome"}}
    given(
        project,
        [target],
        [hermes(city="Rome")],
        [{"text": "Let me see.", "tool_calls": own}],
        "tool_arguments",
        tools=[TOOL],
    )
    write_gates(project, keeps="assert_quality_retained(0.5)")
    run(*REPORTS)
    (file,) = (project.path / ".distill" / "lost").iterdir()
    row = json.loads(file.read_text())
    assert row["student"] == {
        "score": 0.0,
        "answer": "Let me see.",
        "calls": [{"name": "weather", "arguments": "{oh"}],
    }
    assert row["teacher"]["calls"] == [{"name": "weather", "arguments": '{"city": "Rome"}'}]


def test_models_that_differ_in_their_calls_alone(project: Project, run: Run) -> None:
    """They did not give identical answers, though none of them wrote a text."""
    calls = [[{"function": {"name": "weather", "arguments": f'{{"city": "{c}"}}'}}] for c in "AB"]
    rows = [{"text": "", "tool_calls": call} for call in calls]
    target = {"name": "weather", "arguments": {"city": "A"}}
    given(project, [target] * 3, [rows[0]] * 3, [rows[0], rows[0], rows[1]], tools=[TOOL])
    write_gates(project, kept="assert_quality_retained(0.5)")
    run(*REPORTS)
    (gate,) = gates_of(project).values()
    assert gate["metric"] == "tool_name"  # the headline without a metric that is named
    assert gate["observed"] == 1
    assert not [note for note in gate["notes"] if "identical" in note]


def test_calls_that_nobody_asked_for(project: Project, run: Run) -> None:
    """Recorded calls in an eval without tools are an error with the example's id."""
    calls = [{"function": {"name": "weather", "arguments": "{}"}}]
    given(project, ["a", "b"], ["a", "b"], ["a", {"tool_calls": calls}], "exact_match")
    write_gates(project, kept="assert_quality_retained(0.5)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"kept": "NOT RUN"}
    assert "(id 'e1'): the prediction calls tools (weather), and the eval gives the" in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("tool_name", "'tool_name' compares calls of tools, and the eval gives the model none"),
        ("tool_arguments", "'tool_arguments' compares calls of tools, and the eval gives the"),
        ("matches_schema", "'matches_schema' has nothing to hold an answer against: say 'schema'"),
    ],
)
def test_a_metric_without_what_it_looks_at(
    project: Project, run: Run, metric: str, message: str
) -> None:
    """It is refused in the file, with its line and key; asked by a gate, with the eval."""
    given(project, ["a"] * 3, ["a"] * 3, ["a"] * 3, "exact_match", metric)
    write_gates(project, kept=f"assert_quality_retained(0.5, metric='{metric}')")
    shown = said(run(*REPORTS))
    assert "distill.yaml:" in shown
    assert f"evals.reviews.metrics[1]: {message}" in shown
    given(project, ["a"] * 3, ["a"] * 3, ["a"] * 3, "exact_match")
    result = run(*REPORTS)
    assert f"eval 'reviews': {message}" in said(result)
    assert outcomes_of(project) == {"kept": "NOT RUN"}
    refuse_package_frames(result)


def test_several_samples_need_tools_too(project: Project, run: Run) -> None:
    """pass@k of a metric of tools is refused as the metric itself is."""
    given(project, ["a"], ["a"], ["a"], repeats=2, do_sample=True, seed=1)
    project.evals["reviews"]["metrics"] = [{"pass_at": 2, "of": "tool_name"}]
    project.save()
    write_gates(project, kept="assert_quality_retained(0.5)")
    assert "evals.reviews.metrics[0]: 'tool_name' compares calls of tools" in said(run(*REPORTS))


@pytest.mark.parametrize("schema", ["[", "{type: strin}", "5", "{$ref: 'https://example.com/x'}"])
def test_a_bad_schema_of_the_file(project: Project, run: Run, schema: str) -> None:
    """It is refused in the file, with its line and key."""
    given(project, ["a"], ["a"], ["a"], "valid_json")
    text = (project.path / "distill.yaml").read_text(encoding="utf-8")
    (project.path / "distill.yaml").write_text(f"{text}    schema: {schema}\n", encoding="utf-8")
    write_gates(project, kept="assert_quality_retained(0.5)")
    result = run(*REPORTS)
    assert "distill.yaml:" in said(result)
    assert schema == "[" or "evals.reviews.schema: " in said(result)
    refuse_package_frames(result)


SAID = [f"This is sentence number {i}, with some words." for i in range(40)]


def test_error_rates(project: Project, run: Run) -> None:
    """Ratios of sums over the eval: lower is better, retained is the teacher's / the student's."""
    worse = [text.replace("some words", "other word") for text in SAID[:10]]
    given(
        project,
        SAID,
        [
            text.lower().replace("sentence", "sentience") if i < 8 else text
            for i, text in enumerate(SAID)
        ],
        worse + SAID[10:],
        "word_error_rate",
        "char_error_rate",
        max_new_tokens=16,
    )
    write_gates(
        project,
        words="assert_quality_retained(0.4)",
        characters="assert_quality_retained(0.1, metric='char_error_rate')",
        score="assert_score(max=0.0625)",
        sure="assert_score(max=0.5, confidence=0.95)",
        unsure="assert_quality_retained(0.4, confidence=0.95)",
    )
    result = run(*REPORTS)
    gates = gates_of(project)
    assert gates["words"]["observed"] == 0.4  # 8 of 320 words, and 20
    assert gates["score"]["observed"] == 0.0625
    assert {gates[n]["outcome"] for n in ("words", "characters", "score", "sure")} == {"PASSED"}
    assert gates["unsure"]["outcome"] == "INCONCLUSIVE"
    assert "lower is better, retained = teacher / student" in "\n".join(result.outlines)


def test_a_student_without_errors(project: Project, run: Run) -> None:
    """It retains infinitely much, and passes; beside a flawless teacher there is no ratio."""
    noisy = [text.replace("sentence", "sentience") for text in SAID]
    given(project, SAID, noisy, SAID, "word_error_rate", "char_error_rate")
    write_gates(
        project,
        words="assert_quality_retained(0.95)",
        characters="assert_quality_retained(0.95, metric='char_error_rate')",
        sure="assert_quality_retained(0.95, confidence=0.95)",
        flips="assert_flips(0.0)",
    )
    run(*REPORTS)
    gates = gates_of(project)
    assert (gates["words"]["observed"], gates["words"]["infinite"]) == (None, True)
    assert {gates[n]["outcome"] for n in ("words", "characters", "flips")} == {"PASSED"}
    assert gates["sure"]["outcome"] == "INCONCLUSIVE"  # 40 sentences may have missed a rambling one
    assert any("begins to pass at about" in note for note in gates["sure"]["notes"])
    given(project, SAID, SAID, noisy, "word_error_rate")
    write_gates(project, words="assert_quality_retained(0.95)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"words": "NOT RUN"}
    assert "the teacher scores 0" in said(result)


def test_a_reference_without_a_word(project: Project, run: Run) -> None:
    """It is an error with the example's id, and no pass."""
    given(project, ["Hello.", "..."], ["hello", "x"], ["hello", ""], "word_error_rate")
    write_gates(project, kept="assert_quality_retained(0.5)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"kept": "NOT RUN"}
    assert "gold.jsonl:2 (id 'e1'): nothing is left of the accepted answer" in said(result)


@pytest.mark.parametrize(
    ("metric", "module", "package", "extra"),
    [
        ("math_equal", "math_verify", "math-verify", "math"),
        ("matches_schema", "jsonschema", "jsonschema", "tools"),
        ("word_error_rate", "jiwer", "jiwer", "speech"),
    ],
)
def test_a_missing_extra(
    project: Project,
    run_apart: Run,
    monkeypatch: pytest.MonkeyPatch,
    metric: str,
    module: str,
    package: str,
    extra: str,
) -> None:
    """One line says what to install, and nothing is judged."""
    blocker = f"""
        import sys

        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == {module!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        sys.meta_path.insert(0, Blocker())
    """
    project.file("blocked/sitecustomize.py", blocker)
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(project.path / "blocked"), root]))
    given(project, ["1"] * 3, ["1"] * 3, ["1"] * 3, metric, schema="form", more={"form": {}})
    write_gates(project, kept="assert_quality_retained(0.5)")
    if extra != "tools":
        del project.evals["reviews"]["schema"]
        project.save()
    result = run_apart(*REPORTS)
    assert outcomes_of(project) == {"kept": "NOT RUN"}
    line = f"metric '{metric}' needs the package {package}: pip install 'pytest-distill[{extra}]'"
    assert line in said(result)
    refuse_package_frames(result)
