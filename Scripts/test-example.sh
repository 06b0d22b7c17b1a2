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
git -C "$work/swift-weightnorm" tag -f 0.2.0 >/dev/null

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
# The run of its own: stopped by a signal, resumed, with a page at the end.
cd "$work"
program=$work/Spirals/.build/release/OwnRun
"$program" >own.log 2>&1 &
child=$!
for _ in {1..600}; do if [[ $(grep -c step runs/spirals/metrics.jsonl 2>/dev/null) -ge 4 ]]; then break; fi; sleep 0.02; done
kill -TERM "$child" 2>/dev/null || true
status=0
wait "$child" || status=$?
"$program" --resume >resumed.log 2>&1 || { cat own.log resumed.log; echo "not ok - the example's run is resumed" >&2; exit 1; }
cat resumed.log
"$program" >/dev/null 2>&1 &
wait $! || { echo "not ok - the example's run" >&2; exit 1; }
if [[ ($status != 143 && $status != 0) || $(wc -l <runs/spirals/metrics.jsonl) != 40 || ! -s runs/spirals/report.html ]]; then
    echo "not ok - the example's run: expected exit 143 after SIGTERM, 40 records and a page, found exit $status, $(wc -l <runs/spirals/metrics.jsonl) records" >&2
    exit 1
fi
echo "ok - a run of one's own stops, is resumed and writes its page"
