"""Budgets of tokens within which an example is answered too."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_distill.errors import ConfigError


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
