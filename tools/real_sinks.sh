#!/usr/bin/env bash
# Builds real log services into .cache/bin, for the tests of the sinks: VictoriaLogs, which takes what Elasticsearch,
# Loki, Datadog, OpenTelemetry and Splunk take and can be asked for it, and versitygw, an S3 server on a folder.
#
# A second run finds them built and does nothing. Both together take some minutes on two cores; no build goes on for
# longer than $BUILD_TIMEOUT.
set -euo pipefail

victoria_logs=github.com/VictoriaMetrics/VictoriaLogs
victoria_logs_version=v1.51.1-0.20260624061259-dc94972a8708
# The revision that it asks for is no release, and not every module proxy has it.
victoria_metrics=github.com/VictoriaMetrics/VictoriaMetrics
victoria_metrics_version=v1.146.0
versitygw=github.com/versity/versitygw
versitygw_version=v1.8.0

cd "$(dirname "$0")/.."
bin="$PWD/.cache/bin"

fail() {
    echo "real_sinks: $*" >&2
    exit 1
}

# The version is kept beside the program: one that is built from a module does not know its own.
is_built() {
    [[ -x "$bin/$1" && "$(cat "$bin/$1.version" 2>/dev/null)" == "$2" ]]
}

# Arguments: program, version, package; on standard input the rest of go.mod.
build() {
    local program=$1 version=$2 package=$3 scratch
    command -v go >/dev/null || fail "no Go client found: install Go (Debian: apt-get install golang), then 'make real-sinks'"
    scratch=$(mktemp -d)
    { printf 'module scratch\n\ngo 1.24\n\n'; cat; } >"$scratch/go.mod"
    echo "building $program $version"
    (cd "$scratch" && timeout "${BUILD_TIMEOUT:-600}" go build -mod=mod -o "$bin/$program" "$package") ||
        fail "'go build' of $program $version failed; its words are above"
    echo "$version" >"$bin/$program.version"
    rm -rf "$scratch"
}

mkdir -p "$bin"
is_built victoria-logs $victoria_logs_version ||
    build victoria-logs $victoria_logs_version $victoria_logs/app/victoria-logs <<END
require $victoria_logs $victoria_logs_version
replace $victoria_metrics => $victoria_metrics $victoria_metrics_version
END
is_built versitygw $versitygw_version ||
    build versitygw $versitygw_version $versitygw/cmd/versitygw <<END
require $versitygw $versitygw_version
END
echo "real sinks: victoria-logs $victoria_logs_version, versitygw $versitygw_version in .cache/bin"
