#!/usr/bin/env bash
# Builds the original nsqd, nsqlookupd and nsqadmin into .cache/bin, for the conformance tests and the benchmarks.
#
# nsq's go.mod carries a `replace`, which `go install name@version` refuses; so the programs are built from a scratch
# module that repeats it. A second run finds them built and does nothing.
set -euo pipefail

module=github.com/nsqio/nsq
version=v1.3.0
programs=(nsqd nsqlookupd nsqadmin)

cd "$(dirname "$0")/.."
bin="$PWD/.cache/bin"

fail() {
    echo "real_daemons: $*" >&2
    exit 1
}

is_built() {
    [[ -x "$bin/$1" ]] && "$bin/$1" -version 2>/dev/null | grep -qF "$1 $version "
}

missing=()
for program in "${programs[@]}"; do
    is_built "$program" || missing+=("$program")
done
if [[ ${#missing[@]} -eq 0 ]]; then
    echo "real daemons: ${programs[*]} $version in .cache/bin"
    exit 0
fi

command -v go >/dev/null || fail "no Go client found: install Go (Debian: apt-get install golang), then 'make real-daemons'"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$bin"
cd "$scratch"

go mod download "$module@$version" || fail "'go mod download $module@$version' failed; its words are above"
original=$(go list -m -f '{{.GoMod}}' "$module@$version")
{
    printf 'module scratch\n\ngo 1.17\n\nrequire %s %s\n\n' "$module" "$version"
    grep '^replace ' "$original"
} >go.mod

for program in "${missing[@]}"; do
    echo "building $program $version"
    go build -mod=mod -o "$bin/$program" "$module/apps/$program" || fail "'go build' of $program $version failed; its words are above"
    is_built "$program" || fail "$bin/$program does not say it is $program $version"
done
echo "real daemons: ${programs[*]} $version in .cache/bin"
