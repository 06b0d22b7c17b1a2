#!/usr/bin/env bash
# Builds and runs Examples/Spirals, a package that depends on this one by URL and version: the working tree as a repository
# with a version tag. What a manifest may not do in a dependency (unsafeFlags, for one) fails here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The files that a commit of the working tree would have, in a repository of their own.
git clone --quiet --no-hardlinks "$root" "$work/swift-weightnorm"
git ls-files -z --cached --others --exclude-standard | (cd "$root" && xargs -0 sh -c 'for f; do [ -e "$f" ] && printf "%s\0" "$f"; done' _) |
    tar -C "$root" --null -T - -cf - | tar -C "$work/swift-weightnorm" -xf -
git -C "$work/swift-weightnorm" add -A
git -C "$work/swift-weightnorm" -c user.name=test -c user.email=test@localhost commit --quiet --allow-empty -m "the working tree"
git -C "$work/swift-weightnorm" tag -f 0.1.0 >/dev/null

cp -r Examples/Spirals "$work/Spirals"
rm -rf "$work/Spirals/.build"
eval "$(Scripts/libtorch.sh --print env)"
eval "set -- $(Scripts/libtorch.sh --print flags)"
export WEIGHTNORM_URL="file://$work/swift-weightnorm"
log=$work/build.log
if ! swift build -c release --package-path "$work/Spirals" --cache-path "$work/cache" "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "not ok - the example package does not build as a dependent of this one" >&2
    exit 1
fi
output=$("$work/Spirals/.build/release/Spirals")
echo "$output"
wrong=$(sed -n 's/^\([0-9]*\) of 400 points wrong$/\1/p' <<<"$output")
if [[ -z "$wrong" || "$wrong" -gt 8 ]]; then
    echo "not ok - the example: expected at most 8 of 400 points wrong, found ${wrong:-no such line}" >&2
    exit 1
fi
echo "ok - a package that depends on this one by URL and version builds, runs and learns"
if ! "$work/Spirals/.build/release/OwnForm"; then
    echo "not ok - the example with a form of weights of its own" >&2
    exit 1
fi
