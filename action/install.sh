#!/usr/bin/env bash
# Installs pytest-distill: what INSTALL says, in words of pip, else the checkout of this action, so that
# plugin and action are of one version. Where LEAN is `true`, without torch and transformers.
set -euo pipefail

read -r -d '' -a what <<< "${INSTALL:-}" || true
if [ "${#what[@]}" = 0 ]; then
    what=("$GITHUB_ACTION_PATH")
fi
case "${LEAN:-false}" in
    true)
        python -m pip install --disable-pip-version-check -r "$GITHUB_ACTION_PATH/requirements/lean.txt"
        what=(--no-deps "${what[@]}")
        ;;
    false) ;;
    *) echo "lean: '$LEAN' is neither 'true' nor 'false'" >&2; exit 1 ;;
esac
python -m pip install --disable-pip-version-check "${what[@]}"
