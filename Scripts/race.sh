#!/usr/bin/env bash
# Races this library against PyTorch and JAX on the workloads of Benchmarks, taking turns.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: Scripts/race.sh [--work WORK] [--rounds N] [--steps N] [--norm NORM] [--batch N] [--width N] [--side N]
                       [--glimpses N] [--bfloat16] [--json FILE] [--full]

Builds the program in Benchmarks, sets up PyTorch and JAX in virtual environments in the cache folder (the first time), and has all programs
take turns at the training steps of a workload. Prints a Markdown table; ratios are relative to this library's time.

  --work WORK  cnn: the paper's CIFAR-10 network
               vae: a residual variational autoencoder of binary images
               draw: DRAW, a recurrent autoencoder, with attention and 64 glimpses
               dqn: a step of deep Q-learning on Atari-sized frames
               lstm, gru: whole sequences through such a layer, from half as many inputs as it has units
               (default: cnn)
  --rounds N   turns for each program (default: 7)
  --steps N    steps per turn, of which the median counts (default: 1)
  --norm NORM  normal, weight, batch, mean-only-batch or weight+mean-only-batch (default: weight); the last three for cnn only, and without JAX
  --batch N    images, transitions or sequences in a minibatch (default: 50 for cnn, 100 for vae and draw, 64 for dqn, 32 for lstm and gru)
  --width N    maps of the first layers, or units (default: 96 for cnn, 16 for vae, 256 for draw, 512 for lstm and gru; always 32 for dqn)
  --side N     rows and columns of an image (default: 32 for cnn, 28 for vae and draw, 84 for dqn)
  --glimpses N glimpses of draw, or steps of lstm and gru (default: 64)
  --bfloat16   products and convolutions in bfloat16; without JAX, and without --winograd, which is otherwise raced too where there are convolutions
  --json FILE  append a line of JSON for each program, with all its times
  --full       also race this library without kept memory, PyTorch with it, and, except for draw, lstm and gru, PyTorch with torch.compile (needs a C++ compiler)
EOF
}

work=cnn rounds=7 steps=1 norm=weight batch= width= side= glimpses= json= bfloat16= full=
while (($#)); do
    case "$1" in
    -h | --help) usage; exit 0 ;;
    --full | --bfloat16) declare "${1#--}=yes"; shift; continue ;;
    --work | --rounds | --steps | --norm | --batch | --width | --side | --glimpses | --json)
        if (($# < 2)); then
            echo "race.sh: error: expected a value after $1" >&2
            exit 2
        fi
        declare "${1#--}=$2"
        shift 2 ;;
    *)
        echo "race.sh: error: expected an option listed by race.sh --help, found '$1'" >&2
        exit 2 ;;
    esac
done
case "$work" in
cnn) : "${batch:=50}" ;;
vae | draw) : "${batch:=100}" ;;
dqn) : "${batch:=64}" ;;
lstm | gru) : "${batch:=32}" ;;
*)
    echo "race.sh: error: expected cnn, vae, draw, dqn, lstm or gru after --work, found '$work'" >&2
    exit 2 ;;
esac
for name in rounds steps batch width side glimpses; do
    if [[ -n ${!name} && ! ${!name} =~ ^[1-9][0-9]*$ ]]; then
        echo "race.sh: error: --$name: expected a whole number above 0, found '${!name}'" >&2
        exit 2
    fi
done
norms="normal weight"
[[ $work != cnn ]] || norms+=" batch mean-only-batch weight+mean-only-batch"
if [[ " $norms " != *" $norm "* ]]; then
    echo "race.sh: error: --norm: expected one of ${norms// /, } for $work, found '$norm'" >&2
    exit 2
fi
[[ -z $json || $json == /* ]] || json=$PWD/$json
convolves=
[[ $work == draw || $work == lstm || $work == gru ]] || convolves=yes
if [[ -n $convolves && -n $glimpses ]]; then
    echo "race.sh: error: --glimpses: expected it with --work draw, lstm or gru, found $work" >&2
    exit 2
fi
if [[ ($work == lstm || $work == gru) && -n $side ]]; then
    echo "race.sh: error: --side: expected it with images, found $work" >&2
    exit 2
fi
if [[ $work == dqn && -n $width && $width != 32 ]]; then
    echo "race.sh: error: --width: expected 32 for dqn, found $width" >&2
    exit 2
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

eval "$(Scripts/libtorch.sh --print env)"
WEIGHTNORM_COMMIT=$(Scripts/commit.sh) && export WEIGHTNORM_COMMIT
eval "set -- $(Scripts/libtorch.sh --print flags)"
echo "race.sh: building Benchmarks" >&2
# As make has it.
scratch=.build
[[ -z ${LIBTORCH-}${LIBTORCH_VERSION-} ]] || scratch=.build-libtorch-$(Scripts/libtorch.sh --print version)
swift build -c release --product entrant --explicit-target-dependency-import-check error "$@" --scratch-path "$scratch" >&2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/swift-weightnorm/peers
# Pinned, so that a race can be repeated; PyTorch is the libtorch that this library downloads. A folder for each version, so that none is taken for another.
torch_version=2.15.0 jax_version=0.10.2
peer() { # peer NAME PACKAGE…: the Python of a virtual environment with the packages
    local place=$cache/$1
    shift
    if [[ ! -x $place/bin/python ]]; then
        echo "race.sh: setting up $* in $place" >&2
        rm -rf "$place.part"
        mkdir -p "$cache"
        python3 -m venv "$place.part" >&2
        "$place.part/bin/python" -m pip install --quiet "$@" numpy==2.4.6 >&2
        # An environment's scripts name its place, but its Python finds itself.
        mv "$place.part" "$place"
    fi
    # The race splits commands as a shell does.
    printf '%q\n' "$place/bin/python"
}
torch=$(peer "torch-$torch_version" "torch==$torch_version")
jax=$(peer "jax-$jax_version" "jax==$jax_version" "jaxlib==$jax_version" optax==0.2.8)

sizes="$work --norm $norm --batch $batch${width:+ --width $width}${side:+ --side $side}${glimpses:+ --glimpses $glimpses}"
ours=$sizes${bfloat16:+ --bfloat16}
entrant="$scratch/release/entrant $ours"
# The first is what the others are compared with.
commands=("$entrant")
if [[ -z $convolves ]]; then # no convolutions, so no layouts of images
    best=eager
    modes=(eager)
else
    # Under autocast there is nothing for it to do.
    [[ -n $bfloat16 ]] || commands+=("$entrant --winograd")
    best=channels_last
    modes=(eager channels_last)
fi
if [[ -n $full ]]; then
    commands+=("$entrant --no-keep-memory")
    modes+=("$best --keep-memory")
    # Of a sequence, torch.compile would unroll all steps, which takes it minutes.
    [[ -z $convolves ]] || modes+=(compile)
fi
for mode in "${modes[@]}"; do commands+=("$torch Benchmarks/peers/pytorch_peer.py $ours --mode $mode"); done
case "$norm$bfloat16" in
normal | weight) commands+=("$jax Benchmarks/peers/jax_peer.py $sizes") ;;
esac
exec python3 Benchmarks/peers/race.py --rounds "$rounds" --steps "$steps" ${json:+--json "$json"} "${commands[@]}"
