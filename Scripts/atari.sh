#!/usr/bin/env bash
# Puts the Atari emulator into the cache folder. `Scripts/atari.sh --help` explains its use.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

requirements=$(dirname "${BASH_SOURCE[0]}")/atari-requirements.txt
mapfile -t packages < <(sed -n 's/^\([A-Za-z].*==[^ ]*\).*/\1/p' "$requirements")

usage() {
    cat <<END
Usage: Scripts/atari.sh [--print python]

Installs the Atari 2600 emulator ${packages[0]/==/ }, games included, in \${XDG_CACHE_HOME:-~/.cache}/swift-weightnorm/atari, unless it is there: a Python
virtual environment with that package and its dependencies from the Python package index, each checked against its SHA-256. This takes python3 (3.11 or newer) with venv and pip, but no root.

The emulator is licensed under the GNU General Public License, version 2. It is a separate program, which weightnorm starts and communicates with.

  --print python   also print the path of the environment's Python
END
}

# complete FOLDER: whether it is an environment with these packages, whose Python runs.
complete() {
    [[ -f $1/packages && $(<"$1/packages") == "${packages[*]}" ]] && "$1/bin/python" -I -c '' 2>/dev/null
}

set_up() {
    local found status=0 reason log
    require python3 python3
    found=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || die "python3 does not run"
    ((${found%.*} * 1000 + ${found#*.} >= 3011)) || die "expected Python 3.11 or newer, found $found"
    python3 -c 'import venv, ensurepip' 2>/dev/null || die "python3 lacks venv; install it with: apt-get install python3-venv"
    [[ ! -e $folder ]] || say "$folder is damaged or of another version; setting it up again"
    begin_work atari 400
    log=$work/log
    say "the Atari emulator: downloading about 22 MB to $folder (115 MB of disk)"
    mkdir "$work/tmp"
    in_background python3 -m venv "$work/atari"
    finish_background || die "python3 -m venv fails: $(tail -n 1 "$log")"
    in_background env TMPDIR="$work/tmp" PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$work/atari/bin/python" -m pip install --no-cache-dir --no-deps --only-binary=:all: --progress-bar off --require-hashes \
        --requirement "$requirements"
    finish_background || status=$?
    if ((status != 0)); then
        reason=$(grep -m 1 '^ERROR' "$log" || tail -n 1 "$log")
        [[ $reason != *"from versions: none"* ]] || reason+="; is the package index within reach?"
        die "pip could not install ${packages[0]}: ${reason:-exit status $status}"
    fi
    # What it needs of the system too: a library may be missing here.
    reason=$("$work/atari/bin/python" -I -c 'import ale_py.vector_env' 2>&1) ||
        die "${packages[0]} does not run on this machine: $(tail -n 1 <<<"$reason")"
    printf '%s' "${packages[*]}" >"$work/atari/packages"
    # An environment's scripts name the place where it was made, but its Python finds itself.
    publish "$work/atari"
    say "the Atari emulator is ready"
}

print=""
case "$#:${1:-}:${2:-}" in
0::) ;;
1:--help: | 1:-h:) usage && exit ;;
2:--print:python) print=python ;;
*) die "expected no argument, --help, or --print python; found: $*" ;;
esac

locate_cache
folder=$cache/atari
if ! complete "$folder"; then
    lock atari
    complete "$folder" || set_up
fi
[[ -z $print ]] || printf '%s\n' "$folder/bin/python"
