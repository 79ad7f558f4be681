"""How a checkpoint's weights are packed, and which package unpacks them.

Only files are read here; neither torch nor transformers is imported.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from pytest_distill._util.packages import is_installed
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.errors import ModelError

_KEY = "quantization_config"
_EXTRA = "'pytest-distill[quantised]'"  # zsh takes brackets for a pattern
# By method: the module that unpacks, and what to install.
# Not here: what transformers unpacks by itself (FP8, MXFP4, BitNet).
_PACKAGES: Mapping[str, tuple[str, str]] = {
    "bitsandbytes": ("bitsandbytes", _EXTRA),
    "compressed-tensors": ("compressed_tensors", _EXTRA),
    "torchao": ("torchao", _EXTRA),
    "gptq": ("gptqmodel", "gptqmodel optimum"),
    "awq": ("gptqmodel", "gptqmodel"),
    "auto-round": ("auto_round", "auto-round"),
    "quanto": ("optimum.quanto", "optimum-quanto"),
    "aqlm": ("aqlm", "aqlm"),
    "vptq": ("vptq", "vptq"),
}
_BITS_IN_NAME = re.compile(r"(?:int|float|fp)(\d+)_?weight", re.IGNORECASE)
_SHARE_SHOWN = 0.05


@dataclass(frozen=True, slots=True)
class Packing:
    """What a checkpoint, or ``load:``, says of the quantisation of its weights.

    Parameters
    ----------
    config : mapping
        The ``quantization_config``, as it stands there.
    on_the_fly : bool
        Whether ``load:`` asks to quantise weights that are stored as they are.
    """

    config: Mapping[str, Any]
    on_the_fly: bool = False

    @property
    def method(self) -> str:
        """Its name, as transformers has it."""
        short = self.config.get("load_in_4bit") or self.config.get("load_in_8bit")
        return str(self.config.get("quant_method") or ("bitsandbytes" if short else ""))

    def __str__(self) -> str:
        """Name the method, the bits of a weight and what else tells its kinds apart."""
        read = {"bitsandbytes": _bitsandbytes, "compressed-tensors": _compressed, "torchao": _ao}
        bits, kind = read.get(self.method, _others)(self.config)
        in_name = re.search(r"fp(\d)$", self.method)
        bits = bits or (in_name[1] if in_name else "")
        shown = f"{self.method}, {bits} bits" if bits else self.method
        return f"{shown} ({kind})" if kind else shown


def packing(spec: Spec, config: Mapping[str, Any]) -> Packing | None:
    """Return how the weights of a model are quantised, by its ``config.json`` or by ``load:``.

    Raises
    ------
    ModelError
        Where one of them says it in no mapping.
    """
    parts = [part for part in (config, config.get("text_config")) if isinstance(part, Mapping)]
    stated = next((part[_KEY] for part in parts if part.get(_KEY) is not None), None)
    asked = spec.options.load.get(_KEY)
    for where, value in (("config.json", stated), ("load", asked)):
        if value is not None and not isinstance(value, Mapping):
            raise ModelError(
                f"model '{spec.name}': {where}: quantization_config must be a mapping, e.g. "
                f"{{quant_method: bitsandbytes, load_in_4bit: true}}, not {value!r}"
            )
    if stated is not None:
        found = Packing(stated)
    elif asked is not None and not spec.options.gguf_file:
        found = Packing(asked, on_the_fly=True)
    else:
        return None
    if not found.method:
        where = "load" if found.on_the_fly else "config.json"
        raise ModelError(
            f"model '{spec.name}': {where}: quantization_config names no quant_method, e.g. "
            "bitsandbytes"
        )
    return found


def require_package(spec: Spec, packed: Packing) -> None:
    """Raise a `ModelError` that names the package to install where it is missing."""
    module, install = _PACKAGES.get(packed.method, (None, ""))
    if module is not None and not is_installed(module):
        raise ModelError(
            f"model '{spec.name}': its weights are quantised by {packed.method}, which needs the "
            f"package {module.replace('.', '-').replace('_', '-')}: pip install {install}"
        )


def versions(spec: Spec, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the version of each package beside transformers and torch that computes the model.

    One that is missing is left out: that is told when the model is loaded.
    """
    packed, own = packing(spec, config), spec.options
    module, _ = _PACKAGES.get(packed.method, (None, "")) if packed else (None, "")
    named = [
        *([module.replace(".", "-").replace("_", "-")] if module else ()),
        *(["gguf"] if own.gguf_file else ()),
        *(["peft"] if own.adapter else ()),
        *(["kernels"] if module or own.gguf_file else ()),  # where it is, libraries compute in it
    ]
    found = {}
    for name in named:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _bitsandbytes(config: Mapping[str, Any]) -> tuple[str, str]:
    if config.get("load_in_8bit"):
        return "8", ""
    return "4", str(config.get("bnb_4bit_quant_type", "fp4"))


