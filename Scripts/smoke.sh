#!/usr/bin/env bash
# Runs every subcommand for a moment, as a user would, and gives each of them bad input. `Scripts/smoke.sh COMMAND`
set -euo pipefail
command=$(realpath "${1:?the weightnorm command to try}")
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
# What is kept of a whitening is no user's concern.
export XDG_CACHE_HOME=$work/cache
passed=0 failed=0
ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; failed=$((failed + 1)); }
check() { # WHAT COMMAND…: the command succeeds
    local what=$1
    shift
    if "$@" >check.log 2>&1; then ok "$what"; else not_ok "$what"; sed 's/^/    /' check.log; fi
}

# -- A small data set: 200 and 100 images of 16 × 16 pixels, in which the place of a bright row tells the class.
number() { printf "\\x$(printf %02x $(($1 >> 24 & 255)))\\x$(printf %02x $(($1 >> 16 & 255)))\\x$(printf %02x $(($1 >> 8 & 255)))\\x$(printf %02x $(($1 & 255)))"; }
dark=$(printf '\\x20%.0s' {1..16}) bright=$(printf '\\xe0%.0s' {1..16})
picture() { for row in {0..15}; do if ((row == $1 + 3)); then printf %b "$bright"; else printf %b "$dark"; fi; done; }
for class in {0..9}; do picture "$class" >"picture-$class"; done
data() { # FOLDER: writes the four files
    mkdir -p "$1"
    local part count
    for part in train:200 t10k:100; do
        count=${part#*:}
        { number 2051; number "$count"; number 16; number 16; for ((i = 0; i < count / 10; i++)); do cat picture-{0..9}; done; } >"$1/${part%:*}-images-idx3-ubyte"
        { number 2049; number "$count"; for ((i = 0; i < count; i++)); do printf "\\x$(printf %02x $((i % 10)))"; done; } >"$1/${part%:*}-labels-idx1-ubyte"
    done
}
data good

# -- Every subcommand
check "--help" "$command" --help
check "--version" "$command" --version
check "compare --help" "$command" compare --help
small=(compare --data good --epochs 2 --batch 20 --width 0.05)
all=normal,fixed-gain,weight,log-weight,batch,mean-only-batch,weight+mean-only-batch
check "compare with every norm" "$command" "${small[@]}" --norm "$all" --out first --threads 1
check "compare again into the same folder" "$command" "${small[@]}" --norm "$all" --out first --threads 1
check "compare into another folder" "$command" "${small[@]}" --norm "$all" --out second --threads 1
for file in config.json metrics.jsonl layers.jsonl summary.json report.html network-weight-seed0.safetensors; do
    check "first/$file is there" test -s "first/$file"
done
times='"(millisecondsPerStep|costRelativeToNormal|seconds)"'
check "the same seed gives the same summary.json, times aside" diff <(grep -vE "$times" first/summary.json) <(grep -vE "$times" second/summary.json)
check "the same seed gives the same metrics.jsonl" cmp first/metrics.jsonl second/metrics.jsonl
check "the same seed gives the same layers.jsonl" cmp first/layers.jsonl second/layers.jsonl
check "the same seed gives the same networks" cmp "first/network-weight+mean-only-batch-seed0.safetensors" "second/network-weight+mean-only-batch-seed0.safetensors"
check "compare with all threads" "$command" "${small[@]}" --norm "$all" --out third
check "compare with all threads again" "$command" "${small[@]}" --norm "$all" --out fourth
check "…gives the same metrics.jsonl" cmp third/metrics.jsonl fourth/metrics.jsonl
check "several seeds" "$command" "${small[@]}" --norm weight,normal --seeds 1,2 --out seeds
if "$command" "${small[@]}" --norm weight --seeds 3 --out fifth >/dev/null 2>&1 && "$command" "${small[@]}" --norm weight --seeds 4 --out sixth >/dev/null 2>&1 &&
    ! cmp -s fifth/metrics.jsonl sixth/metrics.jsonl; then ok "another seed gives other numbers"; else not_ok "another seed gives other numbers"; fi

# -- Finished runs: measured again, and asked about pictures, which the run's own pages have.
for words in "predict --help" "evaluate --help"; do
    # shellcheck disable=SC2086 # words
    check "$words" "$command" $words
done
check "evaluate" "$command" evaluate first
check "evaluate --json, on data in another place" "$command" evaluate first --norm batch --data good --json
error=$("$command" evaluate first --norm weight --json | sed -n 's/.*"errors" : \([0-9]*\),\{0,1\}$/\1/p' | tail -1)
images=$("$command" evaluate first --norm weight --json | sed -n 's/^  "images" : \([0-9]*\),$/\1/p')
check "…finds the error that the run found" grep -qE "\"testError\" : $(awk -v e="$error" -v n="$images" 'BEGIN { printf "%.4g", e / n }')[0-9]*,?$" <(grep -A12 '"norm" : "weight"' first/summary.json)
check "export --help" "$command" export --help
check "export" "$command" export first --norm weight --license mit --out exported
check "…with a card" grep -q '^license: mit$' exported/README.md
check "…and PyTorch's names" grep -qa 'features.1.parametrizations.weight.original0' exported/model.safetensors
check "export in shards" "$command" export first --norm batch --license cc-by-4.0 --shard-size 2KB --layout plain --out sharded
check "…which are read as a whole" "$command" weights inspect sharded
check "predict" "$command" predict first --images first/filters-weight-seed0.png first --top 2
check "predict --json" "$command" predict first --images first/filters-weight-seed0.png --json
mkdir -p pictures/a pictures/b
for number in 1 2 3 4 5; do cp first/filters-weight-seed0.png pictures/a/$number.png; cp first/filters-normal-seed0.png pictures/b/$number.png; done
check "training on pictures in folders" "$command" compare --data pictures --picture-size 14 --batch 4 --width 0.05 --norm weight --out of-pictures
check "…has their classes" grep -q '"classNames"' of-pictures/config.json
check "predict with their names" grep -qE 'pictures/a/1.png: [ab] [0-9.]+ %, [ab] ' <("$command" predict of-pictures --images pictures/a)
check "analyze takes them too" "$command" analyze of-pictures --examples 8
check "sweep takes them too" "$command" sweep --data pictures --picture-size 14 --batch 4 --width 0.05 --norm weight --rates 0.001,0.01 --out sweep-of-pictures
check "…and knows their size when it is resumed" "$command" sweep --resume --out sweep-of-pictures

# -- Weights: a small file by hand, of a weight with v and g ([3, 4], [6, 8] and 10, 20), a plain one and a bias.
le() { printf '%b' "$(printf '\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) 0 0 0 0 0 0)"; }
tensors() { # FILE HEADER FLOATS…: small whole numbers, as F32
    local file=$1 header=$2 number
    shift 2
    {
        le ${#header}
        printf '%s' "$header"
        for number in "$@"; do
            case $number in
            0) printf '\x00\x00\x00\x00' ;; 3) printf '\x00\x00\x40\x40' ;; 4) printf '\x00\x00\x80\x40' ;; 6) printf '\x00\x00\xc0\x40' ;;
            8) printf '\x00\x00\x00\x41' ;; 10) printf '\x00\x00\x20\x41' ;; 20) printf '\x00\x00\xa0\x41' ;; 12) printf '\x00\x00\x40\x41' ;; 16) printf '\x00\x00\x80\x41' ;;
            esac
        done
    } >"$file"
}
f32() { printf '"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%s]}' "$1" "$2" "$3"; }
meta='"__metadata__":{"format":"pt"}'
tensors model.safetensors "{$meta,$(f32 fc.bias 2 0,8),$(f32 fc.weight_g 2,1 8,16),$(f32 fc.weight_v 2,2 16,32),$(f32 out.weight 1,2 32,40)}" 3 4 10 20 3 4 6 8 3 4
for subcommand in '' inspect fold unfold convert; do check "weights $subcommand --help" "$command" weights $subcommand --help; done
check "weights inspect" "$command" weights inspect model.safetensors
"$command" weights inspect model.safetensors >table || true
for words in 'fc.weight +weight-norm +0 +F32 +\[2, 2\] +5 – 10 +10 – 20 +10 – 20' 'out.weight +plain +F32 +\[1, 2\] +5$' 'fc.bias +F32 +\[2\]'; do
    check "…shows $words" grep -qE "$words" table
