#!/usr/bin/env bash
# Kills a training run again and again, and checks that it ends like one that was left alone.
set -euo pipefail

usage() {
    cat <<'END'
Usage: Scripts/test-kills.sh COMMAND [--kills N] [--seed N] [--threads N]

Trains a small network on generated images, undisturbed. Then trains it again, killing the process with SIGKILL at N random moments, anywhere from before it has started
to the middle of writing a checkpoint, and resuming it each time. Half of the kills hit a run that saves after every step, half one that
saves every half second. In the end, all files must be those of the undisturbed run, byte for byte (except for times, and the checkpoint).

  COMMAND      the weightnorm command
  --kills N    number of kills (default: 20)
  --seed N     seed of the random moments (default: 1)
  --threads N  threads to train with (default: 1); the number affects rounding, not the result of this test
END
}

command="" kills=20 seed=1 threads=1
while (($#)); do
    case "$1" in
    -h | --help) usage; exit 0 ;;
    --kills | --seed | --threads)
        if ! [[ ${2:-} =~ ^[0-9]+$ ]]; then
            echo "test-kills.sh: error: expected a whole number after $1, found '${2:-}'" >&2
            exit 2
        fi
        declare "${1#--}=$2"
        shift 2 ;;
    *)
        if [[ -n $command || ! -x $1 ]]; then
            echo "test-kills.sh: error: expected the weightnorm command and options, found '$1'" >&2
            exit 2
        fi
        command=$(realpath "$1")
        shift ;;
    esac
done
if [[ -z $command ]]; then
    echo "test-kills.sh: error: expected the weightnorm command, found none" >&2
    exit 2
fi
work=$(mktemp -d)
child=""
trap 'if [[ -n $child ]]; then kill -KILL "$child" 2>/dev/null || true; fi; rm -rf "$work"' EXIT
cd "$work"
export XDG_CACHE_HOME=$work/cache OMP_WAIT_POLICY=passive LC_ALL=C
RANDOM=$seed
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; failed=$((failed + 1)); }

# 400 and 100 images of 16 × 16 pixels in which the place of a bright row tells the class.
number() { printf "\\x$(printf %02x $(($1 >> 24 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"; }
mkdir images
for part in train:400 t10k:100; do
    count=${part#*:}
    {
        number 2051; number "$count"; number 16; number 16
        for ((i = 0; i < count; i++)); do
            head -c $(((i % 10 + 3) * 16)) /dev/zero | tr '\0' '\040'
            printf '\xe0%.0s' {1..16}
            head -c $(((12 - i % 10) * 16)) /dev/zero | tr '\0' '\050'
        done
    } >"images/${part%:*}-images-idx3-ubyte"
    { number 2049; number "$count"; for ((i = 0; i < count; i++)); do printf "\\x$(printf %02x $((i % 10)))"; done; } >"images/${part%:*}-labels-idx1-ubyte"
done

epochs=$((kills * 4))
train=("$command" train classification --data images --norm weight+mean-only-batch,batch --epochs "$epochs" --batch 100 --width 0.05 --seeds 1,2 --threads "$threads")
start=$(date +%s%N)
"${train[@]}" --out whole >whole.log 2>&1 || { cat whole.log; exit 1; }
# The moments are spread so that the kills fall on the whole of the run, whatever the machine's speed.
span=$((($(date +%s%N) - start) / 1000000))
echo "undisturbed: $((8 * epochs)) steps of two networks in $span ms"

without=0
for ((kill = 1; kill <= kills; kill++)); do
    # Half of them save always, so that many kills fall into the writing of a checkpoint.
    interval=$((kill % 2)) && ((interval)) && interval=0.5
    before=$(grep -c '"step"' killed/metrics.jsonl 2>/dev/null || echo 0)
    touch start
    "${train[@]}" --out killed --resume --checkpoint-every "$interval" >run.log 2>&1 &
    child=$!
    delay=$((RANDOM % (2 * span / kills + 700)))
    sleep "$((delay / 1000)).$(printf %03d $((delay % 1000)))"
    if ! kill -KILL "$child" 2>/dev/null; then
        wait "$child" || { not_ok "kill $kill: the run ended by itself with an error"; cat run.log; break; }
        child=""
        echo "kill $kill: the run was finished after $delay ms"
        continue
    fi
    status=0
    wait "$child" 2>/dev/null || status=$?
    child=""
    if [[ ! -e killed/config.json ]]; then
        without=$((without + 1))
        echo "kill $kill after $delay ms: before the run began"
        continue
    fi
    lines=$(grep -c '"step"' killed/metrics.jsonl 2>/dev/null || true)
    age="no checkpoint yet"
    if [[ -e killed/checkpoint.safetensors ]]; then
        age="the last checkpoint was $((($(date +%s%N) - $(date -r killed/checkpoint.safetensors +%s%N)) / 1000000)) ms old"
    fi
    echo "kill $kill after $delay ms (exit $status): $lines records; saving every $interval s, $age"
    if [[ $interval == 0 ]]; then
        # Steps are saved one by one: records can be at most one step ahead of the checkpoint, of which both networks write one.
        # A run that was killed before it saved has the records of the run before it, which may have saved long before its own end.
        inherited=0
        if [[ ! killed/checkpoint.safetensors -nt start ]]; then inherited=$before; fi
        "${train[@]}" --out killed --resume --checkpoint-every 1000000 >run.log 2>&1 &
        child=$!
        for _ in {1..1200}; do
            if grep -q 'Resuming from step' run.log 2>/dev/null; then break; fi
            kill -0 "$child" 2>/dev/null || break
            sleep 0.05
        done
        recorded=$(grep -c '"step"' killed/metrics.jsonl || true)
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
        child=""
        if grep -q 'Resuming from step' run.log; then
            lost=$((lines - recorded))
            if ((lost <= 2)); then
                ok "kill $kill: at most the records of one step are lost ($lost lines)"
            elif ((lost <= inherited - recorded)); then
                ok "kill $kill: before a checkpoint of its own, no record of this run is lost ($lost of the run before)"
            else
                not_ok "kill $kill: $lost records lost"
            fi
        else
            not_ok "kill $kill: the run did not go on"
            cat run.log
        fi
    fi
done

if "${train[@]}" --out killed --resume >run.log 2>&1; then ok "the run goes on to its end"; else not_ok "the run goes on to its end"; cat run.log; fi
grep -h 'Going on' run.log || true
for file in metrics.jsonl layers.jsonl; do
    if cmp "whole/$file" "killed/$file"; then ok "$file is that of the undisturbed run"; else not_ok "$file"; fi
done
for file in whole/network-*.safetensors whole/filters-*.png; do
    if cmp "$file" "killed/${file#whole/}"; then ok "${file#whole/} is that of the undisturbed run"; else not_ok "${file#whole/}"; fi
done
times='"(millisecondsPerStep|costRelativeToNormal|seconds)"'
if diff <(grep -vE "$times" whole/summary.json) <(grep -vE "$times" killed/summary.json); then ok "summary.json is, times aside"; else not_ok "summary.json"; fi
if [[ -z $(find killed -name '*.partial') ]]; then ok "no half-written file is left"; else not_ok "half-written files are left"; fi
echo "$kills kills, $without of them before the run began"
echo "$passed passed, $failed failed"
((failed == 0))
