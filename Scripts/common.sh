# shellcheck shell=bash
# What the set-up scripts share. To be sourced by them, not run.
#
# Both put files of others into the user's cache folder, and both keep the same promise: what lies at its final place is
# complete. So everything is made in a work folder beside that place and renamed into it; a lock keeps two runs apart, and
# because the lock dies with its process, a work folder that is found while holding the lock is the leftover of a killed run.

program=${0##*/}
work=""     # this run's work folder, removed at exit
child=""    # a command in the background, ended at exit

say() { printf '%s: %s\n' "$program" "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

# require TOOL PACKAGE: the tool must be there; if not, the user reads how to install it.
require() {
    command -v "$1" >/dev/null || die "$1 is missing; install it with: apt-get install $2"
}

require_swift() {
    local found number expected="expected Swift 6.3 or newer, see https://www.swift.org/install"
    command -v swift >/dev/null || die "swift is missing; $expected"
    found=$(swift --version 2>/dev/null) || die "\`swift --version\` fails; $expected"
    number=$(sed -n 's/.*Swift version \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' <<<"$found")
    [[ $number == *.* ]] || die "\`swift --version\` names no version; $expected"
    ((${number%.*} * 1000 + ${number#*.} >= 6003)) || die "swift is version $number; $expected"
}

# quote TEXT: prints it as one word for any POSIX shell.
quote() {
    if [[ $1 =~ ^[A-Za-z0-9_./+@%,=-]+$ ]]; then
        printf '%s' "$1"
    else
        printf "'%s'" "${1//\'/\'\\\'\'}"
    fi
}

# Sets `cache` to this project's cache folder; makes nothing.
locate_cache() {
    # A relative XDG_CACHE_HOME is to be ignored: the XDG base directory specification says so.
    if [[ ${XDG_CACHE_HOME:-} == /* ]]; then
        cache=$XDG_CACHE_HOME/swift-weightnorm
    elif [[ ${HOME:-} == /* ]]; then
        cache=$HOME/.cache/swift-weightnorm
    else
        die "no cache folder: expected HOME or XDG_CACHE_HOME to be an absolute path, found HOME='${HOME:-}'"
    fi
}

# lock NAME: waits until no other run works on NAME; held until this process ends.
lock() {
    require flock util-linux
    mkdir -p "$cache" 2>/dev/null || die "cannot make the cache folder $cache (HOME or XDG_CACHE_HOME names another place)"
    { exec 9>"$cache/.$1.lock"; } 2>/dev/null || die "cannot write in the cache folder $cache"
    if ! flock -n 9; then
        say "another run is setting up $1; waiting for it"
        flock 9
    fi
}

# begin_work NAME MEGABYTES: with the lock held, clears leftovers, checks the disk, sets `work` to an empty folder.
begin_work() {
    local free
    delete "$cache/.$1.work-"*
    free=$(df -k --output=avail "$cache" | tail -n 1)
    ((free / 1000 >= $2)) || die "$cache needs $2 MB of free disk space for $1, found $((free / 1000)) MB"
    trap end_work EXIT
    # Without these, bash goes on after a SIGINT that comes while it waits for a command which then ends well.
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(mktemp -d "$cache/.$1.work-XXXXXX") || die "cannot write in the cache folder $cache"
}

# in_background COMMAND...: starts a command that a signal to this script is to end at once; what it prints goes to $work/log.
# It gets a process group, since pip or apt-get may be a wrapper, or start more processes. It does not get the lock: if
# this script is killed before it can end it, the next run must not wait for it.
in_background() {
    : >"$work/log"
    set -m
    "$@" >"$work/log" 2>&1 9>&- </dev/null &
    child=$!
    set +m
}

# finish_background: waits for that command and returns its status.
finish_background() {
    local status=0
    wait "$child" || status=$?
    child=""
    return "$status"
}

end_work() {
    if [[ -n $child ]]; then
        kill -- "-$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    [[ -z $work ]] || delete "$work" || true
}

# delete PATH...: twice if need be, since a process of an ended run may just have written one more file.
delete() { rm -rf "$@" 2>/dev/null || { sleep 1 && rm -rf "$@"; }; }

# publish FOLDER: moves a finished folder to its final name in the cache, in the place of a damaged one if there is one.
publish() {
    local final=$cache/${1##*/}
    # On the disk first: after a power cut the new name must not stand for empty files.
    sync -f "$1"
    if [[ -e $final || -L $final ]]; then mv -T "$final" "$work/damaged"; fi
    mv -T "$1" "$final"
}
