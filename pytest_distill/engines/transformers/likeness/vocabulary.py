"""What two models must have in common to be compared token by token: vocabulary and token ids."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import begin_alike
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.errors import ModelError


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that two models share, by ids that are the same for both.

    Parameters
    ----------
    ids : tuple of int
        In rising order.
    names : str
        Whose tokens they are, for messages.
    """

    ids: tuple[int, ...]
    names: str

    def scored_by(self, widths: Sequence[int]) -> tuple[int, ...]:
        """Return the ids that every one of several outputs, of these widths, has a logit for."""
        return tuple(token for token in self.ids if token < min(widths))

    def note(self, widths: Sequence[int]) -> str:
        """Return what to say of logits that are left out; empty where there are none."""
        shared = self.scored_by(widths)
        if all(width == len(shared) for width in widths):
            return ""
        outputs = " and ".join(f"{width:,}" for width in dict.fromkeys(widths))
        return (
            f"of {outputs} outputs the {len(shared):,} tokens of the vocabulary are compared; "
            "their probabilities are made to sum to 1"
        )


def own_vocabulary(loaded: Loaded) -> Vocabulary:
    """Return all tokens of one model."""
    ids = tuple(sorted(set(loaded.tokenizer.get_vocab().values())))
    return Vocabulary(ids, f"'{loaded.name}'")


def shared_vocabulary(student: Loaded, teacher: Loaded) -> Vocabulary:
    """Return the tokens that both models know under the same id.

    Tokens that only one of them has, such as those added for a chat, are left out.

    Raises
    ------
    ModelError
        Where a token has another id with the other model, or an id means another token: the
        distributions are then over different things.
    """
    mine, theirs = (of.tokenizer.get_vocab() for of in (student, teacher))
    names = f"'{teacher.name}' and '{student.name}'"
    both = mine.keys() & theirs.keys()
    moved = sorted(token for token in both if mine[token] != theirs[token])
    if moved:
        token = moved[0]
        raise _apart(names, f"token {token!r} is {theirs[token]} there and {mine[token]} here")
    tokens_of: list[dict[int, set[str]]] = [_by_id(mine), _by_id(theirs)]
    taken = sorted(
        token
        for token in tokens_of[0].keys() & tokens_of[1].keys()
        if not tokens_of[0][token] & tokens_of[1][token]
    )
    if taken:
        here, there = (sorted(of[taken[0]])[0] for of in tokens_of)
        raise _apart(names, f"id {taken[0]} is {there!r} there and {here!r} here")
    if not both:
        raise _apart(names, "no token is in both")
    return Vocabulary(tuple(sorted({mine[token] for token in both})), names)


def refuse_unlike_rows(
    id: str, student: tuple[Loaded, Sequence[int]], teacher: tuple[Loaded, Sequence[int]]
) -> None:
    """Raise ModelError where two tokenizers, with the same vocabulary, split a text differently."""
    (here, mine), (there, theirs) = student, teacher
    if list(mine) == list(theirs):
        return
    at = begin_alike(mine, theirs)
    raise ModelError(
        f"example '{id}': the tokenizers of '{there.name}' and '{here.name}' split it differently, "
        f"from token {at} on ({_shown(there, theirs, at)} and {_shown(here, mine, at)}): token by "
        "token they can only be compared on the same tokens; check tokenizer_config.json, special "
        "tokens and chat template of both"
    )


def widths(models: Sequence[Loaded]) -> list[int]:
    """Return how many outputs each model has: often more than its tokenizer has tokens."""
    found = []
    for loaded in models:
        table = getattr(loaded.model.get_output_embeddings(), "weight", None)
        config = loaded.model.config.get_text_config()
        found.append(int(config.vocab_size if table is None else table.shape[0]))
    return found


def columns(tokens: Sequence[int]) -> slice | torch.Tensor:
    """Return what picks the logits of `tokens`, in that order, out of a row of logits."""
    if list(tokens) == list(range(len(tokens))):
        return slice(len(tokens))  # a view: nothing is copied
    return torch.tensor(tokens)


def _by_id(vocabulary: dict[str, int]) -> dict[int, set[str]]:
    tokens: defaultdict[int, set[str]] = defaultdict(set)
    for token, id in vocabulary.items():
        tokens[id].add(token)
    return tokens


def _apart(names: str, why: str) -> ModelError:
    return ModelError(
        f"the vocabularies of {names} differ ({why}), so that their distributions cannot be "
        "compared token by token; compare their answers (assert_quality_retained), or distil into "
        "a student with the teacher's tokenizer"
    )


def _shown(loaded: Loaded, tokens: Sequence[int], at: int) -> Any:
    return repr(loaded.tokenizer.decode([tokens[at]])) if at < len(tokens) else "its end"
