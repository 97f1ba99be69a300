# One word per deed. `./just` installs what is missing; whoever has `just` may call it directly.

export CARGO_TERM_COLOR := env("CARGO_TERM_COLOR", "auto")
env := "scripts/env.sh"

# List the recipes
default:
    @just --justfile {{justfile()}} --list --unsorted

# Build in release and start a single node on 127.0.0.1 (arguments go to `holdfast start`)
run *args: build
    @{{env}} scripts/run.sh {{args}}

# Run all tests, as CI does: Rust, then real MQTT clients against a real node
test: rocksdb
    @scripts/tools.sh test
    {{env}} cargo test --workspace
    {{env}} cargo build --profile test -p holdfast-node --bin holdfast
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

# Run the benchmarks (arguments go to `cargo bench`)
bench *args: rocksdb
    {{env}} cargo bench --workspace {{args}}

# Run the storm: faults from a seed, and the checks of what was promised
chaos *args: rocksdb
    {{env}} cargo run --release -p holdfast-chaos -- {{args}}

# Which statements of the MQTT specification a test names
conformance:
    @scripts/conformance.sh

# Search for inputs that break the codec: its property tests with many cases
fuzz cases="100000": rocksdb
    PROPTEST_CASES={{cases}} {{env}} cargo test --release -p holdfast-codec

# Three nodes on loopback: comes with the cluster release
cluster:
    @echo "The cluster is not there yet: this release is a single node. Start one with ./just run" >&2
    @exit 1

# Compile RocksDB once for all profiles (the other recipes do this by themselves)
rocksdb:
    @scripts/tools.sh build
    @{{env}} scripts/rocksdb.sh
