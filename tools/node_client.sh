#!/usr/bin/env bash
# Installs into .cache/node what tests need from npm: nsqjs, a client for Node, which runs on our daemons and the
# originals, and the TypeScript compiler, which checks the types of nsqgw.js. A second run does nothing.
set -euo pipefail

packages='
nsqjs       0.13.0
typescript  5.9.3
'

cd "$(dirname "$0")/.."
folder="$PWD/.cache/node"

fail() {
    echo "node_client: $*" >&2
    exit 1
}

missing=()
while read -r package version; do
    [[ -n $package ]] || continue
    grep -qsF "\"version\": \"$version\"" "$folder/node_modules/$package/package.json" || missing+=("$package@$version")
done <<<"$packages"

[[ ${#missing[@]} -gt 0 ]] || exit 0
command -v npm >/dev/null || fail "no npm found: install Node (Debian: apt-get install npm), then 'tools/node_client.sh'"
mkdir -p "$folder"
npm install --silent --no-audit --no-fund --omit=optional --prefix "$folder" "${missing[@]}" >&2 ||
    fail "'npm install ${missing[*]}' failed; its words are above"
echo "node: ${missing[*]} in .cache/node"
