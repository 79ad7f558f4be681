"""Packages that only some users need: what to say where one is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec


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
