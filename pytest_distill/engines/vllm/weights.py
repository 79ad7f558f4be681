"""The files that vLLM is let see: where a folder has more weights, it would load them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pytest_distill.engines.transformers.checkpoint import Checkpoint

_INDEX = ".index.json"


@contextmanager
def seen(checkpoint: Checkpoint) -> Iterator[Path]:
    """Give a folder in which all weights are those of a checkpoint, while it is loaded.

    That is its own, or one of links where others lie beside them (``consolidated.safetensors``, a
    copy of before): transformers loads those of one name, and these alone make up the digest.
    """
    folder, weights = checkpoint.folder, checkpoint.weights
    whole = len(weights) == 1 and any(folder.glob(f"*{_INDEX}"))  # of files that are not loaded
    if not whole and {*folder.glob("*.safetensors")} <= {*weights}:
        yield folder
        return
    with TemporaryDirectory() as made:
        for file in checkpoint.files:
            if file.parent == folder and not file.name.endswith(_INDEX):
                (Path(made) / file.name).symlink_to(file.absolute())
        yield Path(made)
