#!/usr/bin/env bash
# Sets up a libtorch, and says how to build with it. `Scripts/libtorch.sh --help` explains its use.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

default_version=2.15.0
oldest=2.11.0
newest=2.15.0
# Where the headers of a libtorch state its version; the second is the place of older ones.
version_headers="torch/headeronly/version.h torch/csrc/api/include/torch/version.h"

usage() {
    cat <<END
Usage: Scripts/libtorch.sh [--print WHAT]

Sets up a libtorch for this package to build with. Unless LIBTORCH is set, downloads the CPU part of LIBTORCH_VERSION
(default $default_version) with pip, once for all clones of this repository.

  --print env      print shell lines that set PKG_CONFIG_PATH and LD_LIBRARY_PATH, for eval
  --print flags    print the flags for \`swift build\`, \`swift test\` and \`swift run\`
  --print lib      print the folder that contains libtorch_cpu.so
  --print version  print libtorch's version

To build without make:

  eval "\$(Scripts/libtorch.sh --print env)"
  eval "swift build -c release \$(Scripts/libtorch.sh --print flags)"

Environment:
  LIBTORCH          an existing libtorch to use instead: a folder with lib/ and include/, such as site-packages/torch
  LIBTORCH_VERSION  the version to download, one of $(versions)
  XDG_CACHE_HOME    where to keep downloads, in swift-weightnorm/ (default ~/.cache)
END
}

# A wheel of torch carries libtorch and its headers. libtorch_cpu.so also names libcudart and libcupti, even where no CUDA
# is used: those of the CUDA version that this torch asks for, named in the third column, are in two small wheels more.
# Pinned by hash, so that no cache, mirror or folder of local wheels can put another file in their place.
torch_wheels() {
    cat <<'END'
2.11.0 x86_64  13.0 0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756
2.11.0 aarch64 13.0 f99924682ef0aa6a4ab3b1b76f40dc6e273fca09f367d15a524266db100a723f
2.12.0 x86_64  13.0 4b4f64c2c2b11f7510d93dd6412b87025ff6eddd6bb61c3b5a3d892ea20c4756
2.12.0 aarch64 13.0 8fbef9f108a863e7722a73740998967e3b074742a834fc5be3a535a2befa7057
2.12.1 x86_64  13.0 649e4ced014ba646f76f8cb9c9726735a6323eb321b7919f942790a923f90921
2.12.1 aarch64 13.0 2de4e19b88a481482c6c75291f2d6a52eda3ce51f311b29aa9b68499c830c07c
2.13.0 x86_64  13.0 796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b
2.13.0 aarch64 13.0 572df8be8ffb4599c88cbd6a0726f1f854f4da65d2e3c09f0e2c2283333cd6d4
2.14.0 x86_64  13.0 fecffb58f51fd643d213acd68da21cc3fc19bea05a3bc64b4ee55128f47a4963
2.14.0 aarch64 13.0 ada340e62591d06a2bcc2d68170f20f45f0b0665d372dc510a8ed7eb3b1d609a
2.14.1 x86_64  13.0 23011fe29a99b591eabb3a31a25080c62e2c2f0690a3c798744e5489dae50451
2.14.1 aarch64 13.0 0b13acde294b401509830d85a8906cbf2fc97425a12a66cce1d9fa13c5106a2a
2.15.0 x86_64  13.2 6d8c86f4e33a9f12a58149bd9b0d64351632b8eb44479be8ff85e5389932dd79
2.15.0 aarch64 13.2 9e51cf9460c5441dcd2a4f31ece207e35ea7c3d2535be0f929cca4944e2eeb18
END
}

cuda_wheels() {
    cat <<'END'
13.0 x86_64  nvidia-cuda-runtime 13.0.96 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
13.0 x86_64  nvidia-cuda-cupti   13.0.85 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
13.0 aarch64 nvidia-cuda-runtime 13.0.96 ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55
13.0 aarch64 nvidia-cuda-cupti   13.0.85 796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151
13.2 x86_64  nvidia-cuda-runtime 13.2.86 3498247680dfddce31bad102af7e3e26fc795342a3cac64722bb0fa95e7f60f0
13.2 x86_64  nvidia-cuda-cupti   13.2.86 8fa29f15dd8336181f961764d9d95236fc6b931dd0c8fcf8cd70aab0c310b586
13.2 aarch64 nvidia-cuda-runtime 13.2.86 37844957894bfdecf90243568d21a2cb251b66106915b71459a23c8e6ef2da69
13.2 aarch64 nvidia-cuda-cupti   13.2.86 d9a5c133f73fcb9013f3ada0da6fb54d4117618d81f3f5a0419417ea6ee829d4
END
}

versions() { torch_wheels | cut -d ' ' -f 1 | uniq | tr '\n' ' ' | sed 's/ $//'; }

# number VERSION: one integer to compare versions by.
number() {
    local IFS=. parts
    read -ra parts <<<"$1"
    echo $((parts[0] * 1000000 + parts[1] * 1000 + parts[2]))
}

# check_path WHAT PATH: refuses a path that SwiftPM cannot read from a .pc file (spaces it can), or that cannot be an entry of
# PKG_CONFIG_PATH or LD_LIBRARY_PATH.
check_path() {
    if [[ $2 == *[:\;\"\\#\$[:cntrl:]]* ]]; then
        die "$1 is '$2'; expected a path without any of  : ; \" \\ # \$  and control characters: SwiftPM cannot build with it"
    fi
}

# header_version FOLDER: prints the version that the headers of a libtorch state, or nothing.
header_version() {
    local header
    for header in $version_headers; do
        if grep -qs '^#define TORCH_VERSION_MAJOR [0-9]' "$1/include/$header"; then
            sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9][0-9]*\).*/\2/p' "$1/include/$header" | paste -s -d .
            return
        fi
    done
}

# unresolved LIBRARY: prints what the loader finds wrong with it, such as the names of the libraries that are not there.
unresolved() {
    local found
    if found=$(ldd "$1" 2>&1); then
        # Two forms: `libx.so.1 => not found`, and `…: version `GLIBC_2.40' not found (…)`.
        sed -n "s/^[[:space:]]*\(.*\) => not found.*/\1/p; s/.*version .\(.*\)' not found.*/\1/p" <<<"$found" | sort -u | paste -s -d ' '
    else
        sed 's/^[[:space:]]*//' <<<"$found" | paste -s -d ' '
    fi
}

