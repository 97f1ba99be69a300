#!/bin/sh
# What takes a night: simulations, storms over 1, 3 and 5 nodes, kills. The first that fails ends it, with its seed.
# Reports are in chaos-long/, one for each storm.
set -eu
seed=$1
bin="$CARGO_TARGET_DIR/release"
mkdir -p chaos-long
"$bin/holdfast-chaos" sim --seed "$seed" --seeds 2000 >chaos-long/sim.txt || { tail -n 100 chaos-long/sim.txt; exit 1; }
for nodes in 3 5 3 1 3 5; do
    "$bin/holdfast-chaos" storm --holdfast "$bin/holdfast" --nodes "$nodes" --seed "$seed" --duration 20m \
        --report "chaos-long/storm-$nodes-$seed.html"
    seed=$((seed + 1))
done
"$bin/holdfast-chaos" kill --holdfast "$bin/holdfast" --seed "$seed" --rounds 200
