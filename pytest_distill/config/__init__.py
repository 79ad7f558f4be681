"""``distill.yaml`` -> typed, validated config."""

from pytest_distill.config.reading import Config, Extensions, load_config

__all__ = ["Config", "Extensions", "load_config"]
