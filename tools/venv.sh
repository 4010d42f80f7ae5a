#!/usr/bin/env bash
# Make .venv and install Landline into it, editable: `tools/venv.sh` for running, `tools/venv.sh dev` for testing.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

extras=${1:-}
python=${PYTHON:-python3}

command -v "$python" >/dev/null || fail "'$python' is not on the PATH." \
    "Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv), or name one: make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail \
    "'$python' is $("$python" --version 2>&1), and Landline needs Python 3.11 or newer." \
    "Name a newer one: make PYTHON=/path/to/python3"

# A folder that was moved or whose Python was removed cannot be repaired, only made again.
if [ -d .venv ] && ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    say "the Python in .venv does not run any more; making .venv again"
    rm -rf .venv
fi

if [ ! -d .venv ]; then
    # Debian ships Python without ensurepip, which `venv` needs to put pip into the new environment.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    say "making .venv with $("$python" --version)"
    "$python" -m venv .venv || { rm -rf .venv; fail "'$python -m venv .venv' failed." "See above; Debian: apt-get install python3-venv"; }
fi

say "installing Landline${extras:+ and what its tests need} into .venv"
# The constraints hold for the build environment too.
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT="$PWD/constraints.txt"
.venv/bin/python -m pip install --quiet --editable ".${extras:+[$extras]}" || fail \
    "pip could not install Landline; its words are above." \
    "Is a package index reachable? Is this Python so new that a version in constraints.txt has no build for it?"

# Landline takes sockets from gunicorn by what its versions have in common, so the tests run some that are still about.
if [ "$extras" = dev ]; then
    for version in 21.2.0 23.0.0; do
        older=.venv/older/gunicorn-$version
        [ -d "$older" ] || PIP_CONSTRAINT='' .venv/bin/python -m pip install --quiet --no-deps --target "$older" \
            "gunicorn==$version" || fail "pip could not install gunicorn $version for the tests; its words are above."
    done
fi
