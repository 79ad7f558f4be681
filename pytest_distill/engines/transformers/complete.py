"""A checkpoint that does not go with its architecture: weights that lack, and some without a place.

Neither transformers nor vLLM refuses one: what is missing is filled with whatever stands there, and
what is left over is dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from pytest_distill.engines.transformers.checkpoint import Checkpoint
from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.transformers.unpacking import LAYER_NUMBER
from pytest_distill.errors import ModelError, few


def refuse_missing(
    spec: Spec, checkpoint: Checkpoint, model: Any, missing: Collection[str]
) -> None:
    """Raise ModelError where there are weights that the checkpoint lacks."""
    if missing:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} lacks "
            f"{few(sorted(missing))}; a {type(model).__name__} would run with random numbers "
            "there: save the whole fine-tuned model, or correct 'architectures' in config.json"
        )


def refuse_dropped(
    spec: Spec, checkpoint: Checkpoint, left: Iterable[str], own: Iterable[str]
) -> None:
    """Raise ModelError where weights matter that are left over, since the model has no such name.

    They do where they look like the model's own (a layer beyond those in the config) or like an
    adapter that was never merged; a training head is harmless.

    Parameters
    ----------
    left : iterable of str
        What is left over.
    own : iterable of str
        The names that the model has.
    """
    places = {LAYER_NUMBER.sub("*", name) for name in own}
    dropped = sorted(
        name
        for name in left
        if LAYER_NUMBER.sub("*", name) in places or "lora_" in name or ".base_layer." in name
    )
    if dropped:
        raise ModelError(
            f"model '{spec.name}': the checkpoint in {checkpoint.folder} holds {few(dropped)}, "
            "which its config.json has no place for, so that the model would run without: correct "
            "the number of layers there, or merge the adapter before saving"
        )
