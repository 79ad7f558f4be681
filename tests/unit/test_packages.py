"""What is said of packages that are not installed, and the install without torch."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from pytest_distill._util.packages import Package, lacking_to_run_models
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.errors import ModelError

ROOT = Path(__file__).parents[2]
SAID = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lean_requirements_are_those_of_the_project() -> None:
    """All but torch and transformers, and those of the extra `openai`, with the same bounds."""
    lines = (ROOT / "requirements" / "lean.txt").read_text(encoding="utf-8").splitlines()
    left_out = re.compile(r"(torch|transformers)\b")
    wanted = [*SAID["dependencies"], *SAID["optional-dependencies"]["openai"]]
    assert [line for line in lines if not line.startswith("#")] == sorted(
        one for one in wanted if not left_out.match(one)
    )
    charts = " ".join(SAID["optional-dependencies"]["html"])
    assert f"# --distill-html needs more: {charts}" in lines


def test_where_torch_is_missing_the_engine_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before it reads anything; with the bounds of the project."""
    monkeypatch.setitem(sys.modules, "torch", None)
    bound = next(one for one in SAID["dependencies"] if one.startswith("torch"))
    with pytest.raises(ModelError) as raised:
        TransformersEngine(ModelSpec("student", "student", path="models/student"))
    assert str(raised.value) == (
        "model 'student': engine transformers needs torch, which is not installed here: "
        f"pip install '{bound}' (the ordinary install of pytest-distill brings it)"
    )


def test_where_all_is_there_nothing_is_lacking() -> None:
    """The ordinary install runs models."""
    assert lacking_to_run_models("engine transformers") is None


def test_an_extra_is_not_named_where_it_would_bring_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that left torch out installs the package alone."""
    package = Package("no_such_module", "no-such-package", "html")
    said = "--distill-html needs the package no-such-package: pip install "
    assert package.lacking("--distill-html") == f"{said}'pytest-distill[html]'"
    monkeypatch.setitem(sys.modules, "torch", None)
    assert package.lacking("--distill-html") == f"{said}no-such-package"
