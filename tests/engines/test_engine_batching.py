from __future__ import annotations

import torch

from pytest_distill.engines.transformers.batching import batches, mask, pad


def test_every_row_is_in_one_batch_and_batches_fit_the_budget() -> None:
    """Each row comes once, longest first, and a padded batch stays within the budget."""
    lengths = [n * 37 % 90 + 1 for n in range(500)]
    made = list(batches(lengths, 256))
    assert sorted(index for batch in made for index in batch) == list(range(500))
    assert all(len(batch) * max(lengths[i] for i in batch) <= 256 for batch in made)
    order = [lengths[index] for batch in made for index in batch]
    assert order == sorted(order, reverse=True)


def test_a_row_beyond_the_budget_comes_alone() -> None:
    """A row that is longer than the whole budget still gets its batch."""
    assert list(batches([3, 900, 2], 10)) == [[1], [0, 2]]


def test_no_rows_make_no_batches() -> None:
    """An empty list of rows yields nothing, and rows without tokens one batch."""
    assert list(batches([], 10)) == []
    assert list(batches([0, 0], 10)) == [[0, 1]]


def test_padding_goes_to_the_side_that_was_asked_for() -> None:
    """The filler stands where the mask is zero, on either side."""
    cpu = torch.device("cpu")
    assert pad([[1], [2, 3]], 9, cpu).tolist() == [[1, 9], [2, 3]]
    assert pad([[1], [2, 3]], 9, cpu, "left").tolist() == [[9, 1], [2, 3]]
    assert mask([[1], [2, 3]], cpu, "left").tolist() == [[0, 1], [1, 1]]