done
check "weights inspect --json" "$command" weights inspect --json model.safetensors
"$command" weights inspect --json model.safetensors >json || true
if command -v python3 >/dev/null; then check "…is JSON" python3 -m json.tool json; fi
check "weights fold" "$command" weights fold model.safetensors --out plain.safetensors
tensors expected "{$meta,$(f32 fc.bias 2 0,8),$(f32 fc.weight 2,2 8,24),$(f32 out.weight 1,2 24,32)}     " 3 4 6 8 12 16 3 4
check "…gives w = g·v/‖v‖" cmp <(tail -c 32 plain.safetensors) <(tail -c 32 expected)
check "weights unfold --like" "$command" weights unfold plain.safetensors --like model.safetensors --out like.safetensors
check "…has the names that the other file has" grep -qa 'fc.weight_g.*fc.weight_v.*out.weight"' like.safetensors
"$command" weights fold like.safetensors --out likefold.safetensors >like.log
check "…and folds to what it came from" cmp likefold.safetensors plain.safetensors
check "weights convert" "$command" weights convert model.safetensors --to parametrizations --out new.safetensors
check "…to the newer names" grep -qa 'fc.parametrizations.weight.original0' new.safetensors
check "weights convert, back" "$command" weights convert new.safetensors --to weight-norm --out back.safetensors
check "…gives the same tensors" cmp <(tail -c 40 back.safetensors) <(tail -c 40 model.safetensors)
check "weights unfold" "$command" weights unfold plain.safetensors --layout weight-norm --except 'out.*' --out again.safetensors
check "…and fold, in place" "$command" weights fold again.safetensors --out again.safetensors --force
check "…gives the same file" cmp again.safetensors plain.safetensors
check "weights unfold --match --dim none" "$command" weights unfold plain.safetensors --match 'out.*' --match nothing --dim none --out one.safetensors
"$command" weights inspect one.safetensors >table || true
check "…of one weight" grep -qE "out.weight +parametrizations +whole .* 5 +5 +5$" table

tensors spectral.safetensors "{\"__metadata__\":null,$(f32 a.weight_g 1,1 0,4),$(f32 a.weight_v 1,2 4,12),$(f32 c.weight_orig 2,2 12,28),$(f32 c.weight_u 2 28,36),$(f32 c.weight_v 2 36,44),$(f32 out.weight 1,2 44,52)}" 10 3 4 3 4 6 8 3 4 3 4 3 4
check "weights inspect with spectral norm beside, and null for the metadata" "$command" weights inspect spectral.safetensors
"$command" weights inspect spectral.safetensors >table || true
check "…shows it as other tensors" grep -q "spectral.safetensors: 2 weights, 3 other tensors" table
check "…fold" "$command" weights fold spectral.safetensors --out spectral-plain.safetensors
check "…unfold" "$command" weights unfold spectral.safetensors --out spectral-new.safetensors
check "…convert" "$command" weights convert spectral.safetensors --to parametrizations --out spectral-new.safetensors --force
check "…which leaves its tensors" grep -qa '"c.weight_orig".*"c.weight_u".*"c.weight_v"' spectral-new.safetensors

check "analyze --help" "$command" analyze --help
check "analyze" "$command" analyze first --examples 100 --threads 1
for file in analysis.html analysis.json report.html; do check "first/$file is there" test -s "first/$file"; done
check "analyze, some of it, into another folder" "$command" analyze first --examples 100 --norm weight,normal --layers features.1,output --units 2 --seed 0 --data good --out analysis
check "…with both norms and layers" test "$(grep -cE '"path" : "(features.1|output).weight"' analysis/analysis.json)" = 4
cp first/analysis.json before.json
check "analyze again" "$command" analyze first --examples 100 --threads 1
check "…gives the same, times aside" diff <(grep -v '"seconds"' before.json) <(grep -v '"seconds"' first/analysis.json)
check "analyze with too few images says so" sh -c '"$1" analyze first --examples 20 --norm weight --out few | grep -q "20 examples are too few for the covariance of"' - "$command"
check "compare again into the folder of an analysis" "$command" "${small[@]}" --norm weight --out first --threads 1
check "…removes the analysis" test ! -e first/analysis.html
check "compare with every norm again" "$command" "${small[@]}" --norm "$all" --out first --threads 1

check "sweep --help" "$command" sweep --help
sweep=(sweep --data good --batch 20 --width 0.05 --images 100 --threads 1)
check "sweep" "$command" "${sweep[@]}" --norm normal,weight --rates 0.001,0.01 --out sweep
check "sweep again into another folder" "$command" "${sweep[@]}" --norm normal,weight --rates 0.01,0.001 --out sweep2
for file in config.json metrics.jsonl summary.json report.html; do check "sweep/$file is there" test -s "sweep/$file"; done
check "the same seed and rates give the same metrics.jsonl" cmp sweep/metrics.jsonl sweep2/metrics.jsonl
check "sweep with several seeds" "$command" "${sweep[@]}" --norm weight --rates 0.01 --seeds 1,2 --epochs 2 --within 0.5 --out sweep3

cp -r sweep swept
check "a finished sweep is shown again, without its options" "$command" sweep --resume --out swept --threads 1
check "…with the same records" cmp sweep/metrics.jsonl swept/metrics.jsonl
"$command" "${sweep[@]}" --norm normal,weight --rates 0.001,0.01 --checkpoint-every 0 --out killed-sweep >/dev/null 2>&1 &
child=$!
for _ in {1..600}; do if [[ -e killed-sweep/checkpoint.safetensors ]]; then break; fi; sleep 0.05; done
kill -KILL "$child" 2>/dev/null || true
wait "$child" 2>/dev/null || true
check "a sweep that was killed is resumed" "$command" sweep --resume --out killed-sweep --threads 1
check "…and ends as one that was not" cmp sweep/metrics.jsonl killed-sweep/metrics.jsonl
check "the old spelling of --norm" sh -c '"$1" analyze first --examples 20 --norms weight --layers output --out spelt 2>&1 | grep -q -- "--norms is now --norm"' - "$command"
check "sweep on held-out images" "$command" "${sweep[@]}" --norm weight --rates 0.001,0.01 --held-out 50 --out sweep4
check "…says so" grep -q "Held-out error" sweep4/report.html

# -- Training runs
check "train --help" "$command" train --help
check "train classification --help" "$command" train classification --help
train=(train classification --data good --epochs 3 --batch 20 --width 0.05 --threads 1)
check "train classification" "$command" "${train[@]}" --norm weight,batch --seeds 1,2 --out trained
cp check.log train.log
check "…whitens" grep -q "fitting the whitening to 200 images" train.log
check "…tells the test error" grep -qE "^weight  .* %" train.log
for file in config.json metrics.jsonl layers.jsonl summary.json report.html checkpoint.safetensors network-batch-seed2.safetensors filters-weight-seed1.png; do
    check "trained/$file is there" test -s "trained/$file"
done
"$command" "${train[@]}" --norm weight,batch --seeds 1,2 --out stopped --checkpoint-every 0 >train.log 2>&1 &
for _ in {1..300}; do [[ -s stopped/checkpoint.safetensors ]] && break; sleep 0.02; done
kill -TERM $!
# A fast machine may have finished it.
status=0; wait $! || status=$?
check "train is stopped by SIGTERM (exit $status)" test "$status" = 143 -o "$status" = 0
check "…goes on with nothing but --resume" "$command" train classification --resume --out stopped
check "…and is finished when it is asked again" "$command" train classification --resume --out stopped
grep -v Going check.log >train.log
check "…which shows the same table" grep -qE "^weight  .* %" train.log
for file in metrics.jsonl layers.jsonl network-batch-seed1.safetensors network-weight-seed2.safetensors; do
    check "…with the undisturbed run's $file" cmp "trained/$file" "stopped/$file"