# write_pc FOLDER DIRECTORY VERSION: brings FOLDER/libtorch.pc up to date; says in `pc_changed` whether it was not.
write_pc() {
    local path=${2// /\\ } text
    text="Name: libtorch
Description: The C++ library of PyTorch
Version: $3
Cflags: -I$path/include -I$path/include/torch/csrc/api/include
Libs: -L$path/lib -ltorch_cpu -lc10"
    pc_changed=false
    if [[ ! -f $1/libtorch.pc || $(<"$1/libtorch.pc") != "$text" ]]; then
        # Renamed into place: a build that runs at this moment reads the old text or the new one.
        { mkdir -p "$1" && printf '%s\n' "$text" >"$1/.libtorch.pc.$$" && mv -T "$1/.libtorch.pc.$$" "$1/libtorch.pc"; } 2>/dev/null ||
            die "cannot write $1/libtorch.pc (HOME or XDG_CACHE_HOME names another place)"
        pc_changed=true
    fi
}

# use_existing: takes the libtorch that LIBTORCH names.
use_existing() {
    local expected="expected a libtorch folder with lib/libtorch_cpu.so and include/" missing
    [[ -e $LIBTORCH ]] || die "LIBTORCH=$LIBTORCH: $expected, found nothing there"
    [[ -d $LIBTORCH ]] || die "LIBTORCH=$LIBTORCH: $expected, found a file"
    directory=$(cd "$LIBTORCH" 2>/dev/null && pwd -P) || die "LIBTORCH=$LIBTORCH: $expected, found a folder that cannot be entered"
    check_path LIBTORCH "$directory"
    if [[ ! -f $directory/lib/libtorch_cpu.so ]]; then
        [[ ! -f $directory/torch/lib/libtorch_cpu.so ]] ||
            die "LIBTORCH=$LIBTORCH: $expected, found it one level deeper: set LIBTORCH=$directory/torch"
        die "LIBTORCH=$LIBTORCH: $expected, found no lib/libtorch_cpu.so there"
    fi
    [[ -f $directory/lib/libc10.so ]] || die "LIBTORCH=$LIBTORCH: $expected, found no lib/libc10.so beside lib/libtorch_cpu.so"
    version=$(header_version "$directory")
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] ||
        die "LIBTORCH=$LIBTORCH: $expected, found no version in include/${version_headers// / or include/}"
    (($(number "$version") >= $(number "$oldest"))) ||
        die "LIBTORCH=$LIBTORCH: expected libtorch $oldest to $newest, found $version"
    [[ -z ${LIBTORCH_VERSION:-} || $LIBTORCH_VERSION == "$version" ]] ||
        die "LIBTORCH=$LIBTORCH: expected libtorch $LIBTORCH_VERSION, as LIBTORCH_VERSION says, found $version"
    missing=$(LD_LIBRARY_PATH="$directory/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" unresolved "$directory/lib/libtorch_cpu.so")
    [[ -z $missing ]] || die "LIBTORCH=$LIBTORCH: expected a libtorch that the loader can load, found that libtorch_cpu.so lacks: $missing"

    # Never in the user's own folder. One place a folder, so that two clones with two libtorchs do not take turns in it.
    pc_folder=$cache/libtorch-at-$(printf '%s' "$directory" | sha256sum | cut -c 1-16)
    write_pc "$pc_folder" "$directory" "$version"
    if (($(number "$version") > $(number "$newest"))) && [[ -z $print || $pc_changed == true ]]; then
        say "warning: LIBTORCH=$LIBTORCH is libtorch $version; this package is tested with $oldest to $newest"
    fi
}

