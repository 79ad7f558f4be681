"""How each verdict was reached, in words: of every gate there is, by rows of real runs."""

from __future__ import annotations

import re

import pytest

from pytest_distill.cli import main
from pytest_distill.gates.all import GATES
from pytest_distill.report.paragraphs import paragraph
from pytest_distill.report.reading import read_report

from .project import HEAD, Project, Run, gold, review_eval, write_gates

JSON = ("--distill-report", "--distill-json", "out.json")
N = 60
RIGHT = {"teacher": 54, "student": 50, "sft": 42}

ENGINE = '''
from pytest_distill import ModelInfo, Prediction
from pytest_distill.engines import Memory, Timing


class Known:
    """Right on its first examples; of everything else it knows what it says."""

    setting = {"device": "cpu", "device_name": "a chip"}

    def __init__(self, spec):
        self.spec = spec
        self.info = ModelInfo(spec.name, spec.role, parameters=spec.options["size"], bytes=4000)
        self.identity = {"model": spec.name}

    def predict(self, requests):
        for place, request in enumerate(requests):
            right = place < self.spec.options["right"]
            labels = ("pos", "neg") if place % 2 == 0 else ("neg", "pos")
            if type(request).__name__ == "GenerationRequest":
                yield Prediction(
                    request.id,
                    text=labels[0] if right else "no",
                    tokens=5 + place % 3 + right,
                    finish="end" if right else "length",
                )
            else:
                sure = 0.9 - place / 200
                at = dict(zip(labels if right else labels[::-1], (sure, 1 - sure)))
                yield Prediction(
                    request.id, probabilities=(at["pos"], at["neg"]), labels=("pos", "neg")
                )

    def time_one(self, request):
        return Timing(self.spec.options["size"] / 1e6)

    def time_all(self, requests, batch_tokens):
        return len(requests) / 100

    def memory(self, requests):
        return Memory(2000, 3000, "process")

    def close(self):
        pass
'''

GATES_OF = {
    "acceptance": "assert_acceptance(min=0.5)",
    "agreement": "assert_agreement(min=0.7, confidence=0.95)",
    "agreement_fails": "assert_agreement(min=0.99)",
    "beats_sft": "assert_beats_sft()",
    "beats_sft_fails": "assert_beats_sft(min_gain=0.5)",
    "beats_sft_unclear": "assert_beats_sft(slice='lang=en')",
    "divergence": "assert_divergence(max=0.0)",
    "errors": "assert_errors(max_ratio=1.2, confidence=0.95)",
    "faster": "assert_faster(min_speedup=2, examples=20)",
    "finished": "assert_finished(min=0.5, eval='texts')",
    "flips": "assert_flips(max_lost=0.2)",
    "flips_must_keep": "assert_flips(eval='kept')",
    "inherited_errors": "assert_inherited_errors(max=0.5)",
    "inherited_errors_none": "assert_inherited_errors(max=0.5, slice='lang=de')",
    "latency": "assert_latency(p50='1 ms', p95='2 ms', examples=20)",
    "length": "assert_length(max_ratio=1.1, eval='texts')",
    "memory": "assert_memory(max='2 kB', examples=10)",
    "not_contaminated": "assert_not_contaminated('train.jsonl', field='text', max_overlap=0.1)",
    "not_worse": "assert_not_worse(max_drop=0.01)",
    "quality_retained": "assert_quality_retained(min=0.9)",
    "quality_retained_surely": "assert_quality_retained(min=0.93, confidence=0.95)",
    "quality_retained_of_a_slice": "assert_quality_retained(min=0.99, slice='lang=en')",
    "routable": "assert_routable(min_handled=0.3, retained=0.9)",
    "routable_fails": "assert_routable(min_handled=0.99, retained=1.5)",
    "score": "assert_score(min=0.99, model='teacher', confidence=0.95)",
    "size": "assert_size(max_bytes='1 MB', max_parameters=100)",
    "slices_retained": "assert_slices_retained(min=1.9, by='lang')",
    "smaller": "assert_smaller(max_ratio=0.1)",
    "suite_retained": "assert_suite_retained(min=0.9, evals=['reviews', 'texts'])",
    "throughput": "assert_throughput(min='200 /s', examples=10)",
    "skipped": "@pytest.mark.skip(reason='no GPU')\nassert_score(min=0.5)",
    "breaks": "assert_score(min=7)",
}

OWN = """
def test_own_passes(comparison):
    assert comparison.score("student") > 0

def test_own_fails(comparison):
    assert comparison.score("student") > 1
"""

