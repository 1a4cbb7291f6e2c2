#!/usr/bin/env bash
# Builds the original daemons, nsqadmin and the tools that come with them into .cache/bin, for the conformance tests and
# the benchmarks.
#
# nsq's go.mod carries a `replace`, which `go install name@version` refuses; so the programs are built from a scratch
# module that repeats it. A second run finds them built and does nothing.
set -euo pipefail

module=github.com/nsqio/nsq
version=v1.3.0
programs=(nsqd nsqlookupd nsqadmin nsq_tail nsq_stat nsq_to_file nsq_to_http nsq_to_nsq to_nsq)

cd "$(dirname "$0")/.."
bin="$PWD/.cache/bin"

fail() {
    echo "real_daemons: $*" >&2
    exit 1
}

is_built() {
    [[ -x "$bin/$1" ]] || return 1
    # to_nsq is the only one that does not say which version it is.
    [[ "$1" == to_nsq ]] || "$bin/$1" -version 2>/dev/null | grep -qE "^$1 $version( |$)"
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
