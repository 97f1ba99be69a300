#!/bin/sh
# Starts the release binary as a single node on loopback and says first where to find it. Run it through scripts/env.sh.
set -eu
data=${HOLDFAST_RUN_DATA:-${XDG_DATA_HOME:-$HOME/.local/share}/holdfast/run}
mkdir -p "$data"
cat >&2 <<TEXT

  MQTT   127.0.0.1:1883      (3.1, 3.1.1 and 5.0; no user name needed from this machine)
  HTTP   127.0.0.1:8083      (/healthz, /readyz, /metrics, /api/v1)
  data   $data

  Try it from two other terminals (Debian: apt-get install mosquitto-clients):
    mosquitto_sub -h 127.0.0.1 -t 'kelp/#' -q 1 -v
    mosquitto_pub -h 127.0.0.1 -t kelp/forest -q 1 -m hello

  Ctrl-C stops the node; what was acknowledged is still there at the next start.

TEXT
[ $# -eq 0 ] || echo "  Where these arguments say otherwise, they hold: $*" >&2
exec "$CARGO_TARGET_DIR/release/holdfast" start --data-dir "$data" "$@"
