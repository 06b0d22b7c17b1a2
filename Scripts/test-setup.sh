#!/usr/bin/env bash
# Tests of the set-up scripts and of the Makefile's use of them. They need no network and build nothing: in front on PATH are
# stand-ins for swift, pip and apt-get that do what a test asks for, and every test has a cache folder of its own.
set -uo pipefail

scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
passed=0
failed=0
export LC_ALL=C

for tool in python3 make gzip sed; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing; the tests of the set-up scripts need it"; exit 1; }
done
# Not the command of that name: that may be a wrapper which looks for settings in the user's home folder.
real_python=$(python3 -c 'import sys; print(sys.executable)')
machine=$(uname -m)

# ---- Running and checking

# start NAME: begins a test: an empty cache and an empty record of calls.
start() {
    name=$1
    rm -rf "$root/home" "$root/calls"
    mkdir "$root/home"
    : >"$root/calls"
    cache=$root/home/.cache/swift-weightnorm
    path=$root/stand-ins:$root/tools
}

# run [VARIABLE=VALUE...] COMMAND...: sets `status`, $root/out, $root/err and `milliseconds`.
run() {
    local begin
    begin=$(date +%s%N)
    env -i PATH="$path" HOME="$root/home" LC_ALL=C ROOT="$root" PYTHON="$real_python" "$@" >"$root/out" 2>"$root/err" </dev/null
    status=$?
    milliseconds=$((($(date +%s%N) - begin) / 1000000))
}

# check WHAT CONDITION...: one line of the result; a failure shows what the last run printed.
check() {
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok - $name: $what"
    else
        failed=$((failed + 1))
        echo "not ok - $name: $what"
        echo "  condition: $*; status $status; it printed:"
        sed 's/^/  /' "$root/out" "$root/err"
    fi
}

succeeds() { [[ $status == 0 ]]; }
# fails_with TEXT: status 1, and on the standard error one line, an error with that text.
fails_with() { [[ $status == 1 && $(wc -l <"$root/err") == 1 && $(<"$root/err") == *": error: "*"$1"* ]]; }
says() { grep -qF -- "$1" "$root/err"; }
prints() { [[ $(<"$root/out") == "$1" ]]; }
calls() { [[ $(grep -c "^$1" "$root/calls") == "$2" ]]; }
leaves_nothing() { [[ -z $(find "$cache" -mindepth 1 ! -name '.*.lock' 2>/dev/null) ]]; }
no_leftovers() { [[ -z $(find "$cache" -maxdepth 1 -name '.*.work-*' 2>/dev/null) ]]; }
at_once() { ((milliseconds < 1000)); }

# eventually CONDITION...: within ten seconds.
eventually() {
    local i
    for i in {1..100}; do
        "$@" && return
        sleep 0.1
    done
    return 1
}

# ---- Stand-ins

mkdir -p "$root/stand-ins" "$root/tools" "$root/Scripts" "$root/wheels"
cp "$scripts"/common.sh "$scripts"/commit.sh "$scripts"/libtorch.sh "$scripts"/fashion-mnist.sh "$scripts"/atari.sh "$scripts"/atari-requirements.txt "$root/Scripts/"
cp "$scripts/../Makefile" "$root/"
# Every tool of the system, so that one can be taken away.
find /usr/bin/ /bin/ -maxdepth 1 ! -type d -exec ln -s -f -t "$root/tools" {} +
rm -f "$root/tools/swift" "$root/tools/python3" "$root/tools/apt-get" "$root/tools/dpkg-deb"
bash_tool=$(command -v bash)

stand_in() {
    { echo "#!$bash_tool" && cat; } >"$root/stand-ins/$1"
    chmod +x "$root/stand-ins/$1"
}

stand_in swift <<'END'
if [[ $1 == --version ]]; then echo "Swift version ${SWIFT_VERSION:-6.3.1} (stand-in)"; exit; fi
echo "swift $* with $PKG_CONFIG_PATH and $LD_LIBRARY_PATH" >>"$ROOT/calls"
END

