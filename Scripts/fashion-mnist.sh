#!/usr/bin/env bash
# Puts the Fashion-MNIST data set into the cache folder. `Scripts/fashion-mnist.sh --help` explains its use.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

package=dataset-fashion-mnist

usage() {
    cat <<END
Usage: Scripts/fashion-mnist.sh [--print folder]

Puts the four IDX files of Fashion-MNIST, uncompressed, into \${XDG_CACHE_HOME:-~/.cache}/swift-weightnorm/fashion-mnist, unless they are there.
They come from Debian's package $package: the installed one if there is one, otherwise a download with apt-get, which needs no root.

  --print folder   also print that folder
END
}

# The checksums are of the uncompressed files: the headers of Debian's gzip files differ from those of the authors'.
checksums() {
    cat <<'END'
f4a8712d7a061bf5bd6d2ca38dc4d50a  train-images-idx3-ubyte
9018921c3c673c538a1fc5bad174d6f9  train-labels-idx1-ubyte
8181f5470baa50b63fa0f6fddb340f0a  t10k-images-idx3-ubyte
15d484375f8d13e6eb1aabb0c3f46965  t10k-labels-idx1-ubyte
END
}

# complete FOLDER: whether it holds the four files, each with its checksum (a tenth of a second, so done in every run).
complete() { [[ -d $1 ]] && (cd "$1" && checksums | md5sum --check --status 2>/dev/null); }

# unpack FROM TO: writes the four files of the package's folder to a new folder; if they are not the right ones, says so in `wrong`.
unpack() {
    local name
    mkdir "$2"
    while read -r _ name; do
        wrong=$(gzip -dc "$1/$name.gz" 2>&1 >"$2/$name") || return 1
    done < <(checksums)
    wrong="their MD5 differs"
    complete "$2"
}

# download_package: fetches Debian's package, without root, and unpacks it into $work/package.
download_package() {
    local options reason log=$work/log
    mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/package"
    # Lists and files of our own, and no change of user, which only root can do. Other sources of this machine may be out of reach.
    options=(-q "-oDir::Cache=$work" "-oDir::Cache::archives=$work/archives" -oAPT::Sandbox::User= -oAcquire::Retries=2)
    if ! apt_get "${options[@]}" download "$package"; then
        # The system has no lists, or old ones. A source that fails is no matter so long as the package is found.
        say "fetching Debian's package lists (about 10 MB)"
        options+=("-oDir::State::Lists=$work/lists" -oAcquire::Languages=none)
        apt_get "${options[@]}" update || true
        apt_get "${options[@]}" download "$package" ||
            die "apt-get could not download $package: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log"); $elsewhere"
    fi
    reason=$(dpkg-deb -x "$work/$package"_*.deb "$work/package" 2>&1) || die "cannot unpack $package: $(tail -n 1 <<<"$reason")"
}

# apt_get OPTION...: apt-get in the work folder.
apt_get() {
    in_background env -C "$work" LC_ALL=C apt-get "$@"
    finish_background
}

set_up() {
    local installed=/usr/share/datasets/fashion-mnist
    local elsewhere="or give a folder with the four uncompressed IDX files: weightnorm compare --data FOLDER"
    require gzip gzip
    [[ ! -e $folder ]] || say "$folder is damaged; setting it up again"
    begin_work fashion-mnist 150
    if [[ ! -d $installed ]] || ! unpack "$installed" "$work/fashion-mnist"; then
        rm -rf "$work/fashion-mnist"
        for tool in apt-get dpkg-deb; do
            command -v "$tool" >/dev/null ||
                die "Fashion-MNIST comes from Debian's package $package, but $tool is missing; install that package, $elsewhere"
        done
        say "Fashion-MNIST: downloading 31 MB to $folder (55 MB of disk)"
        download_package
        unpack "$work/package$installed" "$work/fashion-mnist" ||
            die "the files of $package are not the expected ones: $(tail -n 1 <<<"$wrong"); $elsewhere"
    fi
    publish "$work/fashion-mnist"
    say "Fashion-MNIST is ready"
}

print=""
case "$#:${1:-}:${2:-}" in
0::) ;;
1:--help: | 1:-h:) usage && exit ;;
2:--print:folder) print=folder ;;
*) die "expected no argument, --help, or --print folder; found: $*" ;;
esac

locate_cache
folder=$cache/fashion-mnist
if ! complete "$folder"; then
    lock fashion-mnist
    complete "$folder" || set_up
fi
[[ -z $print ]] || printf '%s\n' "$folder"
