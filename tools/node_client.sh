#!/usr/bin/env bash
# Installs nsqjs, a client for Node, into .cache/node, for the test that runs it on our daemons and the originals.
# A second run finds it there and does nothing.
set -euo pipefail

client=nsqjs
version=0.13.0

cd "$(dirname "$0")/.."
folder="$PWD/.cache/node"

fail() {
    echo "node_client: $*" >&2
    exit 1
}

if grep -qsF "\"version\": \"$version\"" "$folder/node_modules/$client/package.json"; then
    exit 0
fi
command -v npm >/dev/null || fail "no npm found: install Node (Debian: apt-get install npm), then 'tools/node_client.sh'"
mkdir -p "$folder"
npm install --silent --no-audit --no-fund --omit=optional --prefix "$folder" "$client@$version" >&2 ||
    fail "'npm install $client@$version' failed; its words are above"
echo "node client: $client $version in .cache/node"
