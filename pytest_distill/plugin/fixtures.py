"""The fixtures: `teacher`, `student`, `students`, `sft`, `gold` and `comparison`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.errors import ConfigError
from pytest_distill.plugin.records import state_of
from pytest_distill.plugin.running import note_look
from pytest_distill.plugin.session import SESSION, OwnFixture, running_test

if TYPE_CHECKING:
    from pytest_distill.engines import ModelInfo, Role
    from pytest_distill.evals.goldset import GoldSet
    from pytest_distill.evaluation.evaluation import Evaluation
    from pytest_distill.evaluation.model import Model
    from pytest_distill.plugin.assertions import GateComparison

REQUEST = "_distill_request"


class ModelHandle(OwnFixture):
    """A model of the running test's ``distill.yaml``; it is loaded when it is first needed.

    Parameters
    ----------
    role : str
        teacher, student or sft. Of several students it is the one that the test's marker names.
    """

    def __init__(self, role: Role) -> None:
        self._role = role

    def __repr__(self) -> str:
        return f"<{self._role} of the running test's distill.yaml>"

    @property
    def info(self) -> ModelInfo:
        """Parameters, bytes on disk, dtype, device, path, digest."""
        return self._resolve().info

    @property
    def model(self) -> Any:
        """The loaded model, where the engine gives one: that of transformers is on its device."""
        return self._of_engine("model")

    @property
    def tokenizer(self) -> Any:
        """The loaded tokenizer, where the engine gives one."""
        return self._of_engine("tokenizer")

    def evaluate(self, eval: str | None = None) -> Evaluation:
        """Return the evaluation on an eval, by default the test's; made once a session."""
        from pytest_distill.comparison.comparison import Comparison

        session, item = running_test(f"{self._role}.evaluate")
        evaluation = session.comparison(item, eval, kind=Comparison).evaluation(self._role)
        note_look()
        return evaluation

    def _of_engine(self, attribute: str) -> Any:
        from pytest_distill.evaluation.parts import part_of

        return part_of(self._resolve(), attribute)

    def _resolve(self) -> Model:
        session, item = running_test(f"fixture {self._role}")
        model = session.model(item, self._role)
        note_look()
        return model


@pytest.fixture(scope="session")
def teacher() -> ModelHandle:
    """The teacher: .model, .tokenizer, .info, .evaluate("eval"); loaded when first needed."""
    return ModelHandle("teacher")


@pytest.fixture(scope="session")
def student() -> ModelHandle:
    """The distilled student: .model, .tokenizer, .info, .evaluate("eval")."""
    return ModelHandle("student")


@pytest.fixture
def students(request: pytest.FixtureRequest) -> ModelHandle:
    """Each student of distill.yaml in turn: the test runs once for every one of them."""
    if not hasattr(request, "param"):
        raise ConfigError("fixture students: there is no distill.yaml with students to run through")
    return ModelHandle("student")


@pytest.fixture(scope="session")
def sft() -> ModelHandle:
    """Supervised fine-tuning (SFT), same size: .model, .tokenizer, .info, .evaluate("eval")."""
    return ModelHandle("sft")


@pytest.fixture
def comparison(request: pytest.FixtureRequest) -> GateComparison:
    """Teacher, student and plain fine-tuning on the test's eval: numbers, and assertions."""
    from pytest_distill.plugin.assertions import GateComparison

    return request.config.stash[SESSION].comparison(request.node, kind=GateComparison)


@pytest.fixture
def gold(request: pytest.FixtureRequest) -> GoldSet:
    """The gold set of the test's eval."""
    from pytest_distill.evals.eval import Eval

    on = request.config.stash[SESSION].eval(request.node)
    if not isinstance(on, Eval):
        raise ConfigError(f"eval '{on.name}' has only reported scores, and so no gold set")
    return on.gold


@pytest.fixture
def _distill_request(request: pytest.FixtureRequest) -> None:
    """Let the functions of the DSL find fixtures that the project overrides."""
    state_of(request.node).request = request