def _compressed(config: Mapping[str, Any]) -> tuple[str, str]:
    groups = config.get("config_groups")
    bits: list[str] = []
    kinds: list[str] = []
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights, inputs = (group.get(part) or {} for part in ("weights", "input_activations"))
        bits.append(str(weights.get("num_bits", "?")))
        also = f", {inputs.get('num_bits')}-bit activations" if inputs else ""
        kinds.append(f"{weights.get('type', 'int')} weights{also}")
    return _each(bits), _each(kinds)


def _ao(config: Mapping[str, Any]) -> tuple[str, str]:
    stated = config.get("quant_type")
    found = list(_typed(stated)) if isinstance(stated, Mapping) else [(str(stated), {})]
    bits: list[str] = []
    for name, data in found:
        dtype = data.get("weight_dtype")
        digits = re.search(r"\d+", str(dtype.get("_data") if isinstance(dtype, Mapping) else dtype))
        in_name = _BITS_IN_NAME.search(name)
        bits += [digits[0]] if digits else [in_name[1]] if in_name else []
    return _each(bits), _each([name.removesuffix("Config") for name, _ in found])


def _typed(stated: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the outermost configs for weights within torchao's nested ``_type`` and ``_data``."""
    data = stated.get("_data")
    inner = data if isinstance(data, Mapping) else {}
    if "_type" in stated and "fqn_to_config" not in inner:
        return [(str(stated["_type"]), inner)]
    within = inner.get("fqn_to_config", stated)
    parts = within.values() if isinstance(within, Mapping) else ()
    return [found for part in parts if isinstance(part, Mapping) for found in _typed(part)]


def _others(config: Mapping[str, Any]) -> tuple[str, str]:
    said = next((config[k] for k in ("bits", "w_bit", "nbits") if config.get(k)), "")
    return str(said), str(config.get("weights") or config.get("fmt") or "")


def _each(texts: list[str]) -> str:
    return " and ".join(sorted(set(texts)))


# The format of a GGUF file: bytes of each type of value that has a fixed size, by its number.
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9


def gguf_packing(file: Path) -> str | None:
    """Return the types of most weights in a GGUF file, the commonest first; None for plain floats.

    The package gguf, which names the types, builds an object of every token to tell as much.
    """
    from gguf import GGMLQuantizationType

    sizes: Counter[int] = Counter()
    with file.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            return None
        _, tensors, pairs = _read(stream, "<IQQ")
        for _ in range(pairs):
            _skip_string(stream)
            _skip(stream, *_read(stream, "<I"))
        for _ in range(tensors):
            _skip_string(stream)
            (dimensions,) = _read(stream, "<I")
            size = prod(_read(stream, f"<{dimensions}Q"))
            kind, _offset = _read(stream, "<IQ")
            sizes[kind] += size
    least = _SHARE_SHOWN * sizes.total()
    names = [GGMLQuantizationType(kind).name for kind, n in sizes.most_common() if n >= least]
    plain = all(name in ("F64", "F32", "F16", "BF16") for name in names)
    return None if plain else f"GGUF {', '.join(names)}"


def _read(stream: BinaryIO, format: str) -> tuple[int, ...]:
    return struct.unpack(format, stream.read(struct.calcsize(format)))


def _skip_string(stream: BinaryIO) -> None:
    (length,) = _read(stream, "<Q")
    stream.seek(length, 1)


def _skip(stream: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        _skip_string(stream)
    elif kind == _ARRAY:
        within, length = _read(stream, "<IQ")
        if within in _SIZES:
            stream.seek(length * _SIZES[within], 1)
        else:
            for _ in range(length):
                _skip(stream, within)
    else:
        stream.seek(_SIZES[kind], 1)