done
check "--resume begins a run that is not there" "$command" "${train[@]}" --resume --out fresh
check "analyze a trained run, whitened" "$command" analyze trained --examples 100 --norm weight --layers output
check "train with the rates of a sweep" "$command" "${train[@]}" --rates-from sweep4 --held-out 50 --out rated
rate=$(sed -n 's/.*"bestRate" : \([0-9.]*\).*/\1/p' sweep4/summary.json)
check "…takes them" grep -q "\"weight\" : $rate" rated/config.json
check "…trains on the others" grep -q '"count" : 150' rated/config.json
check "the paper's preset, narrow and short" "$command" train classification --data good --preset paper --epochs 2 --width 0.05 --batch 50 --norm normal,fixed-gain --out paper
check "…has the paper's rate" grep -q '"normal" : 0.0003' paper/config.json
check "train without whitening" "$command" "${train[@]}" --no-whiten --out plain
bfloat16_status=0
"$command" "${train[@]}" --bfloat16 --out bfloat16 >check.log 2>&1 || bfloat16_status=$?
check "train in bfloat16, or be told that this processor cannot (exit $bfloat16_status)" \
    test "$bfloat16_status" = 0 -o -n "$(grep 'error: --bfloat16: expected --device cuda or a processor with instructions for bfloat16, found cpu with' check.log)"
check "train with fewer multiplications" "$command" "${train[@]}" --winograd --out winograd
check "…records it" grep -q '"winograd" : true' winograd/config.json
check "…and without, by default" grep -q '"winograd" : false' plain/config.json
check "…goes on with nothing but --resume" "$command" train classification --resume --out winograd
check "…but not without" sh -c "! \"$command\" train classification --resume --no-winograd --out winograd 2>refused.log"
check "…says what was expected" grep -q "error: --resume: expected the run's convolutions, --winograd, found --no-winograd" refused.log
check "compare goes on too" "$command" "${small[@]}" --norm weight --seeds 3 --threads 1 --resume --out fifth

check "train vae --help" "$command" train vae --help
check "sample --help" "$command" sample --help
vae=(train vae --data good --epochs 2 --batch 20 --latents 4 --threads 1)
check "train vae" "$command" "${vae[@]}" --norm normal,weight --seeds 1,2 --importance-draws 3 --out vae
for file in config.json metrics.jsonl summary.json report.html checkpoint.safetensors network-weight-seed2.safetensors samples-weight-seed1.png reconstructions-normal-seed2.png; do
    check "vae/$file is there" test -s "vae/$file"
done
check "sample" "$command" sample vae --norm weight --seed 2 --count 7 --across 3 --out drawn.png
check "…gives the same file again" sh -c '"$1" sample vae --norm weight --seed 2 --count 7 --across 3 --out again.png && cmp drawn.png again.png' - "$command"
if command -v python3 >/dev/null; then
    check "…a PNG picture of 3 × 3 images" python3 -c 'import struct, sys; b = open("drawn.png", "rb").read(); sys.exit(b[:8] != b"\x89PNG\r\n\x1a\n" or struct.unpack(">II", b[16:24]) != (50, 50))'
fi
check "train vae, fixed pixels, no flow" "$command" "${vae[@]}" --binarisation fixed --flow-steps 0 --images 100 --out vae2
check "…goes on and is finished" "$command" train vae --resume --out vae2

# A signal finishes the step and saves. The run is long enough for it.
signal() { # NAME CODE
    local log=signal-$1.log status=0
    rm -rf signalled
    # A server may start all this with SIGINT ignored, which every program below would inherit.
    env --default-signal=INT,TERM "$command" train classification --data good --epochs 5000 --batch 20 --width 0.05 --threads 1 \
        --out signalled >"$log" 2>&1 &
    local pid=$!
    for _ in {1..300}; do [[ -s signalled/metrics.jsonl ]] && break; sleep 0.1; done
    kill "-$1" "$pid"
    wait "$pid" || status=$?
    if ((status == $2)) && grep -qE "SIG$1: stopped and saved at step [0-9]+ of 50000; resume with: weightnorm train classification --resume --out signalled" "$log" &&
        [[ -s signalled/checkpoint.safetensors ]]; then ok "SIG$1: $(tail -n 1 "$log")"; else not_ok "SIG$1: exit $status"; sed 's/^/    /' "$log"; fi
}
# A job in the background of a shell without job control ignores SIGINT; with it, it does not.
set -m
signal INT 130
signal TERM 143
set +m

# -- Colour: five files of 20 records, a class and 3072 bytes, and a test file.
mkdir colour
for file in data_batch_{1..5} test_batch; do
    for class in {0..9} {0..9}; do printf "\\x$(printf %02x "$class")"; head -c 3072 /dev/urandom; done >"colour/$file.bin"
done
check "compare on colour images" "$command" compare --data colour --epochs 1 --batch 20 --width 0.05 --norm weight --out coloured
cp check.log colour.log
check "…which are 100 of 3 × 32 × 32 pixels" grep -q "100 training and 20 test images of colour, 3 × 32 × 32 pixels" colour.log
check "analyze on colour images" "$command" analyze coloured --examples 100 --layers output
check "sweep on colour images" "$command" sweep --data colour --batch 20 --width 0.05 --images 100 --norm weight --rates 0.01 --out coloured-sweep

check "train draw --help" "$command" train draw --help
draw=(train draw --data good --epochs 2 --batch 20 --hidden 12 --latents 4 --glimpses 3 --threads 1)
check "train draw" "$command" "${draw[@]}" --norm normal,weight --importance-draws 3 --out draw
for file in config.json metrics.jsonl summary.json report.html checkpoint.safetensors network-normal-seed0.safetensors samples-weight-seed0.png drawn-samples-normal-seed0.png drawn-reconstructions-weight-seed0.png; do
    check "…leaves $file" test -s "draw/$file"
done
check "…goes on and is finished" "$command" train draw --resume --out draw
check "an animation" "$command" sample draw --norm weight --count 4 --across 2 --out animation.png
check "…has a frame for every glimpse, one before and one behind" sh -c 'test "$(grep -a -o fcTL animation.png | wc -l)" = 5'
check "…or a still picture" "$command" sample draw --still --count 4 --out still.png
check "…without frames" sh -c '! grep -a -q fcTL still.png'
check "train draw, whole images" "$command" "${draw[@]}" --attention none --binarisation fixed --images 100 --out draw2
check "train vae on colour images: the ladder" "$command" train vae --data colour --epochs 1 --batch 10 --maps 4 --latents 2 --depth 1,1 --norm weight --out ladder
check "sample from the ladder" "$command" sample ladder --count 4 --out ladder.png

# -- Deep Q-learning, on the game that needs no emulator.
check "train dqn --help" "$command" train dqn --help
check "play --help" "$command" play --help
dqn=(train dqn --game catch --epochs 2 --actions-per-epoch 2000 --evaluation-actions 200 --threads 1)
check "train dqn" "$command" "${dqn[@]}" --norm normal,weight --seeds 1,2 --checkpoint-every 0.2 --out dqn
for file in config.json metrics.jsonl summary.json report.html checkpoint.safetensors network-normal-seed1.safetensors network-weight-seed2.safetensors; do
    check "…leaves $file" test -s "dqn/$file"
