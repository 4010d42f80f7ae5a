#!/usr/bin/env bash
# Install what `make bench` measures: Landline and Python's peers into bench/.venv, node's into bench/node_modules,
# and from Debian what bench/debian-packages.txt lists and this machine lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

tools/debian.sh bench/debian-packages.txt

python=${PYTHON:-python3}
[ -x bench/.venv/bin/python ] || "$python" -m venv bench/.venv || fail "'$python -m venv bench/.venv' failed." \
    "See above; Debian: apt-get install python3-venv"
say "installing Landline and its peers into bench/.venv"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT="$PWD/bench/constraints.txt"
bench/.venv/bin/python -m pip install --quiet --editable . --requirement bench/requirements.txt || fail \
    "pip could not install the peers; its words are above." "Is a package index reachable?"

say "installing Socket.IO into bench/node_modules"
npm ci --prefix bench --no-audit --no-fund --loglevel=error >/dev/null || fail \
    "npm could not install the peers; its words are above." "Is a package registry reachable?"