# pip downloads what PIP asks for: good, truncated, foreign (a wheel in good order, but another), nothing, or an error midway.
# A virtual environment is made as VENV says: good, missing (the module is not there), or an error; its Python is the next stand-in.
stand_in python3 <<'END'
# Never the machine's own answers: it may have another version, or no venv.
if [[ $1 == -c && $2 == *version_info* ]]; then echo "${PYTHON_VERSION:-3.11}"; exit; fi
if [[ $1 == -c && $2 == *ensurepip* ]]; then [[ ${VENV:-} != missing ]]; exit; fi
if [[ "$1 $2" == "-m venv" ]]; then
    echo "venv $3" >>"$ROOT/calls"
    if [[ ${VENV:-good} == error ]]; then echo "Error: no room"; exit 1; fi
    mkdir -p "$3/bin"
    cp "$ROOT/venv-python" "$3/bin/python"
    exit
fi
[[ "$1 $2" == "-m pip" ]] || exec "$PYTHON" "$@"
[[ ${PIP:-good} != missing ]] || exit 1
[[ $3 != --version ]] || exit 0
echo "pip $*" >>"$ROOT/calls"
folder=${*: -1}
case ${PIP:-good} in
good) sleep "${PIP_TIME:-0}"; cp "$ROOT/wheels"/*.whl "$folder" ;;
truncated) cp "$ROOT/wheels"/*.whl "$folder"; truncate -s -1000 "$folder"/torch-*.whl ;;
foreign) cp "$ROOT/wheels"/*.whl "$folder"; cp "$folder"/nvidia_cuda_cupti-*.whl "$folder"/torch-*.whl ;;
nothing) ;;
error) head -c 1000 "$ROOT/wheels"/torch-*.whl >"$folder/torch-0.whl"; echo "ERROR: connection lost"; exit 2 ;;
endless) head -c 1000 "$ROOT/wheels"/torch-*.whl >"$TMPDIR/part"; sleep 60 & echo $! >"$ROOT/endless"; wait ;;
esac
END

# Of a virtual environment: pip installs as PIP says, and a foreign package cannot be imported.
{ echo "#!$bash_tool" && cat; } >"$root/venv-python" <<'END'
if [[ "$1 $2" != "-m pip" ]]; then
    if [[ $3 == *ale_py* && ${PIP:-} == foreign ]]; then echo "Traceback"; echo "ImportError: no libz.so.1"; exit 1; fi
    exit 0
fi
echo "pip $*" >>"$ROOT/calls"
case ${PIP:-good} in
nothing) echo "WARNING: retrying"; echo "ERROR: Could not find a version that satisfies the requirement ale-py==0.12.1 (from versions: none)"; exit 1 ;;
endless) sleep 60 & echo $! >"$ROOT/endless"; wait ;;
esac
END
chmod +x "$root/venv-python"

# apt-get and dpkg-deb deliver what APT asks for: good, foreign (other files), old-lists (until it has updated its own), or an error.
stand_in apt-get <<'END'
echo "apt-get $*" >>"$ROOT/calls"
if [[ "$*" == *" update" ]]; then exit 100; fi
if [[ ${APT:-good} == error || ($APT == old-lists && "$*" != *Dir::State::Lists=*) ]]; then echo "E: no network"; exit 100; fi
: >dataset-fashion-mnist_0_all.deb
END
stand_in dpkg-deb <<'END'
folder=$3/usr/share/datasets/fashion-mnist
mkdir -p "$folder"
cp "$ROOT/images"/*.gz "$folder"
[[ ${APT:-} != foreign ]] || gzip -c "$0" >"$folder/t10k-images-idx3-ubyte.gz"
END

# A real library, small, in the place of libtorch's: the loader must be able to load it.
library=$(ldd "$bash_tool" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | head -n 1)

# libtorch FOLDER VERSION: makes a folder that looks like a libtorch.
libtorch() {
    local header=$1/include/torch/headeronly/version.h number
    mkdir -p "$1/lib" "${header%/*}"
    cp "$library" "$1/lib/libtorch_cpu.so"
    cp "$library" "$1/lib/libc10.so"
    IFS=. read -ra number <<<"$2"
    printf '#define TORCH_VERSION_%s\n' "MAJOR ${number[0]}" "MINOR ${number[1]}" "PATCH ${number[2]}" >"$header"
}

make_wheels() {
    local inside=$root/inside name
    libtorch "$inside/torch" 2.15.0
    for name in torch_cuda torch_python shm; do cp "$library" "$inside/torch/lib/lib$name.so"; done
    mkdir -p "$inside/nvidia/cu13/lib"
    for name in cudart.so.13 cupti.so.13 nvperf_host.so; do cp "$library" "$inside/nvidia/cu13/lib/lib$name"; done
    (cd "$inside" && "$real_python" -m zipfile -c "$root/wheels/torch-2.15.0-x.whl" torch/ &&
        "$real_python" -m zipfile -c "$root/wheels/nvidia_cuda_runtime-13.2.86-x.whl" nvidia/cu13/lib/libcudart.so.13 &&
        "$real_python" -m zipfile -c "$root/wheels/nvidia_cuda_cupti-13.2.86-x.whl" nvidia/) || exit 1
    # The tested copy of the script trusts these wheels in the place of the real ones, and nothing else.
    pin "2.15.0 *$machine *13.2" torch
    pin "13.2 *$machine *nvidia-cuda-runtime *13.2.86" nvidia_cuda_runtime
    pin "13.2 *$machine *nvidia-cuda-cupti *13.2.86" nvidia_cuda_cupti
}
pin() { sed -i "s/^\($1\) .*/\1 $(sha256sum "$root/wheels/$2"-*.whl | cut -d ' ' -f 1)/" "$root/Scripts/libtorch.sh"; }

