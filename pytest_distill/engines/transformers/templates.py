"""What chat templates may read beside the chat, told from a checkpoint's files, or their words."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.options import Spec

CLOCK = "strftime_now"
"""The function by which transformers lets a chat template read the clock."""

_JSON = {"tokenizer_config.json", "chat_template.json"}
_GGUF_KEY = b"tokenizer.chat_template"
_GGUF_TEXT = 8  # the type of a text in the metadata of a GGUF file
_GGUF_METADATA = 2**27  # bytes within which the metadata of a GGUF file ends


def may_read_clock(spec: Spec, checkpoint: Checkpoint) -> bool:
    """Return whether a chat of this model may depend on the clock, so that it must be rendered.

    The prompt is a function of bytes that are in the model's digest where no template names the
    clock. Code of the tokenizer's own may read anything.
    """
    clocks = (CLOCK.encode() in text for text in _templates(checkpoint))
    return has_own_code(spec, checkpoint) or any(clocks)


def may_read(spec: Spec, checkpoint: Checkpoint, argument: str) -> bool:
    """Return whether a template of this model may read what it is told by that name."""
    named = (argument.encode() in text for text in _templates(checkpoint))
    return not argument.isascii() or has_own_code(spec, checkpoint) or any(named)


def has_own_code(spec: Spec, checkpoint: Checkpoint) -> bool:
    """Return whether the tokenizer may run code of the checkpoint's own."""
    return spec.options.trust_remote_code and any(
        file.suffix == ".py" for file in _files(checkpoint)
    )


def _files(checkpoint: Checkpoint) -> tuple[Path, ...]:
    return checkpoint.others["tokenizer" if "tokenizer" in checkpoint.others else "model"]


def _templates(checkpoint: Checkpoint) -> Iterator[bytes]:
    for file in _files(checkpoint):
        if file.suffix == ".jinja" or file.name in _JSON:
            yield file.read_bytes()
    if checkpoint.embedded:
        yield _in_gguf(checkpoint.weights[0])


def _in_gguf(file: Path) -> bytes:
    """Return the chat template within a GGUF file; empty where there is none.

    Each entry of the metadata is its key, its type, and for a text its length and its bytes:
    https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        at = whole.find(_GGUF_KEY, 0, _GGUF_METADATA)
        while at >= 0:
            kind = at + len(_GGUF_KEY)
            if int.from_bytes(whole[kind : kind + 4], "little") == _GGUF_TEXT:
                length = int.from_bytes(whole[kind + 4 : kind + 12], "little")
                return whole[kind + 12 : kind + 12 + length]
            at = whole.find(_GGUF_KEY, kind, _GGUF_METADATA)
    return b""


@cache
def chance_in(template: str) -> str | None:
    """Return by what a template draws at random: a filter and a function of jinja2 do."""
    tokens = _tokens(template)
    for before, (kind, value) in zip([("", ""), *tokens], tokens, strict=False):
        if kind == "name" and value == "random" and before[1] == "|":
            return "the filter 'random'"
        if kind == "string" and value.strip("'\"") == "random":
            return "the filter 'random'"
        if kind == "name" and value == "lipsum" and before[1] != ".":
            return "the function 'lipsum'"
    return None


@cache
def names_in(template: str) -> frozenset[str]:
    """Return the names in a template, those of attributes left out."""
    tokens = _tokens(template)
    pairs = zip([("", ""), *tokens], tokens, strict=False)
    return frozenset(
        value for before, (kind, value) in pairs if kind == "name" and before[1] != "."
    )


def _tokens(template: str) -> list[tuple[str, str]]:
    """Return kind and text of what a template says; nothing where it is none."""
    import jinja2

    try:
        tokens = [token[1:] for token in jinja2.Environment(autoescape=True).lex(template)]
    except jinja2.TemplateError:
        return []  # told where it is rendered
    return [token for token in tokens if token[0] not in ("whitespace", "data", "comment")]


def unread(name: str, argument: str) -> str:
    """Return what a reader must know of what a model's chat template is told and does not read."""
    return (
        f"model '{name}': its chat template does not read '{argument}', so that what 'template' "
        "says of it changes nothing there"
    )
