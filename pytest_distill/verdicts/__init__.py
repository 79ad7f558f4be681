"""What it means: comparisons, gates, verdicts. Knows neither torch nor pytest."""
