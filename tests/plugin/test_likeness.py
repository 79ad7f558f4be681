"""The gates on likeness, from distill.yaml to the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

# pytester drops the modules that are first imported in a test, and torch can't be imported twice.
import torch
import torch._dynamo  # comes by itself when a first model is made
import transformers

from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.evaluation.run_model import RunModel

from .project import (
    HEAD,
    LABELS,
    STUDENT,
    TEACHER,
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    recorded,
    refuse_package_frames,
    report_of,
    review_eval,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
LETTERS = "abcdefgh"
TEXTS = ("abba", "cafe", "deadbeef", "gaga", "head", "bag")


def probable(right: Sequence[int], sure: float) -> list[dict[str, Any]]:
    """Return predictions with probabilities, right on these examples."""
    return [
        {
            "id": row["id"],
            "probabilities": {
                label: sure if label == row["prediction"] else 1 - sure for label in LABELS
            },
        }
        for row in answers(right)
    ]


@pytest.fixture
def labelled(project: Project) -> Project:
    """Return a project whose models give probabilities: they part on five of twenty examples."""
    for name, right in (("teacher", TEACHER), ("student", STUDENT), ("sft", range(5, 20))):
        project.rows(f"{name}.jsonl", probable(right, 0.75))
    return project


def test_gates_over_labels(labelled: Project, run_both: Run) -> None:
    """Agreement, divergence, acceptance and inherited errors, with their numbers in the report."""
    write_gates(
        labelled,
        agrees="assert_agreement(0.75)",
        parts="assert_agreement(0.76)",
        near="assert_divergence(0.1373, confidence=None)",
        far="assert_divergence(0.1374)",
        accepted="assert_acceptance(0.875)",
        inherits="assert_inherited_errors(0.5)",
    )
    result = run_both(*REPORTS)
    assert outcomes_of(labelled) == {
        **dict.fromkeys(("agrees", "far", "accepted"), "PASSED"),
        **dict.fromkeys(("parts", "near"), "FAILED"),
        "inherits": "PASSED",
    }
    rows = gates_of(labelled)
    assert rows["near"]["observed"] == pytest.approx(0.137327, abs=1e-6)  # ln 3 / 2 * 5 / 20
    assert rows["near"]["metric"] == "KL(teacher || student)"
    assert rows["accepted"]["observed"] == 0.875
    assert rows["accepted"]["details"]["bounds"] == [0.875, 0.875]
    assert rows["inherits"]["details"]["teacher_wrong"] == 2
    assert rows["inherits"]["details"]["repeated"] == 0
    for row in rows.values():
        assert row["interval"]["lower"] <= row["interval"]["upper"]
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert all(line.endswith("within noise") for line in blocks_of(result)[:2])


def test_the_message_names_the_examples_where_they_part(labelled: Project, run: Run) -> None:
    """The worst ones stand there, and the file has all of them."""
    write_gates(labelled, it="assert_agreement(0.9)")
    lines = failing_lines(run())
    assert lines[0] == "assert 0.7500 >= 0.9 top-1 agreement per example"
    assert "worst examples: e0 (0.0000), e1 (0.0000), e2 (0.0000)" in lines
    (line,) = [line for line in lines if line.startswith("lost examples: ")]
    rows = (labelled.path / line.removeprefix("lost examples: ")).read_text().splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["e0", "e1", "e2", "e18", "e19"]


def test_the_methods_do_what_the_functions_do(labelled: Project, run: Run) -> None:
    """A comparison has the four as methods, and its marker says how sure they must be."""
    labelled.file(
        "test_ship.py",
        """
        import pytest

        @pytest.mark.distill(eval="reviews", confidence=0.95)
        def test_methods(comparison):
            comparison.assert_agreement(0.7, confidence=None)
            comparison.assert_divergence(0.2, confidence=None)
            comparison.assert_acceptance(0.8, confidence=None)
            comparison.assert_inherited_errors(0.9)
            assert comparison.likeness().agreed.sum() == 15
        """,
    )
    run(*REPORTS).assert_outcomes(passed=1)
    found = {row["gate"]: row["confidence"] for row in labelled.json()["gates"]}
    assert found == {
        "agreement": None,
        "divergence": None,
        "acceptance": None,
        "inherited_errors": 0.95,
    }


def test_an_infinite_divergence_reaches_the_report(labelled: Project, run_both: Run) -> None:
    """It fails, is written out in the table and null in JSON, and crosses xdist."""
    labelled.rows("student.jsonl", probable(STUDENT, 1.0))
    write_gates(labelled, it="assert_divergence(1e9)")
    result = run_both(*REPORTS)
    assert outcomes_of(labelled) == {"it": "FAILED"}
    assert gates_of(labelled)["it"]["observed"] is None
    assert any(line.split()[:2] == ["FAILED", "infinite"] for line in report_of(result))
    assert failing_lines(result)[0].startswith("assert infinite <= 1000000000.0 KL(teacher || stu")


def test_a_teacher_without_errors_is_inconclusive(labelled: Project, run_both: Run) -> None:
    """There is nothing to inherit, which is no pass."""
    labelled.rows("teacher.jsonl", answers(range(20)))
    write_gates(labelled, it="assert_inherited_errors(0.9)")
    result = run_both(*REPORTS)
    assert outcomes_of(labelled) == {"it": "INCONCLUSIVE"}
    assert failing_lines(result)[0].endswith("the teacher makes none to inherit")
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_a_required_gate_of_likeness_must_run(labelled: Project, run: Run) -> None:
    """`required_gates:` knows the four by their names."""
    labelled.config["required_gates"] = ["agreement", "inherited_errors"]
    labelled.save()
    write_gates(labelled, it="assert_agreement(0.5)")
    assert decision_of(run(*REPORTS))[0] == "INCOMPLETE"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("assert_agreement(0)", "min=0: must be a share, above 0 and at most 1"),
        (
            "assert_divergence(-1)",
            "must be a divergence in nats, at least 0; did you mean 1?",
        ),
        (
            "assert_inherited_errors(2)",
            "max=2: must be a share of the errors, at least 0 and",
        ),
        ("assert_divergence(1, slice='lang=xx')", "no example has lang=xx"),
    ],
)
def test_a_wrong_argument_is_an_error(
    labelled: Project, run: Run, statement: str, message: str
) -> None:
    """It says what to mend, shows no frame of the package, and the gate did not run."""
    write_gates(labelled, it=statement)
    result = run("--distill-report")
    assert message in failing_lines(result)[-1]
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two tiny causal models of one tokenizer, and one of another's."""
    tokenizers = pytest.importorskip("tokenizers")
    library: Any = transformers  # published with types that mypy strict does not pass
    folder = tmp_path_factory.mktemp("tiny")
    torch.set_num_threads(1)
    for name, letters, seed in (
        ("teacher", LETTERS, 1),
        ("student", LETTERS, 2),
        ("foreign", LETTERS[::-1], 3),
    ):
        words = {word: i for i, word in enumerate(("<s>", "</s>", *letters))}
        special = {"bos_token": "<s>", "eos_token": "</s>"}
        inner = tokenizers.Tokenizer(
            tokenizers.models.WordLevel(words, unk_token=special["eos_token"])
        )
        inner.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
        made = library.PreTrainedTokenizerFast(tokenizer_object=inner, **special)
        torch.manual_seed(seed)
        config = library.LlamaConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=32,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
            initializer_range=0.2,
        )
        library.utils.logging.disable_progress_bar()
        library.LlamaForCausalLM(config).save_pretrained(folder / name)
        made.save_pretrained(folder / name)
    return folder


