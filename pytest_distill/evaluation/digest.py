"""Identity of models, requests and files: what a stored prediction is found by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

from pytest_distill.evals.requests import Request


def request_key(request: Request) -> bytes:
    """Return the digest of all that a model is asked, decoding included, but not of the id.

    So an example that is renamed or moved is found again, and one whose text changed is not.
    """
    asked = {f.name: getattr(request, f.name) for f in fields(request) if f.name != "id"}
    return _sha256([type(request).__name__, asked]).digest()


def run_key(identity: Mapping[str, Any]) -> str:
    """Return the digest of a model's bytes and of the settings that it runs under."""
    return _sha256(dict(identity)).hexdigest()


def _sha256(value: Any) -> hashlib._Hash:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass"))


def _plain(value: Any) -> Any:
    # The decoding within a request. asdict on the request itself would copy every value.
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
