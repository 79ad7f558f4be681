"""The engines that the documentation shows keep the contract that it tells of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_distill.testing import engine_contract
from tests.docs.pages import ROOT, blocks, write

ONE = ["classification"]
MODULES = ("rules.py", "rated.py", "lengths.py")


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the modules of the pages where they can be imported."""
    for page in ("engines.md", "store.md"):
        for block in blocks(ROOT / "docs" / page):
            if block.name in MODULES:
                write(block, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.mark.parametrize("engine", ["rules:Rules", "rated:RatedRules"])
def test_engines_without_identity_keep_it(engine: str, shown: Path) -> None:
    """As far as it is about them."""
    assert shown
    report = engine_contract(engine, {"words": ["good"]}, tasks=ONE)
    assert {"once each", "batches", "close"} <= {each.point for each in report.kept}


def test_an_engine_that_is_stored_keeps_it(shown: Path) -> None:
    """The weights of the other one are other bytes."""
    for name, weight in (("teacher", "5"), ("student", "7")):
        (shown / name).mkdir()
        (shown / name / "weights.txt").write_text(weight)
    report = engine_contract(
        "lengths:Longer",
        {"path": str(shown / "teacher")},
        tasks=ONE,
        other={"path": str(shown / "student")},
    )
    kept = {each.point for each in report.kept}
    assert {"resume", "identity elsewhere", "identity of bytes", "identity of another"} <= kept