@pytest.fixture
def causal(project: Project, tiny_models: Path) -> Project:
    """Return a project with two tiny causal models, and texts."""
    project.models.clear()
    for name in ("teacher", "student"):
        project.models[name] = {"path": str(tiny_models / name), "device": "cpu"}
    project.rows("texts.jsonl", ({"id": t, "text": t} for t in TEXTS))
    project.evals.clear()
    project.evals["texts"] = {"task": "perplexity", "data": "texts.jsonl", "input": "text"}
    project.save()
    return project


GATES = {
    "agrees": "assert_agreement(0.99)",
    "near": "assert_divergence(5.0)",
    "accepted": "assert_acceptance(0.2)",
}
PLAIN = HEAD.replace('"reviews"', '"texts"')


def test_gates_over_tokens(causal: Project, run_both: Run) -> None:
    """Both models are run beside each other, and the numbers are per token."""
    write_gates(causal, head=PLAIN, **GATES)
    run_both(*REPORTS)
    rows = gates_of(causal)
    assert {name: row["outcome"] for name, row in rows.items()} == {
        "agrees": "FAILED",
        "near": "PASSED",
        "accepted": "PASSED",
    }
    for row in rows.values():
        assert row["details"]["unit"] == "token"
        assert row["details"]["units"] == sum(map(len, TEXTS))
        assert row["n"] == len(TEXTS)
        assert row["interval"]["method"].startswith("t with ")
    assert 0 < rows["near"]["observed"] < 5
    assert 0.2 < rows["accepted"]["observed"] < 1
    assert [row["students"] for row in causal.json()["looks"]] == [1]


