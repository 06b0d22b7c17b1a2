#!/usr/bin/env bash
# Goes on with, analyses, samples and plays what earlier versions left, and gives the command folders of versions to come. `Scripts/test-versions.sh COMMAND`
#
# The folders in Tests/TrainingTests/Fixtures/runs-VERSION are those of tiny runs of that version: finished ones of compare and sweep, and ones of train that were
# killed at a checkpoint. Their pictures and pages were left out.
set -euo pipefail
command=$(realpath "${1:?the weightnorm command to try}")
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
runs=$scripts/../Tests/TrainingTests/Fixtures/runs-0.1.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$runs"/* "$work"
cd "$work"
chmod -R u+w .
export XDG_CACHE_HOME=$work/cache OMP_WAIT_POLICY=passive LC_ALL=C
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; failed=$((failed + 1)); sed 's/^/    /' check.log; }
check() { # WHAT COMMAND…: it succeeds
    local what=$1
    shift
    if "$@" >check.log 2>&1; then ok "$what"; else not_ok "$what"; fi
}
refuses() { # WHAT PATTERN COMMAND…: one line on standard error
    local what=$1 pattern=$2 status=0
    shift 2
    "$@" >/dev/null 2>check.log || status=$?
    if ((status != 0 && status < 128)) && (($(wc -l <check.log) == 1)) && grep -qE -- "$pattern" check.log; then ok "$what: $(cat check.log)"; else not_ok "$what (exit $status)"; fi
}
# The images on which those runs were made.
python3 -B - "$scripts/torture" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import inputs
inputs.make_images("images")
inputs.make_colour("colour")
END

for kind in classification vae draw dqn; do
    rm -f "$kind/summary.json"
    check "a run of train $kind of 0.1.0 is gone on with" "$command" train "$kind" --resume --out "$kind" --threads 1
    mv check.log resumed.log
    check "…from where it was" grep -E 'Resuming from (step|action) [1-9]' resumed.log
    check "…saying that it was begun by 0.1.0" grep "the run was started by version '0.1.0', this is " resumed.log
    check "…and comes to its end" test -s "$kind/summary.json"
done
check "a finished run of compare of 0.1.0 is shown again" "$command" compare --data images --norm weight,batch --epochs 1 --batch 20 --width 0.02 --threads 1 --resume --out compare
check "…and analysed" "$command" analyze compare --examples 20 --layers output --threads 1
check "weights of 0.1.0 are folded" "$command" weights fold compare/network-weight-seed0.safetensors --out folded.safetensors
check "rates of a sweep of 0.1.0 are taken" "$command" train classification --data images --norm weight --epochs 1 --batch 20 --width 0.02 --threads 1 --rates-from sweep --out rated
for kind in vae draw; do check "a model of $kind of 0.1.0 is sampled" "$command" sample "$kind" --count 4 --out "$kind.png"; done
rm -rf dqn
cp -r "$runs/dqn" dqn
chmod -R u+w dqn
check "a network of dqn of 0.1.0 plays" "$command" play dqn --actions 20 --out game.png

# -- Folders and checkpoints of versions to come
for kind in compare draw dqn sweep; do sed -i.kept 's/^{/{ "format": 7, "version": "9.1.0",/' "$kind/config.json"; done
later="config.json: expected a run's folder of format 1, found one of format 7, which swift-weightnorm '9.1.0' reads$"
refuses "a later version's run to go on with" "draw/$later" "$command" train draw --resume --out draw
refuses "…to sample" "draw/$later" "$command" sample draw --out none.png
refuses "…to play" "dqn/$later" "$command" play dqn --out none.png
refuses "…to analyse" "compare/$later" "$command" analyze compare --examples 20 --out none
refuses "…to take rates from" "sweep/$later" "$command" train classification --data images --batch 20 --norm weight --rates-from sweep --out none
for kind in compare draw dqn sweep; do mv "$kind/config.json.kept" "$kind/config.json"; done
for file in draw/checkpoint.safetensors:checkpoint\ 2:checkpoint\ 9 dqn/replay-b.safetensors:replay\ 1:replay\ 8; do
    IFS=: read -r path old new <<<"$file"
    sed -i "s/swift-weightnorm $old/swift-weightnorm $new/" "$path"
done
refuses "a later version's checkpoint" "draw/checkpoint.safetensors: expected a 'swift-weightnorm checkpoint 2', found a 'swift-weightnorm checkpoint 9', which swift-weightnorm '0.*' reads" \
    "$command" train draw --resume --out draw --threads 1
refuses "a later version's replay memory" "expected a 'swift-weightnorm replay 1', found a 'swift-weightnorm replay 8', which a later version than this, .*, reads" \
    "$command" train dqn --resume --out dqn --threads 1

echo "$passed passed, $failed failed"
((failed == 0))
