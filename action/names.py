"""How a suite is named: in the comment, the artifact and the keys of the cache."""

from __future__ import annotations

import hashlib
import re

MARKDOWN = "distill.md"
"""The file of an artifact that becomes the comment."""


def cleaned(name: str) -> str:
    """Return a name of letters, digits, dot, dash and underscore, 60 at most.

    One that is changed ends in a digest, so that no two names become the same.
    """
    kept = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._-]", "-", name)).strip("-.")[:60]
    if name and kept == name:
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{kept[:51] or 'suite'}-{digest}"


def marker(suite: str) -> str:
    """Return the line that tells the comment of a suite from all others; readers don't see it."""
    return f"<!-- pytest-distill: {suite} -->"


def artifact(suite: str) -> str:
    """Return the name under which the reports of a suite are uploaded."""
    return f"pytest-distill-{suite}"
