"""Which weights vLLM loads: no others than the checkpoint's, and all of its architecture.

Where a folder has more it would load them all; without one it runs, silently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.quantisation import packing
from pytest_distill.engines.transformers.weights import refuse_dropped, refuse_missing

_EXPERTS = ".experts."
"""Part of the names of weights that transformers puts together when it loads them."""
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


def check_weights(spec: Spec, checkpoint: Checkpoint, model: Any, notes: list[str]) -> None:
    """Refuse a model that would run without some of its weights, or without some that it has.

    Told from names alone. Packed weights have other names, and are vLLM's to check; where most
    names are not those of the architecture either, a note says that nothing was checked.

    Parameters
    ----------
    model
        The model of transformers, without memory.

    Raises
    ------
    ModelError
        Naming what lacks, or has no place.
    """
    if packing(spec, checkpoint.config) is not None:
        return
    stored = checkpoint.stored_types.keys()
    groups: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        groups.setdefault(id(parameter), []).append(name)
    names = [group for group in groups.values() if not any(_EXPERTS in name for name in group)]
    missing = [group[0] for group in names if not stored & set(group)]
    if len(missing) > len(names) // 2:
        notes.append(
            f"model '{spec.name}' ({type(model).__name__}): its weights have other names than "
            "those of its class in transformers, so that it was not checked whether all are there"
        )
        return
    refuse_missing(spec, checkpoint, model, missing)
    own = {name for group in groups.values() for name in group}
    refuse_dropped(spec, checkpoint, stored - own, own)
