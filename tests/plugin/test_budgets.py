"""Budgets of tokens: ``at_tokens:`` of an eval, and gates within one of them.

The models think for as many tokens as the example's number, times their option `slow`, and then
answer 7: so what they answer within a budget is known by hand. Of 40 examples (0 to 39) the teacher
needs i + 3 tokens and the student 2 * i + 3.
"""

from __future__ import annotations

import datetime
import json
import shutil
from typing import Any

import pytest

from .project import (
    Project,
    Run,
    blocks_of,
    command,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    refuse_package_frames,
    report_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
N = 40
MOST = 100
BUDGETS = [23, 43]
RIGHT = {"teacher": {23: 21, 43: 40}, "student": {23: 11, 43: 21}}
"""Answers within the budgets that are right: those of texts of at most so many tokens."""

ENGINE = '''
import json
from pathlib import Path

from pytest_distill import ModelError, ModelInfo, Prediction

LOG = Path(__file__).with_name("calls.jsonl")


class Thinks:
    """Thinks as long as the prompt says, times `slow`; a seed makes it one token longer."""

    def __init__(self, spec):
        if spec.path and not Path(spec.path).is_dir():
            raise ModelError("not here")
        self.spec = spec

    @property
    def info(self):
        return ModelInfo(self.spec.name, self.spec.role, parameters=100)

    @property
    def identity(self):
        return {"model": self.spec.name, "slow": self.spec.options["slow"]}

    def predict(self, requests):
        with LOG.open("a") as file:
            file.write(json.dumps({"call": "predict", "n": len(requests)}) + "\\n")
        for request in requests:
            decoding = request.decoding
            seed = (decoding.seed or 0) % 2
            thought = int(request.prompt) * self.spec.options["slow"] + seed
            words = ["<think>", *["hm"] * thought, "</think>", "7"]
            text = words[: decoding.max_new_tokens]
            yield Prediction(
                request.id,
                text=" ".join(text),
                tokens=len(text),
                finish="end" if len(text) == len(words) else "length",
                thinking_tokens=min(thought + 2, len(text)),
            )

    def close(self):
        pass
'''


@pytest.fixture
def thinking(project: Project) -> Project:
    """Return a project whose teacher thinks less than its student."""
    project.file("own.py", ENGINE)
    project.rows(
        "gold.jsonl",
        [{"id": f"e{i}", "text": str(i), "label": "7", "half": i // 20} for i in range(N)],
    )
    project.models.clear()
    for name, slow in (("teacher", 1), ("student", 2)):
        project.models[name] = {"engine": "own:Thinks", "slow": slow}
    project.evals["reviews"] = {
        "task": "generation",
        "data": "gold.jsonl",
        "input": "text",
        "target": "label",
        "thinking": {"start": "<think>", "end": "</think>"},
        "max_new_tokens": MOST,
        "at_tokens": BUDGETS,
        "slices": ["half"],
    }
    project.save()
    return project


def test_a_gate_looks_at_what_is_answered_within_a_budget(thinking: Project, run_both: Run) -> None:
    """As a function and as a method: retained, finished, length, flips, score, slices."""
    write_gates(
        thinking,
        whole="assert_quality_retained(min=1.0)",
        short="assert_quality_retained(min=0.5, at_tokens=23)",
        long="assert_quality_retained(min=0.6, at_tokens=43)",
        ends="assert_finished(min=0.5, at_tokens=43)",
        length="assert_length(max_ratio=1.5, at_tokens=23)",
        flips="assert_flips(max_lost=0.25, at_tokens=23)",
        score="assert_score(min=0.525, model='teacher', at_tokens=23)",
        errors="assert_errors(max_ratio=1.6, at_tokens=23)",
        slices="assert_slices_retained(min=0.1, by='half', at_tokens=43, confidence=None,"
        " min_examples=5)",
        sliced="assert_quality_retained(min=0.55, slice='half=0', at_tokens=23)",
    )
    result = run_both(*REPORTS)
    found = gates_of(thinking)
    lengths = {
        who: sum(min(i * slow + 3, 23) for i in range(N))
        for who, slow in (("teacher", 1), ("student", 2))
    }
    observed = {
        "whole": 1.0,
        "short": 11 / 21,
        "long": 21 / 40,
        "ends": 21 / 40,
        "length": lengths["student"] / lengths["teacher"],
        "flips": 10 / 40,
        "score": 21 / 40,
        "errors": 29 / 19,
        "slices": 1 / 20,
        "sliced": 11 / 20,
    }
    assert {name: row["observed"] for name, row in found.items()} == pytest.approx(observed)
    assert {name: row["at_tokens"] for name, row in found.items()} == {
        **dict.fromkeys(observed, 23),
        **dict.fromkeys(("long", "ends", "slices"), 43),
        "whole": None,
    }
    failed = {name for name, row in found.items() if row["outcome"] == "FAILED"}
    assert failed == {"long", "slices"}
    (line,) = [line for line in failing_lines(result) if ">= 0.6 " in line]
    assert "quality retained at 43 tokens (exact_match)" in line
    (block,) = [line for line in blocks_of(result) if ">= 0.6" in line]
    assert "at 43 tokens" in block


def test_all_is_asked_in_one_call_and_each_answer_is_stored(thinking: Project, run: Run) -> None:
    """Three requests an example; a further budget asks for its own answers alone."""
    gate = "assert_quality_retained(min=0.5, at_tokens={})"
    write_gates(thinking, short=gate.format(23), long=gate.format(43))
    run(*REPORTS)
    assert [call["n"] for call in thinking.calls("predict")] == [3 * N, 3 * N]
    thinking.evals["reviews"]["at_tokens"] = [*BUDGETS, 63]
    thinking.save()
    write_gates(thinking, longer=gate.format(63))
    run(*REPORTS)
    assert [call["n"] for call in thinking.calls("predict")] == [3 * N, 3 * N, N, N]
    assert gates_of(thinking)["longer"]["observed"] == 31 / 40


def test_the_comparison_at_a_budget_has_its_numbers(thinking: Project, run_both: Run) -> None:
    """Scores, retained, flips and assertions; an evaluation has the same."""
    thinking.file(
        "test_ship.py",
        """
        import pytest

        def test_numbers(comparison, student):
            short = comparison.at(23)
            assert short.retained() == 11 / 21
            assert short.score("teacher") == 21 / 40
            assert len(short.flips.lost) == 10
            assert comparison.retained() == 1.0
            assert short.at(43).retained() == 21 / 40
            assert student.evaluate().at(23).score() == 11 / 40
            assert student.evaluate().score() == 1.0

        def test_gate(comparison):
            comparison.at(23).assert_quality_retained(0.5)
            comparison.at(23).assert_quality_retained(0.5, at_tokens=23)

        def test_other(comparison):
            comparison.at(23).assert_quality_retained(0.5, at_tokens=43)

        def test_size(comparison):
            comparison.at(23).assert_smaller(0.5)

        def test_baseline(comparison):
            comparison.assert_not_worse(at_tokens=23)
        """,
    )
    result = run_both(*REPORTS)
    rows = thinking.json()["gates"]
    assert [(row["gate"], row["outcome"], row["at_tokens"]) for row in rows] == [
        ("own_assertion", "PASSED", None),
        ("quality_retained", "PASSED", 23),
        ("quality_retained", "PASSED", 23),
        ("quality_retained", "NOT RUN", None),
        ("smaller", "NOT RUN", None),
        ("not_worse", "NOT RUN", None),
    ]
    told = " ".join(failing_lines(result))
    assert "this comparison is at 23 tokens" in told
    assert "assert_smaller looks at no budget of tokens" in told
    assert "a baseline keeps the answers without a budget" in told
    refuse_package_frames(result)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("512", "at_tokens=512: eval 'reviews' has no such budget; at_tokens: lists 23, 43"),
        ("100", "lists 23, 43"),
        ("23.0", "at_tokens=23.0: "),
        ("'23'", "at_tokens='23': "),
        ("[23]", "at_tokens=[23]: "),
        ("True", "at_tokens=True: "),
        ("-1", "at_tokens=-1: "),
    ],
)
def test_a_budget_that_the_eval_lacks_is_refused(
    thinking: Project, run: Run, given: str, told: str
) -> None:
    """The message names those that it has."""
    write_gates(thinking, asked=f"assert_score(min=0.1, at_tokens={given})")
    result = run(*REPORTS)
    assert told in " ".join(failing_lines(result))
    assert outcomes_of(thinking) == {"asked": "NOT RUN"}
    refuse_package_frames(result)


def test_an_eval_without_budgets_says_how_to_have_one(project: Project, run: Run) -> None:
    """A task without texts can have none."""
    write_gates(project, asked="assert_score(min=0.1, at_tokens=5)")
    assert "no text is generated there" in said(run(*REPORTS))
    project.evals["reviews"] = {"task": "generation", "data": "gold.jsonl", "input": "text"}
    project.evals["reviews"]["target"] = "label"
    project.save()
    assert "list it in distill.yaml, as evals.reviews.at_tokens" in said(run(*REPORTS))


def test_recorded_answers_are_of_no_budget(thinking: Project, run: Run) -> None:
    """How they would have been cut is not known; without a budget they are judged."""
    rows = [{"id": f"e{i}", "text": "</think>7", "tokens": 2, "finish": "end"} for i in range(N)]
    thinking.rows("student.jsonl", rows)
    thinking.models["student"] = {"engine": "recorded", "predictions": "student.jsonl"}
    thinking.save()
    write_gates(
        thinking,
        whole="assert_quality_retained(min=0.9)",
        short="assert_quality_retained(min=0.5, at_tokens=23)",
        teacher="assert_score(min=0.5, model='teacher', at_tokens=23)",
    )
    result = run(*REPORTS)
    assert outcomes_of(thinking) == {"whole": "PASSED", "short": "NOT RUN", "teacher": "PASSED"}
    assert "record that run as an eval of its own, with max_new_tokens: 23" in said(result)
    refuse_package_frames(result)


def test_a_requirement_and_a_waiver_name_the_budget(thinking: Project, run: Run) -> None:
    """A gate within a budget meets no requirement of the one without, nor the other way round."""
    gate = "assert_quality_retained(min=0.6, at_tokens=43)"
    write_gates(thinking, long=gate)
    thinking.config["waivers"] = [
        {
            "gate": "quality_retained",
            "floor": 0.5,
            "owner": "ann",
            "reason": "r",
            "expires": datetime.date(2999, 1, 1),
        }
    ]
    thinking.save()
    assert decision_of(run(*REPORTS))[0] == "DO NOT SHIP"
    thinking.config["waivers"][0]["gate"] = "quality_retained at 43 tokens"
    thinking.config["required_gates"] = ["quality_retained at 43 tokens"]
    thinking.save()
    assert decision_of(run(*REPORTS)) == ("SHIP", "1 waived")
    thinking.config["required_gates"] = ["quality_retained"]
    thinking.save()
    outcome, reason = decision_of(run(*REPORTS))
    assert outcome == "INCOMPLETE"
    assert "1 required gate did not pass: quality_retained" in reason


@pytest.mark.parametrize(
    "name",
    ["smaller at 43 tokens", "quality_retained at 0 tokens", "quality_retained at x tokens"],
)
def test_a_name_that_no_gate_has_is_refused(thinking: Project, run: Run, name: str) -> None:
    """It would never apply."""
    thinking.config["required_gates"] = [name]
    thinking.save()
    write_gates(thinking, asked="assert_score(min=0.1)")
    assert f"no gate is called '{name}'" in said(run(*REPORTS))


def test_a_criterion_may_ask_within_budgets(thinking: Project, run: Run) -> None:
    """As parts of its own."""
    thinking.config["criteria"] = {
        "edge": {"quality_retained": [{"min": 0.9}, {"min": 0.5, "at_tokens": 43}]}
    }
    thinking.save()
    write_gates(thinking, edge="assert_meets('edge')")
    run(*REPORTS)
    rows = thinking.json()["gates"]
    assert [(row["at_tokens"], row["outcome"]) for row in rows] == [
        (None, "PASSED"),
        (43, "PASSED"),
    ]
    thinking.config["criteria"] = {"edge": {"smaller": {"max_ratio": 0.5, "at_tokens": 43}}}
    thinking.save()
    assert "criteria.edge.smaller.at_tokens: unknown key" in said(run(*REPORTS))


def test_the_report_has_the_scores_within_each_budget(thinking: Project, run_both: Run) -> None:
    """A column each, with what was retained in brackets; the same in JSON."""
    write_gates(thinking, whole="assert_quality_retained(min=1.0)")
    result = run_both(*REPORTS)
    lines = report_of(result)
    place = next(i for i, line in enumerate(lines) if "at 23" in line)
    assert [lines[place + i].split() for i in range(3)] == [
        ["at", "23", "at", "43"],
        ["teacher", "0.5250", "1.0000"],
        ["student", "0.2750", "(0.5238)", "0.5250", "(0.5250)"],
    ]
    rows = {row["at_tokens"]: row for row in thinking.json()["budgets"]}
    assert {
        tokens: {who: rows[tokens]["scores"][who] * N for who in RIGHT} for tokens in BUDGETS
    } == {tokens: {who: RIGHT[who][tokens] for who in RIGHT} for tokens in BUDGETS}
    assert rows[43]["retained"] == {"student": 0.525}
    table = thinking.json()["comparisons"]
    assert [row["metric"] for row in table] == ["exact_match"]


def test_samples_have_budgets_too(thinking: Project, run_both: Run) -> None:
    """Each sample is cut alone: with an odd seed the text is one token longer."""
    thinking.evals["reviews"] |= {"do_sample": True, "seed": 0, "repeats": 2}
    thinking.save()
    write_gates(
        thinking,
        short="assert_quality_retained(min=0.5, at_tokens=23)",
        ends="assert_finished(min=0.5, at_tokens=23)",
        length="assert_length(max_ratio=3, at_tokens=23)",
    )
    run_both(*REPORTS)
    assert {call["n"] for call in thinking.calls("predict")} == {6 * N}
    found = gates_of(thinking)
    # Sample 1 has an odd seed (0x9E3779B1): the teacher's is right up to 19, the student's to 9.
    assert found["short"]["observed"] == pytest.approx((11 + 10) / (21 + 20))
    assert found["ends"]["observed"] == pytest.approx((11 + 10) / (21 + 20))
    lengths = {
        slow: sum(min(i * slow + 3 + odd, 23) for i in range(N) for odd in (0, 1))
        for slow in (1, 2)
    }
    assert found["length"]["observed"] == pytest.approx(lengths[2] / lengths[1])


def test_an_export_hands_the_answers_within_budgets_on(thinking: Project, run: Run) -> None:
    """A machine without the models judges them; a budget that was not exported is refused."""
    gate = "assert_quality_retained(min=0.5, at_tokens={})"
    write_gates(thinking, whole="assert_quality_retained(min=0.9)", short=gate.format(23))
    for name, entry in thinking.models.items():
        thinking.file(f"{name}/weights", name)
        entry["path"] = name
    thinking.save()
    run(*REPORTS)
    assert command("store", "export", "out").returncode == 0
    before = thinking.calls("predict")
    for name in thinking.models:
        shutil.rmtree(thinking.path / name)
    run(*REPORTS, "--distill-predictions", "out")
    assert outcomes_of(thinking) == {"whole": "PASSED", "short": "PASSED"}
    assert gates_of(thinking)["short"]["observed"] == 11 / 21
    assert thinking.calls("predict") == before
    thinking.evals["reviews"]["at_tokens"] = [23, 63]
    thinking.save()
    write_gates(thinking, short=gate.format(23), new=gate.format(63))
    result = run(*REPORTS, "--distill-predictions", "out")
    assert outcomes_of(thinking) == {"short": "PASSED", "new": "NOT RUN"}
    assert "answers at 63 tokens are not known" in said(result)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"at_tokens": [0]}, "at_tokens: must be at least 1, not 0"),
        ({"at_tokens": [-5]}, "at_tokens: must be at least 1, not -5"),
        ({"at_tokens": [101]}, "at_tokens: 101 is above max_new_tokens, 100"),
        ({"at_tokens": [7, 9, 7]}, "at_tokens: 7 stands there twice"),
        ({"at_tokens": ["7"]}, "at_tokens[0]: should be a valid integer"),
        ({"at_tokens": [True]}, "at_tokens[0]: should be a valid integer"),
        ({"at_tokens": [2.5]}, "at_tokens[0]: should be a valid integer"),
        ({"at_tokens": {"a": 1}}, "at_tokens"),
    ],
)
def test_budgets_that_cannot_be_are_refused_at_their_key(
    thinking: Project, run: Run, keys: dict[str, Any], problem: str
) -> None:
    """Before any model runs."""
    thinking.evals["reviews"] |= keys
    thinking.save()
    write_gates(thinking, asked="assert_score(min=0.1)")
    result = run(*REPORTS)
    assert f"evals.reviews.{problem}" in said(result)
    assert not thinking.calls("predict")