# complete FOLDER: whether it holds every file of its list, at its size.
complete() {
    [[ -f $1/files ]] || return 1
    (cd "$1" && find torch* nvidia -type f -printf '%s %p\n' 2>/dev/null | LC_ALL=C sort | cmp -s - files)
}

# use_download: takes the downloaded libtorch of LIBTORCH_VERSION, and downloads it if it is not there.
use_download() {
    version=${LIBTORCH_VERSION:-$default_version}
    [[ " $(versions) " == *" $version "* ]] || die "LIBTORCH_VERSION=$version: expected one of $(versions)"
    local name=libtorch-$version
    pc_folder=$cache/$name
    directory=$pc_folder/torch
    if ! complete "$pc_folder"; then
        lock "$name"
        # Another run may have finished it while this one waited.
        complete "$pc_folder" || download "$name"
    fi
    write_pc "$pc_folder" "$directory" "$version"
}

# download NAME: fetches, unpacks, checks and publishes one version. The lock is held.
download() {
    local new missing
    machine=$(uname -m)
    [[ $(uname -s) == Linux && $machine =~ ^(x86_64|aarch64)$ ]] ||
        die "no libtorch to download for $(uname -s) on $machine, expected Linux on x86_64 or aarch64; set LIBTORCH to a libtorch folder"
    require python3 python3
    python3 -m pip --version >/dev/null 2>&1 || die "pip is missing (python3 -m pip); install it with: apt-get install python3-pip"
    [[ ! -e $pc_folder ]] || say "$pc_folder is damaged; setting it up again"
    begin_work "$1" 1300
    say "libtorch $version: downloading about 550 MB to $pc_folder (takes 1.2 GB of disk meanwhile, 550 MB in the end)"
    fetch_wheels
    new=$work/$1
    mkdir "$new"
    unpack_wheels "$new"
    complete "$new" || die "libtorch $version: the unpacked files are not those of the downloaded wheels"
    missing=$(LD_LIBRARY_PATH='' unresolved "$new/torch/lib/libtorch_cpu.so")
    [[ -z $missing ]] || die "libtorch $version does not run on this machine: libtorch_cpu.so lacks: $missing"
    [[ $(header_version "$new/torch") == "$version" ]] ||
        die "libtorch $version: its headers say '$(header_version "$new/torch")'"
    write_pc "$new" "$directory" "$version"
    publish "$new"
    say "libtorch $version is ready"
}

# Downloads the wheels into $work/wheels and checks them.
fetch_wheels() {
    local wheel cuda sha status=0 total now arrived=0 text='' tick=0 reason flags=()
    local requirements=$work/requirements log=$work/log
    read -r _ _ cuda sha < <(torch_wheels | grep "^$version $machine ")
    printf 'torch==%s --hash=sha256:%s\n' "$version" "$sha" >"$requirements"
    cuda_wheels | grep "^$cuda $machine " | while read -r _ _ wheel number sha; do
        printf '%s==%s --hash=sha256:%s\n' "$wheel" "$number" "$sha"
    done >>"$requirements"

    # pip takes each platform tag literally, and the three wheels have three of them.
    for wheel in manylinux_2_28 manylinux_2_25 manylinux2014; do flags+=(--platform "${wheel}_$machine"); done
    mkdir "$work/wheels" "$work/tmp"
    in_background env TMPDIR="$work/tmp" PIP_NO_INPUT=1 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        python3 -m pip download --no-cache-dir --no-deps --only-binary=:all: --require-hashes --progress-bar off \
        --implementation cp --python-version 3.12 --abi cp312 "${flags[@]}" \
        -r "$requirements" -d "$work/wheels"
    while kill -0 "$child" 2>/dev/null; do
        # pip says the size of each file as it begins it: `Downloading torch-….whl (539.2 MB)`.
        total=$(sed -n 's/^ *Downloading .*(\([0-9]*\)[.0-9]* MB).*/\1/p' "$log" | paste -s -d +)
        now=$(du -sm "$work/tmp" 2>/dev/null | cut -f 1)
        # It grows by more than the files while pip copies them, and shrinks when it deletes them.
        arrived=$((now > arrived ? now : arrived))
        if [[ -n $total ]]; then
            text="$((arrived < total ? arrived : total)) of $((total)) MB"
            if [[ -t 2 ]]; then
                printf '\r%s: %s ' "$program" "$text" >&2
            elif ((tick % 20 == 19)); then
                say "$text"
            fi
        fi
        tick=$((tick + 1))
        sleep 0.5
    done
    finish_background || status=$?
    if [[ -t 2 && -n $text ]]; then printf '\n' >&2; fi
    if ((status != 0)); then
        # An error that pip did not foresee ends with Python's line for it.
        reason=$(grep '^ERROR' "$log" | grep -v -m 1 'Exception:$' || tail -n 1 "$log")
        reason=${reason:-exit status $status}
        [[ $reason != *"from versions: none"* ]] || reason+="; is the package registry within reach?"
        # Without the long paths of `OSError: [Errno 28] No space left on device: '/…`.
        die "pip could not download libtorch $version: ${reason%%: \'/*}"
    fi
    check_wheels
}

