"""Several samples of an answer to one example: their seeds, and what they are called."""

from __future__ import annotations

from collections.abc import Collection

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