def test_a_budget_may_be_the_whole(thinking: Project, run: Run) -> None:
    """What is asked within max_new_tokens is what is asked anyway: one answer, stored once."""
    thinking.evals["reviews"]["at_tokens"] = [MOST]
    thinking.save()
    write_gates(thinking, asked=f"assert_quality_retained(min=1.0, at_tokens={MOST})")
    run(*REPORTS)
    assert outcomes_of(thinking) == {"asked": "PASSED"}
    assert [call["n"] for call in thinking.calls("predict")] == [N, N]


def test_a_baseline_keeps_a_gate_within_a_budget_apart(thinking: Project, run: Run) -> None:
    """One that asks less within a budget is told as that, beside the one without."""
    gates = "assert_quality_retained(min=0.9)\nassert_quality_retained(min={}, at_tokens=43)"
    write_gates(thinking, both=gates.format(0.5))
    run(*REPORTS)
    assert command("baseline", "save", "out.json").returncode == 0
    write_gates(thinking, both=gates.format(0.4))
    (saved,) = thinking.path.glob("*baseline*.json")
    result = run(*REPORTS, "--distill-baseline", str(saved))
    (change,) = thinking.json()["gate_changes"]
    assert (change["change"], change["before"], change["now"]) == ("lowered", ">= 0.5", ">= 0.4")
    assert "at 43 tokens" in change["about"]
    kept = json.loads(saved.read_text())["gates"]
    assert [gate["at_tokens"] for gate in kept] == [None, 43]
    refuse_package_frames(result)
