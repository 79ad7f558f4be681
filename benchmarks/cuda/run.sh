#!/usr/bin/env bash
# Everything that a GPU is needed for, in one run of under eight minutes on an H100, without a network:
# the test suite, a project that asks every gate of models of real size, and the table of
# measure.py. Leaves FOLDER/results.json, and what is beside it.
#
#     benchmarks/cuda/run.sh [--small] [--carry CARRIED] [--out FOLDER=.distill/cuda]
#
# --carry: what carry.sh put together, on a machine that has no more than CUDA's torch and
# transformers. Without it the environment must have the packages of the tests. --small: tiny models
# and no test suite, to see on a CPU that everything runs.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
small="" carry="" out=.distill/cuda
while [ $# -gt 0 ]; do
    case $1 in
        --small) small=--small ;;
        --carry) carry=$(realpath "$2") && shift ;;
        --out) out=$2 && shift ;;
        *) echo "unknown: $1" >&2 && exit 2 ;;
    esac
    shift
done
rm -rf "$out"
mkdir -p "$out"
out=$(realpath "$out")
failed=0

if [ -n "$carry" ]; then
    # An environment over the one that has torch, so that nothing in that one changes.
    parent=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    python3 -m venv --without-pip "$out/venv"
    site=$("$out/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$carry/packages" "$parent" > "$site/parent.pth"
    pip() { python3 -m pip --python "$out/venv/bin/python" install -q --no-index --no-deps "$@"; }
    pip --ignore-installed "$carry"/wheels/*.whl && pip --no-build-isolation -e . || exit 1
    python3 -m pip install -q --no-index --no-deps --upgrade --target .repeaters \
        "$carry"/repeaters/*.whl
    PATH=$out/venv/bin:$PATH
    smollm2=.distill/test-models/smollm2-135m-instruct
    mkdir -p "$smollm2" && cp --update=none "$carry/smollm2-135m-instruct"/* "$smollm2"
fi
export HF_HUB_OFFLINE=1

echo "== models"
python benchmarks/cuda/models.py "$out" $small || exit 1

if [ -z "$small" ]; then
    echo "== tests"
    # Left out is what needs weights that are too big to be carried.
    engines=tests/engines
    python -m pytest tests -q -n 8 --dist loadfile --junit-xml "$out/tests.xml" -p no:benchmark \
        --ignore tests/examples \
        --deselect $engines/test_engine_checkpoint.py::test_a_gguf_file_that_is_missing \
        --deselect $engines/test_engine_loading.py::test_a_backbone_is_no_classifier |
        tail -n 60 || failed=1
fi

echo "== every gate"
cp benchmarks/cuda/gates/* "$out"
if command -v nvidia-smi > /dev/null; then
    nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader,nounits -lms 200 \
        > "$out/utilisation.csv" &
    sampling=$!
fi
python -m pytest "$out" -p no:cacheprovider \
    --distill-report --distill-json "$out/report.json" | tee "$out/gates.txt" | tail -n 60
[ -z "${sampling:-}" ] || kill "$sampling"

echo "== figures"
python benchmarks/cuda/measure.py "$out" $small --json "$out/results.json" || failed=1
exit $failed
