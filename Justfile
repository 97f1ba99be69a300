# One word per deed. `./just` installs what is missing; whoever has `just` may call it directly.

export CARGO_TERM_COLOR := env("CARGO_TERM_COLOR", "auto")
env := "scripts/env.sh"

# List the recipes
default:
    @just --justfile {{justfile()}} --list --unsorted

# Build in release and start a single node on 127.0.0.1 (arguments go to `holdfast start`)
run *args: rocksdb
    {{env}} cargo build --release -p holdfast-node --bin holdfast
    @{{env}} scripts/run.sh {{args}}

# Run all tests, as CI does: Rust, kill tests, then real MQTT clients against a real node
test: rocksdb
    @scripts/tools.sh test
    {{env}} cargo build --profile test --workspace --bins --tests
    {{env}} cargo test --workspace
    {{env}} scripts/clients.sh

# Run the client tests alone (arguments go to pytest; BROKER=mosquitto tries the tests on mosquitto)
clients *args:
    @scripts/tools.sh test
    {{env}} scripts/clients.sh {{args}}

# Formatting and lints; never writes
check:
    @scripts/tools.sh build
    @scripts/tools.sh lint
    cargo fmt --all --check
    {{env}} cargo clippy --workspace --all-targets -- -D warnings

# Format, and apply what clippy can repair by itself
fix:
    @scripts/tools.sh build
    @scripts/tools.sh lint
    {{env}} cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Build the release binaries
build: rocksdb
    {{env}} cargo build --release --workspace --bins

# Time matching and the codec, then the release build beside mosquitto (arguments: --rounds N, --quick)
bench *args: build
    @scripts/tools.sh bench
    {{env}} cargo bench -p holdfast-codec --bench publish
    {{env}} cargo bench -p holdfast-node --bench matching
    {{env}} sh -c '"$CARGO_TARGET_DIR/release/holdfast-chaos" bench --holdfast "$CARGO_TARGET_DIR/release/holdfast" \
        --mosquitto "$(command -v mosquitto || echo /usr/sbin/mosquitto)" "$@"' bench {{args}}

# A storm over real nodes and every promise checked; the report is storm.html: `./just chaos seed=7 --duration 10m --nodes 5`
chaos seed=`date +%s` *args="--duration 2m": build
    {{env}} sh -c '"$CARGO_TARGET_DIR/release/holdfast-chaos" storm --holdfast "$CARGO_TARGET_DIR/release/holdfast" \
        --seed "$@"' chaos {{trim_start_match(seed, "seed=")}} {{args}}

# Kill a single node of the release build again and again under load and check every promise: `./just kill seed=7 --rounds 50`
kill seed=`date +%s` *args="--rounds 20": build
    {{env}} sh -c '"$CARGO_TARGET_DIR/release/holdfast-chaos" kill --holdfast "$CARGO_TARGET_DIR/release/holdfast" \
        --seed "$@"' kill {{trim_start_match(seed, "seed=")}} {{args}}

# Simulated clusters on virtual time, one seed after the other: `./just sim seed=17 --seeds 500 --nodes 5`
sim seed=`date +%s` *args="--seeds 200": rocksdb
    {{env}} cargo build --profile test -p holdfast-chaos --bin holdfast-chaos
    {{env}} sh -c '"$CARGO_TARGET_DIR/debug/holdfast-chaos" sim --seed "$@"' sim {{trim_start_match(seed, "seed=")}} {{args}}

# A night of it: 2,000 simulated seeds, then storms over 1, 3 and 5 nodes, then 200 kills (about two hours)
chaos-long seed=`date +%s`: build
    {{env}} scripts/chaos-long.sh {{trim_start_match(seed, "seed=")}}

# Which statements of the MQTT specification a test names
conformance:
    @scripts/conformance.sh

# Search for bytes that break the codec, each target for so many seconds
fuzz seconds="60":
    @scripts/tools.sh build
    @scripts/tools.sh fuzz
    {{env}} scripts/fuzz.sh decode {{seconds}}
    {{env}} scripts/fuzz.sh round_trip {{seconds}}

# Build in release and start three nodes on 127.0.0.1 in this terminal (arguments go to each `holdfast start`)
cluster *args: rocksdb
    {{env}} cargo build --release -p holdfast-node --bin holdfast
    @{{env}} scripts/cluster.sh {{args}}

# Compile RocksDB once for all profiles (the other recipes do this by themselves)
rocksdb:
    @scripts/tools.sh build
    @{{env}} scripts/rocksdb.sh
