"""Words that a reader may not know."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from .pages import ROOT, all_pages

TEXTS: Mapping[str, str] = {
    **{str(page.relative_to(ROOT)): page.read_text("utf-8") for page in all_pages()},
    "example_suite/README.md": (ROOT / "example_suite" / "README.md").read_text("utf-8"),
    **{
        name: (ROOT / "pytest_distill" / name).read_text("utf-8")
        for name in ("config/schema.py", "gates/sft.py", "plugin/fixtures.py")
    },
}


_AT_ONCE = 40
"""How many characters behind a word are still at once."""


@pytest.mark.parametrize("where", [where for where, text in TEXTS.items() if "SFT" in text])
def test_sft_is_spelled_out_where_it_first_stands(where: str) -> None:
    """In the text before its first mention, or at once behind it."""
    text = re.sub(r"\s+", " ", TEXTS[where])
    assert "supervised fine-tuning" in text[: text.index("SFT") + _AT_ONCE].lower()
