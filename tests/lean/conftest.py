"""These tests run in an environment without torch and transformers, which `.ci/lean` makes."""

from importlib.util import find_spec

collect_ignore_glob = ["test_*.py"] if find_spec("torch") else []
