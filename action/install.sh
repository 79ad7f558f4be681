#!/usr/bin/env bash
# Installs pytest-distill: what INSTALL says, in words of pip, else the checkout of this action, so that
# plugin and action are of one version.
set -euo pipefail

read -r -d '' -a what <<< "${INSTALL:-}" || true
if [ "${#what[@]}" = 0 ]; then
    what=("$GITHUB_ACTION_PATH")
fi
python -m pip install --disable-pip-version-check "${what[@]}"