done
check "…and no replay memory after its end" sh -c '! ls dqn/replay-*'
check "…goes on and is finished" "$command" train dqn --resume --out dqn
check "train dqn again" "$command" "${dqn[@]}" --norm normal,weight --seeds 1,2 --out dqn2
check "…with the same records" cmp dqn/metrics.jsonl dqn2/metrics.jsonl
check "…and the same networks" cmp dqn/network-weight-seed2.safetensors dqn2/network-weight-seed2.safetensors
check "play" "$command" play dqn --norm weight --seed 2 --out game.png
check "…writes an animation of a game of nine actions" sh -c 'test "$(grep -a -o fcTL game.png | wc -l)" = 10'
for kill in 1 2 3; do
    "$command" "${dqn[@]}" --norm normal,weight --seeds 1,2 --checkpoint-every 0.05 --resume --out dqn-killed >/dev/null 2>&1 &
    pid=$!
    # Not before it has saved; then anywhere.
    for _ in {1..100}; do [[ -s dqn-killed/checkpoint.safetensors ]] && break; sleep 0.1; done
    sleep "0.$((kill * 2))"
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
done
check "three kills leave a checkpoint" test -s dqn-killed/checkpoint.safetensors
check "train dqn after three kills" "$command" "${dqn[@]}" --norm normal,weight --seeds 1,2 --resume --out dqn-killed
check "…has the records of a run that was left alone" cmp dqn/metrics.jsonl dqn-killed/metrics.jsonl
check "…and its networks" cmp dqn/network-normal-seed2.safetensors dqn-killed/network-normal-seed2.safetensors
# SIGTERM as soon as a file has a line, not after a time: a machine may be busy.
terminate_at() { # FILE PATTERN COMMAND…
    local file=$1 pattern=$2 child
    shift 2
    env --default-signal=INT,TERM "$@" >terminated.log 2>signal.log &
    child=$!
    for _ in {1..1200}; do
        if grep -qsE -- "$pattern" "$file" || ! kill -0 "$child" 2>/dev/null; then break; fi
        sleep 0.05
    done
    kill -TERM "$child" 2>/dev/null || true
    wait "$child" || true
}
terminate_at dqn-signalled/metrics.jsonl '"epoch":1' "$command" "${dqn[@]}" --epochs 500 --out dqn-signalled
check "a signal stops train dqn and saves" grep -q "SIGTERM: stopped and saved at action [0-9]* of 1000000; resume with: weightnorm train dqn --resume --out dqn-signalled" signal.log
check "…with its replay memory" sh -c 'ls dqn-signalled/replay-*.safetensors'
terminate_at terminated.log 'Resuming from action' "$command" train dqn --resume --out dqn-signalled
check "…and goes on where it was" grep -qE "Resuming from action [1-9][0-9]* of 1000000" terminated.log

# -- Bad input: one line on standard error with what was expected and found, a non-zero exit, no result.
refuses() { # WHAT PATTERN OUT ARGUMENTS…: OUT must not exist afterwards, unless it is "-"
    local what=$1 pattern=$2 out=$3 status=0
    shift 3
    "$command" "$@" >out.log 2>error.log || status=$?
    local lines
    lines=$(wc -l <error.log)
    if ((status == 0)); then not_ok "$what: exit 0"
    elif ((status > 127)); then not_ok "$what: ended by signal $((status - 128))"
    elif ((lines != 1)); then not_ok "$what: $lines lines on standard error"; sed 's/^/    /' error.log
    elif ! grep -qE -- "$pattern" error.log; then not_ok "$what: no match of '$pattern'"; sed 's/^/    /' error.log
    elif [[ "$out" != - && -e "$out" ]]; then not_ok "$what: left $out behind"
    else ok "$what: $(cat error.log)"; fi
}
bad() { # WHAT PATTERN ARGUMENTS…: of compare on good data
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none compare --data good --out none "$@"
}
refuses "predict: no picture" "cannot read nowhere.png: No such file" - predict first --images nowhere.png
refuses "predict: no pictures in a folder" "images: expected PNG or JPEG pictures in good, found none" - predict first --images good
refuses "predict: no PNG" "config.json: expected a PNG or JPEG picture, found something else" - predict first --images first/config.json
refuses "predict: no run" "expected the folder of a run of weightnorm compare or train classification" - predict good --images first/filters-weight-seed0.png
refuses "predict: a norm that the run lacks" "norm: expected one of the run's, weight, found 'normal'" - predict of-pictures --norm normal --images pictures/a
refuses "export: no licence" "license" none export first --out none
refuses "export: a licence that is none" "license: expected an identifier such as mit or apache-2.0, found 'do what you like'" none export first --license 'do what you like' --out none
refuses "export: a folder with something in it" "out: expected a new or empty folder, found 5 files in pictures/a" - export first --license mit --out pictures/a
refuses "export: the run's own folder" "out: expected another folder than the run's" - export first --license mit --out first
refuses "export: no run" "expected the folder of a run of weightnorm" none export good --license mit --out none
refuses "evaluate: no run" "expected the folder of a run of weightnorm train classification or compare or" - evaluate good
refuses "evaluate: other classes" "expected classes below the network's 2, found class 9|expected images of" - evaluate of-pictures --data good
refuses "evaluate: draws of a classification" "draws: expected it for a generative model" - evaluate first --draws 3
refuses "a picture size of nothing" "picture-size: expected" none compare --data pictures --picture-size 0 --out none
bad "no epochs" 'epochs: expected .* found 0' --epochs 0
bad "negative epochs" 'epochs: expected .* found -1' --epochs=-1
bad "epochs that are no number" "many" --epochs many
bad "unknown norm" "norm: expected .* found 'layer'" --norm weight,layer
bad "empty norm" "norm: expected .* found ''" --norm weight,
bad "a norm twice" "'weight' twice" --norm weight,weight
bad "unknown device" "expected cpu, cuda or cuda:INDEX, found 'gpu'" --device gpu
bad "bad seed" "seeds: expected .* found '-3'" --seeds 1,-3
bad "width 0" "width: expected .* found 0" --width 0
bad "width that is not finite" "width: expected .* found inf" --width inf
bad "dropout 1" "dropout: expected .* found 1" --dropout 1
bad "batch 0" "batch: expected .* found 0" --batch 0
bad "learning rate 0" "learning-rate: expected .* found 0" --learning-rate 0
bad "learning rate out of range" "learning-rate: expected .* found 1e\\+300" --learning-rate 1e300
bad "learning rate NaN" "learning-rate: expected .* found nan" --learning-rate nan
bad "threads 0" "threads: expected .* found 0" --threads 0
bad "threshold 2" "under: expected .* found '2'" --under 2
bad "unknown option" "Unknown option '--colour'" --colour red
refuses "unknown subcommand" "." - frobnicate
bad "a minibatch larger than the data" "expected at most .* 200 training images, found 201" --batch 201
if ! "$command" compare --data good --device cuda --epochs 1 --batch 20 --width 0.05 --out cuda >/dev/null 2>&1; then
    bad "CUDA where there is none" "no CUDA device" --device cuda
fi

