"""Several answers to one example: samples and budgets of tokens, and what they are called."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_distill.errors import ConfigError

MOST = 10_000
"""Samples of one example; each is a request of its own."""

_STEP = 0x9E3779B1
"""2^32 divided by the golden ratio. Odd, so that the seeds of 2^31 samples are all different."""
_SEEDS = 2**31


def refuse_repeats(repeats: int, *, sampled: bool) -> None:
    """Raise ConfigError where there would be no difference between so many samples."""
    if repeats > 1 and not sampled:
        raise ConfigError(
            f"repeats: needs do_sample: true (and a seed): greedy decoding gives the same text "
            f"{repeats:,} times"
        )


def seed_of(seed: int, number: int) -> int:
    """Return the seed of a sample; that of sample 0 is the eval's own.

    So what was sampled once is sample 0 of what is sampled several times, and each sample is the
    one that a run with its seed alone gives.
    """
    return seed if number == 0 else (seed + number * _STEP) % _SEEDS


class SampleIds:
    """The ids of samples, and of what is asked within a budget: none is the id of an example.

    Parameters
    ----------
    ids : collection of str
        The ids of all examples of the gold set.
    """

    def __init__(self, ids: Collection[str]) -> None:
        self._sample, self._within = (_new_word(word, ids) for word in ("sample", "within"))

    def of(self, id: str, number: int) -> str:
        """Return the id of a sample; sample 0 has its example's."""
        return id if number == 0 else f"{id} ({self._sample} {number})"

    def within(self, id: str, tokens: int) -> str:
        """Return the id of the same, or of the same sample, within a budget of tokens."""
        return f"{id} ({self._within} {tokens} tokens)"


def _new_word(word: str, ids: Collection[str]) -> str:
    """Return a word that stands in no id, where it begins a bracket."""
    while any(f"({word} " in id for id in ids):
        word += "'"
    return word


def refuse_budgets(budgets: Sequence[int], most: int) -> None:
    """Raise ConfigError where no answer can be cut to one of these numbers of tokens.

    Parameters
    ----------
    budgets : sequence of int
        As ``at_tokens:`` says them.
    most : int
        The greatest number of tokens of an answer.
    """
    for budget in budgets:
        if budget < 1:
            raise ConfigError(f"at_tokens: must be at least 1, not {budget}")
        if budget > most:
            raise ConfigError(
                f"at_tokens: {budget} is above max_new_tokens, {most}: no answer is as long"
            )
        if list(budgets).count(budget) > 1:
            raise ConfigError(f"at_tokens: {budget} stands there twice")


def budget_text(tokens: int | None) -> str:
    """Return what a budget is called, e.g. ``at 512 tokens``; nothing where there is none."""
    return "" if tokens is None else f"at {tokens} token{'' if tokens == 1 else 's'}"
