"""What an engine hands in becomes built-in types, or is refused by the name of the field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_distill import EvaluationError, ModelError, ModelInfo, Prediction
from pytest_distill.engines import Memory, Timing, info_from, plain
from pytest_distill.evals.requests import Request
from pytest_distill.evaluation.plain_predictions import plain_prediction
from pytest_distill.evaluation.run_model import RunModel


@pytest.mark.parametrize(
    "size",
    [6, np.prod([2, 3]), np.int32(6), np.float32(6), 6.0, np.array(6), np.array([6]), Fraction(6)],
)  # fmt: skip
@pytest.mark.parametrize("field", ["parameters", "bytes", "active_parameters"])
def test_a_size_becomes_a_whole_number(field: str, size: Any) -> None:
    """Of numpy or a float without a fraction: what a report holds is an int."""
    info = ModelInfo("a", "student", **{field: size})
    assert getattr(info, field) == 6
    assert type(getattr(info, field)) is int


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("parameters", 0, "must be above zero, not 0"),
        ("bytes", -5, "must be above zero, not -5"),
        ("parameters", 2.5, "must be a whole number, not 2.5"),
        ("parameters", True, "must be a whole number, not True"),
        ("parameters", np.True_, "must be a whole number, not True"),
        ("parameters", "66M", "must be a number, not '66M'"),
        ("parameters", float("nan"), "must be a whole number, not nan"),
        ("parameters", float("inf"), "must be a whole number, not inf"),
        ("parameters", np.array([1, 2]), "must be a number"),
        ("parameters", 1j, "must be a number"),
        ("embedding_parameters", -1, "must not be below zero"),
        ("latency_ms", float("nan"), "must be a finite number, 0 or more, not nan"),
        ("latency_ms", -1.0, "must be a finite number, 0 or more, not -1.0"),
        ("cost_per_1k", float("inf"), "must be a finite number"),
        ("dtype", np.int8, "must be text, not <class 'numpy.int8'>"),
        ("digest", b"ab", "must be text"),
        ("declared", "parameters", "must be a list, not 'parameters'"),
        ("declared", [1], "must be text, not 1"),
        ("name", None, "must be text, not None"),
    ],
)
def test_a_field_that_is_not_what_it_must_be_is_refused(
    field: str, value: Any, problem: str
) -> None:
    """The error names the model, the field and the value with its type."""
    with pytest.raises(ModelError) as caught:
        ModelInfo(**{"name": "a", "role": "student", field: value})
    assert f"ModelInfo: {field}: {problem}" in str(caught.value)


def test_a_part_is_not_more_than_the_whole() -> None:
    """More active than parameters is a mistake."""
    with pytest.raises(ModelError, match=r"active_parameters: 7 is more than all parameters, 6"):
        ModelInfo("a", "student", parameters=6, active_parameters=7)


def test_an_info_is_plain_json() -> None:
    """Whatever went in, what comes out survives JSON."""
    info = ModelInfo(
        np.str_("a"), "student", np.int64(6), np.float64(8), dtype=np.str_("int8"),  # type: ignore[arg-type]
        path=Path("m"), latency_ms=np.float32(0.5), declared=["bytes"],  # type: ignore[arg-type]
    )  # fmt: skip
    assert info_from(json.loads(json.dumps(asdict(info)))) == info
    assert type(info.name) is str


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], r"must be a mapping, not \[\]"),
        ({"name": "a"}, "'role' is missing"),
        ({"name": "a", "role": "student", "params": 1}, "no field 'params'; did you mean 'par"),
    ],
)
def test_written_fields_are_checked(values: Any, problem: str) -> None:
    """What was stored or exported is no ModelInfo merely because it is JSON."""
    with pytest.raises(ModelError, match=problem):
        info_from(values)


def test_figures_become_plain() -> None:
    """Times are floats and bytes are ints, or the field is named."""
    timing = Timing(np.float32(0.5), np.array(0.25), np.int64(3))  # type: ignore[arg-type]
    assert [type(v) for v in (timing.seconds, timing.first_token, timing.tokens)] == [
        float,
        float,
        int,
    ]
    assert type(Memory(np.int64(5), np.int64(6), "process").peak) is int  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"Timing: seconds: must be a finite number.*nan"):
        Timing(float("nan"))
    with pytest.raises(ModelError, match=r"Memory: peak: must be a whole number, not 2.5"):
        Memory(1, 2.5, "process")  # type: ignore[arg-type]


def test_a_prediction_becomes_plain() -> None:
    """Numbers and arrays; labels are written as those of the gold set."""
    odd = Prediction(
        np.str_("e0"), np.int64(1), np.array([0.5, 0.5], np.float32), [np.str_("a"), 1],  # type: ignore[arg-type]
        np.array([-1.0, -2.0]), np.str_("text"), np.int64(7),  # type: ignore[arg-type]
    )  # fmt: skip
    given = plain_prediction(odd, "engine")
    expected = Prediction("e0", "1", (0.5, 0.5), ("a", "1"), (-1.0, -2.0), "text", 7)
    assert given == expected
    assert repr(given) == repr(expected)
    assert plain_prediction(expected, "engine") is expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prediction", 0.5),
        ("prediction", ["pos"]),
        ("probabilities", 0.5),
        ("probabilities", [True, False]),
        ("probabilities", ["0.5", "0.5"]),
        ("loglikelihoods", "-1"),
        ("labels", "ab"),
        ("text", b"ab"),
        *(("tokens", 1.5), ("tokens", -1), ("tokens", True)),
        *(("thinking_tokens", "x"), ("thinking_tokens", -1)),
        ("id", 3),
    ],
)
def test_a_prediction_that_cannot_be_is_refused(field: str, value: Any) -> None:
    """The error names engine, example and field."""
    odd = Prediction(**{"id": "e0", field: value})
    with pytest.raises(EvaluationError, match=rf"engine Own for example .*: {field}: must be"):
        plain_prediction(odd, "engine Own")


def test_thinking_is_a_part_of_the_text() -> None:
    """More tokens of thinking than of the whole text cannot be; as many can."""
    odd = Prediction("e0", text="a", tokens=3, thinking_tokens=4)
    problem = "engine Own for example 'e0': thinking_tokens: must be a part of the 3 tokens in all"
    with pytest.raises(EvaluationError, match=problem):
        plain_prediction(odd, "engine Own")
    for thinking, tokens in ((3, 3), (4, None), (None, 0)):
        fine = Prediction("e0", text="a", tokens=tokens, thinking_tokens=thinking)
        assert plain_prediction(fine, "engine Own") is fine


@pytest.mark.parametrize(
    ("label", "instead"), [(np.float64(1.0), " (for this one '1')"), (0.5, "")]
)
def test_a_label_that_is_a_float_is_refused_with_what_to_write(label: Any, instead: str) -> None:
    """Whether 1.0 is the label '1' or '1.0' is not for us to say."""
    with pytest.raises(EvaluationError) as raised:
        plain_prediction(Prediction("e0", prediction=label), "engine Own")
    assert str(raised.value).endswith(f"; give the label as the gold set writes it{instead}")


class Odd:
    """An engine that says of itself whatever it is given."""

    def __init__(self, identity: Any = None, info: Any = None) -> None:
        self.identity = identity
        self._info = info

    @property
    def info(self) -> Any:
        """Return what was given."""
        return self._info

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer with nothing."""
        return iter([Prediction(request.id) for request in requests])

    def close(self) -> None:
        """Hold nothing."""


