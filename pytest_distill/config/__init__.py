"""``distill.yaml`` -> typed, validated config."""

from pytest_distill.config.config import Config, Extensions
from pytest_distill.config.reading import load_config

__all__ = ["Config", "Extensions", "load_config"]
