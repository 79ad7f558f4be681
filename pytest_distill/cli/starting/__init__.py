"""What ``python -m pytest_distill init`` finds out, and what it makes of it."""
