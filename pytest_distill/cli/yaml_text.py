"""Lines of yaml as commands write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

WIDTH = 110
"""Of the lines."""


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
    text: str = yaml.dump({key: value}, Dumper=_Yaml, **_ONE_LINE)
    return text.strip()[1:-1]


_ONE_LINE: Mapping[str, Any] = {
    "sort_keys": False,
    "allow_unicode": True,
    "width": float("inf"),
    "default_flow_style": True,
}


class _Yaml(yaml.SafeDumper):
    """Writes a text with new lines in one line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Yaml.add_representer(str, _text)
