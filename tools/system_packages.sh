#!/usr/bin/env bash
# Installs what the browser tests need from Debian's packages: chromium. Does nothing when it is there.
set -euo pipefail

if command -v chromium >/dev/null; then
    echo "system packages: chromium is installed"
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "system_packages: chromium is missing; as root on Debian: apt-get install chromium" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "system packages: installing chromium"
{ apt-get update -q && apt-get install -q -y --no-install-recommends chromium; } >"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    echo "system_packages: apt-get could not install chromium; its last words are above" >&2
    exit 1
}
chromium --version
