"""The options, and what they ask for."""

from __future__ import annotations

import re

import pytest

from pytest_distill.report.formats import FORMATS

OPTIONS = {
    "limit": ("N", "evaluate a sample of N examples of each gold set; such a run is INCOMPLETE"),
    "cache": ("DIR", "keep predictions in this folder instead of .distill beside distill.yaml"),
    "predictions": (
        "DIR",
        "take exported predictions from this folder for models whose weights are absent",
    ),
    "baseline": ("PATH", "hold this run against the accepted one in this file"),
    "config": (
        "PATH",
        "use this distill.yaml instead of the nearest one at or above each test file",
    ),
    "device": ("DEVICE", "run all models on this device: auto, cpu, cuda or cuda:N"),
}
"""Name -> what stands for its value, and what ``pytest --help`` says.

All are text: they are checked when the JSON report has begun.
"""

SHIPS = pytest.StashKey[bool]()
"""Whether the report said SHIP."""


def add_options(parser: pytest.Parser) -> None:
    """Add the options and ini values."""
    group = parser.getgroup("distill", "may a distilled model ship? (pytest-distill)")
    group.addoption(
        "--distill-report",
        action="store_true",
        help="show scores, retained quality and gates, and exit with 0 only if all gates passed",
    )
    for name, format in FORMATS.items():
        group.addoption(f"--distill-{name}", metavar="PATH", help=format.help)
    for name, (metavar, what) in OPTIONS.items():
        group.addoption(f"--distill-{name}", metavar=metavar, help=what)
    group.addoption("--distill-refresh", action="store_true", help="evaluate anew what is stored")
    group.addoption(
        "--distill-model",
        metavar="NAME=PATH",
        action="append",
        help="use this checkpoint for a model of distill.yaml (may be given several times)",
    )
    parser.addini(
        "distill_strict",
        "exit with 0 only if all gates ran and passed, also without --distill-report",
        type="bool",
    )
    parser.addini("distill_cache", "folder of stored predictions, relative to rootdir")
    parser.addini("distill_config", "path of distill.yaml, relative to rootdir")


def binds(config: pytest.Config) -> bool:
    """Return whether the exit status is 0 only for SHIP; an editor that collects is not asking."""
    asked = bool(config.getoption("distill_report"))
    strict = bool(config.getini("distill_strict"))
    return asked or (strict and not config.getoption("collectonly"))


def writes_files(config: pytest.Config) -> bool:
    """Return whether any file of the report is asked for: it tells more than the terminal."""
    return any(config.getoption(f"distill_{name}") for name in FORMATS)


def wants_report(config: pytest.Config) -> bool:
    """Return whether anything is made of what the tests find out, beside their own results."""
    asked = bool(config.getoption("distill_report")) or writes_files(config)
    return asked or bool(config.getini("distill_strict"))


def shows_examples(config: pytest.Config) -> bool:
    """Return whether a file is asked for that shows what the models answered."""
    return any(
        config.getoption(f"distill_{name}")
        for name, format in FORMATS.items()
        if format.shows_examples
    )


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