def test_the_answer_to_a_prompt_is_compared(causal: Project, run: Run) -> None:
    """For generation the tokens of the accepted answer count, and those of the prompt do not."""
    causal.rows("texts.jsonl", ({"id": t, "text": t[:2], "target": t[2:]} for t in TEXTS))
    causal.evals["texts"] = {
        **causal.evals["texts"],
        "task": "generation",
        "prompt": "{{ text }}",
        "metrics": ["exact_match"],
    }
    causal.save()
    write_gates(causal, head=PLAIN, near="assert_divergence(5.0)")
    run(*REPORTS)
    # Each answer and the blank before it, which is one token that the vocabulary lacks.
    assert gates_of(causal)["near"]["details"]["units"] == sum(len(t) - 1 for t in TEXTS)


def test_a_second_run_imports_no_torch(causal: Project, run_apart: Run) -> None:
    """What was compared once is in the store, for all three gates and for slices of them."""
    first = {name: text.replace("0.99", "0.01") for name, text in GATES.items()}
    write_gates(causal, head=PLAIN, **first)
    run_apart(*REPORTS).assert_outcomes(passed=3)
    observed = {name: row["observed"] for name, row in gates_of(causal).items()}
    again = {**first, "zz": "import sys; assert not {'torch', 'transformers'} & set(sys.modules)"}
    write_gates(causal, head=PLAIN, **again)
    run_apart(*REPORTS).assert_outcomes(passed=4)
    rows = gates_of(causal)
    assert {name: rows[name]["observed"] for name in observed} == observed


def test_another_text_is_compared_anew(causal: Project, run: Run) -> None:
    """A stored figure is that of its texts: with a changed one the numbers change."""
    write_gates(causal, head=PLAIN, near="assert_divergence(5.0)")
    run(*REPORTS)
    before = gates_of(causal)["near"]["observed"]
    causal.rows("texts.jsonl", ({"id": t, "text": t[::-1] + "a"} for t in TEXTS))
    run(*REPORTS)
    assert gates_of(causal)["near"]["observed"] != before


