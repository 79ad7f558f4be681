"""Predictions on disk, so that what was evaluated once is not evaluated again."""
