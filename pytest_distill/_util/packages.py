"""Packages that not every user has: what to say where one is missing."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec
from typing import Any

from pytest_distill.errors import ConfigError

RUN_MODELS = ("torch", "transformers")
"""What the ordinary install brings to run models with; a job that runs none may lack them."""


def is_installed(module: str) -> bool:
    """Return whether a module can be found; it is not imported."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a parent that is missing; taken out of sys.modules
        return False


def lacking_to_run_models(what: str) -> str | None:
    """Return what to install for `what`, which runs models here; None where all is there."""
    missing = [name for name in RUN_MODELS if not is_installed(name)]
    if not missing:
        return None
    several = len(missing) > 1
    return (
        f"{what} needs {' and '.join(missing)}, which {'are' if several else 'is'} not installed "
        f"here: pip install {_required(missing)} (the ordinary install of pytest-distill brings "
        f"{'them' if several else 'it'})"
    )


def _required(names: Collection[str]) -> str:
    """Return the words by which pip installs packages that this one requires."""
    try:
        said = requires("pytest-distill") or ()
    except PackageNotFoundError:  # on the path, but not installed
        said = ()
    bounds = {re.split(r"[^\w-]", text)[0]: text for text in said if "extra ==" not in text}
    return " ".join(f"'{bounds[name]}'" if name in bounds else name for name in names)


@dataclass(frozen=True, slots=True)
class Package:
    """A package that an extra of ours names.

    Parameters
    ----------
    module : str
        What is imported.
    name : str
        What is installed.
    extra : str
        The extra.
    """

    module: str
    name: str
    extra: str

    @property
    def is_installed(self) -> bool:
        """Whether its module can be found; it is not imported."""
        return is_installed(self.module)

    def lacking(self, what: str) -> str:
        """Return what to install for `what`, the subject of the sentence."""
        # An extra brings all that an ordinary install does: torch too, where it was left out.
        whole = all(map(is_installed, RUN_MODELS))
        install = f"'pytest-distill[{self.extra}]'" if whole else self.name
        return f"{what} needs the package {self.name}: pip install {install}"

    def require(self, what: str) -> None:
        """Raise ConfigError where it is not installed."""
        if not self.is_installed:
            raise ConfigError(self.lacking(what))

    def load(self, what: str) -> Any:
        """Return its module; ConfigError where that can't be imported."""
        self.require(what)
        try:
            return import_module(self.module)
        except ImportError as error:
            raise ConfigError(f"{self.lacking(what)} ({error})") from None