def test_models_are_compared_once_in_a_run(
    causal: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three gates share one comparison, without a store too."""
    calls: list[int] = []
    plain = TransformersEngine.token_likeness

    def counted(self: TransformersEngine, teacher: Any, texts: Any) -> Any:
        calls.append(len(texts))
        return plain(self, teacher, texts)

    monkeypatch.setattr(TransformersEngine, "token_likeness", counted)
    # Nothing is stored of an engine that cannot say what it is, so that each would be asked again.
    monkeypatch.setattr(RunModel, "identity", None)
    write_gates(causal, head=PLAIN, **GATES)
    run(*REPORTS)
    assert calls == [len(TEXTS)]


def test_models_stay_beside_each_other_for_the_comparison_alone(causal: Project, run: Run) -> None:
    """Afterwards neither is held: the next model may push both out of memory."""
    causal.file(
        "test_ship.py",
        """
        import pytest

        @pytest.mark.distill(eval="texts")
        def test_it(comparison):
            comparison.assert_divergence(5.0)
            models = comparison.teacher, comparison.student
            assert [model.pinned for model in models] == [False, False]
        """,
    )
    run("--distill-refresh").assert_outcomes(passed=1)


def test_vocabularies_that_differ_are_refused(
    causal: Project, tiny_models: Path, run_both: Run
) -> None:
    """The message says which token is another one, and what to do; the gate did not run."""
    causal.models["teacher"]["path"] = str(tiny_models / "foreign")
    causal.save()
    write_gates(causal, head=PLAIN, it="assert_acceptance(0.2)")
    result = run_both("--distill-report")
    message = failing_lines(result)[-1]
    assert "the vocabularies of 'teacher' and 'student' differ (token 'a' is 9 there" in message
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_a_student_that_is_its_teacher_is_refused(causal: Project, run: Run) -> None:
    """The same weights under two names would agree with themselves."""
    causal.models["teacher"]["path"] = causal.models["student"]["path"]
    causal.save()
    write_gates(causal, head=PLAIN, it="assert_agreement(0.2)")
    assert "have the same weights" in failing_lines(run())[-1]


def top_rows(tiny_models: Path, k: int) -> list[dict[str, Any]]:
    """Return what a server would dump of the teacher: the k most likely tokens at each token."""
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(tiny_models / "teacher")
    model.eval()
    rows = []
    for text in TEXTS:
        tokens = [2 + LETTERS.index(letter) for letter in text]
        with torch.no_grad():
            logits = model(torch.tensor([[0, *tokens[:-1]]])).logits[0]
        best = logits.log_softmax(-1).topk(k)
        rows.append(
            {
                "id": text,
                "tokens": tokens,
                "top_tokens": best.indices.tolist(),
                "top_logprobs": best.values.tolist(),
            }
        )
    return rows


@pytest.fixture
def captured(causal: Project, tiny_models: Path) -> Project:
    """Return a project whose teacher is known by its four most likely tokens of ten."""
    causal.rows("teacher.jsonl", top_rows(tiny_models, 4))
    causal.models["teacher"] = recorded("teacher")
    causal.save()
    return causal


def test_a_captured_teacher_is_judged_on_the_bad_side(
    causal: Project, captured: Project, tiny_models: Path, run_both: Run
) -> None:
    """The whole comparison lies within the bounds; between them nothing is told."""
    write_gates(captured, head=PLAIN, near="assert_divergence(50)", takes="assert_acceptance(0.01)")
    run_both(*REPORTS)
    bounds = {name: row["details"]["bounds"] for name, row in gates_of(captured).items()}
    assert outcomes_of(captured) == {"near": "PASSED", "takes": "PASSED"}
    assert gates_of(captured)["near"]["observed"] == bounds["near"][1]
    assert gates_of(captured)["takes"]["observed"] == bounds["takes"][0]
    assert 0 < gates_of(captured)["near"]["details"]["known_probability"] < 1
    (low, high), (least, most) = bounds["near"], bounds["takes"]
    write_gates(
        captured,
        head=PLAIN,
        divergence=f"assert_divergence({(low + high) / 2})",
        far=f"assert_divergence({low * 0.99})",
        acceptance=f"assert_acceptance({(least + most) / 2})",
    )
    result = run_both(*REPORTS, "-v")
    assert outcomes_of(captured) == {
        "divergence": "INCONCLUSIVE",
        "far": "FAILED",
        "acceptance": "INCONCLUSIVE",
    }
    assert any("of the teacher was captured" in line for line in blocks_of(result))

    causal.models["teacher"] = {"path": str(tiny_models / "teacher"), "device": "cpu"}
    causal.save()
    write_gates(causal, head=PLAIN, near="assert_divergence(50)", takes="assert_acceptance(0.01)")
    run_both(*REPORTS)
    assert low < gates_of(causal)["near"]["observed"] < high
    assert least < gates_of(causal)["takes"]["observed"] < most


def test_a_captured_teacher_of_another_text_is_refused(captured: Project, run: Run) -> None:
    """The message names file, line, id and the token."""
    rows = [json.loads(line) for line in (captured.path / "teacher.jsonl").read_text().splitlines()]
    rows[2]["tokens"][3] = 2
    captured.rows("teacher.jsonl", rows)
    write_gates(captured, head=PLAIN, it="assert_agreement(0.2)")
    result = run("--distill-report")
    assert (
        "teacher.jsonl:3 (id 'deadbeef'): 'tokens' has 8 tokens and differs from token 3 on"
        in (failing_lines(result)[-1])
    )
    refuse_package_frames(result)


def test_a_recorded_teacher_without_log_probabilities(captured: Project, run: Run) -> None:
    """The message says which fields a row needs."""
    captured.rows(
        "teacher.jsonl", ({"id": t, "loglikelihoods": [-1.0], "tokens": 3} for t in TEXTS)
    )
    write_gates(captured, head=PLAIN, it="assert_agreement(0.2)")
    assert "no 'top_tokens'; to compare a recorded teacher" in failing_lines(run())[-1]


def test_a_student_that_does_not_run_is_refused(project: Project, run: Run) -> None:
    """Two recorded models have no distributions over tokens; the message says who must run."""
    project.rows("gold.jsonl", ({"id": "a", "text": "x", "label": "y"} for _ in range(1)))
    for name in ("teacher", "student", "sft"):
        project.rows(f"{name}.jsonl", [{"id": "a", "text": "y"}])
    project.evals["reviews"] = review_eval(task="generation", metrics=["exact_match"], slices=None)
    project.save()
    write_gates(project, it="assert_agreement(0.2)")
    assert "model 'student' does not run here" in failing_lines(run())[-1]


def test_an_engine_without_distributions_is_refused(causal: Project, run: Run) -> None:
    """An engine of one's own that gives answers alone says so."""
    causal.use_own_engine()
    write_gates(causal, head=PLAIN, it="assert_agreement(0.2)")
    assert "gives answers and no distributions" in failing_lines(run())[-1]
