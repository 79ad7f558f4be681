"""How often the gates on speed pass a student exactly at the limit: whole gates, scripted times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pytest

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import Memory, ModelInfo, Role, Timing
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.latency import Faster, Latency
from pytest_distill.gates.verdict import Outcome
from tests.unit.conftest import classification, gold_set

Seconds = Callable[[str], float]
RUNS = 200


class Scripted:
    """An engine that takes as long for an example as it is told."""

    setting = {"device": "cpu", "device_name": "a chip"}  # noqa: RUF012 (never written to)

    def __init__(self, name: str, role: Role, seconds: Seconds) -> None:
        self.info = ModelInfo(name, role, device="cpu")
        self.seconds = seconds

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer nothing in particular."""
        yield from (Prediction(request.id, prediction="a") for request in requests)

    def close(self) -> None:
        """Hold nothing."""

    def time_one(self, request: Request) -> Timing:
        """Return the time of an example."""
        return Timing(self.seconds(request.id))

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Be asked by nobody here."""
        raise NotImplementedError

    def memory(self, requests: Sequence[Request]) -> Memory:
        """Be asked by nobody here."""
        raise NotImplementedError


def _same(engine: Scripted) -> Scripted:
    return engine


def rates(gate: Gate, n: int, within: float, seed: int) -> tuple[float, float]:
    """Return how often the gate passes and fails n examples whose true median time is 1."""
    draw = np.random.default_rng(seed)
    on = classification(gold_set("ab" * (n // 2)))
    outcomes = []
    for _ in range(RUNS):
        times = {f"e{i}": float(t) for i, t in enumerate(draw.lognormal(0, 0.3, n))}

        def student(id: str, times: dict[str, float] = times) -> float:
            return times[id] * float(draw.lognormal(0, within))

        engines = (
            Scripted("teacher", "teacher", lambda _: 1.0),
            Scripted("student", "student", student),
        )
        models = {
            e.info.name: RunModel(e.info.name, e.info.role, partial(_same, e)) for e in engines
        }
        verdict = gate.judge(Comparison(on, models, "student"))
        assert verdict.n == n
        outcomes.append(verdict.outcome)
    return tuple(outcomes.count(o) / RUNS for o in (Outcome.PASSED, Outcome.FAILED))  # type: ignore[return-value]


@pytest.mark.parametrize("within", [0.0, 0.1])
@pytest.mark.parametrize("n", [10, 50])
def test_a_small_gold_set_that_is_timed_again_errs_no_more_often(n: int, within: float) -> None:
    """A hundred pairs of ten examples passed in a third of cases when each counted."""
    for gate in (Faster(1.0), Latency(p50=1.0)):
        passed, failed = rates(gate, n, within, seed=n)
        assert passed <= 0.07  # 5 % and the chance of 200 draws
        assert failed <= 0.07


def test_the_tail_of_a_small_gold_set_is_not_known() -> None:
    """Ten examples have no upper bound of p95, however often they are timed."""
    assert rates(Latency(p95=float(np.exp(0.3 * 1.645))), 10, 0.0, seed=0)[0] == 0


def test_a_student_that_is_slow_now_and_then_fails_its_tail() -> None:
    """A tenth of all answers take ten times as long, and no median of repeats hides it."""
    draw = np.random.default_rng(0)
    on = classification(gold_set("ab" * 50))
    engine = Scripted("student", "student", lambda _: 10.0 if draw.random() < 0.1 else 1.0)
    models = {"student": RunModel("student", "student", lambda: engine)}
    verdict = Latency(p95=5.0, examples=700).judge(Comparison(on, models, "student"))
    assert verdict.observed == 10
    assert verdict.outcome is not Outcome.PASSED
