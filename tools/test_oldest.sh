#!/usr/bin/env bash
# Runs the tests that need no daemon on the oldest Python of setup.cfg; says so and succeeds where there is none.
set -euo pipefail

cd "$(dirname "$0")/.."
oldest=3.10

works() {
    [[ -x $(command -v "$1") ]] && "$1" -c 'import venv' 2>/dev/null
}

python=
for candidate in "python$oldest" "$HOME"/.pyenv/versions/"$oldest".*/bin/python; do
    if works "$candidate"; then
        python=$candidate
        break
    fi
done
if [[ -z $python ]]; then
    echo "test-oldest: no Python $oldest on this machine, nothing was run on it"
    exit 0
fi

venv=.cache/venv$oldest
stamp=$venv/.installed
if [[ ! -e $stamp || setup.cfg -nt $stamp ]]; then
    "$python" -m venv "$venv"
    PYTHONWARNINGS=ignore "$venv/bin/pip" install --quiet --disable-pip-version-check -e '.[all,test]' || {
        echo "test-oldest: pip could not install the packages of setup.cfg; its words are above" >&2
        exit 1
    }
    touch "$stamp"
fi
"$venv/bin/python" --version
"$venv/bin/pytest" -q -n 4 --dist=loadfile tests/unit tests/loop tests/properties "$@"