wrong() { # WHAT PATTERN ARGUMENTS…: of analyze
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none analyze "$@" --out none
}
wrong "no run" "expected the folder of a run of weightnorm compare" nowhere
wrong "a folder that is no run's" "expected the folder of a run of weightnorm compare" good
wrong "a run of another kind" "expected a run of weightnorm compare or train classification, found one of weightnorm sweep" sweep
wrong "a norm that the run lacks" "norm: expected one of the run's, weight, normal, found 'batch'" seeds --norm batch
wrong "both spellings of --norm" "norms: expected only --norm, .* found both" first --norm weight --norms weight
wrong "an unknown norm" "norm: expected .* found 'layer'" first --norm layer
wrong "a seed that the run lacks" "seed: expected one of the run's, 0, found 5" first --seed 5
wrong "an unknown layer" "layer: expected one of features.1, .* found 'features.2'" first --layers features.1,features.2 --examples 20
wrong "one example" "examples: expected .* found 1" first --examples 1
wrong "more examples than images" "examples: expected at most the 200 training images, found 201" first --examples 201
wrong "no units" "units: expected .* found 0" first --units 0
data other; printf '\x21' | dd of=other/train-images-idx3-ubyte bs=1 seek=300 conv=notrunc status=none
wrong "other images than the run's" "expected the run's training images, 200 images of 16 × 16 pixels .* found 200 images" first --data other
refuses "the run's folder as another folder" "expected another folder than the run's" - analyze first --out first/
cp -r first old; rm old/network-batch-seed0.safetensors
refuses "a run without a network" "network-batch-seed0.safetensors" - analyze old --examples 20
check "…which got no analysis" test ! -e old/analysis.json
cp -r first old2; grep -v '"hash"' first/config.json >old2/config.json
wrong "a damaged config.json" "config.json" old2 --examples 20
cp first/network-normal-seed0.safetensors old/network-batch-seed0.safetensors
refuses "a network of another norm" "expected tensors that fit, found .*missing 'features.1.normalizer" - analyze old --examples 20 --norm batch
ln -s first link
refuses "the run's own folder through a link" "expected another folder than the run's" - analyze first --examples 20 --out link
check "…which is as it was" test -s first/network-normal-seed0.safetensors
mkdir foreign && touch foreign/file
refuses "a folder of something else" "expected a new folder, an empty one or an earlier run's, found file in it" - analyze first --examples 20 --out foreign
truncate -s 1000 old/network-batch-seed0.safetensors
refuses "a truncated network" "network-batch-seed0.safetensors" - analyze old --examples 20 --norm batch

amiss() { # WHAT PATTERN ARGUMENTS…: of sweep
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none "${sweep[@]}" "$@" --out none
}
amiss "no rate" "rates: expected .* found ''" --rates ""
amiss "rate 0" "rates: expected .* found '0'" --rates 0.1,0
amiss "a rate twice" "'0.1' twice" --rates 0.1,0.1
amiss "an unknown norm in a sweep" "norm: expected .* found 'layer'" --norm layer
amiss "fewer images than a minibatch" "minibatch: expected at most the 10 training images, found 20" --images 10
amiss "no images" "images: expected .* found 0" --images 0
amiss "within 2" "within: expected .* found 2" --within 2
amiss "no data" "expected cifar10, fashion-mnist, mnist, or a folder" --data nowhere
echo text >file
refuses "a sweep in place of a file" "file" - "${sweep[@]}" --out file

untrained() { # WHAT PATTERN ARGUMENTS…: of train classification
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none "${train[@]}" "$@" --out none
}
untrained "an unknown preset" "preset: expected paper or quick, found 'fast'" --preset fast
untrained "an unknown norm of a training" "norm: expected norms out of .* found 'layer'" --norm layer
untrained "a negative interval" "checkpoint-every: expected seconds from 0 up, found -1" --checkpoint-every=-1
untrained "all images held out" "held-out: expected a number from 1 to below the 200 training images, found 200" --held-out 200
untrained "rates from nowhere" "cannot read nowhere/summary.json" --rates-from nowhere
untrained "rates from a comparison" "first: expected a run of weightnorm sweep, found one of weightnorm compare" --rates-from first
untrained "a word for a number" "error: --epochs: expected a number, found 'many'" --epochs many
untrained "a fraction for a whole number" "error: --epochs: expected a whole number, found '2.5'" --epochs 2.5
untrained "a negative seed" "error: --seeds: expected whole numbers from 0 to 18446744073709551615, found '-1'" --seeds=-1
untrained "a number too large for any" "error: --epochs: expected a smaller whole number, found '99999999999999999999'" --epochs 99999999999999999999
untrained "a control character" "found '.u.1B..31m'" --norm $'\x1b[31m'
refuses "the sweep's folder for a training with its rates" "out: expected another folder than the sweep's" - "${train[@]}" --rates-from sweep3 --out sweep3/
check "…and the sweep stays" test -s sweep3/summary.json
cp -r sweep3 blocked && rm blocked/report.html && mkdir blocked/report.html
refuses "a folder in the place of an earlier run's file" "cannot remove blocked/report.html: expected a regular file, found a folder" - "${train[@]}" --out blocked
check "…and the earlier run stays" test -s blocked/summary.json -a -s blocked/metrics.jsonl
refuses "a picture in the place of a run's file" "out: expected a file that is not a run's own, found 'vae2/checkpoint.safetensors'" - sample vae2 --out vae2/checkpoint.safetensors
untrained "no thread" "error: --threads: expected a number from 1 to 1024, found 0" --threads 0
untrained "an unknown device" "error: --device: unknown device: expected .* found 'gpu'" --device gpu
untrained "rates that the sweep lacks" "expected a best learning rate of 'batch' in sweep3, found those of weight" --rates-from sweep3 --norm batch
untrained "rates from a sweep and by hand" "expected it without --learning-rate" --rates-from sweep3 --learning-rate 0.1
unmodelled() { # WHAT PATTERN ARGUMENTS…: of train vae
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none "${vae[@]}" "$@" --out none
}
unmodelled "a ladder's option with grey images" "maps: expected colour images, whose model has a ladder, found grey ones" --maps 8
unmodelled "an unknown binarisation" "binarisation: expected dynamic or fixed, found 'grey'" --binarisation grey
unmodelled "no latents" "latents: expected a number from 1 to 10000, found 0" --latents 0
unmodelled "fewer flow steps than none" "flow-steps: expected a number from 0 to 100, found -1" --flow-steps=-1
unmodelled "a depth that is no number" "depth: expected numbers from 1 to 100, found 'x'" --data colour --depth 2,x
unmodelled "a minibatch larger than the images" "at most the 200 training images, found 201" --batch 201
undrawn() { # WHAT PATTERN ARGUMENTS…: of train draw
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none "${draw[@]}" "$@" --out none
}
undrawn "a norm with batch statistics" "norm: expected norms out of normal, fixed-gain, weight, log-weight, found 'batch'" --norm batch
undrawn "attention of one side" "attention: expected two sides from 1 to 100, as 2,5, or none, found '2'" --attention 2
undrawn "no glimpses" "glimpses: expected a number from 1 to 10000, found 0" --glimpses 0
undrawn "an unknown preset of DRAW" "preset: expected quick, paper or paper-full-image, found 'fast'" --preset fast
refuses "an animation of too many images" "count: expected at most 400 for an animation, found 401; --still draws more" none.png sample draw --count 401 --out none.png
undrawn "colour images" "images: expected grey ones, found colour ones" --data colour
refuses "going on with another number of glimpses" "expected the run.s settings, glimpses 3, found glimpses 4$" - train draw --resume --out draw2 --glimpses 4
sed -i.kept 's/"glimpses" : 3/"glimpses" : 0/' draw2/config.json
refuses "going on with settings that no run can have" "settings: glimpses: expected a number from 1 to 10000, found 0" - train draw --resume --out draw2
refuses "a sample of settings that no run can have" "settings: glimpses: expected a number from 1 to 10000, found 0" none.png sample draw2 --out none.png
mv draw2/config.json.kept draw2/config.json
refuses "going on with a model of another kind" "expected a run of weightnorm train draw in vae2, found one of weightnorm train vae" - train draw --resume --out vae2
refuses "going on with another number of latents" "expected the run's settings" - train vae --resume --out vae2 --latents 5
refuses "a sample of nothing" "expected the folder of a run of weightnorm train vae" none.png sample nowhere --out none.png
refuses "a sample of another kind of run" "expected a run of weightnorm train vae or train draw, found one of weightnorm compare" none.png sample second --out none.png
refuses "a sample of a norm that the run lacks" "norm: expected one of the run's, weight, found 'batch'" none.png sample vae2 --norm batch --out none.png
unplayed() { # WHAT PATTERN ARGUMENTS…: of train dqn
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" none "${dqn[@]}" "$@" --out none
}
unplayed "a norm with batch statistics in deep Q-learning" "norm: expected norms out of normal, fixed-gain, weight, log-weight, found 'batch'" --norm batch
unplayed "no games" "games: expected a number from 1 to 1024, found 0" --games 0
unplayed "fewer transitions than learning needs" "replay: expected a number from 1000 to 1000000000, found 999" --replay 999
unplayed "more games than an evaluation has actions" "games: expected at most 200 .evaluation-actions., found 201" --games 201
unplayed "too few actions to learn from" "settings: epochs × actionsPerEpoch: expected more than the 1000 actions before learning, found 1000" --epochs 1 --actions-per-epoch 1000
unplayed "forgetting without going on" "forget-replay: expected it with --resume" --forget-replay
unplayed "stickiness 1" "stickiness: expected a probability from 0 to below 1, found 1" --stickiness 1 --game pong
unplayed "stickiness of the small game" "stickiness: expected it with an Atari game alone, found catch" --stickiness 0.1
unplayed "the paper's preset of the small game" "preset: expected quick with the game catch, found 'paper'" --preset paper
XDG_CACHE_HOME=$PWD/none refuses "an Atari game without the emulator" "expected the emulator at .*/none/swift-weightnorm/atari/bin/python, found none: run make atari" none train dqn --out none
refuses "going on with another game" "expected the run's game, catch, found pong" - train dqn --resume --out dqn --game pong
refuses "going on with more epochs of deep Q-learning" "expected the run.s settings, epochs 2, found epochs 3$" - train dqn --resume --out dqn --epochs 3
sed -i.kept 's/"depth" : 1/"depth" : 0/' dqn/config.json
refuses "going on with deep Q-learning that no run can do" "settings: depth: expected a number from 1 to 64, found 0" - train dqn --resume --out dqn
refuses "a game of a network that no run can have" "settings: depth: expected a number from 1 to 64, found 0" none.png play dqn --out none.png
mv dqn/config.json.kept dqn/config.json
refuses "a game of another kind of run" "expected a run of weightnorm train dqn, found one of weightnorm train vae" none.png play vae2 --out none.png
refuses "a game of a norm that the run lacks" "norm: expected one of the run's, normal, weight, found 'log-weight'" none.png play dqn --norm log-weight --out none.png
refuses "a game of no actions" "actions: expected a number from 1 to 100000, found 0" none.png play dqn --actions 0 --out none.png
unresumed() { # WHAT PATTERN ARGUMENTS…: of train classification --resume, whose run stays as it is
    local what=$1 pattern=$2
    shift 2
    refuses "$what" "$pattern" - train classification --resume --out stopped "$@"
    check "…and the run stays" cmp trained/metrics.jsonl stopped/metrics.jsonl
}
unresumed "going on with another norm" "expected the run's norms, weight, batch, found weight" --norm weight
unresumed "going on with other seeds" "expected the run's seeds, 1, 2, found 1" --seeds 1
unresumed "going on with more passes" "expected the run's settings, epochs 3, found epochs 4" --epochs 4
unresumed "going on with other errors to tell" "expected the run's thresholds of --under, 0.3, 0.25, 0.2, found 0.1" --under 0.1
unresumed "going on with another preset" "expected the run's preset, quick, found paper" --preset paper
unresumed "going on with other images" "resume: expected the run's training images, 200 images of 16 × 16 pixels .* found 200 images" --data other
unresumed "going on with held-out images" "expected the run's held-out images, 0, found 50" --held-out 50
refuses "a sweep that is resumed with other rates" "resume: expected the run's rates, 0.001, 0.01, found 0.001" - sweep --resume --rates 0.001 --out swept
refuses "going on with a run of another command" "expected a run of weightnorm train classification in second, found one of weightnorm compare" - train classification --resume --out second
# A letter of a word in the header, so that the header stays readable: what stands at a fixed byte depends on the run's times.
LC_ALL=C sed -i 's/learningRate/learningRatf/' stopped/checkpoint.safetensors
unresumed "a damaged checkpoint" "stopped/checkpoint.safetensors: expected a header with its checksum, found it damaged"
cp plain.safetensors stopped/checkpoint.safetensors
unresumed "a checkpoint of something else" "expected a checkpoint of swift-weightnorm, found another safetensors file"
refuses "a loss that is not finite" "seed 0: the loss is (nan|inf) at step [0-9]+; mean ‖w‖ of a unit by layer: features.1.weight [0-9].*; the last good checkpoint is from step [0-9]+: diverging/checkpoint.safetensors" - "${train[@]}" --learning-rate 1000 --width 0.3 --epochs 50 --norm normal --checkpoint-every 0 --out diverging
# A disk that is full when a checkpoint is to be written: a file may grow to what the other files need, not to a checkpoint's size.
cp -r signalled filling
rm -f filling/layers.jsonl.old
before=$(cksum <filling/checkpoint.safetensors)
limit=$((($(stat -c %s filling/layers.jsonl) + 400000) / 1024))
if (($(stat -c %s filling/checkpoint.safetensors) / 1024 < limit)); then limit=$(($(stat -c %s filling/checkpoint.safetensors) / 1024 - 1)); fi
status=0
message=$(trap '' XFSZ; ulimit -f "$limit"; "$command" train classification --resume --out filling --checkpoint-every 0 2>&1 >/dev/null) || status=$?
if ((status != 0 && status < 128)) && [[ "$(tail -n 1 <<<"$message")" == "weightnorm: error: "*"File too large"* && "$(cksum <filling/checkpoint.safetensors)" == "$before" ]]; then
    ok "a full disk keeps the last checkpoint: $(tail -n 1 <<<"$message")"
