#!/bin/sh
# Starts the release binary as three nodes on loopback in one terminal. Run it through scripts/env.sh.
# Arguments go to each `holdfast start`. Ctrl-C stops all three gracefully.
set -eu
data=${CLUSTER_DATA:-${XDG_DATA_HOME:-$HOME/.local/share}/holdfast/cluster}
mkdir -p "$data"
pipes=$(mktemp -d)
cat >&2 <<TEXT

           MQTT              HTTP              between nodes
  node 1   127.0.0.1:1881    127.0.0.1:8081    127.0.0.1:7881/udp
  node 2   127.0.0.1:1882    127.0.0.1:8082    127.0.0.1:7882/udp
  node 3   127.0.0.1:1883    127.0.0.1:8083    127.0.0.1:7883/udp
  data     $data

  Subscribe at one node and publish at another (Debian: apt-get install mosquitto-clients):
    mosquitto_sub -p 1881 -t 'kelp/#' -q 1 -v
    mosquitto_pub -p 1882 -t kelp/forest -q 1 -m hello

  Ctrl-C stops all three; what was acknowledged is still there at the next start.

TEXT
pids=
for node in 1 2 3; do
    mkfifo "$pipes/$node"
    # Ctrl-C does not reach what a script starts in the background, so this goes on until the node's last line.
    sed -u "s/^/[$node] /" <"$pipes/$node" >&2 &
    "$CARGO_TARGET_DIR/release/holdfast" start --node-id "$node" --data-dir "$data/node-$node" \
        --seeds 127.0.0.1:7881,127.0.0.1:7882,127.0.0.1:7883 --cluster "127.0.0.1:788$node" \
        --mqtt "127.0.0.1:188$node" --http "127.0.0.1:808$node" "$@" >"$pipes/$node" 2>&1 &
    pids="$pids $!"
done
trap 'kill -TERM $pids 2>/dev/null || true' INT TERM
code=0
for pid in $pids; do
    wait "$pid" && ended=0 || ended=$?
    # A signal to this script ends a wait before the node has ended; of one that has, nothing more is known.
    while [ "$ended" -gt 128 ]; do
        wait "$pid" && again=0 || again=$?
        [ "$again" -ne 127 ] || break
        ended=$again
    done
    [ "$ended" -eq 0 ] || code=1
done
# The last lines of the nodes.
wait
rm -r "$pipes"
exit "$code"
