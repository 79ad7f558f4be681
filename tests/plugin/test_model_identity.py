"""A gate is on two models, each of the bytes that were hashed, and what they say of it is plain."""

from __future__ import annotations

from typing import Any

import pytest

from .project import Project, Run, decision_of, gates_of, refuse_package_frames, said, write_gates
from .test_cache_option import counts
from .test_same_models import digested

REPORTS = ("--distill-report", "--distill-json", "out.json")

OWN = '''
import os
from pathlib import Path

import numpy as np
from pytest_distill import ModelInfo, Prediction

class Own:
    """Right on the first examples, as many as its weights say; its options say how it behaves."""

    def __init__(self, spec):
        self.spec = spec
        self.options = spec.options
        self.weights = Path(spec.path) / "weights"
        if "hashed" in self.options:
            self.digest = spec.hash_file(self.weights)

    def __getattr__(self, name):
        if name == "identity" and "identity" in self.__dict__.get("options", {}):
            return self.options["identity"]
        if name == "identity" and "hashed" in self.__dict__.get("options", {}):
            return {"model": self.digest, "engine": "own"}
        raise AttributeError(name)

    @property
    def info(self):
        return ModelInfo(self.spec.name, self.spec.role, **self.about())

    def about(self):
        about = dict(self.options.get("about", {}))
        return {key: eval(value) if isinstance(value, str) and value.startswith("np.") else value
                for key, value in about.items()}

    def predict(self, requests):
        right = int(self.weights.read_text()) if self.spec.path else 20
        right -= self.options.get("wrong", 0)
        for i, request in enumerate(requests):
            if i == 10 and "overwrites" in self.options:
                stat = self.weights.stat()
                self.weights.write_text(self.options["overwrites"])
                os.utime(self.weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            answer = ("pos", "neg")[(i + (i >= right)) % 2]
            yield Prediction(request.id, prediction=np.str_(answer))

    def close(self):
        pass
'''


def own(project: Project, **models: dict[str, Any]) -> None:
    """Let the engine above run these models, with these options; weights are written for a path."""
    project.file("own.py", OWN)
    project.models.clear()
    for name, options in models.items():
        project.models[name] = {"engine": "own:Own", **options}
        if "path" in options:
            project.file(f"{options['path']}/weights", "18" if name == "teacher" else "17")
    project.save()
    write_gates(project, it="assert_quality_retained(0.5, confidence=None)")


@pytest.mark.parametrize(
    "statement",
    [
        "assert_quality_retained(0.5, confidence=None)",
        "assert_flips(0.99)",
        "assert_smaller(1.0)",
        "assert_faster(0.1)",
    ],
)
def test_two_roles_with_one_identity_are_refused(
    project: Project, run: Run, statement: str
) -> None:
    """What makes the answers is the same, so they are one model; options it lacks are named."""
    same = {"identity": {"model": "ab", "engine": "own"}, "about": {"parameters": 5}}
    own(project, teacher=same, student={**same, "wrong": 1})
    write_gates(project, it=statement)
    result = run(*REPORTS)
    result.assert_outcomes(failed=1)
    assert " have one identity (model: ab, engine: own)" in said(result)
    assert "put what differs into the 'identity' of their engine" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_another_identity_is_another_model(project: Project, run: Run) -> None:
    """One value that differs is enough, and an engine that says none is not asked."""
    own(
        project,
        teacher={"identity": {"model": "ab"}},
        student={"identity": {"model": "ab", "layers": 3}, "wrong": 1},
    )
    assert decision_of(run(*REPORTS))[0] == "SHIP"
    own(project, teacher={}, student={"wrong": 1})
    assert decision_of(run(*REPORTS))[0] == "SHIP"


def test_models_from_fixtures_are_held_against_each_other_too(project: Project, run: Run) -> None:
    """An engine that takes the place of a model says what it is as well."""
    same = {"identity": {"model": "ab"}}
    own(project, teacher=same, student={"identity": {"model": "cd"}})
    project.file(
        "conftest.py",
        """
        import pytest
        from own import Own
        from pytest_distill import ModelSpec

        @pytest.fixture
        def student():
            return Own(ModelSpec("student", "student", options={"identity": {"model": "ab"}}))
        """,
    )
    assert "have one identity (model: ab)" in said(run(*REPORTS))


def test_the_same_weights_with_another_config_are_refused(project: Project, run: Run) -> None:
    """Weights decide, not the rest of what a model is made of."""
    digested(
        project,
        teacher={"digest": "aa", "weights_digest": "cd" * 32},
        student={"digest": "bb", "weights_digest": "cd" * 32, "wrong": 1},
    )
    write_gates(project, it="assert_quality_retained(0.5)")
    result = run("--distill-report")
    assert "have the same weights (digest cdcdcdcdcdcd)" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"


def test_weights_that_change_under_a_run_are_an_error(project: Project, run: Run) -> None:
    """Half of the answers are of other bytes: no verdict, and none of them stays in the store."""
    own(
        project,
        teacher={"path": "m/teacher", "hashed": True},
        student={"path": "m/student", "hashed": True, "overwrites": "05"},
    )
    result = run(*REPORTS)
    assert gates_of(project)["it"]["outcome"] == "NOT RUN"
    assert "m/student/weights was changed while its model was being loaded or used" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)
    # The old bytes are back: what was made of the new ones must not be taken for theirs.
    project.file("m/student/weights", "17")
    del project.models["student"]["overwrites"]
    project.save()
    run(*REPORTS)
    assert counts(project)["student"] == (20, 0)


@pytest.mark.parametrize(
    "about",
    [
        {"parameters": "np.prod([2, 3])", "bytes": "np.float32(24)", "latency_ms": "np.float32(2)"},
        {"parameters": "np.array([6])", "dtype": "np.str_('int8')"},
    ],
)
def test_numbers_of_numpy_reach_the_report(
    project: Project, run_both: Run, about: dict[str, str]
) -> None:
    """With workers and without; what the report holds is plain JSON."""
    own(project, teacher={"about": about}, student={"about": about, "wrong": 1})
    assert decision_of(run_both(*REPORTS))[0] == "SHIP"
    assert [model["parameters"] for model in project.json()["models"]] == [6, 6]


@pytest.mark.parametrize(
    ("about", "problem"),
    [
        ({"parameters": 0}, "ModelInfo: parameters: must be above zero, not 0"),
        ({"parameters": 2.5}, "ModelInfo: parameters: must be a whole number, not 2.5 (float)"),
        ({"bytes": "np.nan"}, "ModelInfo: bytes: must be a whole number, not nan (float)"),
        ({"dtype": "np.int8"}, "ModelInfo: dtype: must be text, not <class 'numpy.int8'>"),
    ],
)
def test_what_is_no_size_is_an_error(
    project: Project, run_both: Run, about: dict[str, Any], problem: str
) -> None:
    """It names the model and the field, and the gate did not run."""
    own(project, teacher={}, student={"about": about})
    result = run_both(*REPORTS)
    assert f"model 'student': what its engine says of it, {problem}" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
