#!/usr/bin/env bash
# Installs what the tests need from Debian's packages, a line of the table each. Does nothing for what is there.
set -euo pipefail

# package | a command that succeeds once it is installed | what needs it
packages='
chromium                 | command -v chromium              | tests of pages
postgresql               | ls /usr/lib/postgresql/*/bin/postgres | tests of the sink to it
nginx                    | test -x /usr/sbin/nginx          | tests of publishing to it
libnginx-mod-nchan       | ls /usr/lib/nginx/modules/ngx_nchan_module.so | the same
redis-server             | command -v redis-server          | the same
rsyslog                  | test -x /usr/sbin/rsyslogd       | the same
rsyslog-openssl          | ls /usr/lib/*/rsyslog/lmnsd_ossl.so | rsyslog over TLS
gcc                      | command -v cc                    | what is measured against C
libc6-dev                | test -e /usr/include/stdio.h     | the same
libanyevent-perl         | perl -MAnyEvent::Handle -e 1     | Perl programs of AnyEvent in the interchange tests
libjson-xs-perl          | perl -MJSON::XS -e 1             | the same
libdata-messagepack-perl | perl -MData::MessagePack -e 1    | MessagePack between Perl and Python
'

missing=()
while IFS='|' read -r package present _; do
    package=${package// /}
    [[ -n $package ]] || continue
    bash -c "$present" >/dev/null 2>&1 </dev/null || missing+=("$package")
done <<<"$packages"

if [[ ${#missing[@]} -eq 0 ]]; then
    echo "system packages: all are installed"
    exit 0
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "system_packages: missing; as root on Debian: apt-get install ${missing[*]}" >&2
    exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "system packages: installing ${missing[*]}"
{ apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    echo "system_packages: apt-get could not install ${missing[*]}; its last words are above" >&2
    exit 1
}