WORDS = {
    "agreement": "Is the most likely label or token of student the teacher's in at least 0.7 of "
    "cases? Looked at: 60 examples of the eval reviews. Observed: 0.9333.",
    "beats_sft": "by more than 0 in accuracy? Looked at: 60 examples of the eval reviews. Observed:"
    " 0.1333. To be 95 % sure that this is not chance, p has to be at most 0.05; it is 0.0040: "
    "PASSED. Example by example it wins 8, loses 0 and ties 52; p = 0.0040",
    "beats_sft_fails": "Observed: 0.1333. That is not more than 0.5: FAILED.",
    "flips_must_keep": "Is student right on each example of must_keep? Looked at: 60 examples of "
    "the eval kept, by accuracy. Observed: 1 of them are wrong, which is FAILED.",
    "inherited_errors_none": "There is no number to observe. That does not tell: INCONCLUSIVE.",
    "latency": "Is the latency p95 of student at most 2 ms, for one example alone?",
    "memory": "Observed: 3 kB. That is not at most 2 kB: FAILED.",
    "not_contaminated": "Does at most 0.1 of the gold set stand in the training data?",
    "not_worse": "Is the gain in accuracy of student over the accepted one at least -0.01?",
    "quality_retained": "Did student keep at least 0.9 of the teacher's quality? Looked at: 60 "
    "examples of the eval reviews, by accuracy. Observed: 0.9259. That is at least 0.9: PASSED.",
    "quality_retained_of_a_slice": "30 examples of the eval reviews, those of the slice lang=en,",
    "routable": "Can student answer at least 0.3 of the requests itself, and the pair keep 0.9 of",
    "routable_fails": "shown to keep it: always the teacher. Cross-fitted over 5 folds: ",
    "size": "Is the size of student at most 100, in parameters? Observed: 100.",
    "slices_retained": "in every slice by lang?",
    "smaller": "Does student have at most 0.1 of the teacher's parameters? Observed: 0.1000.",
    "suite_retained": "over several evals, by ratio_of_averages? Looked at: the evals reviews,",
    "throughput": "Observed: 100 /s. That is not at least 200 /s: FAILED.",
    "own_fails": "asserts something of its own. It FAILED: assert",
    "skipped": "The test test_skipped did NOT RUN, so that there is no verdict, and no verdict is "
    "no pass. The reason: skipped. No GPU.",
    "breaks": "The gate score did NOT RUN",
}


@pytest.fixture
def everything(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project in which every gate can be asked."""
    monkeypatch.syspath_prepend(project.path)  # `main` imports the engine too
    project.file("known.py", ENGINE)
    project.rows("gold.jsonl", gold(N))
    project.rows("train.jsonl", [{"text": "text 1"}, {"text": "nothing of the gold set"}])
    sizes = {"teacher": 1000, "student": 100, "sft": 100}
    project.models.clear()
    for name, right in RIGHT.items():
        project.models[name] = {"engine": "known:Known", "right": right, "size": sizes[name]}
    project.config["evals"] = {
        "reviews": review_eval(labels=["pos", "neg"], metrics=["accuracy"]),
        "texts": {
            "task": "generation",
            "data": "gold.jsonl",
            "input": "text",
            "target": "label",
            "metrics": ["exact_match"],
            "max_new_tokens": 8,
        },
    }
    project.save()
    return project


def told(project: Project, name: str = "out.json") -> dict[str, list[str]]:
    """Return the paragraphs of a run by the name of their test."""
    found: dict[str, list[str]] = {}
    for row in read_report(project.path / name).gates:
        found.setdefault(row.nodeid.rpartition("::test_")[2], []).append(paragraph(row))
    return found


def flaw_of(text: str) -> str:
    """Return what no paragraph may have: a word of Python, two stops, a blank too many."""
    found = re.search(
        r"\b(None|nan|True|False)\b|\.\.|[.:;,]{2}|  |[{}\n]| [,:;]| \.(?!\w)|[^.!?]$", text
    )
    return "" if found is None else f"{found[0]!r} in {text}"


def test_every_gate_tells_how_its_verdict_was_reached(everything: Project, run: Run) -> None:
    """What was asked, on what, what was seen, how that decided: in whole sentences."""
    write_gates(everything, keeps="assert_quality_retained(min=0.5)")
    assert run(*JSON).ret == 0
    assert main(["baseline", "save", "out.json"]) == 0
    everything.config["baseline"] = "baseline.json"
    everything.evals["kept"] = everything.evals["reviews"] | {"must_keep": ["e1", "e58"]}
    everything.save()
    write_gates(everything, head=HEAD + OWN, **GATES_OF)
    run(*JSON)
    paragraphs = told(everything)
    assert {row.gate for row in read_report(everything.path / "out.json").gates} >= {*GATES}
    for texts in paragraphs.values():
        for text in texts:
            assert flaw_of(text) == ""
    for name, words in WORDS.items():
        assert any(words in text for text in paragraphs[name]), paragraphs[name]