make_images() {
    local file
    mkdir "$root/images" "$root/installed"
    for file in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; do
        echo "stand-in for $file" | tee >(gzip >"$root/images/$file-ubyte.gz") |
            md5sum | sed "s/-$/$file-ubyte/" >"$root/md5"
        sed -i "s/^[0-9a-f]*  $file-ubyte$/$(<"$root/md5")/" "$root/Scripts/fashion-mnist.sh"
    done
    sed -i "s|installed=/usr/share/.*|installed=\${INSTALLED:-/usr/share/datasets/fashion-mnist}|" "$root/Scripts/fashion-mnist.sh"
}
make_wheels
make_images

# ---- Scripts/libtorch.sh with LIBTORCH

setup=$root/Scripts/libtorch.sh

start "LIBTORCH names nothing"
run LIBTORCH="$root/none" "$setup"
check "one clear line" fails_with "LIBTORCH=$root/none: expected a libtorch folder with lib/libtorch_cpu.so and include/, found nothing"
check "no cache folder is made" leaves_nothing

start "LIBTORCH is a folder without libtorch"
mkdir -p "$root/home/folder/lib"
run LIBTORCH="$root/home/folder" "$setup" --print env
check "one clear line" fails_with "found no lib/libtorch_cpu.so"
check "nothing to evaluate" prints ""
libtorch "$root/home/folder/torch" 2.15.0
run LIBTORCH="$root/home/folder" "$setup"
check "names the folder inside it" fails_with "set LIBTORCH=$root/home/folder/torch"

start "LIBTORCH is too old"
libtorch "$root/home/old" 2.10.1
run LIBTORCH="$root/home/old" "$setup"
check "one clear line" fails_with "expected libtorch 2.11.0 to 2.15.0, found 2.10.1"

start "LIBTORCH is newer"
libtorch "$root/home/new" 2.16.0
run LIBTORCH="$root/home/new" "$setup"
check "is used" succeeds
check "with a warning" says "warning: LIBTORCH=$root/home/new is libtorch 2.16.0"

