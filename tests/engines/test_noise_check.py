"""Examples asked twice: what a model retains of itself, and what gates and reports say of that."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.itself import Itself, beside_itself
from pytest_distill.config.config import Extensions
from pytest_distill.config.reading import load_config
from pytest_distill.engines import ModelInfo, ModelSpec
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.gates.doubts import with_remarks
from pytest_distill.gates.errors import Errors
from pytest_distill.gates.flips import Flips
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.project.project import Project

N = 40
TWICE = 20


class Wavering:
    """Right on the first 30 of 40 examples; of what it is asked again it answers some otherwise."""

    asked: ClassVar[Counter[tuple[str, str]]] = Counter()
    fails_at: ClassVar[int | None] = None

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.info = ModelInfo(spec.name, spec.role, parameters=10)
        self.identity = {"model": spec.name}
        self.noise_check = spec.options.get("noise_check")

    @staticmethod
    def otherwise(_ids: Sequence[str]) -> set[str]:
        """Answer all alike."""
        return set()

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer right or wrong."""
        name = self.spec.name
        again = Wavering.otherwise([r.id for r in requests if self.asked[r.id, name]])
        for number, request in enumerate(requests):
            if number == self.fails_at and self.asked[request.id, name]:
                raise OSError("the network is gone")
            self.asked[request.id, name] += 1
            right = (int(request.id[1:]) < 30) != (request.id in again)
            yield Prediction(request.id, text="yes" if right else "no", fingerprint="fp")

    def close(self) -> None:
        """Hold nothing."""


@pytest.fixture(autouse=True)
def _unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wavering, "asked", Counter())


def project(folder: Path, *, stored: bool = True, twice: object = TWICE) -> Project:
    """Return a project whose teacher is asked twice on 20 of 40 examples."""
    rows = [{"id": f"e{n}", "q": f"question {n}", "a": "yes", "lang": "de"} for n in range(N)]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "distill.yaml").write_text(
        f"models:\n  teacher: {{engine: wavering, noise_check: {twice}}}\n"
        "  student: {engine: wavering}\n"
        "evals:\n  qa: {task: generation, data: gold.jsonl, input: q, target: a, slices: [lang]}\n"
    )
    config = load_config(folder / "distill.yaml", Extensions(engines={"wavering": Wavering}))
    keeper = Keeper(folder / "store", warn=pytest.fail, tell=pytest.fail) if stored else None
    return Project(config, keeper=keeper)


def evaluation(of: Project) -> MeasuredEvaluation:
    """Return the teacher's evaluation."""
    found = of.comparison(kind=Comparison).evaluation("teacher")
    assert isinstance(found, MeasuredEvaluation)
    return found


def itself(of: Project) -> Itself:
    """Return what the teacher retains of itself."""
    return itself_in(of.comparison(kind=Comparison))


def itself_in(comparison: Comparison) -> Itself:
    """Return the same of a comparison."""
    teacher = comparison.evaluation("teacher")
    found = beside_itself(teacher, teacher.eval.metrics[0])
    assert found is not None
    return found


def lose(count: int, wins: int = 0) -> Callable[[Sequence[str]], set[str]]:
    """Return what makes so many right answers wrong, and so many wrong ones right."""

    def chosen(ids: Sequence[str]) -> set[str]:
        right = [id for id in ids if int(id[1:]) < 30]
        wrong = [id for id in ids if int(id[1:]) >= 30]
        return {*right[:count], *wrong[:wins]}

    return chosen


def test_some_examples_are_asked_twice_and_the_first_answers_are_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention and flips are those of the two times, counted by hand."""
    monkeypatch.setattr(Wavering, "otherwise", staticmethod(lose(2, wins=1)))
    made = project(tmp_path, stored=False)
    found = itself(made)
    assert sorted(Wavering.asked.values()) == [1] * (N - TWICE) + [2] * TWICE
    first = evaluation(made)
    assert first.score() == 30 / N
    again = first.again
    assert again is not None
    right = round(again[0].score() * TWICE)
    assert (found.n, found.lost, found.won) == (TWICE, 2, 1)
    assert found.retained == pytest.approx((right - 1) / right)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < float(found.retained or 0) < found.upper


def test_second_answers_are_stored_as_they_come_and_never_taken_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is cut off goes on where it was; one that follows asks nothing."""
    monkeypatch.setattr(Wavering, "otherwise", staticmethod(lose(2)))
    monkeypatch.setattr(Wavering, "fails_at", 12)
    cut = project(tmp_path)
    with pytest.raises(ModelError, match="the network is gone"):
        evaluation(cut)
    cut.close()
    assert sum(Wavering.asked.values()) == N + 12
    monkeypatch.setattr(Wavering, "fails_at", None)
    monkeypatch.setattr(Wavering, "otherwise", staticmethod(lose(0)))
    whole = project(tmp_path)
    evaluation(whole)
    whole.close()
    assert sum(Wavering.asked.values()) == N + TWICE
    last = project(tmp_path)
    assert itself(last).lost == 2
    assert last.models["teacher"].evaluate(last.eval("qa")).score() == 30 / N
    last.close()
    assert sum(Wavering.asked.values()) == N + TWICE


def test_all_are_asked_twice_where_there_are_fewer(tmp_path: Path) -> None:
    """A model that answers alike retains all of itself."""
    found = itself(project(tmp_path, twice=1000))
    assert (found.n, found.retained, found.lost, found.won) == (N, 1, 0, 0)


