#!/bin/sh
# What takes a night: simulations, storms over 1, 3 and 5 nodes, kills; one line for the outcome of each.
# What each had to say is in chaos-long/, and the report of each storm. A failure ends nothing: the others go on, and
# the exit code is 1 in the end. CHAOS_SIM_SEEDS, CHAOS_STORM and CHAOS_KILLS make it shorter.
set -u
seed=$1
chaos="$CARGO_TARGET_DIR/release/holdfast-chaos"
holdfast="$CARGO_TARGET_DIR/release/holdfast"
code=0
mkdir -p chaos-long || exit 1

# A name, and a command.
try() {
    name=$1
    shift
    began=$(date +%s)
    if "$@" >"chaos-long/$name.txt" 2>"chaos-long/$name.progress.txt"; then
        outcome="kept  "
        hint=
    else
        outcome="FAILED"
        hint=", see chaos-long/$name.txt; again with: $*"
        code=1
    fi
    echo "$outcome $name, $(($(date +%s) - began)) s$hint"
}

try "sim-$seed" "$chaos" sim --seed "$seed" --seeds "${CHAOS_SIM_SEEDS:-2000}"
for nodes in 3 5 3 1 3 5; do
    try "storm-$nodes-$seed" "$chaos" storm --holdfast "$holdfast" --nodes "$nodes" --seed "$seed" \
        --duration "${CHAOS_STORM:-20m}" --report "chaos-long/storm-$nodes-$seed.html"
    seed=$((seed + 1))
done
try "kill-$seed" "$chaos" kill --holdfast "$holdfast" --seed "$seed" --rounds "${CHAOS_KILLS:-200}"
exit "$code"
