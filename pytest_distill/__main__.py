"""``python -m pytest_distill``."""

import sys

from pytest_distill.cli import main

if __name__ == "__main__":
    sys.exit(main())