start "LIBTORCH is not whole"
libtorch "$root/home/part" 2.15.0
rm -r "$root/home/part/include/torch"
run LIBTORCH="$root/home/part" "$setup"
check "no headers" fails_with "found no version in include/torch/headeronly/version.h"
libtorch "$root/home/part" 2.15.0
sed -i 's/libc\.so\.6/libX.so.6/g' "$root/home/part/lib/libtorch_cpu.so"
run LIBTORCH="$root/home/part" "$setup"
check "a library that it needs is missing" fails_with "libtorch_cpu.so lacks: libX.so.6"
echo text >"$root/home/part/lib/libtorch_cpu.so"
run LIBTORCH="$root/home/part" "$setup"
check "no library at all" fails_with "libtorch_cpu.so lacks: not a dynamic executable"

start "LIBTORCH and LIBTORCH_VERSION disagree"
libtorch "$root/home/lib" 2.13.0
run LIBTORCH="$root/home/lib" LIBTORCH_VERSION=2.14.0 "$setup"
check "one clear line" fails_with "expected libtorch 2.14.0, as LIBTORCH_VERSION says, found 2.13.0"

start "LIBTORCH with a path that SwiftPM cannot read"
libtorch "$root/home/a:b" 2.13.0
run LIBTORCH="$root/home/a:b" "$setup"
check "one clear line" fails_with "LIBTORCH is '$root/home/a:b'; expected a path without"

