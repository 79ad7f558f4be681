"""Numbers as short texts: exact, and as small as they are plain."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Digests = NDArray[np.uint64]

_DIGEST = np.dtype("<u8")
_WHOLE = (np.dtype("<i1"), np.dtype("<i2"), np.dtype("<i4"), np.dtype("<i8"))
_MOST_WHOLE = 2.0**52
"""Up to twice as much a double is exact, so that differences are."""
_LOOK_BACK = 24
_REAL = np.dtype("<f8")
_BITS = "bits"
MOST_NUMBERS = 2**27
"""More numbers than this are no scores: a file that claims them is not read."""


def pack(numbers: NDArray[np.float64] | NDArray[np.intp]) -> str:
    """Return numbers as a text from which `unpack` gives exactly the same ones.

    Column by column: bits where they are 0 and 1, else whole numbers of as many bytes as the
    greatest needs, else doubles; the first bytes of all of them beside each other, compressed. A
    column of whole numbers may be what an earlier one lacks: n-grams are counted by their lengths.
    """
    values = np.asarray(numbers, np.float64)
    columns = [values] if values.ndim == 1 else list(values.T)
    if np.isin(values, (0.0, 1.0)).all():
        return _text(_BITS, np.packbits(values.ravel(order="F").astype(np.uint8)).tobytes())
    if (np.abs(values) > _MOST_WHOLE).any() or (values != np.floor(values)).any():
        return _text(_REAL.str[1:], b"".join(map(_planes, columns)))
    bases = [_base_of(columns, place) for place in range(len(columns))]
    rest = [
        column - (columns[base] if base < place else 0)
        for place, (column, base) in enumerate(zip(columns, bases, strict=True))
    ]
    most = max((float(np.abs(each).max(initial=0.0)) for each in rest), default=0.0)
    kind = next(kind for kind in _WHOLE if most <= np.iinfo(kind).max)
    packed = b"".join(_planes(each.astype(kind)) for each in rest)
    return _text(f"{kind.str[1:]};{'.'.join(map(str, bases))}", packed)


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
    head, _, packed = text.partition(":")
    kind, _, written = head.partition(";")
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
        flat = np.unpackbits(octets, count=count).astype(np.float64)
        return flat.reshape(shape, order="F")
    k = 1 if len(shape) == 1 else shape[1]
    columns = [
        each.reshape(-1, count // k).T.copy().view(f"<{kind}").ravel().astype(np.float64)
        for each in (np.split(octets, k) if count else ())
    ]
    if kind != _REAL.str[1:]:
        for place, base in enumerate(_bases(written, len(columns))):
            if base < place:
                columns[place] = columns[place] + columns[base]
    values = np.column_stack(columns) if len(shape) == 2 and columns else np.array(columns)
    if not np.isfinite(values).all():
        raise ValueError("holds a number that is not finite")
    return np.ascontiguousarray(values.reshape(shape))


def pack_digests(digests: Digests) -> str:
    """Return digests as a text; there is nothing in them to compress."""
    return base64.b64encode(np.asarray(digests).astype(_DIGEST).tobytes()).decode()


def unpack_digests(text: str) -> Digests:
    """Return the digests of a text; ValueError where it is none."""
    raw = _decoded(text)
    if len(raw) % _DIGEST.itemsize:
        raise ValueError("holds no whole number of digests")
    return np.frombuffer(raw, _DIGEST).astype(np.uint64)


def _text(kind: str, raw: bytes) -> str:
    return f"{kind}:{base64.b64encode(zlib.compress(raw, 9)).decode()}"


def _planes(column: NDArray[Any]) -> bytes:
    """Return the first bytes of all numbers, then the second ones, and so on."""
    plain = column.astype(column.dtype.newbyteorder("<"))
    return plain.view(np.uint8).reshape(-1, plain.itemsize).T.tobytes()


def _base_of(columns: Sequence[Floats], place: int) -> int:
    """Return which earlier column leaves the least of one; its own place where none helps."""

    def size(rest: Floats) -> int:
        return len(zlib.compress(_planes(rest.astype("<i8")), 1))

    sizes = {place: size(columns[place])}
    for base in range(max(0, place - _LOOK_BACK), place):
        sizes[base] = size(columns[place] - columns[base])
    return min(sizes, key=lambda base: sizes[base])


def _bases(written: str, columns: int) -> list[int]:
    try:
        bases = [int(base) for base in written.split(".") if base]
    except ValueError:
        bases = []
    if len(bases) != columns or not all(0 <= base < columns for base in bases):
        raise ValueError("names columns that it does not have")
    return bases


def _bytes_of(kind: str, count: int) -> int:
    if kind == _BITS:
        return -(-count // 8)
    for known in (*_WHOLE, _REAL):
        if kind == known.str[1:]:
            return count * known.itemsize
    raise ValueError(f"is of no known kind: {kind[:20]!r}")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError(f"is no base64: {error}") from None
