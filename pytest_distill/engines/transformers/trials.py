"""What a model does with tokens, found out on tiny inputs: no list of architectures tells it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.failures import none_where_it_fails
from pytest_distill.engines.transformers.fast.onednn import all_logits, computing
from pytest_distill.engines.transformers.likelihood import logits_at
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.reader import tokens_named
from pytest_distill.errors import ModelError, UnsoundAnswersError

_HALF = 67  # tokens; prime, so that it is no border between blocks that are read together
_SHORT = 13
_NEAR = 8
_CHANGED = 1e-2  # of the spread of the logits
_FAR = 2**15  # the last position that is looked at where nothing states a context
_CHOSEN_FROM = 4096
_NOT_DETERMINISTIC = (
    "is not deterministic: it predicts otherwise each time that it reads the same text, so that no "
    "score says what it does"
)
_STEPS = (61, 59, 53)  # tokens of a trial lie so far apart; prime, so that none comes twice


def examine(loaded: Loaded) -> None:
    """Look at how a model reads, once after it was loaded.

    Raises
    ------
    ModelError
        When it is loaded as a causal model and sees what follows, or says another thing each time.
    """
    findings = loaded.findings
    if findings.examined:
        return
    _tell_of_changes(loaded)
    if loaded.kind == "causal":
        _refuse_foresight(loaded)
    if loaded.kind != "classification":
        _try_picking(loaded)
    if loaded.kind != "seq2seq":
        findings.border = _border(loaded)
    findings.short_text, findings.examined = _logits_of_a_text(loaded), True


def refuse_changed(loaded: Loaded) -> None:
    """Refuse a model that says another thing of a text than before it read all that it was asked.

    Raises
    ------
    UnsoundAnswersError
        When what it read changed it: its answers then depend on what was asked before.
    """
    before, now = loaded.findings.short_text, _logits_of_a_text(loaded)
    if not _changed(before, now):
        return
    if _changed(now, _logits_of_a_text(loaded)):
        raise UnsoundAnswersError(f"{loaded.who} {_NOT_DETERMINISTIC}")
    raise UnsoundAnswersError(
        f"{loaded.who} is another one after it read these texts: it now answers a text otherwise "
        "than before, so that its answers depend on what else was asked; its code keeps something "
        "from one call to the next"
    )


def _changed(before: torch.Tensor | None, now: torch.Tensor | None) -> bool:
    """Return whether logits differ by more than other threads or kernels make them."""
    if before is None or now is None:
        return False
    spread = max(1e-4, (before.max() - before.min()).item())
    return (before - now).abs().max().item() > _CHANGED * spread


@none_where_it_fails
@torch.inference_mode()
def _logits_of_a_text(loaded: Loaded) -> torch.Tensor:
    """Return the last logits that a model gives for one short text; None where it gives none."""
    logits = all_logits(loaded, **_short_text(loaded, _SHORT))
    return logits.reshape(-1, logits.shape[-1])[-1].float().cpu()


@none_where_it_fails  # whoever asks something of it is told
@torch.inference_mode()
def _tell_of_changes(loaded: Loaded) -> None:
    """Let a model read a short text, and note what it changes in itself for good by that.

    BigBird turns its sparse attention off for all that it reads after a text of few blocks: done
    here, that holds for every text, whichever comes first.
    """
    before = _settings(loaded.model)
    with computing(loaded):
        loaded.model(**_short_text(loaded, 2))
    for (name, key), value in _settings(loaded.model).items():
        if before.get((name, key), value) != value:
            loaded.note(
                f"{loaded.who} changes itself when it reads a short text: {key} of "
                f"{name or 'the model'} was {before[name, key]!r} and is {value!r} for all texts"
            )
            return


def _settings(model: Any) -> dict[tuple[str, str], str | bool]:
    """Return the words and switches that a model's modules hold, by module and name."""
    return {
        (name, key): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, str | bool)
    }


