#!/usr/bin/env bash
# Exchanges a network with every layer, and each layer by itself along every dim, with the real PyTorch, both ways, in every layout, float32 and double.
# `Scripts/check-interchange.sh`
#
#   PYTHON   a python3 that has torch and safetensors; without it they are put into ~/.cache/swift-weightnorm (1 to 5 GB, by the wheel that pip finds)
#
# What PyTorch writes is read by the Swift tests; what those write, PyTorch loads strictly. Outputs and gradients must agree to 1e-5 in float32 and to
# 1e-12 in double, relative to the largest output, or to the largest gradient of the same layer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=Scripts/common.sh
source Scripts/common.sh
torch=2.15.0 safetensors=0.8.0

set_up_python() {
    local name=pytorch-$torch reason
    require python3 python3
    python3 -m pip --version >/dev/null 2>&1 || die "pip is missing (python3 -m pip); install it with: apt-get install python3-pip"
    locate_cache
    packages=$cache/$name
    if [[ ! -d $packages ]]; then
        lock "$name"
        [[ -d $packages ]] || {
            begin_work "$name" 8000
            say "installing PyTorch $torch and safetensors $safetensors to $packages"
            mkdir "$work/tmp"
            in_background env TMPDIR="$work/tmp" PIP_NO_INPUT=1 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
                python3 -m pip install --no-cache-dir --target "$work/$name" "torch==$torch" "safetensors==$safetensors" numpy
            finish_background || {
                reason=$(grep -m 1 '^ERROR' "$work/log" || tail -n 1 "$work/log")
                die "pip could not install PyTorch $torch: $reason"
            }
            publish "$work/$name"
            end_work
            trap - EXIT
        }
    fi
}

# The library's own libtorch must not be found by PyTorch, which may be of another version.
python() { env -u LD_LIBRARY_PATH PYTHONPATH="${packages:+$packages${PYTHONPATH:+:}}${PYTHONPATH:-}" "${PYTHON:-python3}" "$@"; }

packages=""
if [[ -n ${PYTHON:-} ]]; then
    python -c 'import torch, safetensors' 2>/dev/null || die "PYTHON is $PYTHON; expected a python3 with torch and safetensors"
else
    set_up_python
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
environment=$(Scripts/libtorch.sh --print env) flags=$(Scripts/libtorch.sh --print flags)
eval "$environment"
eval "set -- -c release --explicit-target-dependency-import-check error $flags"

python -c 'import torch, safetensors; print(f"PyTorch {torch.__version__}, safetensors {safetensors.__version__}")'
python -B Scripts/reference/interchange.py write "$folder/theirs"
python -B Scripts/reference/layers.py write "$folder/theirs"
swift build "$@" --build-tests
export WEIGHTNORM_REFERENCE=$folder/theirs WEIGHTNORM_INTERCHANGE=$folder/ours
OMP_WAIT_POLICY=passive swift test "$@" --skip-build --filter InterchangeTests |
    grep -E '^(from PyTorch|✘|✔ Test run)'
python -B Scripts/reference/interchange.py check "$folder/ours"
python -B Scripts/reference/layers.py check "$folder/ours"