else
    not_ok "a full disk at a checkpoint: exit $status, '$message'"
fi

damaged() { # WHAT PATTERN: `broken` holds the data
    refuses "$1" "$2" none compare --data broken --out none --epochs 1
    rm -rf broken
}
images=train-images-idx3-ubyte labels=train-labels-idx1-ubyte
data broken; truncate -s 51000 broken/$images; damaged "truncated images" "expected 51216 bytes .* found 51000"
data broken; truncate -s 9 broken/t10k-images-idx3-ubyte; damaged "truncated header" "expected a header"
data broken; : >broken/$labels; damaged "empty labels" "expected the header of an IDX file"
data broken; echo >>broken/$images; damaged "oversized images" "expected 51216 bytes .* found 51217"
data broken; printf '\x0a' | dd of=broken/$labels bs=1 seek=50 conv=notrunc status=none; damaged "label 10" "labels from 0 to 9, found 10 at index 42"
data broken; cp broken/t10k-labels-idx1-ubyte broken/$labels; damaged "fewer labels than images" "expected 200 labels"
data broken; cp broken/$images broken/$labels; damaged "images in place of labels" "expected labels"
data broken; rm broken/$images; damaged "missing file" "expected one of train-images-idx3-ubyte"
data broken; gzip -n broken/$images; truncate -s 200 broken/$images.gz; damaged "damaged gzip file" "."
data broken; rm broken/$labels; mkfifo broken/$labels; damaged "a pipe in place of a file" "expected a regular file"
truncate -s 61459 colour/data_batch_3.bin
refuses "truncated colour images" "expected records of 3073 bytes, one or more, found 61459 bytes" none compare --data colour --out none
printf '\x0a' | dd of=colour/data_batch_2.bin bs=1 seek=3073 conv=notrunc status=none
refuses "class 10 in colour" "data_batch_2.bin: expected classes from 0 to 9, found 10 in record 1" none compare --data colour --out none
rm colour/test_batch.bin colour/data_batch_{2,3}.bin
refuses "missing colour files" "found no data_batch_2.bin, no data_batch_3.bin" none compare --data colour --out none
refuses "missing folder" "expected cifar10, fashion-mnist, mnist, or a folder" none compare --data nowhere --out none
XDG_CACHE_HOME="$work/empty" refuses "data set that was not fetched" "run Scripts/fashion-mnist.sh or weightnorm data fetch fashion-mnist" none compare --out none