@torch.inference_mode()
def _refuse_foresight(loaded: Loaded) -> None:
    """Refuse a model that predicts otherwise at a token when only what follows is another."""
    half = _SHORT if loaded.context is None else min(_HALF, max(1, loaded.context // 2))
    row = trial_tokens(loaded, 2 * half)
    other = row[:half] + trial_tokens(loaded, 2 * half, shift=1)[half:]

    def read(tokens: list[int]) -> torch.Tensor:
        inputs = {"input_ids": pad([tokens], 0, loaded.device), "use_cache": False}
        return all_logits(loaded, **inputs)[0, :half].float()

    one = read(row)
    if not _apart(one, read(other), loaded.model):
        return
    if _apart(one, read(row), loaded.model):
        raise ModelError(f"{loaded.who} {_NOT_DETERMINISTIC}")
    raise ModelError(
        f"{loaded.who} sees what follows a token: it predicts otherwise there when only later "
        "tokens are others, so that it neither scores texts nor generates them token by token; "
        "a causal model is needed ('is_decoder: true' in config.json, if it was trained as one)"
    )


@torch.inference_mode()
def _try_picking(loaded: Loaded) -> None:
    """Look whether the logits of some positions are those among all; else give that up."""
    inputs: dict[str, Any] = {**_short_text(loaded, _SHORT), "use_cache": False}
    columns = range(inputs["input_ids"].shape[1] - 1, -1, -2)
    every = all_logits(loaded, **inputs)[0]
    picked = none_where_it_fails(logits_at)(loaded, inputs, [0] * len(columns), columns)
    if picked is None or _apart(every[list(columns)].float(), picked.float(), loaded.model):
        loaded.findings.projects_some = False
        loaded.note(
            f"{loaded.who} makes the logits of a position of more than what it makes of that "
            "position: those of all are computed, which is slower"
        )


@none_where_it_fails  # where it takes no positions, or not two texts at a time
@torch.inference_mode()
def _border(loaded: Loaded) -> int | None:
    """Return the most tokens of a row whose values a longer row in the same pass changes.

    The frequencies of some rotary positions (LongRoPE) follow from the largest position of a
    batch: those of a row, and what a cache keeps of it, then depend on its neighbours.
    """
    end = loaded.context or _FAR
    if end <= _NEAR:
        return None
    row = trial_tokens(loaded, _NEAR)
    ids = pad([row, row], 0, loaded.device)
    begin = torch.arange(_NEAR, device=loaded.device)

    def beside(far: int) -> torch.Tensor:
        positions = torch.stack([begin, begin + far - _NEAR])
        return all_logits(loaded, input_ids=ids, position_ids=positions)[0].float()

    near = beside(_NEAR)
    if not _apart(near, beside(end), loaded.model):
        return None
    return _NEAR + bisect_left(
        range(_NEAR + 1, end), True, key=lambda far: _apart(near, beside(far), loaded.model)
    )


def _apart(one: torch.Tensor, two: torch.Tensor, model: Any) -> bool:
    """Return whether two outputs of the same tokens, float32, are apart by more than rounding.

    Measured in the spread of the logits, since those of an untrained model are small; NaN tells
    nothing. Quantised models may round activations too, all of a pass together.
    """
    spread = (one.amax(dim=-1) - one.amin(dim=-1)).clamp(min=1e-30)
    apart = ((one - two).abs().amax(dim=-1) / spread).max().item()
    if getattr(model.config, "quantization_config", None) is not None:
        return apart > 0.1
    half = model.dtype in (torch.float16, torch.bfloat16)
    return apart > (2 * torch.finfo(model.dtype).eps if half else 1e-4)


def _short_text(loaded: Loaded, count: int) -> dict[str, torch.Tensor]:
    """Return what a model reads of a text of `count` tokens, or of as many as it can read."""
    ids = pad([trial_tokens(loaded, min(count, loaded.context or count))], 0, loaded.device)
    return {"input_ids": ids} | ({"decoder_input_ids": ids} if loaded.kind == "seq2seq" else {})


def trial_tokens(loaded: Loaded, count: int, shift: int = 0) -> list[int]:
    """Return tokens that mean nothing to a model but themselves; with a `shift` all are others."""
    usual = _usual(loaded)
    step = next(step for step in _STEPS if len(usual) % step)
    return [usual[(place * step + shift) % len(usual)] for place in range(count)]


def _usual(loaded: Loaded) -> Sequence[int]:
    text = loaded.model.config.get_text_config()
    known = loaded.vocabulary or getattr(text, "vocab_size", None) or len(loaded.tokenizer)
    keys = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")
    named = tokens_named(*(getattr(text, key, None) for key in keys))
    special = {*loaded.tokenizer.all_special_ids, *named}
    usual = [token for token in range(min(known, _CHOSEN_FROM)) if token not in special]
    return usual if len(usual) > 1 else range(known)