def test_an_identity_becomes_plain() -> None:
    """Numpy's numbers in it find the same predictions in every run."""
    identity = {"model": np.str_("ab"), "layers": np.int64(3), "t": (np.float32(0.5), True, None)}
    made = RunModel("a", "student", lambda: Odd(identity))
    assert made.identity == {"model": "ab", "layers": 3, "t": [0.5, True, None]}
    assert json.dumps(made.identity)


@pytest.mark.parametrize("identity", [{"model": object()}, {"model": {1, 2}}, {}, "ab", {1: "a"}])
def test_an_identity_that_is_not_plain_is_refused(identity: Any) -> None:
    """Nobody could find its predictions again; the error names the engine and the field."""
    made = RunModel("a", "student", lambda: Odd(identity))
    with pytest.raises(ModelError, match=r"model 'a': identity of its engine Odd: must be"):
        _ = made.identity


def test_something_else_than_a_model_info_is_refused() -> None:
    """A dict of the right keys is none."""
    made = RunModel("a", "student", lambda: Odd({"model": "a"}, {"parameters": 3}))
    with pytest.raises(ModelError, match=r"info of its engine Odd: .* is no ModelInfo"):
        _ = made.info


def test_json_able_keeps_what_is_plain() -> None:
    """And converts arrays and nested mappings."""
    value: Mapping[str, Any] = {"a": np.array([[1, 2]]), "b": {"c": np.bool_(True)}, "d": None}
    assert plain.json_able(value) == {"a": [[1, 2]], "b": {"c": True}, "d": None}
