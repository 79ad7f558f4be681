"""Evaluate once: engines, recorded predictions and reported scores become evaluations."""