# pip has checked what came over the network; this checks what arrived on the disk.
check_wheels() {
    local requirement name wheel sha
    while read -r requirement sha; do
        name=${requirement%%==*}
        name=${name//-/_}
        for wheel in "$work/wheels/$name"-*.whl; do
            [[ -f $wheel ]] || die "pip downloaded no wheel of $requirement"
            [[ $(sha256sum "$wheel" | cut -d ' ' -f 1) == "${sha#--hash=sha256:}" ]] ||
                die "the downloaded ${wheel##*/} is damaged: expected SHA-256 ${sha#--hash=sha256:}; run again"
        done
    done <"$work/requirements"
}

# unpack_wheels FOLDER: unpacks what a CPU needs, deletes the wheels, and lists the files with the sizes that they must have.
unpack_wheels() {
    local reason
    reason=$(
        python3 - "$1" "$work/wheels" 2>&1 <<'END'
import fnmatch, os, sys, zipfile

target, wheels = sys.argv[1:]
wanted = ["torch/include/*", "torch/lib/*.so*", "torch.libs/*", "nvidia/*/lib/libcudart.so.*", "nvidia/*/lib/libcupti.so.*"]
# CUDA, Python and the umbrella library, which names CUDA's.
unwanted = ["torch_cuda*", "torch_python*", "torch_nvshmem*", "c10_cuda*", "caffe2_nvrtc*", "torch_global_deps*", "shm*", "torch.so"]
listing = []
for wheel in sorted(os.listdir(wheels)):
    with zipfile.ZipFile(os.path.join(wheels, wheel)) as archive:
        for member in archive.infolist():
            matches = lambda patterns, prefix="": any(fnmatch.fnmatchcase(member.filename, prefix + p) for p in patterns)
            if not member.is_dir() and matches(wanted) and not matches(unwanted, "torch/lib/lib"):
                archive.extract(member, target)
                listing.append((member.file_size, member.filename))
    os.remove(os.path.join(wheels, wheel))
with open(os.path.join(target, "files"), "wb") as file:
    file.writelines(sorted(f"{size} {name}\n".encode() for size, name in listing))
END
    ) || die "cannot unpack libtorch $version: $(tail -n 1 <<<"$reason")"
}

print=""
case "$#:${1:-}:${2:-}" in
0::) ;;
1:--help: | 1:-h:) usage && exit ;;
2:--print:env | 2:--print:flags | 2:--print:lib | 2:--print:version) print=$2 ;;
*) die "expected no argument, --help, or --print with env, flags, lib or version; found: $*" ;;
esac

# First: a download is no use to someone who then cannot build.
[[ -n $print ]] || require_swift
locate_cache
check_path "the cache folder" "$cache"
if [[ -n ${LIBTORCH:-} ]]; then use_existing; else use_download; fi

case "$print" in
env)
    # shellcheck disable=SC2016 # expanded by the shell that evaluates the lines
    printf 'export PKG_CONFIG_PATH=%s"${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"\n' "$(quote "$pc_folder")"
    # shellcheck disable=SC2016
    printf 'export LD_LIBRARY_PATH=%s"${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"\n' "$(quote "$directory/lib")"
    ;;
flags) printf -- '-Xlinker -rpath -Xlinker %s\n' "$(quote "$directory/lib")" ;;
lib) printf '%s\n' "$directory/lib" ;;
version) printf '%s\n' "$version" ;;
esac
