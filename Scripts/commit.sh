#!/usr/bin/env bash
# Prints the commit of these sources, followed by "+" if files have changed since; nothing outside of a git checkout. Builds take it as WEIGHTNORM_COMMIT, so that the
# program can say what it was built from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A copy of the sources inside another project's checkout has no commit of its own.
top=$(git rev-parse --show-toplevel 2>/dev/null) && [[ $top -ef . ]] || exit 0
commit=$(git rev-parse --verify --quiet HEAD) || exit 0
changes=$(git status --porcelain)
printf '%s%s\n' "$commit" "${changes:++}"