@pytest.mark.parametrize("twice", ["many", "2.5"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, twice: str) -> None:
    """The error names the model and what its engine says."""
    with pytest.raises(ModelError, match="model 'teacher': noise_check of its engine Wavering"):
        evaluation(project(tmp_path, twice=twice))


@pytest.mark.parametrize(
    ("gate", "note"),
    [
        (QualityRetained(0.99), "the floor 0.99 lies above what teacher retains of itself"),
        (QualityRetained(0.5), None),
        (SlicesRetained(0.99, by="lang"), "the floor 0.99 lies above"),
        (Flips(0.01), "the limit 0.01 lies below the share that teacher loses to itself, 0.1000"),
        (Flips(0.5), None),
        (Errors(1.2), "max_ratio 1.2 lies below what teacher makes of its own errors"),
        (Errors(9), None),
    ],
)
def test_a_gate_that_asks_for_more_than_noise_allows_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate, note: str | None
) -> None:
    """The verdict has a note where its limit is nearer to the teacher than the teacher is."""
    monkeypatch.setattr(Wavering, "otherwise", staticmethod(lose(2)))
    comparison = project(tmp_path, stored=False).comparison(kind=Comparison)
    verdict = with_remarks(gate.judge(comparison), gate, [comparison])
    told = [said for said in verdict.notes if "by noise alone" in said]
    assert str(itself_in(comparison)) in verdict.notes
    assert len(told) == (note is not None)
    if note is not None:
        assert note in told[0]
        assert f"  note: {told[0]}" in verdict.message


def test_which_time_came_first_is_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More is retained than all where the second time went better: noise as much as less is."""
    monkeypatch.setattr(Wavering, "otherwise", staticmethod(lose(0, wins=1)))
    comparison = project(tmp_path, stored=False).comparison(kind=Comparison)
    gate = QualityRetained(0.99)
    verdict = with_remarks(gate.judge(comparison), gate, [comparison])
    (told,) = (said for said in verdict.notes if "by noise alone" in said)
    assert "taken the other way round" in told


def test_answers_of_several_fingerprints_are_told(tmp_path: Path) -> None:
    """Old ones of the store beside new ones too: counted, in a note on the verdict."""
    comparison = project(tmp_path, stored=False).comparison(kind=Comparison)
    teacher = comparison.evaluation("teacher")
    assert isinstance(teacher, MeasuredEvaluation)
    others = ["fp_b"] * 5 + [None]
    changed = [replace(p, fingerprint=f) for p, f in zip(teacher.predictions, others, strict=False)]
    predictions = (*changed, *teacher.predictions[6:])
    comparison.teacher._evaluations["qa"] = replace(teacher, predictions=predictions)
    gate = QualityRetained(0.5)
    verdict = with_remarks(gate.judge(comparison), gate, [comparison])
    (told,) = (said for said in verdict.notes if "fingerprint" in said)
    assert "its answers differ in their system_fingerprint, fp (34), fp_b (5), none (1)" in told


def of_eval(folder: Path, keys: str, answer: Callable[[Any, int], Prediction]) -> Itself:
    """Return what a teacher retains of itself on 30 examples of an eval, asked 10 of them twice."""
    rows = [{"id": f"e{n}", "q": f"question {n}", "a": "ab"[n % 2]} for n in range(30)]
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "distill.yaml").write_text(
        "models:\n  teacher: {engine: own, noise_check: 10}\n"
        f"evals:\n  qa: {{data: gold.jsonl, {keys}}}\n"
    )
    asked: Counter[str] = Counter()

    class Own(Wavering):
        def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
            for request in requests:
                asked[request.id] += 1
                yield answer(request, asked[request.id])

    config = load_config(folder / "distill.yaml", Extensions(engines={"own": Own}))
    return itself(Project(config))


def test_samples_and_budgets(tmp_path: Path) -> None:
    """All samples of an example are asked again; answers within budgets are not."""
    seen: Counter[tuple[str, int]] = Counter()

    def answer(request: Any, time: int) -> Prediction:
        seen[request.id, request.decoding.max_new_tokens] += 1
        right = "ab"[int(request.prompt.split()[1]) % 2]
        return Prediction(request.id, text=right if time == 1 else "c", tokens=1)

    keys = "task: generation, input: q, target: a, repeats: 2, do_sample: true, seed: 1, "
    found = of_eval(tmp_path, f"{keys} max_new_tokens: 9, at_tokens: [4]", answer)
    assert (found.n, found.lost, found.won, found.retained) == (10, 10, 0, 0)
    assert Counter(seen.values()) == {1: 40 + 60, 2: 20}
    assert {tokens for (_, tokens), times in seen.items() if times == 2} == {9}


def test_lower_is_better(tmp_path: Path) -> None:
    """A text that is less likely the second time is lost."""

    def answer(request: Any, time: int) -> Prediction:
        return Prediction(request.id, loglikelihoods=(-2.0 * time,), tokens=2)

    found = of_eval(tmp_path, "task: perplexity, input: q", answer)
    assert (found.n, found.lost, found.won) == (10, 10, 0)
    assert float(found.retained or 0) == pytest.approx(float(found.first / found.second))
    assert float(found.retained or 0) < 1


def test_classes(tmp_path: Path) -> None:
    """By a metric over all examples, such as the mean of F1."""

    def answer(request: Any, time: int) -> Prediction:
        number = int(request.text.split()[1])
        return Prediction(request.id, prediction="ab"[(number + (number % 5 == time == 2)) % 2])

    keys = "task: classification, input: q, target: a, metrics: [macro_f1]"
    found = of_eval(tmp_path, keys, answer)
    assert found.metric == "macro_f1"
    assert found.first == 1
    assert found.lost == len([n for n in sampled(30, 10) if n % 5 == 2])


def sampled(of: int, count: int) -> list[int]:
    """Return which examples are asked twice: those whose ids have the least digests."""
    return sorted(range(of), key=lambda n: hashlib.sha256(f"e{n}".encode()).digest())[:count]