echo text >file
refuses "results under a file" "file" - "${small[@]}" --out file/results
refuses "results in place of a file" "file" - "${small[@]}" --out file
check "…which is as it was" grep -qx text file
mkdir taken && echo mine >taken/notes.txt
refuses "a folder with other things in it" "expected a new folder, an empty one or an earlier run's" - "${small[@]}" --out taken
check "…which is as it was" test "$(ls -A taken)" = notes.txt
if ((EUID != 0)); then
    mkdir closed && chmod a-w closed
    refuses "a folder that cannot be written" "Permission denied" - "${small[@]}" --out closed/results
fi
# A full disk, as far as it can be had without being root: no file may grow. (Through a pipe, which may.)
status=0
message=$(trap '' XFSZ; ulimit -f 0; "$command" "${small[@]}" --out full 2>&1 >/dev/null) || status=$?
if ((status != 0 && status < 128)) && [[ "$message" == "weightnorm: error: "*"File too large" && ! -e full ]]; then
    ok "a full disk: $message"
else
    not_ok "a full disk: exit $status, '$message', $(ls -A full 2>&1)"
fi

# -- Settings in files that anyone can edit: refused by name, before anything is made of them.
edited() { # WHAT PATTERN RUN EDIT ARGUMENTS…: of a copy of the run, `edited`, with an edit by sed in its config.json
    local what=$1 pattern=$2 run=$3 edit=$4
    shift 4
    rm -rf edited && cp -r "$run" edited && sed -i "$edit" edited/config.json
    refuses "$what" "$pattern" - "$@"
    check "…and the records stay" cmp "$run/metrics.jsonl" edited/metrics.jsonl
}
goon=(train classification --resume --out edited)
edited "going on with 3 classes" "settings: classes: expected more than the largest label of the images, 9, found 3" trained 's/"classes" : 10/"classes" : 3/' "${goon[@]}"
edited "going on with a learning rate of 1e39" "config.json: settings: learningRates of 'weight': expected a number above 0 and at most 1000, found 1e.39" trained 's/"weight" : [0-9.]*/"weight" : 1e39/' "${goon[@]}"
edited "going on with β2 of 1e39" "settings: beta2: expected a number from 0 to below 1, found 1e.39" trained 's/"beta2" : [0-9.]*/"beta2" : 1e39/' "${goon[@]}"
edited "going on with 10^18 maps" "settings: firstMaps: expected a number from 1 to 3072, found 1000000000000000000|whole number" trained 's/"firstMaps" : [0-9]*/"firstMaps" : 1000000000000000000/' "${goon[@]}"
edited "an analysis with dropout 1" "edited/config.json: settings: dropout: expected a probability from 0 to below 1, found 1" first 's/"dropout" : [0-9.e-]*/"dropout" : 1/' analyze edited --examples 20
edited "an analysis with noise of 1e39" "settings: inputNoise: expected a number from 0 to 1000, found 1e.39" first 's/"inputNoise" : [0-9.]*/"inputNoise" : 1e39/' analyze edited --examples 20
edited "an analysis with a slope of 1e39" "settings: leakySlope: expected a number from -?−?1 to 1, found 1e.39" first 's/"leakySlope" : [0-9.]*/"leakySlope" : 1e39/' analyze edited --examples 20
edited "a sample of 3 rows" "expected grey ones whose sides are multiples of 4, found 3 × 16 pixels" vae 's/"rows" : 16/"rows" : 3/' sample edited --out none.png
edited "a sample of 100,000 hidden features" "expected at most 400 million weights" vae 's/"hidden" : 450/"hidden" : 100000/' sample edited --out none.png

# -- A folder that somebody else made: no link is followed but one to the folder itself, nothing is waited for or read without end.
echo precious >precious
foreign() { # WHAT PATTERN: `linked` is a copy of `first`, changed
    refuses "$1, by compare" "$2" - "${small[@]}" --norm weight --out linked
    refuses "$1, by analyze" "$2|expected a regular file" - analyze linked --examples 20
    check "…and what is outside stays" grep -qx precious precious
    rm -rf linked
}
for file in metrics.jsonl layers.jsonl summary.json analysis.json config.json .weightnorm-run; do
    cp -r first linked && ln -sf ../precious "linked/$file"
    foreign "a link in the place of $file" "expected regular files in it, found a symbolic link: '$file'"
done
cp -r first linked && rm linked/config.json && mkfifo linked/config.json
foreign "a pipe in the place of config.json" "found a device, pipe or socket: 'config.json'"
cp -r first linked && ln -sf /dev/zero linked/config.json
foreign "an endless device in the place of config.json" "found a symbolic link: 'config.json'"
cp -r first linked
if truncate -s 4T linked/config.json 2>truncate.log; then
    refuses "a config.json of 4 TB of holes" "config.json: expected at most [0-9]+ bytes, found 4398046511104" - analyze linked --examples 20
fi
rm -rf linked && cp -r second linked
echo thesis.json >>linked/.weightnorm-run && echo mine >linked/thesis.json
check "compare into a folder whose list names somebody's file" "$command" "${small[@]}" --norm weight --out linked
check "…which stays" grep -qx mine linked/thesis.json
check "…and the earlier run's files do not" test ! -e linked/network-batch-seed0.safetensors
ln -s linked link2
check "compare into a link to a folder" "$command" "${small[@]}" --norm weight --out link2
check "…which stays one" test -L link2 -a -s linked/report.html
"$command" train classification --data good --epochs 5000 --batch 20 --width 0.05 --threads 1 --out moving >moving.log 2>&1 &
for _ in {1..300}; do [[ -s moving/metrics.jsonl ]] && break; sleep 0.05; done
mv moving moved
status=0; wait $! || status=$?
if ((status == 1)) && [[ "$(tail -n 1 moving.log)" == *"expected the folder of this run, found none: it was moved or removed during the run"* ]]; then
    ok "a folder that is moved while the run goes on: $(tail -n 1 moving.log)"
else
    not_ok "a folder that is moved while the run goes on: exit $status, $(tail -n 1 moving.log)"
fi

# -- Limits of the system: one line, no signal.
limited() { # WHAT PATTERN LIMIT COMMAND…
    local what=$1 pattern=$2 limit=$3 message status=0
    shift 3
    message=$(ulimit $limit; "$@" 2>&1 >/dev/null) || status=$?
    if ((status == 1)) && [[ "$(tail -n 1 <<<"$message")" =~ ^"weightnorm: error: ".*$pattern ]]; then ok "$what: $(tail -n 1 <<<"$message")"
    else not_ok "$what: exit $status, '$message'"; fi
}
limited "files that may not grow" "File too large" "-f 0" "$command" "${small[@]}" --out full
limited "ten open files" "expected at least 64 files that may be open at once, found 10" "-n 10" "$command" "${small[@]}" --out full
limited "ten open files, for weights" "expected at least 64 files" "-n 10" "$command" weights inspect model.safetensors
if [[ -w /dev/full ]]; then
    status=0; message=$("$command" weights inspect model.safetensors 2>&1 >/dev/full) || status=$?
    if ((status == 1)) && [[ "$message" == *"cannot write to standard output"* ]]; then ok "a full disk for the output: $message"
    else not_ok "a full disk for the output: exit $status, '$message'"; fi
fi

