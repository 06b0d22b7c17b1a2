#!/usr/bin/env bash
# Builds the documentation of the library's modules with DocC, as one site, and fails at any warning and at any public symbol
# without a comment.
set -euo pipefail

usage() {
    cat <<'EOF'
Usage: Scripts/documentation.sh BUILD [OUTPUT]

Builds the documentation site from the sources and from an up-to-date build, such as .build/release (`make docs` takes care of that).
OUTPUT is the folder for the site; an earlier site there is replaced. Without OUTPUT, the site is built, checked and discarded.
EOF
}

case "${1:-}" in
-h | --help) usage; exit 0 ;;
esac
if (($# < 1 || $# > 2)); then
    echo "documentation.sh: error: expected a build folder and at most an output folder, found $# arguments" >&2
    exit 2
fi
if [[ ! -d "$1/Modules" ]]; then
    echo "documentation.sh: error: $1: expected the folder of a build, such as .build/release, found no Modules in it" >&2
    exit 2
fi
build=$(cd "$1" && pwd)
output=${2:-}
if [[ -n "$output" && -e "$output" && ! -e "$output/documentation" ]]; then
    echo "documentation.sh: error: $output: expected a new folder or a documentation site, found something else" >&2
    exit 2
fi
[[ -z "$output" || "$output" == /* ]] || output=$PWD/$output
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tools of the compiler that made the build: they lie beside it.
tools=$(dirname "$(readlink -f "$(command -v swift)")")
triple=$(swift -print-target-info | sed -n 's/.*"unversionedTriple": "\(.*\)".*/\1/p' | head -1)
eval "$(Scripts/libtorch.sh --print env)"

# In the order of their imports, so that links go to modules before.
modules=(AtomicFiles Report Torch WeightNorm WeightFiles Training Datasets Environments Experiments)
dependencies=()
archives=()
for module in "${modules[@]}"; do
    mkdir "$work/$module"
    # Inherited members of the standard library's types would be named, undocumented, under ours.
    "$tools/swift-symbolgraph-extract" -module-name "$module" -target "$triple" -I "$build/Modules" -I Sources/CTorch/include \
        -Xcc "-fmodule-map-file=$build/CTorch.build/module.modulemap" -I Sources/CTransfer/include \
        -Xcc "-fmodule-map-file=$build/CTransfer.build/module.modulemap" -I Sources/CPictures/include \
        -Xcc "-fmodule-map-file=$build/CPictures.build/module.modulemap" -I Sources/CBuild/include \
        -Xcc "-fmodule-map-file=$build/CBuild.build/module.modulemap" -minimum-access-level public -skip-inherited-docs \
        -skip-synthesized-members -emit-extension-block-symbols -output-dir "$work/$module"
    archive="$work/$module.doccarchive"
    if ! "$tools/docc" convert "Sources/$module/$module.docc" --additional-symbol-graph-dir "$work/$module" --output-path "$archive" \
        --fallback-display-name "$module" --fallback-bundle-identifier "swift-weightnorm.$module" --fallback-default-module-kind Module \
        --enable-experimental-external-link-support --warnings-as-errors ${dependencies[@]+"${dependencies[@]}"} \
        >"$work/log" 2>&1; then
        cat "$work/log" >&2
        exit 1
    fi
    dependencies+=(--dependency "$archive")
    archives+=("$archive")
done

python3 - "$work" "${modules[@]}" <<'EOF'
import json, pathlib, sys
work, modules = pathlib.Path(sys.argv[1]), sys.argv[2:]
total, missing = 0, []
for module in modules:
    for file in sorted((work / module).glob("*.symbols.json")):
        for symbol in json.loads(file.read_text())["symbols"]:
            # Extension blocks have no text of their own; rawValue and its initializer are the compiler's.
            if symbol["kind"]["identifier"] == "swift.extension" or symbol["names"]["title"] in ("init(rawValue:)", "rawValue"):
                continue
            # What the compiler made up, such as an enum's ==, has no place in a source.
            if "location" not in symbol:
                continue
            total += 1
            if not symbol.get("docComment", {}).get("lines"):
                missing.append(f"{module}.{'.'.join(symbol['pathComponents'])}")
for name in missing:
    print(f"not ok - {name}: expected a comment, found none", file=sys.stderr)
if missing:
    sys.exit(1)
print(f"ok - {total} public symbols, each with a comment, and no warning")
EOF

"$tools/docc" merge "${archives[@]}" --synthesized-landing-page-name swift-weightnorm --output-path "$work/site"
if [[ -n "$output" ]]; then
    mkdir -p "$(dirname "$output")"
    rm -rf "$output"
    mv "$work/site" "$output"
    echo "The site is $output; to read it: python3 -m http.server --directory $output, then http://localhost:8000/documentation/weightnorm"
fi
