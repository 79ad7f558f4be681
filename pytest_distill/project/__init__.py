"""A ``distill.yaml`` at work: its models, evals and comparisons."""
