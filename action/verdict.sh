#!/usr/bin/env bash
# Ends the action as pytest ended. Where the gates did not run there is no status: that is no pass.
set -euo pipefail

if [ -z "${STATUS:-}" ]; then
    echo "::error title=pytest-distill::The gates did not run."
    exit 1
fi
echo "$OUTCOME: pytest ended with status $STATUS."
exit "$STATUS"
