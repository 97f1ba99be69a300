#!/bin/sh
# Runs node/tests/clients with the Python packages of .tools. Run it through scripts/env.sh. Arguments go to pytest.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root/.tools/python" PYTHONDONTWRITEBYTECODE=1
export HOLDFAST_BIN="${HOLDFAST_BIN:-$CARGO_TARGET_DIR/debug/holdfast}"
cd "$root/node/tests/clients"
exec python3 -m pytest -p no:cacheprovider "$@"
