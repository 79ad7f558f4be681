"""Packages that only some users need: what to say where one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from pytest_distill.errors import ConfigError


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
        try:
            return find_spec(self.module) is not None
        except (ImportError, ValueError):  # of a parent that is missing; taken out of sys.modules
            return False

    def lacking(self, what: str) -> str:
        """Return what to install for `what`, the subject of the sentence."""
        return f"{what} needs the package {self.name}: pip install 'pytest-distill[{self.extra}]'"

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
