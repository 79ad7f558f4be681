"""Numbers as short texts: exact, and as small as they are plain."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Digests = NDArray[np.uint64]

_DIGEST = np.dtype("<u8")
_COUNTS = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"))
_REAL = np.dtype("<f8")
_BITS = "bits"
MOST_NUMBERS = 2**27
"""More numbers than this are no scores: a file that claims them is not read."""


def pack(numbers: NDArray[np.float64] | NDArray[np.intp]) -> str:
    """Return numbers as a text from which `unpack` gives exactly the same ones.

    Column by column: bits where they are 0 and 1, else whole numbers of as many bytes as the
    greatest needs, else doubles, their first bytes beside each other; compressed.
    """
    values = np.asarray(numbers, np.float64).ravel(order="F")
    kind, raw = _raw(values)
    return f"{kind}:{base64.b64encode(zlib.compress(raw, 9)).decode()}"


def unpack(text: str, shape: tuple[int, ...]) -> Floats:
    """Return the numbers of a text of `pack`.

    Raises
    ------
    ValueError
        Where it is none, or not of so many numbers.
    """
    count = int(np.prod(shape, dtype=object))
    if count > MOST_NUMBERS:
        raise ValueError(f"{count:,} numbers, more than {MOST_NUMBERS:,}")
    kind, _, packed = text.partition(":")
    size = _bytes_of(kind, count)
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(_decoded(packed), size + 1)
    except zlib.error as error:
        raise ValueError(f"cannot be decompressed: {error}") from None
    if len(raw) != size or not inflate.eof:
        raise ValueError(f"does not hold {count:,} numbers")
    octets = np.frombuffer(raw, np.uint8)
    if kind == _BITS:
        values = np.unpackbits(octets, count=count).astype(np.float64)
    elif kind == _REAL.str[1:]:
        doubles = np.ascontiguousarray(octets.reshape(_REAL.itemsize, count).T).view(_REAL)
        values = doubles.ravel().astype(np.float64)
    else:
        values = octets.view(np.dtype(f"<{kind}")).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("holds a number that is not finite")
    return values.reshape(shape, order="F")


def pack_digests(digests: Digests) -> str:
    """Return digests as a text; there is nothing in them to compress."""
    return base64.b64encode(np.asarray(digests).astype(_DIGEST).tobytes()).decode()


def unpack_digests(text: str) -> Digests:
    """Return the digests of a text; ValueError where it is none."""
    raw = _decoded(text)
    if len(raw) % _DIGEST.itemsize:
        raise ValueError("holds no whole number of digests")
    return np.frombuffer(raw, _DIGEST).astype(np.uint64)


def _raw(values: Floats) -> tuple[str, bytes]:
    if np.isin(values, (0.0, 1.0)).all():
        return _BITS, np.packbits(values.astype(np.uint8)).tobytes()
    for kind in _COUNTS:
        if ((values >= 0) & (values <= np.iinfo(kind).max) & (values == np.floor(values))).all():
            return kind.str[1:], values.astype(kind).tobytes()
    octets = values.astype(_REAL).view(np.uint8).reshape(-1, _REAL.itemsize)
    return _REAL.str[1:], octets.T.tobytes()


def _bytes_of(kind: str, count: int) -> int:
    if kind == _BITS:
        return -(-count // 8)
    for known in (*_COUNTS, _REAL):
        if kind == known.str[1:]:
            return count * known.itemsize
    raise ValueError(f"is of no known kind: {kind[:20]!r}")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"is no base64: {error}") from None