weights() { # WHAT PATTERN ARGUMENTS…: of a subcommand of weights; nothing is written
    local what=$1 pattern=$2
    shift 2
    refuses "weights: $what" "$pattern" none.safetensors weights "$@"
}
out=(--out none.safetensors)
weights "no file" "cannot read nowhere: No such file" inspect nowhere
weights "no file to fold" "cannot read nowhere: No such file" fold nowhere "${out[@]}"
mkdir bare
weights "a folder" "expected a regular file, or a folder with model.safetensors.index.json or model.safetensors, found a folder without" inspect bare
weights "a shard size that is none" "shard-size: expected a number of bytes from 1 up, such as 5GB, 500MB or 1000000, found 'x'" fold model.safetensors --shard-size x "${out[@]}"
check "weights fold into shards" "$command" weights fold model.safetensors --shard-size 16 --out shards
check "…with an index" grep -q '"fc.weight" : "model-0000[12]-of-00003.safetensors"' shards/model.safetensors.index.json
check "…which is inspected as a whole" "$command" weights inspect shards
refuses "weights: a folder in the way" "found shards already there; --force replaces it" - weights fold model.safetensors --shard-size 16 --out shards
printf 'PK\003\004 and so on' >model.pt
printf '\x80\x02}q\x00.and so on' >model.bin
weights "a .pt file" "PyTorch zip; convert it in Python with safetensors.torch.save_file" convert model.pt --to plain "${out[@]}"
weights "a pickle" "PyTorch pickle; convert it in Python with safetensors.torch.save_file" inspect model.bin
head -c 100 model.safetensors >cut.safetensors
weights "a file cut in its header" "expected a header of at most 92 bytes" inspect cut.safetensors
head -c -3 model.safetensors >cut.safetensors
weights "a file cut in its data" "bytes of data" fold cut.safetensors "${out[@]}"
: >empty.safetensors
weights "an empty file" "expected at least 8 bytes" inspect empty.safetensors
cp plain.safetensors there.safetensors
refuses "weights: a file in the way" "found there.safetensors already there; --force replaces it" - weights fold model.safetensors --out there.safetensors
check "…which is as it was" cmp there.safetensors plain.safetensors
refuses "weights: the file itself" "found model.safetensors already there" - weights fold model.safetensors --out model.safetensors
refuses "weights: a folder that is not there" "cannot write nowhere/x: No such file" nowhere weights fold model.safetensors --out nowhere/x
weights "no output" "out" fold model.safetensors
weights "an unknown layout" "to: expected native, plain, weight-norm or parametrizations, found 'old'" convert model.safetensors --to old "${out[@]}"
weights "unfolding to plain" "layout: expected native, weight-norm or parametrizations, found 'plain'" unfold plain.safetensors --layout plain "${out[@]}"
weights "an unknown dim" "dim: expected an axis from 0 up, several such as 0,2, or none, found '-1'" unfold plain.safetensors --dim=-1 "${out[@]}"
weights "a dim that no weight has" "expected at least one selected plain weight .* units of axis 7" unfold plain.safetensors --dim 7 "${out[@]}"
weights "several dims in PyTorch's layout" "expected ones that PyTorch's dim can name for the layout parametrizations, found axes 0, 1" unfold plain.safetensors --dim 0,1 "${out[@]}"
weights "a dim beside --like" "like: expected it without --layout and --dim" unfold plain.safetensors --like model.safetensors --dim 1 "${out[@]}"
weights "--like without a file" "cannot read nowhere: No such file" unfold plain.safetensors --like nowhere "${out[@]}"
weights "--like a file without v and g" "expected at least one selected plain weight .* a weight that 'plain.safetensors' has as v and g" unfold plain.safetensors --like plain.safetensors "${out[@]}"
weights "a pattern that nothing matches" "expected at least one selected plain weight" unfold plain.safetensors --match 'x*' "${out[@]}"
tensors half.safetensors "{$(f32 a.weight_g 2,1 0,8),$(f32 b.weight_v 2,2 8,24)}" 3 4 3 4 6 8
weights "halves of weights" "missing 'a.weight_v': .* missing 'b.weight_g'" fold half.safetensors "${out[@]}"
weights "halves of weights, looked at" "missing 'a.weight_v'" inspect half.safetensors
tensors odd.safetensors "{$(f32 a.weight_g 3,1 0,12),$(f32 a.weight_v 2,2 12,28)}" 3 4 10 3 4 6 8
weights "a g that does not fit" "misshapen 'a.weight_g': expected \[2, 1\], \[1, 2\] or \[\] for v of \[2, 2\], found \[3, 1\]" fold odd.safetensors "${out[@]}"
tensors whole.safetensors "{$(f32 a.weight_v 2,2 0,16),\"a.weight_g\":{\"dtype\":\"I32\",\"shape\":[2,1],\"data_offsets\":[16,24]}}" 3 4 6 8 3 4
weights "a g of whole numbers" "mistyped 'a.weight_g': expected F16, BF16, F32 or F64, found I32" fold whole.safetensors "${out[@]}"
tensors both.safetensors "{$(f32 a.weight_g 2,1 0,8),$(f32 a.weight_v 2,2 8,24),$(f32 a.weight 2,2 24,40)}" 3 4 3 4 6 8 3 4 6 8
weights "a plain weight where the folded one goes" "contradictory 'a.weight': expected the weight once, found 'a.weight_v', 'a.weight_g', 'a.weight'" fold both.safetensors "${out[@]}"

# -- Studies: small grids, stopped and gone on with, in shares, and reported.
for words in "study --help" "study list --help" "study run --help" "study report --help"; do
    # shellcheck disable=SC2086 # words
    check "$words" "$command" $words
done
check "study list" "$command" study list
study=(study run draw --tiny --threads 1)
check "study run" "$command" "${study[@]}" --out studies
check "study run again" "$command" "${study[@]}" --out studies
check "study report" "$command" study report studies
check "…with its page" test -s studies/report.html
check "…and its records" test -s studies/draw-tiny.json
check "study report of records" "$command" study report studies/draw-tiny.json --out pages
check "…is the same page" cmp studies/report.html pages/report.html
for share in 1 2 1; do "$command" "${study[@]}" --shard $share/2 --out shares >share.log 2>&1 && status=0 || status=$?; echo "$share: $status" >>shares.log; done
check "shares wait for each other, with 75, and finish with 0" test "$(tr '\n' ' ' <shares.log)" = "1: 75 2: 0 1: 0 "
check "study run --from" "$command" "${study[@]}" --from studies/draw-tiny.json --out adopted
check "study run --seed-offset" "$command" "${study[@]}" --seed-offset 1000 --parts own --out studies
"$command" "${study[@]}" --budget 1e-9 --out spent >spent.log 2>&1 && status=0 || status=$?
check "a spent budget ends with 75" test "$status" = 75
"$command" "${study[@]}" --parts tune --out one >one.log 2>&1
refuses "study: none of this name" "name: expected .* found 'nothing'" none study run nothing --out none
refuses "study: no such part" "parts: expected own, tune or best, found 'x'" none study run draw --parts x --out none
refuses "study: a share that is none" "shard: expected I/N .* found '3/2'" none study run draw --shard 3/2 --out none
refuses "study: no budget" "budget: expected a number above 0 .* found 0" none study run draw --budget 0 --out none
refuses "study: nothing to report" "nowhere: expected a folder of a study or a file of its records" none study report nowhere --out none
refuses "study: a report of something else" "expected a folder of a study or a file of its records, found none" none study report good --out none
sed 's/"commit":"[^"]*"/"commit":"abc"/' studies/draw-tiny.json >mixed.json
refuses "study: records that would replace others" "expected records of commit .* found those of another study" - study report mixed.json --out pages
refuses "study: a report of fewer runs over one of more" "found also own, normal, seed 100" - study report one/draw-tiny --out pages
refuses "study: no folder for a file's page" "out: expected a folder for the page of single records" none study report mixed.json
refuses "study: a folder of no name" "out: expected a folder, found ''" none study run draw --tiny --out ''
check "train vae takes a negative --initial-log-scale" grep -q "colour images" <("$command" train vae --data good --initial-log-scale -3 --out none 2>&1)
refuses "study: records of two commits" "expected runs of one commit, found those of" none study report studies/draw-tiny.json mixed.json --out none
refuses "study: records of another program" "from: expected records of this study's plan, seeds and commit" none "${study[@]}" --from mixed.json --out none2
head -c 2000 studies/draw-tiny.json >torn.json
refuses "study: torn records" "torn.json: its content is not a JSON" none study report torn.json --out none

echo "$passed passed, $failed failed"
((failed == 0))
