#!/usr/bin/env bash
# Write constraints.txt: the newest versions that fit pyproject.toml, found in an environment made for it.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
say "finding the newest versions that fit pyproject.toml"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --editable '.[dev]' || fail \
    "pip could not install the newest versions; constraints.txt was left as it is."
{
    printf '%s\n' \
        "# The exact versions that Landline is developed and tested with; \`make constraints\` writes this file." \
        "# It pins, it does not ask: only what pyproject.toml asks for is installed. No addresses and no hashes," \
        "# so that it serves with any package index."
    "$folder/venv/bin/python" -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==[^ ]+$' | LC_ALL=C sort -f
} >"$folder/constraints.txt"
mv "$folder/constraints.txt" constraints.txt
chmod 644 constraints.txt
say "constraints.txt written: $(grep -c == constraints.txt) versions"
