"""What is asked, told apart by content: the digest of a request, and requests that are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import numpy as np

from pytest_distill.evals.requests import Request, says


def request_key(request: Request, whole: str | None = None) -> bytes:
    """Return the digest of all that a model is asked, decoding included, but not of the id.

    So an example that is renamed or moved is found again, and one whose text changed is not.

    Parameters
    ----------
    request : Request
        What is asked.
    whole : str, optional
        The whole prompt, where request and model do not say all of it: a date may be in it.
    """
    asked = {
        f.name: value
        for f in fields(request)
        if f.name != "id" and says(value := getattr(request, f.name), f)
    }
    more = [] if whole is None else [whole]
    return canonical_sha256([type(request).__name__, asked, *more]).digest()


def canonical_sha256(value: Any) -> hashlib._Hash:
    """Return the SHA-256 of a JSON-able value, whatever the order of its keys."""
    return hashlib.sha256(_encode(value).encode("utf-8", "surrogatepass"))


def unordered_sha256(values: Iterable[Any]) -> hashlib._Hash:
    """Return the SHA-256 of JSON-able values, whatever their order; of several alike each counts.

    Quicker than a digest of each, since there may be very many.
    """
    lines = "\n".join(sorted(map(_encode, values)))  # JSON's own text has no line break
    return hashlib.sha256(lines.encode("utf-8", "surrogatepass"))


def quick_hashes(requests: Iterable[Request]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a number for each request, the same for the same request in this process alone."""
    return np.fromiter(map(hash, requests), np.int64)


def repeated(numbers: Sequence[int] | np.ndarray[Any, Any]) -> list[list[int]]:
    """Return the positions of numbers that occur more than once, a list for each number."""
    order = np.argsort(numbers, kind="stable")
    ordered = np.asarray(numbers)[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sizes = np.diff(np.r_[starts, len(ordered)])
    return [
        [int(position) for position in order[start : start + size]]
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True)
    ]


def _plain(value: Any) -> Any:
    # The decoding within a request. asdict on the request itself would copy every value.
    if is_dataclass(value) and not isinstance(value, type):
        # What has a key of its own is told by it: the order of its keys may matter.
        return getattr(value, "key", None) or asdict(value)
    return str(value)


_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False, default=_plain).encode
