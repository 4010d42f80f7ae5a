#!/usr/bin/env bash
# Serve one of the examples: `tools/serve.sh board 127.0.0.1 5000`.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/lib.sh

example=$1 host=$2 port=$3
goal=$([ "$example" = board ] && echo demo || echo "$example")
app="examples/$example/app.py"

[ -f "$app" ] || fail "there is no $app here." "Is this a whole copy of the repository?"
case "$port" in
    '' | *[!0-9]*) fail "PORT=$port is not a port number." "For example: make $goal PORT=8080" ;;
esac
# Asked here, because the server's own words for it come after a traceback.
.venv/bin/python - "$host" "$port" <<'PYTHON' || fail "port $port of $host cannot be listened on; the reason is above." \
    "Another program has it? Choose another: make $goal PORT=$((port % 60000 + 1))"
import socket, sys
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((sys.argv[1], int(sys.argv[2])))
    except (OSError, OverflowError) as error:
        sys.exit(str(error))
PYTHON

say "serving $app on http://$host:$port/ (stop with Ctrl+C)"
exec .venv/bin/flask --app "$app" run --host "$host" --port "$port"