start "LIBTORCH with a space and a quote in its path"
folder="$root/home/it's a lib"
libtorch "$folder" 2.13.0
before=$(find "$folder" -printf '%p %s %T@\n' | sort)
run LIBTORCH="$folder" "$setup"
check "is used" succeeds
check "is not written to" [ "$before" == "$(find "$folder" -printf '%p %s %T@\n' | sort)" ]
pc=$(find "$cache" -name libtorch.pc)
escaped=${folder// /\\ }
check "the flags are escaped in libtorch.pc" grep -qxF "Libs: -L$escaped/lib -ltorch_cpu -lc10" "$pc"
check "both folders of headers are in it" grep -qxF \
    "Cflags: -I$escaped/include -I$escaped/include/torch/csrc/api/include" "$pc"
run LIBTORCH="$folder" PKG_CONFIG_PATH=/before LD_LIBRARY_PATH='' sh -c \
    'settings=$("$0" --print env) && eval "$settings" && echo "$PKG_CONFIG_PATH $LD_LIBRARY_PATH"' "$setup"
check "env goes before what is set" prints "${pc%/*}:/before $folder/lib"
run LIBTORCH="$folder" sh -c 'eval "set -- $("$0" --print flags)" && echo "$#: $4"' "$setup"
check "flags are four words" prints "4: $folder/lib"
run LIBTORCH="$folder" "$setup" --print lib
check "prints lib" prints "$folder/lib"
run LIBTORCH="$folder" "$setup" --print version
check "prints the version" prints 2.13.0
check "takes less than a second" at_once
echo damage >>"$pc"
run LIBTORCH="$folder" "$setup"
check "a changed libtorch.pc is written again" [ "$(wc -l <"$pc")" == 5 ]
libtorch "$root/home/lib" 2.13.0
run LIBTORCH="$root/home/lib" "$setup"
check "another folder has another libtorch.pc" [ "$(find "$cache" -name libtorch.pc | wc -l)" == 2 ]

# ---- Scripts/libtorch.sh with a download

place=libtorch-2.15.0

start "first download"
run "$setup"
check "succeeds" succeeds
check "says its size beforehand" says "downloading about 550 MB"
check "what a CPU needs is there, and no more" [ "$(cd "$cache/$place" && find . -name 'lib*.so*' | sort | paste -s -d ' ')" == \
    "./nvidia/cu13/lib/libcudart.so.13 ./nvidia/cu13/lib/libcupti.so.13 ./torch/lib/libc10.so ./torch/lib/libtorch_cpu.so" ]
check "no wheel and no leftover" [ -z "$(find "$cache" -name '*.whl' -o -name '.*.work-*')" ]
check "by hash and past the cache" grep -q -- "--no-cache-dir.*--require-hashes" "$root/calls"
run "$setup" --print lib
check "the next run finds it" prints "$cache/$place/torch/lib"
check "in less than a second" at_once
check "without pip" calls pip 1
run PIP=missing SWIFT_VERSION=5.9 "$setup" --print env
check "and needs no pip then" succeeds
truncate -s 0 "$cache/$place/torch/lib/libc10.so"
run "$setup"
check "a damaged file is noticed" says "is damaged; setting it up again"
check "and mended" cmp -s "$library" "$cache/$place/torch/lib/libc10.so"
rm "$cache/$place/torch/include/torch/headeronly/version.h"
run "$setup"
check "so is a missing header" [ -f "$cache/$place/torch/include/torch/headeronly/version.h" ]

for kind in "error:pip could not download libtorch 2.15.0: ERROR: connection lost" \
    "truncated:torch-2.15.0-x.whl is damaged" "foreign:torch-2.15.0-x.whl is damaged" "nothing:pip downloaded no wheel of torch==2.15.0"; do
    start "download that ends with ${kind%%:*}"
    run PIP="${kind%%:*}" "$setup" --print env
    check "one clear line" says "error: "
    check "the reason" says "${kind#*:}"
    check "two lines in all, with that of the download" [ "$(wc -l <"$root/err")" == 2 ]
    check "nothing to evaluate, status 1" [ "$status:$(<"$root/out")" == 1: ]
    check "leaves nothing" leaves_nothing
    run "$setup"
    check "the next run succeeds" succeeds
done

for signal in INT TERM KILL; do
    start "run that is ended by SIG$signal"
    rm -f "$root/endless"
    # A process group of its own, as a terminal's Ctrl-C reaches it; and a shell's background jobs would ignore SIGINT.
    setsid env -i --default-signal=INT PATH="$path" HOME="$root/home" ROOT="$root" PYTHON="$real_python" PIP=endless \
        "$setup" >"$root/out" 2>"$root/err" </dev/null &
    script=$!
    eventually [ -s "$root/endless" ]
    if [[ $signal == INT ]]; then kill -s INT -- "-$script"; else kill -s "$signal" "$script"; fi
    wait "$script" 2>/dev/null
    status=$?
    check "its status says so" [ "$status" == $((128 + $(kill -l "$signal"))) ]
    if [[ $signal == KILL ]]; then
        check "leaves its work folder" [ -n "$(find "$cache" -name part)" ]
        kill "$(<"$root/endless")"
    else
        check "leaves nothing" leaves_nothing
        check "ends pip" eventually [ ! -e "/proc/$(<"$root/endless")" ]
    fi
    run "$setup"
    check "the next run succeeds" succeeds
    check "and leaves no leftover" no_leftovers
done

start "two runs at once"
for i in 1 2; do
    env -i PATH="$path" HOME="$root/home" ROOT="$root" PYTHON="$real_python" PIP_TIME=1 "$setup" >"$root/out$i" 2>"$root/err$i" </dev/null &
    runs[i]=$!
done
wait "${runs[1]}"
first=$?
wait "${runs[2]}"
check "both succeed" [ "$first $?" == "0 0" ]
check "one waits" [ "$(cat "$root/err1" "$root/err2" | grep -c 'waiting for it')" == 1 ]
check "one downloads" calls pip 1

start "cache folder that cannot be made"
run XDG_CACHE_HOME="$root/calls/x" "$setup"
check "one clear line" fails_with "cannot make the cache folder $root/calls/x/swift-weightnorm"
run HOME= "$setup"
check "no home: one clear line" fails_with "expected HOME or XDG_CACHE_HOME to be an absolute path"
run XDG_CACHE_HOME="$root/home/a#b" "$setup"
check "a path that SwiftPM cannot read: one clear line" fails_with "the cache folder is '$root/home/a#b/swift-weightnorm'"

start "cache folder with a space in its path"
run XDG_CACHE_HOME="$root/home/a b" "$setup" --print flags
check "succeeds" prints "-Xlinker -rpath -Xlinker '$root/home/a b/swift-weightnorm/$place/torch/lib'"
check "libtorch.pc holds it escaped" grep -qF "$root/home/a\\ b/swift-weightnorm" "$root/home/a b/swift-weightnorm/$place/libtorch.pc"

start "full disk"
mkdir -p "$root/full"
printf '#!%s\necho Avail\necho 1000000\n' "$bash_tool" >"$root/full/df"
chmod +x "$root/full/df"
path=$root/full:$path
run "$setup"
check "one clear line" fails_with "needs 1300 MB of free disk space for $place, found 1000 MB"
check "nothing is downloaded" calls pip 0
check "leaves nothing" leaves_nothing

start "another version or machine"
run LIBTORCH_VERSION=2.10.0 "$setup"
check "an unknown version" fails_with "LIBTORCH_VERSION=2.10.0: expected one of 2.11.0 2.12.0 2.12.1 2.13.0 2.14.0 2.14.1 2.15.0"
run "$setup" --print everything
check "an unknown argument" fails_with "found: --print everything"
printf '#!%s\n[[ $1 == -m ]] && echo riscv64 || echo Linux\n' "$bash_tool" >"$root/full/uname"
chmod +x "$root/full/uname"
path=$root/full:$path
run "$setup"
check "an unknown machine" fails_with "no libtorch to download for Linux on riscv64"

start "missing tools"
run SWIFT_VERSION=6.2.4 "$setup"
check "an old Swift" fails_with "swift is version 6.2; expected Swift 6.3 or newer, see https://www.swift.org/install"
run SWIFT_VERSION=6.10 "$setup"
check "a Swift with two digits" succeeds
rm -r "$cache"
run PIP=missing "$setup"
check "pip" fails_with "pip is missing (python3 -m pip); install it with: apt-get install python3-pip"
mkdir -p "$root/without"
mv "$root/stand-ins/swift" "$root/stand-ins/python3" "$root/without"
run "$setup"
check "swift" fails_with "swift is missing; expected Swift 6.3 or newer, see https://www.swift.org/install"
run "$setup" --print env
check "python3" fails_with "python3 is missing; install it with: apt-get install python3"
mv "$root/without"/* "$root/stand-ins"

# ---- Scripts/fashion-mnist.sh

data=$root/Scripts/fashion-mnist.sh

start "Fashion-MNIST"
run "$data" --print folder
check "succeeds" prints "$cache/fashion-mnist"
check "the four files, uncompressed" grep -qx "stand-in for t10k-labels-idx1" "$cache/fashion-mnist/t10k-labels-idx1-ubyte"
check "no leftover" no_leftovers
run "$data"
check "the next run takes less than a second" at_once
check "without apt-get" calls apt-get 1
echo >>"$cache/fashion-mnist/t10k-labels-idx1-ubyte"
run "$data"
check "a damaged file is noticed" says "is damaged; setting it up again"
run APT=error "$data"
check "and mended" succeeds

start "Fashion-MNIST with old package lists"
run APT=old-lists "$data"
check "succeeds with lists of its own" succeeds
check "after an update" calls "apt-get.* update" 1

start "Fashion-MNIST from the installed package"
cp "$root/images"/*.gz "$root/installed"
run INSTALLED="$root/installed" "$data"
check "succeeds" succeeds
check "without apt-get" calls apt-get 0
rm -r "$cache"
rm "$root/installed/t10k-labels-idx1-ubyte.gz"
run INSTALLED="$root/installed" "$data"
check "one that is not whole is not used" calls apt-get 1

start "Fashion-MNIST without the network"
run APT=error "$data"
check "the reason" says "error: apt-get could not download dataset-fashion-mnist: E: no network; or give a folder"
check "leaves nothing" leaves_nothing
run "$data"
check "the next run succeeds" succeeds

start "Fashion-MNIST with other files"
run APT=foreign "$data"
check "is refused" says "error: the files of dataset-fashion-mnist are not the expected ones: their MD5 differs"
check "leaves nothing" leaves_nothing

start "Fashion-MNIST without Debian"
mv "$root/stand-ins/apt-get" "$root/without"
run "$data"
check "one clear line that says what to do" fails_with "apt-get is missing; install that package, or give a folder with the four"
check "and names the command" says "weightnorm compare --data FOLDER"
mv "$root/without"/* "$root/stand-ins"
rm "$root/tools/gzip"
run "$data"
check "gzip missing" fails_with "gzip is missing; install it with: apt-get install gzip"
ln -s "$(command -v gzip)" "$root/tools/gzip"

# ---- Scripts/atari.sh

emulator=$root/Scripts/atari.sh

start "the Atari emulator"
run "$emulator" --print python
check "succeeds" prints "$cache/atari/bin/python"
check "with pinned packages, each by its hash" calls "pip .* --no-deps .* --require-hashes --requirement .*/atari-requirements.txt" 1
check "no leftover" no_leftovers
run "$emulator"
check "the next run takes less than a second" at_once
check "without pip" calls pip 1
echo "ale-py==0.1" >"$cache/atari/packages"
run "$emulator"
check "another version is noticed" says "is damaged or of another version; setting it up again"
check "and replaced" calls pip 2
rm "$cache/atari/bin/python"
run PIP=nothing "$emulator"
check "a damaged one that cannot be mended is an error" [ "$status" == 1 ]
run "$emulator"
check "and is mended when it can be" succeeds

start "the Atari emulator without what it needs"
run VENV=missing "$emulator"
check "venv" fails_with "python3 lacks venv; install it with: apt-get install python3-venv"
run PYTHON_VERSION=3.9 "$emulator"
check "an old Python" fails_with "expected Python 3.11 or newer, found 3.9"
run VENV=error "$emulator"
check "no environment" says "error: python3 -m venv fails: Error: no room"
run PIP=nothing "$emulator"
check "no network" says "(from versions: none); is the package index within reach?"
run PIP=foreign "$emulator"
check "a missing library" says "error: ale-py==0.12.1 does not run on this machine: ImportError: no libz.so.1"
check "leaves nothing" leaves_nothing
run "$emulator" --print folder
check "an unknown argument" fails_with "found: --print folder"
mv "$root/stand-ins/python3" "$root/without"
run "$emulator"
check "python3" fails_with "python3 is missing; install it with: apt-get install python3"
mv "$root/without"/* "$root/stand-ins"

start "the Atari emulator, killed on the way"
rm -f "$root/endless"
env -i PATH="$path" HOME="$root/home" LC_ALL=C ROOT="$root" PYTHON="$real_python" PIP=endless "$emulator" >/dev/null 2>&1 &
script=$!
eventually [ -s "$root/endless" ]
kill "$script"
wait "$script"
check "ends what it started" eventually [ ! -d "/proc/$(<"$root/endless")" ]
check "leaves nothing" leaves_nothing
run "$emulator"
check "the next run succeeds" succeeds

# ---- Makefile

start "make with a wrong LIBTORCH"
run make -C "$root" build LIBTORCH=/none
check "fails" [ "$status" == 2 ]
check "with the script's line and make's" [ "$(wc -l <"$root/err")" == 2 ]
check "and builds nothing" calls swift 0

start "make build"
run make -C "$root" build
check "succeeds" succeeds
expected="swift build -c release --explicit-target-dependency-import-check error -Xlinker -rpath -Xlinker $cache/$place/torch/lib"
check "swift gets flags and environment" grep -qxF \
    "$expected --scratch-path .build --product weightnorm with $cache/$place and $cache/$place/torch/lib" "$root/calls"
libtorch "$root/home/a lib" 2.13.0
run make -C "$root" build LIBTORCH="$root/home/a lib"
check "another libtorch has another build folder" grep -qF \
    "$root/home/a lib/lib --scratch-path .build-libtorch-2.13.0 --product" "$root/calls"

echo "$passed passed, $failed failed"
((failed == 0))
