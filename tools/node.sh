#!/usr/bin/env bash
# Install exactly what package-lock.json names into node_modules.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

for tool in node npm; do
    command -v "$tool" >/dev/null || fail "'$tool' is not on the PATH." \
        "Install Node.js 20 or newer with npm; the tests and the browser client's build need it, running Landline does not."
done
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || fail \
    "node is $(node --version), and the tests need 20 or newer." "Install a newer Node.js."

say "installing the npm packages into node_modules"
npm ci --no-audit --no-fund --loglevel=error >/dev/null || fail \
    "npm could not install the packages; its words are above." \
    "Is a package registry reachable? If package.json was changed, run 'npm install' and commit package-lock.json."
