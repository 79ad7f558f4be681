"""The options, and what they ask for."""

from __future__ import annotations

import re

import pytest

from pytest_distill.report.formats import FORMATS

SHIPS = pytest.StashKey[bool]()
"""Whether the report said SHIP."""


def add_options(parser: pytest.Parser) -> None:
    """Add the options and ini values."""
    group = parser.getgroup("distill", "may a distilled model ship? (pytest-distill)")
    group.addoption(
        "--distill-report",
        action="store_true",
        default=None,
        help="show scores, retained quality and gates, and exit with 0 only if all gates passed",
    )
    for name, what in FORMATS.items():
        group.addoption(f"--distill-{name}", metavar="PATH", default=None, help=what)
    group.addoption(
        "--distill-limit",
        metavar="N",
        default=None,  # text, as all values here: they are checked when the JSON report has begun
        help="evaluate a sample of N examples of each gold set; such a run is INCOMPLETE",
    )
    group.addoption(
        "--distill-cache",
        metavar="DIR",
        default=None,
        help="keep predictions in this folder instead of .distill beside distill.yaml",
    )
    group.addoption(
        "--distill-refresh",
        action="store_true",
        default=None,
        help="evaluate anew what is stored",
    )
    group.addoption(
        "--distill-predictions",
        metavar="DIR",
        default=None,
        help="take exported predictions from this folder for models whose weights are absent",
    )
    group.addoption(
        "--distill-config",
        metavar="PATH",
        default=None,
        help="use this distill.yaml instead of the nearest one at or above each test file",
    )
    group.addoption(
        "--distill-device",
        metavar="DEVICE",
        default=None,
        help="run all models on this device: auto, cpu, cuda or cuda:N",
    )
    group.addoption(
        "--distill-model",
        metavar="NAME=PATH",
        action="append",
        default=None,
        help="use this checkpoint for a model of distill.yaml (may be given several times)",
    )
    parser.addini(
        "distill_strict",
        "exit with 0 only if all gates ran and passed, also without --distill-report",
        type="bool",
        default=False,
    )
    parser.addini(
        "distill_cache", "folder of stored predictions, relative to rootdir", default=None
    )
    parser.addini("distill_config", "path of distill.yaml, relative to rootdir", default=None)


def binds(config: pytest.Config) -> bool:
    """Return whether the exit status is 0 only for SHIP; an editor that collects is not asking."""
    asked = bool(config.getoption("distill_report"))
    strict = bool(config.getini("distill_strict"))
    return asked or (strict and not config.getoption("collectonly"))


def wants_report(config: pytest.Config) -> bool:
    """Return whether anything is made of what the tests find out, beside their own results."""
    asked = (config.getoption(f"distill_{name}") for name in ("report", *FORMATS))
    return any(asked) or bool(config.getini("distill_strict"))


def check_options(config: pytest.Config) -> None:
    """Raise UsageError where the value of an option is wrong, and make the limit a number."""
    for given in config.getoption("distill_model") or ():
        if not all(given.partition("=")):
            raise pytest.UsageError(f"--distill-model {given}: write NAME=PATH")
    try:
        config.getini("distill_strict")
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"distill_strict: {error}") from None
    limit = config.getoption("distill_limit")
    if limit is not None:
        if not re.fullmatch(r"0*[1-9][0-9]{0,17}", str(limit)):
            raise pytest.UsageError(f"--distill-limit {limit}: must be a whole number, at least 1")
        config.option.distill_limit = int(limit)
    device = config.getoption("distill_device")
    if device is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise pytest.UsageError(f"--distill-device {device}: write auto, cpu, cuda or cuda:N")
