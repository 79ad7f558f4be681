"""What assertions take, for the reference: they are made of gates, so that no source says it."""

from __future__ import annotations

from typing import Any

import griffe

from pytest_distill import GATE_FUNCTIONS
from pytest_distill.plugin import assertions


class Assertions(griffe.Extension):
    """Puts the functions as they are in place of the stub's lines that name them."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Look at the one module that makes them, and read the source of all others."""
        home = pkg[assertions.__name__.removeprefix(f"{pkg.path}.")]
        made = griffe.inspect(
            home.name,
            filepath=home.filepath,
            parent=home.parent,
            docstring_parser=loader.docstring_parser,
            docstring_options=loader.docstring_options,
            lines_collection=loader.lines_collection,
            modules_collection=loader.modules_collection,
        )
        for name in GATE_FUNCTIONS:
            if pkg[name].is_attribute:
                pkg.set_member(name, made[name])
