#!/usr/bin/env bash
# Saves what the run scored, for the pull requests that come after it to be compared with.
set -euo pipefail

mkdir -p "$(dirname "$BASELINE")"
python -P -m pytest_distill baseline save "$REPORT/distill.json" --cache "$STORE" --output "$BASELINE"
