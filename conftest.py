"""Makes pytest's own `pytester` fixture available to the tests; pytest wants that in the root."""

pytest_plugins = ["pytester"]
