"""Lines of yaml as commands write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

WIDTH = 110
"""Of the lines."""

_NUMBER = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|0o[0-7]+", re.ASCII)
"""What editors, which read YAML 1.2, take for a number; to PyYAML some of it is a text."""


def yaml_lines(content: Any) -> Sequence[str]:
    """Return the lines that say `content`; what has nothing nested in it stands in one line."""
    text = yaml.dump(
        content,
        Dumper=_Yaml,
        sort_keys=False,
        allow_unicode=True,
        width=WIDTH,
        default_flow_style=None,
    )
    return text.splitlines()


def yaml_line(key: str, value: Any) -> str:
    """Return the line that gives a key of a mapping its value."""
    return _flow({key: value})


def yaml_key(key: str) -> str:
    """Return a key as it is written: in quotes where YAML reads more than a text."""
    return _flow([key])


def _flow(content: Any) -> str:
    text: str = yaml.dump(content, Dumper=_Yaml, **_ONE_LINE)
    return text.strip()[1:-1]


_ONE_LINE: Mapping[str, Any] = {
    "sort_keys": False,
    "allow_unicode": True,
    "width": float("inf"),
    "default_flow_style": True,
}


class _Yaml(yaml.SafeDumper):
    """Writes a text with new lines in one line, and in quotes what some reader takes for more."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if "\n" in text else "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Yaml.add_representer(str, _text)
