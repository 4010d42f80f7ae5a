#!/usr/bin/env bash
# Install what tools/debian-packages.txt, or another list, names and this machine lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

missing=()
while read -r package proof; do
    case "$package" in '' | '#'*) continue ;; esac
    case "$proof" in
        /*) compgen -G "$proof" >/dev/null || missing+=("$package") ;;
        *) command -v "$proof" >/dev/null || missing+=("$package") ;;
    esac
done <"${1:-tools/debian-packages.txt}"

[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
